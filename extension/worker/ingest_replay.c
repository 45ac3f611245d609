/*
 * worker/ingest_replay.c
 *		Dead letters that their views try once more, in the ingest worker.
 *
 * The coordinator hands them out (replay.c), each for one view, to the worker
 * that has the partition.  Between two batches the worker decodes one as it would
 * decode the message, and applies it to that view alone: as a record that the view
 * was past already, so that no position or watermark moves (apply.h, "again").
 * What becomes of it goes to the checkpoint as other letters do, with the view's
 * state: LETTER_REPLAYED takes the view off the list of those that lack it.  So
 * it counts once, whatever ends when.
 *
 * A letter is applied as a whole or not at all.  Without room it stays where it
 * is, and reading goes on.  In the worker of an append view it is a transaction of
 * its own (ingest_append.c).
 *
 * The list is in shared memory, and the worker's while replay_ready is set.  No
 * lock.  The letter under way stays its first until it is settled, so that it is
 * freed with the others if the worker ends.  Memory: a context that each letter
 * resets; a view's decoder is kept until the list is done, since it may have asked
 * a registry for schemas.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/fault.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "worker/ingest.h"

#define LETTERS_A_TURN 100

static IngestView *
find_view(Ingest *in, const Letter *l)
{
	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];

		if (v->apply && v->slot->view == l->view &&
			v->slot->incarnation == l->replay.incarnation &&
			!pg_atomic_read_u32(&v->slot->failed))
			return v;
	}
	return NULL;
}

/* The first is no view's any more, or its worker has settled it. */
static void
let_go(Ingest *in)
{
	weir_letter_free(weir_letter_take(&in->self->replay));
	pg_atomic_sub_fetch_u32(&in->lane->replaying, 1);
}

static char *
copy_out(const Letter *l, size_t at, size_t len)
{
	char *to = palloc_extended(len + 1, MCXT_ALLOC_HUGE);

	weir_letter_read(l, at, to, len);
	return to;
}

static KafkaMessage
message_of(const Letter *l)
{
	KafkaMessage m = {.offset = l->offset,
					  .timestamp = l->timestamp,
					  .partition = l->partition,
					  .record = l->record,
					  .part = l->part,
					  .len = l->payload_len,
					  .key_len = l->key_len};

	if (l->has_key)
		m.key = copy_out(l, l->reason_len, l->key_len);
	if (l->has_payload)
		m.payload = copy_out(l, l->reason_len + l->key_len, l->payload_len);
	return m;
}

/*
 * A letter that is one record of a message is not taken apart again: an element of
 * an array may be an array, too.
 */
