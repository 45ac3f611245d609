/*
 * worker/ingest_align.c
 *		Hold back the partitions that are ahead while memory is short.
 *
 * Runs in the ingest worker, between two batches.  Which partitions are to be
 * held is core/align.c's to say; here is where it gets its numbers from, and
 * what holding is: the partition is taken out of the assignment, so that
 * librdkafka drops what it has fetched of it and fetches no more, and put back
 * at our own position.  (A queue that is merely not forwarded goes on filling,
 * each held partition's up to the whole of queued.max.messages.kbytes.)
 *
 * A partition counts while there is more to read of it: not when its last fetch
 * brought nothing (it is at its end, or an open transaction is in the way), nor
 * when nothing has come of it for a while though the queue was empty (its leader
 * is away).  Otherwise the others would wait for it for ever.
 *
 * Workers of a lane see each other's partitions in lane->parts, where each word
 * has one writer; a word that is a turn old does no harm.  This bounds memory
 * and decides nothing else: what is late, idle or final does not depend on it,
 * but for a held partition being neither idle nor at its end.
 *
 * A partition whose past is in question is not held: it is read from before our
 * own position then, which is where it would be put back.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "core/align.h"
#include "worker/ingest.h"

#define SILENCE_US (3 * USECS_PER_SEC)

/* How short memory is for this lane, in thousandths. */
static int
pressure(const Ingest *in)
{
	int most = weir_arena_pressure();

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			most = Max(most, weir_account_pressure(&in->views[i].slot->memory));
	return most;
}

/*
 * Partitions nearer than this to each other need no other windows.  For a view
 * without windows it is of no use to hold one back.
 */
static int64
slack(const Ingest *in)
{
	int64 least = PG_INT64_MAX;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply && in->views[i].slot->window.size > 0)
			least = Min(least, in->views[i].slot->window.size);
	return least;
}

/* The watermark of the view that is furthest in the partition. */
static int64
watermark(const Ingest *in, int p)
{
	int64 most = WEIR_NO_TIME;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			most = Max(most, in->views[i].apply->parts[p].watermark);
	return most;
}

static void
publish(Ingest *in)
{
	for (int p = 0; p < in->lane->npartitions; p++)
	{
		LanePartition *lp = &in->lane->parts[p];

		if (lp->worker != in->worker)
			continue;
		lp->watermark = watermark(in, p);
		lp->counts = lp->held ||
					 (!lp->dry && in->emptied - lp->last_seen < SILENCE_US);
	}
}

/* Take partitions out of the assignment, or put them back. */
static void
change(Ingest *in, const WaPartition *want, bool hold)
{
	Lane *lane = in->lane;
	int32 *partitions = palloc(sizeof(int32) * lane->npartitions);
	int64 *offsets = palloc(sizeof(int64) * lane->npartitions);
	char err[256];
	int n = 0;

	for (int p = 0; p < lane->npartitions; p++)
	{
		LanePartition *lp = &lane->parts[p];

		if (lp->worker != in->worker || want[p].held != hold || lp->held == hold)
			continue;
		if (in->past[p].doubted || in->past[p].lost)
			continue;
		lp->held = hold;
		lp->at_end = lp->silent = false;
		lp->last_event = lp->last_seen = weir_clock_monotonic();
		partitions[n] = lp->partition;
		offsets[n++] = lp->position;
	}
	if (n > 0 && !weir_consumer_hold(in->consumer, n, partitions,
									 hold ? NULL : offsets, err, sizeof(err)))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not change what is read of topic \"%s\": %s",
						in->stream->topic, err)));
	pfree(partitions);
	pfree(offsets);
}

void
weir_ingest_align(Ingest *in)
{
	Lane *lane = in->lane;
	int now = pressure(in);
	WaPartition *parts;

	if (now < WA_RELEASE && !in->holding)
		return;
	publish(in);
	parts = palloc(sizeof(WaPartition) * lane->npartitions);
	for (int p = 0; p < lane->npartitions; p++)
	{
		parts[p].watermark = lane->parts[p].watermark;
		parts[p].counts = lane->parts[p].counts;
		parts[p].held = lane->parts[p].held;
	}
	if (wa_align(parts, lane->npartitions, slack(in), now))
	{
		change(in, parts, false);
		change(in, parts, true);
	}
	in->holding = false;
	for (int p = 0; p < lane->npartitions; p++)
		in->holding = in->holding || (lane->parts[p].held &&
									  lane->parts[p].worker == in->worker);
	pfree(parts);
}

void
weir_ingest_note_seen(Ingest *in, int n)
{
	int64 now = weir_clock_monotonic();

	for (int i = 0; i < n; i++)
	{
		LanePartition *p = &in->lane->parts[in->msgs[i].partition];

		p->dry = false;
		p->last_seen = now;
	}
	if (n < in->capacity)
		in->emptied = now;
}
