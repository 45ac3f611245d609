/*
 * exec/apply.c
 *		A batch of events into the open windows of one view.
 *
 * Runs in the ingest worker, inside a transaction, as the view's owner.  Order
 * of things for a record, as docs/semantics.md has it: position and watermark of its
 * partition (weir_apply_begin, before WHERE), then WHERE, window, lateness, key,
 * group, and last, under the shard's lock, the accumulators.
 *
 * Everything that can raise, allocate or run user code happens before the lock,
 * into vectors of this batch, inside one internal subtransaction.  If an expression raises, the subtransaction is rolled back and
 * the batch is repeated row by row, so that only the row at fault is lost to
 * this view, as a dead letter.
 *
 * A group that the barrier under way has still to copy is copied before it is
 * touched (apply_barrier.c).
 */
#include "base/weir.h"

#include "access/xact.h"
#include "exec/apply_session.h"
#include "exec/join.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* --- watermark and positions ---------------------------------------------- */

static void
take_record(ViewApply *a, const EventBatch *b, int i)
{
	if (wp_take(&a->parts[b->partition[i]], b->offset[i],
				weir_apply_is_usable(a, b, i), b->event_time[i], a->delay,
				&a->watermark[i]))
		a->rows[a->nrows++] = i;
}

/* Of messages that hold several records. */
static void
take_one_of(ViewApply *a, const EventBatch *b, int i)
{
	if (wp_take_one_of(&a->parts[b->partition[i]], b->offset[i], b->record[i],
					   b->last[i], weir_apply_is_usable(a, b, i),
					   b->event_time[i], a->delay, &a->watermark[i]))
		a->rows[a->nrows++] = i;
}

/* Of a view that ends somewhere. */
static void
take_up_to_end(ViewApply *a, const EventBatch *b)
{
	for (int i = 0; i < b->n; i++)
	{
		if (wp_is_past_end(&a->parts[b->partition[i]], b->offset[i]))
			continue;
		if (b->record == NULL)
			take_record(a, b, i);
		else
			take_one_of(a, b, i);
	}
}

static void
take_again(ViewApply *a, const EventBatch *b)
{
	for (int i = 0; i < b->n; i++)
	{
		a->watermark[i] = WEIR_NO_TIME;
		a->parts[b->partition[i]].events++;
		a->rows[a->nrows++] = i;
	}
}

void
weir_apply_begin(ViewApply *a, const EventBatch *b)
{
	a->nrows = 0;
	a->nfailed = 0;
	a->next_row = -1;
	a->part_row = 0;
	a->watermark = a->taken;
	memcpy(a->part, a->parts, sizeof(ViewPartition) * a->npartitions);
	if (a->again)
		take_again(a, b);
	else if (a->ends)
		take_up_to_end(a, b);
	if (a->again || a->ends)
		return;
	for (int i = 0; b->record == NULL && i < b->n; i++)
		take_record(a, b, i);
	for (int i = 0; b->record != NULL && i < b->n; i++)
		take_one_of(a, b, i);
}

/* --- expressions ----------------------------------------------------------- */

static inline void
load_columns(ViewApply *a, const EventBatch *b, int row, int n)
{
	TupleTableSlot *slot = a->slot_in;

	for (int i = 0; i < n; i++)
	{
		int c = a->attnos[i] - 1;

		slot->tts_values[c] = b->columns[c].values[row];
		slot->tts_isnull[c] = b->columns[c].nulls[row];
	}
}

void
apply_load_row(ViewApply *a, const EventBatch *b, int row)
{
	load_columns(a, b, row, a->nattnos);
}

static bool
is_let_through(ViewApply *a, const EventBatch *b, int32 row)
{
	CommonExpr *common = a->common_where;
	bool pass;

	if (common && common->known[row])
		return DatumGetBool(common->values[row]);
	load_columns(a, b, row, a->nown);
	pass = ExecQual(a->where, a->econtext);
	if (common)
	{
		common->values[row] = BoolGetDatum(pass);
		common->known[row] = true;
	}
	return pass;
}

/* Drop the rows that WHERE does not let through; what it says of tables is the join's. */
int
apply_filter(ViewApply *a, const EventBatch *b, int32 *rows, int nrows)
{
	int kept = 0;

	if (a->where == NULL)
		return nrows;
	for (int i = 0; i < nrows; i++)
		if (is_let_through(a, b, rows[i]))
			rows[kept++] = rows[i];
	return kept;
}

/* The value of an expression that is no plain column, unless it is known. */
static void
evaluate_one(ViewApply *a, const EventBatch *b, InputExpr *e, int row)
{
	if (e->state == NULL || (e->common && e->common->known[row]))
		return;
	if (a->loaded != row)
		apply_load_row(a, b, row);
	a->loaded = row;
	apply_eval(a, e, row);
	if (e->common)
		e->common->known[row] = true;
}

