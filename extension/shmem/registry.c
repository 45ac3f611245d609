/*
 * shmem/registry.c
 *		The registry: which lanes and views exist, and how to wake whom.
 *
 * Any process.  The registry lock is held for short loops over arrays only;
 * nothing under it raises or allocates.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "shmem/shmem.h"

#define LEAST_QUEUE_KB 1024

ViewSlot *
weir_view_find(Oid dboid, int32 view)
{
	ViewSlot *found = NULL;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (v->used && v->live && v->dboid == dboid && v->view == view)
		{
			found = v;
			break;
		}
	}
	LWLockRelease(&weir_registry->lock);
	return found;
}

bool
weir_view_has_most(ViewSlot *view, uint64 since)
{
	uint64 mine = pg_atomic_read_u64(&view->memory.used);
	bool most = true;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		/* One that has just stopped counts: it is about to make room. */
		if (v->used && !v->retired &&
			pg_atomic_read_u64(&v->memory.waited) >= since &&
			pg_atomic_read_u64(&v->memory.used) > mine)
			most = false;
	}
	LWLockRelease(&weir_registry->lock);
	return most;
}

void
weir_notify_launcher(Oid dboid)
{
	Registry *reg = weir_registry;
	bool known = false;

	if (reg == NULL)
		return;
	LWLockAcquire(&reg->lock, LW_EXCLUSIVE);
	for (int i = 0; i < reg->nchanged; i++)
		known = known || reg->changed[i] == dboid;
	if (!known)
	{
		if (reg->nchanged < (int) lengthof(reg->changed))
			reg->changed[reg->nchanged++] = dboid;
		else
			reg->changed_overflow = true;
	}
	if (reg->launcher_latch)
		SetLatch(reg->launcher_latch);
	LWLockRelease(&reg->lock);
}

void
weir_view_postpone(ViewSlot *slot, const char *why)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	if (slot->postponed[0] == '\0')
		slot->postponed_since = weir_clock_wall();
	strlcpy(slot->postponed, why ? why : "", WEIR_ERROR_LEN);
	LWLockRelease(&weir_registry->lock);
}

void
weir_wake_coordinator(Lane *lane)
{
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	if (lane->coordinator_latch)
		SetLatch(lane->coordinator_latch);
	LWLockRelease(&weir_registry->lock);
}

void
weir_wake_worker(Lane *lane, int worker)
{
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	if (lane->workers[worker].latch)
		SetLatch(lane->workers[worker].latch);
	LWLockRelease(&weir_registry->lock);
}

int64
weir_lane_distance(const Lane *lane, int n, const ViewPartition *parts)
{
	int64 distance = 0;

	if (lane->npartitions != n)
		return PG_INT64_MAX;
	for (int p = 0; p < n; p++)
		distance += i64abs(lane->parts[p].position - parts[p].position);
	return distance;
}

int64
weir_lane_lag(const Lane *lane)
{
	int64 lag = 0;

	if (lane->state != LANE_RUNNING)
		return 0;
	for (int p = 0; p < lane->npartitions; p++)
		lag += Max(0, lane->parts[p].high - lane->parts[p].position);
	return lag;
}

int64
weir_lane_rate(const Lane *lane)
{
	int64 rate = 0;

	for (int w = 0; w < lane->nworkers; w++)
		rate += lane->workers[w].rate;
	return rate;
}

bool
weir_lane_is_behind(const Lane *lane)
{
	return weir_lane_lag(lane) > Max(10000, weir_lane_rate(lane));
}

static int64
sum_of_positions(const Lane *lane)
{
	int64 sum = 0;

	for (int p = 0; p < lane->npartitions; p++)
		sum += lane->parts[p].position;
	return sum;
}

int
weir_lane_main(Oid dboid, Oid stream)
{
	int found = -1;
	int64 furthest = -1;

	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		const Lane *l = &weir_registry->lanes[i];

		if (l->state != LANE_RUNNING || l->ended || l->append ||
			l->dboid != dboid || l->stream != stream ||
			sum_of_positions(l) <= furthest)
			continue;
		found = i;
		furthest = sum_of_positions(l);
	}
	return found;
}

