/*
 * api/sample.c
 *		Read a few messages from the ends of a topic's partitions.
 *
 * Backends: weir.peek and weir.infer.  The ends are asked for once, so that a
 * busy topic has an end; then the oldest are read, and the newest after them,
 * from all partitions at once.  Where the two meet it is one range.
 *
 * A range is read when its end is passed, which the end-of-partition event may
 * say, too: offsets of transactions and of compaction hold no message.
 *
 * The consumer is librdkafka's memory and threads: closed before this returns or
 * raises.
 */
#include "base/weir.h"

#include "api/sample.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#define BATCH      500
#define MAX_EVENTS 64
#define WAIT_MS    200
/* Without any sign of a broker for so long, the reading gives up. */
#define SILENCE_MS 30000

typedef struct Range
{
	int64 position; /* the next offset wanted */
	int64 end;      /* exclusive */
} Range;

typedef struct Sampling
{
	const SampleWish *wish;
	KafkaConsumer *consumer;
	int npartitions;
	int64 *low;
	int64 *high;
	Range *ranges; /* by partition */
	int nopen;
	bool enough;
	TimestampTz last_sign; /* of life from a broker */
	KafkaEvent trouble;    /* the last error that was not fatal */
	KafkaMessage msgs[BATCH];
	KafkaEvent events[MAX_EVENTS];
} Sampling;

static void
sample_error(const Sampling *s, int sqlstate, const char *text)
{
	ereport(ERROR, (errcode(sqlstate),
					errmsg("could not read topic \"%s\"", s->wish->topic),
					errdetail("The Kafka client says: %s.", text)));
}

/* Connect; learn how many partitions there are. */
static void
open_sampling(Sampling *s)
{
	KafkaClient *client;
	char err[512];

	s->consumer = weir_consumer_open(s->wish->settings, s->wish->topic,
									 s->wish->group, weir_settings.queue_kb, 0,
									 err, sizeof(err));
	if (s->consumer == NULL)
		sample_error(s, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, err);
	client = weir_consumer_client(s->consumer);
	if (!weir_client_partitions(client, s->wish->topic,
								weir_settings.broker_timeout_ms,
								&s->npartitions, err, sizeof(err)))
		sample_error(s, weir_client_sqlstate(client), err);
	if (s->npartitions == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("topic \"%s\" does not exist", s->wish->topic)));
}

static void
learn_bounds(Sampling *s)
{
	KafkaClient *client = weir_consumer_client(s->consumer);
	int32 *partitions = palloc(sizeof(int32) * s->npartitions);
	char err[512];

	s->low = palloc(sizeof(int64) * s->npartitions);
	s->high = palloc(sizeof(int64) * s->npartitions);
	s->ranges = palloc0(sizeof(Range) * s->npartitions);
	for (int p = 0; p < s->npartitions; p++)
		partitions[p] = p;
	if (!weir_client_bounds(client, s->wish->topic, s->npartitions, partitions,
							s->low, s->high, weir_settings.broker_timeout_ms,
							err, sizeof(err)))
		sample_error(s, weir_client_sqlstate(client), err);
	pfree(partitions);
}

/* --- one pass over a range of each partition --------------------------------------- */

static inline bool
is_open(const Range *r)
{
	return r->position < r->end;
}

static void
advance(Sampling *s, int32 partition, int64 position)
{
	Range *r = &s->ranges[partition];
	char err[512];

	if (!is_open(r) || position <= r->position)
		return;
	r->position = position;
	if (is_open(r))
		return;
	s->nopen--;
	/* There may be more that nobody wants: do not let it crowd the others out. */
	if (s->nopen > 0 && r->end < s->high[partition] &&
		!weir_consumer_hold(s->consumer, 1, &partition, NULL, err, sizeof(err)))
		sample_error(s, ERRCODE_FDW_ERROR, err);
}

/* Hand out those that are in range. */
static void
take_messages(Sampling *s, int n, SampleTake take, void *arg)
{
	for (int i = 0; i < n && !s->enough; i++)
	{
		const KafkaMessage *m = &s->msgs[i];
		const Range *r;

		if (m->partition < 0 || m->partition >= s->npartitions)
			continue;
		r = &s->ranges[m->partition];
		if (m->offset >= r->position && m->offset < r->end)
			s->enough = !take(arg, m);
		advance(s, m->partition, m->offset + 1);
	}
}

