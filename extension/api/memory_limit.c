/*
 * api/memory_limit.c
 *		weir.set_memory_limit: how much shared memory a view may have.
 *
 * Backends, in the user's transaction.  The lane's coordinator hears of it when
 * the transaction commits and sets the limit in shared memory: nothing starts
 * anew, and a view that waits for memory goes on.
 */
#include "base/weir.h"

#include "api/alter_view.h"
#include "api/control.h"
#include "api/hooks.h"
#include "api/memory_limit.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(weir_set_memory_limit);

#define LEAST_LIMIT (1024 * 1024)

static int64
read_size(text *size)
{
	int64 bytes = DatumGetInt64(
		DirectFunctionCall1(pg_size_bytes, PointerGetDatum(size)));

	if (bytes < LEAST_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("memory_limit must be at least 1 MB"),
				 errhint(
					 "Write a size with its unit, such as '64 MB'; NULL is no limit of the view's own.")));
	return bytes;
}

static bool
read_action(text *action)
{
	char *s = text_to_cstring(action);

	if (strcmp(s, "wait") != 0 && strcmp(s, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_memory_limit must be \"wait\" or \"error\"")));
	return strcmp(s, "error") == 0;
}

void
weir_read_limit(ViewRow *row, FunctionCallInfo fcinfo, int first)
{
	row->memory_limit = PG_ARGISNULL(first)
							? 0
							: read_size(PG_GETARG_TEXT_PP(first));
	if (!PG_ARGISNULL(first + 1))
		row->stops_at_limit = read_action(PG_GETARG_TEXT_PP(first + 1));
}

Datum
weir_set_memory_limit(PG_FUNCTION_ARGS)
{
	ViewRow *row;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("view must not be NULL")));
	row = weir_controlled_view(PG_GETARG_OID(0));
	weir_read_limit(row, fcinfo, 1);
	weir_check_append(row);
	weir_view_set_options(row);
	weir_notify_at_commit();
	PG_RETURN_VOID();
}
