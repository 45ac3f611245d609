/*
 * plan/merge.c
 *		Aggregates in a view over a view (see cascade.c).
 *
 * One over a column that is an aggregate stands for that aggregate over all events
 * of the larger group, if it is such that both are the same, or if it is
 * weir.merge, which says so.  One over keys is right if it does not matter how
 * often a value comes, as there are more events than rows.  All others depend on
 * rows of the view below, and are refused.
 */
#include "plan/cascade.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* counted: the name of a column that counts the events of each row, or NULL. */
static const char *
counted(const Cascade *c)
{
	ListCell *lc;

	foreach(lc, c->below->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (IsA(tle->expr, Aggref) && !tle->resjunk &&
			((Aggref *) tle->expr)->aggfnoid == F_COUNT_ &&
			((Aggref *) tle->expr)->aggfilter == NULL)
			return quote_identifier(cascade_column_name(c, tle->resno));
	}
	return NULL;
}

/* --- an aggregate over keys -------------------------------------------------------------- */

/* Among the rows of the view below, or among events: is the result the same? */
static bool
ignores_repeats(const Aggref *aggref)
{
	switch (aggref->aggfnoid)
	{
		case F_BOOL_AND:
		case F_BOOL_OR:
		case F_EVERY:
			return true;
		default:
			return aggref->aggdistinct != NIL || plan_ignores_distinct(aggref);
	}
}

bool
plan_is_merge(Oid aggfn)
{
	return get_func_namespace(aggfn) == get_namespace_oid(WEIR_SCHEMA, true) &&
		   strcmp(get_func_name(aggfn), "merge") == 0;
}

static void
check_over_keys(const Cascade *c, const Aggref *aggref)
{
	const char *name = get_func_name(aggref->aggfnoid);
	const char *events = counted(c);

	if (plan_is_merge(aggref->aggfnoid))
		cascade_refuse("weir.merge must be over a column that is an aggregate",
					   psprintf("It stands for the aggregate that a column of view \"%s\" is, over all events of the group.",
								c->view),
					   "Use an ordinary aggregate over columns of GROUP BY.");
	if (ignores_repeats(aggref))
		return;
	cascade_refuse(
		psprintf("%s over rows of view \"%s\" is not supported in a continuous view",
				 aggref->aggstar ? "count(*)" : psprintf("aggregate %s", name),
				 c->view),
		"A view over a view is made from the events, and depends on them alone.",
		events
			? psprintf("Use sum(%s) for the number of events, DISTINCT, or a query over the final windows.",
					   events)
			: "Count the events in the view below, and use sum over that column; or use DISTINCT, or a query over the final windows.");
}

/* --- an aggregate over an aggregate ------------------------------------------------------- */

