/*
 * checkpoint/letters.c
 *		Messages that were kept aside, from shared memory to Weir's tables: dead
 *		letters to weir.dead_letter_log, late events to weir.late_event_log.
 *
 * Runs in the coordinator, in the transaction of a checkpoint (an append view's
 * worker writes its own in its own transaction): what each worker
 * had when it acknowledged the barrier is the coordinator's.  Two lanes may
 * read the same records: the second one's rows are dropped by the unique indexes,
 * after it has waited for the first one.  So that they do not wait for each other,
 * all write in the order of the records; one that waits too long postpones its
 * checkpoint.
 *
 * Those of a view are written with its progress, so that its counters say how
 * many there are: a view that waits for the next checkpoint keeps them, and with
 * one that has gone (reset, say) they go.
 *
 * Datums of a letter are in a context that each letter resets.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "checkpoint/checkpoint.h"
#include "exec/letter.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MAX_VALUES 13
#define COMMON     9 /* first values of both kinds */

/* --- statements --------------------------------------------------------------- */

static const struct
{
	const char *sql;
	int n;
	Oid types[MAX_VALUES];
} statements[] = {
	[LETTER_DEAD] =
		{"INSERT INTO weir.dead_letter_log (stream, view, topic, partition, \"offset\", "
		 "\"timestamp\", key, payload, fingerprint, sqlstate, reason) "
		 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
		 COMMON + 2,
		 {OIDOID, INT4OID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, BYTEAOID,
		  BYTEAOID, INT8OID, TEXTOID, TEXTOID}},
	[LETTER_LATE] =
		{"INSERT INTO weir.late_event_log (stream, view, topic, partition, \"offset\", "
		 "\"timestamp\", key, payload, fingerprint, event_time, window_start, window_end, late_by) "
		 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		 "$12, $13 * interval '1 microsecond') ON CONFLICT DO NOTHING",
		 COMMON + 4,
		 {OIDOID, INT4OID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, BYTEAOID,
		  BYTEAOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  INT8OID}},
};

typedef struct LetterWriter
{
	const StreamDef *stream;
	SPIPlanPtr plans[lengthof(statements)];
	MemoryContext cxt;
	Datum values[MAX_VALUES];
	char nulls[MAX_VALUES];
} LetterWriter;

/* A stretch of what the letter holds; text and bytea look the same. */
static Datum
bytes_datum(const Letter *l, size_t at, uint32 len)
{
	bytea *b = palloc((Size) len + VARHDRSZ);

	SET_VARSIZE(b, len + VARHDRSZ);
	weir_letter_read(l, at, VARDATA(b), len);
	return PointerGetDatum(b);
}

static void
fill_common(LetterWriter *w, const Letter *l)
{
	size_t key = l->reason_len;
	int64 timestamp = l->timestamp - WEIR_EPOCH_SHIFT;

	memset(w->nulls, ' ', sizeof(w->nulls));
	w->values[0] = ObjectIdGetDatum(w->stream->relid);
	w->values[1] = Int32GetDatum(l->view);
	w->nulls[1] = l->view == 0 ? 'n' : ' ';
	w->values[2] = CStringGetTextDatum(w->stream->topic);
	w->values[3] = Int32GetDatum(l->partition);
	w->values[4] = Int64GetDatum(l->offset);
	w->values[5] = TimestampTzGetDatum(timestamp);
	w->nulls[5] = l->timestamp < 0 || !IS_VALID_TIMESTAMP(timestamp) ? 'n' : ' ';
	w->values[6] = bytes_datum(l, key, l->key_len);
	w->nulls[6] = l->has_key ? ' ' : 'n';
	w->values[7] = bytes_datum(l, key + l->key_len, l->payload_len);
	w->nulls[7] = l->has_payload ? ' ' : 'n';
	w->values[8] = Int64GetDatum(l->fingerprint);
}

