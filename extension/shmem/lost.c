/*
 * shmem/lost.c
 *		Lists of offsets that a view has skipped, until they are committed.
 *
 * Ingest workers add to a list of their own; at the barrier it is the shard's,
 * and so the coordinator's, as its chunks are.  No lock.
 */
#include "base/weir.h"

#include "shmem/shmem.h"

int64
weir_lost_length(const LostRange *range)
{
	return range->upto < 0 ? 0 : range->upto - range->from;
}

static void
fill(LostRange *l, int32 partition, LostReason reason, int64 from, int64 upto)
{
	l->partition = partition;
	l->reason = reason;
	l->from = from;
	l->upto = upto;
}

int
weir_lost_of_recreated(LostRange *ranges, int32 partition, int64 position,
					   int64 old_end, int64 low, int64 to)
{
	int n = 0;

	fill(&ranges[n++], partition, LOST_RECREATED, position,
		 old_end >= position ? old_end : -1);
	if (low > 0)
		fill(&ranges[n++], partition, LOST_EXPIRED, 0, low);
	if (to > low)
		fill(&ranges[n++], partition, LOST_SKIPPED, low, to);
	return n;
}

bool
weir_lost_add(LostRange **list, const LostRange *range)
{
	LostRange *l = weir_arena_alloc_reserved(sizeof(LostRange));

	if (l == NULL)
		return false;
	*l = *range;
	l->next = *list;
	*list = l;
	return true;
}

void
weir_lost_move(LostRange **to, LostRange **from)
{
	while (*to)
		to = &(*to)->next;
	*to = *from;
	*from = NULL;
}

void
weir_lost_free(LostRange **list)
{
	LostRange *l;

	while ((l = *list) != NULL)
	{
		*list = l->next;
		weir_arena_free(l, sizeof(LostRange));
	}
}
