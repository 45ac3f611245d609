/*
 * plan/join.c
 *		A stream joined with tables: FROM, and the part of WHERE that is about
 *		tables, become a query of their own.
 *
 * A worker runs that query over each batch (exec/join.c).  What it returns is the
 * batch again, with further columns; so everything else of the view is planned as
 * if the stream had these.  Tables are read from copies, which are renewed now and
 * then, hence the query has none of the catalog's relations: each is an ephemeral
 * named relation.
 *
 * Runs before Vars are renumbered: the stream is rtindex of the query still.
 */
#include "plan/plan_internal.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define BATCH_NAME "weir_batch"

typedef struct JoinContext
{
	JoinPlan *join;
	Index stream;
	List *extras; /* of Var, as in the query; their columns in this order */
} JoinContext;

/* --- refusals --------------------------------------------------------------------- */

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
			 errdetail(
				 "A continuous view reads one stream, which may be joined with tables."),
			 errhint("%s", hint)));
}

/* Does the subquery read a stream, or a table that only it sees? */
static bool
reads_stream(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			   weir_is_stream(((RangeTblEntry *) node)->relid);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_stream, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_stream, context);
}

static void
check_table(const RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_RELATION && rte->rtekind != RTE_SUBQUERY)
		refuse("a continuous view cannot join its stream with a function or a list of values",
			   "Join with a table, a view or a subquery.");
	if (rte->lateral)
		refuse("LATERAL is not supported in a continuous view",
			   "Join with a subquery that stands for itself.");
	if (rte->tablesample != NULL)
		refuse("TABLESAMPLE is not supported in a continuous view",
			   "Filter with WHERE.");
	if (rte->rtekind == RTE_SUBQUERY &&
		reads_stream((Node *) rte->subquery, NULL))
		refuse("joins of two streams are not supported in a continuous view",
			   "Create a continuous view for each stream, and join these.");
	if (rte->rtekind == RTE_SUBQUERY)
		plan_check_functions((Node *) rte->subquery);
}

/* --- the items of FROM ------------------------------------------------------------- */

/* Relations below node, in rts; raises if the stream may be missing in a row. */
static void
collect_relations(const Query *query, Node *node, Index stream, bool nullable,
				  Bitmapset **rts)
{
	if (IsA(node, RangeTblRef))
	{
		Index rt = ((RangeTblRef *) node)->rtindex;

		if (rt == stream && nullable)
			refuse("the stream cannot be on the nullable side of an outer join in a continuous view",
				   "Which rows of the table have no event is never known; write stream LEFT JOIN table.");
		*rts = bms_add_member(*rts, rt);
	}
	else if (IsA(node, FromExpr))
	{
		ListCell *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
			collect_relations(query, lfirst(lc), stream, nullable, rts);
	}
	else
	{
		JoinExpr *j = castNode(JoinExpr, node);
		bool full = j->jointype == JOIN_FULL;

		collect_relations(query, j->larg, stream,
						  nullable || full || j->jointype == JOIN_RIGHT, rts);
		collect_relations(query, j->rarg, stream,
						  nullable || full || j->jointype == JOIN_LEFT, rts);
	}
}

static TupleDesc
table_desc(const RangeTblEntry *rte)
{
	Relation rel;
	TupleDesc desc;

	if (rte->rtekind == RTE_SUBQUERY)
		return ExecCleanTypeFromTL(rte->subquery->targetList);
	rel = table_open(rte->relid, AccessShareLock);
	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	table_close(rel, NoLock);
	return desc;
}

static void
add_table(JoinPlan *join, const Query *query, Index rt)
{
	const RangeTblEntry *rte = rt_fetch(rt, query->rtable);
	JoinTable *t = &join->tables[join->ntables++];

	check_table(rte);
	t->name = psprintf("weir_table_%u", rt);
	t->rtindex = rt;
	t->relid = rte->rtekind == RTE_RELATION ? rte->relid : InvalidOid;
	t->subquery = rte->subquery;
	t->desc = table_desc(rte);
}

