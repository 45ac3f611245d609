/*
 * kafka/sink.c
 *		Numbered messages into a topic, each exactly once (see sink.h).
 *
 * The sender process.  librdkafka's transactional calls wait for the broker;
 * they are called in slices and called again, which they are made for, and
 * interrupts are served in between.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "kafka/handle.h"
#include "kafka/sink.h"
#include "miscadmin.h"

#define SLICE_MS 200

struct KafkaSink
{
	KafkaHandle handle;         /* first: it is the opaque of the callbacks */
	rd_kafka_resp_err_t failed; /* why a message was not delivered */
	rd_kafka_consumer_group_metadata_t *group;
	char *topic;
};

/* dr_msg_cb: a transaction of which a message failed cannot be committed. */
static void
delivery_cb(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	KafkaSink *s = opaque;

	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		s->failed = m->err;
}

typedef rd_kafka_error_t *(*SinkCall)(KafkaSink *s, void *arg, int slice_ms);

/* Call until it succeeds, fails for good, or the time is over. */
static bool
call(KafkaSink *s, SinkCall function, void *arg, int timeout_ms, char *err,
	 size_t errlen)
{
	int64 end = weir_clock_monotonic() + (int64) timeout_ms * 1000;

	for (;;)
	{
		rd_kafka_error_t *e = function(s, arg, SLICE_MS);
		bool again;

		if (e == NULL)
			return true;
		again = rd_kafka_error_is_retriable(e) && !rd_kafka_error_is_fatal(e) &&
				!rd_kafka_error_txn_requires_abort(e) &&
				weir_clock_monotonic() < end;
		if (!again)
			snprintf(err, errlen, "%s%s%s", rd_kafka_error_string(e),
					 s->handle.error_text[0] ? "; " : "", s->handle.error_text);
		rd_kafka_error_destroy(e);
		weir_handle_serve(&s->handle);
		if (!again)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
}

static rd_kafka_error_t *
call_init(KafkaSink *s, void *arg, int slice_ms)
{
	return rd_kafka_init_transactions(s->handle.rk, slice_ms);
}

static rd_kafka_error_t *
call_commit(KafkaSink *s, void *arg, int slice_ms)
{
	return rd_kafka_commit_transaction(s->handle.rk, slice_ms);
}

static rd_kafka_error_t *
call_send_offset(KafkaSink *s, void *arg, int slice_ms)
{
	return rd_kafka_send_offsets_to_transaction(s->handle.rk, arg, s->group,
												slice_ms);
}

/* --- opening -------------------------------------------------------------------- */

static bool
open_producer(KafkaSink *s, List *settings, const char *id, char *err,
			  size_t errlen)
{
	KafkaSetting forced[] = {{"transactional.id", (char *) id},
							 {"enable.idempotence", "true"},
							 {NULL, NULL}};
	rd_kafka_conf_t *conf;

	conf = weir_kafka_conf(settings, KAFKA_PRODUCER, forced, err, errlen);
	if (conf == NULL)
		return false;
	rd_kafka_conf_set_dr_msg_cb(conf, delivery_cb);
	return weir_handle_open(&s->handle, RD_KAFKA_PRODUCER, conf, err, errlen);
}

/* The number that the group keeps: as the offset of the topic's partition 0. */
static bool
ask_last(KafkaSink *s, List *settings, const char *group, int64 *last,
		 int timeout_ms, char *err, size_t errlen)
{
	KafkaSetting forced[] = {{"group.id", (char *) group},
							 {"isolation.level", "read_committed"},
							 {NULL, NULL}};
	int64 end = weir_clock_monotonic() + (int64) timeout_ms * 1000;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t res;
	KafkaHandle reader;
	rd_kafka_conf_t *conf;

	conf = weir_kafka_conf(settings, KAFKA_CONSUMER, forced, err, errlen);
	if (conf == NULL ||
		!weir_handle_open(&reader, RD_KAFKA_CONSUMER, conf, err, errlen))
		return false;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, s->topic, 0);
	PG_TRY();
	{
		do
		{
			CHECK_FOR_INTERRUPTS();
			res = rd_kafka_committed(reader.rk, list, SLICE_MS);
			if (res == RD_KAFKA_RESP_ERR_NO_ERROR)
				res = list->elems[0].err;
			weir_handle_serve(&reader);
		} while (res != RD_KAFKA_RESP_ERR_NO_ERROR &&
				 weir_clock_monotonic() < end);
		*last = list->elems[0].offset >= 0 ? list->elems[0].offset : -1;
	}
	PG_FINALLY();
	{
		rd_kafka_topic_partition_list_destroy(list);
		weir_handle_close(&reader);
	}
	PG_END_TRY();
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR)
		snprintf(err, errlen, "%s", rd_kafka_err2str(res));
	return res == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* weir_sink_open: see sink.h. */
