/*
 * worker/finish.c
 *		Views that have read all that they were to read: state finished.
 *
 * Runs in the coordinator, between two checkpoints, outside of a transaction.
 * A view with an end ("until") is done when each of its positions has reached the
 * end of its partition, and a checkpoint has committed that, with all windows
 * closed: a watermark of WP_END_OF_TIME (closing.c).  What the catalog says counts,
 * so a crash in between does no more than have this done again.  The view then
 * leaves its lane like one that is paused.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/clock.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/coordinator.h"

#define AGAIN_US (USECS_PER_SEC / 4)

bool
weir_view_is_done(CheckpointView *v, const Lane *lane)
{
	for (int p = 0; p < lane->npartitions; p++)
	{
		Shard *shard = &v->slot->shards[lane->parts[p].worker];
		bool done;

		LWLockAcquire(&shard->lock, LW_SHARED);
		done = wp_is_done(&shard->parts[p]);
		LWLockRelease(&shard->lock);
		if (!done)
			return false;
	}
	return true;
}

/*
 * Is all of it committed?  An append view has no windows to close, and totals with
 * a time to live stay readable as of the end.
 */
static bool
is_committed(const CheckpointView *v)
{
	const ProgressRow *p = weir_progress_load(v->slot->view);

	for (int i = 0; p && i < p->nparts; i++)
		if (!wp_is_done(&p->parts[i]))
			return false;
	return p && p->nparts > 0 &&
		   (weir_is_append(v->row) || v->row->ttl > 0 ||
			p->closed_upto >= WP_END_OF_TIME);
}

/* In a transaction.  Whoever paused, reset or dropped it had the last word. */
static void
finish(CheckpointView *v)
{
	ProgressRow row = {.generation = v->slot->generation};
	bool stale;

	if (!is_committed(v) || !weir_progress_lock(v->slot->view, &row, &stale))
		return;
	weir_view_set_state(v->slot->view, "finished", NULL);
	v->gone = true;
	ereport(LOG,
			(errmsg("continuous view \"%s\" has read all that it was to read",
					v->row->name)));
}

static void
try_finish(Coordinator *co, CheckpointView *v)
{
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		finish(v);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		weir_forgive_passing(co->c.cxt);
		v->gone = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(co->cxt);
}

void
weir_finish_views(Coordinator *co)
{
	int64 now = weir_clock_monotonic();

	if (now < co->next_finish)
		return;
	for (int i = 0; i < co->c.nviews; i++)
	{
		CheckpointView *v = co->c.views[i];

		if (v->gone || v->row->until == NULL || !weir_view_is_done(v, co->lane))
			continue;
		try_finish(co, v);
		co->next_finish = now + AGAIN_US;
	}
}
