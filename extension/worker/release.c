/*
 * worker/release.c
 *		Give back what lanes and views hold in shared memory.
 *
 * A reader may be in the middle of a shard: life changes under the shard's lock,
 * exclusive, and the reader looks at it whenever it takes the lock again.
 */
#include "base/weir.h"

#include "shmem/pane.h"
#include "worker/lane.h"

static void
release_shard(ViewSlot *slot, Shard *shard, int npartitions)
{
	Pane *panes;
	Chunk *chunk;

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
	while ((chunk = shard->chunks) != NULL)
	{
		shard->chunks = chunk->next;
		weir_chunk_free(chunk);
	}
	shard->chunks_tail = NULL;
	if (shard->parts)
		weir_arena_free(shard->parts, sizeof(ViewPartition) * npartitions);
	if (shard->acked)
		weir_arena_free(shard->acked, sizeof(ViewPartition) * npartitions);
	shard->parts = shard->acked = NULL;
}

void
weir_view_release(ViewSlot *slot)
{
	Lane *lane = &weir_registry->lanes[slot->lane];
	BasePane *base;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	slot->live = false;
	LWLockRelease(&weir_registry->lock);
	for (int s = 0; s < WEIR_MAX_WORKERS; s++)
		release_shard(slot, &slot->shards[s], Max(lane->npartitions, 1));

	LWLockAcquire(&slot->marks_lock, LW_EXCLUSIVE);
	base = slot->base;
	slot->base = NULL;
	wm_begin(&slot->marks, WEIR_NO_TIME);
	LWLockRelease(&slot->marks_lock);
	while (base)
	{
		BasePane *next = base->next;

		weir_base_free(base);
		base = next;
	}
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	slot->used = false;
	LWLockRelease(&weir_registry->lock);
}

static void
release_dead(DeadLetter **list)
{
	DeadLetter *d;

	while ((d = *list) != NULL)
	{
		*list = d->next;
		weir_arena_free(d, d->bytes);
	}
}

static void
release_worker(LaneWorker *w)
{
	release_dead(&w->dead_current);
	release_dead(&w->dead_frozen);
	memset((void *) w->freshness, 0, sizeof(w->freshness));
	w->rate = 0;
	w->broker_down = false;
	w->error[0] = '\0';
}

void
weir_lane_release(Lane *lane)
{
	for (int i = 0; i < lane->nviews; i++)
		if (lane->views[i] >= 0)
			weir_view_release(&weir_registry->views[lane->views[i]]);
	lane->nviews = 0;
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
		release_worker(&lane->workers[w]);
	if (lane->parts)
		weir_arena_free(lane->parts, lane->parts_bytes);
	lane->parts = NULL;
	lane->npartitions = 0;
	lane->nworkers = 0;
	lane->broker_down = false;
}

bool
weir_dead_letter_add(LaneWorker *w, int32 view, const KafkaMessage *m,
					 int sqlstate, const char *reason)
{
	size_t reason_len = strlen(reason);
	size_t bytes = offsetof(DeadLetter, data) + reason_len + m->key_len + m->len;
	DeadLetter *d = weir_arena_alloc(bytes);
	char *p;

	if (d == NULL)
		return false;
	d->bytes = (uint32) bytes;
	d->view = view;
	d->partition = m->partition;
	d->offset = m->offset;
	d->timestamp = m->timestamp;
	d->sqlstate = sqlstate;
	d->reason_len = (uint32) reason_len;
	d->key_len = (uint32) m->key_len;
	d->payload_len = (uint32) m->len;
	d->has_key = m->key != NULL;
	d->has_payload = m->payload != NULL;
	p = d->data;
	memcpy(p, reason, reason_len);
	p += reason_len;
	if (m->key_len > 0)
		memcpy(p, m->key, m->key_len);
	p += m->key_len;
	if (m->len > 0)
		memcpy(p, m->payload, m->len);
	d->next = w->dead_current;
	w->dead_current = d;
	return true;
}
