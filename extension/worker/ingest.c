/*
 * worker/ingest.c
 *		The ingest worker: fetch, decode, aggregate in memory.
 *
 * One process per shard of a lane, started by the lane's coordinator, and ending
 * with it.  It reads the partitions that are dealt to it, and touches no disk.  A batch goes
 * through decode once and then through every view of the lane (ingest_batch.c).
 *
 * Between two batches: the barrier (note positions, freeze), a slice of copying
 * for it, views that join or leave.
 *
 * Memory: everything of the worker's life in cxt, a child of TopMemoryContext;
 * of a batch in the decoder's and the views' own contexts.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/retired.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "worker/ingest.h"

#define MAX_EVENTS     64
#define COPY_BUDGET_US 1000
#define COPY_WAIT_MS   10
#define IDLE_WAIT_MS   100
#define FIRST_PAUSE_US (3 * USECS_PER_SEC)
#define LAST_PAUSE_US  (12 * USECS_PER_SEC)
#define ANEW_US        USECS_PER_SEC

static Ingest *ingest;

/* --- start and end -------------------------------------------------------------- */

static void
leave(int code, Datum arg)
{
	Ingest *in = ingest;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	in->self->pid = 0;
	in->self->queue_kb = 0;
	in->self->latch = NULL;
	in->self->backend = WEIR_NO_BACKEND;
	if (in->lane->coordinator_latch)
		SetLatch(in->lane->coordinator_latch);
	LWLockRelease(&weir_registry->lock);
}

/* Take the worker's place in the lane, unless the coordinator has gone. */
static void
attach(Ingest *in, uint64 run)
{
	LaneWorker *w = in->self;
	bool mine;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	mine = in->lane->run == run && in->lane->coordinator != 0 && w->pid == 0;
	if (mine)
	{
		w->pid = MyProcPid;
		w->latch = MyLatch;
		w->backend = WEIR_NO_BACKEND;
	}
	LWLockRelease(&weir_registry->lock);
	if (!mine)
		proc_exit(0);
	before_shmem_exit(leave, (Datum) 0);
}

void
weir_ingest_check_coordinator(const Ingest *in)
{
	if (in->lane->coordinator == 0)
		proc_exit(0);
}

/* Until the coordinator has dealt the partitions out. */
static void
wait_for_partitions(Ingest *in)
{
	while (pg_atomic_read_u32(&in->lane->ready) == 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 IDLE_WAIT_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		weir_worker_interrupts();
		weir_ingest_check_coordinator(in);
	}
	pg_read_barrier();
}

/* Where a partition has to be read from, for all views to be served. */
static int64
least_position(const Ingest *in, int p)
{
	int64 least = PG_INT64_MAX;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply && !wp_is_done(&in->views[i].apply->parts[p]))
			least = Min(least, in->views[i].apply->parts[p].position);
	return least == PG_INT64_MAX ? in->lane->parts[p].position : least;
}

/* Would some partition be read from a lower offset than it has been? */
static bool
goes_back(const Ingest *in)
{
	for (int p = 0; p < in->lane->npartitions; p++)
		if (in->lane->parts[p].worker == in->worker &&
			least_position(in, p) < in->lane->parts[p].position)
			return true;
	return false;
}

/* A new handle, in place of the one that there is. */
static void
open_handle(Ingest *in)
{
	char err[256];

	if (in->consumer)
		weir_consumer_abandon(in->consumer);
	in->consumer = weir_consumer_open(in->stream->settings, in->stream->topic,
									  in->group, in->queue_kb,
									  weir_settings.kafka_statistics_ms, err,
									  sizeof(err));
	if (in->consumer == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not open a consumer: %s", err)));
	in->delivered = in->away = false;
	in->kafka_before = in->self->metrics.kafka;
	in->opened = weir_clock_monotonic();
}

/*
 * Read from the least positions on; each view skips what it has had.  What the
 * handle has fetched before must not be taken for what comes at lower offsets.
 */
static void
assign(Ingest *in)
{
	Lane *lane = in->lane;
	int32 *partitions = palloc(sizeof(int32) * lane->npartitions);
	int64 *offsets = palloc(sizeof(int64) * lane->npartitions);
	int64 now = weir_clock_monotonic();
	char err[256];
	int n = 0;

	if (in->delivered && goes_back(in))
		open_handle(in);
	for (int p = 0; p < lane->npartitions; p++)
	{
		if (lane->parts[p].worker != in->worker)
			continue;
		lane->parts[p].last_event = lane->parts[p].last_seen = now;
		lane->parts[p].at_end = lane->parts[p].silent = false;
		lane->parts[p].dry = lane->parts[p].held = false;
		lane->parts[p].position = least_position(in, p);
		partitions[n] = lane->parts[p].partition;
		offsets[n++] = weir_lost_doubt(in, p);
	}
	if (!weir_consumer_assign(in->consumer, n, partitions, offsets, err,
							  sizeof(err)))
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not read topic \"%s\": %s",
							   in->stream->topic, err)));
	pfree(partitions);
	pfree(offsets);
}