/* The stream as it is, and one more column: the number of the record. */
static TupleDesc
batch_desc(TupleDesc stream)
{
	TupleDesc desc = CreateTemplateTupleDesc(stream->natts + 1);

	for (int i = 1; i <= stream->natts; i++)
		TupleDescCopyEntry(desc, i, stream, i);
	TupleDescInitEntry(desc, stream->natts + 1, "weir_record", INT4OID, -1, 0);
	return desc;
}

/* Make the range table entry one of an ephemeral named relation. */
static void
make_named(RangeTblEntry *rte, char *name, TupleDesc desc, double tuples)
{
	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->relid = InvalidOid;
	rte->subquery = NULL;
	rte->inh = false;
	rte->enrname = name;
	rte->enrtuples = tuples;
	rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	/* The relation may have more columns than when the query was written. */
	while (list_length(rte->eref->colnames) < desc->natts)
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(pstrdup("x")));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);

		rte->coltypes = lappend_oid(rte->coltypes,
									a->attisdropped ? InvalidOid : a->atttypid);
		rte->coltypmods = lappend_int(rte->coltypmods, a->atttypmod);
		rte->colcollations = lappend_oid(rte->colcollations, a->attcollation);
	}
	weir_forget_permissions(rte);
}

/* --- columns ------------------------------------------------------------------------ */

static AttrNumber
extra_column(JoinContext *cxt, Var *var)
{
	ListCell *lc;

	foreach(lc, cxt->extras)
	{
		const Var *v = lfirst_node(Var, lc);

		if (v->varno == var->varno && v->varattno == var->varattno)
			return cxt->join->natts + foreach_current_index(lc) + 1;
	}
	cxt->extras = lappend(cxt->extras, copyObject(var));
	return cxt->join->natts + list_length(cxt->extras);
}

/* Columns of tables become further ones of the stream. */
static Node *
extra_mutator(Node *node, void *context)
{
	JoinContext *cxt = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno != cxt->stream)
	{
		Var *var = (Var *) node;

		if (var->varattno <= 0)
			refuse("whole rows and system columns of tables are not supported in a continuous view",
				   "Name the columns that are needed.");
		return (Node *) makeVar(cxt->stream, extra_column(cxt, var),
								var->vartype, var->vartypmod, var->varcollid, 0);
	}
	return expression_tree_mutator(node, extra_mutator, context);
}

/* Conditions on the stream alone stay, and come first; others are the join's. */
static void
split_where(JoinContext *cxt, Query *query)
{
	List *quals = make_ands_implicit((Expr *) query->jointree->quals);
	List *own = NIL;
	List *joining = NIL;
	ListCell *lc;

	foreach(lc, quals)
	{
		Bitmapset *rts = pull_varnos(NULL, lfirst(lc));

		if (bms_is_empty(rts) || (bms_membership(rts) == BMS_SINGLETON &&
								  bms_is_member(cxt->stream, rts)))
			own = lappend(own, lfirst(lc));
		else
			joining = lappend(joining, lfirst(lc));
	}
	query->jointree->quals = own ? (Node *) make_ands_explicit(own) : NULL;
	cxt->join->query->jointree->quals = joining ? (Node *) make_ands_explicit(
													  joining)
												: NULL;
}

/* What the join's query shows: the record's number, and the further columns. */
static void
make_targets(JoinContext *cxt)
{
	Query *q = cxt->join->query;
	ListCell *lc;
	Var *number = makeVar(cxt->stream, cxt->join->natts + 1, INT4OID, -1,
						  InvalidOid, 0);

	q->targetList = list_make1(
		makeTargetEntry((Expr *) number, 1, "weir_record", false));
	foreach(lc, cxt->extras)
		q->targetList = lappend(q->targetList,
								makeTargetEntry(copyObject(lfirst(lc)),
												foreach_current_index(lc) + 2,
												"x", false));
}

