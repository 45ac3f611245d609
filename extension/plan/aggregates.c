/*
 * plan/aggregates.c
 *		Aggregates as final functions over accumulators.
 *
 * A table has the built-in aggregates that Weir computes itself.  All others go
 * through their own functions (agg_catalog.c); those with DISTINCT are run over
 * a set (agg_distinct.c).
 *
 * Where PostgreSQL's transition value is internal, sums of numeric and interval
 * are kept as such values instead, added by numeric_add and interval_pl, and
 * the final functions are ours, of the same arithmetic.
 *
 * The identity of an accumulator is its kind, argument and filter, compared
 * after simplification.
 */
#include "plan/plan_internal.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

typedef enum AggShape
{
	SHAPE_ONE, /* one accumulator of rule->kind */
	SHAPE_SUM_NUMERIC,
	SHAPE_AVG_NUMERIC,
	SHAPE_VAR_NUMERIC,
	SHAPE_SUM_INTERVAL,
	SHAPE_AVG_INTERVAL
} AggShape;

typedef struct AggRule
{
	Oid aggfn;
	AggShape shape;
	AccumKind kind; /* SHAPE_ONE only */
	FinalKind final;
	bool sample;
	bool sqrt;
} AggRule;

#define ONE(fn, kind, final)                     \
	{                                            \
		fn, SHAPE_ONE, kind, final, false, false \
	}
#define SPREAD(fn, shape, kind, final, sample, sqrt) \
	{                                                \
		fn, shape, kind, final, sample, sqrt         \
	}
