/*
 * api/final_scan.h
 *		Final rows that a snapshot does not see, of windows that are in memory no
 *		more.
 */
#ifndef WEIR_API_FINAL_SCAN_H
#define WEIR_API_FINAL_SCAN_H

#include "base/weir.h"

#include "catalog/view.h"
#include "plan/plan.h"
#include "utils/snapshot.h"

typedef struct FinalScan FinalScan;

/*
 * Begin reading the rows of v_final whose window starts in (from, upto], which
 * are committed by now and not visible to the snapshot.  Memory is of the current
 * context; locks on the table and its partitions stay until the transaction ends.
 */
extern FinalScan *
weir_final_scan_begin(const ViewRow *row, const ViewPlan *plan, int64 from,
					  int64 upto, Snapshot snapshot);
/* The next row's output columns, valid until the next call; false: the end. */
extern bool weir_final_scan_next(FinalScan *s, Datum *values, bool *nulls);
extern void weir_final_scan_end(FinalScan *s);

#endif /* WEIR_API_FINAL_SCAN_H */
