/*
 * api/status.c
 *		What is running: the functions behind weir.status and weir.partitions.
 *
 * Backends.  Read the registry under its lock and the views' progress under
 * their shards' locks, a copy at a time; nothing is formatted under a lock.
 * Everybody may call them, and is told of the views that it may see.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "catalog/access.h"
#include "catalog/extension.h"
#include "catalog/pg_type.h"
#include "core/closing.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/pane.h"
#include "shmem/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(weir_running_views);
PG_FUNCTION_INFO_V1(weir_running_partitions);
PG_FUNCTION_INFO_V1(weir_problem);

#define NOTHING_LEFT 0

typedef struct ViewStatus
{
	Oid stream;
	int32 id;
	int lane;
	const char *state;
	TimestampTz since; /* it has been in this state */
	char error[WEIR_ERROR_LEN];
	ViewPartition total; /* sums; watermark: the closing one */
	int64 lag;
	int64 delay; /* the same in us */
	int64 left;  /* offsets between the view and where it is to be ... */
	int64 whole; /* ... and between its start and there */
	int64 rate;
	double p50;
	double p99;
	int64 windows;
	int64 groups;
	uint64 bytes;
	int workers;
	int held;     /* partitions that are held back */
	int64 queued; /* bytes that the lane's consumers may hold */
} ViewStatus;

/* The open panes of all shards, whose windows are to be counted once each. */
typedef struct OpenPanes
{
	PaneWindows *panes;
	int n; /* that there are; beyond capacity they are not kept */
	int capacity;
	WwSpec window;
	int64 groups; /* that panes have */
	int64 first;  /* open window, or WEIR_NO_TIME */
} OpenPanes;

/* Upper bound, in ms, of the share-quantile of a lane's freshness. */
static double
freshness(const Lane *lane, double share)
{
	uint64 slots[WEIR_FRESHNESS_SLOTS] = {0};
	uint64 total = 0;
	uint64 seen = 0;

	for (int w = 0; w < lane->nworkers; w++)
		for (int i = 0; i < WEIR_FRESHNESS_SLOTS; i++)
			slots[i] += lane->workers[w].freshness[i];
	for (int i = 0; i < WEIR_FRESHNESS_SLOTS; i++)
		total += slots[i];
	if (total == 0)
		return -1;
	for (int i = 0; i < WEIR_FRESHNESS_SLOTS; i++)
	{
		seen += slots[i];
		if (seen >= total * share)
			return (double) ((int64) (4 + i % 4 + 1) << (i / 4)) / 1000;
	}
	return -1;
}

static bool
is_open(const ViewSlot *slot, const Pane *pane)
{
	return slot->closed_upto == WEIR_NO_TIME ||
		   !wc_is_closed(pane->windows.end + slot->lateness, slot->closed_upto);
}

static void
note_pane(OpenPanes *open, const ViewSlot *slot, const Pane *pane)
{
	if (!is_open(slot, pane))
		return;
	open->groups += pane->ngroups - pane->ndead;
	if (open->n < open->capacity)
		open->panes[open->n] = pane->windows;
	open->n++;
}

/* Which windows are not closed, of those that some pane has. */
static void
begin_panes(OpenPanes *open, const ViewSlot *slot)
{
	open->n = 0;
	open->groups = 0;
	open->window = slot->window;
	open->first = WEIR_NO_TIME;
	/* Else a pane is open as a whole, or not at all. */
	if (slot->window.kind != WW_TUMBLE && slot->closed_upto != WEIR_NO_TIME)
		open->first = ww_ended(&slot->window,
							   slot->closed_upto - slot->lateness);
}

static int
compare_panes(const void *a, const void *b)
{
	int64 x = ((const PaneWindows *) a)->first;
	int64 y = ((const PaneWindows *) b)->first;

	return (x > y) - (x < y);
}

static int64
count_windows(OpenPanes *open)
{
	int64 counted = open->first; /* all up to there */
	int64 n = 0;

	if (open->window.kind == WW_SESSION)
		return open->groups;
	qsort(open->panes, open->n, sizeof(PaneWindows), compare_panes);
	for (int i = 0; i < open->n; i++)
	{
		const PaneWindows *p = &open->panes[i];

		if (p->last <= counted)
			continue;
		/* names are steps apart, from the last one down */
		n += (p->last - Max(p->first - 1, counted) - 1) / open->window.step + 1;
		counted = p->last;
	}
	return n;
}

