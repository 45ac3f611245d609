/*
 * api/flush.c
 *		weir.flush and weir.checkpoint: wait for what was read to be committed.
 *
 * Backends.  flush asks the broker where the topic ends, waits until every view
 * concerned has been applied up to there, asks its lane's coordinator for a
 * checkpoint and waits until that is durable.  Waiting is on the lane's
 * condition variable with short timeouts, so that a lane that starts anew in
 * the meantime is noticed.
 *
 * Both refuse to run where they could wait for themselves: in a transaction
 * that has written something (the checkpoint might need what it locked; latch
 * waits are invisible to the deadlock detector), or under a snapshot that would
 * not see the result.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "catalog/access.h"
#include "catalog/extension.h"
#include "catalog/stream.h"
#include "catalog/view.h"
#include "kafka/kafka.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/shmem.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(weir_flush);
PG_FUNCTION_INFO_V1(weir_checkpoint);

#define POLL_MS          20
#define CATALOG_CHECK_US (250 * 1000)

typedef struct Flush
{
	const char *what; /* function, for messages */
	Oid stream;
	List *views; /* of int: ids still to be waited for */
	int npartitions;
	int64 *target;
	int64 deadline; /* monotonic */
	int64 next_catalog;
} Flush;

static void
check_transaction(const char *what)
{
	weir_require_preload();
	weir_require_version();
	PreventCommandDuringRecovery(what);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot be used under REPEATABLE READ or SERIALIZABLE",
						what),
				 errdetail("The transaction would not see what was committed."),
				 errhint("Call it under READ COMMITTED.")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot be used in a transaction that has written something",
						what),
				 errdetail(
					 "It would wait for what the transaction itself holds."),
				 errhint("Commit first.")));
}

/* --- what to wait for ------------------------------------------------------------- */

static void
check_running(const ViewRow *row, const char *what)
{
	if (strcmp(row->state, "running") != 0 || !row->home)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot wait for continuous view \"%s\": it is %s",
						what, get_rel_name(row->view),
						!row->home                         ? "paused: restored"
						: strcmp(row->state, "error") == 0 ? "in error"
														   : row->state),
				 errhint(
					 "SELECT * FROM weir.status says why; weir.resume goes on.")));
}

/* Does the view have no need to be waited for? */
static bool
is_finished(const ViewRow *row)
{
	return strcmp(row->state, "finished") == 0 && row->home;
}

static void
find_views(Flush *f, Oid target)
{
	ViewRow *row = weir_view_of_relation(target);
	List *rows;
	ListCell *lc;

	if (row)
	{
		f->stream = row->stream;
		rows = list_make1(row);
	}
	else if (weir_is_stream(target))
	{
		f->stream = target;
		rows = weir_views_load(target);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is neither a stream nor a continuous view",
						get_rel_name(target) ? get_rel_name(target) : "?")));
	if (pg_class_aclcheck(target, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		!weir_is_admin())
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(target));
	foreach(lc, rows)
	{
		if (is_finished(lfirst(lc)))
			continue;
		check_running(lfirst(lc), f->what);
		f->views = lappend_int(f->views, ((ViewRow *) lfirst(lc))->id);
	}
}

static void
broker_failed(const char *err)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not ask the broker where the topic ends: %s", err),
			 errhint("weir.broker_timeout says how long to wait for it.")));
}

static void
find_ends(Flush *f)
{
	StreamDef *stream = weir_stream_load(f->stream,
										 weir_relation_owner(f->stream));
	char err[256];
	KafkaClient *client = weir_client_open(stream->settings, err, sizeof(err));
	int64 low;

	if (client == NULL)
		broker_failed(err);
	PG_TRY();
	{
		if (!weir_client_partitions(client, stream->topic,
									weir_settings.broker_timeout_ms,
									&f->npartitions, err, sizeof(err)))
			broker_failed(err);
		f->target = palloc0(sizeof(int64) * Max(f->npartitions, 1));
		for (int p = 0; p < f->npartitions; p++)
			if (!weir_client_offsets(client, stream->topic, p,
									 weir_settings.broker_timeout_ms, &low,
									 &f->target[p], err, sizeof(err)))
				broker_failed(err);
	}
	PG_FINALLY();
	{
		weir_client_close(client);
	}
	PG_END_TRY();
}