/* What is right over an aggregate of its own kind: of the parts as of the whole. */
static bool
is_idempotent(const Aggref *outer, const Aggref *inner)
{
	static const char *const names[] = {"min", "max", "bit_and", "bit_or"};
	const char *name = get_func_name(outer->aggfnoid);

	if (get_func_namespace(outer->aggfnoid) != PG_CATALOG_NAMESPACE ||
		get_func_namespace(inner->aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	if (outer->aggfnoid == F_BOOL_AND || outer->aggfnoid == F_EVERY)
		return inner->aggfnoid == F_BOOL_AND || inner->aggfnoid == F_EVERY;
	if (outer->aggfnoid == F_BOOL_OR)
		return inner->aggfnoid == F_BOOL_OR;
	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return strcmp(get_func_name(inner->aggfnoid), name) == 0;
	return false;
}

static bool
is_called(const Aggref *aggref, const char *name)
{
	return get_func_namespace(aggref->aggfnoid) == PG_CATALOG_NAMESPACE &&
		   strcmp(get_func_name(aggref->aggfnoid), name) == 0;
}

/* May the outer aggregate, over the inner one, stand for that over all events? */
static bool
is_same_over_all(const Aggref *outer, const Aggref *inner)
{
	if (is_idempotent(outer, inner))
		return true;
	if (inner->aggdistinct != NIL)
		return false;
	if (is_called(outer, "sum"))
		return is_called(inner, "sum") || is_called(inner, "count");
	return is_called(outer, "avg") && is_called(inner, "avg");
}

static void
refuse_pair(const Cascade *c, const Aggref *outer, const Aggref *inner,
			const char *name)
{
	cascade_refuse(
		psprintf("%s over column \"%s\" of view \"%s\" is not supported in a continuous view",
				 get_func_name(outer->aggfnoid), name, c->view),
		psprintf("The column is %s(%s...) over the events of each row; a view over a view is made from the events, not from rows.",
				 get_func_name(inner->aggfnoid),
				 inner->aggdistinct ? "DISTINCT " : ""),
		psprintf("weir.merge(%s) is that aggregate over all events of the group; others, such as peaks, are for a query over the final windows.",
				 quote_identifier(name)));
}

/* The conditions that an expression ANDs, at any depth. */
static List *
conditions(Expr *expr)
{
	List *all = NIL;
	ListCell *lc;

	if (expr == NULL || !is_andclause(expr))
		return expr ? list_make1(expr) : NIL;
	foreach(lc, ((BoolExpr *) expr)->args)
		all = list_concat(all, conditions(lfirst(lc)));
	return all;
}

/*
 * count_or_none: of CASE WHEN count(*) FILTER (f) > 0 THEN a count of events with
 * f END, as null_if_none makes it, that count; NULL: it is another CASE.  It can be
 * summed like the count: where it is NULL there is nothing to be counted.
 */
static Expr *
count_or_none(const CaseExpr *expr)
{
	CaseWhen *when = linitial_node(CaseWhen, expr->args);
	OpExpr *test = (OpExpr *) when->expr;
	Expr *result = when->result;
	Aggref *rows;

	if (expr->arg || list_length(expr->args) != 1 || !IsA(test, OpExpr) ||
		test->opfuncid != F_INT8GT || !IsA(linitial(test->args), Aggref) ||
		!IsA(lsecond(test->args), Const) ||
		DatumGetInt64(lsecond_node(Const, test->args)->constvalue) != 0 ||
		!IsA(expr->defresult, Const) ||
		!((Const *) expr->defresult)->constisnull)
		return NULL;
	if (IsA(result, FuncExpr) && ((FuncExpr *) result)->funcid == F_NUMERIC_INT8)
		result = linitial(((FuncExpr *) result)->args);
	rows = linitial_node(Aggref, test->args);
	if (rows->aggfnoid != F_COUNT_ || !IsA(result, Aggref) ||
		!is_called((Aggref *) result, "count") ||
		list_difference(conditions(rows->aggfilter),
						conditions(((Aggref *) result)->aggfilter)) != NIL)
		return NULL;
	return result;
}

/* The aggregate that a column is, or a numeric of it as sums of integers are. */
static Aggref *
column_aggregate(Expr *expr)
{
	if (IsA(expr, CaseExpr))
		expr = count_or_none((CaseExpr *) expr);
	if (expr && IsA(expr, FuncExpr) &&
		((FuncExpr *) expr)->funcid == F_NUMERIC_INT8)
		expr = linitial(((FuncExpr *) expr)->args);
	return expr && IsA(expr, Aggref) ? (Aggref *) expr : NULL;
}

/* The column that an aggregate is over; raises unless it is nothing else. */
static AttrNumber
aggregated_column(const Cascade *c, const Aggref *aggref)
{
	Expr *arg = linitial_node(TargetEntry, aggref->args)->expr;

	while (IsA(arg, RelabelType))
		arg = ((RelabelType *) arg)->arg;
	if (!IsA(arg, Var) || list_length(aggref->args) != 1 ||
		aggref->aggdirectargs != NIL || aggref->aggdistinct != NIL ||
		aggref->aggorder != NIL)
		cascade_refuse(
			psprintf("an aggregate over an expression over aggregates of view \"%s\" is not supported in a continuous view",
					 c->view),
			"An aggregate over a column that is one stands for that over all events of the group, if it is over nothing but the column.",
			"Aggregate the column itself, without DISTINCT and ORDER BY, and have the expression around that.");
	return ((Var *) arg)->varattno;
}

Expr *
cascade_both(Expr *a, Expr *b)
{
	if (a == NULL || b == NULL)
		return a ? a : b;
	return make_andclause(list_make2(a, b));
}

/* NULL where there is no row to be summed, as sum has it and count has not. */
static Expr *
null_if_none(const Cascade *c, Expr *sum, const Aggref *count, Expr *filter)
{
	Aggref *rows = copyObject(unconstify(Aggref *, count));
	CaseWhen *when = makeNode(CaseWhen);
	CaseExpr *result = makeNode(CaseExpr);

	if (filter == NULL &&
		(c->query->groupClause != NIL || c->below->groupClause == NIL))
		return sum;
	rows->aggfnoid = F_COUNT_;
	rows->aggargtypes = rows->args = NIL;
	rows->aggstar = true;
	rows->inputcollid = InvalidOid;
	rows->aggfilter = copyObject(filter);
	when->expr =
		make_opclause(OpernameGetOprid(list_make2(makeString("pg_catalog"),
												  makeString(">")),
									   INT8OID, INT8OID),
					  BOOLOID, false, (Expr *) rows,
					  (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
										 Int64GetDatum(0), false,
										 FLOAT8PASSBYVAL),
					  InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) when->expr);
	when->result = sum;
	when->location = -1;
	result->casetype = exprType((Node *) sum);
	result->casecollid = InvalidOid;
	result->args = list_make1(when);
	result->defresult = (Expr *) makeNullConst(result->casetype, -1, InvalidOid);
	result->location = -1;
	return (Expr *) result;
}

typedef struct Merge
{
	const Cascade *c;
	const char *name; /* of the column */
	Expr *filter;     /* further condition on events */
} Merge;

/* Aggregates of the view below, over all events that pass the filter. */
static Node *
merge_mutator(Node *node, void *context)
{
	Merge *m = context;
	Aggref *aggref;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		cascade_refuse(
			psprintf("column \"%s\" of view \"%s\" cannot be aggregated further",
					 m->name, m->c->view),
			"It is an expression over aggregates and columns of GROUP BY, which differ within the group.",
			"Have the aggregates as columns of the view below, and the expression in this one.");
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, merge_mutator, context);
	aggref = copyObject((Aggref *) node);
	aggref->aggfilter = cascade_both(aggref->aggfilter, copyObject(m->filter));
	return (Node *) aggref;
}

