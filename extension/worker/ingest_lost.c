/*
 * worker/ingest_lost.c
 *		Is the topic still the one that was read, and does it still have what
 *		comes next?
 *
 * Runs in the ingest worker, between two batches; nothing of it is needed for
 * records that simply follow each other.
 *
 * A topic that was deleted and made again cannot be told by offsets.  So each
 * view keeps, per partition, the offset and the fingerprint of the last record
 * that it has read, as part of its position.  Whenever partitions are assigned,
 * a partition is *doubted*: it is read from that record on, not from behind
 * it.
 *
 *	that very record comes       the topic is the same one
 *	another record of its offset the topic is another one
 *	a later record, or the end   the record is gone (compacted, say), which
 *	  behind the position        proves nothing: go on
 *	the end before the position, the partition is *lost*, perhaps: the broker
 *	  or "no such offset"        is asked for its bounds
 *
 * The bounds are asked for all partitions at once, since what loses one mostly
 * loses several.  A view of which nothing was read begins where the partition
 * begins now.  Else the stream's offset_reset decides, and what is skipped is
 * noted with the position (LostRange), so that both are committed together.
 * Nothing of a lost partition is applied until that is done.
 *
 * Only what a new librdkafka handle delivers is sure to come after it was made:
 * an assignment takes effect some time later, and what the one before had
 * fetched may still be delivered.  So when all brokers were away, or the topic
 * was, the handle is replaced, before any more of what it delivers is applied;
 * and so it is before a partition is read from lower offsets.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "shmem/retired.h"
#include "worker/ingest.h"

#define BOUNDS_TIMEOUT_MS 300
#define ASK_BOUNDS_US     (200 * 1000)

/* --- assignment -------------------------------------------------------------------- */

/* The least offset that some view compares, or else reads next. */
int64
weir_lost_doubt(Ingest *in, int p)
{
	int64 first = in->lane->parts[p].position;

	in->past[p].lost = false;
	in->past[p].doubted = false;
	for (int i = 0; i < in->nviews; i++)
	{
		const ViewApply *a = in->views[i].apply;

		if (a == NULL)
			continue;
		in->views[i].replaced[p] = false;
		if (a->parts[p].last == WP_NO_RECORD || wp_is_done(&a->parts[p]))
			continue;
		in->past[p].doubted = true;
		first = Min(first, a->parts[p].last);
	}
	return first;
}

void
weir_lost_remember_ends(Ingest *in)
{
	for (int p = 0; p < in->lane->npartitions; p++)
	{
		in->past[p].old_end = in->lane->parts[p].high;
		if (in->lane->parts[p].worker == in->worker)
			in->lane->parts[p].at_end = false;
	}
}

/* --- what arrives --------------------------------------------------------------------- */

/* A record of a doubted partition. */
static void
compare(Ingest *in, const KafkaMessage *m)
{
	IngestPast *past = &in->past[m->partition];

	past->doubted = false;
	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];
		const ViewPartition *p;

		if (v->apply == NULL)
			continue;
		p = &v->apply->parts[m->partition];
		if (p->last > m->offset)
			past->doubted = true;
		else if (p->last == m->offset &&
				 p->last_print != weir_message_fingerprint(m))
			past->lost = v->replaced[m->partition] = true;
	}
}

static bool
any_in_question(const Ingest *in)
{
	for (int p = 0; p < in->lane->npartitions; p++)
		if (in->past[p].doubted || in->past[p].lost)
			return true;
	return false;
}

int
weir_lost_filter(Ingest *in, int n)
{
	int kept = 0;

	if (n == 0 || !any_in_question(in))
		return n;
	for (int i = 0; i < n; i++)
	{
		KafkaMessage *m = &in->msgs[i];

		if (m->partition >= in->lane->npartitions)
			continue;
		if (in->past[m->partition].doubted)
			compare(in, m);
		if (!in->past[m->partition].lost)
			in->msgs[kept++] = *m;
	}
	return kept;
}

/* The position of the view that is farthest. */
static int64
greatest_position(const Ingest *in, int p)
{
	int64 greatest = 0;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			greatest = Max(greatest, in->views[i].apply->parts[p].position);
	return greatest;
}

/*
 * The high watermark that came with the event is looked at, too: what is not
 * stable yet ends a partition for us, and is there nevertheless.
 */
void
weir_lost_at_end(Ingest *in, int p, int64 end)
{
	int64 position = greatest_position(in, p);
	int64 low;
	int64 high;

	if (!in->past[p].doubted)
		return;
	if (end >= position)
		in->past[p].doubted = false;
	else if (weir_consumer_watermarks(in->consumer, p, &low, &high) &&
			 high < position)
		in->past[p].lost = true;
}

void
weir_lost_missing(Ingest *in, int p)
{
	in->past[p].lost = true;
}

/* --- the decision ------------------------------------------------------------------------ */

static void
fail(Ingest *in, IngestView *v, int p, bool other, int64 low, int64 high)
{
	const ViewPartition *vp = &v->apply->parts[p];
	char text[WEIR_ERROR_LEN];

	if (!other)
		snprintf(text, sizeof(text),
				 "partition %d of topic \"%s\" no longer has offset " INT64_FORMAT
				 ", its first one is " INT64_FORMAT "; " WEIR_GO_ON_HINT,
				 p, in->stream->topic, vp->position, low);
	else if (high < vp->position)
		snprintf(text, sizeof(text),
				 "topic \"%s\" was recreated: partition %d ends at offset " INT64_FORMAT
				 ", and the view has read it up to " INT64_FORMAT
				 "; " WEIR_GO_ON_HINT,
				 in->stream->topic, p, high, vp->position);
	else
		snprintf(text, sizeof(text),
				 "topic \"%s\" was recreated: partition %d has another record at offset " INT64_FORMAT
				 "; " WEIR_GO_ON_HINT,
				 in->stream->topic, p, vp->last);
	weir_ingest_fail_view(in, v, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, text);
}

