/*
 * worker/retire.c
 *		Retired view slots: the launcher keeps them for readers, and ends that
 *		(see shmem/retired.h).
 *
 * Runs in the launcher, which alone retires and releases such slots.  Others ask
 * for it by the slot's "detached": the scanner, when the view is not to run any
 * more as it was, and whoever is short of memory.  A slot is kept for a minute
 * at most, so that a lane that cannot start costs no memory for ever, and not at
 * all if the arena is half full already: it may double what a view takes.
 */
#include "base/weir.h"

#include "access/transam.h"
#include "base/clock.h"
#include "shmem/pane.h"
#include "shmem/retired.h"
#include "worker/lane.h"

#define KEEP_US  (60 * USECS_PER_SEC)
#define PRESSURE 500 /* thousandths of what is there for windows */

/* The last closing's transaction may have ended without its coordinator. */
static void
settle_last(ViewSlot *slot)
{
	TransactionId xid = InvalidTransactionId;

	LWLockAcquire(&slot->marks_lock, LW_SHARED);
	if (slot->marks.n > 0 && !slot->marks.mark[slot->marks.n - 1].known_committed)
		xid = slot->marks.mark[slot->marks.n - 1].xid;
	LWLockRelease(&slot->marks_lock);
	if (TransactionIdIsValid(xid))
	{
		bool committed = TransactionIdDidCommit(xid);

		LWLockAcquire(&slot->marks_lock, LW_EXCLUSIVE);
		wm_settle(&slot->marks, xid, committed);
		LWLockRelease(&slot->marks_lock);
	}
}

/*
 * The slot goes, and an older one stays, since it knows more: what was closed
 * in between is closed for both.  False: there is no room for its marks.
 */
static bool
take_marks(ViewSlot *before, ViewSlot *slot)
{
	bool taken;

	/* Nobody else takes both locks, or changes the marks. */
	LWLockAcquire(&before->marks_lock, LW_EXCLUSIVE);
	taken = wm_append(&before->marks, &slot->marks, slot->born_upto);
	LWLockRelease(&before->marks_lock);
	return taken;
}

/*
 * How far the view's memory is, in the first shard; no chunks any more.  Each
 * partition is as far as its own worker: the others have it as it was when the
 * lane began, which may be further if the topic was made anew since.
 */
static void
keep_positions(ViewSlot *slot)
{
	const LanePartition *dealt = weir_registry->lanes[slot->lane].parts;

	for (int p = 0; p < slot->npartitions; p++)
	{
		const ViewPartition *own = &slot->shards[dealt[p].worker].parts[p];

		slot->shards[0].parts[p].position = Max(wp_untouched(own), own->reach);
	}
	for (int s = 0; s < slot->nshards; s++)
		weir_chunks_free(&slot->shards[s]);
}

/*
 * weir_view_retire keeps the slot of a lane that has ended for readers.  False:
 * the caller has to release it.
 */
bool
weir_view_retire(ViewSlot *slot)
{
	ViewSlot *before;
	bool ahead = false;

	if (slot->retired)
		return true;
	if (slot->append)
		return false;
	settle_last(slot);
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	before = weir_retired_find(slot->dboid, slot->view);
	if (before && slot->live)
		ahead = weir_has_caught_up(slot, before);
	LWLockRelease(&weir_registry->lock);
	if (before && before->generation == slot->generation && !ahead &&
		take_marks(before, slot))
		return false;
	if (before)
		weir_view_release(before);
	/* What the next lane closes does not say which of its sessions are final. */
	if (slot->window.kind == WW_SESSION)
		return false;
	if (!slot->live || pg_atomic_read_u32(&slot->detached) ||
		pg_atomic_read_u32(&slot->failed) || weir_arena_pressure() > PRESSURE)
		return false;
	keep_positions(slot);
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	slot->live = false;
	slot->retired = true;
	slot->retired_at = weir_clock_monotonic();
	LWLockRelease(&weir_registry->lock);
	return true;
}

/*
 * weir_view_forget_retired: the view leaves its lane, whose marks will be gone;
 * what an earlier lane left is not to be read any more.  Registry lock held,
 * exclusive, since live goes with it.
 */
void
weir_view_forget_retired(ViewSlot *slot)
{
	ViewSlot *before = weir_retired_find(slot->dboid, slot->view);

	if (before == NULL)
		return;
	before->generation = -1;
	pg_atomic_write_u32(&before->detached, 1);
}

/*
 * Is the memory of no use any more, or asked for?  Once a lane has caught up, it
 * is there for older snapshots, which cannot use what was restored after them.
 */
static bool
is_over(ViewSlot *slot)
{
	bool caught_up = false;
	bool needed = false;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_views && !caught_up; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		caught_up = v->used && v->live && v->dboid == slot->dboid &&
					v->view == slot->view && weir_has_caught_up(v, slot);
		needed = caught_up && v->marks.birth != WM_NO_XID;
	}
	LWLockRelease(&weir_registry->lock);
	if (pg_atomic_read_u32(&slot->detached))
		return true;
	return caught_up ? !needed
					 : weir_clock_monotonic() - slot->retired_at > KEEP_US;
}

/*
 * weir_retired_serve releases retired slots that are over.  Returns how many
 * are left.
 */
int
weir_retired_serve(void)
{
	int left = 0;

	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (!v->used || !v->retired)
			continue;
		if (!is_over(v))
		{
			left++;
			continue;
		}
		weir_view_release(v);
	}
	return left;
}
