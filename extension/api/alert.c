/*
 * api/alert.c
 *		weir.create_alert and weir.drop_alert.
 *
 * Backends, in the user's transaction.  Checkpoints after its commit see it
 * (checkpoint/alerts.c).  A condition is tried out here, as the view's owner, as
 * far as that goes without a row.
 */
#include "base/weir.h"

#include "api/alter_view.h"
#include "api/control.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "plan/alert.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(weir_create_alert);
PG_FUNCTION_INFO_V1(weir_drop_alert);

/* Arguments of weir.create_alert. */
enum
{
	ARG_NAME,
	ARG_VIEW,
	ARG_CONDITION,
	ARG_CLEAR,
	ARG_WINDOWS,
	ARG_CHANNEL,
	ARG_OPEN,
	NARGS
};

static void
check_condition(const ViewRow *row, const char *condition, const char *clear,
				bool open)
{
	ViewPlan *plan = weir_plan_of(row);
	WeirUser before;
	int nest;

	if (weir_is_append(row) || (!weir_windows_close(&plan->window) && !open))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view \"%s\" cannot have an alert", row->name),
				 errdetail("It has no windows that become final."),
				 weir_is_append(row)
					 ? errhint("Group by a window, such as weir.tumble.")
					 : errhint(
						   "Group by a window, such as weir.tumble, or watch its rows as they are, with windows => 'open'.")));
	before = weir_become_owner(row->owner);
	nest = weir_settings_enter(row);
	SPI_connect();
	weir_alert_check(plan, condition);
	if (clear)
		weir_alert_check(plan, clear);
	(void) weir_alert_prepare(plan, condition, clear);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(before);
}

/* Is it about open windows, too? */
static bool
looks_at_open(FunctionCallInfo fcinfo)
{
	char *windows = text_to_cstring(PG_GETARG_TEXT_PP(ARG_OPEN));

	if (strcmp(windows, "open") != 0 && strcmp(windows, "final") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("windows must be \"final\" or \"open\""),
				 errhint(
					 "With \"open\" the condition is evaluated over open windows, too, at each checkpoint.")));
	return strcmp(windows, "open") == 0;
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	const char *name;

	for (int i = 0; i < NARGS; i++)
		if (i != ARG_CLEAR && PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("only clear_condition may be NULL")));
	if (PG_GETARG_INT32(ARG_WINDOWS) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("for_windows must be at least 1")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("an alert has a name of 1 to %d bytes",
							   NAMEDATALEN - 1)));
	(void) weir_read_channel(PG_GETARG_TEXT_PP(ARG_CHANNEL));
	if (looks_at_open(fcinfo) && PG_GETARG_INT32(ARG_WINDOWS) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("for_windows must be 1 for an alert on open windows"),
				 errdetail(
					 "It fires as soon as the condition is true, while the window is open."),
				 errhint(
					 "Leave for_windows out, or wait for final windows with windows => 'final'.")));
}

/* The view of an alert, or 0. */
static Oid
view_of_alert(Datum name)
{
	WeirUser user = weir_become_system();
	Oid type = TEXTOID;
	Oid view = InvalidOid;
	bool isnull;

	SPI_connect();
	weir_spi("SELECT v.view::pg_catalog.oid FROM weir.alert_defs a "
			 "JOIN weir.views v ON v.id = a.view WHERE a.name = $1",
			 1, &type, &name, NULL, SPI_OK_SELECT);
	if (SPI_processed == 1)
		view = DatumGetObjectId(weir_spi_get(0, 1, &isnull));
	SPI_finish();
	weir_become_again(user);
	return view;
}

static void
store(FunctionCallInfo fcinfo, int32 view)
{
	Oid types[NARGS] = {TEXTOID, INT4OID, TEXTOID, TEXTOID,
						INT4OID, TEXTOID, TEXTOID};
	Datum values[NARGS];
	char nulls[NARGS + 1] = "       ";
	WeirUser user = weir_become_system();

	for (int i = 0; i < NARGS; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	values[ARG_VIEW] = Int32GetDatum(view);
	SPI_connect();
	weir_spi("INSERT INTO weir.alert_defs (name, view, condition, clear_condition, "
			 "for_windows, channel, windows) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			 NARGS, types, values, nulls, SPI_OK_INSERT);
	SPI_finish();
	weir_become_again(user);
}

Datum
weir_create_alert(PG_FUNCTION_ARGS)
{
	ViewRow *row;
	char *clear;

	check_arguments(fcinfo);
	row = weir_owned_view(PG_GETARG_OID(ARG_VIEW));
	clear = PG_ARGISNULL(ARG_CLEAR)
				? NULL
				: text_to_cstring(PG_GETARG_TEXT_PP(ARG_CLEAR));
	if (OidIsValid(view_of_alert(PG_GETARG_DATUM(ARG_NAME))))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("alert \"%s\" already exists",
							   text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME)))));
	check_condition(row, text_to_cstring(PG_GETARG_TEXT_PP(ARG_CONDITION)),
					clear, looks_at_open(fcinfo));
	store(fcinfo, row->id);
	PG_RETURN_VOID();
}

Datum
weir_drop_alert(PG_FUNCTION_ARGS)
{
	Datum name = PG_GETARG_DATUM(0);
	Oid view = view_of_alert(name);
	Oid type = TEXTOID;
	WeirUser user;

	if (!OidIsValid(view))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("alert \"%s\" does not exist",
							   text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	(void) weir_owned_view(view);
	user = weir_become_system();
	SPI_connect();
	weir_spi("DELETE FROM weir.alert_defs WHERE name = $1", 1, &type, &name,
			 NULL, SPI_OK_DELETE);
	SPI_finish();
	weir_become_again(user);
	PG_RETURN_VOID();
}
