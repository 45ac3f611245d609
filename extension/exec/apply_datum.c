/*
 * exec/apply_datum.c
 *		A batch into transition values that are kept by reference.
 *
 * Runs in the ingest worker, as the view's owner.  For each group that the batch
 * touches, the value is loaded from shared memory, goes through the rows in the
 * batch's memory context, and is made flat again; all of that can raise, and
 * nothing of it is seen.  Then room is reserved in the pane, and under the
 * shard's lock the bytes are copied.  Values that are costly to load and to make
 * flat go another way: apply_live.c.
 */
#include "base/weir.h"

#include "exec/apply_session.h"
#include "utils/memutils.h"

/* What functions leave behind is freed after so many rows. */
#define STEPS 64

bool
apply_is_kept_alive(const ViewApply *a, int d)
{
	/* What becomes of a session begins with what others have seen of it. */
	return a->plan->accums[a->datums[d]].kind != ACCUM_DATUM &&
		   a->sessions == NULL;
}

void
apply_arguments(ViewApply *a, const EventBatch *b, int c, int32 row,
				NullableDatum *args)
{
	int nmore = a->plan->accums[c].nmore;

	args[0].value = (Datum) 0;
	args[0].isnull = true;
	if (apply_has_value(&a->args[c]))
		args[0].value = apply_value(&a->args[c], b, row, &args[0].isnull);
	for (int i = 0; i < nmore; i++)
		args[i + 1].value = apply_value(&a->more[c][i], b, row,
										&args[i + 1].isnull);
}

/* A session may go on from another state than its group's. */
static inline const AccumDatum *
begin_at(const ViewApply *a, int c, uint32 touched)
{
	if (a->sessions == NULL)
		return apply_datum_of(a, c, a->touched[touched]);
	return (const AccumDatum *) (weir_session_state(a, touched) +
								 a->plan->accums[c].offset);
}

/* Compute the new values of one accumulator. */
static void
step_datums(ViewApply *a, const EventBatch *b, int d, const int32 *rows,
			int nrows)
{
	int c = a->datums[d];
	const bool *pass = a->pass[c];
	NullableDatum args[FUNC_MAX_ARGS];
	MemoryContext steps = AllocSetContextCreate(a->batch_cxt, "weir steps",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	for (int t = 0; t < a->ntouched; t++)
	{
		PendingDatum *p = apply_pending(a, d, t);

		p->alive = false;
		weir_accum_load(a->accums, c, begin_at(a, c, t), &p->value,
						a->batch_cxt);
	}
	old = MemoryContextSwitchTo(steps);
	for (int i = 0; i < nrows; i++)
	{
		if (pass && !pass[rows[i]])
			continue;
		apply_arguments(a, b, c, rows[i], args);
		weir_accum_step(a->accums, c,
						&apply_pending(a, d, a->row_group[i]->batch_ref)->value,
						args, a->batch_cxt);
		if (i % STEPS == STEPS - 1)
			MemoryContextReset(steps);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(steps);
	for (int t = 0; t < a->ntouched; t++)
		weir_accum_flat(a->accums, c, &apply_pending(a, d, t)->value,
						a->batch_cxt);
}

bool
apply_reserve(ViewApply *a, int c, PaneGroup *group, Pane *pane, bool reserved,
			  PendingDatum *p)
{
	const AccumSpec *spec = &a->plan->accums[c];

	p->room = NULL;
	p->cap = 0;
	if (p->value.isnull)
		return true;
	p->len = weir_accum_datum_size(spec, p->value.value);
	if (spec->trans_byval || p->len <= apply_datum_of(a, c, group)->cap)
		return true;
	p->cap = MAXALIGN(p->len + p->len / 2);
	p->room = reserved ? weir_pane_room_reserved(pane, p->cap)
					   : weir_pane_room(pane, p->cap);
	return p->room != NULL;
}

/* Those of one accumulator.  False: no memory. */
static bool
reserve_datums(ViewApply *a, int d)
{
	for (int t = 0; t < a->ntouched; t++)
		if (!apply_reserve(a, a->datums[d], a->touched[t], a->touched_pane[t],
						   false, apply_pending(a, d, t)))
			return false;
	return true;
}

bool
apply_datums(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	for (int d = 0; d < a->ndatums; d++)
		if (a->live == NULL || !apply_is_kept_alive(a, d))
			step_datums(a, b, d, rows, nrows);
	for (int d = 0; d < a->ndatums; d++)
		if ((a->live == NULL || !apply_is_kept_alive(a, d)) &&
			!reserve_datums(a, d))
			return false;
	return a->live == NULL || apply_live_rows(a, b, rows, nrows);
}

void
apply_store(ViewApply *a, int c, PaneGroup *group, const PendingDatum *p)
{
	const AccumSpec *spec = &a->plan->accums[c];
	AccumDatum *dst = apply_datum_of(a, c, group);

	if (p->value.isnull)
	{
		/* it keeps its NULL, or becomes one */
		if (p->value.begun)
			weir_accum_put_null(dst, true);
		return;
	}
	if (spec->trans_byval)
	{
		weir_accum_put_byval(dst, p->value.value);
		return;
	}
	if (p->room)
	{
		dst->data = p->room;
		dst->cap = p->cap;
	}
	if (DatumGetPointer(p->value.value) != dst->data)
		memmove(dst->data, DatumGetPointer(p->value.value), p->len);
	dst->len = p->len;
}

void
apply_store_datums(ViewApply *a, int touched)
{
	for (int d = 0; d < a->ndatums; d++)
	{
		const PendingDatum *p = apply_pending(a, d, touched);

		if (!p->alive)
			apply_store(a, a->datums[d], a->touched[touched], p);
	}
}
