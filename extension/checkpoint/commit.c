/*
 * checkpoint/commit.c
 *		The transaction of a checkpoint.
 *
 * Runs in the coordinator, outside of a transaction, after every worker has
 * acknowledged a barrier and copied its changed groups.  README.md in this
 * folder says why the result is exactly once.
 *
 * One transaction for all views of the lane.  No subtransaction per view: the
 * view being written is remembered, and when it raises, everything is rolled
 * back, that view is left out, and the rest is written again.
 *
 * What is closed is marked in shared memory with the transaction's id before
 * the commit, so that a reader sees each window in exactly one place whichever
 * side of the commit its snapshot is on; an abort takes the marks back.
 */
#include "base/weir.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/fault.h"
#include "checkpoint/checkpoint.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Thousandths of the memory for windows beyond which old snapshots keep none. */
#define KEEP_MOST 400

/* --- one view ----------------------------------------------------------------- */

/* Positions and counters as the workers had them at the barrier. */
static void
gather_parts(CheckpointView *v, const Lane *lane)
{
	ViewPartition *parts;

	parts = MemoryContextAlloc(CurrentMemoryContext,
							   sizeof(ViewPartition) * Max(lane->npartitions, 1));
	for (int p = 0; p < lane->npartitions; p++)
		parts[p] = v->slot->shards[lane->parts[p].worker].acked[p];
	v->next.parts = parts;
	v->next.nparts = lane->npartitions;
}

static void
write_view(CheckpointView *v, const Lane *lane)
{
	v->next = v->progress;
	v->next_seq = v->seq;
	v->to_send = false;
	v->written = 0;
	gather_parts(v, lane);
	v->next.closed_upto = wc_raise(v->next.closed_upto, v->slot->closing);

	weir_write_final(v);
	if (v->progress.watches_open)
		weir_alerts_open(v);
	WEIR_FAULT("checkpoint-final-written");
	if (wc_has_closed(&v->attempt))
		weir_state_drop_closed(v, weir_window_closed(&v->plan->window,
													 v->row->lateness,
													 v->next.closed_upto));
	weir_state_write(v);
	WEIR_FAULT("checkpoint-state-written");
	for (int s = 0; s < v->slot->nshards; s++)
		weir_lost_store(v->row->id, v->next.topic, v->slot->shards[s].lost);
	weir_progress_store(v->row->id, &v->next);
	v->attempt.written = true;
}

/* An append view: its workers have committed all of this by themselves. */
static void
note_appended(CheckpointView *v, const Lane *lane)
{
	v->next = v->progress;
	v->next_seq = v->seq;
	gather_parts(v, lane);
	v->attempt.written = true;
}

/* --- marks ----------------------------------------------------------------------- */

static void
add_marks(CheckpointLane *c, TransactionId xid)
{
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];

		if (!v->attempt.written || !wc_has_closed(&v->attempt))
			continue;
		LWLockAcquire(&v->slot->marks_lock, LW_EXCLUSIVE);
		wm_add(&v->slot->marks, v->next.closed_upto, xid);
		LWLockRelease(&v->slot->marks_lock);
	}
}

/* The transaction is over: what its last marks say is now certain, or void. */
static void
settle_marks(CheckpointLane *c, TransactionId xid, bool committed)
{
	for (int i = 0; i < c->nviews; i++)
	{
		ViewSlot *slot = c->views[i]->slot;

		LWLockAcquire(&slot->marks_lock, LW_EXCLUSIVE);
		wm_settle(&slot->marks, xid, committed);
		LWLockRelease(&slot->marks_lock);
	}
}

/* --- before and after --------------------------------------------------------------- */

static void
free_committed(ViewSlot *slot)
{
	for (int s = 0; s < slot->nshards; s++)
	{
		weir_chunks_free(&slot->shards[s]);
		weir_lost_free(&slot->shards[s].lost);
	}
}

/* The transaction did not happen: nothing was closed by it. */
static void
forget_attempt(CheckpointLane *c)
{
	for (int i = 0; i < c->nviews; i++)
	{
		wc_forget(&c->views[i]->attempt);
		c->views[i]->notifies = false;
	}
}

/* What is notified leaves with the commit: flush, and wait as others do. */
static void
choose_durability(const CheckpointLane *c)
{
	for (int i = 0; i < c->nviews; i++)
		if (c->views[i]->notifies)
			synchronous_commit = Max(c->synchronous,
									 SYNCHRONOUS_COMMIT_LOCAL_FLUSH);
}

