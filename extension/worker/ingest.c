/*
 * worker/ingest.c
 *		The ingest worker: fetch, decode, aggregate in memory.
 *
 * One process per shard of a lane, started by the lane's coordinator.  It is
 * the only one that reads Kafka and touches no disk.  A batch goes through
 * decode once and then through every view of the lane; views are applied one
 * after the other, each as its owner, and a view that raises leaves the lane
 * alone.
 *
 * Between two batches: the barrier (note positions, freeze), a slice of copying
 * for it, catalog changes the coordinator passes on.  While the arena is full
 * the batch waits, and barriers go on, since only they can free memory; a
 * view that has not applied the batch has not moved its positions either.
 *
 * Memory: everything of the worker's life in TopMemoryContext's child cxt; of
 * a batch in the decoder's and the views' own contexts.
 */
#include "base/weir.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "catalog/view.h"
#include "exec/apply.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/lane.h"

#define MAX_EVENTS 64
#define COPY_BUDGET_US 1000
#define IDLE_WAIT_MS 100
#define ASK_AGAIN_US (3 * USECS_PER_SEC)

typedef struct IngestView
{
	ViewSlot   *slot;
	ViewRow    *row;
	ViewPlan   *plan;
	ViewApply  *apply;			/* NULL: the view has left */
} IngestView;

typedef struct Ingest
{
	Lane	   *lane;
	int			worker;
	StreamDef  *stream;
	KafkaConsumer *consumer;
	Decoder    *decoder;
	KafkaMessage *msgs;
	KafkaEvent *events;
	int			capacity;
	int			nviews;
	IngestView *views;
	bool		needs_snapshot;
	bool		copying;
	uint64		acked;
	uint64		durable;
	MemoryContext cxt;
	MemoryContext decoder_cxt;
	int64		asked;			/* monotonic us: last answer or assignment */
	int64		second;			/* of the rate */
	int64		second_events;
} Ingest;

static Ingest *ingest;

/* --- start and end -------------------------------------------------------------- */

static void
leave(int code, Datum arg)
{
	Ingest	   *in = ingest;

	if (in->consumer)
		weir_consumer_close(in->consumer);
	in->consumer = NULL;
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	in->lane->workers[in->worker].pid = 0;
	in->lane->workers[in->worker].latch = NULL;
	if (in->lane->coordinator_latch)
		SetLatch(in->lane->coordinator_latch);
	LWLockRelease(&weir_registry->lock);
}

static void
attach(Ingest *in)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	in->lane->workers[in->worker].pid = MyProcPid;
	in->lane->workers[in->worker].latch = MyLatch;
	LWLockRelease(&weir_registry->lock);
	before_shmem_exit(leave, (Datum) 0);
}

static void
load_view(Ingest *in, IngestView *v, TupleDesc desc)
{
	WeirUser	before;
	int			nest;

	v->row = weir_view_load(v->slot->view);
	if (v->row == NULL)
		return;
	before = weir_become_owner(v->row);
	nest = weir_settings_enter(v->row);
	v->plan = weir_plan_view(v->row->query);
	v->apply = weir_apply_new(v->slot, in->worker, v->plan, desc,
							  in->stream->watermark_delay, in->lane->npartitions,
							  in->capacity, in->cxt);
	weir_settings_leave(nest);
	weir_become_again(before);
	in->needs_snapshot = in->needs_snapshot || v->plan->needs_snapshot;
}

/* Load the lane's next view, unless it has left already. */
static void
take_view(Ingest *in, TupleDesc desc)
{
	IngestView *v = &in->views[in->nviews++];
	int			slot = in->lane->views[in->nviews - 1];

	if (slot < 0)
		return;
	v->slot = &weir_registry->views[slot];
	if (!pg_atomic_read_u32(&v->slot->detached))
		load_view(in, v, desc);
}

