/*
 * worker/ingest_append.c
 *		The ingest worker of an append view: each batch is a transaction that
 *		writes rows, dead letters and positions.
 *
 * The one exception to "an ingest worker touches memory only".  Its lane has one
 * view.  What is decoded of a batch is evaluated and written in one transaction, which is
 * committed asynchronously; it locks the view's row of weir.progress last, and only
 * then compares its generation, so what pause, reset or drop have done meanwhile
 * undoes all of the batch.  Several workers write different partitions of that row.
 *
 * A batch without rows and letters writes nothing: its positions go with the next
 * one that has some, or with the next barrier, which the worker does not
 * acknowledge before they are committed.  So what the coordinator knows of positions
 * is on disk, and its own checkpoint of the view has nothing left to do but flush
 * the WAL.
 *
 * When the transaction raises, it is rolled back, and the error decides:
 *
 *	a row's (data, constraint, a trigger's RAISE)	the batch again, carefully:
 *								halves of it in subtransactions, down to
 *								the records at fault, which are dead letters
 *	a lock, or trouble of the server	the batch again after a pause
 *	another generation			the view leaves; it comes again if it is to
 *	anything else				the view stops, in state error
 *
 * So that a stream of single messages is not a commit each, there is some time
 * from one commit to the next, but not where a batch was full.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/rows.h"
#include "exec/join.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "worker/ingest.h"

#define LINGER_US      (8 * 1000)
#define FIRST_PAUSE_US (USECS_PER_SEC / 4)
#define LOCK_DOUBLINGS 3
#define MAX_DOUBLINGS  8
#define MAX_PAUSE_US   (60 * USECS_PER_SEC)
#define STEP_MS        50

typedef struct IngestAppend
{
	RowWriter *writer;
	AppendLetters letters;
	bool *mine;               /* by partition: this worker reads it */
	ViewPartition *before;    /* the batch under way */
	ViewPartition *committed; /* what is on disk of the worker's partitions */
	int64 rows;               /* written by the transaction under way */
	bool done;                /* what was attempted is on disk */
	bool full;                /* the last batch was */
	int64 last_commit;        /* monotonic us */
	/* trouble */
	bool careful;
	int times;    /* in a row that it was postponed */
	int64 resume; /* monotonic us: not before */
} IngestAppend;

typedef enum Outcome
{
	DONE,
	AGAIN, /* at once if carefully, else after a pause */
	LEFT   /* the view is gone */
} Outcome;

static inline Size
parts_size(const Ingest *in)
{
	return sizeof(ViewPartition) * in->lane->npartitions;
}

void
weir_append_prepare(Ingest *in)
{
	IngestView *v = &in->views[0];
	int n = in->lane->npartitions;
	IngestAppend *ap;

	if (!in->lane->append || v->apply == NULL)
		return;
	ap = MemoryContextAllocZero(in->cxt, sizeof(IngestAppend));
	ap->writer = weir_rows_new(v->row, in->cxt);
	ap->letters.cxt = in->cxt;
	ap->mine = MemoryContextAlloc(in->cxt, sizeof(bool) * n);
	ap->before = MemoryContextAlloc(in->cxt, parts_size(in));
	ap->committed = MemoryContextAlloc(in->cxt, parts_size(in));
	memcpy(ap->committed, v->apply->parts, parts_size(in));
	for (int p = 0; p < n; p++)
		ap->mine[p] = in->lane->parts[p].worker == in->worker;
	in->append = ap;
	in->needs_snapshot = true;
}

/* --- the transaction -------------------------------------------------------------- */

/* False: the stream stops here. */
static bool
note_undecoded(Ingest *in, const EventBatch *b)
{
	for (int i = 0; i < b->nerrors; i++)
	{
		const DecodeError *e = &b->errors[i];

		if (weir_ingest_stops_at(in, &b->msgs[e->record], e->sqlstate, e->reason))
			return false;
		if (in->stream->on_error != STREAM_SKIP)
			weir_append_letter(&in->append->letters, &b->msgs[e->record], 0,
							   e->sqlstate, e->reason);
	}
	return true;
}

