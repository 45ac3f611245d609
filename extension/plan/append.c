/*
 * plan/append.c
 *		A query without groups: each record that WHERE lets through is a row.
 *
 * Nothing is kept in memory and there are no windows, so all expressions are
 * over the stream.  What cannot be done a row at a time has a refusal of its own
 * (refuse.c).
 */
#include "plan/plan_internal.h"

#include "executor/executor.h"

/* plan_is_append: does the query keep rows, instead of groups of them? */
bool
plan_is_append(const Query *query)
{
	return !query->hasAggs && query->groupClause == NIL &&
		   query->groupingSets == NIL && query->havingQual == NULL;
}

/* plan_append: the select list. */
void
plan_append(PlanContext *cxt)
{
	ViewPlan *plan = cxt->plan;
	List *targets = cxt->query->targetList;
	ListCell *lc;

	if (targets == NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view needs at least one column"),
						errdetail("The query shows nothing of the records."),
						errhint("Name the columns that are to be kept.")));
	plan->append = true;
	plan->window.all.kind = WW_NONE;
	plan->window_out = -1;
	plan->out = palloc0(list_length(targets) * sizeof(Expr *));
	plan->out_attno = palloc0(list_length(targets) * sizeof(AttrNumber));
	foreach(lc, targets)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		Expr *expr;

		if (tle->resjunk)
			continue;
		expr = plan_stream_expr(cxt, tle->expr);
		plan->out_attno[plan->nout] = plan_plain_column(expr);
		plan->out[plan->nout++] = expr;
	}
	plan->outdesc = ExecCleanTypeFromTL(targets);
}
