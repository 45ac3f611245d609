/*
 * exec/accum_final.c
 *		Results of aggregates from the accumulators of a group.
 *
 * Called by coordinators that close a window and by backends that read an open
 * one, on private copies, outside every lock; may raise.  Results are
 * PostgreSQL's to the last digit: the arithmetic of its final functions is
 * repeated with its public functions where their arguments are internal.
 */
#include "exec/accum_internal.h"

#include "catalog/pg_type.h"
#include "exec/valueset.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

static Datum
int64_numeric(int64 value)
{
	return NumericGetDatum(int64_to_numeric(value));
}

static Datum
numeric_call(PGFunction function, Datum a, Datum b)
{
	return DirectFunctionCall2(function, a, b);
}

/* int128_numeric: (hi * 2^32 + upper half of lo) * 2^32 + lower half of lo. */
static Datum
int128_numeric(uint64 lo, int64 hi)
{
	Datum shift;
	Datum value;

	if (hi == ((int64) lo < 0 ? -1 : 0))
		return int64_numeric((int64) lo);
	shift = int64_numeric(INT64CONST(1) << 32);
	value = numeric_call(numeric_mul, int64_numeric(hi), shift);
	value = numeric_call(numeric_add, value, int64_numeric(lo >> 32));
	value = numeric_call(numeric_mul, value, shift);
	return numeric_call(numeric_add, value,
						int64_numeric(lo & UINT64CONST(0xffffffff)));
}

/* is_special: NaN or infinite? */
static bool
is_special(Datum value)
{
	Numeric numeric = DatumGetNumeric(value);

	return numeric_is_nan(numeric) || numeric_is_inf(numeric);
}

/* power_of_ten: digit * 10 ^ -scale. */
static Datum
power_of_ten(int digit, int scale)
{
	char text[32];

	snprintf(text, sizeof(text), "%de-%d", digit, scale);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static int
numeric_compare(Datum a, Datum b)
{
	return DatumGetInt32(numeric_call(numeric_cmp, a, b));
}

/*
 * root_at_scale: the square root of a variance, rounded to the variance's
 * scale, as the final function of stddev has it.  numeric_sqrt may give more
 * digits, already rounded: rounding again can only end up one too high, which
 * is so if the middle to the number below is greater than the root.
 */
static Datum
root_at_scale(Datum variance)
{
	int scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, variance));
	Datum root = numeric_call(numeric_round,
							  DirectFunctionCall1(numeric_sqrt, variance),
							  Int32GetDatum(scale));
	Datum middle = numeric_call(numeric_sub, root, power_of_ten(5, scale + 1));

	if (numeric_compare(middle, int64_numeric(0)) > 0 &&
		numeric_compare(numeric_call(numeric_mul, middle, middle), variance) > 0)
		root = numeric_call(numeric_sub, root, power_of_ten(1, scale));
	return root;
}

/*
 * spread: variance or standard deviation of n > 0 values, as
 * numeric_stddev_internal.  *isnull for a sample of one.
 */
static Datum
spread(const AggSpec *agg, int64 n, Datum sum, Datum squares, bool *isnull)
{
	Datum count = int64_numeric(n);
	Datum divisor;
	Datum numerator;
	Datum variance;

	*isnull = agg->sample && n == 1;
	if (*isnull)
		return (Datum) 0;
	if (is_special(sum) || is_special(squares))
		return DirectFunctionCall3(numeric_in, CStringGetDatum("NaN"),
								   ObjectIdGetDatum(InvalidOid),
								   Int32GetDatum(-1));

	/* (N * sum(x^2) - sum(x)^2) / (N * (N - 1)) */
	numerator = numeric_call(numeric_sub,
							 numeric_call(numeric_mul, count, squares),
							 numeric_call(numeric_mul, sum, sum));
	if (numeric_compare(numerator, int64_numeric(0)) <= 0)
		return int64_numeric(0);
	divisor = numeric_call(numeric_mul, count,
						   agg->sample ? int64_numeric(n - 1) : count);
	variance = numeric_call(numeric_div, numerator, divisor);
	return agg->sqrt ? root_at_scale(variance) : variance;
}

