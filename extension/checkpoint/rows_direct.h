/*
 * checkpoint/rows_direct.h
 *		Rows of an append view, many at a time.
 */
#ifndef WEIR_CHECKPOINT_ROWS_DIRECT_H
#define WEIR_CHECKPOINT_ROWS_DIRECT_H

#include "exec/append.h"
#include "utils/rel.h"

/*
 * Insert the rows, as COPY would.  False: something of the table needs the
 * executor, and nothing is done.
 */
extern bool weir_rows_direct(Relation rel, ViewApply *a, const EventBatch *b,
							 const int32 *records, int n);

#endif /* WEIR_CHECKPOINT_ROWS_DIRECT_H */
