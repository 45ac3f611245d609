/*
 * worker/scanner.c
 *		Look at one database: which views should run, and in which lanes.
 *
 * A short-lived process, started by the launcher for each database at start and
 * for one whose catalog changed.  It fills the registry and tells running
 * coordinators to look again; it starts nothing itself.
 *
 * Views of a stream that are at about the same positions share a lane (each
 * skips what it has had), and so do views that have no position yet and begin at
 * the same place: fifty views created from 'earliest' are one lane.  A view that
 * is about where a running lane is joins that lane.  A view that met a memory
 * limit of its own has a lane for itself, and so has each append view.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/fault.h"
#include "catalog/extension.h"
#include "catalog/sink.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "shmem/retired.h"
#include "storage/ipc.h"
#include "utils/snapmgr.h"
#include "worker/lane.h"

typedef struct Candidate
{
	ViewRow *row;
	ProgressRow *progress;
	bool placed;
} Candidate;

static bool
is_placed(int32 view)
{
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (v->used && !v->retired && v->dboid == MyDatabaseId && v->view == view)
			return true;
	}
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *l = &weir_registry->lanes[i];

		if (l->state != LANE_BACKOFF || l->dboid != MyDatabaseId)
			continue;
		for (int k = 0; k < l->nids; k++)
			if (l->ids[k] == view)
				return true;
	}
	return false;
}

/* Has the view a lane for itself?  Registry lock held. */
static bool
is_apart(const Candidate *c)
{
	return weir_is_append(c->row) ||
		   weir_view_is_apart(MyDatabaseId, c->row->id);
}

/* May the two be read together from now on? */
static bool
same_place(const Candidate *a, const Candidate *b)
{
	int64 distance = 0;

	if (a == b)
		return true;
	if (is_apart(a) || is_apart(b))
		return false;
	if (a->row->stream != b->row->stream ||
		a->progress->nparts != b->progress->nparts)
		return false;
	if (a->progress->nparts == 0)
		return strcmp(a->row->start, b->row->start) == 0;
	for (int p = 0; p < a->progress->nparts; p++)
		distance += i64abs(a->progress->parts[p].position -
						   b->progress->parts[p].position);
	return distance <= WEIR_JOIN_DISTANCE;
}

/* A running lane that is about where the view is, or -1.  Registry lock held. */
static int
find_lane(const Candidate *c)
{
	if (is_apart(c))
		return -1;
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *l = &weir_registry->lanes[i];

		if (l->state == LANE_RUNNING && !weir_lane_is_apart(l) &&
			l->dboid == MyDatabaseId && l->stream == c->row->stream &&
			l->nviews < WEIR_LANE_VIEWS && !l->ended &&
			pg_atomic_read_u32(&l->stop) == 0 &&
			weir_lane_distance(l, c->progress->nparts, c->progress->parts) <=
				2 * WEIR_JOIN_DISTANCE)
			return i;
	}
	return -1;
}

/* Registry lock held.  False: no slot is free. */
static bool
place(Candidate *c, int lane_no)
{
	Lane *lane = &weir_registry->lanes[lane_no];
	int slot;

	if (lane->nviews == WEIR_LANE_VIEWS)
		return false;
	slot = weir_view_claim(MyDatabaseId, c->row->id, c->row->view,
						   c->progress->generation, lane_no);
	if (slot < 0)
		return false;
	lane->views[lane->nviews++] = slot;
	lane->ids[lane->nids++] = c->row->id;
	c->placed = true;
	return true;
}

/* Put the view, and those that go with it, into a lane; 1: there is none. */
static int
find_or_make_lane(Candidate *all, int n, int first)
{
	int lane = find_lane(&all[first]);

	if (lane >= 0)
		return place(&all[first], lane) ? 0 : 1;
	lane = weir_lane_claim(MyDatabaseId, all[first].row->stream);
	if (lane < 0)
		return 1;
	weir_registry->lanes[lane].append = weir_is_append(all[first].row);
	for (int i = first; i < n; i++)
		if (!all[i].placed && same_place(&all[first], &all[i]) &&
			!place(&all[i], lane))
			break;
	if (weir_registry->lanes[lane].nviews == 0)
		weir_registry->lanes[lane].state = LANE_FREE;
	return all[first].placed ? 0 : 1;
}

