/*
 * decode/decoder.h
 *		What the files of decode/ share: the decoder, its columns, and how a
 *		value that was not decided at once is put aside.
 *
 * A batch goes through three steps (decode.c): each record is found (split.c) and
 * scanned (source.c), and its values are converted by code that can neither raise
 * nor call an input function (convert.c); what that code does not know is put aside and then
 * converted by the types' input functions in one subtransaction (slow.c; JSON
 * arrays: array.c); at last the event times are read from their column.
 * Everything runs on the thread of one process and takes no lock.
 *
 * Memory: the Decoder and its arrays are in the context given to
 * weir_decoder_new and are kept from batch to batch, the buffer for the values
 * by reference included; reasons and what input functions return are in
 * batch.cxt, which each batch resets.
 */
#ifndef WEIR_DECODE_DECODER_H
#define WEIR_DECODE_DECODER_H

#include "base/weir.h"

#include "access/tupdesc.h"
#include "core/csv.h"
#include "core/json.h"
#include "core/records.h"
#include "decode/decode.h"

/* Which converter of convert.c a column has. */
typedef enum ConvKind
{
	CONV_INPUT, /* the type's input function, always */
	CONV_BOOL,
	CONV_INT2,
	CONV_INT4,
	CONV_INT8,
	CONV_FLOAT4,
	CONV_FLOAT8,
	CONV_NUMERIC,
	CONV_TEXT,  /* text; varchar up to max_len bytes */
	CONV_BYTES, /* bytea that takes bytes as they are */
	CONV_JSON,
	CONV_JSONB,
	CONV_UUID,
	CONV_TIMESTAMPTZ,
	CONV_TIMESTAMP,
	CONV_DATE
} ConvKind;

typedef struct ArrayReader ArrayReader; /* array.c */
typedef struct AvroReader AvroReader;   /* avro.c */
typedef struct Debezium Debezium;       /* debezium.c */

typedef struct Column
{
	const StreamColumn *def;
	ConvKind kind;
	bool store;      /* wanted: write values[] and nulls[] */
	bool whole_json; /* the value is JSON itself, not its ->> text */
	bool null_input; /* a domain: its input function sees NULLs */
	int path;        /* in WjValue[]: a path of json, or a field of csv */
	uint32 max_len;  /* CONV_TEXT: longer ones may need cutting */
	Datum *values;   /* by record; NULL if not stored */
	bool *nulls;
	FmgrInfo input;
	Oid ioparam;
	ArrayReader *array; /* for JSON arrays; NULL if the type is none */
} Column;

/* A value for an input function.  It points into the message. */
typedef struct SlowValue
{
	Column *column;
	int record;
	bool server_encoding; /* else UTF-8 */
	WjValue value;
} SlowValue;

/* Bytes that columns come from: a message's value, or its key. */
typedef struct Source
{
	StreamFormat format;
	bool key;
	int ncolumns;
	Column *columns;
	WjPaths *paths;   /* json only */
	WjGuess *guess;   /* the order of keys, from message to message */
	WsvDialect csv;   /* csv only */
	AvroReader *avro; /* avro only */
	Debezium *debezium;
	WjValue *scanned; /* by Column.path */
} Source;

struct Decoder
{
	const StreamDef *stream;
	MemoryContext cxt; /* the decoder's own */
	EventBatch batch;
	Source value;
	Source key; /* often without columns */
	int nmeta;
	Column *meta;        /* columns of the record's envelope */
	Column *time;        /* the event_time column, or NULL */
	Datum topic;         /* text */
	bool plain_utf8;     /* checked UTF-8 is good for text as it is */
	bool needs_snapshot; /* some input function may run SQL */

	/* messages that hold several records (split.c) */
	KafkaMessage *parts; /* one for each record; NULL: there are no such */
	WjPaths *nothing;    /* to check an array as a whole */
	const KafkaMessage *msgs;
	int nmsgs;
	int at;            /* the next message; the one before it may go on */
	WsRecords records; /* what is left of that */
	int number;        /* of its next record */
	bool whole;        /* it is one record itself */
	bool no_record;    /* what was decoded last is none */
	int keyed;         /* a record of the batch that has the same key, or -1 */
	const char *bad;   /* ... since it is no array, say */

	/* values by reference: the chunk that is being filled */
	char *chunk; /* the first one, kept from batch to batch */
	Size chunk_size;
	Size overflow; /* bytes of further ones, in batch.cxt */
	char *next;
	char *end;

	/* values put aside, ascending by record */
	int nslow;
	int slow_capacity;
	SlowValue *slow;
	const SlowValue *current; /* the one that is being converted */
	char *text;               /* the text of one of them, terminated */
	Size text_size;
};

/* decode.c */
extern void weir_decode_fail(Decoder *d, int record, int sqlstate, char *reason);
extern char *weir_decode_grow(Decoder *d, Size size);
extern bool weir_decode_record(Decoder *d, int record, const KafkaMessage *m);

/* split.c */
extern void weir_split_init(Decoder *d);
extern void weir_split_begin(Decoder *d, const KafkaMessage *msgs, int n);
extern bool weir_split_ended(const Decoder *d);
extern void weir_split_records(Decoder *d);

/* avro.c */
extern void weir_avro_init(Decoder *d, Source *src);
extern bool weir_avro_decode(Decoder *d, Source *src, int record,
							 const char *bytes, size_t len);

/* debezium.c */
extern void weir_debezium_init(Decoder *d, Source *src);
extern bool weir_debezium_decode(Decoder *d, Source *src, int record,
								 const char *bytes, size_t len);

/* source.c */
extern void
weir_source_init(Decoder *d, Source *src, StreamFormat format, bool key);
extern void weir_source_add(Decoder *d, Source *src, Column *col);
extern void weir_source_ready(Decoder *d, Source *src);
extern bool weir_source_decode(Decoder *d, Source *src, int record,
							   const char *bytes, size_t len);

/* convert.c */
extern void weir_column_init(Decoder *d, Column *col, const StreamColumn *def);
extern bool weir_convert_values(Decoder *d, Source *src, int record);
extern void
weir_convert_one(Decoder *d, Column *col, int record, const WjValue *value);
extern void weir_store_value(Column *col, int record, Datum value);
extern char *weir_convert_room(Decoder *d, Size size);
extern bool weir_convert_bytes(Decoder *d, Column *col, int record,
							   const char *bytes, size_t len);
extern bool weir_convert_null(Decoder *d, Column *col, int record);
extern bool weir_convert_time(Decoder *d, Column *col, int record, int64 us);
extern void weir_put_aside(Decoder *d, Column *col, int record,
						   const WjValue *value, bool server_encoding);

/* slow.c */
extern void weir_convert_slow(Decoder *d);
extern Datum weir_slow_datum(Decoder *d, const SlowValue *slow, bool *isnull);
extern bool weir_is_time(const Column *col);
extern Datum weir_column_datum(const Column *col, int64 us);

/* array.c */
extern void weir_array_init(Decoder *d, Column *col);
extern Datum weir_array_datum(Decoder *d, const SlowValue *slow);

#endif /* WEIR_DECODE_DECODER_H */
