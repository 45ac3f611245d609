/*
 * worker/replay.c
 *		Dead letters that their views try once more: from the catalog to the
 *		workers.
 *
 * Runs in the coordinator, between two checkpoints.  weir.replay_dead_letters puts
 * letters into weir.replay_queue, a row for each view that lacks one; the lane that
 * has the view hands them to the worker that has the partition, a few at a time
 * (ingest_replay.c).  A row goes with the checkpoint that commits what the view made
 * of the letter (checkpoint/letters.c), and no further ones are handed out before
 * that: so a row that is there in a new transaction is of no letter under way.
 * Whatever ends before that commit, the row is still there for the next lane.
 *
 * Workers go by the stream's definition as the lane has it.  What was altered before
 * letters were asked for has to count: so if it is another one by now, the lane starts
 * anew, and nothing is handed out.
 *
 * A letter that has no room stays in the catalog until there is some; one that never
 * will, whole, is not replayed.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/fault.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "checkpoint/checkpoint.h"
#include "exec/letter.h"
#include "utils/array.h"
#include "utils/snapmgr.h"
#include "worker/coordinator.h"

#define LETTERS_AT_ONCE 1000

/* A letter d that the view of the row q can take, and has room if all is free. */
#define USABLE                                                     \
	"d.id = q.letter AND d.views @> ARRAY[q.view] "                \
	"AND d.partition < $2 AND coalesce(length(d.key), 0)::int8 + " \
	"coalesce(length(d.payload), 0) < $3"
#define LETTER_BYTES 1024 /* more than what a letter has of its own */

/* One row of the statement below, as a letter's content and place. */
typedef struct ReplayRow
{
	int32 view;
	int64 id;
	KafkaMessage msg;
	int32 whose;
	uint32 fingerprint;
} ReplayRow;

