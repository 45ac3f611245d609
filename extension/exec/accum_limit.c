/*
 * exec/accum_limit.c
 *		Values that sums through an aggregate's own functions refuse.
 *
 * Called in each step, outside every lock; raises.
 *
 * No message may be able to fail a checkpoint, which combines states and
 * finishes them.  So sums refuse, in the step where an error is a dead letter,
 * what could overflow later:
 *
 * numeric: a value of 1e120000 or more.  2^63 of them stay below 1e120020, and
 *		as the squares of a variance are bounded likewise, so does N * sum(x^2);
 *		numeric ends at 1e131072.
 * float4, float8: as accum_apply.c does; 1e140 where squares or products are
 *		summed.
 * interval, money: a sum of more than 1/64 of the range, so that 64 of them can
 *		be combined; where windows have many panes, a share for 16 states of each.
 *		Of a tumbling window an interval sum ends at 4,500 years of hours or
 *		90,000 years of days.
 */
#include "exec/accum_internal.h"

#include <math.h>

#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define LEAST_SHARE    64
#define STATES_OF_PANE 16 /* shards, restored ones, late events' */

/* weir_accum_set_panes: what is added to here is combined from so many panes. */
void
weir_accum_set_panes(AccumSet *set, int64 panes)
{
	set->share = Max(LEAST_SHARE, Min(panes, PG_INT32_MAX) * STATES_OF_PANE);
}

/* accum_limit_of: what bounds the sums that a transition function makes. */
AccumLimit
accum_limit_of(Oid transfn)
{
	switch (transfn)
	{
		case F_NUMERIC_ADD:
		case F_NUMERIC_ACCUM:
		case F_NUMERIC_AVG_ACCUM:
			return LIMIT_NUMERIC;
		case F_FLOAT4PL:
			return LIMIT_FLOAT4;
		case F_FLOAT8PL:
			return LIMIT_FLOAT8;
		case F_FLOAT8_ACCUM:
		case F_FLOAT8_REGR_ACCUM:
			return LIMIT_SQUARES;
		case F_INTERVAL_PL:
			return LIMIT_INTERVAL;
		case F_CASH_PL:
			return LIMIT_MONEY;
		default:
			return LIMIT_NONE;
	}
}

static void
raise_overflow(const char *message, int sqlstate)
{
	ereport(ERROR,
			(errcode(sqlstate), errmsg("%s", message),
			 errdetail(
				 "A sum in a continuous view must stay well within the range of its type.")));
}

/* check_numeric: raise for a value that a sum cannot take. */
static void
check_numeric(const AccumSet *set, Datum arg)
{
	Numeric x = DatumGetNumeric(arg);

	if (numeric_is_nan(x) || numeric_is_inf(x))
		return;
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x),
										  set->numeric_max)) >= 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x),
										  set->numeric_min)) <= 0)
		raise_overflow("value overflows numeric format",
					   ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

static void
check_float(double x, double max)
{
	if (fabs(x) > max && !isinf(x))
		raise_overflow("value out of range: overflow",
					   ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

/* accum_check_argument: raise for a value that cannot be taken; it is not NULL. */
void
accum_check_argument(const AccumSet *set, AccumLimit limit, Datum arg)
{
	switch (limit)
	{
		case LIMIT_NUMERIC:
			check_numeric(set, arg);
			break;
		case LIMIT_FLOAT4:
			check_float(DatumGetFloat4(arg), BOUND_FLOAT4);
			break;
		case LIMIT_FLOAT8:
			check_float(DatumGetFloat8(arg), BOUND_FLOAT8);
			break;
		case LIMIT_SQUARES:
			check_float(DatumGetFloat8(arg), BOUND_SQUARE);
			break;
		default:
			break;
	}
}

/* within: is x at most a share of the range that ends at max? */
static inline bool
within(int64 x, int64 max, int64 share)
{
	return x <= max / share && x >= -(max / share);
}

/* accum_check_sum: raise for a sum that could not be combined with others. */
void
accum_check_sum(const AccumSet *set, AccumLimit limit, Datum value)
{
	int64 share = Max(set->share, LEAST_SHARE);
	const Interval *interval;

	if (limit == LIMIT_INTERVAL)
	{
		interval = DatumGetIntervalP(value);
		if (!within(interval->time, PG_INT64_MAX, share) ||
			!within(interval->day, PG_INT32_MAX, share) ||
			!within(interval->month, PG_INT32_MAX, share))
			raise_overflow("interval out of range",
						   ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	}
	else if (limit == LIMIT_MONEY &&
			 !within(DatumGetInt64(value), PG_INT64_MAX, share))
		raise_overflow("money out of range", ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}
