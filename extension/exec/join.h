/*
 * exec/join.h
 *		A batch of events joined with tables.
 */
#ifndef WEIR_EXEC_JOIN_H
#define WEIR_EXEC_JOIN_H

#include "base/weir.h"

#include "exec/apply.h"

typedef struct ViewJoin ViewJoin;

/* Memory in a child of a->cxt. */
extern ViewJoin *weir_join_new(const ViewApply *a);

/*
 * Read the tables anew, if they were read longer ago than refresh_us.  One that is
 * locked stays as it was; raises when it was never read, or cannot be read for
 * another reason.  In a transaction with a snapshot, as the view's owner.
 */
extern void weir_join_refresh(ViewJoin *j, int64 refresh_us);

/* The batch that is made of joined rows. */
extern EventBatch *weir_join_batch(ViewJoin *j);
/* For each of its rows the watermark just before the record. */
extern int64 *weir_join_watermarks(ViewJoin *j);
/* For each of its rows the record, by its number in the batch that was joined. */
extern const int32 *weir_join_records(const ViewJoin *j);

/*
 * Join the records, and add what comes of them to the batch from its row "at" on.
 * watermark: by record.  Returns how many rows; more than "most": that is not all of
 * them.  By-reference values of tables are copied to cxt.
 */
extern int weir_join_rows(ViewJoin *j, const EventBatch *b,
						  const int64 *watermark, const int32 *records, int n,
						  int at, int most, MemoryContext cxt);

#endif /* WEIR_EXEC_JOIN_H */