/* Evaluate one accumulator's FILTER and, if that lets the row through, argument. */
static void
evaluate_accum(ViewApply *a, const EventBatch *b, int c, int row)
{
	bool pass = true;

	if (a->filters[c].state)
	{
		evaluate_one(a, b, &a->filters[c], row);
		pass = !a->filters[c].nulls[row] &&
			   DatumGetBool(a->filters[c].values[row]);
		a->pass[c][row] = pass;
	}
	if (!pass)
		return;
	evaluate_one(a, b, &a->args[c], row);
	for (int i = 0; i < a->plan->accums[c].nmore; i++)
		evaluate_one(a, b, &a->more[c][i], row);
}

/* Evaluate keys, filters and arguments that are not plain columns. */
static void
evaluate(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	if (!a->needs_eval)
		return;
	a->loaded = -1;
	for (int i = 0; i < nrows; i++)
	{
		for (int k = 0; k < a->plan->nkeys; k++)
			evaluate_one(a, b, &a->keys[k], rows[i]);
		for (int c = 0; c < a->plan->naccums; c++)
			evaluate_accum(a, b, c, rows[i]);
	}
}

/* --- the barrier's due ----------------------------------------------------------- */

/*
 * Mark the touched groups as changed in this interval; those that the barrier
 * under way still has to copy are copied now.  False: no memory; marking twice
 * does no harm.
 */
static bool
mark_changed(ViewApply *a)
{
	for (int t = 0; t < a->ntouched; t++)
	{
		PaneGroup *g = a->touched[t];
		Pane *pane = a->touched_pane[t];

		WeTouch touch = we_touch(&a->epochs, g->epoch);

		if (touch == WE_LISTED)
			continue;
		if (touch == WE_COPY_FIRST)
		{
			if (g->live && !weir_pane_copy_group(pane, g, &a->layout,
												 &a->chunks, &a->chunks_tail))
				return false;
			g->epoch = WE_CLEAN;
		}
		if (!weir_pane_reserve(&pane->dirty, pane, 1))
			return false;
		pane->dirty.groups[pane->dirty.n++] = g;
		g->epoch = a->epochs.current;
	}
	return true;
}

/* --- under the lock --------------------------------------------------------------- */

static void
publish(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	Shard *shard = a->shard;

	pg_atomic_write_u32(&shard->writer_waiting, 1);
	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&shard->writer_waiting, 0);
	if (a->sessions)
		weir_session_publish(a);
	for (int c = 0; c < a->plan->naccums; c++)
	{
		const AccumSpec *spec = &a->plan->accums[c];
		InputExpr *e = &a->args[c];

		if (weir_accum_is_datum(spec->kind))
			continue;
		weir_accum_apply(spec, rows, nrows, a->states,
						 e->state   ? e->values
						 : e->attno ? b->columns[e->attno - 1].values
									: NULL,
						 e->state   ? e->nulls
						 : e->attno ? b->columns[e->attno - 1].nulls
									: NULL,
						 a->pass[c]);
	}
	for (int t = 0; t < a->ntouched; t++)
	{
		if (a->ndatums > 0)
			apply_store_datums(a, t);
		a->touched[t]->live = 1;
		if (a->touched_pane[t]->ngroups != a->touched_pane[t]->filled)
			weir_pane_publish(a->touched_pane[t]);
	}
	for (int p = 0; p < a->npartitions; p++)
		shard->parts[p].reach = wp_untouched(&a->parts[p]);
	LWLockRelease(&shard->lock);
}

void
weir_apply_publish(ViewApply *a)
{
	LWLockAcquire(&a->shard->lock, LW_EXCLUSIVE);
	memcpy(a->shard->parts, a->parts, sizeof(ViewPartition) * a->npartitions);
	LWLockRelease(&a->shard->lock);
	weir_letters_move(&a->worker->kept, &a->worker->letters);
	a->worker->published++;
}

/* --- putting it together ------------------------------------------------------------ */

/* Raise for a value that an accumulator cannot take; FILTER comes first. */
static void
check_arguments(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	for (int c = 0; c < a->plan->naccums; c++)
	{
		const AccumSpec *spec = &a->plan->accums[c];
		InputExpr *e = &a->args[c];
		const char *reason;
		int n = 0;

		if (weir_accum_is_datum(spec->kind) || !apply_has_value(e))
			continue;
		for (int i = 0; a->pass[c] && i < nrows; i++)
			if (a->pass[c][rows[i]])
				a->passing[n++] = rows[i];
		if (weir_accum_check(spec, a->pass[c] ? a->passing : rows,
							 a->pass[c] ? n : nrows,
							 e->state ? e->values
									  : b->columns[e->attno - 1].values,
							 e->state ? e->nulls : b->columns[e->attno - 1].nulls,
							 &reason) >= 0)
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg_internal("%s", reason)));
	}
}

/*
 * Join the records with tables: from here on the batch is another one, whose rows
 * are all of them.  Raises when that is more than there is room for; then each
 * record is applied for itself.
 */
static int
join_rows(ViewApply *a, const EventBatch **b, int32 *rows, int nrows)
{
	nrows = weir_join_rows(a->join, *b, a->taken, rows, nrows, 0, a->capacity,
						   a->batch_cxt);
	if (nrows > a->capacity)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the record is joined with more than %d rows",
							   a->capacity)));
	for (int i = 0; i < nrows; i++)
		rows[i] = i;
	*b = weir_join_batch(a->join);
	a->watermark = weir_join_watermarks(a->join);
	return nrows;
}

