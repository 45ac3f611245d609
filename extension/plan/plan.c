/*
 * plan/plan.c
 *		From a view's query to a plan: the order of the steps, and what is shown.
 *
 * The query's Vars are renumbered to PLAN_VARNO at first, as the range tables
 * of stored rules differ between versions.  Then the grouping items become the
 * window and the keys; the select list and HAVING are rewritten so that they
 * read a final row, which collects the aggregates on the way.
 */
#include "plan/plan_internal.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "core/hash.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* load_stream: the stream as its owner sees it. */
static StreamDef *
load_stream(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return weir_stream_load(relid, owner);
}

/* note_columns: add what expr reads to the plan's columns. */
static void
note_columns(ViewPlan *plan, Expr *expr)
{
	Bitmapset *attnos = NULL;
	int member = -1;

	pull_varattnos((Node *) expr, PLAN_VARNO, &attnos);
	while ((member = bms_next_member(attnos, member)) >= 0)
	{
		int attno = member + FirstLowInvalidHeapAttributeNumber;

		/* Those behind the stream's own are of tables. */
		if (plan->join == NULL || attno <= plan->join->natts)
			plan->columns = bms_add_member(plan->columns, attno);
	}
}

/*
 * is_interpreted: does the function run SQL of its own?  Those need a snapshot,
 * whatever their volatility.
 */
static bool
is_interpreted(Oid funcid, void *context)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool interpreted = true;

	if (HeapTupleIsValid(tuple))
	{
		interpreted = ((Form_pg_proc) GETSTRUCT(tuple))->prolang !=
					  INTERNALlanguageId;
		ReleaseSysCache(tuple);
	}
	return interpreted;
}

static bool
calls_interpreted(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_interpreted, context) ||
		IsA(node, CoerceToDomain))
		return true;
	return expression_tree_walker(node, calls_interpreted, context);
}

/*
 * simplify: expression_planner.  A SQL function may be inlined by it, so what
 * is called is checked again.
 */
static Expr *
simplify(ViewPlan *plan, Expr *expr)
{
	expr = expression_planner(expr);
	plan_check_functions((Node *) expr);
	if (contain_mutable_functions((Node *) expr) ||
		calls_interpreted((Node *) expr, NULL))
		plan->needs_snapshot = true;
	return expr;
}

Expr *
plan_stream_expr(PlanContext *cxt, Expr *expr)
{
	plan_check_no_session((Node *) expr);
	expr = simplify(cxt->plan, expr);
	note_columns(cxt->plan, expr);
	return expr;
}

/* plan_plain_column: a Var, or one under a change of type in name only. */
AttrNumber
plan_plain_column(Expr *expr)
{
	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return IsA(expr, Var) ? ((Var *) expr)->varattno : InvalidAttrNumber;
}

/* take_in_time: the quals without weir.in_time(), which is no condition on rows. */
static Node *
take_in_time(PlanContext *cxt, Node *quals)
{
	List *others = NIL;
	ListCell *lc;

	foreach(lc, make_ands_implicit((Expr *) quals))
	{
		Node *window = plan_in_time_argument(lfirst(lc));

		if (window == NULL)
			others = lappend(others, lfirst(lc));
		else if (!plan_is_window(window) ||
				 (cxt->in_time && !equal(cxt->in_time, window)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg(
						 "weir.in_time must be over the one window that events have to be in time for"),
					 errhint(
						 "Write WHERE weir.in_time(weir.tumble(event_time, size)), once.")));
		else
			cxt->in_time = (FuncExpr *) window;
	}
	if (cxt->in_time == NULL)
		return quals;
	return others ? (Node *) make_ands_explicit(others) : NULL;
}

/* plan_where: the quals, as a list that is implicitly ANDed. */
static void
plan_where(PlanContext *cxt)
{
	Node *quals = take_in_time(cxt, cxt->query->jointree->quals);

	if (quals == NULL)
		return;
	quals = (Node *) plan_stream_expr(cxt, (Expr *) quals);
	cxt->plan->where = make_ands_implicit(
		canonicalize_qual((Expr *) quals, false));
}

/* add_window: take call as the query's window. */
static void
add_window(PlanContext *cxt, FuncExpr *call)
{
	if (cxt->window == NULL)
		cxt->window = call;
	else if (!equal(cxt->window, call))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view can have only one window"),
				 errdetail(
					 "GROUP BY has two different calls of a window function."),
				 errhint("Create a continuous view for each window.")));
}