/* How far the view is in a partition that ends, by now, at high. */
static void
add_distance(ViewStatus *s, const ViewPartition *p, int64 high)
{
	int64 to = p->end == WP_NO_END ? high : p->end;

	s->left += Max(0, to - p->position);
	s->whole += Max(0, Max(to, p->position) - p->start);
}

/* Counters of the partitions whose worker has the shard, and its windows. */
static void
sum_shard(ViewStatus *s, OpenPanes *open, ViewSlot *slot, int number,
		  const Lane *lane)
{
	Shard *shard = &slot->shards[number];

	LWLockAcquire(&shard->lock, LW_SHARED);
	for (int p = 0; shard->parts && p < lane->npartitions; p++)
	{
		if (lane->parts[p].worker != number)
			continue;
		s->total.events += shard->parts[p].events;
		s->total.late += shard->parts[p].late;
		s->total.dead += shard->parts[p].dead;
		s->total.lost += shard->parts[p].lost;
		add_distance(s, &shard->parts[p], lane->parts[p].high);
	}
	for (Pane *p = shard->panes; p; p = p->next)
		note_pane(open, slot, p);
	LWLockRelease(&shard->lock);
}

/* What the lane and its views have of memory, and lack.  Registry lock held. */
static void
fill_memory(ViewStatus *s, const Lane *lane)
{
	for (int w = 0; w < lane->nworkers; w++)
	{
		LaneWorker *worker = (LaneWorker *) &lane->workers[w];

		s->queued += (int64) worker->queue_kb * 1024;
		if (!pg_atomic_read_u32(&worker->blocked) || s->error[0])
			continue;
		if (worker->blocked_view == s->id)
			strlcpy(s->error, "its open windows need more memory than is left",
					WEIR_ERROR_LEN);
		else
			strlcpy(s->error, "it waits with its lane, which is out of memory",
					WEIR_ERROR_LEN);
	}
	for (int p = 0; p < lane->npartitions; p++)
		s->held += lane->parts[p].held;
}

/* Registry lock held. */
static void
fill_state(ViewStatus *s, const ViewSlot *slot, const Lane *lane)
{
	LaneCondition condition = weir_lane_condition(lane);
	bool postponed = slot->postponed[0] != '\0';

	s->state = postponed ? "postponed" : weir_condition_name(condition);
	strlcpy(s->error, postponed ? slot->postponed : weir_lane_error(lane),
			WEIR_ERROR_LEN);
	if (postponed)
		s->since = slot->postponed_since;
	else if (condition == lane->condition && lane->condition_since != 0)
		s->since = lane->condition_since;
	else
		s->since = weir_clock_wall();
}

/* Registry lock held. */
static void
fill_status(ViewStatus *s, OpenPanes *open, ViewSlot *slot)
{
	Lane *lane = &weir_registry->lanes[slot->lane];

	memset(s, 0, sizeof(*s));
	begin_panes(open, slot);
	s->id = slot->view;
	s->lane = slot->lane;
	s->stream = lane->stream;
	fill_state(s, slot, lane);
	s->lag = weir_lane_lag(lane);
	s->delay = weir_lane_delay(lane);
	s->rate = weir_lane_rate(lane);
	s->workers = lane->state == LANE_RUNNING ? lane->nworkers : 0;
	s->p50 = freshness(lane, 0.5);
	s->p99 = freshness(lane, 0.99);
	s->bytes = pg_atomic_read_u64(&slot->memory.used);
	s->total.watermark = slot->live ? slot->closing : WEIR_NO_TIME;
	if (!slot->live || lane->state != LANE_RUNNING)
		return;
	fill_memory(s, lane);
	for (int i = 0; i < slot->nshards; i++)
		sum_shard(s, open, slot, i, lane);
}

