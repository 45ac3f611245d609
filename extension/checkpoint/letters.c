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
 * A dead letter of the whole stream says which views lack it: those that read the
 * record, as all of the lane do that were not past it with the last commit.  One
 * that does not come so far, after all, is struck out when it is set up anew
 * (weir_letters_unread), and reads the record again.  A view that is within a
 * message of several records is past the first of them.  So a letter can be
 * replayed (worker/replay.c) into just the views that lack it.
 *
 * Datums of a letter are in a context that each letter resets.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "checkpoint/checkpoint.h"
#include "exec/letter.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MAX_VALUES 14
#define REPLAYED   (LETTER_REPLAYED + 2) /* statements that one takes */
#define COMMON     9                     /* first values of both kinds */

/* --- statements --------------------------------------------------------------- */

static const struct
{
	const char *sql;
	int n;
	Oid types[MAX_VALUES];
} statements[] = {
	[LETTER_DEAD] =
		{"INSERT INTO weir.dead_letter_log AS d (stream, view, topic, partition, \"offset\", "
		 "\"timestamp\", key, payload, fingerprint, sqlstate, reason, views, whole, record) "
		 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
		 "ON CONFLICT (stream, partition, \"offset\", coalesce(view, 0), fingerprint) "
		 "DO UPDATE SET sqlstate = excluded.sqlstate, reason = excluded.reason, "
		 "views = ARRAY(SELECT unnest(d.views) UNION SELECT unnest(excluded.views)) "
		 "WHERE NOT d.views @> excluded.views OR d.reason <> excluded.reason",
		 COMMON + 5,
		 {OIDOID, INT4OID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, BYTEAOID,
		  BYTEAOID, INT8OID, TEXTOID, TEXTOID, INT4ARRAYOID, BOOLOID, INT4OID}},
	[LETTER_LATE] =
		{"INSERT INTO weir.late_event_log (stream, view, topic, partition, \"offset\", "
		 "\"timestamp\", key, payload, fingerprint, event_time, window_start, window_end, late_by) "
		 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		 "$12, $13 * interval '1 microsecond') ON CONFLICT DO NOTHING",
		 COMMON + 4,
		 {OIDOID, INT4OID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, BYTEAOID,
		  BYTEAOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  INT8OID}},
	/*
	 * Of one that was replayed; the last view that lacked it takes it away.  Views
	 * that were dropped are on its list still.
	 */
	[LETTER_REPLAYED] =
		{"DELETE FROM weir.replay_queue WHERE letter = $1 AND view = $2",
		 2,
		 {INT8OID, INT4OID}},
	/* First the row is locked: of two that go at once the second finds none left. */
	[LETTER_REPLAYED +
		1] = {"UPDATE weir.dead_letter_log SET views = array_remove(views, $2) "
			  "WHERE id = $1",
			  2,
			  {INT8OID, INT4OID}},
	[LETTER_REPLAYED + 2] =
		{"DELETE FROM weir.dead_letter_log d WHERE id = $1 AND $2 IS NOT NULL "
		 "AND NOT EXISTS (SELECT FROM weir.views v WHERE v.id = ANY (d.views))",
		 2,
		 {INT8OID, INT4OID}},
};

