/*
 * exec/apply_datum.c
 *		A batch into transition values that are kept by reference.
 *
 * Runs in the ingest worker, as the view's owner.  For each group that the batch
 * touches, the value is loaded from shared memory, goes through the rows in the
 * batch's memory context, and is made flat again; all of that can raise, and
 * nothing of it is seen.  Then room is reserved in the pane, and under the
 * shard's lock the bytes are copied.
 */
#include "base/weir.h"

#include "exec/apply_internal.h"

static inline PendingDatum *
pending_at(ViewApply *a, int d, uint32 touched)
{
	return &a->pending[(size_t) d * a->capacity + touched];
}

static inline AccumDatum *
datum_at(const ViewApply *a, int c, uint32 touched)
{
	return (AccumDatum *) (a->touched[touched]->state +
						   a->plan->accums[c].offset);
}

/* One step of a group's value, by a row. */
static void
step_row(ViewApply *a, const EventBatch *b, int c, int32 row, AccumValue *value)
{
	NullableDatum args[FUNC_MAX_ARGS];
	int nmore = a->plan->accums[c].nmore;

	args[0].value = (Datum) 0;
	args[0].isnull = true;
	if (apply_has_value(&a->args[c]))
		args[0].value = apply_value(&a->args[c], b, row, &args[0].isnull);
	for (int i = 0; i < nmore; i++)
		args[i + 1].value = apply_value(&a->more[c][i], b, row,
										&args[i + 1].isnull);
	weir_accum_step(a->accums, c, value, args, a->batch_cxt);
}

/* Compute the new values of one accumulator. */
static void
step_datums(ViewApply *a, const EventBatch *b, int d, const int32 *rows,
			int nrows)
{
	int c = a->datums[d];
	const bool *pass = a->pass[c];

	for (int t = 0; t < a->ntouched; t++)
		weir_accum_load(a->accums, c, datum_at(a, c, t),
						&pending_at(a, d, t)->value, a->batch_cxt);
	for (int i = 0; i < nrows; i++)
		if (pass == NULL || pass[rows[i]])
			step_row(a, b, c, rows[i],
					 &pending_at(a, d, a->row_group[i]->batch_ref)->value);
	for (int t = 0; t < a->ntouched; t++)
		weir_accum_flat(a->accums, c, &pending_at(a, d, t)->value, a->batch_cxt);
}

/* Room in the pane for a value that has grown.  False: full. */
static bool
reserve(ViewApply *a, int d, int t)
{
	const AccumSpec *spec = &a->plan->accums[a->datums[d]];
	PendingDatum *p = pending_at(a, d, t);

	p->room = NULL;
	p->cap = 0;
	if (p->value.isnull)
		return true;
	p->len = weir_accum_datum_size(spec, p->value.value);
	if (spec->trans_byval || p->len <= datum_at(a, a->datums[d], t)->cap)
		return true;
	p->cap = MAXALIGN(p->len + p->len / 2);
	p->room = weir_pane_room(a->touched_pane[t], p->cap);
	return p->room != NULL;
}

bool
apply_datums(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	for (int d = 0; d < a->ndatums; d++)
		step_datums(a, b, d, rows, nrows);
	for (int d = 0; d < a->ndatums; d++)
		for (int t = 0; t < a->ntouched; t++)
			if (!reserve(a, d, t))
				return false;
	return true;
}

static void
store(const AccumSpec *spec, const PendingDatum *p, AccumDatum *dst)
{
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
		store(&a->plan->accums[a->datums[d]], pending_at(a, d, touched),
			  datum_at(a, a->datums[d], touched));
}