static void
prepare(Ingest *in)
{
	int n = in->lane->npartitions;

	in->views = MemoryContextAllocZero(in->cxt,
									   sizeof(IngestView) * WEIR_LANE_VIEWS);
	in->common = weir_common_new(in->capacity, in->cxt);
	in->msgs = MemoryContextAlloc(in->cxt, sizeof(KafkaMessage) * in->capacity);
	in->events = MemoryContextAlloc(in->cxt, sizeof(KafkaEvent) * MAX_EVENTS);
	in->past = MemoryContextAllocZero(in->cxt, sizeof(IngestPast) * n);
	in->last = MemoryContextAllocZero(in->cxt, sizeof(IngestLast) * n);
	weir_ingest_load_views(in);
	weir_append_prepare(in);
}

static void
open_consumer(Ingest *in)
{
	int wanted = weir_settings.queue_kb / Max(in->lane->nworkers, 1);

	StartTransactionCommand();
	in->group = MemoryContextStrdup(in->cxt, weir_stream_group(in->stream));
	CommitTransactionCommand();
	in->queue_kb = weir_queue_claim(in->self, wanted,
									weir_settings.queue_limit_kb);
	open_handle(in);
	assign(in);
}

/* --- barrier ---------------------------------------------------------------------- */

static void
take_barrier(Ingest *in, uint64 barrier)
{
	weir_ingest_drop_detached(in);
	weir_ingest_settle(in);
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			weir_apply_freeze(in->views[i].apply);
	weir_letters_move(&in->self->letters, &in->self->frozen);
	weir_cells_move(&in->self->applied, &in->self->settled);
	WEIR_FAULT("ingest-frozen");
	we_take(&in->barrier, barrier);
	pg_write_barrier();
	pg_atomic_write_u64(&in->self->acked, barrier);
	WEIR_FAULT("ingest-acknowledged");
}

static void
copy_wait_over(Ingest *in)
{
	if (in->copy_waits != 0)
		weir_ingest_wait_end(in);
	in->copy_waits = 0;
}

/*
 * The copies of a view do not fit: other lanes' checkpoints may make room, but
 * not for ever, since this lane commits nothing meanwhile.
 */
static void
wait_to_copy(Ingest *in, IngestView *v)
{
	if (in->copy_waits == 0)
	{
		in->copy_waits = weir_clock_monotonic();
		weir_ingest_wait_begin(in, v->row->id);
	}
	else if (weir_ingest_patience_is_over(in, in->copy_waits))
	{
		/* Its copies make room for the next view, which waits for itself. */
		copy_wait_over(in);
		weir_ingest_fail_view(
			in, v, ERRCODE_OUT_OF_MEMORY,
			"the copies of its open windows for a checkpoint do not fit in weir.memory_limit");
		return;
	}
	(void) weir_retired_give_up();
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 COPY_WAIT_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

static void
copy_slice(Ingest *in)
{
	for (int i = 0; i < in->nviews; i++)
	{
		int done;

		if (in->views[i].apply == NULL)
			continue;
		done = weir_apply_copy(in->views[i].apply, COPY_BUDGET_US);
		if (done < 0)
			wait_to_copy(in, &in->views[i]);
		if (done <= 0)
			return;
	}
	copy_wait_over(in);
	in->barrier.copying = false;
	pg_write_barrier();
	pg_atomic_write_u64(&in->self->copied, in->barrier.acked);
	weir_wake_coordinator(in->lane);
	WEIR_FAULT("ingest-copied");
}

void
weir_ingest_barrier(Ingest *in)
{
	uint64 barrier = pg_atomic_read_u64(&in->lane->barrier);

	pg_read_barrier();
	if (we_next(&in->barrier, barrier) == WE_TAKE &&
		(in->append == NULL || weir_append_settle(in)))
		take_barrier(in, barrier);
	if (we_next(&in->barrier, barrier) == WE_COPY)
		copy_slice(in);
}

bool
weir_ingest_between(Ingest *in)
{
	weir_worker_interrupts();
	weir_ingest_check_coordinator(in);
	weir_ingest_barrier(in);
	return weir_ingest_drop_failed(in);
}

/* --- events ------------------------------------------------------------------------------ */

static void
at_end(Ingest *in, const KafkaEvent *e)
{
	LanePartition *p = &in->lane->parts[e->partition];

	weir_ingest_broker_answers(in);
	weir_lost_at_end(in, e->partition, e->offset);
	/* Of before we went back, or let go of the partition. */
	if (p->held || in->went_back || in->past[e->partition].lost)
		return;
	p->at_end = e->offset >= p->position;
	p->dry = true;
	if (e->offset > p->position)
		p->position = e->offset;
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			weir_apply_advance(in->views[i].apply, e->partition, e->offset);
}

static void
note_missing_topic(Ingest *in, const KafkaEvent *e)
{
	in->self->no_topic = true;
	if (e->partition < 0)
		snprintf(in->self->error, WEIR_ERROR_LEN, "topic \"%s\" does not exist",
				 in->stream->topic);
	else
		snprintf(in->self->error, WEIR_ERROR_LEN,
				 "partition %d of topic \"%s\" does not exist", e->partition,
				 in->stream->topic);
}

static void
serve_event(Ingest *in, const KafkaEvent *e)
{
	switch (e->kind)
	{
		case KAFKA_EVENT_EOF:
			if (e->partition >= 0 && e->partition < in->lane->npartitions)
				at_end(in, e);
			break;
		case KAFKA_EVENT_OFFSET_LOST:
			if (e->partition >= 0 && e->partition < in->lane->npartitions)
				weir_lost_missing(in, e->partition);
			break;
		case KAFKA_EVENT_PARTITION_ERROR:
		case KAFKA_EVENT_CLIENT_ERROR:
			in->self->broker_down = true;
			if (e->fatal)
				ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
								errmsg("topic \"%s\": %s", in->stream->topic,
									   e->text)));
			strlcpy(in->self->error, e->text, WEIR_ERROR_LEN);
			if (e->no_topic)
				note_missing_topic(in, e);
			break;
	}
}

