/*
 * sink_kafka.c
 *	  Sends events to a topic.
 *
 * librdkafka copies each message, batches them and retries; a message is lost
 * when its timeout is over or the broker refuses it for good.  Delivery
 * reports are asked for failed messages only: reports of every message would
 * cost about as much as making it.  Their callback runs in the main thread,
 * within rd_kafka_poll and rd_kafka_flush.
 */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "kafka.h"
#include "report.h"
#include "stop.h"

/* Callbacks are served at least every so many messages. */
#define POLL_EVERY 1024

#define FLUSH_SLICE_MS 100

/*
 * What is queued should fit the processor's cache: 20,000 messages take two
 * thirds of the CPU time of 200,000, and batches are full all the same.
 */
#define QUEUE_MESSAGES "20000"

typedef struct KafkaSink
{
	Sink sink;
	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt;
	HoldBack *hold_back;        /* NULL: not asked for */
	Transactions *transactions; /* NULL: not asked for */
	int partitions;
	bool keyed;
	uint64_t sent;
	uint64_t lost;
} KafkaSink;

static void
kafka_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message,
				  void *opaque)
{
	KafkaSink *kafka = opaque;

	(void) rk;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (kafka->lost++ == 0)
		report_problem("messages are lost: %s", rd_kafka_err2str(message->err));
}

static rd_kafka_resp_err_t
kafka_produce(KafkaSink *kafka, const Event *event, uint64_t n)
{
	int32_t partition = kafka->keyed ? RD_KAFKA_PARTITION_UA
									 : (int32_t) (n % kafka->partitions);
	rd_kafka_vu_t args[] =
		{{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = kafka->rkt},
		 {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
		 {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
		 {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = event->timestamp},
		 {.vtype = RD_KAFKA_VTYPE_VALUE,
		  .u.mem = {(void *) event->data, event->length}},
		 {.vtype = RD_KAFKA_VTYPE_KEY,
		  .u.mem = {(void *) event->key, event->key_length}}};
	size_t count = sizeof(args) / sizeof(args[0]) - (kafka->keyed ? 0 : 1);
	rd_kafka_error_t *error = rd_kafka_produceva(kafka->rk, args, count);
	rd_kafka_resp_err_t err;

	if (error == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	err = rd_kafka_error_code(error);
	if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
		report_problem("could not send: %s", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return err;
}

static SendResult
kafka_send(Sink *sink, const Event *event, uint64_t n)
{
	KafkaSink *kafka = (KafkaSink *) sink;

	if (kafka->hold_back != NULL &&
		!hold_back_allows(kafka->hold_back, kafka->sent))
		return SEND_WAIT;
	if (kafka->transactions != NULL &&
		!transaction_before_event(kafka->transactions))
		return SEND_FAIL;
	switch (kafka_produce(kafka, event, n))
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			break;
		case RD_KAFKA_RESP_ERR__QUEUE_FULL:
			return SEND_WAIT;
		default:
			return SEND_FAIL;
	}
	if (++kafka->sent % POLL_EVERY == 0)
		rd_kafka_poll(kafka->rk, 0);
	if (kafka->transactions != NULL &&
		!transaction_after_event(kafka->transactions))
		return SEND_FAIL;
	return SEND_OK;
}

static void
kafka_serve(Sink *sink, int64_t us)
{
	rd_kafka_poll(((KafkaSink *) sink)->rk, 0);
	clock_sleep_us(us);
}

/* kafka_free: release what there is, also of a sink that is half made. */
static void
kafka_free(KafkaSink *kafka)
{
	if (kafka->hold_back != NULL)
		hold_back_close(kafka->hold_back);
	if (kafka->rkt != NULL)
		rd_kafka_topic_destroy(kafka->rkt);
	if (kafka->rk != NULL)
		rd_kafka_destroy(kafka->rk);
	free(kafka);
}

static void
kafka_close(Sink *sink, Totals *totals)
{
	KafkaSink *kafka = (KafkaSink *) sink;

	if (kafka->transactions != NULL)
		transactions_close(kafka->transactions, totals);
	/* ends by itself: every message has a timeout */
	while (rd_kafka_flush(kafka->rk, FLUSH_SLICE_MS) != 0)
		if (stop_insisted())
			rd_kafka_purge(kafka->rk,
						   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	/* one that is lost dooms its transaction, whose events count already */
	if (kafka->transactions == NULL)
		totals->errors += kafka->lost;
	kafka_free(kafka);
}

/* kafka_connect: the producer client. */
static bool
kafka_connect(KafkaSink *kafka, const Options *options)
{
	char timeout_ms[32];
	char id[64];
	bool transactional = options->transaction > 0;
	const Setting settings[] =
		{{"compression.codec", options->compression},
		 {"message.timeout.ms", timeout_ms},
		 {"acks", options->acks ? options->acks : "all"},
		 {"enable.idempotence",
		  options->idempotence || transactional ? "true" : "false"},
		 {"linger.ms", options->rate > 0 ? "5" : "20"},
		 {"queue.buffering.max.messages", QUEUE_MESSAGES},
		 {"queue.buffering.max.kbytes", "65536"},
		 {"delivery.report.only.error", "true"},
		 {"partitioner", "murmur2"},
		 /* while it waits to reconnect, librdkafka expires no messages */
		 {"reconnect.backoff.max.ms", "1000"},
		 {transactional ? "transactional.id" : NULL, id},
		 {"transaction.timeout.ms", timeout_ms},
		 {NULL, NULL}};
	rd_kafka_conf_t *conf;

	snprintf(timeout_ms, sizeof(timeout_ms), "%.0f", options->timeout * 1000);
	snprintf(id, sizeof(id), "weir-producer-%ld", (long) getpid());
	conf = kafka_conf(options, settings);
	if (conf == NULL)
		return false;
	rd_kafka_conf_set_opaque(conf, kafka);
	rd_kafka_conf_set_dr_msg_cb(conf, kafka_on_delivery);
	kafka->rk = kafka_new(RD_KAFKA_PRODUCER, conf);
	return kafka->rk != NULL;
}

/* kafka_prepare: the topic, and the group to stay near. */
static bool
kafka_prepare(KafkaSink *kafka, const Options *options)
{
	kafka->partitions = topic_prepare(kafka->rk, options);
	if (kafka->partitions == 0)
		return false;
	kafka->keyed = options->key != KEY_NONE;
	kafka->rkt = rd_kafka_topic_new(kafka->rk, options->topic, NULL);
	if (kafka->rkt == NULL)
	{
		report_problem("%s", rd_kafka_err2str(rd_kafka_last_error()));
		return false;
	}
	if (options->hold_back.group != NULL)
	{
		kafka->hold_back = hold_back_open(options, kafka->partitions);
		if (kafka->hold_back == NULL)
			return false;
	}
	if (options->transaction > 0)
	{
		kafka->transactions = transactions_open(kafka->rk, options);
		return kafka->transactions != NULL;
	}
	return true;
}

Sink *
sink_open_kafka(const Options *options)
{
	KafkaSink *kafka = calloc(1, sizeof(KafkaSink));

	if (kafka == NULL)
	{
		report_problem("out of memory");
		return NULL;
	}
	kafka->sink = (Sink){kafka_send, kafka_serve, kafka_close};
	if (!kafka_connect(kafka, options) || !kafka_prepare(kafka, options))
	{
		kafka_free(kafka);
		return NULL;
	}
	return &kafka->sink;
}
