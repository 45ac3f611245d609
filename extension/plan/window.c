/*
 * plan/window.c
 *		The window of a query: which call it is, over what, how long.
 *
 * The window functions are known by their OIDs: a function of that name in the
 * extension's schema with the arguments that the extension gave it.  Other
 * functions named tumble are nobody's business.
 */
#include "plan/plan_internal.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "plan/interval.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The windows of a later version: refused by name. */
static const char *const later_windows[] = {"hop", "cumulate", "session"};

int64
weir_interval_length(const Interval *interval)
{
	int64 days;
	int64 length;

	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a window's size cannot have months or years"),
				 errdetail("Months have no common length."),
				 errhint(
					 "Use days, hours, minutes or seconds, such as '30 days'.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, interval->time, &length))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("interval out of range"),
				 errdetail("A window's size must fit 64 bits of microseconds."),
				 errhint("Use a shorter interval.")));
	if (length <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a window's size must be greater than zero"),
				 errdetail("The size is %s.",
						   DatumGetCString(
							   DirectFunctionCall1(interval_out,
												   IntervalPGetDatum(interval)))),
				 errhint("Use a positive interval, such as '10 seconds'.")));
	return length;
}

/* weir_function: the name of a function of the extension's schema, or NULL. */
static char *
weir_function(Oid funcid)
{
	Oid schema = get_namespace_oid(WEIR_SCHEMA, true);

	if (!OidIsValid(schema) || get_func_namespace(funcid) != schema)
		return NULL;
	return get_func_name(funcid);
}

bool
plan_is_tumble(Node *node)
{
	char *name;
	Oid *types;
	int ntypes;

	if (node == NULL || !IsA(node, FuncExpr))
		return false;
	name = weir_function(((FuncExpr *) node)->funcid);
	if (name == NULL || strcmp(name, "tumble") != 0)
		return false;
	(void) get_func_signature(((FuncExpr *) node)->funcid, &types, &ntypes);
	return (ntypes == 2 || ntypes == 3) &&
		   (types[0] == TIMESTAMPTZOID || types[0] == TIMESTAMPOID) &&
		   types[1] == INTERVALOID && (ntypes == 2 || types[2] == types[0]);
}

static bool
check_windows_walker(Node *node, void *context)
{
	char *name;
	int i;

	if (node == NULL)
		return false;
	name = IsA(node, FuncExpr) ? weir_function(((FuncExpr *) node)->funcid)
							   : NULL;
	for (i = 0; name != NULL && i < lengthof(later_windows); i++)
	{
		if (strcmp(name, later_windows[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("weir.%s is not supported in a continuous view yet",
							name),
					 errdetail("Continuous views have tumbling windows only."),
					 errhint("Use weir.tumble(event_time, size).")));
	}
	return expression_tree_walker(node, check_windows_walker, context);
}

void
plan_check_windows(Node *node)
{
	(void) check_windows_walker(node, NULL);
}

/* event_time_name: the column that is the event time, or NULL. */
static const char *
event_time_name(const StreamDef *stream)
{
	int i;

	if (stream->event_time > 0)
		return stream->columns[stream->event_time - 1].name;
	for (i = 0; i < stream->ncolumns; i++)
	{
		if (stream->columns[i].source == STREAM_SRC_TIMESTAMP)
			return stream->columns[i].name;
	}
	return NULL;
}

/* is_event_time: is expr the stream's event time, nothing else? */
static bool
is_event_time(const Node *expr, const StreamDef *stream)
{
	AttrNumber attno;

	if (!IsA(expr, Var) || ((const Var *) expr)->varno != PLAN_VARNO)
		return false;
	attno = ((const Var *) expr)->varattno;
	if (stream->event_time > 0)
		return attno == stream->event_time;
	return attno > 0 && attno <= stream->ncolumns &&
		   stream->columns[attno - 1].source == STREAM_SRC_TIMESTAMP;
}

/* check_event_time: raise if the window is over anything else. */
static void
check_event_time(const Node *expr, const StreamDef *stream)
{
	const char *name = event_time_name(stream);

	if (is_event_time(expr, stream))
		return;
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the window must be over the event time of stream \"%s\"",
						stream->relname),
				 errdetail(
					 "The stream's event time is Kafka's timestamp, and no column has it."),
				 errhint(
					 "Set the stream's option event_time to a column, or add a column of type timestamp with time zone with the option metadata 'timestamp'.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the window must be over the event time of stream \"%s\"",
					stream->relname),
			 errdetail("The stream's event time is column \"%s\".", name),
			 errhint("Write weir.tumble(%s, ...), or set the stream's option event_time to the column that you mean.",
					 quote_identifier(name))));
}

/* refuse_argument: raise for a size or origin that varies, or is NULL. */
static void
refuse_argument(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the size and origin of a window must be constants"),
			 errdetail("All windows of a continuous view are alike."),
			 errhint("Write literals, such as weir.tumble(ts, '10 seconds').")));
}

/* constant_argument: argument n of the window's call, which must be one. */
static Datum
constant_argument(const FuncExpr *call, int n)
{
	Node *arg = list_nth(call->args, n);

	if (!IsA(arg, Const) || ((Const *) arg)->constisnull)
		refuse_argument();
	return ((Const *) arg)->constvalue;
}

void
plan_window(PlanContext *cxt)
{
	WindowSpec *window = &cxt->plan->window;
	FuncExpr *call;

	if (cxt->window == NULL)
	{
		window->kind = WINDOW_NONE;
		window->type = TIMESTAMPTZOID;
		return;
	}
	check_event_time(linitial(cxt->window->args), cxt->stream);

	cxt->plan->needs_time = true;
	/* fills in the default of origin, too; with a NULL it is one itself */
	call = (FuncExpr *) eval_const_expressions(NULL, (Node *) cxt->window);
	if (!IsA(call, FuncExpr))
		refuse_argument();
	window->kind = WINDOW_TUMBLE;
	window->type = call->funcresulttype;
	window->size = weir_interval_length(
		DatumGetIntervalP(constant_argument(call, 1)));
	window->origin = -WEIR_EPOCH_SHIFT;
	if (list_length(call->args) > 2)
		window->origin = DatumGetTimestampTz(constant_argument(call, 2));
	if (TIMESTAMP_NOT_FINITE(window->origin))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a window's origin cannot be infinite"),
				 errdetail(
					 "Windows begin at the origin and at every multiple of their size from it."),
				 errhint("Use a finite timestamp, or leave the origin out.")));
}
