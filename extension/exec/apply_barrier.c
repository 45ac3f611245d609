/*
 * exec/apply_barrier.c
 *		The ingest worker's part in a checkpoint: freeze, then copy in slices.
 *
 * A group carries the barrier interval of its last change.  At a barrier the
 * lists of changed groups become the frozen ones; between the following batches
 * they are flattened into chunks, and a group that is about to be touched
 * before its turn is flattened first (exec/apply.c).  The chunks go to
 * shard->chunks when all is copied; from then on they are the coordinator's.
 *
 * Panes that the barrier closes are not copied: the coordinator reads them as
 * they are, since no later record can reach them.  Those of sessions are, since
 * a session that has come to its end in this shard may go on in another one, and
 * the worker keeps them in mind until that is done.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "base/fault.h"
#include "core/closing.h"
#include "exec/apply_internal.h"

#define COPY_SLICE    256
#define REWRITE_FLOOR (256 * 1024)

/* Does the barrier under way close the last window of the pane? */
bool
apply_is_closing(const ViewApply *a, const Pane *pane)
{
	return wc_is_closed(pane->windows.end + a->lateness, a->closed_upto);
}

/*
 * How much of each pane earlier barriers have copied that no checkpoint has
 * committed.  Between two barriers the shard's chunks are the worker's.
 */
static void
count_kept(const ViewApply *a)
{
	for (const Chunk *c = a->shard->chunks; c; c = c->next)
	{
		Pane *pane = weir_panemap_get(a->panes, c->pane.first, c->pane.last);

		if (pane)
			pane->kept += c->bytes;
	}
}

/* Would what is copied of the pane and not committed exceed its state? */
static bool
keeps_too_much(const Pane *pane)
{
	uint64 bytes;

	if (pane->kept == 0)
		return false;
	bytes = weir_pane_bytes(pane);
	return pane->kept + bytes * pane->frozen.n / pane->filled > bytes;
}

/*
 * Is all of the pane to be copied?  A pane that was restored has groups that only
 * older incarnations' chunks hold: its first copy takes their place.  A pane
 * whose log has outgrown its state is written anew, and so is one whose checkpoints
 * fail: one copy of all says what many of the changes do.
 */
static bool
needs_rewrite(const Pane *pane)
{
	uint64 state = (uint64) pane->filled * pane->group_size * 2;

	return pane->restored || keeps_too_much(pane) ||
		   (pane->logged >= REWRITE_FLOOR && pane->logged >= 2 * state);
}

/* All groups are to be copied, those in this segment with them. */
static void
mark_segment(const ViewApply *a, const Pane *pane, GroupSegment *seg)
{
	uint32 n = seg == pane->last ? pane->last_used : seg->capacity;

	for (uint32 i = 0; i < n; i++)
	{
		PaneGroup *g = (PaneGroup *) (seg->groups +
									  (size_t) i * pane->group_size);

		if (g->live)
			g->epoch = a->epochs.current;
	}
}

/* The coordinator drops what the log held before; this takes no memory. */
static void
begin_rewrite(const ViewApply *a, Pane *pane)
{
	for (GroupSegment *seg = pane->segments; seg; seg = seg->next)
		mark_segment(a, pane, seg);
	pane->whole = pane->rewrite = true;
	pane->restored = false;
	pane->logged = 0;
	pane->ncopy = pane->filled;
	pane->copy_seg = pane->segments;
	pane->copy_at = 0;
}

static void
freeze_pane(ViewApply *a, Pane *pane)
{
	DirtyList empty = pane->frozen;

	pane->frozen = pane->dirty;
	pane->dirty = empty;
	pane->dirty.n = 0;
	pane->ncopy = pane->frozen.n;
	pane->ncopied = 0;
	pane->chunk = NULL;
	pane->whole = pane->rewrite = false;
	if (a->sessions == NULL && apply_is_closing(a, pane))
		pane->ncopy = 0;
	else if (pane->ncopy > 0 && needs_rewrite(pane))
		begin_rewrite(a, pane);
	pane->kept = 0;
}

