/*
 * exec/panemap.c
 *		The ingest worker's own index of its panes, by their windows.
 *
 * Private memory of the worker.  Open addressing with linear probing; removal
 * rebuilds, since it happens once per closing and not per record.
 */
#include "base/weir.h"

#include "core/hash.h"
#include "exec/apply.h"

typedef struct PaneMap
{
	Pane **slots;
	uint32 mask;
	uint32 n;
	Pane *last; /* most records go where the last one went */
	MemoryContext cxt;
} PaneMap;

struct PaneMap *
weir_panemap_new(MemoryContext cxt)
{
	PaneMap *map = MemoryContextAllocZero(cxt, sizeof(PaneMap));

	map->cxt = cxt;
	map->mask = 63;
	map->slots = MemoryContextAllocZero(cxt, 64 * sizeof(Pane *));
	return map;
}

static inline uint32
slot_of(const PaneMap *map, int64 first, int64 last)
{
	return (uint32) wh_mix((uint64) last ^ UINT64CONST(0x2545F4914F6CDD1D),
						   (uint64) (last - first) ^
							   UINT64CONST(0x9E3779B97F4A7C15)) &
		   map->mask;
}

static inline bool
is_of(const Pane *pane, int64 first, int64 last)
{
	return pane->windows.last == last && pane->windows.first == first;
}

Pane *
weir_panemap_get(struct PaneMap *map, int64 first, int64 last)
{
	uint32 i;

	if (map->last && is_of(map->last, first, last))
		return map->last;
	for (i = slot_of(map, first, last); map->slots[i]; i = (i + 1) & map->mask)
		if (is_of(map->slots[i], first, last))
			return map->last = map->slots[i];
	return NULL;
}

static void
insert(PaneMap *map, Pane *pane)
{
	uint32 i = slot_of(map, pane->windows.first, pane->windows.last);

	while (map->slots[i])
		i = (i + 1) & map->mask;
	map->slots[i] = pane;
	map->n++;
}

/* Rebuild with room for twice what is kept: panes of later windows. */
static void
rebuild(PaneMap *map, int64 upto)
{
	Pane **old = map->slots;
	uint32 old_size = map->mask + 1;
	uint32 keep = 0;

	for (uint32 i = 0; i < old_size; i++)
		if (old[i] && old[i]->windows.last > upto)
			keep++;
	map->mask = 63;
	while (map->mask + 1 < keep * 4)
		map->mask = map->mask * 2 + 1;
	map->slots = MemoryContextAllocZero(map->cxt, ((Size) map->mask + 1) *
													  sizeof(Pane *));
	map->n = 0;
	map->last = NULL;
	for (uint32 i = 0; i < old_size; i++)
		if (old[i] && old[i]->windows.last > upto)
			insert(map, old[i]);
	pfree(old);
}

void
weir_panemap_put(struct PaneMap *map, Pane *pane)
{
	if ((map->n + 1) * 2 > map->mask)
		rebuild(map, PG_INT64_MIN);
	insert(map, pane);
}

void
weir_panemap_forget(struct PaneMap *map, int64 upto)
{
	rebuild(map, upto);
}

Pane *
weir_panemap_next(struct PaneMap *map, uint32 *state)
{
	while (*state <= map->mask)
	{
		Pane *pane = map->slots[(*state)++];

		if (pane)
			return pane;
	}
	return NULL;
}
