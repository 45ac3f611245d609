/*
 * api/control.c
 *		weir.pause, resume and reset, and what happens when relations of a view
 *		are dropped otherwise.
 *
 * Backends, in the user's transaction: they change the catalog and raise the
 * view's generation, which the checkpoint under way finds (catalog/progress.c);
 * the launcher hears of it when the transaction commits.  A transaction that
 * rolls back has done nothing.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "api/cascade.h"
#include "api/control.h"
#include "api/hooks.h"
#include "api/place_check.h"
#include "base/fault.h"
#include "catalog/access.h"
#include "catalog/dependency.h"
#include "catalog/extension.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/place.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "catalog/view.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "plan/plan.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(weir_pause);
PG_FUNCTION_INFO_V1(weir_resume);
PG_FUNCTION_INFO_V1(weir_reset);
PG_FUNCTION_INFO_V1(weir_on_drop);

static ViewRow *
lock_view(Oid relid, bool admin)
{
	ViewRow *row;

	weir_require_preload();
	weir_require_version();
	PreventCommandDuringRecovery("a change of continuous views");
	PreventCommandIfReadOnly("a change of continuous views");
	PushActiveSnapshot(GetLatestSnapshot());
	row = weir_view_require(relid);
	PopActiveSnapshot();
	if (!has_privs_of_role(GetUserId(), row->owner) && !admin)
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, get_rel_name(relid));
	row = weir_view_lock(row->id);
	if (row == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the continuous view was dropped meanwhile")));
	return row;
}

ViewRow *
weir_controlled_view(Oid relid)
{
	return lock_view(relid, weir_is_admin());
}

ViewRow *
weir_owned_view(Oid relid)
{
	return lock_view(relid, false);
}

ViewPlan *
weir_plan_of(const ViewRow *row)
{
	WeirUser before = weir_become_owner(row->owner);
	int nest = weir_settings_enter(row);
	ViewPlan *plan = weir_plan_view(row->query, row->ttl);

	weir_settings_leave(nest);
	weir_become_again(before);
	return plan;
}

Datum
weir_pause(PG_FUNCTION_ARGS)
{
	ViewRow *row = weir_controlled_view(PG_GETARG_OID(0));

	if (strcmp(row->state, "paused") == 0)
		ereport(NOTICE, (errmsg("continuous view \"%s\" is paused already",
								get_rel_name(row->view))));
	else
		weir_view_set_state(row->id, "paused", NULL);
	WEIR_FAULT("pause-stored");
	weir_notify_at_commit();
	PG_RETURN_VOID();
}

/*
 * Open windows are kept as bytes.  Of a view that comes from elsewhere they can
 * be used only if none of its types has values that hold OIDs.
 */
static void
check_portable(const ViewRow *row)
{
	ProgressRow *progress = weir_progress_load(row->id);

	if (progress == NULL || progress->chunks == 0)
		return;
	weir_plan_require_portable(weir_plan_of(row), get_rel_name(row->view));
}

Datum
weir_resume(PG_FUNCTION_ARGS)
{
	ViewRow *row = weir_controlled_view(PG_GETARG_OID(0));

	if (strcmp(row->state, "running") == 0 && row->home)
		ereport(NOTICE, (errmsg("continuous view \"%s\" is running already",
								get_rel_name(row->view))));
	else
	{
		if (!row->home)
			check_portable(row);
		weir_view_set_state(row->id, "running", NULL);
		weir_view_set_home(row->id);
	}
	WEIR_FAULT("resume-stored");
	weir_notify_at_commit();
	PG_RETURN_VOID();
}

/* As the owner, whoever calls: triggers of the table are the owner's. */
static void
delete_final(const ViewRow *row)
{
	char *final = quote_qualified_identifier(get_namespace_name(
												 get_rel_namespace(row->final)),
											 get_rel_name(row->final));
	WeirUser before = weir_become_owner(row->owner);
	int nest = weir_settings_enter(row);

	SPI_connect();
	weir_spi(psprintf("DELETE FROM %s", final), 0, NULL, NULL, NULL,
			 SPI_OK_DELETE);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(before);
}

/* The end that reset gives the view: as it was, "none", or a place. */
static void
take_until(ViewRow *row, FunctionCallInfo fcinfo, int arg)
{
	text *until = PG_ARGISNULL(arg) ? NULL : PG_GETARG_TEXT_PP(arg);

	if (until && strcmp(text_to_cstring(until), "none") == 0)
		row->until = NULL;
	else if (until)
		row->until = weir_read_until(until);
}

/* The view begins anew, and so do those over it: what they are made of is gone. */
static void
reset_view(ViewRow *row, bool sets_until)
{
	ListCell *lc;

	weir_view_set_places(row);
	weir_progress_reset(row->id);
	weir_view_set_home(row->id);
	if (strcmp(row->state, "paused") != 0)
		weir_view_set_state(row->id, "running", NULL);

	WEIR_FAULT("reset-stored");
	delete_final(row);
	foreach(lc, weir_views_over(row->view))
	{
		ViewRow *over = weir_controlled_view(((ViewRow *) lfirst(lc))->view);

		over->start = row->start;
		if (sets_until)
			over->until = row->until;
		reset_view(over, sets_until);
	}
}

