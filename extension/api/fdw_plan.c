/*
 * api/fdw_plan.c
 *		Planning a read of a topic.
 *
 * Runs in the planner of a backend and never asks the broker: a plan must not
 * hang on a network.  The quals that can narrow what is fetched are those on
 * partition, offset and timestamp metadata columns; they go to the executor as
 * fdw_exprs and are rechecked there like all others, so that a range which is
 * too wide costs time but never a wrong row.
 */
#include "api/fdw.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* A topic is taken to hold so many messages. */
#define DEFAULT_TUPLES 1000000.0
/* Connecting and asking for offsets, in the planner's units. */
#define CONNECT_COST   100.0

/* weir_fdw_rel_size: a guess, since nothing is known without asking. */
void
weir_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	baserel->fdw_private = weir_stream_load(relid, OidIsValid(baserel->userid)
													   ? baserel->userid
													   : GetUserId());
	if (baserel->tuples <= 0)
		baserel->tuples = DEFAULT_TUPLES;
	set_baserel_size_estimates(root, baserel);
}

/* weir_fdw_paths: there is one way to read a topic. */
void
weir_fdw_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Cost startup = CONNECT_COST + baserel->baserestrictcost.startup;
	Cost per_tuple = 2 * cpu_tuple_cost + baserel->baserestrictcost.per_tuple;

	add_path(baserel,
			 (Path *) weir_foreignscan_path(root, baserel, baserel->rows, startup,
											startup + per_tuple * baserel->tuples,
											NIL));
}

/* --- quals --------------------------------------------------------------- */

static Node *
strip_relabel(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The column that a node is, if it is one of this relation's; else NULL. */
static const StreamColumn *
metadata_column(Node *node, RelOptInfo *rel)
{
	const StreamDef *def = rel->fdw_private;
	Var *var = (Var *) strip_relabel(node);

	if (!IsA(var, Var) || var->varno != rel->relid || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return NULL;
	return &def->columns[var->varattno - 1];
}

/* Can this be evaluated once, before the scan? */
static bool
is_value(PlannerInfo *root, Node *node)
{
	return bms_is_empty(pull_varnos(root, node)) &&
		   !contain_volatile_functions(node) && !contain_subplans(node);
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool
is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
}

/* Does "column strategy value" narrow what is read? */
static bool
narrows(const StreamColumn *col, int strategy, Oid value_type)
{
	switch (col->source)
	{
		case STREAM_SRC_PARTITION:
		case STREAM_SRC_OFFSET:
			return is_integer(value_type);
		case STREAM_SRC_TIMESTAMP:

			/*
			 * Times need not rise with offsets: Kafka finds the first record
			 * that is not before a time, but knows no last one.
			 */
			return col->type == TIMESTAMPTZOID && is_time(value_type) &&
				   (strategy == BTEqualStrategyNumber ||
					strategy == BTGreaterEqualStrategyNumber ||
					strategy == BTGreaterStrategyNumber);
		default:
			return false;
	}
}

/* The operator's btree strategy for the column's type, or 0. */
static int
operator_strategy(Oid opno, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return OidIsValid(entry->btree_opf)
			   ? get_op_opfamily_strategy(opno, entry->btree_opf)
			   : 0;
}

/* Classify "column op value" or "value op column". */
static bool
classify_op(PlannerInfo *root, RelOptInfo *rel, OpExpr *op, int *source,
			int *strategy)
{
	Node *left;
	Node *right;
	Oid opno = op->opno;
	const StreamColumn *col;

	if (list_length(op->args) != 2)
		return false;
	left = linitial(op->args);
	right = lsecond(op->args);
	col = metadata_column(left, rel);
	if (col == NULL)
	{
		Node *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
		col = metadata_column(left, rel);
	}
	if (col == NULL || !OidIsValid(opno) || !is_value(root, right))
		return false;
	*source = col->source;
	*strategy = operator_strategy(opno, col->type);
	return *strategy != 0 && narrows(col, *strategy, exprType(right));
}

/* Classify "partition = ANY (array)". */
static bool
classify_any(PlannerInfo *root, RelOptInfo *rel, ScalarArrayOpExpr *op,
			 int *source, int *strategy)
{
	const StreamColumn *col = metadata_column(linitial(op->args), rel);
	Node *array = lsecond(op->args);

	if (!op->useOr || col == NULL || col->source != STREAM_SRC_PARTITION ||
		!is_value(root, array) ||
		!is_integer(get_element_type(exprType(array))) ||
		operator_strategy(op->opno, col->type) != BTEqualStrategyNumber)
		return false;
	*source = col->source;
	*strategy = PUSHED_ANY;
	return true;
}

/* Collect the clauses that narrow the read. */
static void
collect_pushed(PlannerInfo *root, RelOptInfo *rel, List *clauses, List **pushed,
			   List **kinds)
{
	ListCell *lc;

	foreach(lc, clauses)
	{
		Node *clause = lfirst(lc);
		int source;
		int strategy;
		bool good = false;

		if (IsA(clause, OpExpr))
			good = classify_op(root, rel, (OpExpr *) clause, &source, &strategy);
		else if (IsA(clause, ScalarArrayOpExpr))
			good = classify_any(root, rel, (ScalarArrayOpExpr *) clause,
								&source, &strategy);
		if (!good)
			continue;
		*pushed = lappend(*pushed, clause);
		*kinds = lappend_int(lappend_int(*kinds, source), strategy);
	}
}

/* weir_fdw_value_side: what the column of a pushed clause is compared with. */
Expr *
weir_fdw_value_side(Expr *clause)
{
	List *args = IsA(clause, OpExpr) ? ((OpExpr *) clause)->args
									 : ((ScalarArrayOpExpr *) clause)->args;
	Node *left = strip_relabel(linitial(args));

	return IsA(left, Var) ? lsecond(args) : linitial(args);
}

/* --- plan ---------------------------------------------------------------- */

/* The attributes that the query needs of this relation. */
static List *
needed_attributes(RelOptInfo *rel)
{
	const StreamDef *def = rel->fdw_private;
	Bitmapset *attrs = NULL;
	List *result = NIL;
	ListCell *lc;
	bool all;
	int i;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause,
					   rel->relid, &attrs);
	all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
	for (i = 1; i <= def->ncolumns; i++)
	{
		if (def->columns[i - 1].source != STREAM_SRC_DROPPED &&
			(all || bms_is_member(i - FirstLowInvalidHeapAttributeNumber, attrs)))
			result = lappend_int(result, i);
	}
	return result;
}

/* weir_fdw_plan: all quals are rechecked; some also narrow the read. */
ForeignScan *
weir_fdw_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
			  ForeignPath *path, List *tlist, List *clauses, Plan *outer_plan)
{
	List *quals = extract_actual_clauses(clauses, false);
	List *pushed = NIL;
	List *kinds = NIL;
	List *private;

	collect_pushed(root, baserel, quals, &pushed, &kinds);
	private = list_make3(needed_attributes(baserel), kinds,
						 list_make1_oid(baserel->userid));
	return make_foreignscan(tlist, quals, baserel->relid, pushed, private, NIL,
							NIL, outer_plan);
}