static const EventBatch *
evaluate(Ingest *in, IngestView *v, const EventBatch *b)
{
	WeirUser before = weir_become_owner(v->row->owner);
	int nest = weir_settings_enter(v->row);

	if (v->apply->join)
		weir_join_refresh(v->apply->join,
						  weir_settings.join_refresh_ms * INT64CONST(1000));
	b = weir_append_evaluate(v->apply, b, &in->append->letters);
	weir_settings_leave(nest);
	weir_become_again(before);
	return b;
}

static void
write_letters(Ingest *in, const ViewApply *a)
{
	const AppendLetters *letters = &in->append->letters;
	Letter **chosen = palloc(sizeof(Letter *) * (letters->n + 1));
	size_t n = 0;

	if (in->replayed)
		chosen[n++] = in->replayed;
	for (int i = 0; i < letters->n; i++)
	{
		const AppendLetter *l = &letters->list[i];

		if ((l->view == 0 || a->keep_dead) && weir_letter_is_wanted(in->self))
			chosen[n++] = weir_letter_private(l->msg, l->view, l->sqlstate,
											  l->reason);
	}
	if (n > 0)
		weir_append_write_letters(in->stream, a->slot->view, chosen, n);
}

/* Positions, and what was skipped.  False: the view is another one by now. */
static bool
write_progress(Ingest *in, const ViewApply *a)
{
	ProgressRow p = {.generation = a->slot->generation,
					 .rows_final = in->append->rows,
					 .nparts = in->lane->npartitions,
					 .parts = a->parts};

	weir_lost_store(a->slot->view, in->stream->topic, a->lost);
	return weir_progress_merge(a->slot->view, &p, in->append->mine);
}

static void
commit(Ingest *in, ViewApply *a)
{
	IngestAppend *ap = in->append;

	WEIR_FAULT("append-before-commit");
	weir_ingest_end_transaction(in);
	ap->done = true;
	WEIR_FAULT("append-committed");
	weir_lost_free(&a->lost);
	memcpy(ap->committed, a->parts, parts_size(in));
	ap->last_commit = weir_clock_monotonic();
	pg_atomic_write_u64(&in->self->committed, XactLastCommitEnd);
}

/* --- rows that the table does not take ---------------------------------------------- */

static bool
is_row_error(const ErrorData *e)
{
	int category = ERRCODE_TO_CATEGORY(e->sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		   category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		   category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		   e->sqlerrcode == ERRCODE_WITH_CHECK_OPTION_VIOLATION ||
		   e->sqlerrcode == ERRCODE_RAISE_EXCEPTION;
}

/* Write some rows in a subtransaction; the error if it is rolled back. */
static ErrorData *
try_rows(Ingest *in, ViewApply *a, const EventBatch *b, const int32 *records,
		 int n)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile e = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		weir_rows_write(in->append->writer, a, b, records, n);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(a->batch_cxt);
		e = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return e;
}