Datum
weir_reset(PG_FUNCTION_ARGS)
{
	ViewRow *row;
	StreamDef *stream;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("view and start must not be NULL")));
	row = weir_controlled_view(PG_GETARG_OID(0));
	row->start = weir_place_normal("start",
								   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	take_until(row, fcinfo, 2);
	stream = weir_stream_load(row->stream, weir_relation_owner(row->stream));
	if (row->start[0] == '{')
		weir_check_place(stream, "start", row->start);
	if (!PG_ARGISNULL(2))
		weir_check_until(stream, row->until);
	reset_view(row, !PG_ARGISNULL(2));
	weir_notify_at_commit();
	PG_RETURN_VOID();
}

/* --- DROP of what belongs to a view ------------------------------------------------- */

static void
add_if_there(ObjectAddresses *objects, Oid relid)
{
	ObjectAddress a;

	if (get_rel_name(relid) == NULL)
		return;
	ObjectAddressSet(a, RelationRelationId, relid);
	add_exact_object_address(&a, objects);
}

/* Did the statement that dropped something say CASCADE? */
static DropBehavior
said_behavior(const EventTriggerData *trigger)
{
	Node *stmt = trigger->parsetree;
	ListCell *lc;

	if (stmt && IsA(stmt, DropStmt))
		return ((DropStmt *) stmt)->behavior;
	if (stmt && IsA(stmt, DropOwnedStmt))
		return ((DropOwnedStmt *) stmt)->behavior;
	if (stmt && IsA(stmt, AlterTableStmt))
		foreach(lc, ((AlterTableStmt *) stmt)->cmds)
			if (((AlterTableCmd *) lfirst(lc))->behavior == DROP_CASCADE)
				return DROP_CASCADE;
	return DROP_RESTRICT;
}

/*
 * What is left of a view, in one go, since its relations depend on each other.
 * Objects of users that depend on them go only if the statement said CASCADE.
 */
static void
drop_rest(const ViewRow *row, DropBehavior behavior)
{
	ObjectAddresses *objects = new_object_addresses();

	add_if_there(objects, row->view);
	add_if_there(objects, row->query);
	add_if_there(objects, row->open);
	if (!weir_is_append(row))
		add_if_there(objects, row->final);
	performMultipleDeletions(objects, behavior, 0);
	free_object_addresses(objects);
	CommandCounterIncrement();
}

/*
 * The views over a view that goes: with it if the statement said CASCADE.  What
 * they are is known to the catalog only, as after a restore.
 */
static void
drop_over(const ViewRow *row, DropBehavior behavior)
{
	ListCell *lc;

	if (behavior != DROP_CASCADE)
	{
		weir_refuse_to_drop(row);
		return;
	}
	foreach(lc, weir_views_over(row->view))
	{
		const ViewRow *over = lfirst(lc);

		ereport(NOTICE,
				(errmsg("drop cascades to continuous view \"%s\"", over->name)));
		weir_view_delete(over->id);
		drop_over(over, behavior);
		drop_rest(over, behavior);
	}
}

/* What is kept of messages of streams that were dropped. */
static void
delete_of_streams(void)
{
	weir_spi("WITH s AS (SELECT objid FROM pg_catalog.pg_event_trigger_dropped_objects() "
			 "WHERE object_type = 'foreign table'), "
			 "d AS (DELETE FROM weir.dead_letter_log USING s WHERE stream = s.objid), "
			 "l AS (DELETE FROM weir.late_event_log USING s WHERE stream = s.objid) "
			 "DELETE FROM weir.skip_log USING s WHERE stream = s.objid",
			 0, NULL, NULL, NULL, SPI_OK_DELETE);
}

/*
 * Relations of a continuous view were dropped, by whatever statement: drop the
 * rest of it and its row.  The rest's own event finds no row any more.  Of a stream
 * there are messages that were kept.
 */
Datum
weir_on_drop(PG_FUNCTION_ARGS)
{
	int n;
	int32 *ids;
	char **names; /* of views that are gone themselves */
	ViewRow **rows;
	WeirUser user;
	DropBehavior behavior;
	bool isnull;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("weir.on_drop is an event trigger function")));
	if (!OidIsValid(
			get_relname_relid("views", get_namespace_oid(WEIR_SCHEMA, true))))
		PG_RETURN_NULL();

	behavior = said_behavior((EventTriggerData *) fcinfo->context);
	user = weir_become_system();
	SPI_connect();
	weir_spi("SELECT v.id, max(o.object_name) FILTER (WHERE o.objid = v.view) "
			 "FROM pg_catalog.pg_event_trigger_dropped_objects() o "
			 "JOIN weir.views v ON o.objid IN (v.view, v.query, v.final, v.open) "
			 "WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objsubid = 0 GROUP BY 1",
			 0, NULL, NULL, NULL, SPI_OK_SELECT);
	n = (int) SPI_processed;
	ids = palloc(sizeof(int32) * Max(n, 1));
	rows = palloc(sizeof(ViewRow *) * Max(n, 1));
	names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		ids[i] = DatumGetInt32(weir_spi_get(i, 1, &isnull));
		names[i] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
	}
	for (int i = 0; i < n; i++)
	{
		rows[i] = weir_view_load(ids[i]);
		if (rows[i] && names[i])
			rows[i]->name = names[i];
		if (rows[i])
			weir_view_delete(ids[i]);
	}
	for (int i = 0; i < n; i++)
		if (rows[i])
		{
			drop_over(rows[i], behavior);
			drop_rest(rows[i], behavior);
		}
	delete_of_streams();
	SPI_finish();
	weir_become_again(user);
	if (n > 0)
		weir_notify_at_commit();
	PG_RETURN_NULL();
}
