/*
 * plan/alert.c
 *		From the condition of an alert to a statement (see alert.h).
 *
 * Called by the backend that creates an alert, to check it, and by the coordinator.
 * The condition is SQL of the view's owner and is run as that owner, so it can do
 * nothing that he could not do otherwise.
 */
#include "base/weir.h"

#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "plan/alert.h"
#include "utils/builtins.h"

/* Is an output column a key of GROUP BY, as it is? */
static bool
is_key(const ViewPlan *plan, int column)
{
	const Var *var = (const Var *) plan->out[column];

	return IsA(var, Var) && var->varattno >= 2 &&
		   var->varattno < plan->nkeys + 2;
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

SPIPlanPtr
weir_alert_prepare(const ViewPlan *plan, const char *condition,
				   const char *clear)
{
	Oid *types = palloc(sizeof(Oid) * plan->nout);
	char *keys = columns(plan, true);
	StringInfoData sql;
	SPIPlanPtr query;

	for (int i = 0; i < plan->nout; i++)
		types[i] = TupleDescAttr(plan->outdesc, i)->atttypid;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT (\n%s\n)::pg_catalog.bool, (\n%s\n)::pg_catalog.bool, ",
					 condition, clear ? clear : "NULL");
	if (keys[0])
		appendStringInfo(&sql,
						 "(SELECT pg_catalog.to_jsonb(k)::pg_catalog.text FROM (SELECT %s) k), ",
						 keys);
	else
		appendStringInfoString(&sql, "'{}'::pg_catalog.text, ");
	appendStringInfo(&sql,
					 "pg_catalog.to_jsonb(weir_row)::pg_catalog.text FROM (SELECT %s) weir_row",
					 columns(plan, false));
	query = SPI_prepare(sql.data, plan->nout, types);
	if (query == NULL)
		elog(ERROR, "could not prepare: %s", sql.data);
	return query;
}
