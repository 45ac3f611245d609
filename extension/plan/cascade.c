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
#include "plan/cascade.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/view.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

/* --- refusals ------------------------------------------------------------------------- */

void
cascade_refuse(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
			 errdetail("%s", detail), errhint("%s", hint)));
}

/* --- columns of the view below --------------------------------------------------------- */

Expr *
cascade_column(const Cascade *c, AttrNumber attno)
{
	ListCell *lc;

	foreach(lc, c->below->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == attno)
			return tle->expr;
	}
	if (attno <= 0)
		cascade_refuse(psprintf("whole rows and system columns of view \"%s\" are not supported in a continuous view",
								c->view),
					   "Only its columns are known of the events.",
					   "Name the columns that are needed.");
	elog(ERROR, "view \"%s\" has no column %d", c->view, attno);
	return NULL;
}

const char *
cascade_column_name(const Cascade *c, AttrNumber attno)
{
	return NameStr(TupleDescAttr(c->names, attno - 1)->attname);
}

/* is_aggregate: is the column more than an expression over the keys? */
static bool
is_aggregate(const Cascade *c, AttrNumber attno)
{
	return contain_agg_clause((Node *) cascade_column(c, attno));
}

/* cascade_over_aggregate: does node read an aggregate of the view below? */
bool
cascade_over_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return is_aggregate(context, ((Var *) node)->varattno);
	return expression_tree_walker(node, cascade_over_aggregate, context);
}

/* --- the query ---------------------------------------------------------------------------- */

/* flatten: an expression over the view below becomes one over its stream. */
Node *
cascade_flatten(Node *node, void *context)
{
	Cascade *c = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
		return cascade_aggregate(c, (Aggref *) node);
	if (IsA(node, Var))
	{
		AttrNumber attno = ((Var *) node)->varattno;

		if (is_aggregate(c, attno))
			cascade_refuse(
				psprintf("column \"%s\" of view \"%s\" can be used only in an aggregate in a continuous view",
						 cascade_column_name(c, attno), c->view),
				"It is an aggregate itself, over the events of a smaller group.",
				psprintf("Use it in the select list or HAVING, as in weir.merge(%s).",
						 quote_identifier(cascade_column_name(c, attno))));
		return copyObject((Node *) cascade_column(c, attno));
	}
	return expression_tree_mutator(node, cascade_flatten, context);
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

/* Raise for a join of tables with a continuous view, where there is no stream. */
static void
check_join(const Query *query)
{
	Relids rts = weir_relids_in_jointree((Node *) query->jointree);
	const char *view = NULL;
	int rt = -1;

	while ((rt = bms_next_member(rts, rt)) >= 0)
	{
		const RangeTblEntry *rte = rt_fetch(rt, query->rtable);

		if (rte->rtekind != RTE_RELATION)
			continue;
		if (weir_is_stream(rte->relid))
			return;
		if (weir_view_of_relation(rte->relid))
			view = get_rel_name(rte->relid);
	}
	if (view)
		cascade_refuse(
			psprintf("a continuous view cannot join view \"%s\" with other relations",
					 view),
			"It reads one view, and nothing else.",
			"Join the stream with tables in the view below, or join when you read the view.");
}

/* Raise for a view that no other one can be made from. */
static void
check_below(const Cascade *c)
{
	static const char hint[] = "Select from the stream instead.";

	if (c->plan->append)
		cascade_refuse(psprintf("view \"%s\" has no groups to put together",
								c->view),
					   "It is an append view, an ordinary table.", hint);
	if (c->plan->window.ttl)
		cascade_refuse(psprintf("the totals of view \"%s\" have a time to live",
								c->view),
					   "They begin anew, each at a time of its own.", hint);
	if (c->plan->window.all.kind != WW_NONE &&
		c->plan->window.all.kind != WW_TUMBLE)
		cascade_refuse(psprintf("the windows of view \"%s\" overlap, or are sessions",
								c->view),
					   "A view can be made from one with tumbling windows, or without any.",
					   hint);
	if (c->below->havingQual != NULL)
		cascade_refuse(psprintf("view \"%s\" has HAVING", c->view),
					   "Which of its rows are left is known only when they are final.",
					   "Leave HAVING to the view over it, or select from the stream instead.");
	if (plan_is_append(c->query))
		cascade_refuse("a continuous view over another one needs aggregates, or GROUP BY",
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

	if (cascade_over_aggregate((Node *) own, c))
		cascade_refuse(
			psprintf("WHERE over aggregates of view \"%s\" is not supported in a continuous view",
					 c->view),
			"Which rows pass is known only when they are final.",
			"Filter by columns of GROUP BY, or use HAVING, or a query over the final windows.");
	own = (Expr *) cascade_flatten((Node *) own, c);
	result->jointree->quals = (Node *) cascade_both(below, own);
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
		cascade_refuse(psprintf("view \"%s\" has no window", c->view),
					   "Nothing is late for it, so there is no window that its events are in time for.",
					   "Group by a window in the view below, too.");
	if (inner && !is_over(outer, inner))
		result->jointree->quals = (Node *)
			cascade_both((Expr *) result->jointree->quals,
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

	result->targetList = (List *) cascade_flatten((Node *) c->query->targetList,
												  c);
	result->groupClause = copyObject(c->query->groupClause);
	result->groupDistinct = c->query->groupDistinct;
	result->havingQual = cascade_flatten(c->query->havingQual, c);
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
	{
		if (plan_is_join(query))
			check_join(query);
		return NULL;
	}
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