/* final_var_int: variances of int2 and int4. */
static Datum
final_var_int(const AggSpec *agg, const AccumIntSquares *s, bool *isnull)
{
	*isnull = s->n == 0;
	if (*isnull)
		return (Datum) 0;
	return spread(agg, s->n, int128_numeric(s->sum_lo, s->sum_hi),
				  int128_numeric(s->sq_lo, s->sq_hi), isnull);
}

/* final_var_float: PostgreSQL's function over its own transition value. */
static Datum
final_var_float(FunctionCallInfo call, const AccumFloatSquares *s, bool *isnull)
{
	Datum elements[3];
	ArrayType *array;
	Datum result;

	elements[0] = Float8GetDatum(s->n);
	elements[1] = Float8GetDatum(s->sx);
	elements[2] = Float8GetDatum(s->sxx);
	array = construct_array(elements, 3, FLOAT8OID, sizeof(float8),
							FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	call->args[0].value = PointerGetDatum(array);
	call->isnull = false;
	result = FunctionCallInvoke(call);
	*isnull = call->isnull;
	return result;
}

/* final_minmax_int: the value as its type has it. */
static Datum
final_minmax_int(Oid type, int64 value)
{
	switch (type)
	{
		case INT2OID:
			return Int16GetDatum((int16) value);
		case INT4OID:
		case DATEOID:
			return Int32GetDatum((int32) value);
		default:
			return Int64GetDatum(value);
	}
}

/* final_int: aggregates over an AccumInt. */
static Datum
final_int(const AggSpec *agg, const AccumInt *s, bool *isnull)
{
	*isnull = s->n == 0;
	if (*isnull)
		return (Datum) 0;
	switch (agg->kind)
	{
		case FINAL_AVG_INT:
			return numeric_call(numeric_div, int64_numeric(s->value),
								int64_numeric(s->n));
		case FINAL_MINMAX_INT:
			return final_minmax_int(agg->result_type, s->value);
		case FINAL_BOOL:
			return BoolGetDatum(s->value != 0);
		default:
			return Int64GetDatum(s->value);
	}
}

/* final_int128: sum and average of int8. */
static Datum
final_int128(const AggSpec *agg, const AccumInt128 *s, bool *isnull)
{
	Datum sum;

	*isnull = s->n == 0;
	if (*isnull)
		return (Datum) 0;
	sum = int128_numeric(s->lo, s->hi);
	if (agg->kind == FINAL_AVG_INT128)
		return numeric_call(numeric_div, sum, int64_numeric(s->n));
	return sum;
}

/* final_float: aggregates over an AccumFloat. */
static Datum
final_float(const AggSpec *agg, const AccumFloat *s, bool *isnull)
{
	*isnull = s->n == 0;
	if (*isnull)
		return (Datum) 0;
	/* float8_accum begins with 0, so that the average of -0 is 0 */
	if (agg->kind == FINAL_AVG_FLOAT8)
		return Float8GetDatum((s->value + 0.0) / (double) s->n);
	if (agg->result_type == FLOAT4OID)
		return Float4GetDatum((float4) s->value);
	return Float8GetDatum(s->value);
}

/* final_own: aggregates of one accumulator that have their own functions. */
static Datum
final_own(AccumSet *set, int number, const AccumDatum *d, bool *isnull)
{
	const AggSpec *agg = &set->aggs[number];
	AccumCalls *calls = &set->calls[agg->accums[0]];
	AccumValue value;

	accum_load(set, calls, d, &value, CurrentMemoryContext);
	return accum_finish(set, &set->finals[number], calls, &value,
						CurrentMemoryContext, isnull);
}

/* final_datum: our own functions over sums that are an ACCUM_DATUM. */
static Datum
final_datum(AccumSet *set, int number, const char *state, bool *isnull)
{
	const AggSpec *agg = &set->aggs[number];
	const AccumSpec *spec = &set->specs[agg->accums[0]];
	Datum value;
	Datum squares;
	int64 n = 0;

	value = weir_accum_get_datum(spec,
								 (const AccumDatum *) (state + spec->offset),
								 isnull);
	if (agg->naccums > 1)
		n = *(const int64 *) (state +
							  set->specs[agg->accums[agg->naccums - 1]].offset);
	if (*isnull)
		return (Datum) 0;
	switch (agg->kind)
	{
		case FINAL_AVG_NUMERIC:
			return numeric_call(numeric_div, value, int64_numeric(n));
		case FINAL_AVG_INTERVAL:
			return DirectFunctionCall2(interval_div, value,
									   Float8GetDatum((float8) n));
		case FINAL_VAR_NUMERIC:
			spec = &set->specs[agg->accums[1]];
			squares = weir_accum_get_datum(spec,
										   (const AccumDatum *) (state +
																 spec->offset),
										   isnull);
			return spread(agg, n, value, squares, isnull);
		default:
			return value;
	}
}

static int64
count_distinct(const AccumDatum *d)
{
	return d->len == 0 ? 0
					   : weir_valueset_count((const struct varlena *) d->data);
}

/* final_one: the result of one aggregate. */
static Datum
final_one(AccumSet *set, int number, const char *state, bool *isnull)
{
	const AggSpec *agg = &set->aggs[number];
	const char *s = state + set->specs[agg->accums[0]].offset;

	switch (agg->kind)
	{
		case FINAL_COUNT:
			*isnull = false;
			return Int64GetDatum(*(const int64 *) s);
		case FINAL_INT8:
		case FINAL_AVG_INT:
		case FINAL_MINMAX_INT:
		case FINAL_BOOL:
			return final_int(agg, (const AccumInt *) s, isnull);
		case FINAL_NUMERIC_INT128:
		case FINAL_AVG_INT128:
			return final_int128(agg, (const AccumInt128 *) s, isnull);
		case FINAL_FLOAT8:
		case FINAL_FLOAT4:
		case FINAL_AVG_FLOAT8:
		case FINAL_MINMAX_FLOAT:
			return final_float(agg, (const AccumFloat *) s, isnull);
		case FINAL_VAR_FLOAT8:
			return final_var_float(set->finals[number].final,
								   (const AccumFloatSquares *) s, isnull);
		case FINAL_VAR_INT:
			return final_var_int(agg, (const AccumIntSquares *) s, isnull);
		case FINAL_DATUM:
			return final_own(set, number, (const AccumDatum *) s, isnull);
		case FINAL_COUNT_DISTINCT:
			*isnull = false;
			return Int64GetDatum(count_distinct((const AccumDatum *) s));
		case FINAL_DISTINCT:
			return accum_final_distinct(set, &set->finals[number],
										&set->calls[agg->accums[0]],
										(const AccumDatum *) s,
										CurrentMemoryContext, isnull);
		case FINAL_AVG_NUMERIC:
		case FINAL_AVG_INTERVAL:
		case FINAL_VAR_NUMERIC:
			return final_datum(set, number, state, isnull);
	}
	elog(ERROR, "unknown kind of aggregate: %d", (int) agg->kind);
}

void
weir_accum_final(AccumSet *set, const char *state, Datum *values, bool *nulls,
				 MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	int i;

	for (i = 0; i < set->naggs; i++)
	{
		values[i] = final_one(set, i, state, &nulls[i]);
		/* several expressions may use it: none is to change it in place */
		values[i] = MakeExpandedObjectReadOnly(values[i], nulls[i],
											   set->aggs[i].result_len);
	}
	MemoryContextSwitchTo(old);
}
