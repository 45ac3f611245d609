/*
 * broker.c
 *	  weir-broker: a Kafka broker in a process, for the demo and for tests.
 *
 * It is librdkafka's mock cluster, which speaks enough of Kafka's protocol for
 * producers, consumers and committed offsets, on ports of its own choosing on
 * 127.0.0.1, and keeps everything in memory.  This program makes the topics,
 * prints the address and waits.
 *
 * It ends when its standard input does, so that whoever started it need not
 * remember to stop it: a test that dies takes its broker along.
 *
 * Signals are blocked except while waiting, so librdkafka's threads get none
 * and none is missed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "optparse.h"
#include "stop.h"

#define MAX_TOPICS     256
#define MAX_TOPIC_NAME 249

#define REPLICATION 1

typedef struct Topic
{
	char name[MAX_TOPIC_NAME + 1];
	int partitions;
} Topic;

typedef struct Topics
{
	int count;
	Topic topic[MAX_TOPICS];
} Topics;

typedef struct BrokerOptions
{
	int64_t brokers;
	const char *port_file;
	bool ignore_stdin;
	Topics topics;
} BrokerOptions;

static const char *
add_topic(const char *text, void *field)
{
	Topics *topics = field;
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t) (colon - text) : strlen(text);
	long partitions = 1;
	Topic *topic;
	char *end;

	if (topics->count >= MAX_TOPICS)
		return "given at most 256 times";
	if (colon != NULL)
	{
		partitions = strtol(colon + 1, &end, 10);
		if (end == colon + 1 || *end != '\0')
			partitions = 0;
	}
	if (length == 0 || length > MAX_TOPIC_NAME || partitions < 1 ||
		partitions > 10000)
		return "NAME or NAME:PARTITIONS, with 1 to 10000 partitions";
	topic = &topics->topic[topics->count++];
	memcpy(topic->name, text, length);
	topic->partitions = (int) partitions;
	return NULL;
}

#define AT(field) .offset = offsetof(BrokerOptions, field)

static const OptSpec broker_specs[] =
	{{.kind = OPT_GROUP, .name = "Options"},
	 {.kind = OPT_CUSTOM,
	  .name = "topic",
	  .arg = "NAME[:PARTITIONS]",
	  .help = "make this topic (default 1 partition); may be repeated",
	  .set = add_topic,
	  AT(topics)},
	 {.kind = OPT_INT,
	  .name = "brokers",
	  .arg = "N",
	  .help = "how many brokers the cluster has (default 1)",
	  .min = 1,
	  .max = 16,
	  AT(brokers)},
	 {.kind = OPT_STRING,
	  .name = "port-file",
	  .arg = "FILE",
	  .help = "write the address there too; FILE appears complete",
	  AT(port_file)},
	 {.kind = OPT_FLAG,
	  .name = "ignore-stdin",
	  .help = "go on when standard input ends",
	  AT(ignore_stdin)},
	 {.kind = OPT_FLAG, .name = NULL}};

static const OptProgram broker_program =
	{.name = "weir-broker",
	 .intro =
		 "weir-broker is a Kafka broker in memory, for demonstrations and tests.\n"
		 "It prints its address (HOST:PORT[,HOST:PORT...]) as one line and runs\n"
		 "until its standard input ends, or SIGINT or SIGTERM.",
	 .outro =
		 "It is librdkafka's mock cluster, and has that one's limits:\n"
		 "- It listens on 127.0.0.1 only, on ports it chooses.\n"
		 "- A partition holds 5 MiB or 100,000 batches; then its oldest messages\n"
		 "  are dropped, consumed or not (see weir-producer --hold-back).\n"
		 "- Messages, topics and committed offsets are gone when it ends.\n"
		 "- A fetch that finds nothing is answered after fetch.wait.max.ms, even\n"
		 "  if messages come in the meantime: set that low.\n"
		 "- A topic that no --topic names comes into being when a client first\n"
		 "  asks for it, with the 4 partitions that librdkafka has fixed.\n"
		 "- It cannot look up offsets by time and knows no admin requests;\n"
		 "  transactions are accepted, but not isolated.\n"
		 "Use a real Kafka for whatever needs those.",
	 .specs = broker_specs};

static void
broker_problem(const char *what, const char *why)
{
	fprintf(stderr, "weir-broker: %s: %s\n", what, why);
}

/* write_port_file: by way of a temporary name, so no reader sees a part. */
static bool
write_port_file(const char *path, const char *address)
{
	char temporary[4096];
	FILE *file;
	bool good;

	if (snprintf(temporary, sizeof(temporary), "%s.tmp", path) >=
		(int) sizeof(temporary))
	{
		broker_problem("could not write the port file", "name too long");
		return false;
	}
	file = fopen(temporary, "w");
	good = file != NULL && fprintf(file, "%s\n", address) > 0;
	if (file != NULL)
		good = fclose(file) == 0 && good;
	good = good && rename(temporary, path) == 0;
	if (!good)
		broker_problem("could not write the port file", strerror(errno));
	return good;
}

static bool
make_topics(rd_kafka_mock_cluster_t *cluster, const Topics *topics)
{
	for (int i = 0; i < topics->count; i++)
	{
		const Topic *topic = &topics->topic[i];
		rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster,
															 topic->name,
															 topic->partitions,
															 REPLICATION);

		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			broker_problem(topic->name, rd_kafka_err2str(err));
			return false;
		}
	}
	return true;
}

/* wait_for_end: of standard input, or for a signal. */
static void
wait_for_end(bool ignore_stdin)
{
	struct pollfd input = {ignore_stdin ? -1 : STDIN_FILENO, POLLIN, 0};
	sigset_t none;
	char ignored[4096];

	sigemptyset(&none);
	while (!stop_requested())
	{
		if (ppoll(&input, 1, NULL, &none) <= 0)
			continue;
		if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			return;
	}
}

/* serve: run the cluster until it is time to end.  Returns success. */
static bool
serve(rd_kafka_t *rk, const BrokerOptions *options)
{
	rd_kafka_mock_cluster_t *cluster =
		rd_kafka_mock_cluster_new(rk, (int) options->brokers);
	const char *address;
	bool good;

	if (cluster == NULL)
	{
		broker_problem("could not start", "no port to listen on");
		return false;
	}
	address = rd_kafka_mock_cluster_bootstraps(cluster);
	good = make_topics(cluster, &options->topics);
	if (good && options->port_file != NULL)
		good = write_port_file(options->port_file, address);
	if (good)
	{
		printf("%s\n", address);
		good = fflush(stdout) == 0;
	}
	if (good)
		wait_for_end(options->ignore_stdin);
	if (options->port_file != NULL)
		unlink(options->port_file);
	rd_kafka_mock_cluster_destroy(cluster);
	return good;
}

int
main(int argc, char **argv)
{
	static BrokerOptions options = {.brokers = 1};
	sigset_t all;
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;
	char why[512];
	bool good;

	opt_parse(&broker_program, argc, argv, &options);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	stop_install();
	conf = rd_kafka_conf_new();
	/* a client without brokers is just what is wanted, and not worth a word */
	rd_kafka_conf_set(conf, "log_level", "3", why, sizeof(why));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (rk == NULL)
	{
		broker_problem("could not start", why);
		rd_kafka_conf_destroy(conf);
		return EXIT_FAILURE;
	}
	good = serve(rk, &options);
	rd_kafka_destroy(rk);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
