/*
 * worker/coordinator.c
 *		The coordinator of a lane: checkpoints, and who belongs to the lane.
 *
 * One process per lane, started by the launcher; the only one of the lane that
 * writes to disk.  It starts the ingest workers.  A view that leaves (dropped,
 * paused, reset, failed) is detached: the workers let go of it at the next
 * barrier, then its memory is freed.  The lane ends when no view is left, when
 * the topic gets more partitions (the launcher starts it anew with them), or
 * when a worker died.
 *
 * It holds no transaction and no snapshot while it waits.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "core/barrier.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "worker/coordinator.h"

#define METADATA_US (5 * USECS_PER_SEC)
#define JOIN_US     (USECS_PER_SEC / 4)
#define HEALTHY_US  (30 * USECS_PER_SEC)
#define BLOCKED_US  (USECS_PER_SEC / 10)
#define APART_US    (10 * USECS_PER_SEC)
#define BOUNDS_US   (30 * USECS_PER_SEC)

/* Thousandths of its memory below which a view may share a lane again. */
#define APART_PRESSURE 250

static Coordinator *coordinator;

/* --- start and end ---------------------------------------------------------------- */

static void
leave(int code, Datum arg)
{
	Lane *lane = coordinator->lane;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	lane->coordinator = 0;
	lane->coordinator_latch = NULL;
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
		if (lane->workers[w].latch)
			SetLatch(lane->workers[w].latch);
	if (weir_registry->launcher_latch)
		SetLatch(weir_registry->launcher_latch);
	LWLockRelease(&weir_registry->lock);
	ConditionVariableBroadcast(&lane->checkpointed);
}

/* Take the lane over, unless the launcher has given up waiting for this one. */
static void
attach(Coordinator *co)
{
	Lane *lane = co->lane;
	uint64 run;
	bool mine;

	memcpy(&run, MyBgworkerEntry->bgw_extra, sizeof(run));
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	mine = lane->run == run && lane->state == LANE_STARTING;
	if (mine)
	{
		lane->coordinator = MyProcPid;
		lane->coordinator_latch = MyLatch;
		lane->ended = false;
	}
	LWLockRelease(&weir_registry->lock);
	if (!mine)
		proc_exit(0);
	before_shmem_exit(leave, (Datum) 0);
}

/* In good order: the launcher frees the lane and looks at the catalog again. */
static void
end_lane(Coordinator *co)
{
	co->lane->ended = true;
	proc_exit(0);
}

int
weir_views_left(const Coordinator *co)
{
	int n = 0;

	for (int i = 0; i < co->c.nviews; i++)
		n += !co->c.views[i]->gone;
	return n;
}

void
weir_coordinator_wait(Coordinator *co, long ms)
{
	weir_report_condition(co);
	if (ms > 0)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
						 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	weir_worker_interrupts();
	if (pg_atomic_exchange_u32(&co->lane->recheck, 0))
	{
		weir_recheck_views(co);
		MemoryContextSwitchTo(co->cxt);
	}
	if (co->lane->state != LANE_RUNNING &&
		(pg_atomic_read_u32(&co->lane->stop) || weir_views_left(co) == 0))
		end_lane(co);
}

/* --- views that leave ----------------------------------------------------------------- */

static void
detach_gone(Coordinator *co)
{
	for (int i = 0; i < co->c.nviews; i++)
	{
		CheckpointView *v = co->c.views[i];

		if (!v->gone || co->detach_barrier[i] != 0)
			continue;
		LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
		if (v->slot->live)
			weir_view_forget_retired(v->slot);
		v->slot->live = false;
		LWLockRelease(&weir_registry->lock);
		pg_atomic_write_u32(&v->slot->detached, 1);
		co->detach_barrier[i] = pg_atomic_read_u64(&co->lane->barrier) + 1;
	}
}

/* What the workers have reported by now. */
static void
read_reports(Lane *lane, WeReport *r)
{
	for (int w = 0; w < lane->nworkers; w++)
	{
		r[w].acked = pg_atomic_read_u64(&lane->workers[w].acked);
		r[w].copied = pg_atomic_read_u64(&lane->workers[w].copied);
	}
}

static bool
all_acknowledged(Lane *lane, uint64 barrier)
{
	WeReport r[WEIR_MAX_WORKERS];

	read_reports(lane, r);
	return we_all_acked(r, lane->nworkers, barrier);
}

static bool
is_complete(Lane *lane, uint64 barrier)
{
	WeReport r[WEIR_MAX_WORKERS];

	read_reports(lane, r);
	return we_is_complete(r, lane->nworkers, barrier);
}

