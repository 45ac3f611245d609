/*
 * api/fdw_ranges.c
 *		The pushed quals of a scan, evaluated: which partitions and offsets can
 *		hold matching messages.
 *
 * Runs in a backend's executor when a scan starts and when it starts again with
 * other parameters.  Purely arithmetic; the broker is asked by fdw_scan.c.
 * Values are evaluated in the per-tuple context, sets of partitions are kept in
 * the caller's.
 */
#include "api/fdw.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

typedef struct IntSet
{
	int n;
	int64 *values;
} IntSet;

/* weir_fdw_init_quals: make the pushed clauses' values ready to evaluate. */
List *
weir_fdw_init_quals(List *clauses, List *kinds, PlanState *ps)
{
	List *quals = NIL;
	ListCell *lc;
	int i = 0;

	foreach(lc, clauses)
	{
		Expr *value = weir_fdw_value_side(lfirst(lc));
		PushedQual *q = palloc(sizeof(PushedQual));

		q->source = list_nth_int(kinds, i++);
		q->strategy = list_nth_int(kinds, i++);
		q->type = exprType((Node *) value);
		q->value = ExecInitExpr(value, ps);
		quals = lappend(quals, q);
	}
	return quals;
}

static int64
integer_value(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* Narrow [*lo, *hi] by "x strategy v"; false: nothing is left. */
static bool
narrow(int64 *lo, int64 *hi, int strategy, int64 v)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			if (v == PG_INT64_MIN)
				return false;
			*hi = Min(*hi, v - 1);
			break;
		case BTLessEqualStrategyNumber:
			*hi = Min(*hi, v);
			break;
		case BTEqualStrategyNumber:
			*lo = Max(*lo, v);
			*hi = Min(*hi, v);
			break;
		case BTGreaterEqualStrategyNumber:
			*lo = Max(*lo, v);
			break;
		case BTGreaterStrategyNumber:
			if (v == PG_INT64_MAX)
				return false;
			*lo = Max(*lo, v + 1);
			break;
	}
	return *lo <= *hi;
}

/* Any of the array's integers. */
static IntSet *
make_set(ArrayType *array)
{
	Oid type = ARR_ELEMTYPE(array);
	IntSet *set = palloc(sizeof(IntSet));
	Datum *datums;
	bool *nulls;
	int16 len;
	bool byval;
	char align;
	int n;
	int i;

	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(array, type, len, byval, align, &datums, &nulls, &n);
	set->values = palloc(Max(1, n) * sizeof(int64));
	set->n = 0;
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			set->values[set->n++] = integer_value(datums[i], type);
	}
	return set;
}

/* A time as microseconds since 1970; false: after all times. */
static bool
time_value(Datum value, Oid type, int64 *us)
{
	TimestampTz t;

	if (type == DATEOID)
		t = DatumGetTimestampTz(DirectFunctionCall1(date_timestamptz, value));
	else if (type == TIMESTAMPOID)
		t = DatumGetTimestampTz(
			DirectFunctionCall1(timestamp_timestamptz, value));
	else
		t = DatumGetTimestampTz(value);
	if (TIMESTAMP_IS_NOBEGIN(t))
	{
		*us = PG_INT64_MIN;
		return true;
	}
	return !TIMESTAMP_IS_NOEND(t) &&
		   !pg_add_s64_overflow(t, WEIR_EPOCH_SHIFT, us);
}

/* Narrow by one qual whose value is not NULL. */
static void
apply_qual(StreamBounds *b, const PushedQual *q, Datum value)
{
	bool left = true;
	int64 us;

	if (q->strategy == PUSHED_ANY)
		b->part_sets = lappend(b->part_sets,
							   make_set(DatumGetArrayTypeP(value)));
	else if (q->source == STREAM_SRC_PARTITION)
		left = narrow(&b->part_lo, &b->part_hi, q->strategy,
					  integer_value(value, q->type));
	else if (q->source == STREAM_SRC_OFFSET)
		left = narrow(&b->off_lo, &b->off_hi, q->strategy,
					  integer_value(value, q->type));
	else
	{
		left = time_value(value, q->type, &us);
		if (left)
			b->time_lo = Max(b->time_lo, us);
	}
	if (!left)
		b->empty = true;
}

/* weir_fdw_eval_quals: see fdw.h. */
void
weir_fdw_eval_quals(StreamBounds *b, List *quals, ExprContext *econtext)
{
	ListCell *lc;

	memset(b, 0, sizeof(*b));
	b->part_hi = PG_INT32_MAX;
	b->off_hi = PG_INT64_MAX - 1;
	b->time_lo = PG_INT64_MIN;
	foreach(lc, quals)
	{
		const PushedQual *q = lfirst(lc);
		bool isnull;
		Datum value;

		value = ExecEvalExprSwitchContext(q->value, econtext, &isnull);
		/* The operators are strict: nothing compares with NULL. */
		if (isnull)
			b->empty = true;
		else
			apply_qual(b, q, value);
	}
}

/* weir_fdw_wants_partition: can the partition hold a matching message? */
bool
weir_fdw_wants_partition(const StreamBounds *b, int32 partition)
{
	ListCell *lc;

	if (b->empty || partition < b->part_lo || partition > b->part_hi)
		return false;
	foreach(lc, b->part_sets)
	{
		const IntSet *set = lfirst(lc);
		int i;

		for (i = 0; i < set->n && set->values[i] != partition; i++)
			;
		if (i == set->n)
			return false;
	}
	return true;
}
