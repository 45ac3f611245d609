/*
 * shmem/pane.c
 *		Panes and groups (see pane.h): the writer's side.
 *
 * Runs in the ingest worker that owns the shard, and in the coordinator: before
 * there is a worker, for recovery, and for freeing, once no reader can need the
 * pane.  Nothing here raises.  All memory is of the arena.
 */
#include "base/weir.h"

#include "core/hash.h"
#include "shmem/pane.h"

#define FIRST_GROUPS 8
#define FIRST_INDEX  32
#define FIRST_VAR    512
#define MAX_VAR      (256 * 1024)
#define MAX_SEGMENT  (1024 * 1024)
#define FIRST_CHUNK  1024
#define MAX_CHUNK    (512 * 1024)

/* An index entry: 16 bits of the hash, 48 bits of the group's address. */
#define ENTRY_TAG(hash) ((hash) &UINT64CONST(0xFFFF000000000000))

static void *
pane_alloc(Pane *pane, size_t size)
{
	return weir_account_alloc(pane->account, size);
}

static void
pane_release(Pane *pane, void *block, size_t size)
{
	weir_account_free(pane->account, block, size);
}

/*
 * weir_pane_new makes an empty pane, not linked anywhere yet.
 */
Pane *
weir_pane_new(const PaneWindows *windows, const StateLayout *layout,
			  MemoryAccount *account)
{
	Pane *pane = weir_account_alloc(account, sizeof(Pane));

	if (pane == NULL)
		return NULL;
	memset(pane, 0, sizeof(Pane));
	pane->windows = *windows;
	pane->held = pane->over = WEIR_NO_TIME;
	pane->group_size = MAXALIGN(offsetof(PaneGroup, state) + layout->size);
	pane->account = account;
	pane->index = pane_alloc(pane, FIRST_INDEX * sizeof(uint64));
	if (pane->index == NULL)
	{
		weir_account_free(account, pane, sizeof(Pane));
		return NULL;
	}
	memset(pane->index, 0, FIRST_INDEX * sizeof(uint64));
	pane->index_mask = FIRST_INDEX - 1;
	return pane;
}

static inline PaneGroup *
entry_group(uint64 entry)
{
	return (PaneGroup *) (uintptr_t) (entry & PANE_ENTRY_ADDRESS);
}

PaneGroup *
weir_pane_find(Pane *pane, uint64 hash, const char *key, uint32 keylen,
			   KeyEqual equal, void *arg)
{
	uint32 i = (uint32) hash & pane->index_mask;
	uint64 entry;

	while ((entry = pane->index[i]) != 0)
	{
		if (ENTRY_TAG(entry) == ENTRY_TAG(hash))
		{
			PaneGroup *g = entry_group(entry);

			if (g->hash == hash)
			{
				if (g->keylen == keylen && memcmp(g->key, key, keylen) == 0)
					return g;
				if (equal && equal(arg, g->key, g->keylen, key, keylen))
					return g;
			}
		}
		i = (i + 1) & pane->index_mask;
	}
	return NULL;
}

static void
index_insert(Pane *pane, PaneGroup *group)
{
	uint32 i = (uint32) group->hash & pane->index_mask;

	while (pane->index[i] != 0)
		i = (i + 1) & pane->index_mask;
	pane->index[i] = ENTRY_TAG(group->hash) |
					 ((uint64) (uintptr_t) group & PANE_ENTRY_ADDRESS);
}

/* Double the index; the old one is dropped at once, only the writer uses it. */
static bool
index_grow(Pane *pane)
{
	uint64 *old = pane->index;
	uint32 old_size = pane->index_mask + 1;
	size_t bytes = (size_t) old_size * 2 * sizeof(uint64);
	uint64 *new = pane_alloc(pane, bytes);

	if (new == NULL)
		return false;
	memset(new, 0, bytes);
	pane->index = new;
	pane->index_mask = old_size * 2 - 1;
	for (uint32 i = 0; i < old_size; i++)
		if (old[i] != 0)
			index_insert(pane, entry_group(old[i]));
	pane_release(pane, old, (size_t) old_size * sizeof(uint64));
	return true;
}

