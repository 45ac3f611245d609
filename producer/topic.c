/*
 * topic.c
 *	  Sees that the topic exists, with as many partitions as asked for.
 *
 * The broker is asked for all its topics, because asking for one by name makes
 * many brokers create it, with a number of partitions of their own choosing.
 * A missing topic is created through the admin protocol.  librdkafka's mock
 * cluster does not know that; asking by name is what creates it there.  It is
 * recognised by naming as controller a broker that it does not have, for which
 * librdkafka would wait in vain.
 */
#include "kafka.h"

#include <string.h>

#include "clock.h"
#include "report.h"
#include "stop.h"

/* One blocking call lasts so long at most, so that signals are noticed. */
#define SLICE_MS 1000

#define POLL_US 50000

typedef struct Wait
{
	int64_t deadline;        /* of the monotonic clock */
	rd_kafka_resp_err_t err; /* what the last attempt came to */
	bool no_controller;      /* the cluster names one that does not exist */
} Wait;

/* wait_slice: ms for the next blocking call; 0 when it is time to give up. */
static int
wait_slice(const Wait *wait)
{
	int64_t left = (wait->deadline - clock_mono_us()) / 1000;

	if (left <= 0 || stop_requested())
		return 0;
	return left < SLICE_MS ? (int) left : SLICE_MS;
}

/* usable_partitions: of a topic; 0 while there is none, or one has no leader. */
static int
usable_partitions(const rd_kafka_metadata_topic_t *topic)
{
	if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	for (int i = 0; i < topic->partition_cnt; i++)
		if (topic->partitions[i].leader < 0)
			return 0;
	return topic->partition_cnt;
}

/* lacks_controller: whether the controller is none of the brokers. */
static bool
lacks_controller(rd_kafka_t *rk, const struct rd_kafka_metadata *metadata)
{
	int32_t controller = rd_kafka_controllerid(rk, 0);

	for (int i = 0; i < metadata->broker_cnt; i++)
		if (metadata->brokers[i].id == controller)
			return false;
	return controller >= 0;
}

/*
 * topic_ask: how many partitions the topic has, 0 if there is no such topic
 * or it is not usable yet, -1 if no broker answered in time.  rkt NULL: look it
 * up among all topics.
 */
static int
topic_ask(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const char *name, Wait *wait)
{
	const struct rd_kafka_metadata *metadata;
	int partitions = 0;
	int slice;

	while ((slice = wait_slice(wait)) > 0)
	{
		rd_kafka_poll(rk, 0);
		wait->err = rd_kafka_metadata(rk, rkt == NULL, rkt, &metadata, slice);
		if (wait->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			for (int i = 0; i < metadata->topic_cnt; i++)
				if (strcmp(metadata->topics[i].topic, name) == 0)
					partitions = usable_partitions(&metadata->topics[i]);
			wait->no_controller = lacks_controller(rk, metadata);
			rd_kafka_metadata_destroy(metadata);
			return partitions;
		}
	}
	return -1;
}

/* topic_created: judge the broker's answer to a request to create a topic. */
static bool
topic_created(rd_kafka_event_t *event, const char *name)
{
	const rd_kafka_topic_result_t **topics;
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const char *why = rd_kafka_event_error_string(event);
	size_t count = 0;

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		topics =
			rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(
													event),
												&count);
		if (count > 0)
		{
			err = rd_kafka_topic_result_error(topics[0]);
			why = rd_kafka_topic_result_error_string(topics[0]);
		}
	}
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
		case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
		case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
			return true;
		default:
			report_problem("could not create topic \"%s\": %s", name,
						   why ? why : rd_kafka_err2str(err));
			return false;
	}
}

/* topic_create: returns whether it makes sense to look for the topic now. */
static bool
topic_create(rd_kafka_t *rk, const char *name, int partitions, Wait *wait)
{
	char why[512];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, -1,
													   why, sizeof(why));
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event = NULL;
	bool good = true;
	int slice;

	if (topic == NULL)
	{
		report_problem("could not create topic \"%s\": %s", name, why);
		return false;
	}
	queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	while (event == NULL && (slice = wait_slice(wait)) > 0)
		event = rd_kafka_queue_poll(queue, slice);
	if (event != NULL)
	{
		good = topic_created(event, name);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
	return good;
}

/* topic_await: ask by name until the topic is usable. */
static int
topic_await(rd_kafka_t *rk, const char *name, Wait *wait)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, name, NULL);
	int partitions = 0;

	if (rkt == NULL)
	{
		wait->err = rd_kafka_last_error();
		return -1;
	}
	while ((partitions = topic_ask(rk, rkt, name, wait)) == 0)
		clock_sleep_us(POLL_US);
	rd_kafka_topic_destroy(rkt);
	return partitions;
}

int
topic_prepare(rd_kafka_t *rk, const Options *options)
{
	Wait wait = {clock_mono_us() + (int64_t) (options->timeout * 1e6),
				 RD_KAFKA_RESP_ERR_NO_ERROR, false};
	const char *name = options->topic;
	int wanted = (int) options->partitions;
	int partitions = topic_ask(rk, NULL, name, &wait);

	if (partitions == 0)
	{
		if (!wait.no_controller &&
			!topic_create(rk, name, wanted > 0 ? wanted : 1, &wait))
			return 0;
		partitions = topic_await(rk, name, &wait);
	}
	if (partitions <= 0)
	{
		if (!stop_requested())
			report_problem("topic \"%s\" on %s is not available: %s", name,
						   options->brokers,
						   wait.err ? rd_kafka_err2str(wait.err)
									: "it was not created in time");
		return 0;
	}
	if (wanted > 0 && partitions != wanted)
	{
		report_problem("topic \"%s\" has %d partitions, not %d", name,
					   partitions, wanted);
		return 0;
	}
	return partitions;
}
