/*
 * decode/decode.c
 *		The decoder: Kafka messages in, an EventBatch out.
 *
 * Called by ingest workers for each batch that they poll, and by backends that
 * scan a stream, in a transaction; it takes no lock.  One decoder serves one
 * stream in one process.
 *
 * A batch goes through three steps: each record is scanned once and its values
 * converted (convert.c), values that need their type's input function are
 * converted together (slow.c), then event times are taken and checked.  Every
 * declared column is converted far enough to know that its value is good,
 * wanted or not, so that what is a dead letter does not depend on which views
 * exist.  A record has at most one error, the first that is found in this
 * order; it depends on nothing but the record.
 *
 * Memory: see decoder.h.  Values by reference are laid into a chunk that is
 * kept and, if a batch did not fit, made larger before the next one; so no
 * memory is asked for in the steady state.
 */
#include "decode/decoder.h"

#include "access/transam.h"
#include "common/int.h"
#include "decode/decimal.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#define CHUNK_INITIAL (64 * 1024)

/* --- columns ------------------------------------------------------------- */

/* The vector of all columns that are not wanted. */
static ColumnVector
null_vector(Decoder *d)
{
	ColumnVector vector;

	vector.values = palloc0(sizeof(Datum) * d->batch.capacity);
	vector.nulls = palloc(sizeof(bool) * d->batch.capacity);
	memset(vector.nulls, true, sizeof(bool) * d->batch.capacity);
	return vector;
}

/* The bytes that a column comes from; NULL: none. */
static Source *
source_of(Decoder *d, const StreamColumn *def)
{
	if (def->source == STREAM_SRC_PAYLOAD)
		return &d->value;
	return def->source == STREAM_SRC_KEY_FIELD ? &d->key : NULL;
}

/*
 * One column of the stream; vector is where its values are shown.  That its
 * type fits its source was checked when the stream was loaded.
 */
static void
add_column(Decoder *d, int attno, bool wanted, ColumnVector *vector)
{
	const StreamColumn *def = &d->stream->columns[attno - 1];
	Source *src = source_of(d, def);
	Column *col = src != NULL ? &src->columns[src->ncolumns]
							  : &d->meta[d->nmeta++];

	weir_column_init(d, col, def);
	if (src != NULL)
		weir_source_add(d, src, col);
	if (attno == d->stream->event_time)
		d->time = col;
	if (col->null_input || def->type >= FirstNormalObjectId)
		d->needs_snapshot = true;

	col->store = wanted || col == d->time;
	if (col->store)
	{
		col->values = palloc(sizeof(Datum) * d->batch.capacity);
		col->nulls = palloc(sizeof(bool) * d->batch.capacity);
	}
	if (wanted)
	{
		vector->values = col->values;
		vector->nulls = col->nulls;
	}
}

static void
add_columns(Decoder *d, const Bitmapset *needed)
{
	int n = d->stream->ncolumns;
	ColumnVector nothing = null_vector(d);
	int attno;

	d->batch.columns = palloc(sizeof(ColumnVector) * Max(n, 1));
	weir_source_init(d, &d->value, d->stream->format, false);
	weir_source_init(d, &d->key, d->stream->key_format, true);
	d->meta = palloc0(sizeof(Column) * Max(n, 1));
	for (attno = 1; attno <= n; attno++)
	{
		d->batch.columns[attno - 1] = nothing;
		if (d->stream->columns[attno - 1].source != STREAM_SRC_DROPPED)
			add_column(d, attno, bms_is_member(attno, needed),
					   &d->batch.columns[attno - 1]);
	}
	weir_source_ready(d, &d->value);
	weir_source_ready(d, &d->key);
}