/* A decoder for the columns that the views need now. */
static void
make_decoder(Ingest *in)
{
	MemoryContext cxt = AllocSetContextCreate(in->cxt, "weir decoder",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Bitmapset  *columns = NULL;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			columns = bms_union(columns, in->views[i].plan->columns);
	in->decoder = weir_decoder_new(in->stream, columns, in->capacity, cxt);
	MemoryContextSwitchTo(old);
	if (in->decoder_cxt)
		MemoryContextDelete(in->decoder_cxt);
	in->decoder_cxt = cxt;
}

/* Take up the views that are ready and not here yet. */
static void
load_views(Ingest *in)
{
	int			ready = (int) pg_atomic_read_u32(&in->lane->ready);
	Relation	rel;
	MemoryContext old;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	old = MemoryContextSwitchTo(in->cxt);
	rel = table_open(in->lane->stream, AccessShareLock);
	if (in->stream == NULL)
		in->stream = weir_stream_load(in->lane->stream, rel->rd_rel->relowner);
	while (in->nviews < ready)
		take_view(in, RelationGetDescr(rel));
	make_decoder(in);
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Where a partition has to be read from, for all views to be served. */
static int64
least_position(const Ingest *in, int p)
{
	int64		least = PG_INT64_MAX;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			least = Min(least, in->views[i].apply->parts[p].position);
	return least == PG_INT64_MAX ? in->lane->parts[p].position : least;
}

/* Read from the least positions on; each view skips what it has had. */
static void
assign(Ingest *in)
{
	Lane	   *lane = in->lane;
	int32	   *partitions = palloc(sizeof(int32) * lane->npartitions);
	int64	   *offsets = palloc(sizeof(int64) * lane->npartitions);
	int64		now = weir_clock_monotonic();
	char		err[256];
	int			n = 0;

	for (int p = 0; p < lane->npartitions; p++)
	{
		if (lane->parts[p].worker != in->worker)
			continue;
		lane->parts[p].last_event = now;
		lane->parts[p].position = least_position(in, p);
		partitions[n] = lane->parts[p].partition;
		offsets[n++] = lane->parts[p].position;
	}
	if (!weir_consumer_assign(in->consumer, n, partitions, offsets, err, sizeof(err)))
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not read topic \"%s\": %s", in->stream->topic, err)));
	pfree(partitions);
	pfree(offsets);
}

static void
prepare(Ingest *in)
{
	in->views = MemoryContextAllocZero(in->cxt, sizeof(IngestView) * WEIR_LANE_VIEWS);
	in->msgs = MemoryContextAlloc(in->cxt, sizeof(KafkaMessage) * in->capacity);
	in->events = MemoryContextAlloc(in->cxt, sizeof(KafkaEvent) * MAX_EVENTS);
	load_views(in);
}

static void
open_consumer(Ingest *in)
{
	char		err[256];
	char	   *group;

	StartTransactionCommand();
	group = MemoryContextStrdup(in->cxt, weir_stream_group(in->stream));
	CommitTransactionCommand();
	in->consumer = weir_consumer_open(in->stream->settings, in->stream->topic, group,
									  weir_settings.queue_kb, err, sizeof(err));
	if (in->consumer == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not open a consumer: %s", err)));
	assign(in);
}

/* --- barrier ---------------------------------------------------------------------- */

static void
drop_detached(Ingest *in)
{
	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];

		if (v->apply && pg_atomic_read_u32(&v->slot->detached))
		{
			Chunk	   *c;

			while ((c = v->apply->chunks) != NULL)
			{
				v->apply->chunks = c->next;
				weir_chunk_free(c);
			}
			MemoryContextDelete(v->apply->cxt);
			v->apply = NULL;
		}
	}
}

static void
freeze_dead_letters(Lane *lane)
{
	DeadLetter *last;

	LWLockAcquire(&lane->dead_lock, LW_EXCLUSIVE);
	if ((last = lane->dead_current) != NULL)
	{
		while (last->next)
			last = last->next;
		last->next = lane->dead_frozen;
		lane->dead_frozen = lane->dead_current;
		lane->dead_current = NULL;
	}
	LWLockRelease(&lane->dead_lock);
}

static void
take_barrier(Ingest *in, uint64 barrier)
{
	drop_detached(in);
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			weir_apply_freeze(in->views[i].apply);
	freeze_dead_letters(in->lane);
	in->acked = barrier;
	in->copying = true;
	pg_atomic_write_u64(&in->lane->workers[in->worker].acked, barrier);
	WEIR_FAULT("ingest-acknowledged");
}