static void
handle_event(Sampling *s, const KafkaEvent *e)
{
	if (e->kind == KAFKA_EVENT_EOF)
	{
		s->last_sign = GetCurrentTimestamp();
		if (e->partition >= 0 && e->partition < s->npartitions)
			advance(s, e->partition, e->offset);
		return;
	}
	s->trouble = *e;
	if (e->fatal || e->kind == KAFKA_EVENT_OFFSET_LOST ||
		weir_kafka_sqlstate(e->code) ==
			ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION ||
		(weir_kafka_sqlstate(e->code) == ERRCODE_INSUFFICIENT_PRIVILEGE &&
		 e->partition >= 0))
		sample_error(s, weir_kafka_sqlstate(e->code), e->text);
}

static void
wait_for_messages(Sampling *s)
{
	if (TimestampDifferenceExceeds(s->last_sign, GetCurrentTimestamp(),
								   SILENCE_MS))
		sample_error(s, ERRCODE_CONNECTION_FAILURE,
					 s->trouble.text[0] ? s->trouble.text
										: "no answer from the broker");
	if (WaitLatchOrSocket(MyLatch,
						  WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT |
							  WL_EXIT_ON_PM_DEATH,
						  weir_consumer_fd(s->consumer), WAIT_MS,
						  PG_WAIT_EXTENSION) &
		WL_LATCH_SET)
		ResetLatch(MyLatch);
	weir_consumer_drain_fd(s->consumer);
}

static void
assign(Sampling *s)
{
	int32 *partitions = palloc(sizeof(int32) * s->npartitions);
	int64 *offsets = palloc(sizeof(int64) * s->npartitions);
	char err[512];

	s->nopen = 0;
	for (int p = 0; p < s->npartitions; p++)
	{
		if (!is_open(&s->ranges[p]))
			continue;
		partitions[s->nopen] = p;
		offsets[s->nopen++] = s->ranges[p].position;
	}
	if (s->nopen > 0 && !weir_consumer_assign(s->consumer, s->nopen, partitions,
											  offsets, err, sizeof(err)))
		sample_error(s, ERRCODE_FDW_ERROR, err);
	s->last_sign = GetCurrentTimestamp();
	pfree(partitions);
	pfree(offsets);
}

static void
read_ranges(Sampling *s, SampleTake take, void *arg)
{
	assign(s);
	while (s->nopen > 0 && !s->enough)
	{
		int nevents;
		int n;

		CHECK_FOR_INTERRUPTS();
		n = weir_consumer_poll(s->consumer, s->msgs, BATCH, s->events,
							   MAX_EVENTS, &nevents);
		if (n > 0)
			s->last_sign = GetCurrentTimestamp();
		take_messages(s, n, take, arg);
		weir_consumer_release(s->consumer);
		for (int i = 0; i < nevents; i++)
			handle_event(s, &s->events[i]);
		if (n == 0 && nevents == 0 && s->nopen > 0)
			wait_for_messages(s);
	}
}

/* --- both ends ------------------------------------------------------------------------ */

/* Of n messages, those of one partition. */
static int64
share(const Sampling *s, int64 n)
{
	return s->wish->each ? n : (n + s->npartitions - 1) / s->npartitions;
}

static void
read_ends(Sampling *s, SampleTake take, void *arg)
{
	int64 oldest = share(s, s->wish->oldest);
	int64 newest = share(s, s->wish->newest);

	learn_bounds(s);
	for (int p = 0; p < s->npartitions; p++)
	{
		s->ranges[p].position = s->low[p];
		s->ranges[p].end = Min(s->low[p] + oldest, s->high[p]);
	}
	if (oldest > 0)
		read_ranges(s, take, arg);
	for (int p = 0; p < s->npartitions; p++)
	{
		Range *r = &s->ranges[p];

		r->position = Max(r->end, s->high[p] - newest);
		r->position = Max(r->position, s->low[p]);
		r->end = s->high[p];
	}
	if (newest > 0 && !s->enough)
		read_ranges(s, take, arg);
}

void
weir_sample_topic(const SampleWish *wish, SampleTake take, void *arg)
{
	Sampling *s = palloc0(sizeof(Sampling));

	s->wish = wish;
	PG_TRY();
	{
		open_sampling(s);
		read_ends(s, take, arg);
	}
	PG_FINALLY();
	{
		if (s->consumer)
			weir_consumer_close(s->consumer);
	}
	PG_END_TRY();
	pfree(s);
}
