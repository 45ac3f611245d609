/*
 * plan/refuse.c
 *		Queries that cannot be a continuous view, by their shape.
 *
 * A table of shapes, looked through in order, then the FROM clause.  Every
 * refusal says what is refused, why, and what to write instead.  Runs wherever
 * a plan is made; what a view once was accepted with cannot be refused later,
 * except after an upgrade.
 */
#include "plan/plan_internal.h"

#include "access/sysattr.h"
#include "catalog/heap.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

typedef struct Refusal
{
	bool (*applies)(const Query *query);
	const char *message;
	const char *detail;
	const char *hint;
} Refusal;

static bool
has_set_operations(const Query *query)
{
	return query->setOperations != NULL;
}

static bool
has_with(const Query *query)
{
	return query->cteList != NIL;
}

static bool
has_distinct(const Query *query)
{
	return query->distinctClause != NIL;
}

static bool
has_order_by(const Query *query)
{
	return query->sortClause != NIL;
}

static bool
has_limit(const Query *query)
{
	return query->limitCount != NULL || query->limitOffset != NULL;
}

static bool
has_window_functions(const Query *query)
{
	return query->hasWindowFuncs || query->windowClause != NIL;
}

static bool
has_grouping_sets(const Query *query)
{
	return query->groupingSets != NIL;
}

/* returns_set_walker: does node call a function that returns a set, no window? */
static bool
returns_set_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if ((IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset &&
		 !plan_is_window(node)) ||
		(IsA(node, OpExpr) && ((OpExpr *) node)->opretset))
		return true;
	return expression_tree_walker(node, returns_set_walker, context);
}

static bool
has_set_returning(const Query *query)
{
	return query->hasTargetSRFs &&
		   returns_set_walker((Node *) query->targetList, NULL);
}

static bool
has_sublinks(const Query *query)
{
	return query->hasSubLinks;
}

static const Refusal refusals[] = {
	{has_set_operations,
	 "UNION, INTERSECT and EXCEPT are not supported in a continuous view",
	 "A continuous view is one query over one stream.",
	 "Create a continuous view for each branch, and an ordinary view that combines them."},
	{has_with, "WITH is not supported in a continuous view",
	 "A continuous view is one query over one stream.",
	 "Write the query without WITH, directly over the stream."},
	{has_window_functions,
	 "window functions are not supported in a continuous view",
	 "They need other rows, which may still come.",
	 "Use OVER when you read the view."},
	{has_distinct, "DISTINCT is not supported in a continuous view",
	 "It would need all rows that there have been.",
	 "Use GROUP BY with a window instead, or DISTINCT when you read the view."},
	{has_order_by, "ORDER BY is not supported in a continuous view",
	 "A continuous view is a relation: its rows have no order.",
	 "Leave it out, and use ORDER BY when you read the view."},
	{has_limit, "LIMIT and OFFSET are not supported in a continuous view",
	 "A continuous view keeps all of its rows.",
	 "Leave it out, and use LIMIT when you read the view."},
	{has_grouping_sets,
	 "GROUPING SETS, ROLLUP and CUBE are not supported in a continuous view",
	 "A continuous view has one list of grouping keys.",
	 "Create a continuous view for each list of keys, or aggregate further when you read the view."},
	{has_set_returning,
	 "set-returning functions are not supported in a continuous view",
	 "Each record or group has exactly one row.",
	 "Use the set-returning function when you read the view."},
	{has_sublinks, "subqueries are not supported in a continuous view",
	 "Their result would change without any event.",
	 "Join with other tables when you read the view."},
};

/* refuse_from: raise for a FROM clause that is not one relation. */
static void
refuse_from(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
			 errdetail("A continuous view reads exactly one stream."),
			 errhint("%s", hint)));
}