typedef struct LetterWriter
{
	const StreamDef *stream;
	const CheckpointLane *lane; /* NULL: of an append view */
	int32 view;                 /* then it */
	volatile int *current; /* not NULL: which view of the lane it is about */
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

/* Was the view, as of the last commit, still to read the record, and will it? */
static bool
is_to_read(const WpPartition *p, const Letter *l)
{
	if (p->end != WP_NO_END && l->offset >= p->end)
		return false;
	return p->position < l->offset ||
		   (p->position == l->offset && p->record <= l->record);
}

/* The views that lack a dead letter, see above. */
static Datum
lacking_views(const LetterWriter *w, const Letter *l)
{
	Datum ids[WEIR_LANE_VIEWS];
	int n = 0;

	if (l->view != 0 || w->lane == NULL)
		ids[n++] = Int32GetDatum(l->view != 0 ? l->view : w->view);
	for (int i = 0; l->view == 0 && w->lane && i < w->lane->nviews; i++)
	{
		const CheckpointView *v = w->lane->views[i];
		const ProgressRow *p = &v->progress;

		if (!v->gone && l->partition < p->nparts &&
			is_to_read(&p->parts[l->partition], l))
			ids[n++] = Int32GetDatum(v->slot->view);
	}
	return PointerGetDatum(
		construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
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
			v[2] = lacking_views(w, l);
			v[3] = BoolGetDatum(!l->cut);
			v[4] = Int32GetDatum(l->record);
			w->nulls[COMMON + 4] = l->part ? ' ' : 'n';
			break;
		case LETTER_LATE:
			v[0] = TimestampTzGetDatum(l->late.event_time);
			v[1] = TimestampTzGetDatum(l->late.window_start);
			v[2] = TimestampTzGetDatum(l->late.window_end);
			v[3] = Int64GetDatum(l->late.by);
			break;
		case LETTER_REPLAYED:
			break;
	}
}

static void
execute(LetterWriter *w, int statement)
{
	if (w->plans[statement] == NULL)
		w->plans[statement] = SPI_prepare(statements[statement].sql,
										  statements[statement].n,
										  (Oid *) statements[statement].types);
	if (w->plans[statement] == NULL ||
		SPI_execute_plan(w->plans[statement], w->values, w->nulls, false, 0) < 0)
		elog(ERROR, "statement failed: %s", statements[statement].sql);
}

/* One that was tried once more: its view does not lack it, or still does. */
static void
settle_replayed(LetterWriter *w, const Letter *l)
{
	int last = l->replay.failed ? LETTER_REPLAYED : REPLAYED;

	memset(w->nulls, ' ', sizeof(w->nulls));
	w->values[0] = Int64GetDatum(l->replay.id);
	w->values[1] = Int32GetDatum(l->view);
	for (int i = LETTER_REPLAYED; i <= last; i++)
		execute(w, i);
}

static void
write_letter(LetterWriter *w, const Letter *l)
{
	MemoryContext old = MemoryContextSwitchTo(w->cxt);

	if (l->kind == LETTER_REPLAYED)
		settle_replayed(w, l);
	else
	{
		fill_common(w, l);
		fill_kind(w, l);
		execute(w, l->kind);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->cxt);
}

/* --- which ones ------------------------------------------------------------------- */

/* What the view had of a replayed letter is void if it was set up anew since. */
static bool
is_of_before(const CheckpointView *v, const Letter *l)
{
	return l->kind == LETTER_REPLAYED &&
		   l->replay.incarnation != v->slot->incarnation;
}

/*
 * Whose it is in the lane; -1: nobody's alone.  A view may have left the lane and come
 * again: the last one counts.
 */
static int
find_view(const CheckpointLane *c, const Letter *l)
{
	int i = l->view == 0 ? -1 : c->nviews - 1;

	while (i >= 0 && c->views[i]->slot->view != l->view)
		i--;
	return i;
}

static WcLetter
fate(const CheckpointLane *c, const Letter *l)
{
	int i = find_view(c, l);

	if (l->view == 0)
		return WC_LETTER_WRITE;
	if (i < 0)
		return WC_LETTER_DROP;
	return wc_letter(&c->views[i]->attempt,
					 c->views[i]->gone || is_of_before(c->views[i], l));
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
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->record != y->record)
		return x->record < y->record ? -1 : 1;
	/* A letter goes before it comes again, of the view that has tried it. */
	return (y->kind == LETTER_REPLAYED) - (x->kind == LETTER_REPLAYED);
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

static void
write_them(const LetterWriter *how, Letter **letters, size_t n)
{
	LetterWriter w = *how;
	WeirUser user = weir_become_system();

	/* An order that is the same in all lanes. */
	qsort(letters, n, sizeof(Letter *), compare_letters);
	SPI_connect();
	w.cxt = AllocSetContextCreate(CurrentMemoryContext, "weir letter",
								  ALLOCSET_DEFAULT_SIZES);
	for (size_t i = 0; i < n; i++)
	{
		if (w.current)
			*w.current = find_view(w.lane, letters[i]);
		write_letter(&w, letters[i]);
	}
	if (w.current)
		*w.current = -1;
	SPI_finish();
	weir_become_again(user);
}

void
weir_append_write_letters(const StreamDef *stream, int32 view, Letter **letters,
						  size_t n)
{
	LetterWriter w = {.stream = stream, .view = view};

	write_them(&w, letters, n);
}

void
weir_write_letters(CheckpointLane *c, volatile int *current)
{
	LetterWriter w = {.stream = c->stream, .lane = c};
	Letter **letters;
	size_t n;

	if (!any_letter(c->lane))
		return;
	letters = choose(c, &n);
	/* What is in the way of an append view's is in its worker's way, too. */
	if (!c->lane->append)
		w.current = current;
	write_them(&w, letters, n);
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
				if (l->kind == LETTER_REPLAYED)
					pg_atomic_sub_fetch_u32(&lane->replaying, 1);
				weir_letter_free(l);
			}
			else
				link = &l->next;
		}
	}
}

static Datum
int8_array(Datum *numbers, int n)
{
	return PointerGetDatum(construct_array(numbers, n, INT8OID, sizeof(int64),
										   true, TYPALIGN_DOUBLE));
}

void
weir_letters_unread(const CheckpointView *v, Oid stream)
{
	Oid types[] = {INT4OID, OIDOID, INT8ARRAYOID, INT8ARRAYOID};
	Datum values[lengthof(types)];
	int n = v->progress.nparts;
	Datum *positions = palloc(sizeof(Datum) * Max(n, 1));
	Datum *records = palloc(sizeof(Datum) * Max(n, 1));
	WeirUser user;

	for (int p = 0; p < n; p++)
	{
		positions[p] = Int64GetDatum(v->progress.parts[p].position);
		records[p] = Int64GetDatum(v->progress.parts[p].record);
	}
	values[0] = Int32GetDatum(v->row->id);
	values[1] = ObjectIdGetDatum(stream);
	values[2] = int8_array(positions, n);
	values[3] = int8_array(records, n);
	user = weir_become_system();
	SPI_connect();
	weir_spi("UPDATE weir.dead_letter_log d SET views = array_remove(d.views, $1) "
			 "FROM unnest($3, $4) WITH ORDINALITY p(position, record, n) "
			 "WHERE d.stream = $2 AND d.partition = p.n - 1 "
			 "AND d.\"offset\" >= p.position AND d.view IS NULL "
			 "AND (d.\"offset\" > p.position OR coalesce(d.record, 0) >= p.record) "
			 "AND d.views @> ARRAY[$1]",
			 lengthof(types), types, values, NULL, SPI_OK_UPDATE);
	SPI_finish();
	weir_become_again(user);
}
