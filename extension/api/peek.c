/*
 * api/peek.c
 *		weir.peek: the newest messages of a stream, raw and decoded side by side.
 *
 * Backends, as the user, who needs SELECT on the stream; with the same user
 * mapping as a SELECT, but the code of types runs as the stream's owner.  The
 * newest of each partition are read and decoded as they come, by the code that
 * serves views; of all of them the newest are returned.  There may be very many
 * partitions, and records in a message, so what is not among the newest is let go
 * of meanwhile, and what is returned has a bound, too.
 */
#include "base/weir.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "api/as_jsonb.h"
#include "api/sample.h"
#include "catalog/stream.h"
#include "catalog/view.h"
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
/* What the rows may take together. */
#define MOST_BYTES    (64 * 1024 * 1024)

typedef struct PeekRow
{
	int64 timestamp; /* us since 1970, or -1 */
	int64 offset;
	int32 partition;
	int32 record; /* in its message, in the order of decoding */
	size_t bytes; /* of all that is shown */
	char *key;    /* these three are those of the message's first row */
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
	MemoryContext work; /* of a row */
	PeekRow *rows;
	int n;
	int capacity;
	int wanted;    /* messages */
	int nmessages; /* in rows */
	size_t bytes;  /* of rows */
	bool cut;      /* there was more than MOST_BYTES */
} Peek;

/* --- a message as text ------------------------------------------------------------ */

/* (pg_is_ascii wants a string that ends.) */
static bool
is_ascii(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(bytes[i]))
			return false;
	return true;
}

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
		 GetDatabaseEncoding() == PG_SQL_ASCII || is_ascii(bytes, len)))
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
	MemoryContext cxt = MemoryContextSwitchTo(peek->work);
	int natts = peek->desc->natts;
	Datum *values = palloc0(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	HeapTuple tuple;
	char *json;

	for (int a = 0; a < natts; a++)
	{
		nulls[a] = TupleDescAttr(peek->desc, a)->attisdropped ||
				   b->columns[a].nulls[i];
		if (!nulls[a])
			values[a] = b->columns[a].values[i];
	}
	tuple = heap_form_tuple(peek->desc, values, nulls);
	json = TextDatumGetCString(
		DirectFunctionCall1(row_to_json,
							heap_copy_tuple_as_datum(tuple, peek->desc)));
	json = MemoryContextStrdup(cxt, json);
	MemoryContextSwitchTo(cxt);
	MemoryContextReset(peek->work);
	return json;
}

/* --- collecting --------------------------------------------------------------------- */

static size_t
length(const char *text)
{
	return text ? strlen(text) : 0;
}

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
	if (record > 0)
	{
		*r = r[-1];
		r->row = r->error = NULL;
	}
	else
		*r = (PeekRow){.timestamp = m->timestamp,
					   .offset = m->offset,
					   .partition = m->partition,
					   .key = readable(m->key, m->key_len),
					   .headers = weir_message_headers(m),
					   .payload = readable(m->payload, m->len)};
	r->record = record;
	peek->nmessages += record == 0;
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

static void
take_record(Peek *peek, const EventBatch *b, int i, PeekRow *r)
{
	if (!b->ok[i])
		r->error = pstrdup(error_of(b, i));
	else
		r->row = record_as_json(peek, b, i);
	if (b->ok[i] && b->event_time[i] == WEIR_NO_TIME)
		r->error = pstrdup("the message has no event time");
	r->bytes = sizeof(*r) + length(r->key) + length(r->headers) +
			   length(r->payload) + length(r->row) + length(r->error);
	peek->bytes += r->bytes;
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

static void
free_text(char *text)
{
	if (text)
		pfree(text);
}

static void
free_row(const PeekRow *r)
{
	free_text(r->row);
	free_text(r->error);
	if (r->record > 0)
		return;
	free_text(r->key);
	free_text(r->headers);
	free_text(r->payload);
}

/* Keep the newest messages only, and of them what there is room for. */
static void
keep_newest(Peek *peek)
{
	int all = peek->n;

	qsort(peek->rows, all, sizeof(PeekRow), compare_rows);
	peek->n = peek->nmessages = 0;
	peek->bytes = 0;
	for (; peek->n < all; peek->n++)
	{
		const PeekRow *r = &peek->rows[peek->n];

		if (r->record == 0 && peek->nmessages == peek->wanted)
			break;
		peek->cut = peek->cut || peek->bytes + r->bytes > MOST_BYTES;
		if (peek->n > 0 && peek->bytes + r->bytes > MOST_BYTES)
			break;
		peek->nmessages += r->record == 0;
		peek->bytes += r->bytes;
	}
	for (int i = all - 1; i >= peek->n; i--)
		free_row(&peek->rows[i]);
}

/* SampleTake.  Checks of domains and casts to JSON are of the stream's owner. */
static bool
take_message(void *arg, const KafkaMessage *m)
{
	Peek *peek = arg;
	WeirUser user = weir_become_stream_owner(peek->stream->owner);
	EventBatch *b = weir_decode(peek->decoder, m, 1);
	size_t before = peek->bytes;
	int32 record = 0;

	/* More of one message than may be shown is not looked at. */
	for (; b && peek->bytes - before <= MOST_BYTES;
		 b = weir_decode_more(peek->decoder))
		for (int i = 0; i < b->n; i++)
			take_record(peek, b, i, add_row(peek, m, record++));
	if (peek->nmessages > 2 * peek->wanted + MOST_RECORDS ||
		peek->bytes > 2 * MOST_BYTES)
		keep_newest(peek);
	weir_become_again(user);
	return true;
}

/* --- the result ------------------------------------------------------------------------ */

static void
put_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	if (text)
		values[i] = CStringGetTextDatum(text);
}

/* False: jsonb cannot hold it. */
static bool
put_json(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL || !weir_as_jsonb(text, strlen(text),
											  GetDatabaseEncoding(), &values[i]);
	return text == NULL || !nulls[i];
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
	(void) put_json(values, nulls, 4, r->headers);
	put_text(values, nulls, 5, r->payload);
	if (put_json(values, nulls, 6, r->row))
		put_text(values, nulls, 7, r->error);
	else
		put_text(values, nulls, 7, "the row has values that jsonb cannot hold");
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Rows of the newest messages. */
static void
put_newest(ReturnSetInfo *rsinfo, Peek *peek)
{
	MemoryContext cxt = MemoryContextSwitchTo(peek->work);

	keep_newest(peek);
	for (int i = 0; i < peek->n; i++)
	{
		put_row(rsinfo, &peek->rows[i]);
		MemoryContextReset(peek->work);
	}
	MemoryContextSwitchTo(cxt);
	if (peek->cut)
		ereport(NOTICE,
				(errmsg("less than was asked for: the rows would take more than %d MB",
						MOST_BYTES / 1024 / 1024)));
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
	Peek peek = {.capacity = 64, .wanted = n};
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
	peek.work = AllocSetContextCreate(CurrentMemoryContext, "weir peek",
									  ALLOCSET_DEFAULT_SIZES);
	peek.rows = palloc(sizeof(PeekRow) * peek.capacity);
	wish.settings = peek.stream->settings;
	wish.topic = peek.stream->topic;
	wish.group = weir_stream_group(peek.stream);
	weir_sample_topic(&wish, take_message, &peek);
	put_newest(rsinfo, &peek);
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}
