/*
 * shmem/record.c
 *		Groups made flat, and the read-only base of recovered ones.
 *
 * Records are written by ingest workers (chunks), by readers under the shard's
 * lock and by recovery; nothing here raises or allocates but weir_base_*, which
 * return NULL or false when the arena is full.
 */
#include "base/weir.h"

#include "shmem/pane.h"

#define FIRST_BASE 1024
#define MAX_BASE   (256 * 1024)

static inline AccumDatum *
datum_at(const char *state, uint32 offset)
{
	return (AccumDatum *) (state + offset);
}

uint32
weir_record_size(const PaneGroup *group, const StateLayout *layout)
{
	size_t size = sizeof(GroupRecord) + MAXALIGN(layout->size) +
				  MAXALIGN(group->keylen);

	for (int i = 0; i < layout->ndatums; i++)
		size += MAXALIGN(datum_at(group->state, layout->datums[i])->len);
	return (uint32) size;
}

void
weir_record_write(const PaneGroup *group, const StateLayout *layout, char *dst,
				  uint32 size)
{
	GroupRecord *r = (GroupRecord *) dst;
	uint32 at = sizeof(GroupRecord);

	r->len = size;
	r->keylen = group->keylen;
	r->state = at;
	memcpy(dst + at, group->state, layout->size);
	at += MAXALIGN(layout->size);
	r->key = at;
	memcpy(dst + at, group->key, group->keylen);
	at += MAXALIGN(group->keylen);
	for (int i = 0; i < layout->ndatums; i++)
	{
		AccumDatum *d = datum_at(dst + r->state, layout->datums[i]);

		if (d->len == 0)
			continue;
		memcpy(dst + at, d->data, d->len);
		d->data = (char *) (uintptr_t) at;
		d->cap = d->len;
		at += MAXALIGN(d->len);
	}
	Assert(at == size);
}

void
weir_record_state(const GroupRecord *record, const StateLayout *layout,
				  char *dst)
{
	memcpy(dst, (const char *) record + record->state, layout->size);
	for (int i = 0; i < layout->ndatums; i++)
	{
		AccumDatum *d = datum_at(dst, layout->datums[i]);

		if (d->len > 0)
			d->data = (char *) record + (uintptr_t) d->data;
	}
}

bool
weir_record_valid(const GroupRecord *record, size_t avail,
				  const StateLayout *layout)
{
	const char *base = (const char *) record;

	if (avail < sizeof(GroupRecord) || record->len > avail ||
		record->len < sizeof(GroupRecord) || record->len % 8 != 0)
		return false;
	if ((uint64) record->state + layout->size > record->len ||
		(uint64) record->key + record->keylen > record->len)
		return false;
	for (int i = 0; i < layout->ndatums; i++)
	{
		AccumDatum *d = datum_at(base + record->state, layout->datums[i]);
		uint64 at = (uint64) (uintptr_t) d->data;

		if (d->len > 0 && (at > record->len || at + d->len > record->len))
			return false;
	}
	return true;
}

/*
 * weir_base_pane finds or makes the pane that begins at start.
 */
BasePane *
weir_base_pane(BasePane **list, int64 start, MemoryAccount *account)
{
	BasePane *p;

	for (p = *list; p; p = p->next)
		if (p->start == start)
			return p;
	p = weir_account_alloc_reserved(account, sizeof(BasePane));
	if (p == NULL)
		return NULL;
	p->account = account;
	p->start = start;
	p->blocks = NULL;
	p->next = *list;
	*list = p;
	return p;
}

bool
weir_base_append(BasePane *pane, const char *record, uint32 len)
{
	BaseBlock *b = pane->blocks;

	if (b == NULL || b->bytes - b->used < len)
	{
		size_t bytes = b ? Min(b->bytes * 2, MAX_BASE) : FIRST_BASE;

		bytes = weir_arena_rounded(Max(bytes, len + offsetof(BaseBlock, data)));
		b = weir_account_alloc_reserved(pane->account, bytes);
		if (b == NULL)
			return false;
		b->next = pane->blocks;
		b->bytes = bytes;
		b->used = offsetof(BaseBlock, data);
		pane->blocks = b;
	}
	memcpy((char *) b + b->used, record, len);
	b->used += len;
	return true;
}

void
weir_base_free(BasePane *pane)
{
	BaseBlock *b;

	while ((b = pane->blocks) != NULL)
	{
		pane->blocks = b->next;
		weir_account_free(pane->account, b, b->bytes);
	}
	weir_account_free(pane->account, pane, sizeof(BasePane));
}
