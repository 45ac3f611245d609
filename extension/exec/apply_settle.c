/*
 * exec/apply_settle.c
 *		Values that are kept alive are serialised: when, and which go.
 *
 * Runs in the ingest worker, as the view's owner: after a batch, if it is time,
 * and before each barrier.  See apply_live.c.
 *
 * Readers who look at what an earlier lane has left turn to this one when its
 * positions are as far, and must not see less then: until they have turned, each
 * batch is settled before its positions are published.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "exec/apply_live.h"
#include "shmem/retired.h"
#include "utils/memutils.h"

#define JOURNAL_ROWS  262144
#define JOURNAL_BYTES (16 * 1024 * 1024)
#define SETTLE_SHARE  30

bool
weir_apply_is_settled(const ViewApply *a)
{
	return a->live == NULL || (a->live->nnoted == 0 && !a->live->torn);
}

/* Serialise one group's values.  False: no room. */
static bool
settle_group(ViewApply *a, LiveGroup *l, bool reserved)
{
	struct LiveStates *live = a->live;

	for (int i = 0; i < live->nkept; i++)
	{
		const KeptAccum *k = &live->kept[i];
		PendingDatum p = {.value = live_values(live, l)[i]};

		weir_accum_flat(a->accums, k->accum, &p.value, CurrentMemoryContext);
		if (!apply_reserve(a, k->accum, l->group, l->pane, reserved, &p))
			return false;
		LWLockAcquire(&a->shard->lock, LW_EXCLUSIVE);
		apply_store(a, k->accum, l->group, &p);
		LWLockRelease(&a->shard->lock);
	}
	return true;
}

bool
weir_apply_settle(ViewApply *a, bool reserved)
{
	struct LiveStates *live = a->live;
	int64 began = weir_clock_monotonic();
	MemoryContext work;
	MemoryContext old;
	bool room = true;

	if (weir_apply_is_settled(a))
		return true;
	live_mend(a);
	work = AllocSetContextCreate(live->cxt, "weir settle",
								 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(work);
	for (uint32 i = 0; i < live->ngroups && room; i++)
		if (live->groups[i].dirty)
		{
			room = settle_group(a, &live->groups[i], reserved);
			live->groups[i].dirty = !room;
			live_count_memory(live, &live->groups[i]);
			MemoryContextReset(work);
		}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	live->starved = !room;
	if (room)
		live_reset_journal(live);
	live->settled = weir_clock_monotonic();
	live->took = live->settled - began;
	return room;
}

/* Values have grown beyond what there is for them: some go; all is settled. */
static void
shed(struct LiveStates *live)
{
	for (uint32 i = 0; i < live->ngroups && !live_has_room(); i++)
		if (live->groups[i].group)
			live_drop(live, &live->groups[i]);
}

void
apply_settle_if_due(ViewApply *a)
{
	struct LiveStates *live = a->live;

	if (weir_apply_is_settled(a))
		return;
	live->behind = live->behind && weir_is_retired(a->slot);
	if (live->behind || live->nnoted >= JOURNAL_ROWS || !live_has_room() ||
		MemoryContextMemAllocated(live->journal_cxt, false) >= JOURNAL_BYTES ||
		weir_clock_monotonic() - live->settled >= SETTLE_SHARE * live->took)
		if (weir_apply_settle(a, false))
			shed(live);
}

/* Does the group stay over the barrier that is taken?  All is settled. */
static bool
stays(const ViewApply *a, const LiveGroup *l)
{
	return l->group && !apply_is_closing(a, l->pane) &&
		   (l->recent || !live_is_short());
}

void
apply_live_sweep(ViewApply *a)
{
	struct LiveStates *live = a->live;
	uint32 n = 0;

	if (live == NULL)
		return;
	Assert(weir_apply_is_settled(a));
	memset(live->index, 0, sizeof(uint32) * ((Size) live->mask + 1));
	for (uint32 i = 0; i < live->ngroups; i++)
	{
		LiveGroup *l = &live->groups[i];

		if (!stays(a, l))
		{
			if (l->group)
				live_drop(live, l);
			continue;
		}
		l->recent = false;
		memmove(&live->values[(Size) n * live->nkept], live_values(live, l),
				sizeof(AccumValue) * live->nkept);
		live->groups[n] = *l;
		live_index_put(live, n++);
	}
	live->ngroups = n;
}