/* Has every view that was put into the lane been set up? */
static bool
all_taken(Coordinator *co)
{
	bool taken;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	taken = co->lane->nviews == co->c.nviews;
	co->lane->ended = co->lane->ended || taken;
	LWLockRelease(&weir_registry->lock);
	return taken;
}

/* Views that join the lane while it runs; workers take them up by "ready". */
static void
take_joining(Coordinator *co)
{
	bool none;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	none = co->lane->nviews == co->c.nviews;
	LWLockRelease(&weir_registry->lock);
	/* The stream may be another one by now: look at the catalog first. */
	if (none || pg_atomic_read_u32(&co->lane->recheck))
		return;
	weir_setup_joining(co);
	/* Where they begin is not flushed if the server has commits asynchronous. */
	co->last_commit = XactLastCommitEnd;
	weir_record_failures(co);
	detach_gone(co);
	pg_atomic_write_u32(&co->lane->ready, co->c.nviews);
	weir_crew_wake(co->lane);
}

/* Free what gone views held, once no worker uses it; end with the last one. */
static void
release_gone(Coordinator *co)
{
	int left = 0;
	bool freed = false;

	for (int i = 0; i < co->c.nviews; i++)
	{
		if (co->released[i])
			continue;
		if (co->c.views[i]->error || co->detach_barrier[i] == 0 ||
			!all_acknowledged(co->lane, co->detach_barrier[i]))
		{
			left++;
			continue;
		}
		WEIR_FAULT("coordinator-before-release");
		/* Before the slot can be another view's: see take_view (ingest). */
		LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
		co->lane->views[i] = -1;
		LWLockRelease(&weir_registry->lock);
		weir_view_release(co->c.views[i]->slot);
		WEIR_FAULT("coordinator-view-released");
		co->released[i] = true;
		freed = true;
	}
	if (left == 0 && all_taken(co))
	{
		weir_coordinator_stop(co, "no view is left in it");
		end_lane(co);
	}
	if (freed)
		weir_notify_launcher(MyDatabaseId);
}

/* --- checkpoint ------------------------------------------------------------------------------ */

/*
 * How much was published: positions of a view, or a dead letter.  The lane's own
 * positions do not tell: while a worker waits for memory they stay where they are,
 * and what it waits for has still to be committed.
 */
static uint64
publications(const Lane *lane)
{
	uint64 sum = 0;

	for (int w = 0; w < lane->nworkers; w++)
		sum += lane->workers[w].published;
	return sum;
}

/* Is there anything to commit?  Views that have just left are. */
static bool
prepare(Coordinator *co)
{
	bool work = co->c.postponed || publications(co->lane) != co->published;

	for (int i = 0; i < co->c.nviews; i++)
		work = work || (co->c.views[i]->gone && !co->released[i]) ||
			   weir_view_is_due(co->c.views[i]);
	return weir_closing_prepare(co) || work;
}

static void
raise_barrier(Coordinator *co)
{
	uint64 barrier = pg_atomic_add_fetch_u64(&co->lane->barrier, 1);

	weir_crew_wake(co->lane);
	while (!is_complete(co->lane, barrier))
	{
		weir_crew_check(co);
		weir_coordinator_wait(co, 100);
	}
	pg_read_barrier();
}

/*
 * The least durable offset of a partition over the stream's other lanes: the
 * group that Kafka's tools look at is one for all.
 */
static int64
least_of_others(const Lane *lane, int p)
{
	int64 least = PG_INT64_MAX;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		const Lane *l = &weir_registry->lanes[i];

		if (l != lane && l->state == LANE_RUNNING && l->dboid == lane->dboid &&
			l->stream == lane->stream && p < l->npartitions)
			least = Min(least, l->parts[p].durable);
	}
	LWLockRelease(&weir_registry->lock);
	return least;
}

/* Positions that are durable, for the group; the commit before last's WAL may
 * be flushed by now without anybody having waited for it. */
static void
publish_durable(Coordinator *co)
{
	Lane *lane = co->lane;

	if (!co->durable_pending || co->last_commit > GetFlushRecPtr(NULL))
		return;
	for (int p = 0; p < lane->npartitions; p++)
	{
		int64 least = PG_INT64_MAX;

		for (int i = 0; i < co->c.nviews; i++)
			if (!co->c.views[i]->gone && p < co->c.views[i]->progress.nparts)
				least = Min(least, co->c.views[i]->progress.parts[p].position);
		if (least != PG_INT64_MAX)
		{
			lane->parts[p].durable = least;
			lane->parts[p].group = Min(least, least_of_others(lane, p));
		}
	}
	co->durable_pending = false;
	pg_atomic_fetch_add_u64(&lane->durable, 1);
	weir_crew_wake(lane);
}