/* What there is to know of the view in a slot; false: it is not one of ours. */
static bool
read_status(ViewStatus *s, ViewSlot *slot, bool *live)
{
	OpenPanes open = {.capacity = 1024};
	bool mine;

	for (;;)
	{
		open.panes = palloc_extended(sizeof(PaneWindows) * open.capacity,
									 MCXT_ALLOC_HUGE);
		open.n = 0;
		LWLockAcquire(&weir_registry->lock, LW_SHARED);
		mine = slot->used && !slot->retired && slot->dboid == MyDatabaseId;
		*live = mine && slot->live;
		if (mine)
			fill_status(s, &open, slot);
		LWLockRelease(&weir_registry->lock);
		if (open.n <= open.capacity)
			break;
		open.capacity = open.n * 2;
		pfree(open.panes);
	}
	if (mine)
	{
		s->windows = count_windows(&open);
		s->groups = open.groups;
	}
	pfree(open.panes);
	return mine;
}

static Interval *
as_interval(int64 us)
{
	Interval *i = palloc0(sizeof(Interval));

	i->time = us;
	return i;
}

static void
put_view(ReturnSetInfo *rsinfo, const ViewStatus *s, bool live)
{
	Datum values[24];
	bool nulls[24] = {false};
	int i = 0;

	values[i++] = Int32GetDatum(s->id);
	values[i++] = Int32GetDatum(s->lane);
	values[i++] = CStringGetTextDatum(s->state);
	values[i++] = TimestampTzGetDatum(s->since);
	nulls[i] = s->error[0] == '\0' || !weir_sees_errors(InvalidOid, s->stream);
	values[i++] = CStringGetTextDatum(s->error);
	for (int k = i; k < (int) lengthof(nulls); k++)
		nulls[k] = !live;
	values[i++] = Int64GetDatum(s->total.events);
	values[i++] = Int64GetDatum(s->total.late);
	values[i++] = Int64GetDatum(s->total.dead);
	values[i++] = Int64GetDatum(s->total.lost);
	values[i++] = Int64GetDatum(s->lag);
	values[i++] = IntervalPGetDatum(as_interval(s->delay));
	values[i++] = Int64GetDatum(s->rate);
	nulls[i] = nulls[i] || s->p50 < 0;
	values[i++] = Float8GetDatum(s->p50);
	nulls[i] = nulls[i] || s->p99 < 0;
	values[i++] = Float8GetDatum(s->p99);
	values[i++] = Int64GetDatum(s->windows);
	values[i++] = Int64GetDatum(s->groups);
	nulls[i] = true;
	values[i++] = (Datum) 0;
	values[i++] = Int64GetDatum((int64) s->bytes);
	nulls[i] = nulls[i] || s->total.watermark == WEIR_NO_TIME;
	values[i++] = TimestampTzGetDatum(
		s->total.watermark >= WP_END_OF_TIME ? DT_NOEND : s->total.watermark);
	values[i++] = Int32GetDatum(s->held);
	values[i++] = Int64GetDatum(s->queued);
	nulls[i] = nulls[i] || s->workers == 0;
	values[i++] = Int32GetDatum(s->workers);
	nulls[i] = nulls[i] || s->workers == 0;
	values[i++] = Int64GetDatum(s->left);
	nulls[i] = nulls[i] || s->workers == 0;
	values[i++] = Float8GetDatum(
		s->whole > 0 ? 100.0 * (s->whole - s->left) / s->whole : 100.0);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Lanes that wait to be started again know their views by id only. */
static void
put_backoff(ReturnSetInfo *rsinfo, const VisibleViews *visible)
{
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *lane = &weir_registry->lanes[i];
		ViewStatus s = {0};
		int32 ids[WEIR_LANE_VIEWS];
		int n = 0;

		LWLockAcquire(&weir_registry->lock, LW_SHARED);
		if (lane->state == LANE_BACKOFF && lane->dboid == MyDatabaseId)
		{
			n = lane->nids;
			memcpy(ids, lane->ids, sizeof(int32) * n);
			strlcpy(s.error, lane->error, WEIR_ERROR_LEN);
			s.stream = lane->stream;
			s.since = lane->condition_since;
		}
		LWLockRelease(&weir_registry->lock);
		s.lane = i;
		s.state = "restarting";
		for (int k = 0; k < n; k++)
		{
			s.id = ids[k];
			if (weir_is_visible(visible, s.id))
				put_view(rsinfo, &s, false);
		}
	}
}