static void
fill_kind(LetterWriter *w, const Letter *l)
{
	Datum *v = w->values + COMMON;

	switch (l->kind)
	{
		case LETTER_DEAD:
			v[0] = CStringGetTextDatum(unpack_sql_state(l->dead.sqlstate));
			v[1] = bytes_datum(l, 0, l->reason_len);
			break;
		case LETTER_LATE:
			v[0] = TimestampTzGetDatum(l->late.event_time);
			v[1] = TimestampTzGetDatum(l->late.window_start);
			v[2] = TimestampTzGetDatum(l->late.window_end);
			v[3] = Int64GetDatum(l->late.by);
			break;
	}
}

static void
write_letter(LetterWriter *w, const Letter *l)
{
	MemoryContext old = MemoryContextSwitchTo(w->cxt);

	fill_common(w, l);
	fill_kind(w, l);
	MemoryContextSwitchTo(old);
	if (w->plans[l->kind] == NULL)
		w->plans[l->kind] = SPI_prepare(statements[l->kind].sql,
										statements[l->kind].n,
										(Oid *) statements[l->kind].types);
	if (w->plans[l->kind] == NULL ||
		SPI_execute_plan(w->plans[l->kind], w->values, w->nulls, false, 0) !=
			SPI_OK_INSERT)
		elog(ERROR, "statement failed: %s", statements[l->kind].sql);
	MemoryContextReset(w->cxt);
}

/* --- which ones ------------------------------------------------------------------- */

static WcLetter
fate(const CheckpointLane *c, const Letter *l)
{
	if (l->view == 0)
		return WC_LETTER_WRITE;
	/* A view may have left the lane and come again: the last one counts. */
	for (int i = c->nviews - 1; i >= 0; i--)
		if (c->views[i]->slot->view == l->view)
			return wc_letter(&c->views[i]->attempt, c->views[i]->gone);
	return WC_LETTER_DROP;
}

static bool
any_letter(const Lane *lane)
{
	for (int w = 0; w < lane->nworkers; w++)
		if (lane->workers[w].frozen)
			return true;
	return false;
}

static int
compare_letters(const void *a, const void *b)
{
	const Letter *x = *(Letter *const *) a;
	const Letter *y = *(Letter *const *) b;

	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Those to be written. */
static Letter **
choose(CheckpointLane *c, size_t *n)
{
	Letter **chosen;
	size_t max = 0;

	for (int i = 0; i < c->lane->nworkers; i++)
		for (Letter *l = c->lane->workers[i].frozen; l; l = l->next)
			max++;
	chosen = palloc_extended(sizeof(Letter *) * max, MCXT_ALLOC_HUGE);
	*n = 0;
	for (int i = 0; i < c->lane->nworkers; i++)
		for (Letter *l = c->lane->workers[i].frozen; l; l = l->next)
		{
			WcLetter f = fate(c, l);

			l->decided = f != WC_LETTER_KEEP;
			if (f == WC_LETTER_WRITE)
				chosen[(*n)++] = l;
		}
	return chosen;
}

void
weir_write_these_letters(const StreamDef *stream, Letter **letters, size_t n)
{
	LetterWriter w = {.stream = stream};
	WeirUser user = weir_become_system();

	/* An order that is the same in all lanes. */
	qsort(letters, n, sizeof(Letter *), compare_letters);
	SPI_connect();
	w.cxt = AllocSetContextCreate(CurrentMemoryContext, "weir letter",
								  ALLOCSET_DEFAULT_SIZES);
	for (size_t i = 0; i < n; i++)
		write_letter(&w, letters[i]);
	SPI_finish();
	weir_become_again(user);
}

void
weir_write_letters(CheckpointLane *c)
{
	Letter **letters;
	size_t n;

	if (!any_letter(c->lane))
		return;
	letters = choose(c, &n);
	weir_write_these_letters(c->stream, letters, n);
}

void
weir_free_letters(Lane *lane)
{
	for (int i = 0; i < lane->nworkers; i++)
	{
		Letter **link = &lane->workers[i].frozen;
		Letter *l;

		while ((l = *link) != NULL)
		{
			if (l->decided)
			{
				*link = l->next;
				weir_letter_free(l);
			}
			else
				link = &l->next;
		}
	}
}
