/*
 * api/agg_topk.c
 *		weir.topk(value, k): the k most frequent values, with their counts.
 *
 * An ordinary aggregate, for continuous views and for queries over tables.  The
 * result is a jsonb array of {"value": ..., "count": ...}, the most frequent
 * first; among equal counts, the least value.  NULLs do not count.
 *
 * Every value is counted, so the result is exact, as long as there are no more
 * than MOST of them.  When there are, the LEAST most frequent stay, and from
 * each count that of the next one is taken off.  As that much is taken off more
 * than LEAST counts each time, no count is ever too low by more than
 * rows / LEAST, and none too high.  States so reduced can be combined: what was
 * taken off adds up.
 *
 * The state is of type internal; serialised it is a bytea:
 *
 *	header | counts, an int64 each | a set of values, as exec/valueset.h has it
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "exec/valueset.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(weir_topk_step);
PG_FUNCTION_INFO_V1(weir_topk_combine);
PG_FUNCTION_INFO_V1(weir_topk_serialize);
PG_FUNCTION_INFO_V1(weir_topk_deserialize);
PG_FUNCTION_INFO_V1(weir_topk_final);

#define MOST  20000
#define LEAST 10000
#define MAX_K 1000

/* What a call site knows of the type; in fn_extra. */
typedef struct TopkType
{
	Oid type;
	Oid collation;
	TypeCacheEntry *cache;
	KeySpec key;
	KeyCodec *codec;
} TopkType;

typedef struct Topk
{
	MemoryContext cxt;
	const TopkType *type;
	int32 k;
	ValueSet *values;
	int64 *counts; /* by number of the value */
	uint32 capacity;
} Topk;

typedef struct TopkHeader
{
	int32 vl_len_;
	Oid type;
	Oid collation;
	int32 k;
	uint32 n;
	uint32 unused;
} TopkHeader;

/* A value and its count, to be sorted. */
typedef struct Ranked
{
	int64 count;
	Datum value;
	uint32 number;
} Ranked;

static void
set_key(TopkType *t)
{
	KeySpec *key = &t->key;

	if (!OidIsValid(t->cache->hash_proc) || !OidIsValid(t->cache->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a hash function for type %s",
						format_type_be(t->type)),
				 errdetail("weir.topk counts values in a hash table."),
				 errhint(
					 "Cast the argument to a type that can be hashed, such as text.")));
	key->type = t->type;
	key->typlen = t->cache->typlen;
	key->typbyval = t->cache->typbyval;
	key->collation = t->collation;
	key->eq_opr = t->cache->eq_opr;
	key->eq_proc = get_opcode(t->cache->eq_opr);
	key->hash_proc = t->cache->hash_proc;
}

static const TopkType *
type_of(FunctionCallInfo fcinfo, Oid type, Oid collation)
{
	TopkType *t = fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (t && t->type == type && t->collation == collation)
		return t;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	t = palloc0(sizeof(TopkType));
	t->type = type;
	t->collation = collation;
	t->cache = lookup_type_cache(type, TYPECACHE_HASH_PROC | TYPECACHE_EQ_OPR |
										   TYPECACHE_CMP_PROC_FINFO);
	set_key(t);
	t->codec = weir_key_codec_of(&t->key, 1, CurrentMemoryContext);
	fcinfo->flinfo->fn_extra = t;
	MemoryContextSwitchTo(old);
	return t;
}

static Topk *
new_state(const TopkType *type, int32 k, MemoryContext cxt)
{
	Topk *s = MemoryContextAlloc(cxt, sizeof(Topk));

	s->cxt = cxt;
	s->type = type;
	s->k = k;
	s->values = weir_valueset_new(type->codec, cxt);
	s->capacity = 16;
	s->counts = MemoryContextAlloc(cxt, sizeof(int64) * s->capacity);
	return s;
}

/* Add to the count of a value; number is what the set says. */
static void
count(Topk *s, uint32 number, uint32 before, int64 n)
{
	if (number == s->capacity)
	{
		s->capacity *= 2;
		s->counts = repalloc(s->counts, sizeof(int64) * s->capacity);
	}
	if (number == before)
		s->counts[number] = 0;
	if (pg_add_s64_overflow(s->counts[number], n, &s->counts[number]))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("bigint out of range")));
}

