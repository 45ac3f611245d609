/*
 * api/advance.c
 *		weir.advance_watermark: close windows by hand.
 *
 * Backends, in the user's transaction.  What is wanted is stored with the view's
 * progress; the coordinator closes up to there with the first checkpoint after
 * the commit (worker/closing.c).  A view that does not run takes it over when it
 * starts, before its first record.  A transaction that rolls back has done
 * nothing.
 */
#include "base/weir.h"

#include "api/control.h"
#include "api/hooks.h"
#include "base/clock.h"
#include "catalog/extension.h"
#include "catalog/stream.h"
#include "miscadmin.h"
#include "shmem/shmem.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(weir_advance_watermark);

/* An event cannot be further ahead of the clock than max_ahead. */
static void
check_upto(Oid stream, TimestampTz upto)
{
	StreamDef *def = weir_stream_load(stream, weir_relation_owner(stream));
	TimestampTz now = weir_clock_wall();

	if (upto <= now || upto - now <= def->max_ahead)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("upto is further ahead of the clock than any event may be"),
			 errdetail(
				 "All events that come before then would be late; the stream's option \"max_ahead\" says how far ahead they may be."),
			 errhint("Give a time that the events to be closed have reached.")));
}

static void
advance_view(Oid relid, TimestampTz upto)
{
	ViewRow *row = weir_controlled_view(relid);

	if (weir_is_append(row))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("continuous view \"%s\" has no windows",
							   get_rel_name(row->view)),
						errdetail("It writes each row as it comes."),
						errhint("Name a view with windows, or the stream.")));
	check_upto(row->stream, upto);
	if (!weir_progress_advance(row->id, upto))
		ereport(NOTICE,
				(errmsg("the watermark of continuous view \"%s\" is there already",
						get_rel_name(row->view))));
}

/* Of a view, and of those over it, for which the same events are late then. */
static void
advance_views(Oid relid, TimestampTz upto)
{
	ListCell *lc;

	advance_view(relid, upto);
	foreach(lc, weir_views_over(relid))
		advance_views(((ViewRow *) lfirst(lc))->view, upto);
}

/* The views (of int: ids) that run with the stream now: in its main lane. */
static List *
views_of_main_lane(Oid stream)
{
	int32 ids[WEIR_LANE_VIEWS];
	int n = 0;
	int lane;
	List *views = NIL;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	lane = weir_lane_main(MyDatabaseId, stream);
	if (lane >= 0 && weir_lane_is_behind(&weir_registry->lanes[lane]))
		lane = -1;
	for (int i = 0; lane >= 0 && i < weir_registry->lanes[lane].nviews; i++)
	{
		int slot = weir_registry->lanes[lane].views[i];

		if (slot >= 0 && weir_registry->views[slot].live)
			ids[n++] = weir_registry->views[slot].view;
	}
	LWLockRelease(&weir_registry->lock);
	for (int i = 0; i < n; i++)
		views = lappend_int(views, ids[i]);
	list_sort(views, list_int_cmp);
	return views;
}

static void
advance_stream(Oid stream, TimestampTz upto)
{
	List *views = views_of_main_lane(stream);
	int advanced = 0;
	ListCell *lc;

	foreach(lc, views)
	{
		ViewRow *row = weir_view_load(lfirst_int(lc));

		if (row == NULL)
			continue;
		advance_view(row->view, upto);
		advanced++;
	}
	if (advanced == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no continuous view runs with stream \"%s\" now",
						get_rel_name(stream)),
				 errdetail(
					 "Views that are paused, in error, starting or catching up are not advanced with their stream."),
				 errhint("Name a view to advance it in any state.")));
}

Datum
weir_advance_watermark(PG_FUNCTION_ARGS)
{
	Oid target;
	TimestampTz upto;

	weir_require_preload();
	weir_require_version();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("target and upto must not be NULL")));
	target = PG_GETARG_OID(0);
	upto = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(upto))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("upto must be a finite time")));
	if (weir_is_stream(target))
		advance_stream(target, upto);
	else
		advance_views(target, upto);
	weir_notify_at_commit();
	PG_RETURN_VOID();
}