static void
copy_slice(Ingest *in)
{
	for (int i = 0; i < in->nviews; i++)
	{
		int			done;

		if (in->views[i].apply == NULL)
			continue;
		done = weir_apply_copy(in->views[i].apply, COPY_BUDGET_US);
		if (done < 0)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("no shared memory left for a checkpoint"),
					 errhint("Raise weir.memory_limit.")));
		if (done == 0)
			return;
	}
	in->copying = false;
	pg_atomic_write_u64(&in->lane->workers[in->worker].copied, in->acked);
	weir_wake_coordinator(in->lane);
	WEIR_FAULT("ingest-copied");
}

static void
serve_barrier(Ingest *in)
{
	uint64		barrier = pg_atomic_read_u64(&in->lane->barrier);

	if (barrier > in->acked && !in->copying)
		take_barrier(in, barrier);
	if (in->copying)
		copy_slice(in);
}

/* --- a batch ------------------------------------------------------------------------ */

static void
wait_for_memory(Ingest *in)
{
	LaneWorker *w = &in->lane->workers[in->worker];

	pg_atomic_write_u32(&w->blocked, 1);
	weir_wake_coordinator(in->lane);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	weir_worker_interrupts();
	serve_barrier(in);
	pg_atomic_write_u32(&w->blocked, 0);
}

static void
dead_letter(Ingest *in, int32 view, int record, int sqlstate, const char *reason)
{
	const KafkaMessage *m = &in->msgs[record];

	if (in->stream->on_error == STREAM_SKIP)
		return;
	if (in->stream->on_error == STREAM_STOP && view == 0)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("message at partition %d, offset " INT64_FORMAT
						" of topic \"%s\" cannot be used: %s",
						m->partition, m->offset, in->stream->topic, reason),
				 errhint("The stream's option on_error is 'stop'.")));
	while (!weir_dead_letter_add(in->lane, view, m, sqlstate, reason))
		wait_for_memory(in);
}

static void
note_undecoded(Ingest *in, const EventBatch *b)
{
	for (int i = 0; i < b->nerrors; i++)
		dead_letter(in, 0, b->errors[i].record, b->errors[i].sqlstate,
					b->errors[i].reason);
	for (int i = 0; i < b->n; i++)
		if (b->ok[i] && b->event_time[i] == WEIR_NO_TIME)
			dead_letter(in, 0, i, ERRCODE_NULL_VALUE_NOT_ALLOWED,
						"the message has no event time");
}

/* Apply the batch to one view, as its owner. */
static void
apply_view(Ingest *in, IngestView *v, const EventBatch *b)
{
	WeirUser	before;
	int			nest = 0;

	before = weir_become_owner(v->row);
	if (v->plan->needs_snapshot)
		nest = weir_settings_enter(v->row);
	weir_apply_begin(v->apply, b);
	while (!weir_apply_run(v->apply, b))
	{
		if (v->apply->next_row >= 0)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
							errmsg("no shared memory left for view %d", v->row->id)));
		wait_for_memory(in);
		if (v->apply == NULL)
			break;
	}
	if (v->plan->needs_snapshot)
		weir_settings_leave(nest);
	weir_become_again(before);
	for (int i = 0; v->apply && i < v->apply->nerrors; i++)
		dead_letter(in, v->row->id, v->apply->errors[i].row,
					v->apply->errors[i].sqlstate, v->apply->errors[i].reason);
}

