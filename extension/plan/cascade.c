/*
 * plan/cascade.c
 *		A view over a view: its query becomes one over the stream of that view.
 *
 * Backends, when a view is defined, as the user.  The columns of the view below
 * are replaced by what they stand for, and its FROM and WHERE are taken over.
 * An aggregate over an aggregate becomes the one below, over all events of the
 * new group: so averages are not of averages, and distinct values are counted
 * once.  A window over the window column becomes a window over a window, by which
 * the ingest worker knows the one that an event has to be in time for
 * (window.c); where there is none, weir.in_time says it.
 *
 * What depends on rows of the view below (how many there are, their peaks) is
 * not in the events, and is refused.
 *
 * The result is taken for granted nowhere: it is planned as any other query.
 */
#include "plan/plan_internal.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/view.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

typedef struct Cascade
{
	const char *view;      /* the one below */
	const Query *below;    /* its query */
	const Query *query;    /* the one over it */
	const ViewPlan *plan;  /* of the one below */
	const TupleDesc names; /* of its columns, as they are now */
} Cascade;

/* --- refusals ------------------------------------------------------------------------- */

static void
refuse(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
			 errdetail("%s", detail), errhint("%s", hint)));
}

/* --- columns of the view below --------------------------------------------------------- */

static Expr *
column(const Cascade *c, AttrNumber attno)
{
	ListCell *lc;

	foreach(lc, c->below->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == attno)
			return tle->expr;
	}
	if (attno <= 0)
		refuse(psprintf("whole rows and system columns of view \"%s\" are not supported in a continuous view",
						c->view),
			   "Only its columns are known of the events.",
			   "Name the columns that are needed.");
	elog(ERROR, "view \"%s\" has no column %d", c->view, attno);
	return NULL;
}

static const char *
column_name(const Cascade *c, AttrNumber attno)
{
	return NameStr(TupleDescAttr(c->names, attno - 1)->attname);
}

/* is_aggregate: is the column more than an expression over the keys? */
static bool
is_aggregate(const Cascade *c, AttrNumber attno)
{
	return contain_agg_clause((Node *) column(c, attno));
}

