/*
 * bench/produce.c
 *		The yardstick of weir-producer: librdkafka alone, sending one message
 *		again and again.
 *
 *	produce BROKERS TOPIC PARTITIONS MESSAGES [PROPERTY=VALUE ...] <MESSAGE
 *
 * Prints events=, seconds= (until the last is acknowledged) and cpu_seconds=.
 * The settings are those of weir-producer (producer/sink_kafka.c).
 */
#define _POSIX_C_SOURCE 200809L

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define POLL_EVERY 1024

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
	fprintf(stderr, "produce: %s\n", err);
	exit(1);
}

static rd_kafka_t *
open_producer(const char *brokers, char **properties)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char err[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", brokers);
	for (; *properties != NULL; properties++)
	{
		char *equals = strchr(*properties, '=');

		*equals = '\0';
		set(conf, *properties, equals + 1);
	}
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, err, sizeof(err));
	if (rk == NULL)
	{
		fprintf(stderr, "produce: %s\n", err);
		exit(1);
	}
	return rk;
}

static void
send_all(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int partitions, long messages,
		 char *message, size_t len)
{
	for (long i = 0; i < messages; i++)
	{
		while (rd_kafka_produce(rkt, (int32_t) (i % partitions),
								RD_KAFKA_MSG_F_COPY, message, len, NULL, 0,
								NULL) != 0)
			rd_kafka_poll(rk, 1);
		if (i % POLL_EVERY == 0)
			rd_kafka_poll(rk, 0);
	}
	rd_kafka_flush(rk, 60000);
}

int
main(int argc, char **argv)
{
	char message[4096];
	size_t len = fread(message, 1, sizeof(message), stdin);
	long messages;
	rd_kafka_t *rk;
	double start;

	if (argc < 5)
	{
		fprintf(stderr, "usage: produce BROKERS TOPIC PARTITIONS MESSAGES "
						"[PROPERTY=VALUE ...]\n");
		return 2;
	}
	messages = atol(argv[4]);
	rk = open_producer(argv[1], argv + 5);
	start = now();
	send_all(rk, rd_kafka_topic_new(rk, argv[2], NULL), atoi(argv[3]), messages,
			 message, len);
	if (rd_kafka_outq_len(rk) > 0)
	{
		fprintf(stderr, "produce: %d messages are not delivered\n",
				rd_kafka_outq_len(rk));
		return 1;
	}
	printf("events=%ld seconds=%.3f cpu_seconds=%.3f\n", messages,
		   now() - start, cpu_seconds());
	fflush(stdout);
	_Exit(0);
}
