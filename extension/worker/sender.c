/*
 * worker/sender.c
 *		The sender: writes a database's outbox to Kafka.
 *
 * One process for each database that has sinks, started by the scanner.  For
 * each sink it takes rows from the outbox, in the order of their numbers, and
 * writes them in one Kafka transaction, with the number of the last one
 * (kafka/sink.h).  So a row is in the topic once, for readers of committed
 * messages, however often this process, the server or the broker ends.
 *
 * Nothing leaves the database before it is durable: the transaction that reads
 * the outbox writes to it as well and is committed synchronously, and what it has
 * seen was committed before.
 *
 * It holds no lock while it waits for a broker.  A sink that fails is left alone
 * for a while; the others go on.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "catalog/extension.h"
#include "catalog/sink.h"
#include "catalog/stream.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/view.h"
#include "kafka/sink.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/lane.h"

#define ROWS_AT_ONCE   1000
#define LOOK_US        (60 * USECS_PER_SEC)
#define LEAST_PAUSE_US (250 * 1000)
#define MOST_PAUSE_US  (30 * USECS_PER_SEC)
#define AGAIN_MS       1000

typedef struct SenderSink
{
	int32 view;
	Oid relation;
	Oid stream;
	char *topic;
	bool seen;      /* in the catalog */
	bool stale;     /* its settings are to be loaded again */
	List *settings; /* in memory of their own */
	MemoryContext settings_cxt;
	KafkaSink *kafka; /* NULL: not open */
	int64 sent;       /* what the topic has */
	int64 due;        /* not before (monotonic us) */
	int64 pause;
	bool noted;        /* an error is in the catalog */
	MemoryContext cxt; /* has all this */
} SenderSink;

typedef struct SenderState
{
	List *sinks;     /* of SenderSink, in cxt */
	int64 next_look; /* at the catalog */
	MemoryContext cxt;
	MemoryContext turn; /* reset in each turn */
} SenderState;

/* --- coming and going ----------------------------------------------------------- */

/* Whoever starts senders is told: sinks may have been made in this moment. */
static void
leave(int code, Datum place)
{
	Sender *s = &weir_registry->senders[DatumGetInt32(place)];

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	s->pid = 0;
	s->latch = NULL;
	s->failed = code != 0 ? GetCurrentTimestamp() : 0;
	LWLockRelease(&weir_registry->lock);
	weir_notify_launcher(MyDatabaseId);
}

static void
enter(Sender *s)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	s->pid = MyProcPid;
	s->latch = MyLatch;
	s->claimed = 0;
	LWLockRelease(&weir_registry->lock);
	before_shmem_exit(leave, Int32GetDatum((int) (s - weir_registry->senders)));
}

/* After one that has failed just now: wait, so as not to fail all the time. */
static void
wait_after_failure(const Sender *s)
{
	while (
		s->failed != 0 &&
		!TimestampDifferenceExceeds(s->failed, GetCurrentTimestamp(), AGAIN_MS))
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 AGAIN_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		weir_worker_interrupts();
	}
}

/* Work is done in short transactions of the sender's own. */
static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
commit(MemoryContext cxt)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
}

/* --- which sinks ------------------------------------------------------------------ */

static SenderSink *
find_sink(SenderState *s, int32 view)
{
	ListCell *lc;

	foreach(lc, s->sinks)
		if (((SenderSink *) lfirst(lc))->view == view)
			return lfirst(lc);
	return NULL;
}

static void
close_sink(SenderSink *sink)
{
	if (sink->kafka)
		weir_sink_close(sink->kafka);
	sink->kafka = NULL;
}

static bool
same_settings(List *a, List *b)
{
	ListCell *x;
	ListCell *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		const KafkaSetting *s = lfirst(x);
		const KafkaSetting *t = lfirst(y);

		if (strcmp(s->name, t->name) != 0 || strcmp(s->value, t->value) != 0)
			return false;
	}
	return true;
}

static SenderSink *
make_sink(SenderState *s, const SinkRow *row)
{
	MemoryContext cxt = AllocSetContextCreate(s->cxt, "weir sink",
											  ALLOCSET_SMALL_SIZES);
	SenderSink *sink = MemoryContextAllocZero(cxt, sizeof(SenderSink));
	MemoryContext old = MemoryContextSwitchTo(s->cxt);

	sink->cxt = cxt;
	sink->view = row->view;
	sink->relation = row->relation;
	sink->stream = row->stream;
	sink->topic = MemoryContextStrdup(cxt, row->topic);
	sink->sent = row->sent;
	sink->noted = row->failed;
	s->sinks = lappend(s->sinks, sink);
	MemoryContextSwitchTo(old);
	return sink;
}

