/*
 * exec/apply_internal.h
 *		What the files that apply a batch share.
 */
#ifndef WEIR_EXEC_APPLY_INTERNAL_H
#define WEIR_EXEC_APPLY_INTERNAL_H

#include "exec/apply.h"

/* Is there an expression, or only count(*)? */
static inline bool
apply_has_value(const InputExpr *e)
{
	return e->state || e->attno;
}

/* The value of an expression, evaluated, for a row of the batch. */
static inline Datum
apply_value(const InputExpr *e, const EventBatch *b, int row, bool *isnull)
{
	if (e->state == NULL)
	{
		*isnull = b->columns[e->attno - 1].nulls[row];
		return b->columns[e->attno - 1].values[row];
	}
	*isnull = e->nulls[row];
	return e->values[row];
}

/* --- apply_datum.c: accumulators that are kept as an AccumDatum ------------- */

/*
 * Compute the new values of the touched groups, in private memory, and reserve
 * room for them.  May raise.  False: no memory.
 */
extern bool
apply_datums(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows);
/* Store those of a touched group; under the shard's lock. */
extern void apply_store_datums(ViewApply *a, int touched);

/* Evaluate what is no plain column. */
static inline void
apply_eval(ViewApply *a, InputExpr *e, int row)
{
	if (e->state)
		e->values[row] = ExecEvalExprSwitchContext(e->state, a->econtext,
												   &e->nulls[row]);
}

/* --- apply.c --------------------------------------------------------------- */

/* Have the record's columns in slot_in, for the interpreter. */
extern void apply_load_row(ViewApply *a, const EventBatch *b, int row);
/* Keep the rows that WHERE lets through; returns how many. */
extern int
apply_filter(ViewApply *a, const EventBatch *b, int32 *rows, int nrows);
/* Errors that are not a row's: they end the worker's transaction. */
extern bool apply_is_fatal(const ErrorData *e);

#endif /* WEIR_EXEC_APPLY_INTERNAL_H */