static void
count_image(Topk *s, const char *image, uint32 len, int64 n)
{
	uint32 before = weir_valueset_size(s->values);

	count(s, weir_valueset_add_image(s->values, image, len), before, n);
}

static int
by_count(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return (x < y) - (x > y);
}

/* What the count of the first value is that does not stay. */
static int64
threshold(const Topk *s)
{
	uint32 n = weir_valueset_size(s->values);
	int64 *sorted = palloc(sizeof(int64) * n);
	int64 count;

	memcpy(sorted, s->counts, sizeof(int64) * n);
	qsort(sorted, n, sizeof(int64), by_count);
	count = sorted[LEAST];
	pfree(sorted);
	return count;
}

/* Too many values: LEAST of them stay at most. */
static void
reduce(Topk *s)
{
	int64 off = threshold(s);
	Topk old = *s;
	uint32 n = weir_valueset_size(old.values);

	s->values = weir_valueset_new(s->type->codec, s->cxt);
	s->counts = MemoryContextAlloc(s->cxt, sizeof(int64) * s->capacity);
	for (uint32 i = 0; i < n; i++)
	{
		uint32 len;
		const char *image = weir_valueset_image(old.values, i, &len);

		if (old.counts[i] > off)
			count_image(s, image, len, old.counts[i] - off);
	}
	weir_valueset_free(old.values);
	pfree(old.counts);
}

static void
reduce_if_full(Topk *s)
{
	if (weir_valueset_size(s->values) > MOST)
		reduce(s);
}

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext cxt;

	if (!AggCheckCallContext(fcinfo, &cxt))
		elog(ERROR, "weir.topk called outside of an aggregate");
	return cxt;
}

/* The argument k of a step, the same for all rows one hopes. */
static int32
checked_k(FunctionCallInfo fcinfo)
{
	int32 k = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);

	if (k < 1 || k > MAX_K)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of values must be between 1 and %d", MAX_K),
				 errdetail("It is the second argument of weir.topk."),
				 errhint("Give a constant, such as weir.topk(page, 10).")));
	return k;
}

/* The state of a step that has none yet. */
static Topk *
first_state(FunctionCallInfo fcinfo, int32 k)
{
	MemoryContext cxt = aggregate_context(fcinfo);
	Oid type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));

	return new_state(type_of(fcinfo, type, PG_GET_COLLATION()), k, cxt);
}

Datum
weir_topk_step(PG_FUNCTION_ARGS)
{
	Topk *s = PG_ARGISNULL(0) ? NULL : (Topk *) PG_GETARG_POINTER(0);
	Datum value = PG_GETARG_DATUM(1);
	int32 k = checked_k(fcinfo);
	bool isnull = false;
	uint32 before;

	if (s == NULL)
		s = first_state(fcinfo, k);
	s->k = Max(s->k, k);
	if (!PG_ARGISNULL(1))
	{
		before = weir_valueset_size(s->values);
		count(s, weir_valueset_add(s->values, &value, &isnull), before, 1);
		reduce_if_full(s);
	}
	PG_RETURN_POINTER(s);
}

static void
add_all(Topk *s, const Topk *other)
{
	uint32 n = weir_valueset_size(other->values);

	for (uint32 i = 0; i < n; i++)
	{
		uint32 len;
		const char *image = weir_valueset_image(other->values, i, &len);

		count_image(s, image, len, other->counts[i]);
	}
}

Datum
weir_topk_combine(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = aggregate_context(fcinfo);
	Topk *a = PG_ARGISNULL(0) ? NULL : (Topk *) PG_GETARG_POINTER(0);
	const Topk *b = PG_ARGISNULL(1) ? NULL : (Topk *) PG_GETARG_POINTER(1);

	if (b && a == NULL)
		a = new_state(b->type, b->k, cxt);
	if (a == NULL)
		PG_RETURN_NULL();
	if (b)
	{
		a->k = Max(a->k, b->k);
		add_all(a, b);
	}
	reduce_if_full(a);
	PG_RETURN_POINTER(a);
}

