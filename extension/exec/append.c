/*
 * exec/append.c
 *		A batch of events as rows of an append view: positions, WHERE, output.
 *
 * Runs in the ingest worker, inside a transaction, as the view's owner.  Nothing
 * is shared: rows are values in vectors of the batch, in memory of the view.  As
 * for windows (apply.c), the batch is evaluated in one internal subtransaction;
 * if that raises it is repeated row by row, so that only the row at fault becomes
 * a dead letter.
 *
 * A record that is joined with tables (join.c) is as many rows as come of it, none
 * among them; the batch is another one then.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "exec/append.h"
#include "exec/join.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

void
weir_append_letter(AppendLetters *letters, const KafkaMessage *msg, int32 view,
				   int sqlstate, char *reason)
{
	if (letters->n == letters->capacity)
	{
		int capacity = Max(64, letters->capacity * 2);
		Size size = sizeof(AppendLetter) * capacity;

		letters->list = letters->list ? repalloc(letters->list, size)
									  : MemoryContextAlloc(letters->cxt, size);
		letters->capacity = capacity;
	}
	letters->list[letters->n++] = (AppendLetter){.msg = msg,
												 .view = view,
												 .sqlstate = sqlstate,
												 .reason = reason};
}

static void
evaluate_outputs(ViewApply *a, const EventBatch *b, int32 row)
{
	apply_load_row(a, b, row);
	for (int o = 0; o < a->plan->nout; o++)
		apply_eval(a, &a->out[o], row);
}

/* --- joined rows ------------------------------------------------------------------ */

/* Room for n rows, which may be more than the batch has records. */
static void
reserve(ViewApply *a, int n)
{
	if (n <= a->capacity)
		return;
	n = Max(n, a->capacity * 2);
	a->rows = repalloc_huge(a->rows, sizeof(int32) * n);
	a->alive = repalloc_huge(a->alive, sizeof(int32) * n);
	for (int o = 0; o < a->plan->nout; o++)
		if (a->out[o].state)
		{
			a->out[o].values = repalloc_huge(a->out[o].values,
											 sizeof(Datum) * n);
			a->out[o].nulls = repalloc_huge(a->out[o].nulls, sizeof(bool) * n);
		}
	a->capacity = n;
}

/* Rows "at" and on of the joined batch are evaluated; returns how many. */
static int
evaluate_joined(ViewApply *a, const EventBatch *b, const int32 *records, int n,
				int at)
{
	int rows = weir_join_rows(a->join, b, a->taken, records, n, at,
							  PG_INT32_MAX - 1, a->batch_cxt);

	reserve(a, at + rows);
	for (int i = at; a->needs_eval && i < at + rows; i++)
		evaluate_outputs(a, weir_join_batch(a->join), i);
	return rows;
}

/* --- rows -------------------------------------------------------------------------- */

/*
 * Filter and evaluate some records in a subtransaction; returns how many rows
 * there are.  at: of the joined batch, the first row that is free.  -1: rolled
 * back, the error in *error (in batch_cxt).
 */
static int
try_rows(ViewApply *a, const EventBatch *b, int32 *records, int n, int at,
		 ErrorData **error)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int left = -1;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(a->batch_cxt);
	PG_TRY();
	{
		left = apply_filter(a, b, records, n);
		if (a->join)
			left = evaluate_joined(a, b, records, left, at);
		else
			for (int i = 0; a->needs_eval && i < left; i++)
				evaluate_outputs(a, b, records[i]);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		left = -1;
		MemoryContextSwitchTo(a->batch_cxt);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return left;
}

/* Record by record, after the batch as a whole has raised; returns rows. */
static int
evaluate_single(ViewApply *a, const EventBatch *b, AppendLetters *letters)
{
	int32 *records = a->rows;
	int kept = 0;

	for (int i = 0; i < a->nrows; i++)
	{
		int32 record = records[i];
		ErrorData *e = NULL;
		int left = try_rows(a, b, &record, 1, kept, &e);

		records = a->rows; /* it may have moved */
		if (left < 0 && apply_is_fatal(e))
			ReThrowError(e);
		if (left < 0)
		{
			wp_fail(&a->parts[b->partition[record]]);
			weir_append_letter(letters, &b->msgs[record], a->slot->view,
							   e->sqlerrcode, e->message);
			continue;
		}
		if (a->join == NULL && left == 1)
			records[kept] = record;
		kept += left;
	}
	return kept;
}

const EventBatch *
weir_append_evaluate(ViewApply *a, const EventBatch *b, AppendLetters *letters)
{
	ErrorData *e = NULL;
	int left;

	MemoryContextReset(a->batch_cxt);
	weir_apply_begin(a, b);
	memcpy(a->alive, a->rows, sizeof(int32) * a->nrows);
	left = try_rows(a, b, a->alive, a->nrows, 0, &e);
	if (left < 0 && apply_is_fatal(e))
		ReThrowError(e);
	if (left < 0)
		left = evaluate_single(a, b, letters);
	else if (a->join == NULL)
		memcpy(a->rows, a->alive, sizeof(int32) * left);
	a->nrows = left;
	if (a->join == NULL)
		return b;
	for (int i = 0; i < left; i++)
		a->rows[i] = i;
	return weir_join_batch(a->join);
}