static Datum
ids_of_views(const Coordinator *co)
{
	Datum *ids = palloc(sizeof(Datum) * Max(co->c.nviews, 1));
	int n = 0;

	for (int i = 0; i < co->c.nviews; i++)
		if (!co->c.views[i]->gone)
			ids[n++] = Int32GetDatum(co->c.views[i]->slot->view);
	return PointerGetDatum(
		construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static const ViewSlot *
find_slot(const Coordinator *co, int32 view)
{
	for (int i = 0; i < co->c.nviews; i++)
		if (!co->c.views[i]->gone && co->c.views[i]->slot->view == view)
			return co->c.views[i]->slot;
	return NULL;
}

static const char *
read_bytes(int row, int column, size_t *len)
{
	bool isnull;
	Datum d = weir_spi_get(row, column, &isnull);
	bytea *b;

	*len = 0;
	if (isnull)
		return NULL;
	b = DatumGetByteaPP(d);
	*len = VARSIZE_ANY_EXHDR(b);
	return VARDATA_ANY(b);
}

static ReplayRow
read_row(int row)
{
	ReplayRow r = {0};
	bool isnull;
	Datum d;

	r.view = DatumGetInt32(weir_spi_get(row, 1, &isnull));
	r.id = DatumGetInt64(weir_spi_get(row, 2, &isnull));
	r.msg.partition = DatumGetInt32(weir_spi_get(row, 3, &isnull));
	r.msg.offset = DatumGetInt64(weir_spi_get(row, 4, &isnull));
	d = weir_spi_get(row, 5, &isnull);
	r.msg.timestamp = isnull ? -1 : DatumGetTimestampTz(d) + WEIR_EPOCH_SHIFT;
	r.msg.key = read_bytes(row, 6, &r.msg.key_len);
	r.msg.payload = read_bytes(row, 7, &r.msg.len);
	r.fingerprint = (uint32) DatumGetInt64(weir_spi_get(row, 8, &isnull));
	r.whose = DatumGetInt32(weir_spi_get(row, 9, &isnull));
	d = weir_spi_get(row, 10, &isnull);
	r.msg.record = isnull ? 0 : DatumGetInt32(d);
	r.msg.part = !isnull;
	return r;
}

/* Give it to the worker that has the partition, if there is room. */
static void
hand_out(Coordinator *co, const ReplayRow *r, const ViewSlot *slot)
{
	LaneWorker *w;
	Letter *l = weir_letter_new(&r->msg, r->view, "", false);

	if (l == NULL)
		return;
	l->kind = LETTER_REPLAYED;
	l->fingerprint = r->fingerprint;
	l->replay.id = r->id;
	l->replay.incarnation = slot->incarnation;
	l->replay.whose = r->whose;
	l->replay.failed = false;
	w = &co->lane->workers[co->lane->parts[r->msg.partition].worker];
	weir_letter_add(&w->replay, l);
	pg_atomic_add_fetch_u32(&co->lane->replaying, 1);
}

/* Rows whose letters are gone, or that no view can take. */
static void
forget_stale(Oid *types, Datum *values)
{
	weir_spi("DELETE FROM weir.replay_queue q WHERE q.view = ANY ($1) AND "
			 "NOT EXISTS (SELECT FROM weir.dead_letter_log d WHERE " USABLE ")",
			 3, types, values, NULL, SPI_OK_DELETE);
}

/* In the order of the queue's key: it may be a long one.  True: there may be more. */
static bool
load(Coordinator *co)
{
	Oid types[] = {INT4ARRAYOID, INT4OID, INT8OID, INT4OID};
	Datum values[lengthof(types)];
	uint64 n;

	values[0] = ids_of_views(co);
	values[1] = Int32GetDatum(co->lane->npartitions);
	values[2] = Int64GetDatum((int64) weir_arena_total() - LETTER_BYTES);
	values[3] = Int32GetDatum(LETTERS_AT_ONCE);
	weir_spi("SELECT q.view, d.id, d.partition, d.\"offset\", d.\"timestamp\", d.key, "
			 "d.payload, d.fingerprint, coalesce(d.view, 0), d.record FROM weir.replay_queue q "
			 "JOIN weir.dead_letter_log d ON " USABLE
			 " WHERE q.view = ANY ($1) ORDER BY q.view, q.letter LIMIT $4",
			 lengthof(types), types, values, NULL, SPI_OK_SELECT);
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		ReplayRow r = read_row((int) i);
		const ViewSlot *slot = find_slot(co, r.view);

		if (slot)
			hand_out(co, &r, slot);
	}
	if (n == 0)
		forget_stale(types, values);
	return n > 0;
}

bool
weir_coordinator_try(Coordinator *co, bool (*work)(Coordinator *co))
{
	volatile bool result = true;

	PG_TRY();
	{
		WeirUser user;

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		user = weir_become_system();
		SPI_connect();
		result = work(co);
		SPI_finish();
		weir_become_again(user);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		weir_forgive_passing(co->c.cxt);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(co->cxt);
	return result;
}

static void
take_back(Coordinator *co)
{
	for (int w = 0; w < co->lane->nworkers; w++)
		weir_letters_free(&co->lane->workers[w].replay);
	pg_atomic_write_u32(&co->lane->replaying, 0);
	co->replay_due = true;
}

/* Is the stream what it was when the lane began? */
static bool
is_current(Coordinator *co)
{
	if (weir_stream_changed(co))
		weir_coordinator_stop(co, "the stream's definition was changed");
	return !pg_atomic_read_u32(&co->lane->stop) &&
		   !pg_atomic_read_u32(&co->lane->recheck);
}

void
weir_replay_serve(Coordinator *co)
{
	if (!co->replay_due || pg_atomic_read_u32(&co->lane->replaying) > 0)
		return;
	co->replay_due = weir_coordinator_try(co, load);
	if (pg_atomic_read_u32(&co->lane->replaying) > 0 && !is_current(co))
		take_back(co);
	pg_write_barrier();
	for (int w = 0; w < co->lane->nworkers; w++)
		if (co->lane->workers[w].replay)
			pg_atomic_write_u32(&co->lane->workers[w].replay_ready, 1);
	if (pg_atomic_read_u32(&co->lane->replaying) > 0)
	{
		WEIR_FAULT("replay-handed-out");
		weir_crew_wake(co->lane);
	}
}