/*
 * Views that are not to run any more, or from other positions: what an earlier
 * lane has left of them is of no use.  Registry lock held.
 */
static void
give_up_retired(const Candidate *all, int n)
{
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];
		bool found = false;

		if (!v->used || !v->retired || v->dboid != MyDatabaseId)
			continue;
		for (int k = 0; k < n && !found; k++)
			found = all[k].row->id == v->view &&
					all[k].progress->generation == v->generation;
		if (!found)
			pg_atomic_write_u32(&v->detached, 1);
	}
}

/* Is there a place for another view?  Registry lock held. */
static bool
any_place(void)
{
	for (int i = 0; i < weir_registry->max_views; i++)
		if (!weir_registry->views[i].used)
			return true;
	return false;
}

/* Returns how many views wait; *crowded: for a place that others have. */
static int
fill_registry(Candidate *all, int n, bool *crowded)
{
	int queued = 0;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
		if (!all[i].placed)
			all[i].placed = is_placed(all[i].row->id);
	for (int i = 0; i < n; i++)
		if (!all[i].placed)
			queued += find_or_make_lane(all, n, i);
	*crowded = queued > 0 && !any_place();
	give_up_retired(all, n);
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *l = &weir_registry->lanes[i];

		if (l->state == LANE_FREE || l->dboid != MyDatabaseId)
			continue;
		pg_atomic_write_u32(&l->recheck, 1);
		if (l->coordinator_latch)
			SetLatch(l->coordinator_latch);
	}
	weir_registry->scanned = MyDatabaseId;
	if (weir_registry->launcher_latch)
		SetLatch(weir_registry->launcher_latch);
	LWLockRelease(&weir_registry->lock);
	return queued;
}

static int
load_candidates(Candidate **result)
{
	List *rows;
	ListCell *lc;
	Candidate *all;
	char *other;
	int n = 0;

	*result = NULL;
	if (weir_sql_version() == NULL)
		return 0;
	if ((other = weir_other_version()) != NULL)
	{
		ereport(LOG,
				(errmsg("continuous views of this database do not run: the library of weir is of version %s, the extension of version %s",
						WEIR_SQL_VERSION, other),
				 errhint(
					 "ALTER EXTENSION weir UPDATE, or restart the server if the library is the older one.")));
		return 0;
	}
	rows = weir_views_load(InvalidOid);
	all = *result = palloc0(sizeof(Candidate) * (list_length(rows) + 1));
	foreach(lc, rows)
	{
		ViewRow *row = lfirst(lc);

		if (strcmp(row->state, "running") != 0 || !row->home)
			continue;
		all[n].row = row;
		all[n].progress = weir_progress_load(row->id);
		if (all[n].progress)
			n++;
	}
	return n;
}

/* Start the database's sender, if there is something for it to do. */
static void
start_sender(void)
{
	BackgroundWorker worker;
	int place;

	if (weir_sql_version() == NULL || weir_other_version() != NULL ||
		weir_sinks_load() == NIL)
		return;
	place = weir_sender_claim(MyDatabaseId);
	if (place < 0)
		return;
	weir_worker_fill(&worker, "weir_sender_main", "weir sender",
					 Int32GetDatum(place));
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(LOG,
				(errmsg("no background worker left to write windows to topics"),
				 errhint("Raise max_worker_processes.")));
}

void
weir_scanner_main(Datum database)
{
	Candidate *all;
	int n;
	int queued;
	bool crowded;

	weir_worker_begin(DatumGetObjectId(database));
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	n = load_candidates(&all);
	WEIR_FAULT("scanner-loaded");
	queued = fill_registry(all, n, &crowded);
	WEIR_FAULT("scanner-filled");
	/* Places that are kept for readers only will be free at once. */
	if (crowded && weir_retired_give_up() > 0)
		weir_notify_launcher(MyDatabaseId);
	else if (queued > 0)
		ereport(WARNING, (errmsg("%d continuous views wait for a lane", queued),
						  errhint("Raise weir.max_lanes or weir.max_views.")));
	start_sender();
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}
