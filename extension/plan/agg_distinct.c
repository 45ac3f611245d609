/*
 * plan/agg_distinct.c
 *		Aggregates with DISTINCT: the set of their arguments' values is kept.
 *
 * Sets can be united, whatever the aggregate.  So any one will do: it is run
 * over the set when a row is made, in the order in which PostgreSQL would sort
 * the values, and its result is PostgreSQL's.  count, sum, avg ... over the same
 * argument and filter share one set.
 *
 * Runs wherever a plan is made.
 */
#include "plan/plan_internal.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* Sums over floats and numerics, whose values are bounded (exec/accum_limit.c). */
static const Oid bounded[] = {F_NUMERIC_AVG_ACCUM, F_NUMERIC_ACCUM,
							  F_FLOAT8PL,          F_FLOAT4PL,
							  F_FLOAT8_ACCUM,      F_FLOAT8_REGR_ACCUM};

/* It makes none if a sort operator can stand for the aggregate, as for min. */
bool
plan_ignores_distinct(const Aggref *aggref)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(aggref->aggfnoid));
	Oid sort_operator;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	sort_operator = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggsortop;
	ReleaseSysCache(tuple);
	return OidIsValid(sort_operator);
}

/* refuse: raise for a DISTINCT that cannot be kept. */
static void
refuse(const Aggref *aggref, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "DISTINCT is not supported in this aggregate of a continuous view"),
			 errdetail("The query calls aggregate %s. %s",
					   format_procedure(aggref->aggfnoid), detail),
			 errhint("%s", hint)));
}

/*
 * refuse_failing: raise where a message could make the aggregate raise, as its
 * function is called with the values only when a row is made.
 */
static void
refuse_failing(const Aggref *aggref)
{
	const char *name;

	if (aggref->aggfnoid >= FirstGenbkiObjectId)
		return;
	name = get_func_name(aggref->aggfnoid);
	if (aggref->aggfnoid == F_ARRAY_AGG_ANYARRAY)
		refuse(aggref,
			   "Arrays of different dimensions would fail when a window closes.",
			   "Cast the argument to text.");
	if (strncmp(name, "json_object_agg", strlen("json_object_agg")) == 0 ||
		strncmp(name, "jsonb_object_agg", strlen("jsonb_object_agg")) == 0)
		refuse(aggref, "A key that is NULL would fail when a window closes.",
			   "Use jsonb_agg(DISTINCT jsonb_build_array(key, value)).");
}

/*
 * bounds_values: the transition function by which values that could make the
 * final result overflow are refused as they come, or InvalidOid.
 */
static Oid
bounds_values(const Aggref *aggref, Oid transfn)
{
	/* No bound leaves enough of these types' ranges. */
	if (aggref->aggfnoid < FirstGenbkiObjectId &&
		(aggref->aggtype == INTERVALOID || aggref->aggtype == MONEYOID))
		refuse(aggref, "The sum could go out of range when a window closes.",
			   "Use count(DISTINCT ...), or convert the argument to numeric.");
	for (int i = 0; i < lengthof(bounded); i++)
		if (bounded[i] == transfn)
			return transfn;
	return InvalidOid;
}

/* The clause of aggdistinct that is over an argument. */
static const SortGroupClause *
clause_of(const Aggref *aggref, const TargetEntry *arg)
{
	ListCell *lc;

	foreach(lc, aggref->aggdistinct)
	{
		const SortGroupClause *c = lfirst_node(SortGroupClause, lc);

		if (c->tleSortGroupRef == arg->ressortgroupref)
			return c;
	}
	elog(ERROR, "argument of a DISTINCT aggregate has no sort clause");
}

/* set_keys: the arguments as keys of the set. */
static void
set_keys(AccumSpec *spec, const Aggref *aggref)
{
	ListCell *lc;

	spec->keys = palloc0(sizeof(KeySpec) * list_length(aggref->args));
	spec->portable = true;
	foreach(lc, aggref->args)
	{
		const TargetEntry *arg = lfirst_node(TargetEntry, lc);
		const SortGroupClause *c = clause_of(aggref, arg);
		KeySpec *key = &spec->keys[foreach_current_index(lc)];

		if (!c->hashable)
			refuse(aggref,
				   psprintf("Type %s has no hash function.",
							format_type_be(exprType((Node *) arg->expr))),
				   "Cast the argument to a type that can be hashed, such as text or numeric.");
		plan_key(key, arg->expr, c->eqop, c->hashable);
		spec->portable = spec->portable && key->fixed_oid;
	}
}

/* number_of: which argument a sort clause is over, from 1. */
static Index
number_of(const Aggref *aggref, const SortGroupClause *clause)
{
	ListCell *lc;

	foreach(lc, aggref->args)
	{
		if (lfirst_node(TargetEntry, lc)->ressortgroupref ==
			clause->tleSortGroupRef)
			return foreach_current_index(lc) + 1;
	}
	elog(ERROR, "sort clause of a DISTINCT aggregate has no argument");
}

/* order_of: the sort clauses, by the arguments' numbers. */
static List *
order_of(const Aggref *aggref)
{
	List *order = NIL;
	ListCell *lc;

	foreach(lc, aggref->aggdistinct)
	{
		SortGroupClause *c = copyObject(lfirst_node(SortGroupClause, lc));

		c->tleSortGroupRef = number_of(aggref, c);
		order = lappend(order, c);
	}
	return order;
}

void
plan_distinct_aggregate(ViewPlan *plan, AggSpec *agg, const Aggref *aggref,
						List *args, Expr *filter)
{
	bool counts = aggref->aggfnoid == F_COUNT_ANY;
	AccumSpec *over = palloc(sizeof(AccumSpec));
	AccumSpec set;

	plan_init_accum(over, ACCUM_DATUM, args, NULL);
	plan_set_catalog(plan, agg, over, aggref, false);

	plan_init_accum(&set, ACCUM_DISTINCT, args, filter);
	set.trans_len = -1;
	set.trans_strict = over->trans_strict || plan_is_native(aggref->aggfnoid);
	refuse_failing(aggref);
	set.transfn = bounds_values(aggref, over->transfn);
	set_keys(&set, aggref);
	agg->kind = counts ? FINAL_COUNT_DISTINCT : FINAL_DISTINCT;
	agg->naccums = 1;
	agg->accums[0] = plan_add_accum(plan, &set);
	agg->over = over;
	agg->order = order_of(aggref);
}
