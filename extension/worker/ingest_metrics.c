/*
 * worker/ingest_metrics.c
 *		What an ingest worker counts and says of itself: where its time goes, how
 *		old messages are when they can be seen, its rate.
 *
 * Runs in the ingest worker, per batch or once a second.  A batch is sampled:
 * every 16th message stands for those up to the next one, which came with it.
 * The counts of a view add up to the records that it has taken nevertheless.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "worker/ingest.h"

#define SAMPLE 16

void
weir_ingest_stage(Ingest *in, WorkerStage stage)
{
	int64 now = weir_clock_monotonic();

	in->self->metrics.stage_us[in->stage] += now - in->stage_since;
	in->stage = stage;
	in->stage_since = now;
}

uint64
weir_ingest_counted(const Ingest *in, const ViewPartition *parts)
{
	uint64 n = 0;

	for (int i = 0; i < in->nlast; i++)
	{
		const ViewPartition *p = &parts[in->last[i].partition];

		n += p->events + p->dead;
	}
	return n;
}

/* --- latencies ------------------------------------------------------------------- */

static void
note_freshness(LaneWorker *w, int64 us)
{
	int slot = 0;

	us = Max(us, 1);
	while (us >= 8)
	{
		us >>= 1;
		slot += 4;
	}
	slot += (int) (us & 3);
	w->freshness[Min(slot, WEIR_FRESHNESS_SLOTS - 1)]++;
}

static int64
sample(Ingest *in, const EventBatch *b, LatencyCount *c)
{
	int64 wall = weir_clock_wall() + WEIR_EPOCH_SHIFT;

	for (int i = 0; i < b->n; i += SAMPLE)
	{
		int64 timestamp = b->msgs[i].timestamp;

		if (timestamp <= 0)
			continue;
		note_freshness(in->self, wall - timestamp);
		weir_latency_count(c, wall - timestamp, Min(SAMPLE, b->n - i));
	}
	return wall;
}

void
weir_ingest_note_latency(Ingest *in, const EventBatch *b)
{
	LatencyCount c = {0};
	int64 wall = sample(in, b, &c);

	if (c.total == 0)
		return;
	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];

		if (v->apply == NULL)
			continue;
		weir_latency_add(&v->slot->metrics->freshness, &c, v->taken);
		if (in->append)
			weir_latency_add(&v->slot->metrics->commit, &c, v->taken);
	}
	if (in->append == NULL)
		weir_cells_add(&in->self->applied, wall - (int64) (c.sum / c.total),
					   c.total);
}

/* --- once a second ------------------------------------------------------------------ */

static void
say(const Ingest *in)
{
	LaneCondition condition = in->lane->condition;
	char text[512];

	snprintf(text, sizeof(text), "%s, topic %s, " INT64_FORMAT " events/s",
			 weir_condition_name(condition), in->stream->topic,
			 weir_coarse(in->self->rate));
	weir_worker_say(condition == LANE_RUNS || condition == LANE_CATCHES_UP,
					text);
}

/*
 * The consumer has lost its brokers, and is about to be replaced: it will say so
 * no more.
 */
void
weir_ingest_note_disconnected(Ingest *in)
{
	KafkaMetrics *m = &in->self->metrics.kafka;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < m->nbrokers; i++)
	{
		m->disconnects += m->brokers[i].up;
		m->brokers[i].up = false;
	}
	LWLockRelease(&weir_registry->lock);
}

/* What librdkafka says of itself, if there is something new. */
static void
note_kafka(Ingest *in)
{
	const KafkaMetrics *before = &in->kafka_before;
	KafkaMetrics *m = &in->self->metrics.kafka;
	KafkaStatistics s;

	StaticAssertStmt(KAFKA_MAX_BROKERS <= WEIR_KAFKA_BROKERS &&
						 sizeof(s.brokers[0].name) <= WEIR_KAFKA_BROKER_NAME,
					 "no room for all brokers");
	m->queued = weir_consumer_queued(in->consumer);
	if (!weir_consumer_statistics(in->consumer, &s))
		return;
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	m->rx_bytes = before->rx_bytes + s.rx_bytes;
	m->tx_bytes = before->tx_bytes + s.tx_bytes;
	m->errors = before->errors + s.errors;
	m->disconnects = before->disconnects + s.disconnects;
	/* A client that has reached nobody yet knows none. */
	if (s.nbrokers > 0)
		m->nbrokers = s.nbrokers;
	for (int i = 0; i < s.nbrokers; i++)
	{
		strlcpy(m->brokers[i].name, s.brokers[i].name,
				sizeof(m->brokers[i].name));
		m->brokers[i].up = s.brokers[i].up;
		m->brokers[i].rtt = s.brokers[i].rtt;
	}
	LWLockRelease(&weir_registry->lock);
}

void
weir_ingest_note_rate(Ingest *in)
{
	int64 now = weir_clock_monotonic();

	if (now - in->second < USECS_PER_SEC)
		return;
	in->self->rate = in->second_events * USECS_PER_SEC / (now - in->second);
	in->second = now;
	in->second_events = 0;
	/* What was long ago fades: half of it every ten seconds. */
	if (++in->seconds % 10 == 0)
		for (int i = 0; i < WEIR_FRESHNESS_SLOTS; i++)
			in->self->freshness[i] /= 2;
	note_kafka(in);
	say(in);
}
