/*
 * exec/panemap.c
 *		The ingest worker's own index of its panes, by start.
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
slot_of(const PaneMap *map, int64 start)
{
	return (uint32) wh_mix((uint64) start ^ UINT64CONST(0x2545F4914F6CDD1D),
						   UINT64CONST(0x9E3779B97F4A7C15)) &
		   map->mask;
}

Pane *
weir_panemap_get(struct PaneMap *map, int64 start)
{
	uint32 i;

	if (map->last && map->last->start == start)
		return map->last;
	for (i = slot_of(map, start); map->slots[i]; i = (i + 1) & map->mask)
		if (map->slots[i]->start == start)
			return map->last = map->slots[i];
	return NULL;
}

static void
insert(PaneMap *map, Pane *pane)
{
	uint32 i = slot_of(map, pane->start);

	while (map->slots[i])
		i = (i + 1) & map->mask;
	map->slots[i] = pane;
	map->n++;
}

/* Rebuild with room for twice what is kept: panes that start at or after. */
static void
rebuild(PaneMap *map, int64 from)
{
	Pane **old = map->slots;
	uint32 old_size = map->mask + 1;
	uint32 keep = 0;

	for (uint32 i = 0; i < old_size; i++)
		if (old[i] && old[i]->start >= from)
			keep++;
	map->mask = 63;
	while (map->mask + 1 < keep * 4)
		map->mask = map->mask * 2 + 1;
	map->slots = MemoryContextAllocZero(map->cxt, ((Size) map->mask + 1) *
													  sizeof(Pane *));
	map->n = 0;
	map->last = NULL;
	for (uint32 i = 0; i < old_size; i++)
		if (old[i] && old[i]->start >= from)
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
weir_panemap_forget(struct PaneMap *map, int64 before)
{
	rebuild(map, before);
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
