/*
 * catalog/stream.h
 *		A stream: a foreign table of the wrapper "weir", its options resolved.
 */
#ifndef WEIR_CATALOG_STREAM_H
#define WEIR_CATALOG_STREAM_H

#include "base/weir.h"

#include "access/attnum.h"
#include "kafka/registry.h"
#include "nodes/pg_list.h"

typedef enum StreamFormat
{
	STREAM_JSON,
	STREAM_CSV,
	STREAM_RAW,
	STREAM_AVRO,
	STREAM_DEBEZIUM,      /* changes of rows, in JSON */
	STREAM_AVRO_CONFLUENT /* ids of a registry's schemas before it */
} StreamFormat;

/* What a message holds. */
typedef enum StreamRecords
{
	STREAM_ONE,   /* one record; default */
	STREAM_LINES, /* one on each line */
	STREAM_ARRAY, /* json: the elements of an array */
	STREAM_AUTO   /* json: any of these, as it comes */
} StreamRecords;

typedef enum StreamOnError
{
	STREAM_DEAD_LETTER, /* default */
	STREAM_SKIP,
	STREAM_STOP
} StreamOnError;

/* Where to go on when the broker no longer has what is next. */
/* What becomes of dead letters beyond their limit. */
typedef enum StreamLettersFull
{
	STREAM_FULL_COUNT, /* they are only counted; default */
	STREAM_FULL_DROP_OLDEST,
	STREAM_FULL_STOP
} StreamLettersFull;

typedef enum StreamOffsetReset
{
	STREAM_RESET_ERROR, /* nowhere; default */
	STREAM_RESET_EARLIEST,
	STREAM_RESET_LATEST
} StreamOffsetReset;

/* Where a column's value comes from. */
typedef enum StreamSource
{
	STREAM_SRC_DROPPED,   /* a dropped column: always NULL */
	STREAM_SRC_PAYLOAD,   /* a path (json), a field (csv), or all of it (raw) */
	STREAM_SRC_KEY_FIELD, /* the same of the key */
	STREAM_SRC_TOPIC,
	STREAM_SRC_PARTITION,
	STREAM_SRC_OFFSET,
	STREAM_SRC_TIMESTAMP,
	STREAM_SRC_KEY,
	STREAM_SRC_HEADERS,
	STREAM_SRC_RECORD,  /* its number in the message */
	STREAM_SRC_ENVELOPE /* debezium: of the change, resolved to payload */
} StreamSource;

typedef struct StreamColumn
{
	char *name;
	Oid type;
	int32 typmod;
	Oid collation;
	bool not_null;
	StreamSource source;
	char *path;        /* json: column name, or the option path */
	bool envelope;     /* debezium: the path is not the row's */
	bool path_literal; /* the column's name: one key, not a path */
	int64 unit_num;    /* numeric time: us = value * num / den; 0: no unit */
	int64 unit_den;
} StreamColumn;

/* As COPY's options of these names. */
typedef struct StreamCsv
{
	char delimiter;
	char quote;
	char escape;
	char *null;
} StreamCsv;

typedef struct StreamDef
{
	Oid relid;
	Oid serverid;
	Oid owner;
	char *nspname;
	char *relname;
	char *topic;
	StreamFormat format;
	StreamFormat key_format;
	StreamRecords records;
	bool deletes; /* debezium: deleted rows are rows */
	StreamCsv csv;
	char *avro_schema; /* of avro without a registry, or NULL */
	char *avro_key_schema;
	RegistryAddress registry;
	StreamOnError on_error;
	StreamOffsetReset offset_reset;
	AttrNumber event_time; /* attno, or 0: Kafka's timestamp */
	int64 watermark_delay; /* us */
	int64 max_ahead;       /* us */
	int64 idle_timeout;    /* us */
	int64 letters_limit;   /* bytes of dead letters; 0: none */
	StreamLettersFull letters_full;
	int letter_rate;    /* kept in a second, by each worker; 0: all */
	int workers;        /* that read it; 0: weir.ingest_workers */
	int64 idle_advance; /* us; -1: off */
	char *start;        /* where views begin: see place.h */
	int ncolumns;       /* attno - 1 indexes columns */
	StreamColumn *columns;
	List *settings; /* of KafkaSetting: server's and user mapping's */
} StreamDef;

/* Is this relation a stream (foreign table of the wrapper weir with a topic)? */
extern bool weir_is_stream(Oid relid);
/*
 * Load and resolve a stream with the user mapping of userid (its owner's for
 * workers).  Raises when relid is no stream.  Result in the current context.
 */
extern StreamDef *weir_stream_load(Oid relid, Oid userid);

/*
 * Options of a server and of this user's mapping, as settings for kafka/.  Raises
 * when the server is of another wrapper.
 */
extern List *weir_server_settings(Oid serverid, Oid userid);

/*
 * Check one option of a foreign table (catalog ForeignTableRelationId) or of
 * its column (AttributeRelationId); raises if the value is impossible.  False:
 * there is no such option here.
 */
extern bool
weir_stream_check_option(Oid catalog, const char *name, const char *value);
/* Offer the options of this catalog to a search for the nearest name. */
struct NearestName;
extern void weir_stream_nearest_option(Oid catalog, struct NearestName *nearest);

/* Consumer group shown to Kafka's tools: weir.<database>.<schema>.<stream>. */
extern char *weir_stream_group(const StreamDef *stream);

#endif /* WEIR_CATALOG_STREAM_H */