static void
begin_transaction(const Ingest *in)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (in->needs_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_transaction(const Ingest *in)
{
	if (in->needs_snapshot)
		PopActiveSnapshot();
	CommitTransactionCommand();
}

/* The view leaves the lane; the coordinator writes down why. */
static void
fail_view(IngestView *v, ErrorData *e)
{
	strlcpy(v->slot->error, e->message, WEIR_ERROR_LEN);
	pg_atomic_write_u32(&v->slot->failed, 1);
	v->apply = NULL;
}

static bool
ends_worker(const ErrorData *e)
{
	return e->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		ERRCODE_TO_CATEGORY(e->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES;
}

static void
try_apply_view(Ingest *in, IngestView *v, const EventBatch *b)
{
	PG_TRY();
	{
		apply_view(in, v, b);
	}
	PG_CATCH();
	{
		ErrorData  *e;

		MemoryContextSwitchTo(in->cxt);
		e = CopyErrorData();
		if (ends_worker(e))
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		fail_view(v, e);
		weir_wake_coordinator(in->lane);
		begin_transaction(in);
	}
	PG_END_TRY();
}

static void
apply_all(Ingest *in, const EventBatch *b)
{
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			try_apply_view(in, &in->views[i], b);
}

/* --- what others see of it ------------------------------------------------------------ */

static void
note_freshness(Lane *lane, int64 us)
{
	int			slot = 0;

	us = Max(us, 1);
	while (us >= 8)
	{
		us >>= 1;
		slot += 4;
	}
	slot += (int) (us & 3);
	lane->freshness[Min(slot, WEIR_FRESHNESS_SLOTS - 1)]++;
}

static void
note_progress(Ingest *in, const EventBatch *b)
{
	Lane	   *lane = in->lane;
	int64		now = weir_clock_monotonic();
	int64		wall = weir_clock_wall() + WEIR_EPOCH_SHIFT;

	for (int i = 0; i < b->n; i++)
	{
		LanePartition *p = &lane->parts[b->partition[i]];

		p->position = b->offset[i] + 1;
		if (!b->ok[i] || b->event_time[i] == WEIR_NO_TIME)
			continue;
		p->last_event = now;
		p->idle = false;
		if (p->max_time == WEIR_NO_TIME || b->event_time[i] > p->max_time)
			p->max_time = b->event_time[i];
	}
	for (int i = 0; i < b->n; i += 16)
		if (in->msgs[i].timestamp > 0)
			note_freshness(lane, wall - in->msgs[i].timestamp);
	lane->events += b->n;
	in->second_events += b->n;
}

static void
note_rate(Ingest *in)
{
	int64		now = weir_clock_monotonic();

	if (now - in->second < USECS_PER_SEC)
		return;
	in->lane->rate = in->second_events * USECS_PER_SEC / (now - in->second);
	in->second = now;
	in->second_events = 0;
}

/* High watermarks, idleness: SEMANTICS of "idle" are in docs/semantics.md. */
static void
note_partitions(Ingest *in)
{
	Lane	   *lane = in->lane;
	int64		now = weir_clock_monotonic();

	for (int i = 0; i < lane->npartitions; i++)
	{
		LanePartition *p = &lane->parts[i];
		int64		low;
		int64		high;

		if (p->worker != in->worker)
			continue;
		if (weir_consumer_watermarks(in->consumer, p->partition, &low, &high))
		{
			p->low = low;
			p->high = high;
		}
		if (p->position < p->high)
			p->at_end = false;
		p->idle = p->at_end && !lane->broker_down &&
			now - p->last_event > in->stream->idle_timeout;
	}
}

/* --- events ------------------------------------------------------------------------------ */

static void
broker_answers(Ingest *in)
{
	if (!in->lane->broker_down)
		return;
	in->lane->broker_down = false;
	in->lane->error[0] = '\0';
}

static void
at_end(Ingest *in, const KafkaEvent *e)
{
	LanePartition *p = &in->lane->parts[e->partition];

	broker_answers(in);
	p->at_end = e->offset >= p->position;
	if (e->offset > p->position)
		p->position = e->offset;
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			weir_apply_advance(in->views[i].apply, e->partition, e->offset);
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
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("partition %d of topic \"%s\" no longer has offset " INT64_FORMAT,
							e->partition, in->stream->topic,
							in->lane->parts[e->partition].position),
					 errdetail_internal("%s", e->text),
					 errhint("The topic was recreated or its retention has passed the view's position; weir.reset starts a view anew.")));
			break;
		case KAFKA_EVENT_PARTITION_ERROR:
		case KAFKA_EVENT_CLIENT_ERROR:
			in->lane->broker_down = true;
			if (e->fatal)
				ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
								errmsg("topic \"%s\": %s", in->stream->topic, e->text)));
			strlcpy(in->lane->error, e->text, WEIR_ERROR_LEN);
			break;
	}
}

/* Leave out what was read before: after an error Kafka may send it again. */
static int
drop_known(Ingest *in, int n)
{
	Lane	   *lane = in->lane;
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		KafkaMessage *m = &in->msgs[i];

		if (m->partition >= lane->npartitions ||
			m->offset < lane->parts[m->partition].position)
			continue;
		if (kept != i)
			in->msgs[kept] = *m;
		kept++;
	}
	return kept;
}

