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

/* Of accumulator c, in a group. */
static inline AccumDatum *
apply_datum_of(const ViewApply *a, int c, PaneGroup *group)
{
	return (AccumDatum *) (group->state + a->plan->accums[c].offset);
}

/* The new value of a touched group; d counts those that are an AccumDatum. */
static inline PendingDatum *
apply_pending(ViewApply *a, int d, uint32 touched)
{
	return &a->pending[(size_t) d * a->capacity + touched];
}

/*
 * Compute the new values of the touched groups, in private memory, and reserve
 * room for them.  May raise.  False: no memory.
 */
extern bool
apply_datums(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows);
/* Store those of a touched group; under the shard's lock. */
extern void apply_store_datums(ViewApply *a, int touched);
/* The arguments of accumulator c for a row. */
extern void apply_arguments(ViewApply *a, const EventBatch *b, int c, int32 row,
							NullableDatum *args);
/*
 * Room in the pane for a value that has grown.  reserved: of what checkpoints
 * need, too.  False: full.
 */
extern bool apply_reserve(ViewApply *a, int c, PaneGroup *group, Pane *pane,
						  bool reserved, PendingDatum *p);
/* Store one; under the shard's lock. */
extern void
apply_store(ViewApply *a, int c, PaneGroup *group, const PendingDatum *p);
/* Is it for apply_live.c? */
extern bool apply_is_kept_alive(const ViewApply *a, int d);

/* --- apply_live.c: values that are kept alive ------------------------------- */

/* Set a->live, if there is any such accumulator. */
extern void apply_live_new(ViewApply *a);
/* As apply_datums.  What fails is made up for later. */
extern bool
apply_live_rows(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows);
/* The batch is applied as a whole. */
extern void apply_live_applied(ViewApply *a);
/* Settle now and then. */
extern void apply_settle_if_due(ViewApply *a);
/* A barrier is taken, all being settled: let go of what it closes. */
extern void apply_live_sweep(ViewApply *a);

/* apply_barrier.c: does the barrier that was taken last close the pane? */
extern bool apply_is_closing(const ViewApply *a, const Pane *pane);

/* Evaluate what is no plain column. */
static inline void
apply_eval(ViewApply *a, InputExpr *e, int row)
{
	if (e->state)
		e->values[row] = ExecEvalExprSwitchContext(e->state, a->econtext,
												   &e->nulls[row]);
}

/* --- apply_group.c --------------------------------------------------------- */

/* Find or add the group of each row (a->row_group, a->states).  False: no memory. */
extern bool apply_find_groups(ViewApply *a, const EventBatch *b,
							  const int32 *rows, int nrows);

/* --- apply.c --------------------------------------------------------------- */

/* Have the record's columns in slot_in, for the interpreter. */
extern void apply_load_row(ViewApply *a, const EventBatch *b, int row);
/* Keep the rows that WHERE lets through; returns how many. */
extern int
apply_filter(ViewApply *a, const EventBatch *b, int32 *rows, int nrows);
/* Errors that are not a row's: they end the worker's transaction. */
extern bool apply_is_fatal(const ErrorData *e);

#endif /* WEIR_EXEC_APPLY_INTERNAL_H */