/* The six of them, over one type. */
#define SPREADS(type, shape, kind, final)                             \
	SPREAD(F_VAR_POP_##type, shape, kind, final, false, false),       \
		SPREAD(F_VAR_SAMP_##type, shape, kind, final, true, false),   \
		SPREAD(F_VARIANCE_##type, shape, kind, final, true, false),   \
		SPREAD(F_STDDEV_POP_##type, shape, kind, final, false, true), \
		SPREAD(F_STDDEV_SAMP_##type, shape, kind, final, true, true), \
		SPREAD(F_STDDEV_##type, shape, kind, final, true, true)
#define EXTREMES(type, suffix)                                    \
	ONE(F_MIN_##type, ACCUM_MIN_##suffix, FINAL_MINMAX_##suffix), \
		ONE(F_MAX_##type, ACCUM_MAX_##suffix, FINAL_MINMAX_##suffix)

#define FINAL_MINMAX_FLOAT8 FINAL_MINMAX_FLOAT

static const AggRule rules[] = {
	ONE(F_COUNT_, ACCUM_COUNT, FINAL_COUNT),
	ONE(F_COUNT_ANY, ACCUM_COUNT, FINAL_COUNT),
	ONE(F_SUM_INT2, ACCUM_SUM_INT, FINAL_INT8),
	ONE(F_SUM_INT4, ACCUM_SUM_INT, FINAL_INT8),
	ONE(F_SUM_INT8, ACCUM_SUM_INT128, FINAL_NUMERIC_INT128),
	ONE(F_SUM_FLOAT4, ACCUM_SUM_FLOAT4, FINAL_FLOAT4),
	ONE(F_SUM_FLOAT8, ACCUM_SUM_FLOAT8, FINAL_FLOAT8),
	ONE(F_AVG_INT2, ACCUM_SUM_INT, FINAL_AVG_INT),
	ONE(F_AVG_INT4, ACCUM_SUM_INT, FINAL_AVG_INT),
	ONE(F_AVG_INT8, ACCUM_SUM_INT128, FINAL_AVG_INT128),
	ONE(F_AVG_FLOAT4, ACCUM_SUM_FLOAT8, FINAL_AVG_FLOAT8),
	ONE(F_AVG_FLOAT8, ACCUM_SUM_FLOAT8, FINAL_AVG_FLOAT8),
	EXTREMES(INT2, INT),
	EXTREMES(INT4, INT),
	EXTREMES(INT8, INT),
	EXTREMES(DATE, INT),
	EXTREMES(TIME, INT),
	EXTREMES(TIMESTAMP, INT),
	EXTREMES(TIMESTAMPTZ, INT),
	EXTREMES(FLOAT4, FLOAT8),
	EXTREMES(FLOAT8, FLOAT8),
	ONE(F_BOOL_AND, ACCUM_BOOL_AND, FINAL_BOOL),
	ONE(F_EVERY, ACCUM_BOOL_AND, FINAL_BOOL),
	ONE(F_BOOL_OR, ACCUM_BOOL_OR, FINAL_BOOL),
	SPREADS(INT2, SHAPE_ONE, ACCUM_SUMSQ_INT128, FINAL_VAR_INT),
	SPREADS(INT4, SHAPE_ONE, ACCUM_SUMSQ_INT128, FINAL_VAR_INT),
	SPREADS(INT8, SHAPE_VAR_NUMERIC, ACCUM_DATUM, FINAL_VAR_NUMERIC),
	SPREADS(FLOAT4, SHAPE_ONE, ACCUM_VAR_FLOAT8, FINAL_VAR_FLOAT8),
	SPREADS(FLOAT8, SHAPE_ONE, ACCUM_VAR_FLOAT8, FINAL_VAR_FLOAT8),
	SPREADS(NUMERIC, SHAPE_VAR_NUMERIC, ACCUM_DATUM, FINAL_VAR_NUMERIC),
	SPREAD(F_SUM_NUMERIC, SHAPE_SUM_NUMERIC, ACCUM_DATUM, FINAL_DATUM, false,
		   false),
	SPREAD(F_AVG_NUMERIC, SHAPE_AVG_NUMERIC, ACCUM_DATUM, FINAL_AVG_NUMERIC,
		   false, false),
	SPREAD(F_SUM_INTERVAL, SHAPE_SUM_INTERVAL, ACCUM_DATUM, FINAL_DATUM, false,
		   false),
	SPREAD(F_AVG_INTERVAL, SHAPE_AVG_INTERVAL, ACCUM_DATUM, FINAL_AVG_INTERVAL,
		   false, false),
};

/* find_rule: how Weir computes an aggregate itself, or NULL. */
static const AggRule *
find_rule(Oid aggfn)
{
	int i;

	for (i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].aggfn == aggfn)
			return &rules[i];
	}
	return NULL;
}

/* refuse_aggregate: raise for a feature of aggregates that is not there. */
static void
refuse_aggregate(const Aggref *aggref, const char *what, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s is not supported in a continuous view", what),
					errdetail("The query calls aggregate %s.",
							  format_procedure(aggref->aggfnoid)),
					errhint("%s", hint)));
}

bool
plan_is_native(Oid aggfn)
{
	return find_rule(aggfn) != NULL;
}

/* check_aggregate: raise for what no aggregate of a view can have. */
static void
check_aggregate(const Aggref *aggref)
{
	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		refuse_aggregate(aggref, "WITHIN GROUP",
						 plan_aggregate_hint(aggref->aggfnoid));
	if (aggref->aggorder != NIL && aggref->aggdistinct == NIL)
		refuse_aggregate(aggref, "ORDER BY in an aggregate",
						 "Leave it out, add DISTINCT, or use weir.first, weir.last, min or max.");
}

/* same_arguments: are all expressions of two accumulators equal? */
static bool
same_arguments(const AccumSpec *a, const AccumSpec *b)
{
	if (a->nmore != b->nmore || !equal(a->arg, b->arg) ||
		!equal(a->filter, b->filter))
		return false;
	for (int i = 0; i < a->nmore; i++)
		if (!equal(a->more[i].expr, b->more[i].expr))
			return false;
	return true;
}

/* same_initial: do two accumulators begin with the same value, or with none? */
static bool
same_initial(const AccumSpec *a, const AccumSpec *b)
{
	if (!a->has_init || !b->has_init)
		return a->has_init == b->has_init;
	return datumIsEqual(a->init, b->init, a->trans_byval, a->trans_len);
}

/* same_keys: are two sets' values told apart in the same way? */
static bool
same_keys(const AccumSpec *a, const AccumSpec *b)
{
	for (int i = 0; a->kind == ACCUM_DISTINCT && i <= a->nmore; i++)
		if (a->keys[i].eq_opr != b->keys[i].eq_opr ||
			a->keys[i].collation != b->keys[i].collation)
			return false;
	return true;
}

int
plan_add_accum(ViewPlan *plan, const AccumSpec *spec)
{
	int i;

	for (i = 0; i < plan->naccums; i++)
	{
		const AccumSpec *a = &plan->accums[i];

		if (a->kind == spec->kind && a->transfn == spec->transfn &&
			a->combinefn == spec->combinefn &&
			a->trans_type == spec->trans_type &&
			a->trans_strict == spec->trans_strict &&
			a->collation == spec->collation && same_arguments(a, spec) &&
			same_initial(a, spec) && same_keys(a, spec))
			return i;
	}
	plan->accums = plan->accums == NULL
					   ? palloc(sizeof(AccumSpec))
					   : repalloc(plan->accums,
								  (plan->naccums + 1) * sizeof(AccumSpec));
	plan->accums[plan->naccums] = *spec;
	return plan->naccums++;
}

/* set_argument: expr as an argument. */
static void
set_argument(AccumArg *arg, Expr *expr)
{
	arg->expr = expr;
	arg->attno = plan_plain_column(expr);
	arg->type = getBaseType(exprType((Node *) expr));
}

void
plan_init_accum(AccumSpec *spec, AccumKind kind, List *args, Expr *filter)
{
	Expr *arg = args == NIL ? NULL : linitial(args);
	AccumArg first;

	memset(spec, 0, sizeof(*spec));
	spec->kind = kind;
	spec->filter = filter;
	/* count('x') counts rows, like count(*) */
	if (kind == ACCUM_COUNT && arg != NULL && IsA(arg, Const) &&
		!((Const *) arg)->constisnull)
		arg = NULL;
	if (arg == NULL)
		return;
	set_argument(&first, arg);
	spec->arg = arg;
	spec->arg_attno = first.attno;
	spec->arg_type = first.type;
	spec->nmore = list_length(args) - 1;
	spec->more = palloc(sizeof(AccumArg) * (spec->nmore + 1));
	for (int i = 0; i < spec->nmore; i++)
		set_argument(&spec->more[i], list_nth(args, i + 1));
}

static void
init_accum(AccumSpec *spec, AccumKind kind, Expr *arg, Expr *filter)
{
	plan_init_accum(spec, kind, arg == NULL ? NIL : list_make1(arg), filter);
}

/* add_simple: an accumulator of a fixed kind. */
static int
add_simple(ViewPlan *plan, AccumKind kind, Expr *arg, Expr *filter)
{
	AccumSpec spec;

	init_accum(&spec, kind, arg, filter);
	return plan_add_accum(plan, &spec);
}

/* set_transition: what an ACCUM_DATUM calls, and on what type. */
static void
set_transition(AccumSpec *spec, Oid transfn, Oid combinefn, Oid trans_type)
{
	spec->transfn = transfn;
	spec->combinefn = combinefn;
	spec->trans_type = trans_type;
	get_typlenbyval(trans_type, &spec->trans_len, &spec->trans_byval);
	spec->trans_strict = func_strict(transfn);
	spec->combine_strict = func_strict(combinefn);
	spec->portable = plan_type_is_fixed(trans_type);
}

/* add_sum: a sum of numerics or intervals, by a function of two arguments. */
static int
add_sum(ViewPlan *plan, Oid addfn, Oid type, Expr *arg, Expr *filter)
{
	AccumSpec spec;

	init_accum(&spec, ACCUM_DATUM, arg, filter);
	set_transition(&spec, addfn, addfn, type);
	return plan_add_accum(plan, &spec);
}

static Expr *
call_numeric(Oid funcid, List *args)
{
	return (Expr *) makeFuncExpr(funcid, NUMERICOID, args, InvalidOid,
								 InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * add_variance: sum, sum of squares and count.  The square is taken in the
 * argument: x is evaluated twice, which is harmless as nothing is volatile.
 */
static void
add_variance(ViewPlan *plan, AggSpec *agg, Expr *arg, Expr *filter)
{
	Expr *x = arg;
	Expr *square;

	if (getBaseType(exprType((Node *) arg)) == INT8OID)
		x = call_numeric(F_NUMERIC_INT8, list_make1(arg));
	square = call_numeric(F_NUMERIC_MUL, list_make2(x, copyObject(x)));
	agg->naccums = 3;
	agg->accums[0] = add_sum(plan, F_NUMERIC_ADD, NUMERICOID, x, filter);
	agg->accums[1] = add_sum(plan, F_NUMERIC_ADD, NUMERICOID, square, filter);
	agg->accums[2] = add_simple(plan, ACCUM_COUNT, arg, filter);
}

/* apply_rule: the accumulators of an aggregate that Weir computes itself. */
static void
apply_rule(ViewPlan *plan, AggSpec *agg, const AggRule *rule, Expr *arg,
		   Expr *filter)
{
	agg->kind = rule->final;
	agg->sample = rule->sample;
	agg->sqrt = rule->sqrt;
	agg->naccums = 1;
	switch (rule->shape)
	{
		case SHAPE_ONE:
			agg->accums[0] = add_simple(plan, rule->kind, arg, filter);
			break;
		case SHAPE_AVG_NUMERIC:
			agg->accums[agg->naccums++] = add_simple(plan, ACCUM_COUNT, arg,
													 filter);
			/* FALLTHROUGH */
		case SHAPE_SUM_NUMERIC:
			agg->accums[0] = add_sum(plan, F_NUMERIC_ADD, NUMERICOID, arg,
									 filter);
			break;
		case SHAPE_AVG_INTERVAL:
			agg->accums[agg->naccums++] = add_simple(plan, ACCUM_COUNT, arg,
													 filter);
			/* FALLTHROUGH */
		case SHAPE_SUM_INTERVAL:
			agg->accums[0] = add_sum(plan, F_INTERVAL_PL, INTERVALOID, arg,
									 filter);
			break;
		case SHAPE_VAR_NUMERIC:
			add_variance(plan, agg, arg, filter);
			break;
	}
}

/* own_finalfn: PostgreSQL's final function of an aggregate. */
static Oid
own_finalfn(Oid aggfn)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfn));
	Oid finalfn;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggfn);
	finalfn = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn;
	ReleaseSysCache(tuple);
	return finalfn;
}

/* stream_args: the arguments, simplified. */
static List *
stream_args(PlanContext *cxt, const Aggref *aggref)
{
	List *args = NIL;
	ListCell *lc;

	foreach(lc, aggref->args)
		args = lappend(args,
					   plan_stream_expr(cxt, lfirst_node(TargetEntry, lc)->expr));
	return args;
}

/* new_aggregate: room for one in the plan, with its result. */
static AggSpec *
new_aggregate(ViewPlan *plan, const Aggref *aggref)
{
	AggSpec *agg;

	plan->aggs = plan->aggs == NULL
					 ? palloc(sizeof(AggSpec))
					 : repalloc(plan->aggs, (plan->naggs + 1) * sizeof(AggSpec));
	agg = &plan->aggs[plan->naggs++];
	memset(agg, 0, sizeof(*agg));
	agg->result_type = aggref->aggtype;
	get_typlenbyval(agg->result_type, &agg->result_len, &agg->result_byval);
	agg->collation = aggref->inputcollid;
	return agg;
}

/* add_aggregate: append one to the plan. */
static void
add_aggregate(PlanContext *cxt, const Aggref *aggref)
{
	const AggRule *rule = find_rule(aggref->aggfnoid);
	AggSpec *agg;
	List *args;
	Expr *filter = NULL;

	check_aggregate(aggref);
	args = stream_args(cxt, aggref);
	if (aggref->aggfilter != NULL)
		filter = plan_stream_expr(cxt, aggref->aggfilter);
	agg = new_aggregate(cxt->plan, aggref);
	if (aggref->aggdistinct != NIL && !plan_ignores_distinct(aggref))
		plan_distinct_aggregate(cxt->plan, agg, aggref, args, filter);
	else if (rule == NULL)
		plan_catalog_aggregate(cxt->plan, agg, aggref, args, filter);
	else
		apply_rule(cxt->plan, agg, rule, args == NIL ? NULL : linitial(args),
				   filter);
	if (agg->kind == FINAL_VAR_FLOAT8)
		agg->finalfn = own_finalfn(aggref->aggfnoid);
}

int
plan_aggregate(PlanContext *cxt, Aggref *aggref)
{
	ListCell *lc;

	foreach(lc, cxt->aggrefs)
	{
		if (equal(lfirst(lc), aggref))
			return foreach_current_index(lc);
	}
	add_aggregate(cxt, aggref);
	cxt->aggrefs = lappend(cxt->aggrefs, aggref);
	return cxt->plan->naggs - 1;
}

void
plan_layout(ViewPlan *plan)
{
	uint32 offset = 0;
	int i;

	for (i = 0; i < plan->naccums; i++)
	{
		AccumSpec *accum = &plan->accums[i];

		accum->offset = offset;
		accum->size = weir_accum_kind_size(accum->kind);
		offset += accum->size;
	}
}