static void
lose(Ingest *in, ViewApply *a, const LostRange *range)
{
	if (!weir_lost_add(&a->lost, range))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("no shared memory left for a lost range"),
						errhint("Raise weir.memory_limit.")));
	a->parts[range->partition].lost += weir_lost_length(range);
}

/* Go on as offset_reset says, and note what is skipped. */
static void
go_on(Ingest *in, IngestView *v, int p, bool other, int64 low, int64 high)
{
	ViewApply *a = v->apply;
	int64 position = a->parts[p].position;
	int64 to = in->stream->offset_reset == STREAM_RESET_LATEST ? high : low;
	LostRange ranges[WEIR_LOST_MAX] = {
		{.partition = p, .reason = LOST_EXPIRED, .from = position, .upto = to}};
	int n = 1;

	if (other)
		n = weir_lost_of_recreated(ranges, p, position, in->past[p].old_end,
								   low, to);
	while (n-- > 0)
		lose(in, a, &ranges[n]);
	weir_apply_restart(a, p, to);
	/* Positions of an earlier lane may never be reached again. */
	weir_retired_give_up_view(v->slot->dboid, v->slot->view);
	ereport(LOG,
			(errmsg("continuous view \"%s\" goes on at offset " INT64_FORMAT
					" of partition %d of topic \"%s\"",
					v->row->name, to, p, in->stream->topic),
			 errdetail("%s at offset " INT64_FORMAT ".",
					   other ? "The topic was recreated, when it was"
							 : "The broker no longer has what comes next, when it was",
					   position)));
}

static void
decide(Ingest *in, IngestView *v, int p, int64 low, int64 high)
{
	ViewPartition *vp = &v->apply->parts[p];
	bool other = v->replaced[p] || (in->past[p].lost && high < vp->position);

	v->replaced[p] = false;
	if (wp_is_done(vp))
		return;
	if (!other && vp->last < low)
		vp->last = WP_NO_RECORD; /* it has expired, and proves no more */
	if (!other && vp->position >= low)
		return;
	if (!other && wp_is_new(vp))
		weir_apply_restart(v->apply, p, low);
	else if (in->stream->offset_reset == STREAM_RESET_ERROR)
		fail(in, v, p, other, low, high);
	else
		go_on(in, v, p, other, low, high);
}

static bool
any_lost(const Ingest *in)
{
	for (int p = 0; p < in->lane->npartitions; p++)
		if (in->past[p].lost)
			return true;
	return false;
}

/* The worker's partitions and their bounds; false: no answer now. */
static bool
ask_bounds(Ingest *in, int *n, int32 *partitions, int64 *low, int64 *high)
{
	char err[256];

	*n = 0;
	for (int p = 0; p < in->lane->npartitions; p++)
		if (in->lane->parts[p].worker == in->worker)
			partitions[(*n)++] = p;
	return weir_client_bounds(weir_consumer_client(in->consumer),
							  in->stream->topic, *n, partitions, low, high,
							  BOUNDS_TIMEOUT_MS, err, sizeof(err));
}

/*
 * What was decided is to be committed, even if the positions add up to what
 * they were.
 */
static void
ask_for_checkpoint(Ingest *in)
{
	pg_atomic_fetch_add_u64(&in->lane->checkpoint_wanted, 1);
	weir_wake_coordinator(in->lane);
}

bool
weir_lost_settle(Ingest *in)
{
	int64 now = weir_clock_monotonic();
	int32 *partitions;
	int64 *low;
	int64 *high;
	int n;
	bool answered;

	if (!any_lost(in) || now < in->ask_bounds)
		return false;
	in->ask_bounds = now + ASK_BOUNDS_US;
	partitions = palloc(sizeof(int32) * in->lane->npartitions);
	low = palloc(sizeof(int64) * in->lane->npartitions);
	high = palloc(sizeof(int64) * in->lane->npartitions);
	answered = ask_bounds(in, &n, partitions, low, high);
	for (int k = 0; k < n && answered; k++)
		for (int i = 0; i < in->nviews; i++)
			if (in->views[i].apply)
				decide(in, &in->views[i], partitions[k], low[k], high[k]);
	pfree(partitions);
	pfree(low);
	pfree(high);
	if (answered)
		ask_for_checkpoint(in);
	return answered;
}

/* --- the last records --------------------------------------------------------------------- */

void
weir_lost_note_last(Ingest *in, int n)
{
	in->nlast = 0;
	in->batch++;
	for (int i = n - 1; i >= 0; i--)
	{
		const KafkaMessage *m = &in->msgs[i];
		IngestPast *past = &in->past[m->partition];

		if (past->batch == in->batch)
			continue;
		past->batch = in->batch;
		in->last[in->nlast].partition = m->partition;
		in->last[in->nlast].offset = m->offset;
		in->last[in->nlast].timestamp = m->timestamp;
		in->last[in->nlast++].print = weir_message_fingerprint(m);
	}
}

void
weir_lost_take_last(const Ingest *in, ViewApply *a)
{
	for (int i = 0; i < in->nlast; i++)
	{
		const IngestLast *l = &in->last[i];
		ViewPartition *p = &a->parts[l->partition];

		/* A view that is ahead has a later one. */
		if (p->position != l->offset + 1)
			continue;
		p->last = l->offset;
		p->last_print = l->print;
	}
}