KafkaSink *
weir_sink_open(List *settings, const char *topic, const char *id,
			   const char *group, int64 *last, int timeout_ms, char *err,
			   size_t errlen)
{
	KafkaSink *s = calloc(1, sizeof(KafkaSink));
	volatile bool done = false;

	if (s == NULL || (s->topic = strdup(topic)) == NULL ||
		(s->group = rd_kafka_consumer_group_metadata_new(group)) == NULL)
	{
		snprintf(err, errlen, "out of memory");
		if (s != NULL)
			weir_sink_close(s);
		return NULL;
	}
	PG_TRY();
	{
		/* First the fence, then the question: after it nobody else writes. */
		done = open_producer(s, settings, id, err, errlen) &&
			   call(s, call_init, NULL, timeout_ms, err, errlen) &&
			   ask_last(s, settings, group, last, timeout_ms, err, errlen);
	}
	PG_FINALLY();
	{
		if (!done)
			weir_sink_close(s);
	}
	PG_END_TRY();
	return done ? s : NULL;
}

/* weir_sink_close: see sink.h. */
void
weir_sink_close(KafkaSink *s)
{
	if (s->handle.rk != NULL)
		rd_kafka_purge(s->handle.rk, RD_KAFKA_PURGE_F_QUEUE |
										 RD_KAFKA_PURGE_F_INFLIGHT |
										 RD_KAFKA_PURGE_F_NON_BLOCKING);
	weir_handle_close(&s->handle);
	if (s->group != NULL)
		rd_kafka_consumer_group_metadata_destroy(s->group);
	free(s->topic);
	free(s);
}

/* --- writing -------------------------------------------------------------------- */

static bool
produce(KafkaSink *s, const KafkaSinkMessage *m, int64 end, char *err,
		size_t errlen)
{
	rd_kafka_resp_err_t res;

	for (;;)
	{
		res = rd_kafka_producev(s->handle.rk, RD_KAFKA_V_TOPIC(s->topic),
								RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								RD_KAFKA_V_KEY((void *) m->key,
											   m->key ? strlen(m->key) : 0),
								RD_KAFKA_V_VALUE((void *) m->value,
												 strlen(m->value)),
								RD_KAFKA_V_END);
		if (res != RD_KAFKA_RESP_ERR__QUEUE_FULL || weir_clock_monotonic() > end)
			break;
		rd_kafka_poll(s->handle.rk, SLICE_MS);
		weir_handle_log(&s->handle);
		CHECK_FOR_INTERRUPTS();
	}
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR)
		snprintf(err, errlen, "%s", rd_kafka_err2str(res));
	return res == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
send_number(KafkaSink *s, int64 number, int timeout_ms, char *err, size_t errlen)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	bool done = false;

	rd_kafka_topic_partition_list_add(list, s->topic, 0)->offset = number;
	PG_TRY();
	{
		done = call(s, call_send_offset, list, timeout_ms, err, errlen);
	}
	PG_FINALLY();
	{
		rd_kafka_topic_partition_list_destroy(list);
	}
	PG_END_TRY();
	return done;
}

/* weir_sink_write: see sink.h. */
bool
weir_sink_write(KafkaSink *s, const KafkaSinkMessage *messages, int n,
				int timeout_ms, char *err, size_t errlen)
{
	int64 end = weir_clock_monotonic() + (int64) timeout_ms * 1000;
	rd_kafka_error_t *e = rd_kafka_begin_transaction(s->handle.rk);

	s->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
	if (e != NULL)
	{
		snprintf(err, errlen, "%s", rd_kafka_error_string(e));
		rd_kafka_error_destroy(e);
		return false;
	}
	for (int i = 0; i < n; i++)
		if (!produce(s, &messages[i], end, err, errlen))
			return false;
	if (!send_number(s, messages[n - 1].number, timeout_ms, err, errlen) ||
		!call(s, call_commit, NULL, timeout_ms, err, errlen))
	{
		if (s->failed != RD_KAFKA_RESP_ERR_NO_ERROR)
			snprintf(err, errlen, "%s", rd_kafka_err2str(s->failed));
		return false;
	}
	weir_handle_serve(&s->handle);
	return true;
}
