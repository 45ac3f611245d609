/*
 * exec/accum.c
 *		Accumulators: compiling them, steps through fmgr, combining.
 *
 * An AccumSet is private to a process and may be used in one place at a time
 * (its FmgrInfos cache what functions look up).  All that is here may raise and
 * works on private memory; see accum_apply.c for what runs under a lock.
 *
 * No message may be able to fail a checkpoint, which combines states.  So sums
 * that go through fmgr refuse, in the step where an error is a dead letter,
 * what could overflow when states are combined or finished:
 *
 * numeric: a value of 1e120000 or more.  2^63 of them stay below 1e120020, and
 *		as the squares of a variance are bounded likewise, so does N * sum(x^2);
 *		numeric ends at 1e131072.
 * interval, money: a sum of more than 1/64 of the range, so that 64 of them can
 *		be combined.  An interval sum ends at 4,500 years of hours or 90,000
 *		years of days.
 */
#include "exec/accum_internal.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define SUM_SHARE 64

/* text_to_numeric: a constant. */
static Datum
text_to_numeric(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* limit_of: what bounds the sums that a transition function makes. */
static AccumLimit
limit_of(Oid transfn)
{
	switch (transfn)
	{
		case F_NUMERIC_ADD:
			return LIMIT_NUMERIC;
		case F_INTERVAL_PL:
			return LIMIT_INTERVAL;
		case F_CASH_PL:
			return LIMIT_MONEY;
		default:
			return LIMIT_NONE;
	}
}

/*
 * compile_calls: look up the functions of an ACCUM_DATUM.  Polymorphic ones ask
 * for the types of their arguments through fn_expr.
 */
static void
compile_calls(AccumCalls *calls, const AccumSpec *spec, MemoryContext cxt)
{
	Expr *trans;
	Expr *combine;
	Oid inputs[2];

	inputs[0] = spec->arg_type;
	build_aggregate_transfn_expr(inputs, 1, 0, false, spec->trans_type,
								 spec->collation, spec->transfn, InvalidOid,
								 &trans, NULL);
	inputs[0] = spec->trans_type;
	build_aggregate_transfn_expr(inputs, 1, 0, false, spec->trans_type,
								 spec->collation, spec->combinefn, InvalidOid,
								 &combine, NULL);
	fmgr_info_cxt(spec->transfn, &calls->trans, cxt);
	fmgr_info_set_expr((Node *) trans, &calls->trans);
	fmgr_info_cxt(spec->combinefn, &calls->combine, cxt);
	fmgr_info_set_expr((Node *) combine, &calls->combine);
	calls->limit = limit_of(spec->transfn);
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
	set->finals = palloc0(Max(naggs, 1) * sizeof(FmgrInfo));
	set->numeric_max = text_to_numeric("1e120000");
	set->numeric_min = text_to_numeric("-1e120000");
	for (i = 0; i < naccums; i++)
	{
		set->state_size = Max(set->state_size, specs[i].offset + specs[i].size);
		if (specs[i].kind == ACCUM_DATUM)
			compile_calls(&set->calls[i], &specs[i], cxt);
	}
	for (i = 0; i < naggs; i++)
	{
		if (OidIsValid(aggs[i].finalfn))
			fmgr_info_cxt(aggs[i].finalfn, &set->finals[i], cxt);
	}
	MemoryContextSwitchTo(old);
	return set;
}

uint32
weir_accum_state_size(const AccumSet *set)
{
	return set->state_size;
}

Datum
weir_accum_get_datum(const AccumSpec *spec, const AccumDatum *d, bool *isnull)
{
	Datum value;

	*isnull = d->len == 0;
	if (*isnull)
		return (Datum) 0;
	if (!spec->trans_byval)
		return PointerGetDatum(d->data);
	memcpy(&value, &d->data, Min(sizeof(value), sizeof(d->data)));
	return value;
}

uint32
weir_accum_datum_size(const AccumSpec *spec, Datum value)
{
	return (uint32) datumGetSize(value, spec->trans_byval, spec->trans_len);
}

/* put_datum: make d hold value, which is in private memory and stays there. */
static void
put_datum(const AccumSpec *spec, AccumDatum *d, Datum value, bool isnull)
{
	memset(d, 0, sizeof(*d));
	if (isnull)
		return;
	if (spec->trans_byval)
	{
		memcpy(&d->data, &value, Min(sizeof(value), sizeof(d->data)));
		d->len = sizeof(Datum);
		return;
	}
	d->data = DatumGetPointer(value);
	d->len = d->cap = weir_accum_datum_size(spec, value);
}

/* own: value in cxt, flat and neither compressed nor out of line. */
static Datum
own(const AccumSpec *spec, Datum value, MemoryContext cxt)
{
	MemoryContext old;

	if (spec->trans_byval)
		return value;
	old = MemoryContextSwitchTo(cxt);
	if (spec->trans_len == -1 &&
		VARATT_IS_EXTENDED((struct varlena *) DatumGetPointer(value)))
		value = PointerGetDatum(
			pg_detoast_datum_copy((struct varlena *) DatumGetPointer(value)));
	else
		value = datumCopy(value, false, spec->trans_len);
	MemoryContextSwitchTo(old);
	return value;
}

static void
raise_overflow(const char *message, int sqlstate)
{
	ereport(ERROR,
			(errcode(sqlstate), errmsg("%s", message),
			 errdetail(
				 "A sum in a continuous view must stay well within the range of its type.")));
}

/* check_argument: raise for a value that a sum cannot take. */
static void
check_argument(const AccumSet *set, AccumLimit limit, Datum arg)
{
	Numeric x;

	if (limit != LIMIT_NUMERIC)
		return;
	x = DatumGetNumeric(arg);
	if (numeric_is_nan(x) || numeric_is_inf(x))
		return;
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x),
										  set->numeric_max)) >= 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x),
										  set->numeric_min)) <= 0)
		raise_overflow("value overflows numeric format",
					   ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

/* within: is x at most a share of the range that ends at max? */
static inline bool
within(int64 x, int64 max)
{
	return x <= max / SUM_SHARE && x >= -(max / SUM_SHARE);
}

/* check_sum: raise for a sum that could not be combined with others. */
static void
check_sum(AccumLimit limit, Datum value)
{
	const Interval *interval;

	if (limit == LIMIT_INTERVAL)
	{
		interval = DatumGetIntervalP(value);
		if (!within(interval->time, PG_INT64_MAX) ||
			!within(interval->day, PG_INT32_MAX) ||
			!within(interval->month, PG_INT32_MAX))
			raise_overflow("interval out of range",
						   ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	}
	else if (limit == LIMIT_MONEY && !within(DatumGetInt64(value), PG_INT64_MAX))
		raise_overflow("money out of range", ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

/* call2: fn(a, b), *isnull being the result's. */
static Datum
call2(FmgrInfo *fn, Oid collation, NullableDatum a, NullableDatum b,
	  bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum result;

	InitFunctionCallInfoData(*fcinfo, fn, 2, collation, NULL, NULL);
	fcinfo->args[0] = a;
	fcinfo->args[1] = b;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

void
weir_accum_step(AccumSet *set, int accum, Datum *value, bool *isnull, Datum arg,
				bool argnull, MemoryContext cxt)
{
	const AccumSpec *spec = &set->specs[accum];
	AccumCalls *calls = &set->calls[accum];
	NullableDatum state;
	NullableDatum input;
	Datum result;

	if (argnull && spec->trans_strict)
		return;
	if (!argnull)
		check_argument(set, calls->limit, arg);
	if (*isnull && spec->has_init)
	{
		*value = own(spec, spec->init, cxt);
		*isnull = false;
	}
	if (*isnull && spec->trans_strict)
	{
		/* the first value becomes the transition value */
		check_sum(calls->limit, arg);
		*value = own(spec, arg, cxt);
		*isnull = false;
		return;
	}

	state.value = *value;
	state.isnull = *isnull;
	input.value = arg;
	input.isnull = argnull;
	result = call2(&calls->trans, spec->collation, state, input, isnull);
	if (*isnull)
		return;
	check_sum(calls->limit, result);
	if (spec->trans_byval || state.isnull || result != state.value)
		*value = own(spec, result, cxt);
}

/* combine_datum: by the aggregate's combine function. */
static void
combine_datum(AccumSet *set, int accum, AccumDatum *dst, const AccumDatum *src,
			  MemoryContext cxt)
{
	const AccumSpec *spec = &set->specs[accum];
	NullableDatum a;
	NullableDatum b;
	Datum result;
	bool isnull;

	a.value = weir_accum_get_datum(spec, dst, &a.isnull);
	b.value = weir_accum_get_datum(spec, src, &b.isnull);
	if (b.isnull && (spec->combine_strict || a.isnull))
		return;
	if (a.isnull && spec->combine_strict)
	{
		put_datum(spec, dst, own(spec, b.value, cxt), false);
		return;
	}
	result = call2(&set->calls[accum].combine, spec->collation, a, b, &isnull);
	if (!isnull && !spec->trans_byval && !a.isnull && result == a.value)
		return;
	put_datum(spec, dst, isnull ? (Datum) 0 : own(spec, result, cxt), isnull);
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
				combine_datum(set, i, (AccumDatum *) d, (const AccumDatum *) s,
							  cxt);
				break;
		}
	}
}
