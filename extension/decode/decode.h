/*
 * decode/decode.h
 *		Messages to columns: the batch that every view reads, and the decoder
 *		that fills it.
 *
 * Runs in ingest workers and in backends that SELECT from a stream.  The same
 * rules in both, so that the batch query over a stream is the oracle of its
 * views.
 */
#ifndef WEIR_DECODE_H
#define WEIR_DECODE_H

#include "base/weir.h"

#include "access/tupdesc.h"
#include "catalog/stream.h"
#include "kafka/kafka.h"
#include "nodes/bitmapset.h"

typedef struct ColumnVector
{
	Datum *values;
	bool *nulls;
} ColumnVector;

/* Why record i of the batch cannot be used. */
typedef struct DecodeError
{
	int record; /* index in the batch */
	int sqlstate;
	char *reason; /* in the batch's context */
} DecodeError;

/*
 * n records as columns.  Arrays have room for capacity records.  columns[a] is
 * for attno a + 1 and has NULL values where the column was not asked for.
 * By-reference values live in cxt, which the decoder resets at the start of
 * each weir_decode; they do not point into the messages.
 */
typedef struct EventBatch
{
	MemoryContext cxt;
	int capacity;
	int n;
	int32 *partition;
	int64 *offset;
	int64 *event_time; /* PostgreSQL's epoch, us; WEIR_NO_TIME: none */
	bool *ok;          /* false: listed in errors */
	ColumnVector *columns;
	const KafkaMessage *msgs; /* what was decoded, by record */
	/* Where a message may hold several records: its number in the message, and
	 * whether it is the last one there.  Else NULL. */
	int32 *record;
	bool *last;
	int nerrors;
	DecodeError *errors; /* ascending by record */
} EventBatch;

typedef struct Decoder Decoder;

/*
 * needed: attnos (as plain numbers, from 1) whose values are wanted; every
 * declared column is checked all the same, as is event_time.  All memory in cxt.
 */
extern Decoder *
weir_decoder_new(const StreamDef *stream, const Bitmapset *needed, int capacity,
				 MemoryContext cxt);
/*
 * Decode n <= capacity messages; the batch belongs to the decoder and is valid
 * until the next call.  A message that cannot be decoded never raises: it is in
 * errors.  Needs a transaction (input functions, subtransactions).
 *
 * Messages that hold several records may not fit into one batch: msgs has to
 * stay as it is until weir_decode_more, which decodes what is left, has returned
 * NULL.
 */
extern EventBatch *weir_decode(Decoder *d, const KafkaMessage *msgs, int n);
extern EventBatch *weir_decode_more(Decoder *d);

/*
 * Encode one row as the payload that this stream's format would read back; and
 * its columns that come from the key, of which there are some, as the key.
 * NULL: none.
 */
extern char *
weir_encode_row(const StreamDef *stream, TupleDesc desc, const Datum *values,
				const bool *nulls, size_t *len);
extern char *
weir_encode_key(const StreamDef *stream, TupleDesc desc, const Datum *values,
				const bool *nulls, size_t *len);

#endif /* WEIR_DECODE_H */