static void
forget_sink(SenderState *s, SenderSink *sink)
{
	close_sink(sink);
	s->sinks = list_delete_ptr(s->sinks, sink);
	MemoryContextDelete(sink->cxt);
}

/* Take over what the catalog says. */
static void
take_sink(SenderState *s, const SinkRow *row)
{
	SenderSink *sink = find_sink(s, row->view);

	if (sink && strcmp(sink->topic, row->topic) != 0)
	{
		forget_sink(s, sink);
		sink = NULL;
	}
	if (sink == NULL)
		sink = make_sink(s, row);
	sink->seen = sink->stale = true;
	sink->due = 0;
}

static void
forget_unseen(SenderState *s)
{
	List *all = list_copy(s->sinks);
	ListCell *lc;

	foreach(lc, all)
		if (!((SenderSink *) lfirst(lc))->seen)
			forget_sink(s, lfirst(lc));
	list_free(all);
}

/* False: there is nothing to do in this database any more. */
static bool
look(SenderState *s)
{
	List *rows = NIL;
	ListCell *lc;

	foreach(lc, s->sinks)
		((SenderSink *) lfirst(lc))->seen = false;
	begin();
	if (weir_sql_version() != NULL && weir_other_version() == NULL)
		rows = weir_sinks_load();
	foreach(lc, rows)
		take_sink(s, lfirst(lc));
	commit(s->turn);
	forget_unseen(s);
	s->next_look = weir_clock_monotonic() + LOOK_US;
	return s->sinks != NIL;
}

/* --- sending ------------------------------------------------------------------------ */

/* Leave the sink alone for a while. */
static void
put_off(SenderSink *sink)
{
	close_sink(sink);
	sink->pause = Min(Max(sink->pause * 2, LEAST_PAUSE_US), MOST_PAUSE_US);
	sink->due = weir_clock_monotonic() + sink->pause;
}

static void
failed(SenderState *s, SenderSink *sink, const char *err)
{
	put_off(sink);
	if (!sink->noted)
		ereport(LOG, (errmsg("could not write windows to topic \"%s\": %s",
							 sink->topic, err)));
	sink->noted = true;
	begin();
	weir_sink_note(sink->view, err);
	commit(s->turn);
}

/* With the credentials of the view's owner, who must be able to use the server. */
static List *
load_settings(const SenderSink *sink)
{
	Oid owner = weir_relation_owner(sink->relation);
	StreamDef *stream = weir_stream_load(sink->stream, owner);

	if (weir_server_aclcheck(stream->serverid, owner, ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg(
					 "the owner of the view may not use the server of its stream")));
	return stream->settings;
}

static void
refresh_settings(SenderState *s, SenderSink *sink)
{
	MemoryContext cxt = AllocSetContextCreate(sink->cxt, "weir sink settings",
											  ALLOCSET_SMALL_SIZES);
	List *settings;

	begin();
	MemoryContextSwitchTo(cxt);
	settings = load_settings(sink);
	commit(s->turn);
	sink->stale = false;
	if (sink->settings_cxt && same_settings(settings, sink->settings))
	{
		MemoryContextDelete(cxt);
		return;
	}
	close_sink(sink);
	if (sink->settings_cxt)
		MemoryContextDelete(sink->settings_cxt);
	sink->settings_cxt = cxt;
	sink->settings = settings;
}

/*
 * The id is of this database of this cluster: a promoted standby fences the old
 * primary by it, a restored copy has another one.  The numbers are of one
 * timeline: those that a promoted standby has not received are given again.
 */
static bool
open_sink(SenderState *s, SenderSink *sink)
{
	char err[512] = "";
	int64 last;
	char *id;
	char *group;

	id = psprintf("weir-sink-" UINT64_FORMAT "-%u-%d", GetSystemIdentifier(),
				  MyDatabaseId, sink->view);
	group = psprintf("%s-%u", id, GetWALInsertionTimeLine());
	sink->kafka = weir_sink_open(sink->settings, sink->topic, id, group, &last,
								 weir_settings.broker_timeout_ms, err,
								 sizeof(err));
	if (sink->kafka == NULL)
	{
		failed(s, sink, err);
		return false;
	}
	WEIR_FAULT("sender-opened");
	sink->sent = Max(sink->sent, last);
	return true;
}