/*
 * Are chunks of earlier barriers of no use?  Where all of the pane is copied now,
 * and where a barrier has closed it.  Of sessions the coordinator knows.
 */
static bool
is_overtaken(const ViewApply *a, const Pane *pane)
{
	return pane ? pane->rewrite : a->sessions == NULL;
}

/* They go before the copy is made. */
static void
drop_kept(ViewApply *a)
{
	Shard *shard = a->shard;
	Chunk **link = &shard->chunks;
	Chunk *c;

	shard->chunks_tail = NULL;
	while ((c = *link) != NULL)
	{
		Pane *pane = weir_panemap_get(a->panes, c->pane.first, c->pane.last);

		if (!is_overtaken(a, pane))
		{
			shard->chunks_tail = c;
			link = &c->next;
			continue;
		}
		*link = c->next;
		weir_chunk_free(c);
	}
}

/* No record reaches the panes that are closed any more. */
static void
forget_closed(ViewApply *a)
{
	if (a->closed_upto != WEIR_NO_TIME)
		weir_panemap_forget(a->panes,
							weir_window_closed(&a->plan->window, a->lateness,
											   a->closed_upto));
}

void
weir_apply_freeze(ViewApply *a)
{
	Pane *pane;
	uint32 state = 0;
	Shard *shard = a->shard;

	a->closed_upto = wc_raise(a->closed_upto, a->slot->closing);
	weir_lost_move(&shard->lost, &a->lost);
	memcpy(shard->acked, shard->parts, sizeof(ViewPartition) * a->npartitions);
	apply_live_sweep(a);
	count_kept(a);
	while ((pane = weir_panemap_next(a->panes, &state)) != NULL)
		freeze_pane(a, pane);
	we_freeze(&a->epochs);
	if (a->sessions == NULL)
		forget_closed(a);
	drop_kept(a);
}

/* The next group to look at. */
static PaneGroup *
next_to_copy(Pane *pane)
{
	if (!pane->whole)
		return pane->frozen.groups[pane->ncopied];
	if (pane->copy_at == pane->copy_seg->capacity)
	{
		pane->copy_seg = pane->copy_seg->next;
		pane->copy_at = 0;
	}
	return (PaneGroup *) (pane->copy_seg->groups +
						  (size_t) pane->copy_at * pane->group_size);
}

/* Copy up to COPY_SLICE groups of a pane.  1: done, 0: more, -1: full. */
static int
copy_slice(ViewApply *a, Pane *pane)
{
	uint32 end = Min(pane->ncopied + COPY_SLICE, pane->ncopy);

	for (; pane->ncopied < end; pane->ncopied++, pane->copy_at++)
	{
		PaneGroup *g = next_to_copy(pane);

		if (!we_is_due(&a->epochs, g->epoch))
			continue;
		if (g->live && !weir_pane_copy_group(pane, g, &a->layout, &a->chunks,
											 &a->chunks_tail))
			return -1;
		g->epoch = WE_CLEAN;
	}
	return pane->ncopied == pane->ncopy;
}

int
weir_apply_copy(ViewApply *a, int64 budget_us)
{
	int64 stop = weir_clock_monotonic() + budget_us;
	uint32 state = 0;
	Pane *pane;
	Shard *shard = a->shard;

	if (a->epochs.frozen == WE_CLEAN)
		return 1;
	while ((pane = weir_panemap_next(a->panes, &state)) != NULL)
	{
		while (pane->ncopied < pane->ncopy)
		{
			if (copy_slice(a, pane) < 0)
				return -1;
			WEIR_FAULT("ingest-slice-copied");
			if (weir_clock_monotonic() > stop)
				return 0;
		}
		pane->chunk = NULL;
	}
	if (a->chunks)
	{
		if (shard->chunks_tail)
			shard->chunks_tail->next = a->chunks;
		else
			shard->chunks = a->chunks;
		shard->chunks_tail = a->chunks_tail;
		a->chunks = a->chunks_tail = NULL;
	}
	if (a->sessions)
		forget_closed(a);
	we_thaw(&a->epochs);
	return 1;
}
