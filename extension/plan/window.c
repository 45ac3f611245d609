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
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
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
read_tumble(WindowSpec *window, const FuncExpr *call, const WindowFunction *f)
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

/* read_window: what a call says. */
static void
read_window(FuncExpr *call, WindowSpec *window)
{
	const WindowFunction *f = window_function((Node *) call);

	/* fills in the default of origin, too; with a NULL it is one itself */
	call = (FuncExpr *) eval_const_expressions(NULL, (Node *) call);
	if (!IsA(call, FuncExpr))
		refuse_argument();
	window->result = call->funcresulttype;
	window->type = exprType(linitial(call->args));
	if (f->kind == WW_TUMBLE)
	{
		read_tumble(window, call, f);
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

/* --- windows over windows -------------------------------------------------------- */

/* innermost: what the window, and those that it is over, are over in the end. */
static Node *
innermost(Node *call)
{
	while (plan_is_window(call))
		call = linitial(((FuncExpr *) call)->args);
	return call;
}

/* starts_inner: does a window of inner begin where the first one of outer does? */
static bool
starts_inner(const WindowSpec *outer, const WindowSpec *inner)
{
	WwPane start;
	WwPane pane;

	return weir_window_pane(outer, 0, &start) &&
		   weir_window_pane(inner, start.from, &pane) && pane.from == start.from;
}

/*
 * nests: does each window of outer consist of whole windows of inner?  Clocks of
 * time zones differ from UTC by multiples of a quarter of an hour (long ago by
 * others, which exec/apply_window.c allows for).
 */
static bool
nests(const WindowSpec *outer, const WindowSpec *inner)
{
	const WeirCalendar *o = &outer->calendar;
	const WeirCalendar *i = &inner->calendar;
	int64 size = inner->all.size;

	if (!outer->by_date && !inner->by_date)
		return outer->all.size % size == 0 && outer->all.step % size == 0 &&
			   (outer->all.origin - inner->all.origin) % size == 0;
	if (!inner->by_date)
		return (o->zone ? 15 * USECS_PER_MINUTE : USECS_PER_DAY) % size == 0 &&
			   inner->all.origin % size == 0 && starts_inner(outer, inner);
	if (!outer->by_date || o->zone != i->zone)
		return false;
	if (i->months)
		return o->months && o->months % i->months == 0 &&
			   starts_inner(outer, inner);
	return (i->days == 1 || (o->days && o->days % i->days == 0)) &&
		   starts_inner(outer, inner);
}

static void
check_nesting(const WindowSpec *outer, const WindowSpec *inner)
{
	if (outer->all.kind == WW_SESSION || inner->all.kind != WW_TUMBLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "only tumbling windows can make up others, and no sessions"),
				 errdetail(
					 "Each window must consist of whole ones of those below, which do not overlap."),
				 errhint("Use the stream instead of the view over it.")));
	if (outer->type != inner->result || !nests(outer, inner))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the windows do not consist of whole windows below"),
				 errdetail(
					 "Each must begin and end where one of those does that it is made of."),
				 errhint(
					 "Choose a size (and slide, or step) that is a multiple of the size below, with an origin where a window begins there; below days and months the size must divide 15 minutes.")));
}

/* plan_nested: cxt->plan->inner, of a window over another or of weir.in_time. */
static void
plan_nested(PlanContext *cxt)
{
	ViewPlan *plan = cxt->plan;
	WindowSpec outer = plan->window;
	Node *arg = cxt->window ? linitial(cxt->window->args) : NULL;
	FuncExpr *first = NULL;

	for (; arg && plan_is_window(arg); arg = linitial(((FuncExpr *) arg)->args))
	{
		memset(&plan->inner, 0, sizeof(plan->inner));
		read_window((FuncExpr *) arg, &plan->inner);
		check_nesting(&outer, &plan->inner);
		outer = plan->inner;
	}
	if (cxt->in_time == NULL)
		return;
	for (arg = (Node *) cxt->in_time; plan_is_window(arg);
		 arg = linitial(((FuncExpr *) arg)->args))
		first = (FuncExpr *) arg;
	check_event_time(arg, cxt->stream);
	memset(&plan->inner, 0, sizeof(plan->inner));
	read_window(first, &plan->inner);
	/* Without a window all time is one. */
	if (cxt->window == NULL)
		outer = plan->inner;
	check_nesting(&outer, &plan->inner);
}

void
plan_window(PlanContext *cxt)
{
	WindowSpec *window = &cxt->plan->window;

	if (cxt->window)
	{
		check_event_time(innermost((Node *) cxt->window), cxt->stream);
		read_window(cxt->window, window);
	}
	else
	{
		window->all = (WwSpec){.kind = WW_NONE, .step = 1};
		window->type = window->result = TIMESTAMPTZOID;
	}
	plan_nested(cxt);
	cxt->plan->needs_time = cxt->window || cxt->in_time;
}

/* --- weir.in_time ------------------------------------------------------------------- */

Node *
plan_in_time_argument(Node *node)
{
	char *name = IsA(node, FuncExpr) ? weir_function(((FuncExpr *) node)->funcid)
									 : NULL;

	return name && strcmp(name, "in_time") == 0
			   ? linitial(((FuncExpr *) node)->args)
			   : NULL;
}

Expr *
plan_in_time(FuncExpr *window)
{
	Oid type = window->funcresulttype;
	Oid function = LookupFuncName(list_make2(makeString(WEIR_SCHEMA),
											 makeString("in_time")),
								  1, &type, false);

	return (Expr *) makeFuncExpr(function, BOOLOID, list_make1(window),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

static void
refuse_ttl(const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("ttl is for running totals: groups without a window"),
					errdetail("%s", detail), errhint("%s", hint)));
}

/*
 * plan_time_to_live: the total of a key since its last silence of that length is
 * its open session with such a gap.
 */
void
plan_time_to_live(ViewPlan *plan, int64 ttl)
{
	if (plan->append)
		refuse_ttl("The query has no aggregates: each record is a row.",
				   "Leave ttl out.");
	if (plan->window.all.kind != WW_NONE || plan->inner.all.kind != WW_NONE)
		refuse_ttl("The query has a window, whose groups end by themselves.",
				   "Leave ttl out, or the window.");
	if (plan->one_row)
		refuse_ttl("The query has no GROUP BY, and always one row.",
				   "Leave ttl out, or add keys to GROUP BY.");
	plan->window.all = (WwSpec){.kind = WW_SESSION, .size = ttl, .step = ttl};
	plan->window.ttl = true;
	plan->needs_time = true;
}