/* add_key: a grouping item that is not the window; equal ones count once. */
static void
add_key(PlanContext *cxt, Expr *expr, const SortGroupClause *group)
{
	ViewPlan *plan = cxt->plan;
	KeySpec *key;

	if (list_member(cxt->keys, expr))
		return;
	if (expression_returns_set((Node *) expr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "a window must stand by itself in GROUP BY in a continuous view"),
				 errdetail("It is a part of an expression there."),
				 errhint(
					 "Group by the window, and have the expression in the select list only.")));
	if (plan->nkeys == WEIR_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a continuous view can have at most %d grouping keys",
						WEIR_MAX_KEYS),
				 errdetail("The window does not count."),
				 errhint("Group by fewer expressions.")));
	key = &plan->keys[plan->nkeys];
	plan_key(key, expr, group->eqop, group->hashable);
	key->expr = plan_stream_expr(cxt, expr);
	key->attno = plan_plain_column(key->expr);
	cxt->keys = lappend(cxt->keys, expr);
	plan->nkeys++;
}

/* plan_groups: the window and the keys, from GROUP BY. */
static void
plan_groups(PlanContext *cxt)
{
	Query *query = cxt->query;
	ListCell *lc;

	cxt->plan->keys = palloc0(Max(list_length(query->groupClause), 1) *
							  sizeof(KeySpec));
	foreach(lc, query->groupClause)
	{
		SortGroupClause *group = lfirst_node(SortGroupClause, lc);
		Node *expr = get_sortgroupclause_expr(group, query->targetList);

		if (plan_is_window(expr))
			add_window(cxt, (FuncExpr *) expr);
		else
			add_key(cxt, (Expr *) expr, group);
	}
	cxt->plan->one_row = query->groupClause == NIL;
	plan_window(cxt);
}

/* column_var: column attno of a final row, of the type of expr. */
static Node *
column_var(AttrNumber attno, const Node *expr)
{
	return (Node *) makeVar(PLAN_VARNO, attno, exprType(expr), exprTypmod(expr),
							exprCollation(expr), 0);
}

/* key_index: the key that is this expression, or -1. */
static int
key_index(const PlanContext *cxt, const Node *node)
{
	ListCell *lc;

	foreach(lc, cxt->keys)
	{
		if (equal(lfirst(lc), node))
			return foreach_current_index(lc);
	}
	return -1;
}

/* final_row_mutator: grouping items and aggregates become columns. */
static Node *
final_row_mutator(Node *node, void *context)
{
	PlanContext *cxt = context;
	int key;

	if (node == NULL)
		return NULL;
	if (cxt->window && equal(node, cxt->window))
		return column_var(1, node);
	key = key_index(cxt, node);
	if (key >= 0)
		return column_var(key + 2, node);
	if (IsA(node, Aggref))
		return column_var(cxt->plan->nkeys + 2 +
							  plan_aggregate(cxt, (Aggref *) node),
						  node);
	if (IsA(node, Var))
		elog(ERROR, "column %d of the stream is not grouped",
			 ((Var *) node)->varattno);
	return expression_tree_mutator(node, final_row_mutator, context);
}

/* final_row_expr: an expression over a final row, simplified. */
static Expr *
final_row_expr(PlanContext *cxt, Node *node)
{
	node = final_row_mutator(node, cxt);
	if (expression_returns_set(node))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a window must be in GROUP BY in a continuous view"),
				 errdetail("Each window and group has exactly one row."),
				 errhint("Add the same call to GROUP BY.")));
	return simplify(cxt->plan, (Expr *) node);
}

/* plan_output: HAVING and the select list. */
static void
plan_output(PlanContext *cxt)
{
	ViewPlan *plan = cxt->plan;
	Query *query = cxt->query;
	ListCell *lc;

	plan->window_out = -1;
	plan->out = palloc0(Max(list_length(query->targetList), 1) * sizeof(Expr *));
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Expr *expr;

		if (tle->resjunk)
			continue;
		expr = final_row_expr(cxt, (Node *) tle->expr);
		if (plan->window_out < 0 && plan->window.all.kind != WW_SESSION &&
			IsA(expr, Var) && ((Var *) expr)->varattno == 1)
			plan->window_out = plan->nout;
		plan->out[plan->nout++] = expr;
	}
	plan->outdesc = ExecCleanTypeFromTL(query->targetList);
	if (query->havingQual != NULL)
		plan->having = final_row_expr(cxt, query->havingQual);
}

