/*
 * kafka/producer.c
 *		INSERT into a topic.
 *
 * Used by the foreign-data wrapper in the backend that executes INSERT or COPY.
 * Messages are queued and sent by librdkafka's threads; delivery reports come
 * back through our own polls.  The first failure is kept and raised by the next
 * call, so that a statement never succeeds with a message that is not
 * acknowledged by all in-sync replicas.
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include "miscadmin.h"

#define FLUSH_SLICE_MS 100
/* Serve delivery reports once in so many messages. */
#define SERVE_EVERY    512

struct KafkaProducer
{
	KafkaClient client; /* first: questions through the same connection */
	rd_kafka_topic_t *topic;
	uint64 produced;
	uint64 failed;
	rd_kafka_resp_err_t error; /* of the first that failed */
	int32 partition;
	char reason[256];
};

/* dr_msg_cb: remember the first message that was not delivered. */
static void
delivery_cb(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	/* The handle is the first field of the client, and that of the producer. */
	KafkaProducer *p = opaque;

	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (p->failed++ > 0)
		return;
	p->error = m->err;
	p->partition = m->partition;
	strlcpy(p->reason, rd_kafka_err2str(m->err), sizeof(p->reason));
}

/* weir_producer_open: see kafka.h. */
KafkaProducer *
weir_producer_open(List *settings, const char *topic, char *err, size_t errlen)
{
	KafkaProducer *p = calloc(1, sizeof(KafkaProducer));
	rd_kafka_conf_t *conf;

	if (p == NULL)
	{
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	conf = weir_kafka_conf(settings, KAFKA_PRODUCER, NULL, err, errlen);
	if (conf != NULL)
	{
		rd_kafka_conf_set_dr_msg_cb(conf, delivery_cb);
		if (weir_handle_open(&p->client.handle, RD_KAFKA_PRODUCER, conf, err,
							 errlen))
		{
			p->topic = weir_handle_topic(&p->client.handle, topic, err, errlen);
			if (p->topic != NULL)
				return p;
		}
	}
	weir_producer_close(p);
	return NULL;
}

/* weir_producer_client: ask questions through the producer's connections. */
KafkaClient *
weir_producer_client(KafkaProducer *p)
{
	return &p->client;
}

/* weir_producer_close: end it; what is still queued is dropped. */
void
weir_producer_close(KafkaProducer *p)
{
	if (p->client.handle.rk != NULL)
		rd_kafka_purge(p->client.handle.rk, RD_KAFKA_PURGE_F_QUEUE |
												RD_KAFKA_PURGE_F_INFLIGHT |
												RD_KAFKA_PURGE_F_NON_BLOCKING);
	weir_handle_close(&p->client.handle);
	free(p);
}

/* Raise if a message has failed. */
static void
check_failed(KafkaProducer *p)
{
	const KafkaHandle *h = &p->client.handle;

	if (p->failed == 0)
		return;
	ereport(ERROR,
			(errcode(weir_kafka_sqlstate(p->error)),
			 errmsg("could not write to topic \"%s\"",
					rd_kafka_topic_name(p->topic)),
			 h->error_text[0] != '\0'
				 ? errdetail("The Kafka client says: %s; %s.", p->reason,
							 h->error_text)
				 : errdetail("The Kafka client says: %s.", p->reason),
			 errhint(
				 "Messages that were delivered before the error stay in the topic.")));
}

/* Headers as librdkafka wants them, or NULL; the caller owns them. */
static rd_kafka_headers_t *
make_headers(List *headers)
{
	rd_kafka_headers_t *h;
	ListCell *lc;

	if (headers == NIL)
		return NULL;
	h = rd_kafka_headers_new(list_length(headers));
	foreach(lc, headers)
	{
		const KafkaSetting *s = lfirst(lc);

		(void) rd_kafka_header_add(h, s->name, -1, s->value,
								   s->value != NULL ? (ssize_t) strlen(s->value)
													: 0);
	}
	return h;
}

/* Queue one message; the error code, having freed the headers if it failed. */
static rd_kafka_resp_err_t
try_produce(KafkaProducer *p, int32 partition, const char *key, size_t key_len,
			const char *payload, size_t len, int64 timestamp, List *headers)
{
	rd_kafka_headers_t *h = make_headers(headers);
	rd_kafka_resp_err_t res;

	/* A timestamp of zero means "now" to librdkafka. */
	res = rd_kafka_producev(p->client.handle.rk, RD_KAFKA_V_RKT(p->topic),
							RD_KAFKA_V_PARTITION(partition < 0
													 ? RD_KAFKA_PARTITION_UA
													 : partition),
							RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							RD_KAFKA_V_KEY((void *) key, key_len),
							RD_KAFKA_V_VALUE((void *) payload, len),
							RD_KAFKA_V_TIMESTAMP(
								timestamp < 0 ? 0 : timestamp / 1000),
							RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END);
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR && h != NULL)
		rd_kafka_headers_destroy(h);
	return res;
}

/* weir_produce: see kafka.h. */
void
weir_produce(KafkaProducer *p, int32 partition, const char *key, size_t key_len,
			 const char *payload, size_t len, int64 timestamp, List *headers)
{
	rd_kafka_resp_err_t res;

	for (;;)
	{
		check_failed(p);
		res = try_produce(p, partition, key, key_len, payload, len, timestamp,
						  headers);
		if (res != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		rd_kafka_poll(p->client.handle.rk, FLUSH_SLICE_MS);
		weir_handle_log(&p->client.handle);
		CHECK_FOR_INTERRUPTS();
	}
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR, (errcode(weir_kafka_sqlstate(res)),
						errmsg("could not write to topic \"%s\"",
							   rd_kafka_topic_name(p->topic)),
						errdetail("The Kafka client says: %s.",
								  rd_kafka_err2str(res))));
	if (++p->produced % SERVE_EVERY == 0)
		weir_handle_serve(&p->client.handle);
}

/* weir_producer_flush: see kafka.h. */
void
weir_producer_flush(KafkaProducer *p)
{
	for (;;)
	{
		rd_kafka_resp_err_t res;

		res = rd_kafka_flush(p->client.handle.rk, FLUSH_SLICE_MS);
		weir_handle_log(&p->client.handle);
		check_failed(p);
		if (res == RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
		CHECK_FOR_INTERRUPTS();
	}
}
