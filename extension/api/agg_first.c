/*
 * api/agg_first.c
 *		weir.first(value, order) and weir.last(value, order): the value that
 *		comes first or last by some order, such as the event time.
 *
 * Ordinary aggregates, for continuous views and for queries over tables.  A row
 * without an order does not count.  Among rows of the same order, first takes the
 * least value and last the greatest, and NULL only if there is nothing else; so
 * the result does not depend on the order in which rows come.
 *
 * The state is a bytea, which is changed in place where the caller allows it:
 *
 *	header | order, 8-aligned | value, 8-aligned
 *
 * A value by reference is there as it is in memory, with its full header.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(weir_first_step);
PG_FUNCTION_INFO_V1(weir_last_step);
PG_FUNCTION_INFO_V1(weir_first_combine);
PG_FUNCTION_INFO_V1(weir_last_combine);
PG_FUNCTION_INFO_V1(weir_first_final);

typedef struct PickState
{
	int32 vl_len_;
	Oid value_type;
	Oid order_type;
	uint32 value_len; /* 0: NULL */
	uint32 order_len;
	uint32 unused; /* so that what follows is 8-aligned */
} PickState;

/* One of its two parts. */
typedef struct Part
{
	Datum value;
	uint32 len;
	bool isnull;
} Part;

/* What a call site knows of the types; in fn_extra. */
typedef struct PickTypes
{
	TypeCacheEntry *value;
	TypeCacheEntry *order;
} PickTypes;

static PickTypes *
types_of(FunctionCallInfo fcinfo, Oid value, Oid order)
{
	PickTypes *types = fcinfo->flinfo->fn_extra;

	if (types && types->value->type_id == value && types->order->type_id == order)
		return types;
	if (types == NULL)
		types = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(PickTypes));
	types->value = lookup_type_cache(value, TYPECACHE_CMP_PROC_FINFO);
	types->order = lookup_type_cache(order, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(types->order->cmp_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a comparison function for type %s",
						format_type_be(order)),
				 errdetail(
					 "weir.first and weir.last compare the values of their second argument."),
				 errhint(
					 "Use a type that can be sorted, such as timestamptz or bigint.")));
	return types;
}

/* The types of the arguments of a step. */
static PickTypes *
argument_types(FunctionCallInfo fcinfo)
{
	PickTypes *types = fcinfo->flinfo->fn_extra;

	if (types)
		return types;
	return types_of(fcinfo, getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1)),
					getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 2)));
}

/* An argument, flat. */
static Part
part_of_argument(const TypeCacheEntry *type, NullableDatum arg)
{
	Part p = {.value = arg.value, .isnull = arg.isnull};

	if (p.isnull)
		return p;
	if (type->typlen == -1)
		p.value = PointerGetDatum(PG_DETOAST_DATUM(p.value));
	p.len = type->typbyval ? sizeof(Datum)
						   : (uint32) datumGetSize(p.value, false, type->typlen);
	return p;
}

static inline uint32
order_at(void)
{
	return MAXALIGN(sizeof(PickState));
}

static inline uint32
value_at(uint32 order_len)
{
	return order_at() + MAXALIGN(order_len);
}

static Part
part_at(const TypeCacheEntry *type, const char *at, uint32 len)
{
	Part p = {.len = len, .isnull = len == 0};

	if (p.isnull)
		return p;
	if (type->typbyval)
		memcpy(&p.value, at, sizeof(Datum));
	else
		p.value = PointerGetDatum(at);
	return p;
}

static Part
order_of(const PickTypes *types, const PickState *s)
{
	return part_at(types->order, (const char *) s + order_at(), s->order_len);
}

static Part
value_of(const PickTypes *types, const PickState *s)
{
	return part_at(types->value, (const char *) s + value_at(s->order_len),
				   s->value_len);
}

static void
put_part(const TypeCacheEntry *type, char *at, const Part *p)
{
	if (p->isnull)
		return;
	memcpy(at,
		   type->typbyval ? (const void *) &p->value : DatumGetPointer(p->value),
		   p->len);
}

