/*
 * kafka/consumer.c
 *		Reading partitions of one topic.
 *
 * Ingest workers and SELECT on a stream use it, each from its own thread; there
 * is no lock.  Partitions are assigned, never subscribed, and all arrive in one
 * queue (one poll per partition would let an idle one throttle the others).
 * Positions are the caller's: after OFFSET_LOST it assigns again, and
 * it drops what lies below its position.
 *
 * Memory is malloc'ed, as librdkafka's is, so that a handle can outlive the
 * memory context and transaction that opened it.
 *
 *	librdkafka's threads -> queue of the consumer -> rkm[] (poll) -> released
 *	                          |
 *	                          +-> one byte into the pipe when it was empty
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include <fcntl.h>
#include <unistd.h>

/* What librdkafka keeps of a message besides its bytes, about. */
#define MESSAGE_OVERHEAD 400

struct KafkaConsumer
{
	KafkaClient client; /* first: questions through the same connection */
	char *topic;
	rd_kafka_queue_t *queue;
	int fds[2]; /* read end, write end */

	rd_kafka_message_t **rkm; /* of the last poll */
	int capacity;
	int nheld; /* in use in rkm */

	KafkaEvent *events; /* not passed on yet */
	int nevents;
	int event_room;
};

/* A pipe that never blocks and is not inherited. */
static bool
make_pipe(int fds[2])
{
	int i;

	fds[0] = fds[1] = -1;
	if (pipe(fds) != 0)
		return false;
	for (i = 0; i < 2; i++)
	{
		if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0 ||
			fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			return false;
	}
	return true;
}

/*
 * Open the librdkafka side of c.  Of what the queue may hold a third is for the
 * bytes of messages, and the rest for what librdkafka keeps of each one, which for
 * small ones is more than their bytes.  (Both are compared with the one queue that
 * all partitions share.  With 100,000 messages fetching stops and starts, and a
 * drain takes twice as long.)
 */
static bool
open_handle(KafkaConsumer *c, List *settings, const char *group, int queue_kb,
			int statistics_ms, char *err, size_t errlen)
{
	char kb[16];
	char messages[16];
	char ms[16];
	KafkaSetting forced[5];
	rd_kafka_conf_t *conf;
	int n = 0;

	snprintf(kb, sizeof(kb), "%d", queue_kb / 3);
	snprintf(messages, sizeof(messages), "%d",
			 (int) ((int64) queue_kb * 1024 / 3 * 2 / MESSAGE_OVERHEAD));
	memset(forced, 0, sizeof(forced));
	forced[n].name = "group.id";
	forced[n++].value = (char *) group;
	snprintf(ms, sizeof(ms), "%d", statistics_ms);
	forced[n].name = "statistics.interval.ms";
	forced[n++].value = ms;
	if (!weir_kafka_is_set(settings, "queued.max.messages.kbytes"))
	{
		forced[n].name = "queued.max.messages.kbytes";
		forced[n++].value = kb;
	}
	if (!weir_kafka_is_set(settings, "queued.min.messages"))
	{
		forced[n].name = "queued.min.messages";
		forced[n++].value = messages;
	}
	conf = weir_kafka_conf(settings, KAFKA_CONSUMER, forced, err, errlen);
	if (conf == NULL)
		return false;
	return weir_handle_open(&c->client.handle, RD_KAFKA_CONSUMER, conf, err,
							errlen);
}

/* weir_consumer_open: see kafka.h. */
KafkaConsumer *
weir_consumer_open(List *settings, const char *topic, const char *group,
				   int queue_kb, int statistics_ms, char *err, size_t errlen)
{
	KafkaConsumer *c = calloc(1, sizeof(KafkaConsumer));

	if (c == NULL || (c->topic = strdup(topic)) == NULL)
	{
		free(c);
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	if (!make_pipe(c->fds))
	{
		snprintf(err, errlen, "could not create a pipe: %m");
		weir_consumer_close(c);
		return NULL;
	}
	if (!open_handle(c, settings, group, queue_kb, statistics_ms, err, errlen))
	{
		weir_consumer_close(c);
		return NULL;
	}
	c->queue = rd_kafka_queue_get_consumer(c->client.handle.rk);
	rd_kafka_queue_io_event_enable(c->queue, c->fds[1], "w", 1);
	return c;
}

/* Give back all but the handle itself, and the memory that it is in. */
static void
release_all(KafkaConsumer *c)
{
	weir_consumer_release(c);
	if (c->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(c->queue);
	}
	if (c->fds[0] >= 0)
		close(c->fds[0]);
	if (c->fds[1] >= 0)
		close(c->fds[1]);
	free(c->rkm);
	free(c->events);
	free(c->topic);
}

/* weir_consumer_close: end it; what was fetched and not taken is dropped. */
void
weir_consumer_close(KafkaConsumer *c)
{
	release_all(c);
	weir_handle_close(&c->client.handle);
	free(c);
}

/* weir_consumer_abandon: see kafka.h. */
void
weir_consumer_abandon(KafkaConsumer *c)
{
	release_all(c);
	weir_handle_abandon(&c->client.handle, c);
}

/* weir_consumer_client: ask questions through the consumer's connections. */
KafkaClient *
weir_consumer_client(KafkaConsumer *c)
{
	return &c->client;
}

/* A list of this topic's partitions at offsets (NULL: none given). */
static rd_kafka_topic_partition_list_t *
partition_list(KafkaConsumer *c, int n, const int32 *partitions,
			   const int64 *offsets)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	int i;

	for (i = 0; i < n; i++)
	{
		rd_kafka_topic_partition_t *p =
			rd_kafka_topic_partition_list_add(list, c->topic, partitions[i]);

		if (offsets != NULL)
			p->offset = offsets[i];
	}
	return list;
}