Datum
weir_running_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	VisibleViews visible;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_registry == NULL)
		return NOTHING_LEFT;
	visible = weir_visible_views();
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewStatus s;
		bool live;

		if (read_status(&s, &weir_registry->views[i], &live) &&
			weir_is_visible(&visible, s.id))
			put_view(rsinfo, &s, live);
	}
	put_backoff(rsinfo, &visible);
	return NOTHING_LEFT;
}

/* --- partitions ------------------------------------------------------------------------ */

static void
put_partition(ReturnSetInfo *rsinfo, int32 id, const ViewPartition *v,
			  const LanePartition *l)
{
	Datum values[16];
	bool nulls[16] = {false};
	int i = 0;

	values[i++] = Int32GetDatum(id);
	values[i++] = Int32GetDatum(l->partition);
	values[i++] = Int64GetDatum(v->start);
	values[i++] = Int64GetDatum(v->position);
	values[i++] = Int64GetDatum(l->durable);
	values[i++] = Int64GetDatum(l->high);
	values[i++] = Int64GetDatum(Max(0, l->high - v->position));
	nulls[i] = v->watermark == WEIR_NO_TIME;
	values[i++] = TimestampTzGetDatum(v->watermark);
	values[i++] = BoolGetDatum(weir_partition_is_idle(l));
	values[i++] = Int64GetDatum(v->events);
	values[i++] = Int64GetDatum(v->late);
	values[i++] = Int64GetDatum(v->dead);
	values[i++] = BoolGetDatum(l->held);
	values[i++] = Int64GetDatum(v->lost);
	nulls[i] = l->low < 0;
	values[i++] = Int64GetDatum(l->low);
	nulls[i] = l->timestamp < 0;
	values[i++] = TimestampTzGetDatum(l->timestamp - WEIR_EPOCH_SHIFT);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_partitions(ReturnSetInfo *rsinfo, ViewSlot *slot,
			   const VisibleViews *visible)
{
	Lane *lane = &weir_registry->lanes[slot->lane];
	int n;
	ViewPartition *parts;
	LanePartition *lparts;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	n = slot->used && slot->live && slot->dboid == MyDatabaseId &&
				lane->state == LANE_RUNNING
			? lane->npartitions
			: 0;
	LWLockRelease(&weir_registry->lock);
	parts = palloc0(sizeof(ViewPartition) * Max(n, 1));
	lparts = palloc0(sizeof(LanePartition) * Max(n, 1));
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	if (!slot->live || lane->state != LANE_RUNNING || lane->npartitions != n)
		n = 0;
	for (int p = 0; p < n; p++)
	{
		Shard *shard = &slot->shards[lane->parts[p].worker];

		lparts[p] = lane->parts[p];
		LWLockAcquire(&shard->lock, LW_SHARED);
		parts[p] = shard->parts[p];
		LWLockRelease(&shard->lock);
	}
	LWLockRelease(&weir_registry->lock);
	for (int p = 0; p < n && weir_is_visible(visible, slot->view); p++)
		put_partition(rsinfo, slot->view, &parts[p], &lparts[p]);
	pfree(parts);
	pfree(lparts);
}

Datum
weir_running_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	VisibleViews visible;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_registry == NULL)
		return NOTHING_LEFT;
	visible = weir_visible_views();
	for (int i = 0; i < weir_registry->max_views; i++)
		put_partitions(rsinfo, &weir_registry->views[i], &visible);
	return NOTHING_LEFT;
}

/* --- the launcher ----------------------------------------------------------------------- */

Datum
weir_problem(PG_FUNCTION_ARGS)
{
	char text[sizeof(weir_registry->problem)] =
		"weir is not in shared_preload_libraries";
	char *other = weir_other_version();

	if (other)
		snprintf(text, sizeof(text),
				 "the library is of version %s, the extension of version %s",
				 WEIR_SQL_VERSION, other);
	else if (weir_registry != NULL)
	{
		LWLockAcquire(&weir_registry->lock, LW_SHARED);
		strlcpy(text, weir_registry->problem, sizeof(text));
		LWLockRelease(&weir_registry->lock);
	}
	if (text[0] == '\0')
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(text));
}