static Node *
merge_column(const Cascade *c, const Aggref *outer, Expr *filter)
{
	AttrNumber attno = aggregated_column(c, outer);
	Merge m = {.c = c, .name = cascade_column_name(c, attno), .filter = filter};
	Expr *expr = cascade_column(c, attno);
	Aggref *inner = column_aggregate(expr);
	Node *result;

	if (inner == NULL && !plan_is_merge(outer->aggfnoid))
		cascade_refuse(psprintf("column \"%s\" of view \"%s\" cannot be aggregated further",
								m.name, c->view),
					   "It is an expression over aggregates.",
					   psprintf("weir.merge(%s) is that expression over all events of the group.",
								quote_identifier(m.name)));
	if (!plan_is_merge(outer->aggfnoid) && !is_same_over_all(outer, inner))
		refuse_pair(c, outer, inner, m.name);
	result = merge_mutator((Node *) expr, &m);
	result = coerce_to_target_type(NULL, result, exprType(result),
								   outer->aggtype, -1, COERCION_EXPLICIT,
								   COERCE_EXPLICIT_CAST, -1);
	if (result == NULL)
		refuse_pair(c, outer, inner, m.name);
	if (!plan_is_merge(outer->aggfnoid) && !IsA(expr, CaseExpr) &&
		is_called(inner, "count"))
		result = (Node *) null_if_none(c, (Expr *) result, inner, filter);
	return result;
}

Node *
cascade_aggregate(Cascade *c, Aggref *outer)
{
	Expr *filter = outer->aggfilter;

	if (cascade_over_aggregate((Node *) filter, c))
		cascade_refuse(
			psprintf("FILTER over aggregates of view \"%s\" is not supported in a continuous view",
					 c->view),
			"Which rows pass is known only when they are final.",
			"Filter by columns of GROUP BY, or use a query over the final windows.");
	filter = (Expr *) cascade_flatten((Node *) filter, c);
	if (!cascade_over_aggregate((Node *) outer->args, c) &&
		!cascade_over_aggregate((Node *) outer->aggdirectargs, c))
	{
		check_over_keys(c, outer);
		return expression_tree_mutator((Node *) outer, cascade_flatten, c);
	}
	return merge_column(c, outer, filter);
}
