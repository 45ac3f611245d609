/*
 * kafka/statistics.c
 *		librdkafka's statistics of itself: bytes, errors, brokers.
 *
 * librdkafka makes a JSON text every statistics.interval.ms, which is served
 * like its other callbacks, on the process's own thread and inside a poll.  So
 * nothing here raises or uses memory of PostgreSQL; what is taken from the text
 * is kept in the handle until it is asked for.
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include <jansson.h>

static int64
integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *
string(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

/* A broker that there is; not the address that the client began with. */
static void
note_broker(KafkaStatistics *s, const json_t *broker)
{
	KafkaBroker *b = &s->brokers[s->nbrokers];

	if (integer(broker, "nodeid") < 0 ||
		strcmp(string(broker, "source"), "logical") == 0 ||
		s->nbrokers == KAFKA_MAX_BROKERS)
		return;
	s->nbrokers++;
	strlcpy(b->name, string(broker, "nodename"), sizeof(b->name));
	b->up = strcmp(string(broker, "state"), "UP") == 0;
	b->rtt = integer(json_object_get(broker, "rtt"), "cnt") > 0
				 ? integer(json_object_get(broker, "rtt"), "avg")
				 : -1;
}

static void
note(KafkaStatistics *s, json_t *root)
{
	const char *name;
	json_t *broker;

	memset(s, 0, sizeof(*s));
	s->rx_bytes = integer(root, "rx_bytes");
	s->tx_bytes = integer(root, "tx_bytes");
	json_object_foreach(json_object_get(root, "brokers"), name, broker)
	{
		s->errors += integer(broker, "txerrs") + integer(broker, "rxerrs") +
					 integer(broker, "req_timeouts");
		s->disconnects += integer(broker, "disconnects");
		note_broker(s, broker);
	}
}

/* weir_statistics_cb: see handle.h. */
int
weir_statistics_cb(rd_kafka_t *rk, char *text, size_t len, void *opaque)
{
	KafkaHandle *h = opaque;
	json_t *root;

	if (!pthread_equal(h->owner, pthread_self()))
		return 0;
	root = json_loadb(text, len, 0, NULL);
	if (root == NULL)
		return 0;
	note(&h->statistics, root);
	h->statistics_new = true;
	json_decref(root);
	return 0;
}