/* --- waiting ------------------------------------------------------------------------ */

/* Has the view been applied up to the target, in a lane that runs? */
static bool
is_applied(const Flush *f, int32 id, Lane **lane)
{
	ViewSlot *slot = weir_view_find(MyDatabaseId, id);
	bool done;

	*lane = NULL;
	if (slot == NULL)
		return false;
	/* While the lock is held, nobody frees what the lane and the view have. */
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	*lane = &weir_registry->lanes[slot->lane];
	done = slot->live && slot->view == id && (*lane)->state == LANE_RUNNING &&
		   (*lane)->npartitions >= f->npartitions;
	for (int p = 0; p < f->npartitions && done; p++)
	{
		Shard *shard = &slot->shards[(*lane)->parts[p].worker];

		LWLockAcquire(&shard->lock, LW_SHARED);
		done = wp_is_done(&shard->parts[p]) ||
			   shard->parts[p].position >= f->target[p];
		LWLockRelease(&shard->lock);
	}
	LWLockRelease(&weir_registry->lock);
	return done;
}

static void
pause_a_moment(Flush *f, Lane *lane)
{
	if (weir_clock_monotonic() > f->deadline)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("%s timed out", f->what),
				 errdetail("%d continuous views have not reached the end of the topic yet.",
						   list_length(f->views)),
				 errhint(
					 "Give a longer timeout; SELECT * FROM weir.status shows the lag.")));
	CHECK_FOR_INTERRUPTS();
	WEIR_FAULT("flush-waiting");
	if (lane)
	{
		ConditionVariablePrepareToSleep(&lane->checkpointed);
		ConditionVariableTimedSleep(&lane->checkpointed, POLL_MS,
									PG_WAIT_EXTENSION);
		ConditionVariableCancelSleep();
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 POLL_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/* Views that were dropped, paused or failed meanwhile. */
static void
look_at_catalog(Flush *f)
{
	ListCell *lc;

	if (weir_clock_monotonic() < f->next_catalog)
		return;
	f->next_catalog = weir_clock_monotonic() + CATALOG_CHECK_US;
	PushActiveSnapshot(GetLatestSnapshot());
	foreach(lc, f->views)
	{
		ViewRow *row = weir_view_load(lfirst_int(lc));

		if (row && !is_finished(row))
			check_running(row, f->what);
		else
			f->views = foreach_delete_current(f->views, lc);
	}
	PopActiveSnapshot();
}

/*
 * Ask the view's lane for a durable checkpoint and wait until that is done, or
 * until the lane or the view's place in it has ended (false).
 */
static bool
wait_for_checkpoint(Flush *f, int32 id)
{
	ViewSlot *slot = weir_view_find(MyDatabaseId, id);
	Lane *lane;
	uint64 ticket;
	uint64 run;

	if (slot == NULL)
		return false;
	lane = &weir_registry->lanes[slot->lane];
	run = lane->run;
	ticket = pg_atomic_add_fetch_u64(&lane->checkpoint_wanted, 1);
	weir_wake_coordinator(lane);
	while (pg_atomic_read_u64(&lane->checkpoint_done) < ticket)
	{
		if (lane->run != run || lane->ended || lane->coordinator == 0 ||
			weir_view_find(MyDatabaseId, id) != slot ||
			&weir_registry->lanes[slot->lane] != lane)
			return false;
		pause_a_moment(f, lane);
	}
	return true;
}

/* Flush all WAL that was inserted so far. */
static void
flush_all(void)
{
	XLogRecPtr lsn = GetXLogInsertRecPtr();
	uint32 offset = lsn % XLOG_BLCKSZ;

	/* At the start of a page it is behind a header that nobody has written. */
	if (offset == SizeOfXLogShortPHD ||
		XLogSegmentOffset(lsn, wal_segment_size) == SizeOfXLogLongPHD)
		lsn -= offset;
	XLogFlush(lsn);
}

/*
 * What counts is the catalog: a checkpoint may have left the view out, and what
 * a lane has applied may be of a time before a reset.  The commit that is seen
 * here may be an asynchronous one, so its WAL is flushed.
 */
static bool
is_committed(const Flush *f, int32 id)
{
	ProgressRow *p;
	bool done;

	PushActiveSnapshot(GetLatestSnapshot());
	p = weir_progress_load(id);
	PopActiveSnapshot();
	done = p == NULL ||
		   (p->nparts >= f->npartitions && p->closed_upto >= p->advance);
	for (int i = 0; done && p && i < f->npartitions; i++)
		done = wp_is_done(&p->parts[i]) || p->parts[i].position >= f->target[i];
	if (done)
		flush_all();
	return done;
}

static void
wait_for_views(Flush *f)
{
	while (f->views != NIL)
	{
		int32 id = linitial_int(f->views);
		Lane *lane;

		/*
		 * The checkpoint must begin after all was applied: then it has also
		 * closed the windows that could be closed.
		 */
		if (is_applied(f, id, &lane) && wait_for_checkpoint(f, id) &&
			is_committed(f, id))
			f->views = list_delete_first(f->views);
		else
		{
			look_at_catalog(f);
			if (f->views != NIL)
				pause_a_moment(f, lane);
		}
	}
}

Datum
weir_flush(PG_FUNCTION_ARGS)
{
	Interval *timeout = PG_GETARG_INTERVAL_P(1);
	Flush f = {.what = "weir.flush"};
	int64 length;

	check_transaction(f.what);
	length = timeout->time +
			 (timeout->day + INT64CONST(30) * timeout->month) * USECS_PER_DAY;
	if (length < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("timeout must not be negative")));
	f.deadline = weir_clock_monotonic() + length;
	find_views(&f, PG_GETARG_OID(0));
	find_ends(&f);
	wait_for_views(&f);
	PG_RETURN_VOID();
}