Decoder *
weir_decoder_new(const StreamDef *stream, const Bitmapset *needed, int capacity,
				 MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Decoder *d = palloc0(sizeof(Decoder));
	EventBatch *b = &d->batch;

	d->stream = stream;
	d->cxt = cxt;
	d->plain_utf8 = GetDatabaseEncoding() == PG_UTF8 ||
					GetDatabaseEncoding() == PG_SQL_ASCII;
	d->topic = CStringGetTextDatum(stream->topic);

	b->cxt = AllocSetContextCreate(cxt, "weir event batch",
								   ALLOCSET_DEFAULT_SIZES);
	b->capacity = capacity;
	b->partition = palloc(sizeof(int32) * capacity);
	b->offset = palloc(sizeof(int64) * capacity);
	b->event_time = palloc(sizeof(int64) * capacity);
	b->ok = palloc(sizeof(bool) * capacity);
	b->errors = palloc(sizeof(DecodeError) * capacity);

	add_columns(d, needed);
	if (stream->records != STREAM_ONE || stream->format == STREAM_DEBEZIUM)
		weir_split_init(d);
	MemoryContextSwitchTo(old);
	return d;
}

/* --- memory -------------------------------------------------------------- */

/* Bytes of the chunks that the last batch used. */
static Size
chunk_used(const Decoder *d)
{
	if (d->overflow > 0)
		return d->chunk_size + d->overflow;
	return d->next - d->chunk;
}

/* Make the chunk fit what the last batch used, and begin to fill it. */
static void
chunk_reset(Decoder *d)
{
	Size used = chunk_used(d);
	Size size = d->chunk_size;

	if (used > size)
		size = used + used / 4;
	else if (size > 16 * CHUNK_INITIAL && used < size / 16)
		size = used * 2;
	size = MAXALIGN(Max(size, CHUNK_INITIAL));
	d->overflow = 0;
	if (size != d->chunk_size)
	{
		if (d->chunk != NULL)
			pfree(d->chunk);
		d->chunk = d->next = d->end = NULL;
		d->chunk_size = 0;
		d->chunk = MemoryContextAllocHuge(d->cxt, size);
		d->chunk_size = size;
	}
	d->next = d->chunk;
	d->end = d->chunk + d->chunk_size;
}

/* Begin another chunk, with room for size bytes at least. */
char *
weir_decode_grow(Decoder *d, Size size)
{
	Size more = Max(size, d->chunk_size / 2);

	d->next = MemoryContextAllocHuge(d->batch.cxt, more);
	d->end = d->next + more;
	d->overflow += more;
	return d->next;
}

/* --- errors -------------------------------------------------------------- */

static void
clear_record(Column *columns, int n, int record)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (columns[i].store)
		{
			columns[i].values[record] = (Datum) 0;
			columns[i].nulls[record] = true;
		}
	}
}

/*
 * Note that a record cannot be used: once per record.  reason is in batch.cxt.
 * Where a message holds several, it says which one it is.
 */
void
weir_decode_fail(Decoder *d, int record, int sqlstate, char *reason)
{
	EventBatch *b = &d->batch;
	DecodeError *error = &b->errors[b->nerrors++];

	Assert(b->ok[record]);
	error->record = record;
	error->sqlstate = sqlstate;
	error->reason = reason;
	if (b->msgs[record].record > 0 || (b->last != NULL && !b->last[record]))
		error->reason = psprintf("record %d: %s", b->msgs[record].record,
								 reason);
	b->ok[record] = false;
	b->event_time[record] = WEIR_NO_TIME;
	clear_record(d->value.columns, d->value.ncolumns, record);
	clear_record(d->key.columns, d->key.ncolumns, record);
	clear_record(d->meta, d->nmeta, record);
}

static int
compare_errors(const void *a, const void *b)
{
	return ((const DecodeError *) a)->record - ((const DecodeError *) b)->record;
}

/* --- records ------------------------------------------------------------- */

/* kafka/ makes their JSON, in the server's encoding: good if nobody wants it. */
static bool
decode_headers(Decoder *d, Column *col, int record, const KafkaMessage *m)
{
	char *text = weir_message_headers(m);
	WjValue v = {text, 0, WJ_ARRAY, false};

	if (text == NULL)
		return weir_convert_null(d, col, record);
	if (!col->store && d->plain_utf8)
		return true;
	v.len = (uint32_t) strlen(text);
	weir_put_aside(d, col, record, &v, true);
	return true;
}

