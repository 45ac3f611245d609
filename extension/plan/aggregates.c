/*
 * plan/aggregates.c
 *		Aggregates as final functions over accumulators.
 *
 * A table has the built-in aggregates that Weir computes itself.  All other
 * built-in ones of one argument whose transition value is an ordinary value
 * and which can be combined go through their own transition function
 * (ACCUM_DATUM): that is min and max over most types, bit_and and the like.
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
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
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

/* refuse_unknown: raise for an aggregate that cannot be kept. */
static void
refuse_unknown(const Aggref *aggref)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("aggregate %s is not supported in a continuous view",
					format_procedure(aggref->aggfnoid)),
			 errdetail(
				 "Supported are the built-in aggregates count, sum, avg, min, max, bool_and, bool_or, every, variance, var_pop, var_samp, stddev, stddev_pop, stddev_samp, and bit_and, bit_or, bit_xor over integers."),
			 errhint(
				 "Use one of these, or aggregate further when you read the view.")));
}

/* check_aggregate: raise for what no aggregate of a view can have. */
static void
check_aggregate(const Aggref *aggref)
{
	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		refuse_aggregate(aggref, "WITHIN GROUP",
						 "Use avg, min, max or stddev, or aggregate further when you read the view.");
	if (aggref->aggdistinct != NIL)
		refuse_aggregate(aggref, "DISTINCT in an aggregate",
						 "Add the column to GROUP BY, and count the groups when you read the view.");
	if (aggref->aggorder != NIL)
		refuse_aggregate(aggref, "ORDER BY in an aggregate",
						 "Leave it out, or use min or max.");
	if (aggref->aggvariadic)
		refuse_aggregate(aggref, "VARIADIC in an aggregate",
						 "Use an aggregate of one argument.");
}

/* add_accum: index of the accumulator like *spec, which is added if new. */
static int
add_accum(ViewPlan *plan, const AccumSpec *spec)
{
	int i;

	for (i = 0; i < plan->naccums; i++)
	{
		const AccumSpec *a = &plan->accums[i];

		if (a->kind == spec->kind && a->transfn == spec->transfn &&
			a->trans_type == spec->trans_type &&
			a->collation == spec->collation && equal(a->arg, spec->arg) &&
			equal(a->filter, spec->filter))
			return i;
	}
	plan->accums = plan->accums == NULL
					   ? palloc(sizeof(AccumSpec))
					   : repalloc(plan->accums,
								  (plan->naccums + 1) * sizeof(AccumSpec));
	plan->accums[plan->naccums] = *spec;
	return plan->naccums++;
}

/* init_accum: an accumulator over arg, both expressions simplified. */
static void
init_accum(AccumSpec *spec, AccumKind kind, Expr *arg, Expr *filter)
{
	memset(spec, 0, sizeof(*spec));
	spec->kind = kind;
	spec->filter = filter;
	/* count('x') counts rows, like count(*) */
	if (kind == ACCUM_COUNT && arg != NULL && IsA(arg, Const) &&
		!((Const *) arg)->constisnull)
		arg = NULL;
	spec->arg = arg;
	if (arg != NULL)
	{
		spec->arg_attno = plan_plain_column(arg);
		spec->arg_type = getBaseType(exprType((Node *) arg));
	}
}

/* add_simple: an accumulator of a fixed kind. */
static int
add_simple(ViewPlan *plan, AccumKind kind, Expr *arg, Expr *filter)
{
	AccumSpec spec;

	init_accum(&spec, kind, arg, filter);
	return add_accum(plan, &spec);
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
	spec->preserves_fixed_oid = plan_type_is_fixed(trans_type);
}

