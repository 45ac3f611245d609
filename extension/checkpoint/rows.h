/*
 * checkpoint/rows.h
 *		Rows of an append view, into its table.
 */
#ifndef WEIR_CHECKPOINT_ROWS_H
#define WEIR_CHECKPOINT_ROWS_H

#include "base/weir.h"

#include "catalog/view.h"
#include "exec/append.h"

typedef struct RowWriter RowWriter;

/* What is kept from batch to batch, in cxt. */
extern RowWriter *weir_rows_new(const ViewRow *row, MemoryContext cxt);

/*
 * Insert the rows of some records, whose values are in a->out, as the view's
 * owner under its settings.  Needs a transaction with a snapshot; raises when
 * some row cannot be inserted, and when none can.
 */
extern void weir_rows_write(RowWriter *w, ViewApply *a, const EventBatch *b,
							const int32 *records, int n);

#endif /* WEIR_CHECKPOINT_ROWS_H */
