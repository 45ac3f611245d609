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
 *
 * A checkpoint that somebody waits for tries postponed views regardless.  Until
 * a view is written, its changes stay in shared memory, and weir.status shows
 * it as postponed, with the reason.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "checkpoint/checkpoint.h"
#include "utils/memutils.h"

#define FIRST_PAUSE_US (USECS_PER_SEC / 4)
#define LOCK_DOUBLINGS 3
#define MAX_DOUBLINGS  8
#define MAX_PAUSE_US   (60 * USECS_PER_SEC)
#define PATIENCE_US    (5 * USECS_PER_SEC)

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

static void
fail(CheckpointView *v, const char *reason)
{
	v->gone = true;
	v->error = MemoryContextStrdup(v->cxt, reason);
	ereport(LOG,
			(errmsg("continuous view \"%s\" stops: %s", v->row->name, reason)));
}

/* What weir.status says of the view; NULL: nothing. */
static void
say(CheckpointView *v, const char *text)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	strlcpy(v->slot->postponed, text ? text : "", WEIR_ERROR_LEN);
	LWLockRelease(&weir_registry->lock);
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
		fail(v, e->message);
}

bool
weir_view_is_due(const CheckpointView *v)
{
	return v->postponed.times > 0 && weir_clock_monotonic() >= v->postponed.next;
}

bool
weir_view_must_wait(const CheckpointView *v)
{
	return v->postponed.times > 0 && !weir_view_is_due(v);
}

static void
settle(CheckpointView *v, bool others)
{
	Postponed *p = &v->postponed;

	if (p->times == 0 || v->gone)
		return;
	if (v->attempt.written)
	{
		memset(p, 0, sizeof(*p));
		say(v, NULL);
	}
	else if (p->server && others &&
			 weir_clock_monotonic() - p->since > PATIENCE_US)
		fail(v, v->slot->postponed);
}

void
weir_settle_postponed(CheckpointLane *c)
{
	bool others = false;

	for (int i = 0; i < c->nviews; i++)
		others = others || c->views[i]->attempt.written;
	for (int i = 0; i < c->nviews; i++)
		settle(c->views[i], others);
}
