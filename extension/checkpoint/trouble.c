/*
 * checkpoint/trouble.c
 *		What an error of one view in a checkpoint means for that view.
 *
 * Runs in the coordinator, between two attempts (commit.c), outside of a
 * transaction.  Whatever it is, the other views of the lane go on:
 *
 * - A lock that is in the way (timeout, deadlock) is nobody's failure: the view
 *   is postponed, and tried again after a pause that doubles up to 2 seconds.
 * - Trouble of the server (disk full, out of memory): the same, with a pause of
 *   up to a minute, for as long as all views of the lane meet it.  When others
 *   have been written for 5 seconds without this one, it is taken for the
 *   view's own.
 * - Anything else stops the view, in state error.
 * - A lock in the way of dead letters of the stream, which its lanes may all have:
 *   nothing is written, and the next checkpoint tries again.  Of a letter of one
 *   view it is that view's.
 * - A view whose row of weir.progress is locked, since a transaction with a
 *   command for it is open, raises nothing.  It is tried each time.
 *
 * A checkpoint that somebody waits for tries postponed views regardless.  Until
 * a view is written, its changes stay in shared memory, and weir.status shows
 * it as postponed, with the reason.  What it keeps is bounded but for windows that
 * close and letters; so when memory has been short for 10 seconds it leaves its
 * lane, with nothing kept, and comes back from what is committed, by itself.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/clock.h"
#include "checkpoint/checkpoint.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define FIRST_PAUSE_US (USECS_PER_SEC / 4)
#define LOCK_DOUBLINGS 3
#define MAX_DOUBLINGS  8
#define MAX_PAUSE_US   (60 * USECS_PER_SEC)
#define PATIENCE_US    (5 * USECS_PER_SEC)
#define SAY_LOCKED_US  USECS_PER_SEC
#define LEAVE_US       (10 * USECS_PER_SEC)

/* Thousandths of the memory for windows from which on it is short. */
#define SHORT_PRESSURE 900

bool
weir_is_lock_error(const ErrorData *e)
{
	return e->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		   e->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

bool
weir_is_server_error(const ErrorData *e)
{
	int category = ERRCODE_TO_CATEGORY(e->sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES ||
		   category == ERRCODE_SYSTEM_ERROR;
}

void
weir_forgive_passing(MemoryContext cxt)
{
	ErrorData *e;

	MemoryContextSwitchTo(cxt);
	e = CopyErrorData();
	if (ProcDiePending || !(weir_is_lock_error(e) || weir_is_server_error(e)))
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
}

void
weir_log_stop(const char *view, int sqlstate, const char *reason)
{
	ereport(LOG, (errcode(sqlstate),
				  errmsg("continuous view \"%s\" stops: %s", view, reason),
				  errdetail_log("SQLSTATE %s.", unpack_sql_state(sqlstate))));
}

static void
fail(CheckpointView *v, int sqlstate, const char *reason)
{
	v->gone = true;
	v->error = MemoryContextStrdup(v->cxt, reason);
	v->said = true;
	weir_log_stop(v->row->name, sqlstate, reason);
}

/* What weir.status says of the view; NULL: nothing. */
static void
say(CheckpointView *v, const char *text)
{
	weir_view_postpone(v->slot, text);
}

static void
postpone(CheckpointView *v, const ErrorData *e, bool server)
{
	Postponed *p = &v->postponed;
	int doublings = Min(p->times, server ? MAX_DOUBLINGS : LOCK_DOUBLINGS);
	int64 now = weir_clock_monotonic();

	if (p->times++ == 0)
	{
		p->since = now;
		ereport(LOG,
				(errmsg("a checkpoint of continuous view \"%s\" is postponed: %s",
						v->row->name, e->message)));
	}
	p->server = server;
	p->next = now + Min(FIRST_PAUSE_US << doublings, MAX_PAUSE_US);
	say(v, e->message);
}

void
weir_view_raised(CheckpointView *v, const ErrorData *e)
{
	if (weir_is_lock_error(e))
		postpone(v, e, false);
	else if (weir_is_server_error(e))
		postpone(v, e, true);
	else
		fail(v, e->sqlerrcode, e->message);
}

bool
weir_view_is_due(const CheckpointView *v)
{
	return !v->gone && v->postponed.unwritten != 0 &&
		   weir_clock_monotonic() >= v->postponed.next;
}

bool
weir_view_must_wait(const CheckpointView *v)
{
	return v->postponed.times > 0 && weir_clock_monotonic() < v->postponed.next;
}

/* Does somebody wait for memory, or is about to? */
static bool
memory_is_short(const CheckpointLane *c, CheckpointView *v)
{
	for (int w = 0; w < c->lane->nworkers; w++)
		if (pg_atomic_read_u32(&c->lane->workers[w].blocked))
			return true;
	return Max(weir_arena_pressure(),
			   weir_account_pressure(&v->slot->memory)) >= SHORT_PRESSURE;
}

/* It hurts others: go on alone, from the last commit, when that is possible. */
static void
leave(CheckpointLane *c, CheckpointView *v)
{
	ereport(LOG,
			(errmsg("continuous view \"%s\" gives its memory back: it is short, and checkpoints of the view are postponed",
					v->row->name)));
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	weir_view_set_apart(v->slot->dboid, v->slot->view, true);
	LWLockRelease(&weir_registry->lock);
	v->gone = true;
	c->lane->delayed = true;
}

/* The checkpoint was committed without the view. */
static void
settle_unwritten(CheckpointLane *c, CheckpointView *v, bool others)
{
	Postponed *p = &v->postponed;
	int64 now = weir_clock_monotonic();

	if (p->unwritten == 0)
		p->unwritten = now;
	if (!memory_is_short(c, v))
		p->full = 0;
	else if (p->full == 0)
		p->full = now;
	if (p->times == 0 && now - p->unwritten > SAY_LOCKED_US &&
		v->slot->postponed[0] == '\0')
		say(v, "a transaction with a command for it is open");
	if (p->server && others && now - p->since > PATIENCE_US)
		fail(v, ERRCODE_SYSTEM_ERROR, v->slot->postponed);
	else if (p->full != 0 && now - p->full > LEAVE_US)
		leave(c, v);
}

static void
settle_written(CheckpointView *v)
{
	memset(&v->postponed, 0, sizeof(v->postponed));
	if (v->slot->postponed[0])
		say(v, NULL);
}

void
weir_lane_postponed(CheckpointLane *c, const ErrorData *e)
{
	if (!c->postponed)
		ereport(LOG, (errmsg("a checkpoint is postponed: %s", e->message)));
	c->postponed = true;
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];

		if (v->gone || v->plan->append)
			continue;
		if (v->slot->postponed[0] == '\0')
			say(v, e->message);
		settle_unwritten(c, v, false);
	}
}

void
weir_settle_postponed(CheckpointLane *c)
{
	bool others = false;

	c->postponed = false;
	for (int i = 0; i < c->nviews; i++)
		others = others || c->views[i]->attempt.written;
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];

		if (v->gone || v->plan->append)
			continue;
		if (v->attempt.written)
			settle_written(v);
		else
			settle_unwritten(c, v, others);
	}
}