/* What the transaction wrote of the view is now what is committed. */
static void
take_over(CheckpointView *v)
{
	ViewPartition *parts = v->progress.parts;

	if (v->progress.nparts < v->next.nparts)
		parts = MemoryContextAlloc(v->cxt,
								   sizeof(ViewPartition) * v->next.nparts);
	memcpy(parts, v->next.parts, sizeof(ViewPartition) * v->next.nparts);
	v->progress = v->next;
	v->progress.parts = parts;
	v->seq = v->next_seq;
	v->slot->closed_upto = v->progress.closed_upto;
}

/* How long what is committed now took from its topic to here. */
static LatencyCount
count_settled(Lane *lane)
{
	int64 now = weir_clock_wall() + WEIR_EPOCH_SHIFT;
	LatencyCount count = {0};

	for (int w = 0; w < lane->nworkers; w++)
	{
		LatencyCells *s = &lane->workers[w].settled;

		for (int i = 0; i < s->n; i++)
			weir_latency_count(&count, now - s->cells[i].time, s->cells[i].n);
		s->n = 0;
	}
	return count;
}

static int64
records_of(const ProgressRow *p)
{
	int64 n = 0;

	for (int i = 0; i < p->nparts; i++)
		n += p->parts[i].events + p->parts[i].dead;
	return n;
}

/*
 * The attempt is committed.  A view that was left out before is counted with
 * those that are committed now.
 */
static void
note_committed(CheckpointLane *c, CheckpointView *v, const LatencyCount *count)
{
	c->lane->metrics.checkpoint_bytes += v->written;
	if (!v->plan->append)
		weir_latency_add(&v->slot->metrics->commit, count,
						 records_of(&v->next) - records_of(&v->progress));
}

static void
after_commit(CheckpointLane *c)
{
	LatencyCount count = count_settled(c->lane);

	weir_settle_postponed(c);
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];

		if (!wc_commit(&v->attempt))
			continue;
		note_committed(c, v, &count);
		take_over(v);
		if (v->to_send)
			weir_wake_sender(MyDatabaseId);
		free_committed(v->slot);
		WEIR_FAULT("checkpoint-chunks-freed");
	}
	weir_free_letters(c->lane);
}

/* --- the transaction ---------------------------------------------------------------- */

static void
write_all(CheckpointLane *c, const bool *skip, volatile int *current)
{
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];
		bool stale;

		if (skip[i] || v->gone || pg_atomic_read_u32(&v->slot->failed))
			continue;
		if (v->plan->append)
		{
			note_appended(v, c->lane);
			continue;
		}
		*current = i;
		if (weir_progress_lock(v->row->id, &v->progress, &stale))
			write_view(v, c->lane);
		else if (stale)
			v->gone = true;
		*current = -1;
	}
	weir_write_letters(c, current);
	WEIR_FAULT("checkpoint-letters-written");
}

typedef enum AttemptResult
{
	COMMITTED,
	WITHOUT_A_VIEW, /* which raised and is now in skip: try again */
	POSTPONED       /* a lock was in the way, of no view's */
} AttemptResult;

/*
 * The transaction has raised, in the turn of a view, or of a letter of one, or
 * (current < 0) not.  Of the
 * letters of the stream another lane may have the same, in a transaction that
 * has not ended.  Positions must not be committed without them.
 */
static AttemptResult
give_in(CheckpointLane *c, bool *skip, int current, TransactionId xid)
{
	ErrorData *e;

	c->lane->metrics.checkpoint_failures++;
	MemoryContextSwitchTo(c->cxt);
	e = CopyErrorData();
	if (current < 0 && !weir_is_lock_error(e))
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	settle_marks(c, xid, false);
	if (current < 0)
	{
		forget_attempt(c);
		weir_lane_postponed(c, e);
		return POSTPONED;
	}
	skip[current] = true;
	weir_view_raised(c->views[current], e);
	return WITHOUT_A_VIEW;
}

static AttemptResult
attempt(CheckpointLane *c, bool *skip)
{
	volatile int current = -1;
	volatile TransactionId xid = InvalidTransactionId;
	volatile AttemptResult result = COMMITTED;

	MemoryContextReset(c->cxt);
	forget_attempt(c);
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContextSwitchTo(c->cxt);
		write_all(c, skip, &current);
		PopActiveSnapshot();
		xid = GetTopTransactionIdIfAny();
		WEIR_FAULT("checkpoint-before-marks");
		if (TransactionIdIsValid(xid))
			add_marks(c, xid);
		WEIR_FAULT("checkpoint-before-commit");
		choose_durability(c);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		result = give_in(c, skip, current, xid);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	if (result == COMMITTED)
	{
		WEIR_FAULT("checkpoint-before-settle");
		settle_marks(c, xid, true);
	}
	return result;
}

