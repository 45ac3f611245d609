/*
 * shmem/record.c
 *		Groups made flat.
 *
 * Records are written by ingest workers (chunks) and by readers under the
 * shard's lock, and read by readers and by recovery; nothing here raises or
 * allocates.
 */
#include "base/weir.h"

#include "shmem/pane.h"

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
