/*
 * kafka/handle.c
 *		Opening, serving and closing a librdkafka instance inside a backend.
 *
 * Used by consumer.c, client.c and producer.c in workers and backends alike.
 * librdkafka starts threads: all signals are blocked around rd_kafka_new, which
 * they inherit, so that the server's handlers run on its own thread only.  Log
 * lines and errors are queued (log.queue) and come out where we poll.
 *
 * Closing never goes through the consumer group: we assign partitions, there is
 * no group to leave, and with a broker that is down it would wait for it.
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include <signal.h>

#define LOG_PER_MINUTE 10

/* log_cb: note a line down; runs inside a poll of ours. */
static void
log_cb(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	KafkaHandle *h = rd_kafka_opaque(rk);

	/* While an instance comes up or goes down its own threads may log. */
	if (h == NULL || !pthread_equal(h->owner, pthread_self()))
		return;
	if (h->nlines == LOG_LINES)
	{
		h->suppressed++;
		return;
	}
	h->line_level[h->nlines] = level;
	snprintf(h->line[h->nlines], LOG_LINE_LEN, "%s: %s", fac, buf);
	h->nlines++;
}

/* error_cb: remember the last error of the client as a whole. */
static void
error_cb(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	KafkaHandle *h = opaque;

	if (!pthread_equal(h->owner, pthread_self()))
		return;
	h->nerrors++;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		h->all_down = true;
	/* "all brokers down" says less than what came before it */
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && h->error_text[0] != '\0')
		return;
	h->error = err;
	strlcpy(h->error_text, reason, sizeof(h->error_text));
}

/* weir_handle_open: see handle.h. */
bool
weir_handle_open(KafkaHandle *h, rd_kafka_type_t type, rd_kafka_conf_t *conf,
				 char *err, size_t errlen)
{
	sigset_t all;
	sigset_t old;

	memset(h, 0, sizeof(*h));
	h->owner = pthread_self();
	rd_kafka_conf_set_opaque(conf, h);
	rd_kafka_conf_set_log_cb(conf, log_cb);
	rd_kafka_conf_set_error_cb(conf, error_cb);
	rd_kafka_conf_set_stats_cb(conf, weir_statistics_cb);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	h->rk = rd_kafka_new(type, conf, err, errlen);
	if (h->rk == NULL)
		rd_kafka_conf_destroy(conf);
	else
		rd_kafka_set_log_queue(h->rk, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return h->rk != NULL;
}

/* weir_handle_close: give everything back; safe on a handle never opened. */
void
weir_handle_close(KafkaHandle *h)
{
	if (h->rk == NULL)
		return;
	if (h->topic != NULL)
		rd_kafka_topic_destroy(h->topic);
	rd_kafka_destroy_flags(h->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	h->rk = NULL;
	h->topic = NULL;
}

typedef struct Abandoned
{
	rd_kafka_t *rk;
	void *memory; /* its callbacks may still look at it */
} Abandoned;

/* The thread that waits in our place; it knows nothing of PostgreSQL. */
static void *
wait_for_end(void *arg)
{
	Abandoned *a = arg;

	rd_kafka_destroy_flags(a->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(a->memory);
	free(a);
	return NULL;
}

/* weir_handle_abandon: see handle.h.  Without a thread the handle is left. */
void
weir_handle_abandon(KafkaHandle *h, void *memory)
{
	Abandoned *a = malloc(sizeof(Abandoned));
	sigset_t all;
	sigset_t old;
	pthread_t thread;

	if (h->topic != NULL)
		rd_kafka_topic_destroy(h->topic);
	h->topic = NULL;
	if (a == NULL)
		return;
	a->rk = h->rk;
	a->memory = memory;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, wait_for_end, a) == 0)
		pthread_detach(thread);
	else
		free(a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* May one more line be written this minute? */
static bool
may_log(KafkaHandle *h)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(h->minute_start, now, 60 * 1000))
	{
		h->minute_start = now;
		h->minute_count = 0;
		if (h->suppressed > 0)
			ereport(LOG, (errmsg("kafka: " UINT64_FORMAT
								 " messages of the client were not logged",
								 h->suppressed)));
		h->suppressed = 0;
	}
	if (h->minute_count >= LOG_PER_MINUTE)
	{
		h->suppressed++;
		return false;
	}
	h->minute_count++;
	return true;
}

/*
 * How a line is to be logged.  Connections that fail again and again are no news
 * until something has come from a broker.
 */
static int
line_elevel(KafkaHandle *h, int i)
{
	bool fails = strncmp(h->line[i], "FAIL:", 5) == 0;

	if (h->line_level[i] > 4 || (fails && h->failing))
		return DEBUG1;
	h->failing = h->failing || fails;
	return LOG;
}

/* weir_handle_log: write the lines noted down, but not too many a minute. */
void
weir_handle_log(KafkaHandle *h)
{
	int n = h->nlines;
	int i;

	h->nlines = 0;
	for (i = 0; i < n; i++)
	{
		int elevel = line_elevel(h, i);

		if (!message_level_is_interesting(elevel))
			continue;
		if (elevel == LOG && !may_log(h))
			continue;
		ereport(elevel, (errmsg("kafka: %s", h->line[i]), errhidestmt(true)));
	}
}

/* weir_handle_serve: run waiting callbacks and write the log. */
void
weir_handle_serve(KafkaHandle *h)
{
	if (!h->redirected)
		rd_kafka_poll(h->rk, 0);
	weir_handle_log(h);
}

/* weir_handle_topic: see handle.h. */
rd_kafka_topic_t *
weir_handle_topic(KafkaHandle *h, const char *topic, char *err, size_t errlen)
{
	if (h->topic != NULL && strcmp(rd_kafka_topic_name(h->topic), topic) == 0)
		return h->topic;
	if (h->topic != NULL)
		rd_kafka_topic_destroy(h->topic);
	h->topic = rd_kafka_topic_new(h->rk, topic, NULL);
	if (h->topic == NULL)
		snprintf(err, errlen, "%s", rd_kafka_err2str(rd_kafka_last_error()));
	return h->topic;
}

/* weir_kafka_version: see kafka.h. */
const char *
weir_kafka_version(void)
{
	return rd_kafka_version_str();
}

/* weir_kafka_sqlstate: the SQLSTATE for a code of librdkafka. */
int
weir_kafka_sqlstate(int code)
{
	switch (code)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
		case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
			return ERRCODE_CONNECTION_FAILURE;
		case RD_KAFKA_RESP_ERR__BAD_MSG:
			return ERRCODE_PROTOCOL_VIOLATION;
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
			return ERRCODE_UNDEFINED_OBJECT;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		default:
			return ERRCODE_FDW_ERROR;
	}
}
