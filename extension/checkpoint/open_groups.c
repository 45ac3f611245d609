/*
 * checkpoint/open_groups.c
 *		The groups of a view's open windows (see open_groups.h).
 *
 * Backends, and the coordinator for alerts.  A running view is read from shared
 * memory; one that is not (being started, paused, in error, on a standby), or
 * that started after the snapshot was taken, from the state log as the snapshot
 * sees it.  Both end in a merge of groups, in the memory context of the read.
 */
#include "base/weir.h"

#include "access/xlog.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_groups.h"
#include "exec/overlap.h"
#include "exec/session.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

struct OpenGroups
{
	MemoryContext cxt;
	const ViewRow *row;
	ViewReader *reader;
	MergeTable *merge;     /* windows that are panes each ... */
	OverlapTable *overlap; /* ... or overlap */
	SessionTable *sessions; /* pieces, of which merge gets the sessions, or NULL */
	uint32 next;
	int64 hidden;  /* windows that close up to here are in v_final */
	ReadGone gone; /* what has to be taken from v_final */
};

static void
take_record(void *arg, const PaneWindows *pane, const GroupRecord *record)
{
	OpenGroups *o = arg;

	if (o->sessions)
		weir_sessions_add_record(o->sessions, 0, record);
	else if (o->overlap)
		weir_overlap_add(o->overlap, pane, record);
	else
		weir_merge_add(o->merge, pane->last, record, false);
}

static void
take_session(void *arg, int shard, const GroupRecord *record)
{
	weir_sessions_add_record(arg, shard, record);
}

static void
take_restored(void *arg, const PaneWindows *pane, const char *key,
			  uint32 keylen, const char *state)
{
	OpenGroups *o = arg;
	const StateLayout *layout = &o->reader->layout;
	GroupRecord *r;
	PaneGroup *g = palloc0(offsetof(PaneGroup, state) + layout->size);

	/* The record outlives the pane it was read in. */
	g->key = (char *) key;
	g->keylen = keylen;
	memcpy(g->state, state, layout->size);
	r = MemoryContextAllocHuge(o->cxt, weir_record_size(g, layout));
	weir_record_write(g, layout, (char *) r, weir_record_size(g, layout));
	take_record(o, pane, r);
	pfree(g);
}

static void
read_log(OpenGroups *o)
{
	ProgressRow *p = weir_progress_load(o->row->id);

	if (p && p->chunks > 0 && !o->row->home)
		weir_plan_require_portable(o->reader->plan, o->row->name);
	if (p)
		o->hidden = p->closed_upto;
	if (p && p->chunks > 0)
		weir_state_restore(o->row->id, p->chunks, o->reader, take_restored, o);
}

/* What workers keep is read by the plan they were started with, or not at all. */
static void
check_query(ViewSlot *slot, const OpenGroups *o)
{
	if (weir_view_find(MyDatabaseId, o->row->id) == slot)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the query of continuous view \"%s\" was changed",
						o->row->name),
				 errhint(
					 "Drop the view with weir.drop_view and create it again.")));
}

/* Begin to read, perhaps again. */
static void
forget_read(OpenGroups *o)
{
	if (o->sessions)
		weir_sessions_reset(o->sessions);
	if (o->overlap)
		weir_overlap_reset(o->overlap);
	else
		weir_merge_reset(o->merge);
}

static ReadResult
read_memory(OpenGroups *o, const ViewPlaces *places, Snapshot snapshot)
{
	if (o->sessions)
		return weir_read_sessions(places, o->row->id, snapshot,
								  &o->reader->layout, take_session, o->sessions,
								  &o->hidden, &o->gone);
	return weir_read_view(places, o->row->id, snapshot, &o->reader->layout,
						  o->row->lateness, take_record, o, &o->hidden,
						  &o->gone);
}

