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
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "plan/interval.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The windows of a later version: refused by name. */
/* Windows that a record may be in at most. */
#define MAX_OVERLAP 10000

/*
 * The windows that there are: argument numbers of their sizes and origin; 0:
 * none.
 */
typedef struct WindowFunction
{
	const char *name;
	WwKind kind;
	const char *size_name;
	int size;
	int step;
	const char *step_name;
	int origin;
	int zone; /* 0: none */
} WindowFunction;

static const WindowFunction window_functions[] = {
	{"tumble", WW_TUMBLE, "size", 1, 0, NULL, 2, 3},
	{"hop", WW_HOP, "size", 1, 2, "slide", 3, 0},
	{"cumulate", WW_CUMULATE, "size", 2, 1, "step", 3, 0},
	{"session", WW_SESSION, "gap", 1, 0, NULL, 0, 0},
};

/* weir_function: the name of a function of the extension's schema, or NULL. */
static char *
weir_function(Oid funcid)
{
	Oid schema = get_namespace_oid(WEIR_SCHEMA, true);

	if (!OidIsValid(schema) || get_func_namespace(funcid) != schema)
		return NULL;
	return get_func_name(funcid);
}

/* window_function: which one node calls, or NULL. */
static const WindowFunction *
window_function(Node *node)
{
	char *name;
	Oid *types;
	int ntypes;
	int i;

	if (node == NULL || !IsA(node, FuncExpr))
		return NULL;
	name = weir_function(((FuncExpr *) node)->funcid);
	if (name == NULL)
		return NULL;
	(void) get_func_signature(((FuncExpr *) node)->funcid, &types, &ntypes);
	if (ntypes < 2 || (types[0] != TIMESTAMPTZOID && types[0] != TIMESTAMPOID) ||
		types[1] != INTERVALOID)
		return NULL;
	for (i = 0; i < lengthof(window_functions); i++)
	{
		if (strcmp(name, window_functions[i].name) == 0)
			return &window_functions[i];
	}
	return NULL;
}

bool
plan_is_window(Node *node)
{
	return window_function(node) != NULL;
}

static bool
calls_session(Node *node, void *context)
{
	const WindowFunction *f = window_function(node);

	if (node == NULL)
		return false;
	return (f && f->kind == WW_SESSION) ||
		   expression_tree_walker(node, calls_session, context);
}

void
plan_check_no_session(Node *node)
{
	if (calls_session(node, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("weir.session cannot be used here"),
				 errdetail(
					 "Which session an event is in depends on other events: it is not known before they are grouped."),
				 errhint(
					 "Use it as an item of GROUP BY, and in the select list and HAVING.")));
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

/* length_argument: argument n, as a length. */
static int64
length_argument(const FuncExpr *call, int n, const char *what)
{
	return weir_interval_length(DatumGetIntervalP(constant_argument(call, n)),
								what);
}

/* optional_argument: argument n, or false if there is none, or it is NULL. */
static bool
optional_argument(const FuncExpr *call, int n, Datum *value)
{
	if (n >= list_length(call->args) ||
		(IsA(list_nth(call->args, n), Const) &&
		 list_nth_node(Const, call->args, n)->constisnull))
		return false;
	*value = constant_argument(call, n);
	return true;
}

static void
plan_tumble(WindowSpec *window, const FuncExpr *call, const WindowFunction *f)
{
	Datum origin;
	Datum zone;
	int64 at;
	bool has_origin = optional_argument(call, f->origin, &origin);
	bool has_zone = optional_argument(call, f->zone, &zone);

	if (has_origin)
		at = DatumGetTimestampTz(origin);
	weir_tumble_spec(window, DatumGetIntervalP(constant_argument(call, f->size)),
					 has_origin ? &at : NULL,
					 has_zone ? TextDatumGetCString(zone) : NULL);
}

void
plan_window(PlanContext *cxt)
{
	WindowSpec *window = &cxt->plan->window;
	const WindowFunction *f = window_function((Node *) cxt->window);
	FuncExpr *call;

	if (cxt->window == NULL)
	{
		window->all = (WwSpec){.kind = WW_NONE, .step = 1};
		window->type = window->result = TIMESTAMPTZOID;
		return;
	}
	check_event_time(linitial(cxt->window->args), cxt->stream);

	cxt->plan->needs_time = true;
	/* fills in the default of origin, too; with a NULL it is one itself */
	call = (FuncExpr *) eval_const_expressions(NULL, (Node *) cxt->window);
	if (!IsA(call, FuncExpr))
		refuse_argument();
	window->result = call->funcresulttype;
	window->type = exprType(linitial(call->args));
	if (f->kind == WW_TUMBLE)
	{
		plan_tumble(window, call, f);
		return;
	}
	window->all.kind = f->kind;
	window->all.size = length_argument(call, f->size, f->size_name);
	window->all.step = f->step ? length_argument(call, f->step, f->step_name)
							   : window->all.size;
	if (f->origin)
		window->all.origin = DatumGetTimestampTz(
			constant_argument(call, f->origin));
	weir_check_window(&window->all);
	if (window->all.size / window->all.step > MAX_OVERLAP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event would be in too many windows"),
				 errdetail("In a continuous view an event can be in at most %d windows.",
						   MAX_OVERLAP),
				 errhint("Use a longer %s.", f->step_name)));
}
