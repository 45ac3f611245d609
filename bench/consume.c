/*
 * bench/consume.c
 *		The yardsticks of a drain: a topic read from its beginning by a plain
 *		program.
 *
 *	consume BROKERS TOPIC MESSAGES QUEUE_MB          librdkafka alone, counting
 *	consume BROKERS TOPIC MESSAGES QUEUE_MB FILE     the floor (floor.c): decoding
 *	                                                 and aggregating as well; the
 *	                                                 result is written to FILE
 *
 * Prints events=, seconds= (from the first message to the last), cpu_seconds=
 * (of the whole process, before it writes the result) and groups=.  The settings
 * are those of Weir's consumer (extension/kafka/consumer.c) with a
 * weir.queue_size of QUEUE_MB.
 */
#define _POSIX_C_SOURCE 200809L

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "floor.h"

#define BATCH            4000
#define MESSAGE_OVERHEAD 400 /* what librdkafka keeps of each */

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static double
cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
		   (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char err[256];

	if (rd_kafka_conf_set(conf, name, value, err, sizeof(err)) ==
		RD_KAFKA_CONF_OK)
		return;
	fprintf(stderr, "consume: %s\n", err);
	exit(1);
}

static rd_kafka_t *
open_consumer(const char *brokers, long queue_mb)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char err[256];
	char kb[24];
	char messages[24];
	rd_kafka_t *rk;

	snprintf(kb, sizeof(kb), "%ld", queue_mb * 1024 / 3);
	snprintf(messages, sizeof(messages), "%ld",
			 queue_mb * 1024 * 1024 / 3 * 2 / MESSAGE_OVERHEAD);

	set(conf, "bootstrap.servers", brokers);
	set(conf, "group.id", "weir-bench");
	set(conf, "enable.auto.commit", "false");
	set(conf, "fetch.message.max.bytes", "262144");
	set(conf, "queued.min.messages", messages);
	set(conf, "queued.max.messages.kbytes", kb);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, err, sizeof(err));
	if (rk == NULL)
	{
		fprintf(stderr, "consume: %s\n", err);
		exit(1);
	}
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

/* Assign all partitions of the topic from their beginning. */
static void
assign(rd_kafka_t *rk, const char *topic)
{
	const struct rd_kafka_metadata *m;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	rd_kafka_topic_partition_list_t *l;

	if (rd_kafka_metadata(rk, 0, rkt, &m, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		m->topic_cnt != 1 || m->topics[0].partition_cnt > FLOOR_PARTITIONS)
	{
		fprintf(stderr, "consume: no metadata of %s\n", topic);
		exit(1);
	}
	l = rd_kafka_topic_partition_list_new(m->topics[0].partition_cnt);
	for (int i = 0; i < m->topics[0].partition_cnt; i++)
		rd_kafka_topic_partition_list_add(l, topic,
										  m->topics[0].partitions[i].id)
			->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_metadata_destroy(m);
	rd_kafka_topic_destroy(rkt);
}

/* Write what the floor has found. */
static void
write_result(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
	{
		perror(path);
		exit(1);
	}
	floor_write(f);
	fclose(f);
}

/* Take a batch of the queue; returns the number of messages. */
static long
take(rd_kafka_queue_t *queue, bool aggregate)
{
	static rd_kafka_message_t *msgs[BATCH];
	ssize_t n = rd_kafka_consume_batch_queue(queue, 100, msgs, BATCH);
	long got = 0;

	for (ssize_t i = 0; i < n; i++)
	{
		got += !msgs[i]->err;
		if (aggregate && !msgs[i]->err)
			floor_take(msgs[i]->payload, msgs[i]->len, msgs[i]->partition);
		rd_kafka_message_destroy(msgs[i]);
	}
	return got;
}

int
main(int argc, char **argv)
{
	rd_kafka_queue_t *queue;
	rd_kafka_t *rk;
	double first = 0;
	double last = 0;
	double cpu;
	long want;
	long got = 0;

	if (argc != 5 && argc != 6)
	{
		fprintf(stderr,
				"usage: consume BROKERS TOPIC MESSAGES QUEUE_MB [FILE]\n");
		return 2;
	}
	want = atol(argv[3]);
	floor_begin();
	rk = open_consumer(argv[1], atol(argv[4]));
	assign(rk, argv[2]);
	queue = rd_kafka_queue_get_consumer(rk);
	while (got < want)
	{
		long n = take(queue, argc == 6);

		got += n;
		if (n > 0)
			last = now();
		if (first == 0)
			first = last;
	}
	cpu = cpu_seconds();
	if (argc == 6)
		write_result(argv[5]);
	printf("events=%ld seconds=%.3f cpu_seconds=%.3f groups=%ld\n", got,
		   last - first, cpu, floor_groups());
	fflush(stdout);
	_Exit(0);
}