static void
checkpoint(Coordinator *co)
{
	Lane *lane = co->lane;
	uint64 wanted = pg_atomic_read_u64(&lane->checkpoint_wanted);
	bool requested = wanted > pg_atomic_read_u64(&lane->checkpoint_done);
	bool stop = pg_atomic_read_u32(&lane->stop) != 0;
	int64 began = weir_clock_monotonic();
	bool committed;

	weir_record_failures(co);
	detach_gone(co);
	WEIR_FAULT("coordinator-before-watermarks");
	if (!prepare(co) && !requested && !stop)
	{
		lane->metrics.settled_at = began;
		return;
	}
	co->published = publications(lane);
	WEIR_FAULT("coordinator-before-barrier");
	raise_barrier(co);
	WEIR_FAULT("coordinator-barrier-complete");
	committed = weir_checkpoint_commit(&co->c, requested || stop);
	weir_report_checkpoint(co, began, committed);
	weir_record_failures(co);
	MemoryContextSwitchTo(co->cxt);
	if (!committed)
		return;
	co->last_commit = Max(XactLastCommitEnd, weir_lane_committed(lane));
	co->durable_pending = true;
	if (requested)
		pg_atomic_write_u64(&lane->checkpoint_done, wanted);
	ConditionVariableBroadcast(&lane->checkpointed);
	if (stop)
	{
		WEIR_FAULT("coordinator-last-checkpoint");
		end_lane(co);
	}
}

/* --- the topic changes --------------------------------------------------------------------------- */

static void
look_for_partitions(Coordinator *co)
{
	char err[256];
	int n;

	if (!weir_client_partitions(co->client, co->c.stream->topic, 500, &n, err,
								sizeof(err)))
		return;
	/* Fewer: another topic.  None: none at the moment, which workers notice. */
	if (n > 0 && n != co->lane->npartitions)
	{
		weir_coordinator_stop(co, psprintf("topic \"%s\" has %d partitions now",
										   co->c.stream->topic, n));
	}
}

/* --- two lanes of a stream become one ----------------------------------------------------------- */

/*
 * A view that has room again after it met its own limit need not be apart any
 * more.  Registry lock held.
 */
static void
end_apart(const Coordinator *co)
{
	if (weir_clock_monotonic() - co->started < APART_US)
		return;
	for (int i = 0; i < co->c.nviews; i++)
		if (!co->c.views[i]->gone &&
			weir_account_pressure(&co->c.views[i]->slot->memory) < APART_PRESSURE)
			weir_view_set_apart(MyDatabaseId, co->c.views[i]->slot->view, false);
}

/*
 * When this lane has come near to another one of its stream with a lower number,
 * it ends with a checkpoint; the scanner then puts its views into that lane.
 */
static void
consider_joining(Coordinator *co)
{
	Lane *lane = co->lane;
	ViewPartition *parts = palloc0(sizeof(ViewPartition) * lane->npartitions);
	bool join = false;

	for (int p = 0; p < lane->npartitions; p++)
		parts[p].position = lane->parts[p].position;
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	end_apart(co);
	for (int i = 0; i < weir_lane_number(lane) && !join; i++)
	{
		Lane *other = &weir_registry->lanes[i];

		join = other->state == LANE_RUNNING && !other->ended &&
			   !weir_lane_is_apart(lane) && !weir_lane_is_apart(other) &&
			   pg_atomic_read_u32(&other->stop) == 0 &&
			   other->dboid == lane->dboid && other->stream == lane->stream &&
			   other->nviews + lane->nviews <= WEIR_LANE_VIEWS &&
			   weir_lane_distance(other, lane->npartitions, parts) <=
				   WEIR_JOIN_DISTANCE;
	}
	LWLockRelease(&weir_registry->lock);
	pfree(parts);
	if (join)
		weir_coordinator_stop(co,
							  "its views are as far as those of another lane");
}

/* Places in a lane are not used twice: with none left it starts anew. */
static bool
is_worn_out(const Coordinator *co)
{
	int gone = 0;

	for (int i = 0; i < co->c.nviews; i++)
		gone += co->released[i];
	return co->c.nviews == WEIR_LANE_VIEWS && gone > WEIR_LANE_VIEWS / 2;
}

/* Some worker waits for memory, which only a checkpoint frees: do not wait. */
static bool
is_blocked(const Coordinator *co, int64 now)
{
	if (now - co->last_checkpoint < BLOCKED_US)
		return false;
	for (int w = 0; w < co->lane->nworkers; w++)
		if (pg_atomic_read_u32(&co->lane->workers[w].blocked))
			return true;
	return false;
}