/* A further segment, as large as all before it, within limits. */
static bool
add_segment(Pane *pane)
{
	size_t groups = Max(FIRST_GROUPS, pane->filled);
	size_t bytes = offsetof(GroupSegment, groups) + groups * pane->group_size;
	GroupSegment *seg;

	bytes = weir_arena_rounded(
		Min(bytes, Max(MAX_SEGMENT, pane->group_size * 4)));
	seg = pane_alloc(pane, bytes);
	if (seg == NULL)
		return false;
	seg->next = NULL;
	seg->bytes = (uint32) bytes;
	seg->capacity = (uint32) ((bytes - offsetof(GroupSegment, groups)) /
							  pane->group_size);
	if (pane->last)
		pane->last->next = seg;
	else
		pane->segments = seg;
	pane->last = seg;
	pane->last_used = 0;
	return true;
}

static char *
pane_room(Pane *pane, size_t size, bool reserved)
{
	VarBlock *v = pane->var;
	char *room;

	size = MAXALIGN(size);
	if (v == NULL || v->bytes - v->used < size)
	{
		size_t bytes = v ? Min(v->bytes * 2, MAX_VAR) : FIRST_VAR;

		bytes = weir_arena_rounded(Max(bytes, size + sizeof(VarBlock)));
		v = reserved ? weir_account_alloc_reserved(pane->account, bytes)
					 : pane_alloc(pane, bytes);
		if (v == NULL)
			return NULL;
		v->next = pane->var;
		v->bytes = bytes;
		v->used = offsetof(VarBlock, data);
		pane->var = v;
	}
	room = (char *) v + v->used;
	v->used += size;
	return room;
}

/*
 * weir_pane_room returns size bytes, 8-aligned, that live as long as the pane.
 */
char *
weir_pane_room(Pane *pane, size_t size)
{
	return pane_room(pane, size, false);
}

char *
weir_pane_room_reserved(Pane *pane, size_t size)
{
	return pane_room(pane, size, true);
}

/*
 * weir_pane_add appends a group that is known not to exist; readers do not see
 * it before weir_pane_publish.
 */
PaneGroup *
weir_pane_add(Pane *pane, uint64 hash, const char *key, uint32 keylen)
{
	PaneGroup *g;
	char *image;

	if ((pane->filled + 1) * 2 > pane->index_mask && !index_grow(pane))
		return NULL;
	if ((pane->last == NULL || pane->last_used == pane->last->capacity) &&
		!add_segment(pane))
		return NULL;
	image = weir_pane_room(pane, keylen);
	if (image == NULL)
		return NULL;
	memcpy(image, key, keylen);

	g = (PaneGroup *) (pane->last->groups +
					   (size_t) pane->last_used * pane->group_size);
	memset(g, 0, pane->group_size);
	g->hash = hash;
	g->key = image;
	g->keylen = keylen;
	g->batch_ref = PG_UINT32_MAX;
	pane->last_used++;
	pane->filled++;
	index_insert(pane, g);
	return g;
}

/*
 * weir_pane_restore: nobody reads or writes the pane yet.  The values by
 * reference of the state are copied.
 */
bool
weir_pane_restore(Pane *pane, uint64 hash, const char *key, uint32 keylen,
				  const char *state, const StateLayout *layout)
{
	PaneGroup *g = weir_pane_add(pane, hash, key, keylen);

	if (g == NULL)
		return false;
	memcpy(g->state, state, layout->size);
	for (int i = 0; i < layout->ndatums; i++)
	{
		AccumDatum *d = (AccumDatum *) (g->state + layout->datums[i]);
		char *room;

		d->cap = MAXALIGN(d->len);
		if (d->len == 0)
			continue;
		room = weir_pane_room(pane, d->len);
		if (room == NULL)
			return false;
		memcpy(room, d->data, d->len);
		d->data = room;
	}
	g->live = 1;
	pane->restored = true;
	weir_pane_publish(pane);
	return true;
}