static int
by_record(const void *a, const void *b, void *record)
{
	int32 left = *(const int32 *) a;
	int32 right = *(const int32 *) b;
	const int32 *of = record;

	if (of[left] != of[right])
		return of[left] < of[right] ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* A join gives rows in any order. */
static void
sort_by_record(ViewApply *a)
{
	if (a->join)
		qsort_arg(a->rows, a->nrows, sizeof(int32), by_record,
				  unconstify(int32 *, weir_join_records(a->join)));
}

/* How many rows the first half has; 0: all are of one record. */
static int
first_half(const ViewApply *a, const int32 *rows, int n)
{
	const int32 *of;
	int half = n / 2;

	if (a->join == NULL)
		return half;
	of = weir_join_records(a->join);
	while (half > 0 && of[rows[half - 1]] == of[rows[half]])
		half--;
	while (half < n && of[rows[half]] == of[rows[0]])
		half++;
	return half < n ? half : 0;
}

/* The rows of a record are written all, or none. */
static void
write_carefully(Ingest *in, ViewApply *a, const EventBatch *b,
				const int32 *records, int n)
{
	ErrorData *e = try_rows(in, a, b, records, n);
	int half;

	if (e == NULL)
	{
		in->append->rows += n;
		return;
	}
	if (!is_row_error(e))
		ReThrowError(e);
	half = first_half(a, records, n);
	if (half > 0)
	{
		write_carefully(in, a, b, records, half);
		write_carefully(in, a, b, records + half, n - half);
		return;
	}
	wp_fail(&a->parts[b->partition[records[0]]]);
	weir_append_letter(&in->append->letters, &b->msgs[records[0]],
					   a->slot->view, e->sqlerrcode, e->message);
}

static void
write_rows(Ingest *in, ViewApply *a, const EventBatch *b)
{
	if (a->nrows == 0)
		return;
	if (in->append->careful)
	{
		sort_by_record(a);
		write_carefully(in, a, b, a->rows, a->nrows);
	}
	else
	{
		weir_rows_write(in->append->writer, a, b, a->rows, a->nrows);
		in->append->rows += a->nrows;
	}
	WEIR_FAULT("append-rows-written");
}

/* --- trouble ------------------------------------------------------------------------------ */

static void
leave(Ingest *in, IngestView *v, int sqlstate, const char *reason)
{
	if (in->append->times > 0)
		weir_view_postpone(v->slot, NULL);
	in->append->times = 0;
	weir_ingest_fail_view(in, v, sqlstate, reason);
}

static void
postpone(Ingest *in, IngestView *v, const ErrorData *e)
{
	IngestAppend *ap = in->append;
	int most = weir_is_lock_error(e) ? LOCK_DOUBLINGS : MAX_DOUBLINGS;
	int64 pause = FIRST_PAUSE_US << Min(ap->times, most);

	if (ap->times++ == 0)
		ereport(LOG, (errmsg("rows of continuous view \"%s\" are postponed: %s",
							 v->row->name, e->message)));
	ap->resume = weir_clock_monotonic() + Min(pause, MAX_PAUSE_US);
	weir_view_postpone(v->slot, e->message);
}

static void
trouble_is_over(Ingest *in, IngestView *v)
{
	if (in->append->times > 0)
		weir_view_postpone(v->slot, NULL);
	in->append->times = 0;
}

/*
 * In a PG_CATCH: roll back, and decide.  After the commit it is too late for that:
 * a new worker goes on from what is on disk.
 */
static Outcome
give_in(Ingest *in, IngestView *v, bool rows)
{
	Outcome outcome = AGAIN;
	ErrorData *e;

	MemoryContextSwitchTo(in->cxt);
	e = CopyErrorData();
	if (ProcDiePending || in->append->done)
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	if (weir_is_lock_error(e) || weir_is_server_error(e))
		postpone(in, v, e);
	else if (rows && !in->append->careful && is_row_error(e))
		in->append->careful = true;
	else
	{
		leave(in, v, e->sqlerrcode, e->message);
		outcome = LEFT;
	}
	FreeErrorData(e);
	return outcome;
}

/*
 * Until it is time to try again.  Barriers go on, by what was before the batch.
 * False: the view has left meanwhile.
 */
static bool
wait_to_resume(Ingest *in, IngestView *v)
{
	weir_ingest_stage(in, STAGE_WAIT);
	while (v->apply && weir_clock_monotonic() < in->append->resume)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STEP_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		weir_worker_interrupts();
		weir_ingest_check_coordinator(in);
		weir_ingest_note_partitions(in);
		weir_ingest_barrier(in);
		(void) weir_ingest_drop_failed(in);
	}
	weir_ingest_stage(in, STAGE_APPLY);
	return v->apply != NULL;
}

/* --- a batch -------------------------------------------------------------------------------- */

/* All of it in the transaction under way; false: nothing may be committed. */
static bool
write_batch(Ingest *in, IngestView *v, const EventBatch *b)
{
	ViewApply *a = v->apply;

	if (a->nrows == 0 && in->append->letters.n == 0 && in->replayed == NULL)
	{
		weir_ingest_end_transaction(in);
		return true;
	}
	write_rows(in, a, b);
	write_letters(in, a);
	if (!write_progress(in, a))
		return false;
	commit(in, a);
	return true;
}

