/*
 * shmem/retired.c
 *		Finding retired view slots, and giving them up (see retired.h).
 *
 * Any process.  Takes the registry lock, and under it locks of shards; nothing
 * here raises.  Positions of a retired slot do not change any more; they are
 * all in its first shard.
 */
#include "base/weir.h"

#include "shmem/retired.h"

ViewSlot *
weir_retired_find(Oid dboid, int32 view)
{
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (v->used && v->retired && v->dboid == dboid && v->view == view)
			return v;
	}
	return NULL;
}

bool
weir_is_retired(const ViewSlot *slot)
{
	bool found;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	found = weir_retired_find(slot->dboid, slot->view) != NULL;
	LWLockRelease(&weir_registry->lock);
	return found;
}

/* While the slot is live and the registry lock is held, its shards stay. */
static bool
has_passed(ViewSlot *now, int p, int64 position)
{
	bool passed = false;

	for (int s = 0; s < now->nshards && !passed; s++)
	{
		Shard *shard = &now->shards[s];

		LWLockAcquire(&shard->lock, LW_SHARED);
		passed = shard->parts[p].position >= position;
		LWLockRelease(&shard->lock);
	}
	return passed;
}

bool
weir_has_caught_up(ViewSlot *now, ViewSlot *before)
{
	const ViewPartition *parts = before->shards[0].parts;

	if (now->npartitions < before->npartitions)
		return false;
	for (int p = 0; p < before->npartitions; p++)
		if (!has_passed(now, p, parts[p].position))
			return false;
	return true;
}

void
weir_view_places(Oid dboid, int32 view, int64 generation, uint64 fingerprint,
				 ViewPlaces *places)
{
	ViewSlot *before;

	memset(places, 0, sizeof(*places));
	places->generation = generation;
	places->fingerprint = fingerprint;
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_views && !places->now; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (v->used && v->live && v->dboid == dboid && v->view == view &&
			v->generation == generation)
			places->now = v;
	}
	before = weir_retired_find(dboid, view);
	if (before && before->generation == generation &&
		before->fingerprint == fingerprint)
		places->before = before;
	if (places->now && places->before)
		places->caught_up = weir_has_caught_up(places->now, places->before);
	LWLockRelease(&weir_registry->lock);
}

int
weir_retired_give_up(void)
{
	int n = 0;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewSlot *v = &weir_registry->views[i];

		if (!v->used || !v->retired)
			continue;
		pg_atomic_write_u32(&v->detached, 1);
		n++;
	}
	if (n > 0 && weir_registry->launcher_latch)
		SetLatch(weir_registry->launcher_latch);
	LWLockRelease(&weir_registry->lock);
	return n;
}

void
weir_retired_give_up_view(Oid dboid, int32 view)
{
	ViewSlot *before;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	before = weir_retired_find(dboid, view);
	if (before)
		pg_atomic_write_u32(&before->detached, 1);
	if (before && weir_registry->launcher_latch)
		SetLatch(weir_registry->launcher_latch);
	LWLockRelease(&weir_registry->lock);
}