/*
 * All that can raise.  Returns rows left, or -1: no memory.  *batch: what they are
 * rows of.
 */
static int
prepare(ViewApply *a, const EventBatch **batch, int32 *rows, int nrows)
{
	const EventBatch *b = *batch;

	memset(a->late, 0, sizeof(int64) * a->npartitions);
	nrows = apply_filter(a, b, rows, nrows);
	if (a->join)
		nrows = join_rows(a, batch, rows, nrows);
	b = *batch;
	nrows = weir_apply_windows(a, b, rows, nrows);
	if (nrows < 0)
		return -1;
	evaluate(a, b, rows, nrows);
	check_arguments(a, b, rows, nrows);
	if (!apply_find_groups(a, b, rows, nrows))
		return -1;
	if (!apply_datums(a, b, rows, nrows) || !mark_changed(a) ||
		(a->sessions && !weir_session_prepare(a)))
		return -1;
	return nrows;
}

typedef enum ApplyResult
{
	APPLIED,
	NO_MEMORY,
	RAISED
} ApplyResult;

/*
 * Apply some rows in a subtransaction.  RAISED: rolled back, the error in
 * *error (in batch_cxt).
 */
static ApplyResult
apply_rows(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows,
		   ErrorData **error)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const EventBatch *volatile used = b;
	volatile int left = 0;
	volatile ApplyResult result = APPLIED;

	memcpy(a->alive, rows, sizeof(int32) * nrows);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(a->batch_cxt);
	PG_TRY();
	{
		const EventBatch *rows_of = b;

		left = prepare(a, &rows_of, a->alive, nrows);
		used = rows_of;
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(a->batch_cxt);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
		result = RAISED;
	}
	PG_END_TRY();
	if (result == APPLIED && left < 0)
		result = NO_MEMORY;
	if (result != APPLIED)
		weir_letters_free(&a->worker->tried);
	else
	{
		publish(a, used, a->alive, left);
		apply_live_applied(a);
		if (a->sessions)
			weir_session_published(a);
		weir_letters_move(&a->worker->tried, &a->worker->kept);
		for (int p = 0; p < a->npartitions; p++)
			a->parts[p].late += a->late[p];
	}
	return result;
}

bool
apply_is_fatal(const ErrorData *e)
{
	return e->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		   e->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		   ERRCODE_TO_CATEGORY(e->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES;
}

/* A row failed: it becomes a dead letter of the view.  False: no memory. */
static bool
note_failed(ViewApply *a, const EventBatch *b, int32 row, const ErrorData *e)
{
	if (a->keep_dead && weir_letter_is_wanted(a->worker) &&
		!weir_letter_dead(&a->worker->kept, &b->msgs[row], a->slot->view,
						  e->sqlerrcode, e->message, a->cut_letters))
		return weir_apply_lacks_letter(a);
	a->failed[a->nfailed++] = row;
	wp_fail(&a->parts[b->partition[row]]);
	return true;
}

/*
 * Row by row, after the batch as a whole has raised; but where no row fails, by
 * twice as many each time, as states may be large that are loaded each time.
 */
static bool
apply_single(ViewApply *a, const EventBatch *b)
{
	int n = 1;

	while (a->next_row < a->nrows)
	{
		ErrorData *e = NULL;
		ApplyResult result;

		n = Min(n, a->nrows - a->next_row);
		MemoryContextReset(a->batch_cxt);
		result = apply_rows(a, b, &a->rows[a->next_row], n, &e);
		if (result == RAISED && apply_is_fatal(e))
			ReThrowError(e);
		if (result != APPLIED && n > 1)
		{
			n /= 2;
			continue;
		}
		if (result == NO_MEMORY ||
			(result == RAISED && !note_failed(a, b, a->rows[a->next_row], e)))
			return false;
		a->next_row += n;
		n = result == APPLIED ? n * 2 : 1;
	}
	return true;
}

bool
weir_apply_run(ViewApply *a, const EventBatch *b)
{
	ErrorData *e = NULL;

	a->lacks_letter = false;
	if (a->next_row < 0)
	{
		MemoryContextReset(a->batch_cxt);
		switch (apply_rows(a, b, a->rows, a->nrows, &e))
		{
			case NO_MEMORY:
				return false;
			case RAISED:
				if (apply_is_fatal(e))
					ReThrowError(e);
				a->next_row = 0;
				break;
			case APPLIED:
				apply_settle_if_due(a);
				break;
		}
	}
	return a->next_row < 0 || apply_single(a, b);
}

void
weir_apply_advance(ViewApply *a, int partition, int64 offset)
{
	if (wp_advance(&a->parts[partition], offset))
		weir_apply_publish(a);
}

void
weir_apply_restart(ViewApply *a, int partition, int64 offset)
{
	wp_restart(&a->parts[partition], offset);
	weir_apply_publish(a);
}
