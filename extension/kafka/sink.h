/*
 * kafka/sink.h
 *		Numbered messages into a topic, each exactly once.
 *
 * A sink writes in Kafka transactions.  Into each goes the number of its last
 * message, too, as an offset of a consumer group; so whoever opens the sink
 * again learns which messages the topic has.  Opening fences an earlier opener
 * of the same id: it can write nothing any more.
 *
 * Called on the process's own thread.  A sink that has failed is closed and
 * opened again; what became of its last transaction is then known.
 */
#ifndef WEIR_KAFKA_SINK_H
#define WEIR_KAFKA_SINK_H

#include "kafka/kafka.h"

typedef struct KafkaSink KafkaSink;

/* A message; key NULL: none. */
typedef struct KafkaSinkMessage
{
	int64 number;
	const char *key;
	const char *value;
} KafkaSinkMessage;

/*
 * id: the transactional id; group keeps the number.  *last: of the last message
 * that the topic has, as that group knows, -1 for none.  Waits up to timeout_ms, in
 * interruptible slices.  NULL and a text in err on failure.
 */
extern KafkaSink *weir_sink_open(List *settings, const char *topic,
								 const char *id, const char *group, int64 *last,
								 int timeout_ms, char *err, size_t errlen);
/*
 * Write n messages, ascending in number, in one transaction.  False and a text
 * in err: it is not known whether they are written; close the sink.
 */
extern bool weir_sink_write(KafkaSink *s, const KafkaSinkMessage *messages,
							int n, int timeout_ms, char *err, size_t errlen);
/* At once; a transaction that is open is aborted by the broker. */
extern void weir_sink_close(KafkaSink *s);

#endif /* WEIR_KAFKA_SINK_H */
