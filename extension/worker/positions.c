/*
 * worker/positions.c
 *		Where a view goes on, or begins, in each partition of its topic.
 *
 * Runs in the coordinator, before the view is live: for partitions that the view
 * knows the positions are those of the catalog, for others they are asked for at
 * the broker.  What a topic with fewer partitions than before has lost is found
 * here; all else of that kind is the ingest worker's (ingest_lost.c).
 *
 * Outside of a transaction, since the broker may take its time.
 */
#include "base/weir.h"

#include "base/guc.h"
#include "catalog/place.h"
#include "shmem/retired.h"
#include "worker/coordinator.h"

/*
 * Offset of a place in a partition.  What a user has named is returned as it is,
 * with low and high of the partition, so that the caller may judge it.
 */
static bool
offset_of_place(Coordinator *co, const Place *place, int32 partition,
				int64 *offset, int64 *low, int64 *high, char *err, size_t errlen)
{
	if (place->kind == PLACE_TIME)
		return weir_client_offsets_for_time(co->client, co->c.stream->topic, 1,
											&partition,
											place->time + WEIR_EPOCH_SHIFT,
											offset,
											weir_settings.broker_timeout_ms,
											err, errlen);
	if (!weir_client_offsets(co->client, co->c.stream->topic, partition,
							 weir_settings.broker_timeout_ms, low, high, err,
							 errlen))
		return false;
	*offset = place->kind == PLACE_OFFSETS  ? place->offsets[partition]
			  : place->kind == PLACE_LATEST ? *high
											: *low;
	return true;
}

/* Do the view's positions belong to this topic?  If not it leaves. */
static bool
is_of_topic(Coordinator *co, CheckpointView *v, int npartitions)
{
	const char *topic = co->c.stream->topic;

	if (v->progress.topic && strcmp(v->progress.topic, topic) != 0)
		v->error =
			psprintf("the stream reads topic \"%s\" now, the view has read \"%s\"; weir.reset starts the view anew",
					 topic, v->progress.topic);
	else if (v->progress.nparts > npartitions &&
			 co->c.stream->offset_reset == STREAM_RESET_ERROR)
		v->error =
			psprintf("topic \"%s\" has %d partitions, it had %d: it was recreated; " WEIR_GO_ON_HINT,
					 topic, npartitions, v->progress.nparts);
	v->gone = v->error != NULL;
	return !v->gone;
}

/* The view skips what is in this range; noted until its start is committed. */
static void
lose(CheckpointView *v, ViewPartition *part, const LostRange *range)
{
	LostRange *l = MemoryContextAlloc(v->cxt, sizeof(LostRange));

	*l = *range;
	l->next = v->lost;
	v->lost = l;
	part->lost += weir_lost_length(range);
}

/*
 * The view is to begin where the partition has no record (any more), and none will
 * come next: offset_reset decides.
 */
static void
begin_out_of_range(Coordinator *co, CheckpointView *v, int p,
				   ViewPartition *part, int64 wanted, int64 low, int64 high)
{
	LostRange range = {.partition = p, .reason = LOST_EXPIRED, .from = wanted};

	if (co->c.stream->offset_reset == STREAM_RESET_ERROR)
	{
		v->error = psprintf("the view is to start at offset " INT64_FORMAT
							" of partition %d, which has those from " INT64_FORMAT
							" to " INT64_FORMAT "; " WEIR_GO_ON_HINT,
							wanted, p, low, high);
		v->gone = true;
		return;
	}
	range.upto = co->c.stream->offset_reset == STREAM_RESET_LATEST ? high : low;
	wp_begin(part, range.upto);
	if (wanted < range.upto)
		lose(v, part, &range);
}

/*
 * Views that begin together and at the same place, such as one over another, have the
 * same events, though what is latest changes from one answer to the next: a view
 * of the lane that has its offsets already, or NULL.  ends: one that also ends there.
 */
static const CheckpointView *
begins_alike(const Coordinator *co, const CheckpointView *v, bool ends)
{
	for (int i = 0; i < co->c.nviews; i++)
	{
		const CheckpointView *other = co->c.views[i];

		if (other->begins && !other->gone &&
			strcmp(other->row->start, v->row->start) == 0 &&
			(!ends || (other->row->until &&
					   strcmp(other->row->until, v->row->until) == 0)))
			return other;
	}
	return NULL;
}

/* Is it what the topic makes of it when it is asked? */
static bool
is_asked(const Place *place)
{
	return place->kind == PLACE_LATEST || place->kind == PLACE_TIME;
}

/* The view begins in a partition; false: the broker did not answer. */
static bool
begin_partition(Coordinator *co, CheckpointView *v, const Place *place, int p,
				ViewPartition *part, char *err, size_t errlen)
{
	int64 offset = 0;
	int64 low = 0;
	int64 high = PG_INT64_MAX;
	const CheckpointView *other = is_asked(place) ? begins_alike(co, v, false)
												  : NULL;

	if (other)
	{
		wp_begin(part, other->progress.parts[p].start);
		return true;
	}
	if (!offset_of_place(co, place, p, &offset, &low, &high, err, errlen))
		return false;
	if (offset >= low && offset <= high)
		wp_begin(part, offset);
	else
		begin_out_of_range(co, v, p, part, offset, low, high);
	return true;
}