/* The state of a row; in place of old, if that may be changed and is as large. */
static PickState *
put_row(const PickTypes *types, PickState *old, const Part *value,
		const Part *order)
{
	Size size = value_at(order->len) + value->len;
	PickState *s = old && VARSIZE(old) == size ? old : palloc0(size);

	SET_VARSIZE(s, size);
	s->value_type = types->value->type_id;
	s->order_type = types->order->type_id;
	s->value_len = value->len;
	s->order_len = order->len;
	put_part(types->order, (char *) s + order_at(), order);
	put_part(types->value, (char *) s + value_at(order->len), value);
	return s;
}

static int
compare(TypeCacheEntry *type, Oid collation, const Part *a, const Part *b)
{
	return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, collation,
										   a->value, b->value));
}

/* By bytes: for types without an order, and to tell equal values apart. */
static int
compare_bytes(const TypeCacheEntry *type, const Part *a, const Part *b)
{
	const void *x = type->typbyval ? (const void *) &a->value
								   : DatumGetPointer(a->value);
	const void *y = type->typbyval ? (const void *) &b->value
								   : DatumGetPointer(b->value);
	int order = memcmp(x, y, Min(a->len, b->len));

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Of two values at the same place: negative if a is less, and so on. */
static int
compare_values(PickTypes *types, Oid collation, const Part *a, const Part *b)
{
	int order = 0;

	if (OidIsValid(types->value->cmp_proc_finfo.fn_oid))
		order = compare(types->value, collation, a, b);
	return order != 0 ? order : compare_bytes(types->value, a, b);
}

/* Does the row take the place of the state?  sign: -1 first, 1 last. */
static bool
takes_over(PickTypes *types, Oid collation, int sign, const PickState *s,
		   const Part *value, const Part *order)
{
	Part old_order = order_of(types, s);
	Part old_value;
	int c = compare(types->order, collation, order, &old_order);

	if (c != 0)
		return (c > 0) == (sign > 0);
	old_value = value_of(types, s);
	if (value->isnull || old_value.isnull)
		return !value->isnull;
	c = compare_values(types, collation, value, &old_value);
	return c != 0 && (c > 0) == (sign > 0);
}

/* A state as an argument, 8-aligned. */
static PickState *
state_argument(FunctionCallInfo fcinfo, int n)
{
	bytea *b = PG_GETARG_BYTEA_P(n);

	if ((uintptr_t) b != MAXALIGN((uintptr_t) b))
	{
		bytea *copy = palloc(VARSIZE(b));

		memcpy(copy, b, VARSIZE(b));
		b = copy;
	}
	return (PickState *) b;
}

static Datum
step(FunctionCallInfo fcinfo, int sign)
{
	PickTypes *types = argument_types(fcinfo);
	PickState *s = PG_ARGISNULL(0) ? NULL : state_argument(fcinfo, 0);
	Part order = part_of_argument(types->order, fcinfo->args[2]);
	Part value;

	if (order.isnull)
	{
		if (s == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(s);
	}
	value = part_of_argument(types->value, fcinfo->args[1]);
	if (s == NULL ||
		takes_over(types, PG_GET_COLLATION(), sign, s, &value, &order))
		s = put_row(types, AggCheckCallContext(fcinfo, NULL) ? s : NULL, &value,
					&order);
	PG_RETURN_POINTER(s);
}

Datum
weir_first_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, -1);
}

Datum
weir_last_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, 1);
}

/* Strict: of two states. */
static Datum
combine(FunctionCallInfo fcinfo, int sign)
{
	PickState *a = state_argument(fcinfo, 0);
	PickState *b = state_argument(fcinfo, 1);
	PickTypes *types = types_of(fcinfo, b->value_type, b->order_type);
	Part order = order_of(types, b);
	Part value = value_of(types, b);

	PG_RETURN_POINTER(
		takes_over(types, PG_GET_COLLATION(), sign, a, &value, &order) ? b : a);
}

Datum
weir_first_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, -1);
}

Datum
weir_last_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, 1);
}

/* The value; the other arguments are there for their types. */
Datum
weir_first_final(PG_FUNCTION_ARGS)
{
	PickState *s;
	PickTypes *types;
	Part value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = state_argument(fcinfo, 0);
	types = types_of(fcinfo, s->value_type, s->order_type);
	value = value_of(types, s);
	if (value.isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(
		datumCopy(value.value, types->value->typbyval, types->value->typlen));
}
