/*
 * plan/functions.c
 *		Functions that a continuous view cannot call.
 *
 * A view must give the same when its topic is read again, after a crash or by
 * the batch query.  So volatile functions are out, and the stable ones whose
 * result depends on the moment, the session or its settings.  Stable functions
 * that depend on TimeZone, DateStyle, IntervalStyle or search_path are fine:
 * these are frozen when the view is defined.
 *
 * Built-in functions are recognised by name among those that initdb made, as
 * the macros of fmgroids.h change when a function is overloaded.
 */
#include "plan/plan_internal.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

typedef struct MomentFunction
{
	const char *name;
	int nargs; /* -1: any */
} MomentFunction;

/* Stable built-in functions of the moment, the session or the server. */
static const MomentFunction moment_functions[] = {
	{"now", 0},
	{"transaction_timestamp", 0},
	{"statement_timestamp", 0},
	{"age", 1},
	{"mxid_age", 1},
	{"current_setting", -1},
	{"current_user", 0},
	{"session_user", 0},
	{"current_database", 0},
	{"current_schema", 0},
	{"current_schemas", 1},
	{"current_query", 0},
	{"version", 0},
	{"inet_client_addr", 0},
	{"inet_client_port", 0},
	{"inet_server_addr", 0},
	{"inet_server_port", 0},
	{"pg_backend_pid", 0},
	{"pg_conf_load_time", 0},
	{"pg_postmaster_start_time", 0},
	{"pg_current_xact_id", 0},
	{"pg_current_xact_id_if_assigned", 0},
	{"pg_current_snapshot", 0},
	{"pg_visible_in_snapshot", -1},
	{"pg_my_temp_schema", 0},
	{"pg_is_other_temp_schema", 1},
	{"pg_trigger_depth", 0},
	{"pg_blocking_pids", 1},
	{"pg_safe_snapshot_blocking_pids", 1},
	{"txid_current", 0},
	{"txid_current_if_assigned", 0},
	{"txid_current_snapshot", 0},
	{"row_security_active", 1},
};

/*
 * Conversions that take today's date for the offset of a zone: timetz(time)
 * and time with time zone AT TIME ZONE 'name'.
 */
static bool
depends_on_today(Oid funcid)
{
	return funcid == F_TIMETZ_TIME || funcid == F_TIMEZONE_TEXT_TIMETZ;
}

/* is_moment_function: is it in the table above? */
static bool
is_moment_function(Oid funcid, const char *name)
{
	int i;

	if (funcid >= FirstGenbkiObjectId)
		return false;
	if (depends_on_today(funcid))
		return true;
	for (i = 0; i < lengthof(moment_functions); i++)
	{
		const MomentFunction *f = &moment_functions[i];

		if (strcmp(f->name, name) == 0 &&
			(f->nargs < 0 || f->nargs == get_func_nargs(funcid)))
			return true;
	}
	return false;
}

/* refuse_moment: raise for a function of the moment. */
static void
refuse_moment(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported in a continuous view", name),
			 errdetail(
				 "Its result depends on the moment or the session, so that reading the topic again would give something else."),
			 errhint(
				 "Use the event time or another column of the stream, or filter when you read the view.")));
}

/* check_function: raise for a function, by its OID; false otherwise. */
static bool
check_function(Oid funcid, void *context)
{
	char volatility = func_volatile(funcid);
	char *name = get_func_name(funcid);

	if (name == NULL)
		return false;
	if (volatility != PROVOLATILE_IMMUTABLE && is_moment_function(funcid, name))
		refuse_moment(psprintf("function %s()", name));
	if (volatility == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("volatile function %s() is not supported in a continuous view",
						name),
				 errdetail(
					 "Its result may differ from call to call, so that reading the topic again would give something else."),
				 errhint(
					 "Use a function that is immutable or stable, or mark it so if it is.")));
	return false;
}

/* value_function_name: as it is written in SQL. */
static const char *
value_function_name(SQLValueFunctionOp op)
{
	switch (op)
	{
		case SVFOP_CURRENT_DATE:
			return "CURRENT_DATE";
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			return "CURRENT_TIME";
		case SVFOP_CURRENT_TIMESTAMP:
		case SVFOP_CURRENT_TIMESTAMP_N:
			return "CURRENT_TIMESTAMP";
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			return "LOCALTIME";
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return "LOCALTIMESTAMP";
		case SVFOP_CURRENT_ROLE:
			return "CURRENT_ROLE";
		case SVFOP_CURRENT_USER:
			return "CURRENT_USER";
		case SVFOP_USER:
			return "USER";
		case SVFOP_SESSION_USER:
			return "SESSION_USER";
		case SVFOP_CURRENT_CATALOG:
			return "CURRENT_CATALOG";
		case SVFOP_CURRENT_SCHEMA:
			return "CURRENT_SCHEMA";
	}
	return "a function of the session";
}

static bool
check_functions_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		refuse_moment(value_function_name(((SQLValueFunction *) node)->op));
	if (IsA(node, GroupingFunc))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("GROUPING is not supported in a continuous view"),
				 errdetail("A continuous view has one list of grouping keys."),
				 errhint("Leave it out: without grouping sets it is always 0.")));
	(void) check_functions_in_node(node, check_function, context);
	return expression_tree_walker(node, check_functions_walker, context);
}

void
plan_check_functions(Node *node)
{
	(void) check_functions_walker(node, NULL);
}
