/*
 * kafka/kafka.h
 *		All that Weir asks of Kafka: a consumer, a client for questions about a
 *		topic, a producer, and the check of librdkafka's properties.
 *
 * The rest of the extension never sees rdkafka.h.  Every function here is
 * called on the process's own thread; librdkafka's threads never run code of
 * ours (all callbacks are served from these calls).  Handles are malloc'ed by
 * librdkafka and not freed by memory contexts: close them, or register them
 * with a resource owner or on_proc_exit.  Times are microseconds since
 * 1970-01-01; offsets and partitions are Kafka's.
 */
#ifndef WEIR_KAFKA_H
#define WEIR_KAFKA_H

#include "base/weir.h"

#include "nodes/pg_list.h"

/* One librdkafka property, as the options of server and user mapping say. */
typedef struct KafkaSetting
{
	char *name;
	char *value;
} KafkaSetting;

/* Where an option stands decides which properties are allowed. */
typedef enum KafkaSettingPlace
{
	KAFKA_SETTING_SERVER,
	KAFKA_SETTING_USER
} KafkaSettingPlace;

/*
 * Check one property: on the allow-list for this place, allowed for this user
 * (superuser or pg_read_server_files for files), value accepted by librdkafka.
 * Raises with SQLSTATE and hint (a near name is suggested).
 */
extern void weir_kafka_check_setting(const char *name, const char *value,
									 KafkaSettingPlace place);
/* Is this a property that the allow-list knows for this place? */
extern bool weir_kafka_setting_known(const char *name, KafkaSettingPlace place);
/* Comma-separated names allowed here, for hints; palloc'ed. */
extern char *weir_kafka_setting_names(KafkaSettingPlace place);
/* Offer the names allowed here to a search for the nearest (nearest.h). */
struct NearestName;
extern void
weir_kafka_nearest_setting(struct NearestName *nearest, KafkaSettingPlace place);

/* librdkafka's version, as "2.0.2". */
extern const char *weir_kafka_version(void);

/* The SQLSTATE that fits an error code of librdkafka (KafkaEvent.code). */
extern int weir_kafka_sqlstate(int code);

/* --- messages ------------------------------------------------------------ */

typedef struct KafkaMessage
{
	const char *payload; /* NULL: a tombstone */
	const char *key;     /* NULL: no key */
	size_t len;
	size_t key_len;
	int64 offset;
	int64 timestamp; /* us since 1970, or -1 if the record has none */
	int32 partition;
	int32 record; /* number of a record that is part of a message, or 0 */
	bool part;    /* its bytes are that record's, not all of the message's */
	bool key_cut; /* only the beginning of the key is kept with it */
	void *handle; /* kafka/ only (headers, destroy) */
} KafkaMessage;

typedef enum KafkaEventKind
{
	KAFKA_EVENT_EOF,         /* partition read to its end; offset = next one */
	KAFKA_EVENT_OFFSET_LOST, /* our position does not exist (expired, reset) */
	KAFKA_EVENT_PARTITION_ERROR, /* transient or not; text says what */
	KAFKA_EVENT_CLIENT_ERROR     /* all brokers down, authentication ... */
} KafkaEventKind;

typedef struct KafkaEvent
{
	KafkaEventKind kind;
	int32 partition; /* -1 for the client's own */
	int64 offset;
	int code;      /* librdkafka's error code */
	bool fatal;    /* needs a new handle */
	bool no_topic; /* the broker does not know the topic, or the partition */
	bool all_down; /* no broker can be reached */
	char text[256];
} KafkaEvent;

/* --- consumer ------------------------------------------------------------ */

typedef struct KafkaConsumer KafkaConsumer;

#define KAFKA_MAX_BROKERS 16

typedef struct KafkaBroker
{
	char name[64]; /* host:port */
	bool up;
	int64 rtt; /* mean of a request's round trip in us; -1: there was none */
} KafkaBroker;

/* What librdkafka says of itself: since the handle was opened, or as it is. */
typedef struct KafkaStatistics
{
	int64 rx_bytes;
	int64 tx_bytes;
	int64 errors; /* requests that failed or timed out */
	int64 disconnects;
	int nbrokers;
	KafkaBroker brokers[KAFKA_MAX_BROKERS];
} KafkaStatistics;

/*
 * Open a consumer for one topic.  settings: List of KafkaSetting.  Returns NULL
 * and a text in err on failure.  auto.offset.reset=error, no auto commit,
 * partition EOF events on, read_committed, log and errors through our own poll,
 * queue limits from weir's settings (fetch.message.max.bytes 256 KB,
 * queued.max.messages.kbytes and queued.min.messages by queue_kb unless set
 * by the user), statistics every statistics_ms (0: none).
 */
extern KafkaConsumer *
weir_consumer_open(List *settings, const char *topic, const char *group,
				   int queue_kb, int statistics_ms, char *err, size_t errlen);
extern void weir_consumer_close(KafkaConsumer *c);
/* The same, but never waits; what is left of it ends by itself. */
extern void weir_consumer_abandon(KafkaConsumer *c);

/* Start reading the partitions at the offsets; replaces the assignment. */
extern bool
weir_consumer_assign(KafkaConsumer *c, int n, const int32 *partitions,
					 const int64 *offsets, char *err, size_t errlen);

/*
 * Take what has arrived, never waiting: up to max messages and up to max_events
 * events.  Messages stay valid until weir_consumer_release.  Also serves
 * librdkafka's callbacks.  Log lines of librdkafka go to the server log
 * (DEBUG1 below warning, LOG from warning up), rate-limited.
 */