static void
read_open(OpenGroups *o, Snapshot snapshot)
{
	uint64 fingerprint = o->reader->plan->fingerprint;
	ReadResult result = READ_AGAIN;

	while (result == READ_AGAIN)
	{
		ViewPlaces places = {0};

		forget_read(o);
		o->hidden = WEIR_NO_TIME;
		o->gone = (ReadGone){.from = WEIR_NO_TIME, .upto = WEIR_NO_TIME};
		/* After a reset or a pause, what a lane still holds is void. */
		if (weir_registry && !RecoveryInProgress())
			weir_view_places(MyDatabaseId, o->row->id, o->row->generation,
							 fingerprint, &places);
		if (places.now && places.now->fingerprint != fingerprint)
			check_query(places.now, o);
		if (places.now == NULL && places.before == NULL)
		{
			read_log(o);
			return;
		}
		result = read_memory(o, &places, snapshot);
		if (result == READ_TOO_OLD)
			read_log(o);
	}
}

/* Aggregates without GROUP BY have a row if there is nothing to aggregate. */
static void
add_only_row(OpenGroups *o)
{
	ViewReader *reader = o->reader;

	if (reader->plan->one_row && o->merge->ngroups == 0)
		weir_merge_group(o->merge, WW_ALL_TIME, "", 0,
						 palloc0(Max(reader->layout.size, 1)));
}

/* Windows that close up to t are named so or before. */
static int64
closed_windows(const OpenGroups *o, int64 t)
{
	return weir_window_closed(&o->reader->plan->window, o->row->lateness, t);
}

/* A session of all shards; it is named by its end. */
static void
add_session(void *arg, const WsSpan *span, const char *key, uint32 keylen,
			SessionPiece *const *pieces, int n)
{
	OpenGroups *o = arg;
	int64 end = span->last + o->reader->plan->window.all.size;

	if (end > closed_windows(o, o->hidden))
		weir_merge_find(o->merge, end, key, keylen)->state =
			weir_sessions_combine(o->sessions, span, pieces, n);
}

/* All is read: make the windows that are open for the snapshot and in memory. */
static void
begin_overlap(OpenGroups *o)
{
	int64 closed = closed_windows(o, Max(o->hidden, o->gone.upto));

	weir_overlap_begin(o->overlap,
					   weir_window_next(&o->reader->plan->window, closed),
					   PG_INT64_MAX);
}

OpenGroups *
weir_open_groups_read(const ViewRow *row, ViewReader *reader, Snapshot snapshot)
{
	OpenGroups *o = palloc0(sizeof(OpenGroups));

	o->cxt = CurrentMemoryContext;
	o->row = row;
	o->reader = reader;
	if (weir_windows_overlap(&reader->plan->window))
		o->overlap = weir_overlap_new(reader, o->cxt);
	else
		o->merge = weir_merge_new(reader, o->cxt);
	if (reader->layout.sessions)
	{
		o->sessions = weir_sessions_new(reader, o->cxt);
		o->sessions->newest = reader->plan->window.ttl;
	}
	read_open(o, snapshot);
	if (o->sessions)
		weir_sessions_visit(o->sessions, add_session, o);
	if (o->overlap)
		begin_overlap(o);
	else
		add_only_row(o);
	return o;
}

bool
weir_open_groups_next(OpenGroups *o, MergeGroup *group)
{
	int64 gone = closed_windows(o, o->gone.upto);

	if (o->overlap)
		return weir_overlap_next(o->overlap, group);
	while (o->next < o->merge->ngroups)
	{
		*group = o->merge->groups[o->next++];
		if (group->window > gone)
			return true;
	}
	return false;
}

bool
weir_open_groups_gone(const OpenGroups *o, int64 *from, int64 *upto)
{
	if (o->gone.upto <= o->gone.from || o->reader->plan->window.ttl)
		return false;
	*from = closed_windows(o, o->gone.from);
	*upto = closed_windows(o, o->gone.upto);
	return true;
}