/* Ends of partitions that were met before positions change mean nothing. */
static void
forget_ends(KafkaConsumer *c)
{
	int kept = 0;

	for (int i = 0; i < c->nevents; i++)
		if (c->events[i].kind != KAFKA_EVENT_EOF)
			c->events[kept++] = c->events[i];
	c->nevents = kept;
}

/* weir_consumer_assign: see kafka.h. */
bool
weir_consumer_assign(KafkaConsumer *c, int n, const int32 *partitions,
					 const int64 *offsets, char *err, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t res;

	/*
	 * Until here errors were served from the main queue, by questions; from now
	 * on they come with the messages.
	 */
	if (!c->client.handle.redirected)
		rd_kafka_poll_set_consumer(c->client.handle.rk);
	c->client.handle.redirected = true;
	forget_ends(c);

	list = partition_list(c, n, partitions, offsets);
	res = rd_kafka_assign(c->client.handle.rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (res == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	snprintf(err, errlen, "%s", rd_kafka_err2str(res));
	return false;
}

/* Keep an event until the caller takes it; false when memory is out. */
static bool
push_event(KafkaConsumer *c, KafkaEventKind kind, int32 partition, int64 offset,
		   int code, const char *text)
{
	KafkaEvent *e;

	if (c->nevents == c->event_room)
	{
		int room = Max(16, 2 * c->event_room);
		KafkaEvent *bigger = realloc(c->events, room * sizeof(KafkaEvent));

		if (bigger == NULL)
			return false;
		c->events = bigger;
		c->event_room = room;
	}
	e = &c->events[c->nevents++];
	e->kind = kind;
	e->partition = partition;
	e->offset = offset;
	e->code = code;
	e->fatal = code == RD_KAFKA_RESP_ERR__FATAL;
	e->no_topic = weir_kafka_sqlstate(code) == ERRCODE_UNDEFINED_OBJECT;
	e->all_down = kind == KAFKA_EVENT_CLIENT_ERROR && c->client.handle.all_down;
	strlcpy(e->text, text, sizeof(e->text));
	return true;
}

/* Turn an error that came among the messages into an event. */
static void
push_error(KafkaConsumer *c, const rd_kafka_message_t *m)
{
	KafkaEventKind kind;
	bool client = m->rkt == NULL || m->partition < 0;

	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		kind = KAFKA_EVENT_EOF;
		c->client.handle.all_down = c->client.handle.failing = false;
	}
	else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
			 m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		kind = KAFKA_EVENT_OFFSET_LOST;
	else
		kind = client ? KAFKA_EVENT_CLIENT_ERROR : KAFKA_EVENT_PARTITION_ERROR;
	push_event(c, kind, client ? -1 : m->partition, m->offset, m->err,
			   m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF
				   ? ""
				   : rd_kafka_message_errstr(m));
}

/* Fill a message for the caller. */
static void
fill_message(KafkaMessage *out, rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	int64 ms = rd_kafka_message_timestamp(m, &type);

	out->payload = m->payload;
	out->len = m->len;
	out->key = m->key;
	out->key_len = m->key_len;
	out->offset = m->offset;
	out->partition = m->partition;
	out->record = 0;
	out->part = false;
	out->key_cut = false;
	out->timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < 0
						 ? -1
						 : ms * 1000;
	out->handle = m;
}

/* Room for max messages in rkm; falls back to what there is. */
static int
ensure_room(KafkaConsumer *c, int max)
{
	rd_kafka_message_t **bigger;

	if (c->capacity >= max)
		return max;
	bigger = realloc(c->rkm, max * sizeof(*bigger));
	if (bigger == NULL)
		return c->capacity;
	c->rkm = bigger;
	c->capacity = max;
	return max;
}

/* Give up to max_events events to the caller. */
static int
take_events(KafkaConsumer *c, KafkaEvent *events, int max_events)
{
	KafkaHandle *h = &c->client.handle;
	int n;

	if (h->nerrors > h->errors_taken &&
		push_event(c, KAFKA_EVENT_CLIENT_ERROR, -1, -1, h->error, h->error_text))
		h->errors_taken = h->nerrors;

	n = Min(c->nevents, max_events);
	if (n > 0)
	{
		memcpy(events, c->events, n * sizeof(KafkaEvent));
		c->nevents -= n;
		memmove(c->events, c->events + n, c->nevents * sizeof(KafkaEvent));
	}
	return n;
}

/*
 * weir_consumer_hold: see kafka.h.  What librdkafka has queued of a partition
 * that leaves the assignment is outdated at once, so nothing of it comes after
 * this has returned.
 */
bool
weir_consumer_hold(KafkaConsumer *c, int n, const int32 *partitions,
				   const int64 *offsets, char *err, size_t errlen)
{
	rd_kafka_t *rk = c->client.handle.rk;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_error_t *error;

	list = partition_list(c, n, partitions, offsets);
	error = offsets == NULL ? rd_kafka_incremental_unassign(rk, list)
							: rd_kafka_incremental_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error == NULL)
		return true;
	snprintf(err, errlen, "%s", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return false;
}

/* weir_consumer_poll: see kafka.h. */
int
weir_consumer_poll(KafkaConsumer *c, KafkaMessage *msgs, int max,
				   KafkaEvent *events, int max_events, int *nevents)
{
	ssize_t n;
	int i;

	weir_consumer_release(c);
	max = ensure_room(c, max);
	n = rd_kafka_consume_batch_queue(c->queue, 0, c->rkm, max);
	for (i = 0; i < n; i++)
	{
		rd_kafka_message_t *m = c->rkm[i];

		if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			push_error(c, m);
			rd_kafka_message_destroy(m);
			continue;
		}
		fill_message(&msgs[c->nheld], m);
		c->rkm[c->nheld++] = m;
	}
	if (c->nheld > 0)
		c->client.handle.all_down = c->client.handle.failing = false;
	*nevents = take_events(c, events, max_events);
	weir_handle_log(&c->client.handle);
	return c->nheld;
}