extern int weir_consumer_poll(KafkaConsumer *c, KafkaMessage *msgs, int max,
							  KafkaEvent *events, int max_events, int *nevents);
extern void weir_consumer_release(KafkaConsumer *c);

/* Becomes readable when something arrived; drain it before polling. */
extern int weir_consumer_fd(KafkaConsumer *c);
extern void weir_consumer_drain_fd(KafkaConsumer *c);

/* Last known low and high watermark (no request); false: not known yet. */
extern bool weir_consumer_watermarks(KafkaConsumer *c, int32 partition,
									 int64 *low, int64 *high);

/* The last statistics; false: there were none since the last call. */
extern bool
weir_consumer_statistics(KafkaConsumer *c, KafkaStatistics *statistics);
/* Messages that are fetched and not taken. */
extern int64 weir_consumer_queued(KafkaConsumer *c);

/* Tell the group how far we are, for Kafka's own tools; does not wait. */
extern void weir_consumer_commit(KafkaConsumer *c, int n,
								 const int32 *partitions, const int64 *offsets);

/*
 * Hold partitions back: fetch no more of them and drop what has been fetched and
 * not taken (offsets NULL); or go on at the offsets, which the caller knows.  Not
 * by pause, which can lose offsets before librdkafka 2.1.  An assign ends all
 * holds.
 */
extern bool weir_consumer_hold(KafkaConsumer *c, int n, const int32 *partitions,
							   const int64 *offsets, char *err, size_t errlen);

/* Fetch no more of a partition, for good: an assign may not undo it. */
extern void weir_consumer_finish(KafkaConsumer *c, int32 partition);

/*
 * Headers of a message as JSON text '[{"key":..,"value":..}]' (a value that is
 * not UTF-8 text stands under "base64"), palloc'ed; NULL: it has none.
 */
extern char *weir_message_headers(const KafkaMessage *m);

/*
 * CRC-32C over a message's time, key and payload: what tells a record from
 * another one at the same offset, as of a topic that was recreated; of a record
 * that is part of a message over its number, too.
 */
extern uint32 weir_message_fingerprint(const KafkaMessage *m);

/* --- questions ----------------------------------------------------------- */

typedef struct KafkaClient KafkaClient;

/*
 * These may take as long as timeout_ms; they wait in short slices and call
 * CHECK_FOR_INTERRUPTS between them.  They return false with a text in err,
 * never raise on a broker's failure.  When no broker can be reached they give
 * up after two seconds, however long the timeout.
 */
extern KafkaClient *weir_client_open(List *settings, char *err, size_t errlen);
/*
 * The same, to ask where partitions end with all that is in open transactions,
 * whatever the settings say of isolation.level: for weir_client_ends.
 */
extern KafkaClient *
weir_client_open_uncommitted(List *settings, char *err, size_t errlen);
extern void weir_client_close(KafkaClient *c);
/*
 * A consumer's or producer's connections, to ask through; the result lives as
 * long as they do and is not closed.
 */
extern KafkaClient *weir_consumer_client(KafkaConsumer *c);
/* The SQLSTATE that fits the last failure. */
extern int weir_client_sqlstate(const KafkaClient *c);
/* Number of partitions; 0 when the topic does not exist (returns true). */
extern bool
weir_client_partitions(KafkaClient *c, const char *topic, int timeout_ms,
					   int *npartitions, char *err, size_t errlen);
/* Names of all topics, List of palloc'ed char *, sorted. */
extern bool weir_client_topics(KafkaClient *c, int timeout_ms, List **topics,
							   char *err, size_t errlen);
/* high is the last stable offset (read_committed). */
extern bool weir_client_offsets(KafkaClient *c, const char *topic,
								int32 partition, int timeout_ms, int64 *low,
								int64 *high, char *err, size_t errlen);
/*
 * The same for n partitions, one request per broker: first offset that exists,
 * and last stable offset.
 */
extern bool weir_client_bounds(KafkaClient *c, const char *topic, int n,
							   const int32 *partitions, int64 *low, int64 *high,
							   int timeout_ms, char *err, size_t errlen);
/*
 * Where n partitions end now, as their leaders say: one request per broker, asked
 * once.  Waits timeout_ms at most and serves no interrupts meanwhile.  False: not
 * all have answered.
 */
extern bool
weir_client_ends(KafkaClient *c, const char *topic, int n,
				 const int32 *partitions, int64 *ends, int timeout_ms);
/*
 * First offset at or after time_us (since 1970) in each partition; the end
 * where there is none.  Fails when the broker keeps no times (weir-broker).
 */
extern bool
weir_client_offsets_for_time(KafkaClient *c, const char *topic, int n,
							 const int32 *partitions, int64 time_us,
							 int64 *offsets, int timeout_ms, char *err,
							 size_t errlen);

/* --- producer ------------------------------------------------------------ */

typedef struct KafkaProducer KafkaProducer;

extern KafkaClient *weir_producer_client(KafkaProducer *p);

extern KafkaProducer *
weir_producer_open(List *settings, const char *topic, char *err, size_t errlen);
/*
 * Queue one message (copied), waiting in interruptible slices while the queue
 * is full.  partition -1: by key.  headers: List of KafkaSetting, or NIL.
 * timestamp us or -1.  Raises on a local failure.
 */
extern void
weir_produce(KafkaProducer *p, int32 partition, const char *key, size_t key_len,
			 const char *payload, size_t len, int64 timestamp, List *headers);
/* Wait (interruptibly) until all is acknowledged; raises if any was not. */
extern void weir_producer_flush(KafkaProducer *p);
/* Closes at once; what is still queued is purged. */
extern void weir_producer_close(KafkaProducer *p);

#endif /* WEIR_KAFKA_H */