/* Has a partition's leader answered? */
static bool
any_answer(const Ingest *in, int nevents)
{
	for (int i = 0; i < nevents; i++)
		if (in->events[i].kind == KAFKA_EVENT_EOF ||
			in->events[i].kind == KAFKA_EVENT_OFFSET_LOST)
			return true;
	return false;
}

/*
 * Has something happened after which the topic may be another one?  As long as
 * a handle has delivered nothing all is compared that it will deliver, so it
 * need not be replaced.
 */
static bool
was_away(const Ingest *in, int nevents)
{
	if (!in->delivered)
		return false;
	for (int i = 0; i < nevents; i++)
		if (in->events[i].all_down || in->events[i].no_topic)
			return true;
	return false;
}

/* What is said of it is noted; the rest is of a topic that may be no more. */
static void
note_away(Ingest *in, int nevents)
{
	in->away = true;
	weir_ingest_note_disconnected(in);
	weir_lost_remember_ends(in);
	weir_consumer_release(in->consumer);
	for (int i = 0; i < nevents; i++)
		if (in->events[i].kind == KAFKA_EVENT_CLIENT_ERROR ||
			in->events[i].kind == KAFKA_EVENT_PARTITION_ERROR)
			serve_event(in, &in->events[i]);
}

/*
 * The topic was out of reach, and may be another one by now.  What this handle
 * delivers may be of either, so a new one takes its place, which compares first;
 * but not before this one is ANEW_US old, since opening one costs something and
 * trouble comes in swarms.
 */
static void
begin_anew(Ingest *in)
{
	int64 left = in->opened + ANEW_US - weir_clock_monotonic();

	if (left > 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 COPY_WAIT_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		return;
	}
	open_handle(in);
	assign(in);
}

/*
 * Leave out what was read before (after an error Kafka may send it again), and
 * what is still on its way of partitions that are held back.
 */
static int
drop_known(Ingest *in, int n)
{
	Lane *lane = in->lane;
	int64 bytes = 0;
	int kept = 0;

	for (int i = 0; i < n; i++)
	{
		KafkaMessage *m = &in->msgs[i];

		if (m->partition >= lane->npartitions || lane->parts[m->partition].held ||
			m->offset < lane->parts[m->partition].position)
			continue;
		bytes += m->len + m->key_len;
		if (kept != i)
			in->msgs[kept] = *m;
		kept++;
	}
	in->self->metrics.messages += kept;
	in->self->metrics.bytes += bytes;
	in->self->metrics.batches += kept > 0;
	return kept;
}

/* Tell Kafka's tools how far the lane is; only what is durable. */
static void
commit_group(Ingest *in)
{
	Lane *lane = in->lane;
	uint64 durable = pg_atomic_read_u64(&lane->durable);
	int32 *partitions;
	int64 *offsets;
	int n = 0;

	if (durable == in->durable)
		return;
	in->durable = durable;
	partitions = palloc(sizeof(int32) * lane->npartitions);
	offsets = palloc(sizeof(int64) * lane->npartitions);
	for (int p = 0; p < lane->npartitions; p++)
	{
		if (lane->parts[p].worker != in->worker)
			continue;
		partitions[n] = lane->parts[p].partition;
		offsets[n++] = lane->parts[p].group;
	}
	weir_consumer_commit(in->consumer, n, partitions, offsets);
	pfree(partitions);
	pfree(offsets);
}