/* What the view has applied by now, as the target; waits until it runs. */
static void
take_applied(Flush *f, int32 id)
{
	f->npartitions = 0;
	while (f->views != NIL)
	{
		ViewSlot *slot = weir_view_find(MyDatabaseId, id);

		if (slot)
		{
			Lane *lane = &weir_registry->lanes[slot->lane];
			int n = lane->npartitions;

			f->target = palloc0(sizeof(int64) * Max(n, 1));
			LWLockAcquire(&weir_registry->lock, LW_SHARED);
			if (slot->live && slot->view == id && lane->npartitions == n)
				f->npartitions = n;
			for (int p = 0; p < f->npartitions; p++)
				f->target[p] = lane->parts[p].position;
			LWLockRelease(&weir_registry->lock);
			return;
		}
		look_at_catalog(f);
		pause_a_moment(f, NULL);
	}
}

Datum
weir_checkpoint(PG_FUNCTION_ARGS)
{
	Flush f = {.what = "weir.checkpoint"};
	List *views;
	ListCell *lc;

	check_transaction(f.what);
	f.deadline = weir_clock_monotonic() + INT64CONST(600) * USECS_PER_SEC;
	find_views(&f, PG_GETARG_OID(0));
	views = list_copy(f.views);
	foreach(lc, views)
	{
		f.views = list_make1_int(lfirst_int(lc));
		take_applied(&f, lfirst_int(lc));
		wait_for_views(&f);
	}
	PG_RETURN_VOID();
}