static bool
decode_meta(Decoder *d, Column *col, int record, const KafkaMessage *m)
{
	Datum value;

	switch (col->def->source)
	{
		case STREAM_SRC_TOPIC:
			value = d->topic;
			break;
		case STREAM_SRC_PARTITION:
			value = Int32GetDatum(m->partition);
			break;
		case STREAM_SRC_OFFSET:
			value = Int64GetDatum(m->offset);
			break;
		case STREAM_SRC_TIMESTAMP:
			if (m->timestamp < 0)
				return weir_convert_null(d, col, record);
			return weir_convert_time(d, col, record, m->timestamp);
		case STREAM_SRC_KEY:
			if (m->key == NULL)
				return weir_convert_null(d, col, record);
			return weir_convert_bytes(d, col, record, m->key, m->key_len);
		case STREAM_SRC_RECORD:
			value = Int32GetDatum(m->record);
			break;
		case STREAM_SRC_HEADERS:
			return decode_headers(d, col, record, m);
		default:
			elog(ERROR, "unexpected source of column \"%s\"", col->def->name);
	}
	if (col->store)
	{
		col->values[record] = value;
		col->nulls[record] = false;
	}
	return true;
}

/* The columns that come from the key; a message without one has none of them. */
static bool
decode_key(Decoder *d, int record, const KafkaMessage *m)
{
	Source *key = &d->key;
	int i;

	if (m->key != NULL)
		return weir_source_decode(d, key, record, m->key, m->key_len);
	for (i = 0; i < key->ncolumns; i++)
	{
		if (!weir_convert_null(d, &key->columns[i], record))
			return false;
	}
	return true;
}

static inline bool
is_key(const Column *meta)
{
	return meta->def->source == STREAM_SRC_KEY;
}

static inline void
copy_value(Column *col, int from, int record)
{
	if (!col->store)
		return;
	col->values[record] = col->values[from];
	col->nulls[record] = col->nulls[from];
}

/* What comes from the key is, in memory, that of a record of the same message. */
static void
share_key(Decoder *d, int record)
{
	for (int i = 0; i < d->key.ncolumns; i++)
		copy_value(&d->key.columns[i], d->keyed, record);
	for (int i = 0; i < d->nmeta; i++)
		if (is_key(&d->meta[i]))
			copy_value(&d->meta[i], d->keyed, record);
}

static bool
decode_value(Decoder *d, int record, const KafkaMessage *m)
{
	if (likely(m->payload != NULL))
		return weir_source_decode(d, &d->value, record, m->payload, m->len);
	weir_decode_fail(d, record, ERRCODE_NULL_VALUE_NOT_ALLOWED,
					 pstrdup("message has no value (tombstone)"));
	return false;
}

static bool
decode_columns(Decoder *d, int record, const KafkaMessage *m)
{
	int i;

	if (!decode_value(d, record, m))
		return false;
	if (d->keyed >= 0)
		share_key(d, record);
	else if (d->key.ncolumns > 0 && !decode_key(d, record, m))
		return false;
	for (i = 0; i < d->nmeta; i++)
	{
		if (d->keyed >= 0 && is_key(&d->meta[i]))
			continue;
		if (!decode_meta(d, &d->meta[i], record, m))
			return false;
	}
	return true;
}

/* Decode one record; false: it failed. */
bool
weir_decode_record(Decoder *d, int record, const KafkaMessage *m)
{
	EventBatch *b = &d->batch;
	int nslow = d->nslow;

	b->partition[record] = m->partition;
	b->offset[record] = m->offset;
	b->ok[record] = true;
	if (likely(decode_columns(d, record, m)))
		return true;
	d->nslow = nslow;
	return false;
}

/* --- event time ---------------------------------------------------------- */

/*
 * The value of the event_time column as a time; NULL and the infinities have
 * none.  False: it is a date beyond all timestamps.
 */
