/*
 * plan/alert.c
 *		From the condition of an alert to a statement (see alert.h).
 *
 * Called by the backend that creates an alert, to check it, and by the coordinator.
 * The condition is SQL of the view's owner and is run as that owner, so it can do
 * nothing that he could not do otherwise.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parser.h"
#include "plan/alert.h"
#include "utils/builtins.h"
#include "utils/plancache.h"

/* Is an output column a key of GROUP BY, as it is? */
static bool
is_key(const ViewPlan *plan, int column)
{
	const Var *var = (const Var *) plan->out[column];

	return IsA(var, Var) && var->varattno >= 2 &&
		   var->varattno < plan->nkeys + 2;
}

/* Of all columns, and of the window's name. */
static Oid *
column_types(const ViewPlan *plan)
{
	Oid *types = palloc(sizeof(Oid) * (plan->nout + 1));

	for (int i = 0; i < plan->nout; i++)
		types[i] = TupleDescAttr(plan->outdesc, i)->atttypid;
	types[plan->nout] = INT8OID;
	return types;
}

/* "$1 AS name, ..." of all columns, or of the keys only. */
static char *
columns(const ViewPlan *plan, bool keys)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < plan->nout; i++)
		if (!keys || is_key(plan, i))
			appendStringInfo(&s, "%s$%d AS %s", s.len ? ", " : "", i + 1,
							 quote_identifier(NameStr(
								 TupleDescAttr(plan->outdesc, i)->attname)));
	return s.data;
}

/* An error's position is one in the condition. */
static void
show_condition(void *condition)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(condition);
}

/* Alone, it is an expression: what it is pasted into keeps its form. */
static void
check_expression(const char *condition)
{
	ErrorContextCallback context = {.callback = show_condition,
									.arg = unconstify(char *, condition)};
	SelectStmt *plain = makeNode(SelectStmt);
	const SelectStmt *parsed;
	List *statements;

	context.previous = error_context_stack;
	error_context_stack = &context;
	statements = raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = context.previous;
	parsed = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	plain->targetList = parsed->targetList;
	if (list_length(plain->targetList) != 1 || !equal(parsed, plain) ||
		linitial_node(ResTarget, plain->targetList)->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the condition of an alert must be one expression"),
				 errdetail("It is \"%s\".", condition)));
}

/* Raise if the statement calls what may do something, or differ from call to call. */
static void
refuse_volatile(SPIPlanPtr statement, const char *condition)
{
	const CachedPlanSource *source = linitial(
		SPI_plan_get_plan_sources(statement));

	if (contain_volatile_functions((Node *) source->query_list))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "volatile functions are not supported in the condition of an alert"),
				 errdetail("It is \"%s\".", condition),
				 errhint(
					 "Use functions that are immutable or stable, or mark them so if they are.")));
}

void
weir_alert_check(const ViewPlan *plan, const char *condition)
{
	SPIPlanPtr statement;
	char *sql;

	check_expression(condition);
	sql = psprintf("SELECT FROM (SELECT %s) weir_row WHERE (\n%s\n)",
				   columns(plan, false), condition);
	statement = SPI_prepare(sql, plan->nout, column_types(plan));
	if (statement == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	refuse_volatile(statement, condition);
}

SPIPlanPtr
weir_alert_prepare(const ViewPlan *plan, const char *condition,
				   const char *clear)
{
	char *keys = columns(plan, true);
	StringInfoData sql;
	SPIPlanPtr query;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (\n%s\n) IS TRUE, (\n%s\n) IS TRUE, ",
					 condition, clear ? clear : "NULL");
	if (keys[0])
		appendStringInfo(&sql,
						 "(SELECT pg_catalog.to_jsonb(weir_keys)::pg_catalog.text FROM (SELECT %s) weir_keys), ",
						 keys);
	else
		appendStringInfoString(&sql, "'{}'::pg_catalog.text, ");
	appendStringInfo(&sql,
					 "pg_catalog.to_jsonb(weir_row)::pg_catalog.text, $%d FROM (SELECT %s) weir_row",
					 plan->nout + 1, columns(plan, false));
	query = SPI_prepare(sql.data, plan->nout + 1, column_types(plan));
	if (query == NULL)
		elog(ERROR, "could not prepare: %s", sql.data);
	return query;
}
