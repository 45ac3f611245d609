/*
 * worker/release.c
 *		Give back what lanes and views hold in shared memory.
 *
 * A reader may be in the middle of a shard: life changes under the shard's lock,
 * exclusive, and the reader looks at it whenever it takes the lock again.
 */
#include "base/weir.h"

#include "exec/letter.h"
#include "shmem/pane.h"
#include "worker/lane.h"

static void
release_shard(ViewSlot *slot, Shard *shard, int npartitions)
{
	Pane *panes;

	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	pg_atomic_fetch_add_u64(&slot->life, 1);
	panes = shard->panes;
	shard->panes = NULL;
	LWLockRelease(&shard->lock);
	while (panes)
	{
		Pane *next = panes->next;

		weir_pane_free(panes);
		panes = next;
	}
	weir_chunks_free(shard);
	weir_lost_free(&shard->lost);
	if (shard->parts)
		weir_arena_free(shard->parts, sizeof(ViewPartition) * npartitions);
	if (shard->acked)
		weir_arena_free(shard->acked, sizeof(ViewPartition) * npartitions);
	shard->parts = shard->acked = NULL;
}

void
weir_view_release(ViewSlot *slot)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	slot->live = slot->retired = false;
	LWLockRelease(&weir_registry->lock);
	for (int s = 0; s < WEIR_MAX_WORKERS; s++)
		release_shard(slot, &slot->shards[s], slot->npartitions);

	LWLockAcquire(&slot->marks_lock, LW_EXCLUSIVE);
	wm_begin(&slot->marks, WEIR_NO_TIME);
	LWLockRelease(&slot->marks_lock);
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	slot->used = false;
	LWLockRelease(&weir_registry->lock);
}

static void
release_worker(LaneWorker *w)
{
	weir_letters_free(&w->tried);
	weir_letters_free(&w->kept);
	weir_letters_free(&w->letters);
	weir_letters_free(&w->frozen);
	weir_letters_free(&w->replay);
	pg_atomic_write_u32(&w->replay_ready, 0);
	w->letters_full = false;
	memset((void *) w->freshness, 0, sizeof(w->freshness));
	w->rate = 0;
	w->broker_down = false;
	pg_atomic_write_u32(&w->blocked, 0);
	w->no_topic = false;
	w->error[0] = '\0';
	w->metrics.kafka.queued = 0;
	w->metrics.kafka.nbrokers = 0;
	w->applied.n = w->settled.n = 0;
}

void
weir_lane_release(Lane *lane)
{
	for (int i = 0; i < lane->nviews; i++)
	{
		ViewSlot *slot = NULL;

		if (lane->views[i] >= 0)
			slot = &weir_registry->views[lane->views[i]];
		if (slot && !weir_view_retire(slot))
			weir_view_release(slot);
	}
	lane->nviews = 0;
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
		release_worker(&lane->workers[w]);
	if (lane->parts)
		weir_arena_free(lane->parts, lane->parts_bytes);
	lane->parts = NULL;
	lane->npartitions = 0;
	lane->nworkers = 0;
	pg_atomic_write_u32(&lane->replaying, 0);
	lane->broker_down = false;
	lane->no_topic = false;
}