static bool
column_event_time(const Column *col, int record, int64 *time)
{
	Datum value = col->values[record];

	*time = WEIR_NO_TIME;
	if (col->nulls[record])
		return true;
	if (col->kind != CONV_DATE)
	{
		if (!TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
			*time = DatumGetTimestamp(value);
		return true;
	}
	if (DATE_NOT_FINITE(DatumGetDateADT(value)))
		return true;
	return !pg_mul_s64_overflow(DatumGetDateADT(value), USECS_PER_DAY, time) &&
		   IS_VALID_TIMESTAMP(*time);
}

static char *
seconds_text(int64 us)
{
	if (us % USECS_PER_SEC == 0)
		return psprintf(INT64_FORMAT " s", us / USECS_PER_SEC);
	return psprintf(INT64_FORMAT ".%06d s", us / USECS_PER_SEC,
					(int) (us % USECS_PER_SEC));
}

/* Is the event too far beyond the time that Kafka gave the record? */
static bool
is_ahead(const Decoder *d, const KafkaMessage *m, int64 time, int64 *ahead)
{
	if (m->timestamp < 0 || time == WEIR_NO_TIME)
		return false;
	if (pg_sub_s64_overflow(time, m->timestamp - WEIR_EPOCH_SHIFT, ahead))
		*ahead = time > 0 ? PG_INT64_MAX : PG_INT64_MIN;
	return *ahead > d->stream->max_ahead;
}

static void
take_column_time(Decoder *d, int record, const KafkaMessage *m)
{
	int64 time;
	int64 ahead;

	if (!column_event_time(d->time, record, &time))
		weir_decode_fail(d, record, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
						 psprintf("column \"%s\": date out of range for timestamp",
								  d->time->def->name));
	else if (unlikely(is_ahead(d, m, time, &ahead)))
		weir_decode_fail(d, record, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
						 psprintf("column \"%s\": event time is %s beyond the message's timestamp, more than max_ahead (%s)",
								  d->time->def->name, seconds_text(ahead),
								  seconds_text(d->stream->max_ahead)));
	else
		d->batch.event_time[record] = time;
}

static void
take_event_times(Decoder *d, const KafkaMessage *msgs)
{
	EventBatch *b = &d->batch;
	int i;

	for (i = 0; i < b->n; i++)
	{
		if (!b->ok[i])
			continue;
		if (d->time != NULL)
			take_column_time(d, i, &msgs[i]);
		else if (msgs[i].timestamp < 0)
			b->event_time[i] = WEIR_NO_TIME;
		else if (weir_time_in_range(msgs[i].timestamp))
			b->event_time[i] = msgs[i].timestamp - WEIR_EPOCH_SHIFT;
		else
			weir_decode_fail(d, i, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							 pstrdup("message's timestamp out of range"));
	}
}

/* Decode what fits into a batch, of the messages that are left. */
static EventBatch *
decode_batch(Decoder *d)
{
	EventBatch *b = &d->batch;
	MemoryContext old;
	int i;

	MemoryContextReset(b->cxt);
	old = MemoryContextSwitchTo(b->cxt);
	chunk_reset(d);
	b->nerrors = 0;
	d->nslow = 0;
	d->keyed = -1;
	if (d->parts != NULL)
		weir_split_records(d);
	else
	{
		b->n = d->nmsgs;
		b->msgs = d->msgs;
		for (i = 0; i < b->n; i++)
			(void) weir_decode_record(d, i, &b->msgs[i]);
	}
	weir_convert_slow(d);
	take_event_times(d, b->msgs);
	qsort(b->errors, b->nerrors, sizeof(DecodeError), compare_errors);
	MemoryContextSwitchTo(old);
	return b;
}

EventBatch *
weir_decode(Decoder *d, const KafkaMessage *msgs, int n)
{
	Assert(n <= d->batch.capacity);
	weir_split_begin(d, msgs, n);
	return decode_batch(d);
}

EventBatch *
weir_decode_more(Decoder *d)
{
	if (d->parts == NULL || weir_split_ended(d))
		return NULL;
	return decode_batch(d);
}