static Outcome
attempt(Ingest *in, IngestView *v, const EventBatch *b)
{
	volatile Outcome outcome = DONE;
	volatile bool rows = false;

	in->append->letters.n = 0;
	in->append->rows = 0;
	in->append->done = false;
	memcpy(v->apply->parts, in->append->before, parts_size(in));
	PG_TRY();
	{
		weir_ingest_begin_transaction(in);
		if (in->replayed == NULL && !note_undecoded(in, b))
			outcome = LEFT;
		else
		{
			const EventBatch *joined = evaluate(in, v, b);

			if (in->replayed == NULL)
				weir_lost_take_last(in, v->apply);
			rows = true;
			if (!write_batch(in, v, joined))
			{
				leave(in, v, ERRCODE_SUCCESSFUL_COMPLETION, "");
				outcome = LEFT;
			}
		}
		if (outcome == LEFT)
			AbortCurrentTransaction();
	}
	PG_CATCH();
	{
		if (v->apply)
			memcpy(v->apply->parts, in->append->before, parts_size(in));
		outcome = give_in(in, v, rows);
	}
	PG_END_TRY();
	return outcome;
}

/* False: the view has left. */
static bool
append_batch(Ingest *in, IngestView *v, const EventBatch *b)
{
	Outcome outcome;

	weir_ingest_stage(in, STAGE_APPLY);
	in->append->careful = false;
	memcpy(in->append->before, v->apply->parts, parts_size(in));
	while ((outcome = attempt(in, v, b)) == AGAIN)
		if (!wait_to_resume(in, v))
			return false;
	if (outcome == LEFT)
		return false;
	trouble_is_over(in, v);
	weir_ingest_stage(in, STAGE_PUBLISH);
	weir_apply_publish(v->apply);
	if (in->replayed)
		return true;
	v->taken = weir_ingest_counted(in, v->apply->parts) -
			   weir_ingest_counted(in, in->append->before);
	weir_ingest_note_progress(in, b);
	return true;
}

bool
weir_append_again(Ingest *in, IngestView *v, const EventBatch *b)
{
	return append_batch(in, v, b);
}

static EventBatch *
decode(Ingest *in, int n)
{
	EventBatch *b;

	weir_ingest_begin_transaction(in);
	b = weir_ingest_decode(in, n);
	weir_ingest_end_transaction(in);
	return b;
}

void
weir_ingest_append(Ingest *in, int n)
{
	IngestView *v = &in->views[0];
	EventBatch *b;

	if (!weir_ingest_drop_failed(in))
		return;
	weir_lost_note_last(in, n);
	b = decode(in, n);
	while (b != NULL && append_batch(in, v, b) && weir_ingest_between(in))
		b = decode(in, 0);
	in->append->full = n == in->capacity;
	weir_ingest_broker_answers(in);
}

long
weir_append_linger(const Ingest *in)
{
	int64 left = in->append->last_commit + LINGER_US - weir_clock_monotonic();

	/* By what this reports autovacuum finds out about the table. */
	(void) pgstat_report_stat(false);
	return in->append->full || left <= 0 ? 0 : (long) (left + 999) / 1000;
}

/* --- positions alone --------------------------------------------------------------------------- */

static bool
is_settled(const Ingest *in, const ViewApply *a)
{
	return a->lost == NULL &&
		   memcmp(in->append->committed, a->parts, parts_size(in)) == 0;
}

static Outcome
attempt_positions(Ingest *in, IngestView *v)
{
	volatile Outcome outcome = DONE;

	in->append->rows = 0;
	in->append->done = false;
	PG_TRY();
	{
		weir_ingest_begin_transaction(in);
		if (write_progress(in, v->apply))
			commit(in, v->apply);
		else
		{
			AbortCurrentTransaction();
			leave(in, v, ERRCODE_SUCCESSFUL_COMPLETION, "");
			outcome = LEFT;
		}
	}
	PG_CATCH();
	{
		outcome = give_in(in, v, false);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(in->cxt);
	return outcome;
}

bool
weir_append_settle(Ingest *in)
{
	IngestView *v = &in->views[0];
	Outcome outcome;

	(void) weir_ingest_drop_failed(in);
	if (v->apply == NULL || is_settled(in, v->apply))
		return true;
	if (in->append->times > 0 && weir_clock_monotonic() < in->append->resume)
		return false;
	outcome = attempt_positions(in, v);
	if (outcome == DONE)
		trouble_is_over(in, v);
	return outcome != AGAIN;
}