/* over_aggregate: does node read an aggregate of the view below? */
static bool
over_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return is_aggregate(context, ((Var *) node)->varattno);
	return expression_tree_walker(node, over_aggregate, context);
}

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
			return quote_identifier(column_name(c, tle->resno));
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
		refuse("weir.merge must be over a column that is an aggregate",
			   psprintf("It stands for the aggregate that a column of view \"%s\" is, over all events of the group.",
						c->view),
			   "Use an ordinary aggregate over columns of GROUP BY.");
	if (ignores_repeats(aggref))
		return;
	refuse(psprintf("%s over rows of view \"%s\" is not supported in a continuous view",
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
	refuse(psprintf("%s over column \"%s\" of view \"%s\" is not supported in a continuous view",
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
		refuse(psprintf("an aggregate over an expression over aggregates of view \"%s\" is not supported in a continuous view",
						c->view),
			   "An aggregate over a column that is one stands for that over all events of the group, if it is over nothing but the column.",
			   "Aggregate the column itself, without DISTINCT and ORDER BY, and have the expression around that.");
	return ((Var *) arg)->varattno;
}

static Expr *
both(Expr *a, Expr *b)
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

/* --- the query ---------------------------------------------------------------------------- */

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
		refuse(psprintf("column \"%s\" of view \"%s\" cannot be aggregated further",
						m->name, m->c->view),
			   "It is an expression over aggregates and columns of GROUP BY, which differ within the group.",
			   "Have the aggregates as columns of the view below, and the expression in this one.");
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, merge_mutator, context);
	aggref = copyObject((Aggref *) node);
	aggref->aggfilter = both(aggref->aggfilter, copyObject(m->filter));
	return (Node *) aggref;
}

static Node *
merge_column(const Cascade *c, const Aggref *outer, Expr *filter)
{
	AttrNumber attno = aggregated_column(c, outer);
	Merge m = {.c = c, .name = column_name(c, attno), .filter = filter};
	Expr *expr = column(c, attno);
	Aggref *inner = column_aggregate(expr);
	Node *result;

	if (inner == NULL && !plan_is_merge(outer->aggfnoid))
		refuse(psprintf("column \"%s\" of view \"%s\" cannot be aggregated further",
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

static Node *flatten(Node *node, void *context);

static Node *
flatten_aggregate(Cascade *c, Aggref *outer)
{
	Expr *filter = outer->aggfilter;

	if (over_aggregate((Node *) filter, c))
		refuse(psprintf("FILTER over aggregates of view \"%s\" is not supported in a continuous view",
						c->view),
			   "Which rows pass is known only when they are final.",
			   "Filter by columns of GROUP BY, or use a query over the final windows.");
	filter = (Expr *) flatten((Node *) filter, c);
	if (!over_aggregate((Node *) outer->args, c) &&
		!over_aggregate((Node *) outer->aggdirectargs, c))
	{
		check_over_keys(c, outer);
		return expression_tree_mutator((Node *) outer, flatten, c);
	}
	return merge_column(c, outer, filter);
}

/* flatten: an expression over the view below becomes one over its stream. */
static Node *
flatten(Node *node, void *context)
{
	Cascade *c = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
		return flatten_aggregate(c, (Aggref *) node);
	if (IsA(node, Var))
	{
		AttrNumber attno = ((Var *) node)->varattno;

		if (is_aggregate(c, attno))
			refuse(psprintf("column \"%s\" of view \"%s\" can be used only in an aggregate in a continuous view",
							column_name(c, attno), c->view),
				   "It is an aggregate itself, over the events of a smaller group.",
				   psprintf("Use it in the select list or HAVING, as in weir.merge(%s).",
							quote_identifier(column_name(c, attno))));
		return copyObject((Node *) column(c, attno));
	}
	return expression_tree_mutator(node, flatten, context);
}

/* The view below, if the query is over it and nothing else; else NULL. */
static ViewRow *
view_below(const Query *query)
{
	List *from = query->jointree->fromlist;
	RangeTblEntry *rte;
	ViewRow *row;

	if (list_length(from) != 1 || !IsA(linitial(from), RangeTblRef))
		return NULL;
	rte = rt_fetch(linitial_node(RangeTblRef, from)->rtindex, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_FOREIGN_TABLE)
		return NULL;
	row = weir_view_of_relation(rte->relid);
	return row;
}

/* Raise for a view that no other one can be made from. */
static void
check_below(const Cascade *c)
{
	static const char hint[] = "Select from the stream instead.";

	if (c->plan->append)
		refuse(psprintf("view \"%s\" has no groups to put together", c->view),
			   "It is an append view, an ordinary table.", hint);
	if (c->plan->window.ttl)
		refuse(psprintf("the totals of view \"%s\" have a time to live", c->view),
			   "They begin anew, each at a time of its own.", hint);
	if (c->plan->window.all.kind != WW_NONE &&
		c->plan->window.all.kind != WW_TUMBLE)
		refuse(psprintf("the windows of view \"%s\" overlap, or are sessions",
						c->view),
			   "A view can be made from one with tumbling windows, or without any.",
			   hint);
	if (c->below->havingQual != NULL)
		refuse(psprintf("view \"%s\" has HAVING", c->view),
			   "Which of its rows are left is known only when they are final.",
			   "Leave HAVING to the view over it, or select from the stream instead.");
	if (plan_is_append(c->query))
		refuse("a continuous view over another one needs aggregates, or GROUP BY",
			   "It puts groups together to larger ones.",
			   "Use an ordinary view to show rows of the view otherwise.");
}

/* The window of the view below, as it is written there. */
static FuncExpr *
window_call(const Query *query)
{
	ListCell *lc;

	foreach(lc, query->groupClause)
	{
		Node *expr = get_sortgroupclause_expr(lfirst(lc), query->targetList);

		if (plan_is_window(expr))
			return (FuncExpr *) expr;
	}
	return NULL;
}

static void
flatten_where(Cascade *c, Query *result)
{
	Expr *below = (Expr *) result->jointree->quals;
	Expr *own = (Expr *) c->query->jointree->quals;

	if (over_aggregate((Node *) own, c))
		refuse(psprintf("WHERE over aggregates of view \"%s\" is not supported in a continuous view",
						c->view),
			   "Which rows pass is known only when they are final.",
			   "Filter by columns of GROUP BY, or use HAVING, or a query over the final windows.");
	own = (Expr *) flatten((Node *) own, c);
	result->jointree->quals = (Node *) both(below, own);
}

/* Is outer the window inner, or a window over it? */
static bool
is_over(const FuncExpr *outer, const FuncExpr *inner)
{
	while (outer && plan_is_window((Node *) outer) && !equal(outer, inner))
		outer = linitial(outer->args);
	return outer && plan_is_window((Node *) outer);
}

/* Raise for the query's windows, or say which one counts if they do not. */
static void
flatten_window(Cascade *c, Query *result)
{
	FuncExpr *inner = window_call(c->below);
	FuncExpr *outer = window_call(result);

	if (outer && inner == NULL)
		refuse(psprintf("view \"%s\" has no window", c->view),
			   "Nothing is late for it, so there is no window that its events are in time for.",
			   "Group by a window in the view below, too.");
	if (inner && !is_over(outer, inner))
		result->jointree->quals = (Node *) both((Expr *) result->jointree->quals,
												plan_in_time(copyObject(inner)));
}

/*
 * The query below, but for what it shows and how it groups: FROM and WHERE are
 * the same, and so is the range table.
 */
static Query *
flat_query(Cascade *c)
{
	Query *result = copyObject(unconstify(Query *, c->below));

	result->targetList = (List *) flatten((Node *) c->query->targetList, c);
	result->groupClause = copyObject(c->query->groupClause);
	result->groupDistinct = c->query->groupDistinct;
	result->havingQual = flatten(c->query->havingQual, c);
	result->hasAggs = c->query->hasAggs;
	result->hasTargetSRFs = c->query->hasTargetSRFs;
	flatten_where(c, result);
	flatten_window(c, result);
	return result;
}

/* The query of a view relation, as it is planned. */
static Query *
query_of(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	Query *query = copyObject(get_view_query(rel));

	table_close(rel, NoLock);
#ifdef WEIR_FLATTEN_GROUPS
	WEIR_FLATTEN_GROUPS(query);
#endif
	return query;
}

char *
weir_plan_flatten(Oid query_rel, Oid *over)
{
	Query *query = query_of(query_rel);
	ViewRow *row = view_below(query);
	Relation rel;
	char *text;

	if (row == NULL)
		return NULL;
	plan_check_clauses(query);
	rel = table_open(row->view, AccessShareLock);
	{
		Cascade c = {.view = pstrdup(RelationGetRelationName(rel)),
					 .below = query_of(row->query),
					 .query = query,
					 .plan = weir_plan_view(row->query, row->ttl),
					 .names = RelationGetDescr(rel)};

		check_below(&c);
		text = pg_get_querydef(flat_query(&c), false);
	}
	table_close(rel, NoLock);
	*over = row->view;
	return text;
}