/* weir_consumer_release: give the last poll's messages back. */
void
weir_consumer_release(KafkaConsumer *c)
{
	int i;

	for (i = 0; i < c->nheld; i++)
		rd_kafka_message_destroy(c->rkm[i]);
	c->nheld = 0;
}

/* weir_consumer_fd: readable when something arrived. */
int
weir_consumer_fd(KafkaConsumer *c)
{
	return c->fds[0];
}

/* weir_consumer_drain_fd: make it unreadable until the next arrival. */
void
weir_consumer_drain_fd(KafkaConsumer *c)
{
	char buf[64];

	while (read(c->fds[0], buf, sizeof(buf)) == sizeof(buf))
		;
}

/* weir_consumer_watermarks: what the last fetch answers said. */
bool
weir_consumer_watermarks(KafkaConsumer *c, int32 partition, int64 *low,
						 int64 *high)
{
	if (rd_kafka_get_watermark_offsets(c->client.handle.rk, c->topic, partition,
									   low, high) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	return *low >= 0 && *high >= 0;
}

/* weir_consumer_statistics: see kafka.h. */
bool
weir_consumer_statistics(KafkaConsumer *c, KafkaStatistics *statistics)
{
	KafkaHandle *h = &c->client.handle;

	if (!h->statistics_new)
		return false;
	h->statistics_new = false;
	*statistics = h->statistics;
	return true;
}

/* weir_consumer_queued: see kafka.h. */
int64
weir_consumer_queued(KafkaConsumer *c)
{
	return (int64) rd_kafka_queue_length(c->queue);
}

/* weir_consumer_commit: tell the group how far we are; errors are ignored. */
void
weir_consumer_commit(KafkaConsumer *c, int n, const int32 *partitions,
					 const int64 *offsets)
{
	rd_kafka_topic_partition_list_t *list;

	list = partition_list(c, n, partitions, offsets);
	(void) rd_kafka_commit(c->client.handle.rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

/*
 * weir_consumer_finish: fetch no more of a partition.  Pausing loses what was
 * prefetched and may lose offsets, which only does not matter because nobody
 * wants anything more of it.
 */
void
weir_consumer_finish(KafkaConsumer *c, int32 partition)
{
	rd_kafka_topic_partition_list_t *list;

	list = partition_list(c, 1, &partition, NULL);
	(void) rd_kafka_pause_partitions(c->client.handle.rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}
