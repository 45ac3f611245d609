/*
 * exec/merge.c
 *		Combine records into groups (see merge.h).
 *
 * Coordinators (closing, recovery) and backends (reads).  Private memory of
 * the table's own context; no locks; may raise.
 */
#include "base/weir.h"

#include "core/hash.h"
#include "exec/merge.h"
#include "utils/memutils.h"

#define FIRST_GROUPS 64

static void
allocate(MergeTable *m)
{
	m->ngroups = 0;
	m->capacity = FIRST_GROUPS;
	m->groups = MemoryContextAlloc(m->cxt, m->capacity * sizeof(MergeGroup));
	m->index_mask = FIRST_GROUPS * 2 - 1;
	m->index = MemoryContextAllocZero(m->cxt,
									  (m->index_mask + 1) * sizeof(uint32));
}

MergeTable *
weir_merge_new(ViewReader *reader, MemoryContext parent)
{
	MergeTable *m = MemoryContextAlloc(parent, sizeof(MergeTable));

	m->reader = reader;
	m->cxt = AllocSetContextCreate(parent, "weir merge", ALLOCSET_DEFAULT_SIZES);
	allocate(m);
	return m;
}

void
weir_merge_reset(MergeTable *m)
{
	MemoryContextReset(m->cxt);
	allocate(m);
}

void
weir_merge_free(MergeTable *m)
{
	MemoryContextDelete(m->cxt);
	pfree(m);
}

static void
index_put(MergeTable *m, uint64 hash, uint32 entry)
{
	uint32 i = (uint32) hash & m->index_mask;

	while (m->index[i] != 0)
		i = (i + 1) & m->index_mask;
	m->index[i] = entry;
}

static void
grow(MergeTable *m)
{
	m->capacity *= 2;
	m->groups = repalloc_huge(m->groups, m->capacity * sizeof(MergeGroup));
	pfree(m->index);
	m->index_mask = m->capacity * 2 - 1;
	m->index = MemoryContextAllocExtended(m->cxt,
										  ((Size) m->index_mask + 1) *
											  sizeof(uint32),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 g = 0; g < m->ngroups; g++)
		index_put(m, m->groups[g].hash, g + 1);
}

static MergeGroup *
lookup(MergeTable *m, int64 window, uint64 hash, const char *key, uint32 keylen)
{
	uint32 i = (uint32) hash & m->index_mask;

	for (; m->index[i] != 0; i = (i + 1) & m->index_mask)
	{
		MergeGroup *g = &m->groups[m->index[i] - 1];

		if (g->hash == hash && g->window == window &&
			weir_key_equal(m->reader->codec, g->key, g->keylen, key, keylen))
			return g;
	}
	return NULL;
}

MergeGroup *
weir_merge_find(MergeTable *m, int64 window, const char *key, uint32 keylen)
{
	uint64 hash = weir_key_hash(m->reader->codec, key, keylen);
	MergeGroup *g;

	hash = wh_mix(hash ^ (uint64) window, UINT64CONST(0x9E3779B97F4A7C15));
	g = lookup(m, window, hash, key, keylen);
	if (g)
		return g;
	if (m->ngroups == m->capacity)
		grow(m);
	g = &m->groups[m->ngroups++];
	g->window = window;
	g->hash = hash;
	g->key = key;
	g->keylen = keylen;
	g->state = NULL;
	index_put(m, hash, m->ngroups);
	return g;
}

void
weir_merge_group(MergeTable *m, int64 window, const char *key, uint32 keylen,
				 const char *state)
{
	MergeGroup *g = weir_merge_find(m, window, key, keylen);
	uint32 size = Max(m->reader->layout.size, 1);

	if (g->state)
		weir_accum_combine(m->reader->accums, g->state, state, m->cxt);
	else
	{
		g->state = MemoryContextAlloc(m->cxt, size);
		memcpy(g->state, state, m->reader->layout.size);
	}
}

void
weir_merge_add(MergeTable *m, int64 window, const GroupRecord *record,
			   bool replace)
{
	const char *base = (const char *) record;
	MergeGroup *g = weir_merge_find(m, window, base + record->key,
									record->keylen);
	uint32 size = Max(m->reader->layout.size, 1);

	if (g->state == NULL || replace)
	{
		if (g->state == NULL)
			g->state = MemoryContextAlloc(m->cxt, size);
		weir_record_state(record, &m->reader->layout, g->state);
	}
	else
	{
		char *state = MemoryContextAlloc(m->cxt, size);

		weir_record_state(record, &m->reader->layout, state);
		weir_accum_combine(m->reader->accums, g->state, state, m->cxt);
		pfree(state);
	}
}
