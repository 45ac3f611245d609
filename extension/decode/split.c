/*
 * decode/split.c
 *		Messages that hold several records: which bytes are the next one.
 *
 * Called by decode.c where the stream's option "records" says so.  Each record
 * becomes a message of its own in d->parts, with the offset, key and time of the
 * message that it is part of, and a number in it; so it is also what a dead letter
 * or late event keeps.  What columns take from the key they take once: a message
 * may have a key as large as it can be, and a record for every two bytes.  A message that cannot be taken apart, since it is no
 * array, say, is one record as a whole.  One that holds none is passed over, as
 * are changes that bring no row (debezium.c).
 *
 * A batch may end in the middle of a message; the next one goes on there, and
 * views know how many of its records they have (core/progress.h).
 *
 * A record that has not all bytes of its message says so (part): a dead letter of it
 * is not taken apart again, and is not replayed if its key is cut.
 */
#include "decode/decoder.h"

/* So much of a key is kept with a record, where the message has others. */
#define KEPT_KEY 256

static void *
nothing_alloc(size_t size, void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, size);
}

/* Memory in the current context. */
void
weir_split_init(Decoder *d)
{
	EventBatch *b = &d->batch;

	d->parts = palloc(sizeof(KafkaMessage) * b->capacity);
	b->record = palloc(sizeof(int32) * b->capacity);
	b->last = palloc(sizeof(bool) * b->capacity);
	d->nothing = wj_paths_new(nothing_alloc, d->cxt);
}

void
weir_split_begin(Decoder *d, const KafkaMessage *msgs, int n)
{
	d->msgs = msgs;
	d->nmsgs = n;
	d->at = 0;
	d->whole = false;
	memset(&d->records, 0, sizeof(d->records));
}

/* Is the message that was opened last not used up? */
static inline bool
goes_on(const Decoder *d)
{
	return d->whole || ws_more(&d->records);
}

bool
weir_split_ended(const Decoder *d)
{
	return d->at == d->nmsgs && !goes_on(d);
}

static void
take_whole(Decoder *d, const char *bad)
{
	d->whole = true;
	d->bad = bad;
}

/* Errors are found again when it is decoded as a whole. */
static void
open_array(Decoder *d, const KafkaMessage *m)
{
	size_t i = 0;

	if (wj_scan(d->nothing, NULL, m->payload, m->len, NULL, NULL) != WJ_OK)
	{
		take_whole(d, NULL);
		return;
	}
	while ((unsigned char) m->payload[i] <= ' ')
		i++;
	if (m->payload[i] == '[')
		ws_begin_array(&d->records, m->payload, m->len);
	else
		take_whole(d, "message is not an array");
}

/* An array if it begins like one, one value if it is one, else lines. */
static void
open_any(Decoder *d, const KafkaMessage *m)
{
	size_t i = 0;

	while (i < m->len && (unsigned char) m->payload[i] <= ' ')
		i++;
	if (i < m->len && m->payload[i] == '[')
		open_array(d, m);
	else if (wj_scan(d->nothing, NULL, m->payload, m->len, NULL, NULL) ==
			 WJ_ERR_TRAILING)
		ws_begin_lines(&d->records, NULL, m->payload, m->len);
	else
		take_whole(d, NULL);
}

/* Find the records of the next message. */
static void
open_message(Decoder *d)
{
	const KafkaMessage *m = &d->msgs[d->at++];

	d->number = 0;
	d->keyed = -1;
	if (d->value.format == STREAM_DEBEZIUM && m->payload == NULL)
		return;
	if (d->value.format == STREAM_DEBEZIUM)
		take_whole(d, NULL);
	else if (m->payload == NULL)
		take_whole(d, NULL);
	else if (d->stream->records == STREAM_LINES)
		ws_begin_lines(&d->records,
					   d->value.format == STREAM_CSV ? &d->value.csv : NULL,
					   m->payload, m->len);
	else if (d->stream->records == STREAM_ARRAY)
		open_array(d, m);
	else
		open_any(d, m);
}

static inline bool
is_of_key(const Decoder *d, const Column *col)
{
	return col->def->source == STREAM_SRC_KEY ||
		   (col >= d->key.columns && col < d->key.columns + d->key.ncolumns);
}

/*
 * The record is decoded, but for what was put aside since nslow.  Others of its
 * message can have what it has of the key, and not all of that is for letters.
 */
static void
note_key(Decoder *d, int record, KafkaMessage *part, int nslow)
{
	bool settled = d->batch.ok[record] && !d->no_record;

	for (int i = nslow; i < d->nslow && settled; i++)
		settled = !is_of_key(d, d->slow[i].column);
	if (d->keyed < 0 && settled)
		d->keyed = record;
	if (part->record == 0 && d->batch.last[record])
		return;
	part->key_cut = part->key_len > KEPT_KEY;
	part->key_len = Min(part->key_len, KEPT_KEY);
}

/* The next record of the message, as record of the batch.  False: it is none. */
static bool
take_record(Decoder *d, int record)
{
	EventBatch *b = &d->batch;
	KafkaMessage *part = &d->parts[record];
	int nslow = d->nslow;

	*part = d->msgs[d->at - 1];
	part->record = d->number++;
	b->record[record] = part->record;
	if (!d->whole)
		part->payload = ws_next(&d->records, &part->len);
	part->part = part->len < d->msgs[d->at - 1].len;
	b->last[record] = !ws_more(&d->records);
	d->no_record = false;
	if (d->whole && d->bad != NULL)
	{
		b->partition[record] = part->partition;
		b->offset[record] = part->offset;
		b->ok[record] = true;
		weir_decode_fail(d, record, ERRCODE_INVALID_TEXT_REPRESENTATION,
						 psprintf("malformed JSON: %s", d->bad));
	}
	else
		(void) weir_decode_record(d, record, part);
	note_key(d, record, part, nslow);
	d->whole = false;
	return !d->no_record;
}

/* Fill the batch with what is left of the messages. */
void
weir_split_records(Decoder *d)
{
	EventBatch *b = &d->batch;

	b->msgs = d->parts;
	b->n = 0;
	while (b->n < b->capacity)
	{
		if (goes_on(d))
			b->n += take_record(d, b->n);
		else if (d->at < d->nmsgs)
			open_message(d);
		else
			break;
	}
}