static void
make_decoder(Ingest *in, IngestView *v, bool part)
{
	MemoryContext cxt = AllocSetContextCreate(in->replay_cxt,
											  "weir replay decoder",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	StreamDef *stream = palloc(sizeof(StreamDef));

	*stream = *in->stream;
	if (part)
		stream->records = STREAM_ONE;
	v->again = weir_decoder_new(stream, v->plan->columns, in->capacity, cxt);
	MemoryContextSwitchTo(old);
	/* It is the view's from now on, and ends with it. */
	MemoryContextSetParent(cxt, v->apply->cxt);
	v->again_cxt = cxt;
	v->again_part = part;
}

static void
forget_decoder(IngestView *v)
{
	if (v->apply && v->again_cxt)
		MemoryContextDelete(v->again_cxt);
	v->again = NULL;
	v->again_cxt = NULL;
}

static EventBatch *
decode(Ingest *in, IngestView *v, const KafkaMessage *m)
{
	WeirUser before = weir_become_owner(in->stream->owner);
	EventBatch *b;

	if (v->again_cxt != NULL && v->again_part != m->part)
		forget_decoder(v);
	if (v->again_cxt == NULL)
		make_decoder(in, v, m->part);
	WEIR_FAULT("replay-decode");
	b = weir_decode(v->again, m, 1);
	weir_become_again(before);
	return b;
}

/* Why the view still cannot use it, or NULL. */
static const char *
trouble(const IngestView *v, const EventBatch *b, int *sqlstate)
{
	if (b->nerrors > 0)
	{
		*sqlstate = b->errors[0].sqlstate;
		return b->errors[0].reason;
	}
	*sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
	for (int i = 0; i < b->n; i++)
		if (!weir_apply_is_usable(v->apply, b, i))
			return "the message has no event time";
	*sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	if (b->last && b->n > 0 && !b->last[b->n - 1])
		return "the message has more records than weir.batch_size";
	return NULL;
}

/* It stays a dead letter, with the reason of now. */
static void
still_dead(Ingest *in, Letter *l, const KafkaMessage *m, int sqlstate,
		   const char *reason)
{
	Letter **list = &in->self->letters;

	if (weir_letter_dead(list, m, l->replay.whose, sqlstate, reason, false))
		(*list)->fingerprint = l->fingerprint;
	l->replay.failed = true;
	weir_letter_add(list, weir_letter_take(&in->self->replay));
	in->self->published++;
}

/*
 * In a PG_CATCH: what raises is the stream's trouble or the server's, and no reason
 * for the lane to end, which would meet the same letter again.
 */
static void
give_up(Ingest *in, IngestView *v, Letter *l, const KafkaMessage *m)
{
	ErrorData *e;

	MemoryContextSwitchTo(in->replay_cxt);
	e = CopyErrorData();
	if (ProcDiePending)
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	forget_decoder(v);
	ereport(LOG, (errmsg("a dead letter at partition %d, offset " INT64_FORMAT
						 " is not replayed: %s",
						 l->partition, l->offset, e->message)));
	weir_ingest_begin_transaction(in);
	MemoryContextSwitchTo(in->replay_cxt);
	still_dead(in, l, m, e->sqlerrcode, e->message);
}

/* Of the first letter, as columns; NULL: it is settled, as a dead one. */
static EventBatch *
read_letter(Ingest *in, IngestView *v, Letter *l, const KafkaMessage *m)
{
	EventBatch *volatile b = NULL;
	const char *reason;
	int sqlstate;

	PG_TRY();
	{
		b = decode(in, v, m);
	}
	PG_CATCH();
	{
		give_up(in, v, l, m);
	}
	PG_END_TRY();
	if (b == NULL || (reason = trouble(v, b, &sqlstate)) == NULL)
		return b;
	still_dead(in, l, m, sqlstate, reason);
	return NULL;
}

/* False: there is no room for it now. */
static bool
apply(Ingest *in, IngestView *v, Letter *l, const EventBatch *b)
{
	bool done;

	/* What views have in common is of the batch before. */
	weir_common_begin(in->common, b->n);
	in->replayed = l;
	v->apply->again = true;
	if (in->append)
		done = weir_append_again(in, v, b);
	else
	{
		weir_ingest_try_view(in, v, b);
		done = in->replayed == NULL;
	}
	in->replayed = NULL;
	if (v->apply)
		v->apply->again = false;
	if (in->append || (v->apply == NULL && !done))
		let_go(in);
	else if (!done)
		return false;
	return true;
}

static bool
replay(Ingest *in, IngestView *v, Letter *l)
{
	KafkaMessage *m = palloc(sizeof(KafkaMessage));
	EventBatch *b;
	bool room = true;

	weir_ingest_begin_transaction(in);
	MemoryContextSwitchTo(in->replay_cxt);
	*m = message_of(l);
	b = read_letter(in, v, l, m);
	/* An append view's is a transaction of its own. */
	if (in->append)
		weir_ingest_end_transaction(in);
	if (b != NULL)
		room = apply(in, v, l, b);
	if (!in->append)
		weir_ingest_end_transaction(in);
	MemoryContextSwitchTo(in->cxt);
	MemoryContextReset(in->replay_cxt);
	return room;
}

void
weir_ingest_replay(Ingest *in)
{
	Letter *l;

	if (pg_atomic_read_u32(&in->self->replay_ready) == 0)
		return;
	pg_read_barrier();
	if (in->replay_cxt == NULL)
		in->replay_cxt = AllocSetContextCreate(in->cxt, "weir replay",
											   ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < LETTERS_A_TURN && (l = in->self->replay) != NULL; i++)
	{
		IngestView *v = find_view(in, l);

		if (v == NULL)
			let_go(in);
		else if (!replay(in, v, l))
			return;
		WEIR_FAULT("replay-applied");
	}
	if (in->self->replay)
		return;
	for (int i = 0; i < in->nviews; i++)
		forget_decoder(&in->views[i]);
	pg_write_barrier();
	pg_atomic_write_u32(&in->self->replay_ready, 0);
}