/* The rows that come next; the others are deleted.  What is read is durable. */
static OutboxRow *
take_rows(SenderState *s, SenderSink *sink, int *n)
{
	int before = synchronous_commit;
	OutboxRow *rows;

	begin();
	MemoryContextSwitchTo(s->turn);
	rows = weir_outbox_next(sink->view, sink->sent, ROWS_AT_ONCE, n);
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		synchronous_commit = SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
	commit(s->turn);
	synchronous_commit = before;
	sink->noted = false;
	return rows;
}

static bool
write_rows(SenderState *s, SenderSink *sink, const OutboxRow *rows, int n)
{
	KafkaSinkMessage *messages = palloc(sizeof(KafkaSinkMessage) * n);
	char err[512] = "";

	for (int i = 0; i < n; i++)
	{
		messages[i].number = rows[i].number;
		messages[i].key = rows[i].key;
		messages[i].value = rows[i].value;
	}
	if (!weir_sink_write(sink->kafka, messages, n,
						 weir_settings.broker_timeout_ms, err, sizeof(err)))
	{
		failed(s, sink, err);
		return false;
	}
	WEIR_FAULT("sender-written");
	sink->sent = rows[n - 1].number;
	sink->pause = 0;
	return true;
}

/* Send what there is; true: there may be more. */
static bool
serve(SenderState *s, SenderSink *sink)
{
	OutboxRow *rows;
	int n;

	if (sink->stale)
		refresh_settings(s, sink);
	if (sink->kafka == NULL && !open_sink(s, sink))
		return false;
	rows = take_rows(s, sink, &n);
	WEIR_FAULT("sender-rows-taken");
	return n > 0 && write_rows(s, sink, rows, n);
}

static long
until_due(const SenderState *s)
{
	int64 now = weir_clock_monotonic();
	int64 due = s->next_look;
	ListCell *lc;

	foreach(lc, s->sinks)
	{
		const SenderSink *sink = lfirst(lc);

		if (sink->kafka == NULL)
			due = Min(due, sink->due);
	}
	return Max(1, (due - now) / 1000);
}

/* Something has raised: a lock in the way, a stream that cannot be used ... */
static void
after_error(SenderState *s, SenderSink *sink)
{
	ErrorData *e;

	MemoryContextSwitchTo(s->turn);
	e = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(s->turn);
	put_off(sink);
	sink->stale = true;
	if (!sink->noted)
		ereport(LOG, (errmsg("could not write windows to topic \"%s\": %s",
							 sink->topic, e->message)));
	sink->noted = true;
	FreeErrorData(e);
}

/* The same, whatever happens: the other sinks go on. */
static bool
serve_safely(SenderState *s, SenderSink *sink)
{
	volatile bool more = false;

	if (weir_clock_monotonic() < sink->due)
		return false;
	PG_TRY();
	{
		more = serve(s, sink);
	}
	PG_CATCH();
	{
		after_error(s, sink);
	}
	PG_END_TRY();
	return more;
}

/* A turn over all sinks; true: there may be more to send. */
static bool
serve_all(SenderState *s)
{
	bool more = false;
	ListCell *lc;

	foreach(lc, s->sinks)
	{
		MemoryContextReset(s->turn);
		more = serve_safely(s, lfirst(lc)) || more;
	}
	return more;
}

void
weir_sender_main(Datum place)
{
	Sender *me = &weir_registry->senders[DatumGetInt32(place)];
	SenderState s = {0};

	weir_worker_begin(me->dboid);
	enter(me);
	wait_after_failure(me);
	s.cxt = AllocSetContextCreate(TopMemoryContext, "weir sender",
								  ALLOCSET_DEFAULT_SIZES);
	s.turn = AllocSetContextCreate(s.cxt, "weir sender turn",
								   ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		ResetLatch(MyLatch);
		weir_worker_interrupts();
		if (me->recheck || weir_clock_monotonic() >= s.next_look)
		{
			me->recheck = false;
			if (!look(&s))
				break;
		}
		if (serve_all(&s))
			continue;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 until_due(&s), PG_WAIT_EXTENSION);
	}
	proc_exit(0);
}