/* refuse_relation: raise for a relation that is no stream. */
static void
refuse_relation(const RangeTblEntry *rte)
{
	char *name = get_rel_name(rte->relid);

	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("relation \"%s\" is not a stream", name ? name : ""),
			 errdetail(
				 "A continuous view reads a foreign table on a server of the foreign-data wrapper \"weir\"."),
			 errhint(
				 "Define the stream with CREATE FOREIGN TABLE ... SERVER ... OPTIONS (topic '...'), and select from that.")));
}

/* joined_stream: among the items of FROM the one that is a stream. */
static int
joined_stream(const Query *query)
{
	Relids rts = weir_relids_in_jointree((Node *) query->jointree);
	int found = 0;
	int rt = -1;

	while ((rt = bms_next_member(rts, rt)) >= 0)
	{
		const RangeTblEntry *rte = rt_fetch(rt, query->rtable);

		if (rte->rtekind != RTE_RELATION || !weir_is_stream(rte->relid))
			continue;
		if (found)
			refuse_from("joins of two streams are not supported in a continuous view",
						"Create a continuous view for each stream, and join these.");
		found = rt;
	}
	if (!found)
		refuse_from("a continuous view needs a stream in FROM",
					"Select from a foreign table that reads a Kafka topic.");
	return found;
}

/* check_from: the only item of FROM, which must be a stream. */
static RangeTblEntry *
check_from(Query *query, int *rtindex)
{
	List *from = query->jointree->fromlist;
	RangeTblEntry *rte;

	if (from == NIL)
		refuse_from("a continuous view needs a stream in FROM",
					"Select from a foreign table that reads a Kafka topic.");
	*rtindex = plan_is_join(query) ? joined_stream(query)
								   : linitial_node(RangeTblRef, from)->rtindex;
	rte = rt_fetch(*rtindex, query->rtable);

	if (rte->rtekind == RTE_SUBQUERY)
		refuse_from("subqueries in FROM are not supported in a continuous view",
					"Select from the stream directly; expressions may stand in WHERE, GROUP BY and the select list.");
	if (rte->rtekind != RTE_RELATION)
		refuse_from("a continuous view cannot read from a function or a list of values",
					"Select from a foreign table that reads a Kafka topic.");
	if (rte->tablesample != NULL)
		refuse_from("TABLESAMPLE is not supported in a continuous view",
					"Filter with WHERE.");
	if (!weir_is_stream(rte->relid))
		refuse_relation(rte);
	if (rte->inh && has_subclass(rte->relid))
		refuse_from("streams with child tables are not supported in a continuous view",
					"Create a continuous view for each stream.");
	return rte;
}

void
plan_check_clauses(const Query *query)
{
	int i;

	for (i = 0; i < lengthof(refusals); i++)
	{
		const Refusal *r = &refusals[i];

		if (r->applies(query))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("%s", r->message),
							errdetail("%s", r->detail), errhint("%s", r->hint)));
	}
}

RangeTblEntry *
plan_check_shape(Query *query, int *rtindex)
{
	plan_check_clauses(query);
	return check_from(query, rtindex);
}

/* refuse_system_column: raise for a Var that is no column of a message. */
static void
refuse_system_column(const Var *var, const StreamDef *stream)
{
	if (var->varattno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("whole rows are not supported in a continuous view"),
				 errdetail("The query uses stream \"%s\" as a value.",
						   stream->relname),
				 errhint("Name the columns that are needed, such as %s.%s.",
						 stream->relname,
						 stream->ncolumns > 0 ? stream->columns[0].name
											  : "column")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("system column \"%s\" is not supported in a continuous view",
					NameStr(SystemAttributeDefinition(var->varattno)->attname)),
			 errdetail("Messages have no system columns."),
			 errhint(
				 "Declare a column with the option metadata 'partition' or 'offset' to identify messages.")));
}

static bool
check_columns_walker(Node *node, void *stream)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		refuse_system_column((Var *) node, stream);
	return expression_tree_walker(node, check_columns_walker, stream);
}

void
plan_check_columns(Node *node, const StreamDef *stream)
{
	(void) check_columns_walker(node, unconstify(StreamDef *, stream));
}
