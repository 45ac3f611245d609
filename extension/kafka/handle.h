/*
 * kafka/handle.h
 *		What consumer, client and producer have in common: a librdkafka instance
 *		whose callbacks come to us and whose log goes to the server's (private to
 *		kafka/).
 *
 * All fields belong to the thread that opened the handle.  Callbacks only note
 * things down; weir_handle_log, called when librdkafka is not on the stack,
 * writes them, because an ereport may not jump over librdkafka's frames.
 */
#ifndef WEIR_KAFKA_HANDLE_H
#define WEIR_KAFKA_HANDLE_H

#include "kafka/settings.h"

#include <pthread.h>

#define LOG_LINES    16
#define LOG_LINE_LEN 256

typedef struct KafkaHandle
{
	rd_kafka_t *rk;
	pthread_t owner;         /* the only thread whose callbacks count */
	rd_kafka_topic_t *topic; /* the last one asked for, or NULL */
	bool redirected;         /* callbacks come with a consumer's messages */

	/* the last error that librdkafka reported for the client as a whole */
	rd_kafka_resp_err_t error;
	char error_text[256];
	uint64 nerrors;
	bool all_down; /* no broker reachable, as of the last one */
	bool failing;  /* a failed connection was logged, and nothing came since */
	uint64 errors_taken; /* how many the consumer has passed on */

	KafkaStatistics statistics;
	bool statistics_new; /* nobody has asked for them yet */

	/* log lines not yet written */
	int nlines;
	int line_level[LOG_LINES];
	char line[LOG_LINES][LOG_LINE_LEN];
	/* at most so many a minute */
	TimestampTz minute_start;
	int minute_count;
	uint64 suppressed;
} KafkaHandle;

/*
 * Open an instance.  Takes conf, whatever the outcome.  h is zeroed first.
 * False and a text in err on failure.
 */
extern bool weir_handle_open(KafkaHandle *h, rd_kafka_type_t type,
							 rd_kafka_conf_t *conf, char *err, size_t errlen);
extern void weir_handle_close(KafkaHandle *h);
/*
 * The same without waiting for it, which can take for ever: librdkafka 2.0.2
 * waits for partitions of a topic that was deleted.  memory holds h; it is
 * malloc'ed and freed when all is over.
 */
extern void weir_handle_abandon(KafkaHandle *h, void *memory);
/*
 * Run the callbacks that wait, without waiting, and write the log.  Once a
 * consumer is redirected its own poll does that: rd_kafka_poll would meet
 * messages, which it cannot take.
 */
extern void weir_handle_serve(KafkaHandle *h);
extern void weir_handle_log(KafkaHandle *h);
/* stats_cb: note down what there is to know of (statistics.c). */
extern int
weir_statistics_cb(rd_kafka_t *rk, char *text, size_t len, void *opaque);
/* The topic's handle, kept until the next other name or the close. */
extern rd_kafka_topic_t *
weir_handle_topic(KafkaHandle *h, const char *topic, char *err, size_t errlen);

/* A client's questions go through any handle. */
struct KafkaClient
{
	KafkaHandle handle;
	int sqlstate; /* of the last failure */
};

#endif /* WEIR_KAFKA_HANDLE_H */