static TupleDesc
joined_desc(const JoinContext *cxt, TupleDesc stream)
{
	TupleDesc desc = CreateTemplateTupleDesc(stream->natts +
											 list_length(cxt->extras));
	ListCell *lc;

	for (int i = 1; i <= stream->natts; i++)
		TupleDescCopyEntry(desc, i, stream, i);
	foreach(lc, cxt->extras)
	{
		const Var *v = lfirst_node(Var, lc);
		AttrNumber a = stream->natts + foreach_current_index(lc) + 1;

		TupleDescInitEntry(desc, a, "x", v->vartype, v->vartypmod, 0);
		TupleDescInitEntryCollation(desc, a, v->varcollid);
	}
	return desc;
}

/* Which columns of each copy does the join's query read? */
static Bitmapset *
columns_of(const Query *q, Index rt)
{
	Bitmapset *attnos = NULL;
	Bitmapset *columns = NULL;
	int member = -1;

	pull_varattnos((Node *) q->targetList, rt, &attnos);
	pull_varattnos((Node *) q->jointree, rt, &attnos);
	while ((member = bms_next_member(attnos, member)) >= 0)
	{
		int attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno <= 0)
			refuse("whole rows and system columns are not supported in a continuous view",
				   "Name the columns that are needed.");
		columns = bms_add_member(columns, attno);
	}
	return columns;
}

/* --- putting it together --------------------------------------------------------------- */

static void
flatten_aliases(Query *query)
{
	query->targetList = (List *)
		weir_flatten_join_alias_vars(query, (Node *) query->targetList);
	query->jointree = (FromExpr *)
		weir_flatten_join_alias_vars(query, (Node *) query->jointree);
	query->havingQual = weir_flatten_join_alias_vars(query, query->havingQual);
}

/* The query, without all that is not FROM. */
static Query *
bare_copy(Query *query)
{
	Query *q = copyObject(query);

	q->hasAggs = false;
	q->groupClause = NIL;
	q->havingQual = NULL;
	q->targetList = NIL;
	weir_forget_all_permissions(q);
	return q;
}

bool
plan_is_join(const Query *query)
{
	List *from = query->jointree->fromlist;

	return list_length(from) > 1 || (from && IsA(linitial(from), JoinExpr));
}

void
plan_join(PlanContext *cxt, Index stream)
{
	Query *query = cxt->query;
	JoinPlan *join = palloc0(sizeof(JoinPlan));
	JoinContext jc = {.join = join, .stream = stream};
	RangeTblEntry *rte = rt_fetch(stream, query->rtable);
	TupleDesc desc = table_desc(rte);
	Bitmapset *rts = NULL;
	int rt = -1;

	flatten_aliases(query);
	collect_relations(query, (Node *) query->jointree, stream, false, &rts);
	join->natts = desc->natts;
	join->stream = stream;
	join->batch = batch_desc(desc);
	join->tables = palloc0(sizeof(JoinTable) * bms_num_members(rts));
	join->query = bare_copy(query);
	split_where(&jc, query);
	query->targetList = (List *) extra_mutator((Node *) query->targetList, &jc);
	query->havingQual = extra_mutator(query->havingQual, &jc);
	make_targets(&jc);
	plan_check_functions((Node *) join->query->jointree);
	while ((rt = bms_next_member(rts, rt)) >= 0)
		if (rt != stream)
			add_table(join, query, rt);
	for (int i = 0; i < join->ntables; i++)
	{
		JoinTable *t = &join->tables[i];

		t->columns = columns_of(join->query, t->rtindex);
		make_named(rt_fetch(t->rtindex, join->query->rtable), t->name, t->desc,
				   1000);
	}
	join->columns = bms_del_member(columns_of(join->query, stream),
								   desc->natts + 1);
	make_named(rt_fetch(stream, join->query->rtable), BATCH_NAME, join->batch,
			   1e8);
	join->desc = joined_desc(&jc, desc);
	cxt->plan->join = join;
	cxt->plan->columns = bms_copy(join->columns);
	cxt->plan->needs_snapshot = true;
}