/* check_expressions: raise for what may stand nowhere in the query. */
static void
check_expressions(const PlanContext *cxt)
{
	Node *parts[3];
	int i;

	parts[0] = (Node *) cxt->query->targetList;
	parts[1] = cxt->query->jointree->quals;
	parts[2] = cxt->query->havingQual;
	for (i = 0; i < lengthof(parts); i++)
	{
		plan_check_functions(parts[i]);
		plan_check_columns(parts[i], cxt->stream);
	}
}

ViewPlan *
weir_plan_query(Query *query)
{
	PlanContext cxt = {0};
	RangeTblEntry *rte;
	int rtindex;

	cxt.query = copyObject(query);
	rte = plan_check_shape(cxt.query, &rtindex);
#ifdef WEIR_FLATTEN_GROUPS
	WEIR_FLATTEN_GROUPS(cxt.query);
#endif
	cxt.plan = palloc0(sizeof(ViewPlan));
	if (plan_is_join(cxt.query))
		plan_join(&cxt, rtindex);
	ChangeVarNodes((Node *) cxt.query->targetList, rtindex, PLAN_VARNO, 0);
	ChangeVarNodes(cxt.query->jointree->quals, rtindex, PLAN_VARNO, 0);
	ChangeVarNodes(cxt.query->havingQual, rtindex, PLAN_VARNO, 0);

	cxt.stream = load_stream(rte->relid);
	cxt.plan->stream = rte->relid;
	check_expressions(&cxt);
	plan_where(&cxt);
	if (plan_is_append(cxt.query))
	{
		plan_append(&cxt);
		return cxt.plan;
	}
	plan_groups(&cxt);
	plan_output(&cxt);
	plan_layout(cxt.plan);
	return cxt.plan;
}

static uint64
query_hash(Query *query)
{
	char *text = nodeToString(query);
	uint64 hash = wh_hash(text, strlen(text), 0);

	pfree(text);
	return hash;
}

static uint64
mix(uint64 hash, uint64 value)
{
	return wh_mix(hash ^ value, UINT64CONST(0x9E3779B97F4A7C15));
}

/* What the bytes of a key mean. */
static uint64
key_hash(const KeySpec *key)
{
	return mix(key->fixed_oid ? getBaseType(key->type) : 0,
			   key->typlen * 2 + key->typbyval);
}

static uint64
calendar_hash(const WeirCalendar *c)
{
	const char *zone = c->zone ? pg_get_timezone_name(c->zone) : "";

	return mix(mix(wh_hash(zone, strlen(zone), 0), c->months),
			   (uint64) c->days ^ (uint64) c->origin);
}

/* What the bytes of keys and states mean; the same after dump and restore. */
static uint64
layout_hash(const ViewPlan *plan)
{
	const WwSpec *w = &plan->window.all;
	uint64 hash = mix(mix(mix(w->kind, w->size), w->step), w->origin);

	if (plan->window.by_date)
		hash = mix(hash, calendar_hash(&plan->window.calendar));

	for (int k = 0; k < plan->nkeys; k++)
		hash = mix(hash, key_hash(&plan->keys[k]));
	for (int a = 0; a < plan->naccums; a++)
	{
		const AccumSpec *spec = &plan->accums[a];

		hash = mix(hash, spec->kind);
		hash = mix(hash, spec->offset);
		if (spec->kind == ACCUM_DATUM)
		{
			hash = mix(hash, plan_type_is_fixed(spec->trans_type)
								 ? getBaseType(spec->trans_type)
								 : 0);
			hash = mix(mix(hash, (uint64) spec->trans_len), spec->trans_byval);
		}
		for (int k = 0; spec->kind == ACCUM_DISTINCT && k <= spec->nmore; k++)
			hash = mix(hash, key_hash(&spec->keys[k]));
	}
	return hash;
}

ViewPlan *
weir_plan_view(Oid query_rel, int64 ttl)
{
	Relation rel = table_open(query_rel, AccessShareLock);
	ViewPlan *plan;

	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel)),
				 errdetail("The query of a continuous view is kept as a view."),
				 errhint(
					 "Drop the continuous view with weir.drop_view, and create it again.")));
	plan = weir_plan_query(get_view_query(rel));
	if (ttl > 0)
		plan_time_to_live(plan, ttl);
	/* A column that was renamed since has its new name there only. */
	if (plan->append)
		plan->outdesc = CreateTupleDescCopy(RelationGetDescr(rel));
	plan->layout = layout_hash(plan);
	plan->fingerprint = query_hash(get_view_query(rel)) ^ plan->layout;
	table_close(rel, AccessShareLock);
	return plan;
}