Datum
weir_topk_serialize(PG_FUNCTION_ARGS)
{
	Topk *s = (Topk *) PG_GETARG_POINTER(0);
	struct varlena *set = weir_valueset_flat(s->values);
	uint32 n = weir_valueset_size(s->values);
	Size size = sizeof(TopkHeader) + sizeof(int64) * n + VARSIZE(set);
	TopkHeader *h = palloc0(size);

	SET_VARSIZE(h, size);
	h->type = s->type->type;
	h->collation = s->type->collation;
	h->k = s->k;
	h->n = n;
	memcpy(h + 1, s->counts, sizeof(int64) * n);
	memcpy((char *) (h + 1) + sizeof(int64) * n, set, VARSIZE(set));
	PG_RETURN_POINTER(h);
}

Datum
weir_topk_deserialize(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = aggregate_context(fcinfo);
	const char *bytes = (const char *) PG_GETARG_BYTEA_P(0);
	struct varlena *set;
	TopkHeader h;
	Topk *s;
	Size size;

	memcpy(&h, bytes, sizeof(h));
	s = new_state(type_of(fcinfo, h.type, h.collation), h.k, cxt);
	/* a copy, for the alignment of its header */
	size = VARSIZE(bytes) - sizeof(h) - sizeof(int64) * h.n;
	set = palloc(size);
	memcpy(set, bytes + sizeof(h) + sizeof(int64) * h.n, size);
	weir_valueset_unite(s->values, set);
	pfree(set);
	s->capacity = Max(s->capacity, h.n);
	s->counts = repalloc(s->counts, sizeof(int64) * s->capacity);
	memcpy(s->counts, bytes + sizeof(h), sizeof(int64) * h.n);
	PG_RETURN_POINTER(s);
}

/* The most frequent first; among equal counts by the type's order, or bytes. */
static int
rank(const void *a, const void *b, void *arg)
{
	const Ranked *x = a;
	const Ranked *y = b;
	const Topk *s = arg;
	TypeCacheEntry *type = s->type->cache;
	const char *p;
	const char *q;
	uint32 plen;
	uint32 qlen;
	int order;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (OidIsValid(type->cmp_proc_finfo.fn_oid))
		return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo,
											   s->type->collation, x->value,
											   y->value));
	p = weir_valueset_image(s->values, x->number, &plen);
	q = weir_valueset_image(s->values, y->number, &qlen);
	order = memcmp(p, q, Min(plen, qlen));
	return order != 0 ? order : (plen > qlen) - (plen < qlen);
}

/* All values, ranked. */
static Ranked *
ranking(const Topk *s)
{
	uint32 n = weir_valueset_size(s->values);
	Ranked *ranked = palloc(sizeof(Ranked) * Max(n, 1));

	for (uint32 i = 0; i < n; i++)
	{
		uint32 len;
		bool isnull;

		ranked[i].count = s->counts[i];
		ranked[i].number = i;
		weir_key_values(s->type->codec, weir_valueset_image(s->values, i, &len),
						&ranked[i].value, &isnull);
	}
	qsort_arg(ranked, n, sizeof(Ranked), rank, unconstify(Topk *, s));
	return ranked;
}

/* to_jsonb, which asks for the type of its argument. */
static void
prepare_to_jsonb(FmgrInfo *fn, Oid type)
{
	CaseTestExpr *arg = makeNode(CaseTestExpr);

	arg->typeId = type;
	arg->typeMod = -1;
	fmgr_info(F_TO_JSONB, fn);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(arg), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   fn);
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static void
push_ranked(JsonbParseState **state, FmgrInfo *to_jsonb, const Ranked *r)
{
	Jsonb *value = DatumGetJsonbP(FunctionCall1(to_jsonb, r->value));
	JsonbValue v;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "value");
	if (JB_ROOT_IS_SCALAR(value))
		(void) JsonbExtractScalar(&value->root, &v);
	else
		JsonbToJsonbValue(value, &v);
	pushJsonbValue(state, WJB_VALUE, &v);
	push_key(state, "count");
	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(r->count);
	pushJsonbValue(state, WJB_VALUE, &v);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Datum
weir_topk_final(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	const Topk *s;
	const Ranked *ranked;
	FmgrInfo to_jsonb;
	uint32 n;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (const Topk *) PG_GETARG_POINTER(0);
	n = Min(weir_valueset_size(s->values), (uint32) s->k);
	ranked = ranking(s);
	prepare_to_jsonb(&to_jsonb, s->type->type);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < n; i++)
		push_ranked(&state, &to_jsonb, &ranked[i]);
	PG_RETURN_JSONB_P(
		JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}