/*
 * What the workers of an append view have committed asynchronously becomes
 * durable, and is replicated as the settings require.
 */
static void
flush_appended(Lane *lane)
{
	XLogRecPtr upto = weir_lane_committed(lane);

	if (upto == InvalidXLogRecPtr)
		return;
	HOLD_INTERRUPTS();
	XLogFlush(upto);
	SyncRepWaitForLSN(upto, true);
	RESUME_INTERRUPTS();
}

bool
weir_checkpoint_commit(CheckpointLane *c, bool durable)
{
	bool *skip = palloc0(sizeof(bool) * Max(c->nviews, 1));
	int before = synchronous_commit;
	AttemptResult result;

	c->synchronous = before;
	for (int i = 0; i < c->nviews && !durable; i++)
		skip[i] = weir_view_must_wait(c->views[i]);
	if (!durable)
		synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	else if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		synchronous_commit = SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
	do
		result = attempt(c, skip);
	while (result == WITHOUT_A_VIEW);
	if (durable && result == COMMITTED && c->lane->append)
		flush_appended(c->lane);
	synchronous_commit = before;
	pfree(skip);
	if (result == POSTPONED)
		return false;
	WEIR_FAULT("checkpoint-after-commit");
	after_commit(c);
	return true;
}

/* --- freeing what is closed ------------------------------------------------------------ */

/*
 * An ingest worker never reads open windows, and it may have to wait for the
 * memory that is to be freed here.
 */
static bool
is_ingest_worker(int backend)
{
	bool found = false;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_lanes && !found; i++)
		for (int w = 0; w < WEIR_MAX_WORKERS; w++)
			found = found ||
					(weir_registry->lanes[i].workers[w].pid != 0 &&
					 weir_registry->lanes[i].workers[w].backend == backend);
	LWLockRelease(&weir_registry->lock);
	return found;
}

/* Can any snapshot of this database still not see the transaction? */
static bool
snapshot_needs(void *arg, uint32 xid)
{
	VirtualTransactionId *vxids;
	bool needed = false;
	int n;

	vxids = GetCurrentVirtualXIDs(xid, true, false, PROC_IN_VACUUM, &n);
	for (int i = 0; i < n && !needed; i++)
		needed = !is_ingest_worker(WEIR_VXID_BACKEND(vxids[i]));
	pfree(vxids);
	return needed;
}

static void
unlink_pane(Shard *shard, Pane *pane)
{
	Pane **link;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	for (link = &shard->panes; *link; link = &(*link)->next)
		if (*link == pane)
		{
			*link = pane->next;
			break;
		}
	LWLockRelease(&shard->lock);
	weir_pane_free(pane);
}

/*
 * Do windows that are kept for old snapshots only cost too much?  This comes
 * before anything is held back or waits for memory.
 */
static bool
is_scarce(ViewSlot *slot)
{
	return wm_is_scarce(&slot->marks) ||
		   Max(weir_arena_pressure(), weir_account_pressure(&slot->memory)) >=
			   KEEP_MOST;
}

void
weir_checkpoint_free_closed(CheckpointView *v)
{
	ViewSlot *slot = v->slot;
	int done = 0;
	bool force;
	int n;

	if (slot->marks.birth != WM_NO_XID &&
		!snapshot_needs(NULL, slot->marks.birth))
		slot->marks.birth = WM_NO_XID;
	n = wm_unneeded(&slot->marks, snapshot_needs, NULL);
	force = n < slot->marks.n && is_scarce(slot);
	if (n == 0 && !force)
		return;
	LWLockAcquire(&slot->marks_lock, LW_EXCLUSIVE);
	if (n > 0)
		wm_drop(&slot->marks, n);
	if (force)
		wm_force(&slot->marks);
	LWLockRelease(&slot->marks_lock);

	WEIR_FAULT("closed-before-unlink");
	for (; done < v->attempt.nclosed &&
		   wc_is_closed(v->closed[done].close, slot->marks.gone_upto);
		 done++)
	{
		ClosedPane *c = &v->closed[done];

		unlink_pane(&slot->shards[c->shard], c->pane);
	}
	WEIR_FAULT("closed-unlinked");
	v->attempt.nclosed -= done;
	memmove(v->closed, v->closed + done,
			v->attempt.nclosed * sizeof(ClosedPane));
}