/* Is a view to leave, which takes a barrier? */
static bool
any_leaves(const Coordinator *co)
{
	for (int i = 0; i < co->c.nviews; i++)
		if (co->c.views[i]->gone && co->detach_barrier[i] == 0)
			return true;
	return false;
}

/* Has a reload changed what workers are started with? */
static bool
needs_other_workers(const Coordinator *co)
{
	const WeirSettings *began = &co->settings;

	return began->batch_size != weir_settings.batch_size ||
		   began->queue_kb != weir_settings.queue_kb ||
		   began->kafka_statistics_ms != weir_settings.kafka_statistics_ms ||
		   began->queue_limit_kb != weir_settings.queue_limit_kb ||
		   began->ingest_workers != weir_settings.ingest_workers;
}

static void
loop(Coordinator *co)
{
	Lane *lane = co->lane;

	for (;;)
	{
		int64 now = weir_clock_monotonic();
		int64 interval = (int64) weir_settings.checkpoint_interval_ms * 1000;
		bool requested = pg_atomic_read_u64(&lane->checkpoint_wanted) >
						 pg_atomic_read_u64(&lane->checkpoint_done);

		weir_crew_check(co);
		weir_record_failures(co);
		/* A reload may have made it shorter. */
		co->next_checkpoint = Min(co->next_checkpoint, now + interval);
		if (now >= co->next_checkpoint || requested ||
			pg_atomic_read_u32(&lane->stop) || is_blocked(co, now) ||
			any_leaves(co))
		{
			co->last_checkpoint = now;
			co->next_checkpoint = now + interval;
			checkpoint(co);
		}
		for (int i = 0; i < co->c.nviews; i++)
			if (!co->c.views[i]->gone)
				weir_checkpoint_free_closed(co->c.views[i]);
		weir_retention_serve(&co->c);
		weir_finish_views(co);
		weir_replay_serve(co);
		weir_letters_limit_serve(co);
		take_joining(co);
		release_gone(co);
		publish_durable(co);
		/* By what this reports autovacuum finds out about our tables. */
		(void) pgstat_report_stat(false);
		if (now >= co->next_metadata)
		{
			co->next_metadata = now + METADATA_US;
			look_for_partitions(co);
		}
		if (now >= co->next_bounds)
		{
			co->next_bounds = now + BOUNDS_US;
			weir_report_bounds(co);
		}
		if (now >= co->next_join)
		{
			co->next_join = now + JOIN_US;
			consider_joining(co);
		}
		if (now - co->started > HEALTHY_US)
			lane->failures = 0;
		if (is_worn_out(co))
			weir_coordinator_stop(co,
								  "views have come and gone in all its places");
		if (needs_other_workers(co))
			weir_coordinator_stop(co, "settings of its workers were changed");
		now = weir_clock_monotonic();
		weir_coordinator_wait(co, Max(1, Min(1000, (co->next_checkpoint - now) /
													   1000)));
	}
}

void
weir_coordinator_main(Datum arg)
{
	Coordinator *co = MemoryContextAllocZero(TopMemoryContext,
											 sizeof(Coordinator));

	coordinator = co;
	co->lane = &weir_registry->lanes[DatumGetInt32(arg)];
	co->cxt = AllocSetContextCreate(TopMemoryContext, "weir coordinator",
									ALLOCSET_DEFAULT_SIZES);
	attach(co);
	weir_worker_begin(co->lane->dboid);
	co->settings = weir_settings;
	PG_TRY();
	{
		weir_setup_views(co);
		WEIR_FAULT("setup-planned");
		weir_record_failures(co);
		if (weir_views_left(co) == 0)
			end_lane(co);
		weir_setup_lane(co);
		weir_record_failures(co);
		detach_gone(co);
		weir_crew_start(co);
		WEIR_FAULT("coordinator-workers-started");
		LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
		co->lane->state = LANE_RUNNING;
		LWLockRelease(&weir_registry->lock);
		weir_report_start(co);
		co->started = weir_clock_monotonic();
		co->next_metadata = co->started + METADATA_US;
		co->lane->metrics.settled_at = co->started;
		co->published = publications(co->lane) - 1;
		/* What has changed while the lane was set up. */
		weir_recheck_views(co);
		MemoryContextSwitchTo(co->cxt);
		loop(co);
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(co->cxt);
		e = CopyErrorData();
		if (e->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN)
			strlcpy(co->lane->error, e->message, WEIR_ERROR_LEN);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