/* add_sum: a sum of numerics or intervals, by a function of two arguments. */
static int
add_sum(ViewPlan *plan, Oid addfn, Oid type, Expr *arg, Expr *filter)
{
	AccumSpec spec;

	init_accum(&spec, ACCUM_DATUM, arg, filter);
	set_transition(&spec, addfn, addfn, type);
	return add_accum(plan, &spec);
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

/*
 * Can an aggregate be kept through its own functions?  They must not need an
 * executor's node (range_intersect_agg does), and combining must not fail
 * where the steps did not (bit strings of different lengths).
 */
static bool
is_keepable(const Aggref *aggref, const FormData_pg_aggregate *form,
			Oid trans_type)
{
	if (aggref->aggfnoid >= FirstGenbkiObjectId ||
		list_length(aggref->args) != 1 || !OidIsValid(form->aggcombinefn))
		return false;
	if (get_typtype(trans_type) == TYPTYPE_PSEUDO)
		return false;
	return trans_type != BITOID && !type_is_range(trans_type) &&
		   !type_is_multirange(trans_type);
}

/*
 * transition_type: the aggregate's, resolved if it is polymorphic, or
 * InvalidOid if that needs more than looking at the only argument.
 */
static Oid
transition_type(const Aggref *aggref, const FormData_pg_aggregate *form)
{
	Oid inputs[FUNC_MAX_ARGS];
	int ninputs = get_aggregate_argtypes(unconstify(Aggref *, aggref), inputs);

	return resolve_aggregate_transtype(aggref->aggfnoid, form->aggtranstype,
									   inputs, ninputs);
}

/* set_initial: the initial transition value, if there is one. */
static void
set_initial(AccumSpec *spec, HeapTuple tuple)
{
	Oid input;
	Oid ioparam;
	Datum initial;
	char *value;

	initial = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
							  &spec->has_init);
	spec->has_init = !spec->has_init;
	if (!spec->has_init)
		return;
	getTypeInputInfo(spec->trans_type, &input, &ioparam);
	value = TextDatumGetCString(initial);
	spec->init = OidInputFunctionCall(input, value, ioparam, -1);
}

/* apply_catalog: one accumulator through the aggregate's own functions. */
static void
apply_catalog(ViewPlan *plan, AggSpec *agg, const Aggref *aggref, Expr *arg,
			  Expr *filter)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(aggref->aggfnoid));
	Form_pg_aggregate form;
	Oid trans_type;
	AccumSpec spec;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	trans_type = transition_type(aggref, form);
	if (!is_keepable(aggref, form, trans_type))
		refuse_unknown(aggref);

	init_accum(&spec, ACCUM_DATUM, arg, filter);
	spec.collation = aggref->inputcollid;
	set_transition(&spec, form->aggtransfn, form->aggcombinefn, trans_type);
	set_initial(&spec, tuple);
	agg->kind = FINAL_DATUM;
	agg->finalfn = form->aggfinalfn;
	agg->naccums = 1;
	agg->accums[0] = add_accum(plan, &spec);
	ReleaseSysCache(tuple);
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

/* add_aggregate: append one to the plan. */
static void
add_aggregate(PlanContext *cxt, const Aggref *aggref)
{
	ViewPlan *plan = cxt->plan;
	const AggRule *rule = find_rule(aggref->aggfnoid);
	AggSpec *agg;
	Expr *arg = NULL;
	Expr *filter = NULL;

	check_aggregate(aggref);
	if (rule == NULL && list_length(aggref->args) != 1)
		refuse_unknown(aggref);
	if (aggref->args != NIL)
		arg = plan_stream_expr(cxt,
							   linitial_node(TargetEntry, aggref->args)->expr);
	if (aggref->aggfilter != NULL)
		filter = plan_stream_expr(cxt, aggref->aggfilter);

	plan->aggs = plan->aggs == NULL
					 ? palloc(sizeof(AggSpec))
					 : repalloc(plan->aggs, (plan->naggs + 1) * sizeof(AggSpec));
	agg = &plan->aggs[plan->naggs++];
	memset(agg, 0, sizeof(*agg));
	agg->result_type = aggref->aggtype;
	get_typlenbyval(agg->result_type, &agg->result_len, &agg->result_byval);
	agg->collation = aggref->inputcollid;
	if (rule == NULL)
		apply_catalog(plan, agg, aggref, arg, filter);
	else
		apply_rule(plan, agg, rule, arg, filter);
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