/*
 * After trouble with a broker ask anew from time to time: without new messages
 * nothing else would tell that the leader answers again.  An assignment throws
 * away what a slow broker is about to send, so the pause grows.
 */
static void
ask_again(Ingest *in)
{
	int64 now = weir_clock_monotonic();

	if (!in->self->broker_down)
	{
		in->asked = now;
		in->pause = FIRST_PAUSE_US;
	}
	else if (now - in->asked > in->pause)
	{
		in->asked = now;
		in->pause = Min(2 * in->pause, LAST_PAUSE_US);
		assign(in);
	}
}

/* Views have joined the lane: serve them too. */
static void
serve_joining(Ingest *in)
{
	if ((int) pg_atomic_read_u32(&in->lane->ready) == in->nviews)
		return;
	weir_ingest_load_views(in);
	WEIR_FAULT("ingest-views-joined");
	assign(in);
}

static void
wait_on_latch(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/* One turn: what has arrived, else wait for something to happen. */
static void
turn(Ingest *in)
{
	int nevents;
	int n;
	int kept;
	long linger;

	weir_ingest_stage(in, STAGE_COPY);
	weir_ingest_barrier(in);
	serve_joining(in);
	weir_ingest_replay(in);
	weir_ingest_stage(in, STAGE_FETCH);
	if (in->away)
	{
		begin_anew(in);
		return;
	}
	linger = in->append ? weir_append_linger(in) : 0;
	if (linger > 0)
	{
		weir_ingest_stage(in, STAGE_WAIT);
		wait_on_latch(linger);
		return;
	}
	weir_consumer_drain_fd(in->consumer);
	n = weir_consumer_poll(in->consumer, in->msgs, in->capacity, in->events,
						   MAX_EVENTS, &nevents);
	in->delivered = in->delivered || n > 0 || any_answer(in, nevents);
	if (was_away(in, nevents))
	{
		note_away(in, nevents);
		return;
	}
	kept = drop_known(in, weir_lost_filter(in, n));
	weir_ingest_note_seen(in, kept);
	if (kept > 0)
	{
		WEIR_FAULT("ingest-fetched");
		if (in->append)
			weir_ingest_append(in, kept);
		else
			weir_ingest_batch(in, kept);
		weir_ingest_stage(in, STAGE_FETCH);
	}
	weir_consumer_release(in->consumer);
	for (int i = 0; i < nevents; i++)
		serve_event(in, &in->events[i]);
	if (weir_lost_settle(in))
		assign(in);
	weir_ingest_note_partitions(in);
	weir_ingest_note_rate(in);
	if (in->went_back)
		assign(in);
	in->went_back = false;
	if (in->append == NULL)
		weir_ingest_align(in);
	ask_again(in);
	commit_group(in);
	if (n == 0 && nevents == 0 &&
		we_next(&in->barrier, pg_atomic_read_u64(&in->lane->barrier)) ==
			WE_NOTHING)
	{
		weir_ingest_stage(in, STAGE_WAIT);
		(void) WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_SOCKET_READABLE |
									 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 weir_consumer_fd(in->consumer), IDLE_WAIT_MS,
								 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
weir_ingest_main(Datum arg)
{
	int code = DatumGetInt32(arg);
	uint64 run;

	ingest = MemoryContextAllocZero(TopMemoryContext, sizeof(Ingest));
	ingest->lane = &weir_registry->lanes[code / WEIR_MAX_WORKERS];
	ingest->worker = code % WEIR_MAX_WORKERS;
	ingest->self = &ingest->lane->workers[ingest->worker];
	ingest->cxt = AllocSetContextCreate(TopMemoryContext, "weir ingest",
										ALLOCSET_DEFAULT_SIZES);
	ingest->capacity = weir_settings.batch_size;
	ingest->barrier.acked = pg_atomic_read_u64(&ingest->self->acked);
	ingest->durable = pg_atomic_read_u64(&ingest->lane->durable);
	memcpy(&run, MyBgworkerEntry->bgw_extra, sizeof(run));
	attach(ingest, run);
	weir_worker_begin(ingest->lane->dboid);
	ingest->self->backend = WEIR_MY_BACKEND;
	PG_TRY();
	{
		wait_for_partitions(ingest);
		prepare(ingest);
		WEIR_FAULT("ingest-prepared");
		open_consumer(ingest);
		ingest->second = ingest->stage_since = weir_clock_monotonic();
		for (;;)
		{
			weir_worker_interrupts();
			weir_ingest_check_coordinator(ingest);
			turn(ingest);
		}
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(ingest->cxt);
		e = CopyErrorData();
		if (e->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN)
			strlcpy(ingest->self->error, e->message, WEIR_ERROR_LEN);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