bool
weir_pane_reserve(DirtyList *d, Pane *pane, uint32 n)
{
	uint32 capacity = d->capacity;
	PaneGroup **groups;

	if (d->n + n <= capacity)
		return true;
	capacity = Max(64, capacity);
	while (capacity < d->n + n)
		capacity *= 2;
	groups = pane_alloc(pane, capacity * sizeof(PaneGroup *));
	if (groups == NULL)
		return false;
	if (d->n > 0)
		memcpy(groups, d->groups, d->n * sizeof(PaneGroup *));
	pane_release(pane, d->groups, d->capacity * sizeof(PaneGroup *));
	d->groups = groups;
	d->capacity = capacity;
	return true;
}

void
weir_pane_publish(Pane *pane)
{
	pg_write_barrier();
	pane->ngroups = pane->filled;
}

static bool
add_chunk(Pane *pane, uint32 need, Chunk **head, Chunk **tail)
{
	uint64 left = pane->ncopy - pane->ncopied;
	size_t bytes;
	Chunk *c;

	bytes = Min(Max(left * need, FIRST_CHUNK), MAX_CHUNK);
	bytes = weir_arena_rounded(Max(bytes, need) + offsetof(Chunk, data));
	c = weir_account_alloc_reserved(pane->account, bytes);
	if (c == NULL)
		return false;
	c->next = NULL;
	c->account = pane->account;
	c->pane = pane->windows;
	c->bytes = (uint32) bytes;
	c->used = 0;
	c->nrecords = 0;
	c->rewrite = pane->rewrite;
	pane->rewrite = false;
	if (*tail)
		(*tail)->next = c;
	else
		*head = c;
	*tail = c;
	pane->chunk = c;
	return true;
}

bool
weir_pane_copy_group(Pane *pane, PaneGroup *group, const StateLayout *layout,
					 Chunk **head, Chunk **tail)
{
	uint32 size = weir_record_size(group, layout);
	Chunk *c = pane->chunk;

	if ((c == NULL || c->bytes - offsetof(Chunk, data) - c->used < size) &&
		!add_chunk(pane, size, head, tail))
		return false;
	c = pane->chunk;
	weir_record_write(group, layout, c->data + c->used, size);
	c->used += size;
	c->nrecords++;
	pane->logged += size;
	return true;
}

uint64
weir_pane_bytes(const Pane *pane)
{
	uint64 bytes = weir_arena_rounded(sizeof(Pane)) +
				   weir_arena_rounded(((size_t) pane->index_mask + 1) *
									  sizeof(uint64));

	for (const GroupSegment *seg = pane->segments; seg; seg = seg->next)
		bytes += seg->bytes;
	for (const VarBlock *var = pane->var; var; var = var->next)
		bytes += var->bytes;
	return bytes;
}

void
weir_pane_free(Pane *pane)
{
	GroupSegment *seg;
	VarBlock *var;

	while ((seg = pane->segments) != NULL)
	{
		pane->segments = seg->next;
		pane_release(pane, seg, seg->bytes);
	}
	while ((var = pane->var) != NULL)
	{
		pane->var = var->next;
		pane_release(pane, var, var->bytes);
	}
	pane_release(pane, pane->dirty.groups,
				 pane->dirty.capacity * sizeof(PaneGroup *));
	pane_release(pane, pane->frozen.groups,
				 pane->frozen.capacity * sizeof(PaneGroup *));
	pane_release(pane, pane->index,
				 ((size_t) pane->index_mask + 1) * sizeof(uint64));
	weir_account_free(pane->account, pane, sizeof(Pane));
}

void
weir_chunk_free(Chunk *chunk)
{
	weir_account_free(chunk->account, chunk, chunk->bytes);
}

void
weir_chunks_free(Shard *shard)
{
	Chunk *chunk;

	while ((chunk = shard->chunks) != NULL)
	{
		shard->chunks = chunk->next;
		weir_chunk_free(chunk);
	}
	shard->chunks_tail = NULL;
}