uint64
weir_lane_committed(Lane *lane)
{
	uint64 last = 0;

	for (int w = 0; w < lane->nworkers; w++)
		last = Max(last, pg_atomic_read_u64(&lane->workers[w].committed));
	return last;
}

/* Another stream takes the lane's place. */
static void
forget_lane(Lane *lane)
{
	lane->failures = 0;
	memset((void *) &lane->metrics, 0, sizeof(lane->metrics));
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
		memset((void *) &lane->workers[w].metrics, 0, sizeof(WorkerMetrics));
}

/*
 * weir_lane_claim prefers the lane that this stream had before, whose count of
 * failures goes on.
 */
int
weir_lane_claim(Oid dboid, Oid stream)
{
	Lane *lane = NULL;

	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *l = &weir_registry->lanes[i];

		if (l->state != LANE_FREE)
			continue;
		if (lane == NULL || (l->dboid == dboid && l->stream == stream))
			lane = l;
	}
	if (lane == NULL)
		return -1;
	if (lane->dboid != dboid || lane->stream != stream)
		forget_lane(lane);
	lane->dboid = dboid;
	lane->stream = stream;
	lane->append = false;
	lane->nviews = 0;
	lane->nids = 0;
	lane->restart_at = 0;
	lane->condition_since = 0;
	lane->error[0] = '\0';
	lane->ended = false;
	lane->delayed = false;
	lane->state = LANE_WANTED;
	pg_atomic_write_u32(&lane->stop, 0);
	pg_atomic_write_u32(&lane->recheck, 0);
	pg_atomic_write_u32(&lane->ready, 0);
	return (int) (lane - weir_registry->lanes);
}

int
weir_view_claim(Oid dboid, int32 view, Oid relation, int64 generation, int lane)
{
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (v->used)
			continue;
		/* Before it counts as used: what it had may be the only one left. */
		v->metrics = weir_view_metrics_claim(dboid, relation);
		v->used = true;
		v->live = false;
		v->npartitions = 0;
		v->dboid = dboid;
		v->view = view;
		v->generation = generation;
		v->lane = lane;
		v->append = weir_registry->lanes[lane].append;
		pg_atomic_write_u32(&v->failed, 0);
		pg_atomic_write_u32(&v->detached, 0);
		v->error[0] = '\0';
		v->postponed[0] = '\0';
		return i;
	}
	return -1;
}

/* Where the view is in the ring, or -1. */
static int
find_apart(Oid dboid, int32 view)
{
	for (int i = 0; i < (int) lengthof(weir_registry->apart); i++)
		if (weir_registry->apart[i].dboid == dboid &&
			weir_registry->apart[i].view == view)
			return i;
	return -1;
}

void
weir_view_set_apart(Oid dboid, int32 view, bool apart)
{
	Registry *reg = weir_registry;
	int i = find_apart(dboid, view);

	if ((i >= 0) == apart)
		return;
	if (apart)
	{
		i = reg->napart++ % (int) lengthof(reg->apart);
		reg->apart[i].dboid = dboid;
		reg->apart[i].view = view;
	}
	else
		reg->apart[i].dboid = InvalidOid;
}

bool
weir_view_is_apart(Oid dboid, int32 view)
{
	return find_apart(dboid, view) >= 0;
}

bool
weir_lane_is_apart(const Lane *lane)
{
	if (lane->append)
		return true;
	for (int i = 0; i < lane->nviews; i++)
		if (lane->views[i] >= 0 &&
			weir_view_is_apart(lane->dboid,
							   weir_registry->views[lane->views[i]].view))
			return true;
	return false;
}

int
weir_queue_claim(LaneWorker *w, int wanted_kb, int total_kb)
{
	int64 left = total_kb;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	w->queue_kb = 0;
	for (int i = 0; i < weir_registry->max_lanes; i++)
		for (int k = 0; k < WEIR_MAX_WORKERS; k++)
			left -= weir_registry->lanes[i].workers[k].queue_kb;
	w->queue_kb = (int) Max(LEAST_QUEUE_KB, Min(wanted_kb, left / 2));
	LWLockRelease(&weir_registry->lock);
	return w->queue_kb;
}