/* Does a place fit the partitions?  If not the view leaves. */
static void
check_fit(CheckpointView *v, const char *what, const char *kept, Place *place,
		  int npartitions)
{
	char *misfit;

	weir_place_read(kept, place);
	misfit = weir_place_misfit(place, npartitions);
	if (misfit == NULL)
		return;
	v->error = psprintf("the view's %s does not fit the topic: %s", what,
						misfit);
	v->gone = true;
}

/* Where the view begins in partitions that it has no position in. */
static void
read_start(CheckpointView *v, int npartitions, Place *place)
{
	Place until;

	/* Partitions added later count from their beginning. */
	if (v->progress.nparts > 0)
	{
		place->kind = PLACE_EARLIEST;
		return;
	}
	if (v->row->until)
		check_fit(v, "until", v->row->until, &until, npartitions);
	check_fit(v, "start", v->row->start, place, npartitions);
}

/*
 * Where the view ends in a partition.  One that is added later has nothing that
 * it was to read.
 */
static bool
end_partition(Coordinator *co, CheckpointView *v, int p, ViewPartition *part,
			  char *err, size_t errlen)
{
	int64 low;
	int64 high;
	Place place;
	const CheckpointView *other;

	if (v->row->until == NULL)
		return true;
	if (v->progress.nparts > 0)
	{
		part->end = part->position;
		return true;
	}
	weir_place_read(v->row->until, &place);
	other = is_asked(&place) ? begins_alike(co, v, true) : NULL;
	if (other)
	{
		part->end = other->progress.parts[p].end;
		return true;
	}
	return offset_of_place(co, &place, p, &part->end, &low, &high, err, errlen);
}

/* A partition that the topic no longer has: its counters stay in the sum. */
static void
drop_partition(CheckpointView *v, ViewPartition *first, int p)
{
	const ViewPartition *old = &v->progress.parts[p];
	LostRange range = {.partition = p,
					   .reason = LOST_RECREATED,
					   .from = old->position,
					   .upto = -1};

	first->events += old->events;
	first->late += old->late;
	first->dead += old->dead;
	first->lost += old->lost;
	lose(v, first, &range);
}

/*
 * The topic has fewer partitions than it had, so it is another one.  Go on in
 * all of them as offset_reset says.
 */
static bool
begin_anew(Coordinator *co, CheckpointView *v, ViewPartition *parts, int n,
		   char *err, size_t errlen)
{
	int32 *partitions = palloc(sizeof(int32) * n);
	int64 *low = palloc(sizeof(int64) * n);
	int64 *high = palloc(sizeof(int64) * n);
	bool latest = co->c.stream->offset_reset == STREAM_RESET_LATEST;

	for (int p = 0; p < n; p++)
		partitions[p] = p;
	if (!weir_client_bounds(co->client, co->c.stream->topic, n, partitions, low,
							high, weir_settings.broker_timeout_ms, err, errlen))
		return false;
	v->lost = NULL;
	for (int p = 0; p < n; p++)
	{
		LostRange ranges[WEIR_LOST_MAX];
		int64 to = latest ? high[p] : low[p];
		int k = weir_lost_of_recreated(ranges, p, parts[p].position, -1, low[p],
									   to);

		while (k-- > 0)
			lose(v, &parts[p], &ranges[k]);
		wp_restart(&parts[p], to);
	}
	/* Positions of an earlier lane may never be reached again. */
	weir_retired_give_up_view(v->slot->dboid, v->slot->view);
	for (int p = n; p < v->progress.nparts; p++)
		drop_partition(v, &parts[0], p);
	return true;
}

/* Positions of a view, with partitions it has not seen yet. */
bool
weir_resolve_positions(Coordinator *co, CheckpointView *v, int npartitions,
					   char *err, size_t errlen)
{
	ViewPartition *parts = MemoryContextAllocZero(v->cxt, sizeof(ViewPartition) *
															  npartitions);
	int known = Min(v->progress.nparts, npartitions);
	Place place;

	if (!is_of_topic(co, v, npartitions))
		return true;
	if (known > 0)
		memcpy(parts, v->progress.parts, sizeof(ViewPartition) * known);
	if (v->progress.nparts > npartitions &&
		!begin_anew(co, v, parts, npartitions, err, errlen))
		return false;
	if (known == 0)
		v->lost = NULL; /* of a try without all answers */
	read_start(v, npartitions, &place);
	for (int p = known; p < npartitions && !v->gone; p++)
		if (!begin_partition(co, v, &place, p, &parts[p], err, errlen) ||
			!end_partition(co, v, p, &parts[p], err, errlen))
			return false;
	v->progress.parts = parts;
	v->progress.nparts = npartitions;
	v->begins = known == 0;
	v->progress.topic = MemoryContextStrdup(v->cxt, co->c.stream->topic);
	return true;
}
