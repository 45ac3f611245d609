/*
 * api/peek.c
 *		weir.peek: the newest messages of a stream, raw and decoded side by side.
 *
 * Backends, as the user, who needs SELECT on the stream; with the same user
 * mapping as a SELECT.  The newest of each partition are read and decoded as they
 * come, by the code that serves views; of all of them the newest are returned.
 * Everything lives in the function's memory context.
 */
#include "base/weir.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "api/sample.h"
#include "catalog/stream.h"
#include "common/string.h"
#include "decode/decode.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(weir_peek);

#define MOST_MESSAGES 10000
#define MOST_RECORDS  64 /* of a message that are decoded in one go */

typedef struct PeekRow
{
	int64 timestamp; /* us since 1970, or -1 */
	int64 offset;
	int32 partition;
	int32 record; /* in its message, in the order of decoding */
	char *key;
	char *headers;
	char *payload;
	char *row;
	char *error;
} PeekRow;

typedef struct Peek
{
	StreamDef *stream;
	TupleDesc desc; /* of the stream */
	Decoder *decoder;
	PeekRow *rows;
	int n;
	int capacity;
} Peek;

/* --- a message as text ------------------------------------------------------------ */

/* As it is if that is text, else in hexadecimal; NULL: there is none. */
static char *
readable(const char *bytes, size_t len)
{
	char *hex;

	if (bytes == NULL)
		return NULL;
	if (memchr(bytes, '\0', len) == NULL &&
		pg_verify_mbstr(PG_UTF8, bytes, (int) len, true) &&
		(GetDatabaseEncoding() == PG_UTF8 ||
		 GetDatabaseEncoding() == PG_SQL_ASCII || pg_is_ascii(bytes)))
		return pnstrdup(bytes, len);
	hex = palloc(len * 2 + 3);
	memcpy(hex, "\\x", 2);
	hex[2 + hex_encode(bytes, len, hex + 2)] = '\0';
	return hex;
}

/* A record of the batch as JSON, by the stream's columns. */
static char *
record_as_json(const Peek *peek, const EventBatch *b, int i)
{
	int natts = peek->desc->natts;
	Datum *values = palloc0(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	HeapTuple tuple;

	for (int a = 0; a < natts; a++)
	{
		nulls[a] = TupleDescAttr(peek->desc, a)->attisdropped ||
				   b->columns[a].nulls[i];
		if (!nulls[a])
			values[a] = b->columns[a].values[i];
	}
	tuple = heap_form_tuple(peek->desc, values, nulls);
	return TextDatumGetCString(
		DirectFunctionCall1(row_to_json,
							heap_copy_tuple_as_datum(tuple, peek->desc)));
}

/* --- collecting --------------------------------------------------------------------- */

static PeekRow *
add_row(Peek *peek, const KafkaMessage *m, int32 record)
{
	PeekRow *r;

	if (peek->n == peek->capacity)
	{
		peek->capacity *= 2;
		peek->rows = repalloc_huge(peek->rows, sizeof(PeekRow) * peek->capacity);
	}
	r = &peek->rows[peek->n++];
	*r = (PeekRow){.timestamp = m->timestamp,
				   .offset = m->offset,
				   .partition = m->partition,
				   .record = record,
				   .key = readable(m->key, m->key_len),
				   .headers = weir_message_headers(m),
				   .payload = readable(m->payload, m->len)};
	return r;
}

static const char *
error_of(const EventBatch *b, int record)
{
	for (int e = 0; e < b->nerrors; e++)
		if (b->errors[e].record == record)
			return b->errors[e].reason;
	return "the message cannot be used";
}

/* SampleTake */
static bool
take_message(void *arg, const KafkaMessage *m)
{
	Peek *peek = arg;
	EventBatch *b = weir_decode(peek->decoder, m, 1);
	int32 record = 0;

	for (; b; b = weir_decode_more(peek->decoder))
		for (int i = 0; i < b->n; i++)
		{
			PeekRow *r = add_row(peek, m, record++);

			if (!b->ok[i])
				r->error = pstrdup(error_of(b, i));
			else
				r->row = record_as_json(peek, b, i);
			if (b->ok[i] && b->event_time[i] == WEIR_NO_TIME)
				r->error = "the message has no event time";
		}
	return true;
}

/* The newest first; records of a message in their order. */
static int
compare_rows(const void *a, const void *b)
{
	const PeekRow *x = a;
	const PeekRow *y = b;

	if (x->timestamp != y->timestamp)
		return x->timestamp < y->timestamp ? 1 : -1;
	if (x->partition != y->partition)
		return x->partition > y->partition ? 1 : -1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? 1 : -1;
	return x->record > y->record ? 1 : -1;
}

/* --- the result ------------------------------------------------------------------------ */

static void
put_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	if (text)
		values[i] = CStringGetTextDatum(text);
}

static void
put_json(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	if (text)
		values[i] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

static void
put_row(ReturnSetInfo *rsinfo, const PeekRow *r)
{
	Datum values[8] = {0};
	bool nulls[8] = {false};

	values[0] = Int32GetDatum(r->partition);
	values[1] = Int64GetDatum(r->offset);
	nulls[2] = r->timestamp < 0;
	values[2] = TimestampTzGetDatum(r->timestamp - WEIR_EPOCH_SHIFT);
	put_text(values, nulls, 3, r->key);
	put_json(values, nulls, 4, r->headers);
	put_text(values, nulls, 5, r->payload);
	put_json(values, nulls, 6, r->row);
	put_text(values, nulls, 7, r->error);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Rows of the n newest messages. */
static void
put_newest(ReturnSetInfo *rsinfo, Peek *peek, int n)
{
	qsort(peek->rows, peek->n, sizeof(PeekRow), compare_rows);
	for (int i = 0; i < peek->n; i++)
	{
		n -= peek->rows[i].record == 0;
		if (n < 0)
			break;
		put_row(rsinfo, &peek->rows[i]);
	}
}

static Relation
open_stream(Oid relid)
{
	Relation rel;

	if (!weir_is_stream(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream",
						get_rel_name(relid) ? get_rel_name(relid) : "?")));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE,
					   get_rel_name(relid));
	rel = table_open(relid, AccessShareLock);
	return rel;
}

Datum
weir_peek(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int n = PG_GETARG_INT32(1);
	Relation rel = open_stream(PG_GETARG_OID(0));
	Peek peek = {.capacity = 64};
	Bitmapset *all = NULL;
	SampleWish wish = {.newest = n, .each = true};

	if (n < 1 || n > MOST_MESSAGES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("n must be from 1 to %d", MOST_MESSAGES)));
	InitMaterializedSRF(fcinfo, 0);
	peek.stream = weir_stream_load(RelationGetRelid(rel), GetUserId());
	peek.desc = RelationGetDescr(rel);
	for (int a = 1; a <= peek.desc->natts; a++)
		all = bms_add_member(all, a);
	peek.decoder = weir_decoder_new(peek.stream, all, MOST_RECORDS,
									CurrentMemoryContext);
	peek.rows = palloc(sizeof(PeekRow) * peek.capacity);
	wish.settings = peek.stream->settings;
	wish.topic = peek.stream->topic;
	wish.group = weir_stream_group(peek.stream);
	weir_sample_topic(&wish, take_message, &peek);
	put_newest(rsinfo, &peek, n);
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}
