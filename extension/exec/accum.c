/*
 * exec/accum.c
 *		Accumulators: compiling them, combining states.
 *
 * An AccumSet is private to a process and may be used in one place at a time
 * (its functions cache what they look up).  All that is here may raise and works
 * on private memory; see accum_apply.c for what runs under a lock, and
 * accum_calls.c for values that are kept by reference.
 */
#include "exec/accum_internal.h"

#include "nodes/makefuncs.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* text_to_numeric: a constant. */
static Datum
text_to_numeric(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/*
 * stand_in: an Agg node's state, as far as aggregates' functions look at it
 * (AggCheckCallContext and its like).
 */
static AggState *
stand_in(MemoryContext cxt)
{
	AggState *agg = makeNode(AggState);

	agg->curaggcontext = makeNode(ExprContext);
	agg->curaggcontext->ecxt_per_query_memory = cxt;
	agg->tmpcontext = makeNode(ExprContext);
	agg->tmpcontext->ecxt_per_query_memory = cxt;
	return agg;
}

AccumSet *
weir_accum_compile(const AccumSpec *specs, int naccums, const AggSpec *aggs,
				   int naggs, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	AccumSet *set = palloc0(sizeof(AccumSet));
	int i;

	set->specs = specs;
	set->naccums = naccums;
	set->aggs = aggs;
	set->naggs = naggs;
	set->calls = palloc0(Max(naccums, 1) * sizeof(AccumCalls));
	set->finals = palloc0(Max(naggs, 1) * sizeof(FinalCalls));
	set->agg = stand_in(cxt);
	set->numeric_max = text_to_numeric("1e120000");
	set->numeric_min = text_to_numeric("-1e120000");
	for (i = 0; i < naccums; i++)
	{
		set->state_size = Max(set->state_size, specs[i].offset + specs[i].size);
		if (weir_accum_is_datum(specs[i].kind))
			accum_compile_calls(set, &set->calls[i], &specs[i], cxt);
	}
	for (i = 0; i < naggs; i++)
		accum_compile_final(set, &set->finals[i], &aggs[i], cxt);
	MemoryContextSwitchTo(old);
	return set;
}

uint32
weir_accum_state_size(const AccumSet *set)
{
	return set->state_size;
}

/* combine_int: sums, extremes and truth values in an AccumInt. */
static void
combine_int(AccumKind kind, AccumInt *dst, const AccumInt *src)
{
	bool empty = dst->n == 0;

	if (src->n == 0)
		return;
	dst->n += src->n;
	if (empty)
		dst->value = src->value;
	else if (kind == ACCUM_SUM_INT)
		dst->value = accum_add64(dst->value, src->value);
	else if (kind == ACCUM_MIN_INT || kind == ACCUM_BOOL_AND)
		dst->value = Min(dst->value, src->value);
	else
		dst->value = Max(dst->value, src->value);
}

/* combine_float: sums and extremes in an AccumFloat. */
static void
combine_float(AccumKind kind, AccumFloat *dst, const AccumFloat *src)
{
	bool empty = dst->n == 0;

	if (src->n == 0)
		return;
	dst->n += src->n;
	if (empty)
		dst->value = src->value;
	else if (kind == ACCUM_SUM_FLOAT8)
		dst->value += src->value;
	else if (kind == ACCUM_SUM_FLOAT4)
		dst->value = (float4) dst->value + (float4) src->value;
	else if (kind == ACCUM_MIN_FLOAT8 &&
			 !accum_float_less(dst->value, src->value))
		dst->value = src->value;
	else if (kind == ACCUM_MAX_FLOAT8 &&
			 !accum_float_less(src->value, dst->value))
		dst->value = src->value;
}

/* combine_variance: as float8_combine. */
static void
combine_variance(AccumFloatSquares *dst, const AccumFloatSquares *src)
{
	double n = dst->n + src->n;
	double tmp;

	if (src->n == 0)
		return;
	if (dst->n == 0)
	{
		*dst = *src;
		return;
	}
	tmp = dst->sx / dst->n - src->sx / src->n;
	dst->sxx = dst->sxx + src->sxx + dst->n * src->n * tmp * tmp / n;
	dst->sx += src->sx;
	dst->n = n;
}

/* combine_int128: n and one or two 128-bit sums. */
static void
combine_int128(AccumKind kind, char *dst, const char *src)
{
	if (kind == ACCUM_SUM_INT128)
	{
		AccumInt128 *d = (AccumInt128 *) dst;
		const AccumInt128 *s = (const AccumInt128 *) src;

		d->n += s->n;
		accum_add128(&d->lo, &d->hi, s->lo, s->hi);
	}
	else
	{
		AccumIntSquares *d = (AccumIntSquares *) dst;
		const AccumIntSquares *s = (const AccumIntSquares *) src;

		d->n += s->n;
		accum_add128(&d->sum_lo, &d->sum_hi, s->sum_lo, s->sum_hi);
		accum_add128(&d->sq_lo, &d->sq_hi, s->sq_lo, s->sq_hi);
	}
}

void
weir_accum_combine(AccumSet *set, char *dst, const char *src, MemoryContext cxt)
{
	int i;

	for (i = 0; i < set->naccums; i++)
	{
		const AccumSpec *spec = &set->specs[i];
		char *d = dst + spec->offset;
		const char *s = src + spec->offset;

		switch (spec->kind)
		{
			case ACCUM_COUNT:
				*(int64 *) d += *(const int64 *) s;
				break;
			case ACCUM_SUM_INT:
			case ACCUM_MIN_INT:
			case ACCUM_MAX_INT:
			case ACCUM_BOOL_AND:
			case ACCUM_BOOL_OR:
				combine_int(spec->kind, (AccumInt *) d, (const AccumInt *) s);
				break;
			case ACCUM_SUM_INT128:
			case ACCUM_SUMSQ_INT128:
				combine_int128(spec->kind, d, s);
				break;
			case ACCUM_SUM_FLOAT8:
			case ACCUM_SUM_FLOAT4:
			case ACCUM_MIN_FLOAT8:
			case ACCUM_MAX_FLOAT8:
				combine_float(spec->kind, (AccumFloat *) d,
							  (const AccumFloat *) s);
				break;
			case ACCUM_VAR_FLOAT8:
				combine_variance((AccumFloatSquares *) d,
								 (const AccumFloatSquares *) s);
				break;
			case ACCUM_DATUM:
			case ACCUM_INTERNAL:
			case ACCUM_DISTINCT:
				accum_combine_datum(set, &set->calls[i], (AccumDatum *) d,
									(const AccumDatum *) s, cxt);
				break;
		}
	}
}
