/*
 * exec/accum_distinct.c
 *		Results of aggregates with DISTINCT: the aggregate over its set.
 *
 * Called by coordinators that close a window and by backends that read an open
 * one, on private copies, outside every lock; may raise.
 */
#include "exec/accum_internal.h"

#include "exec/valueset.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct Element
{
	const FinalCalls *calls;
	NullableDatum *args;
} Element;

void
accum_compile_order(FinalCalls *calls, const AggSpec *agg, const KeySpec *keys,
					MemoryContext cxt)
{
	ListCell *lc;

	calls->norder = list_length(agg->order);
	calls->order = MemoryContextAlloc(cxt, sizeof(int) * calls->norder);
	calls->sort = MemoryContextAllocZero(cxt, sizeof(SortSupportData) *
												  calls->norder);
	foreach(lc, agg->order)
	{
		const SortGroupClause *c = lfirst_node(SortGroupClause, lc);
		int i = foreach_current_index(lc);
		SortSupport sort = &calls->sort[i];

		calls->order[i] = c->tleSortGroupRef - 1;
		sort->ssup_cxt = cxt;
		sort->ssup_collation = keys[calls->order[i]].collation;
		sort->ssup_nulls_first = c->nulls_first;
		PrepareSortSupportFromOrderingOp(c->sortop, sort);
	}
}

static int
compare(const void *a, const void *b, void *arg)
{
	const FinalCalls *calls = arg;
	const NullableDatum *x = *(const NullableDatum *const *) a;
	const NullableDatum *y = *(const NullableDatum *const *) b;

	for (int i = 0; i < calls->norder; i++)
	{
		const NullableDatum *p = &x[calls->order[i]];
		const NullableDatum *q = &y[calls->order[i]];
		int order = ApplySortComparator(p->value, p->isnull, q->value,
										q->isnull, &calls->sort[i]);

		if (order != 0)
			return order;
	}
	CHECK_FOR_INTERRUPTS();
	return 0;
}

/* elements: the set's, as arguments of the aggregate, sorted. */
static NullableDatum **
elements(FinalCalls *calls, const KeyCodec *codec, const struct varlena *kept)
{
	uint32 n = weir_valueset_count(kept);
	NullableDatum *args = palloc_extended(sizeof(NullableDatum) * Max(n, 1) *
											  codec->nkeys,
										  MCXT_ALLOC_HUGE);
	NullableDatum **sorted = palloc_extended(sizeof(NullableDatum *) * Max(n, 1),
											 MCXT_ALLOC_HUGE);
	Datum values[FUNC_MAX_ARGS];
	bool nulls[FUNC_MAX_ARGS];
	const char *image;
	size_t at = 0;
	uint32 len;

	for (uint32 i = 0; (image = weir_valueset_next(kept, &at, &len)) != NULL;
		 i++)
	{
		weir_key_values(codec, image, values, nulls);
		sorted[i] = &args[(size_t) i * codec->nkeys];
		for (int k = 0; k < codec->nkeys; k++)
		{
			sorted[i][k].value = values[k];
			sorted[i][k].isnull = nulls[k];
		}
	}
	qsort_arg(sorted, n, sizeof(sorted[0]), compare, calls);
	return sorted;
}

/* run: the aggregate over a set that is not empty; all memory in cxt. */
static void
run(AccumSet *set, FinalCalls *calls, const KeyCodec *codec,
	const struct varlena *kept, AccumValue *value, MemoryContext cxt)
{
	NullableDatum **sorted = elements(calls, codec, kept);
	uint32 n = weir_valueset_count(kept);
	MemoryContext steps = AllocSetContextCreate(cxt, "weir steps",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(steps);

	for (uint32 i = 0; i < n; i++)
	{
		accum_step(set, &calls->over, value, sorted[i], cxt);
		MemoryContextReset(steps);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

Datum
accum_final_distinct(AccumSet *set, FinalCalls *calls, const AccumCalls *kept,
					 const AccumDatum *d, MemoryContext cxt, bool *isnull)
{
	AccumValue value = {.isnull = true};

	if (d->len > 0)
		run(set, calls, kept->codec, (const struct varlena *) d->data, &value,
			cxt);
	return accum_finish(set, calls, &calls->over, &value, cxt, isnull);
}