static void
ingest_batch(Ingest *in, int n)
{
	EventBatch *b;

	begin_transaction(in);
	b = weir_decode(in->decoder, in->msgs, n);
	WEIR_FAULT("ingest-decoded");
	note_undecoded(in, b);
	apply_all(in, b);
	end_transaction(in);
	note_progress(in, b);
	broker_answers(in);
	WEIR_FAULT("ingest-applied");
}

/* Tell Kafka's tools how far the lane is; only what is durable. */
static void
commit_group(Ingest *in)
{
	Lane	   *lane = in->lane;
	uint64		durable = pg_atomic_read_u64(&lane->durable);
	int32	   *partitions;
	int64	   *offsets;

	if (durable == in->durable)
		return;
	in->durable = durable;
	partitions = palloc(sizeof(int32) * lane->npartitions);
	offsets = palloc(sizeof(int64) * lane->npartitions);
	for (int p = 0; p < lane->npartitions; p++)
	{
		partitions[p] = lane->parts[p].partition;
		offsets[p] = lane->parts[p].durable;
	}
	weir_consumer_commit(in->consumer, lane->npartitions, partitions, offsets);
	pfree(partitions);
	pfree(offsets);
}

/*
 * After trouble with a broker ask anew from time to time: without new messages
 * nothing else would tell that the leader answers again.
 */
static void
ask_again(Ingest *in)
{
	int64		now = weir_clock_monotonic();

	if (!in->lane->broker_down)
		in->asked = now;
	else if (now - in->asked > ASK_AGAIN_US)
	{
		in->asked = now;
		assign(in);
	}
}

/* Views have joined the lane: serve them too. */
static void
serve_joining(Ingest *in)
{
	if ((int) pg_atomic_read_u32(&in->lane->ready) == in->nviews)
		return;
	load_views(in);
	assign(in);
}

/* One turn: what has arrived, else wait for something to happen. */
static void
turn(Ingest *in)
{
	int			nevents;
	int			n;
	int			kept;

	serve_barrier(in);
	serve_joining(in);
	weir_consumer_drain_fd(in->consumer);
	n = weir_consumer_poll(in->consumer, in->msgs, in->capacity, in->events, MAX_EVENTS,
						   &nevents);
	kept = drop_known(in, n);
	if (kept > 0)
		ingest_batch(in, kept);
	weir_consumer_release(in->consumer);
	for (int i = 0; i < nevents; i++)
		serve_event(in, &in->events[i]);
	note_partitions(in);
	note_rate(in);
	ask_again(in);
	commit_group(in);
	if (n == 0 && nevents == 0 && !in->copying &&
		pg_atomic_read_u64(&in->lane->barrier) == in->acked)
	{
		(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE |
								 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 weir_consumer_fd(in->consumer), IDLE_WAIT_MS,
								 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
weir_ingest_main(Datum arg)
{
	int			code = DatumGetInt32(arg);

	ingest = MemoryContextAllocZero(TopMemoryContext, sizeof(Ingest));
	ingest->lane = &weir_registry->lanes[code / WEIR_MAX_WORKERS];
	ingest->worker = code % WEIR_MAX_WORKERS;
	ingest->cxt = AllocSetContextCreate(TopMemoryContext, "weir ingest",
										ALLOCSET_DEFAULT_SIZES);
	ingest->capacity = weir_settings.batch_size;
	ingest->acked = pg_atomic_read_u64(&ingest->lane->workers[ingest->worker].acked);
	ingest->durable = pg_atomic_read_u64(&ingest->lane->durable);
	attach(ingest);
	weir_worker_begin(ingest->lane->dboid);
	/* The launcher ends it with its lane: no reason for a FATAL in the log. */
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	PG_TRY();
	{
		prepare(ingest);
		open_consumer(ingest);
		ingest->second = weir_clock_monotonic();
		for (;;)
		{
			weir_worker_interrupts();
			turn(ingest);
		}
	}
	PG_CATCH();
	{
		ErrorData  *e;

		MemoryContextSwitchTo(ingest->cxt);
		e = CopyErrorData();
		if (e->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN)
			strlcpy(ingest->lane->error, e->message, WEIR_ERROR_LEN);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
