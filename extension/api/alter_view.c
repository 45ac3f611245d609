/*
 * api/alter_view.c
 *		weir.alter_view: what can be changed of a view without computing it anew.
 *
 * Backends, in the user's transaction.  The lane's coordinator hears of it when
 * the transaction commits; retention and memory limits count from then on, while
 * everything runs.  What workers have taken over (keep_late) needs a new
 * generation: the view leaves its lane with a checkpoint, and comes back.
 *
 * The other arguments of weir.create_view are taken, too, to be refused with a
 * reason: their names are what a user would try.
 */
#include "base/weir.h"

#include "api/alter_view.h"
#include "api/control.h"
#include "api/hooks.h"
#include "api/memory_limit.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(weir_alter_view);

/* Arguments of weir.alter_view. */
enum
{
	ARG_VIEW,
	ARG_RETENTION,
	ARG_KEEP_LATE,
	ARG_MEMORY_LIMIT,
	ARG_ON_MEMORY_LIMIT,
	ARG_QUERY,
	ARG_START,
	ARG_LATENESS,
	ARG_NOTIFY,
	ARG_TTL
};

/* A length in us; raises if it is none that a view can have. */
static int64
read_length(const Interval *interval, const char *what, const char *hint)
{
	int64 us;

	if (interval->month != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must not have months", what),
						errhint("Months have no common length; use days.")));
	if (interval->day > 36525 ||
		interval->time > INT64CONST(36525) * USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must not exceed 100 years", what)));
	us = interval->time + interval->day * USECS_PER_DAY;
	if (interval->day < -36525 || us <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be greater than zero", what),
						errhint("%s", hint)));
	return us;
}

int64
weir_read_retention(const Interval *interval)
{
	return read_length(interval, "retention",
					   "Without a retention final windows are kept for ever.");
}

int64
weir_read_ttl(const Interval *interval)
{
	return read_length(interval, "ttl", "Without a ttl totals never end.");
}

/* "none", or the text of a value. */
static bool
says_none(FunctionCallInfo fcinfo, int arg, char **value)
{
	*value = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	return strcmp(*value, "none") == 0;
}

static void
read_retention(ViewRow *row, FunctionCallInfo fcinfo)
{
	char *text;

	if (PG_ARGISNULL(ARG_RETENTION))
		return;
	row->retention = says_none(fcinfo, ARG_RETENTION, &text)
						 ? 0
						 : weir_read_retention(DatumGetIntervalP(
							   DirectFunctionCall3(interval_in,
												   CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1))));
}

void
weir_check_append(const ViewRow *row)
{
	if (!weir_is_append(row) || (row->retention == 0 && !row->keep_late &&
								 row->memory_limit == 0 && row->notify == NULL))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg(
				 "retention, keep_late, memory_limit and notify are for views with groups"),
			 errdetail(
				 "The query has no aggregates: each record is written as it comes.")));
}

char *
weir_read_channel(text *channel)
{
	char *name = text_to_cstring(channel);

	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a channel has a name of 1 to %d bytes",
							   NAMEDATALEN - 1)));
	return name;
}

char *
weir_read_notify(text *channel)
{
	char *name = weir_read_channel(channel);

	return strcmp(name, "none") == 0 ? NULL : name;
}

void
weir_check_final(const ViewRow *row, const ViewPlan *plan)
{
	if (weir_windows_close(&plan->window))
		return;
	if (row->retention > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a view without a window has no retention"),
						errdetail("Nothing of it ever becomes final.")));
	if (row->notify)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a view without a window has no closings to notify"),
				 errdetail("Nothing of it ever becomes final."),
				 errhint("Group by a window, such as weir.tumble.")));
}

static void
read_memory_limit(ViewRow *row, FunctionCallInfo fcinfo)
{
	char *text;
	int64 before = row->memory_limit;

	if (PG_ARGISNULL(ARG_MEMORY_LIMIT))
	{
		weir_read_limit(row, fcinfo, ARG_MEMORY_LIMIT);
		row->memory_limit = before;
	}
	else if (says_none(fcinfo, ARG_MEMORY_LIMIT, &text))
		row->memory_limit = 0;
	else
		weir_read_limit(row, fcinfo, ARG_MEMORY_LIMIT);
}

static void
refuse(FunctionCallInfo fcinfo, int arg, const char *what, const char *hint)
{
	if (!PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the %s of a continuous view cannot be changed", what),
				 errdetail("What is final was computed with it."),
				 errhint("%s", hint)));
}

Datum
weir_alter_view(PG_FUNCTION_ARGS)
{
	static const char make_another[] =
		"Make another view beside it with weir.create_view, and drop this one.";
	ViewRow *row;
	bool keep_late;

	if (PG_ARGISNULL(ARG_VIEW))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("view must not be NULL")));
	refuse(fcinfo, ARG_QUERY, "query", make_another);
	refuse(fcinfo, ARG_LATENESS, "lateness", make_another);
	refuse(fcinfo, ARG_START, "start",
		   "weir.reset computes the view anew from another start.");
	if (!PG_ARGISNULL(ARG_TTL))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the ttl of a continuous view cannot be changed"),
						errdetail("Totals have begun and ended by it."),
						errhint("%s", make_another)));
	row = weir_controlled_view(PG_GETARG_OID(ARG_VIEW));
	keep_late = row->keep_late;
	read_retention(row, fcinfo);
	read_memory_limit(row, fcinfo);
	if (!PG_ARGISNULL(ARG_KEEP_LATE))
		row->keep_late = PG_GETARG_BOOL(ARG_KEEP_LATE);
	if (!PG_ARGISNULL(ARG_NOTIFY))
		row->notify = weir_read_notify(PG_GETARG_TEXT_PP(ARG_NOTIFY));
	weir_check_append(row);
	if (!PG_ARGISNULL(ARG_RETENTION) || !PG_ARGISNULL(ARG_NOTIFY))
		weir_check_final(row, weir_plan_of(row));
	weir_view_set_options(row);
	if (row->keep_late != keep_late)
		weir_view_begin_anew(row->id);
	weir_notify_at_commit();
	PG_RETURN_VOID();
}
