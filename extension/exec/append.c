/*
 * exec/append.c
 *		A batch of events as rows of an append view: positions, WHERE, output.
 *
 * Runs in the ingest worker, inside a transaction, as the view's owner.  Nothing
 * is shared: rows are values in vectors of the batch, in memory of the view.  As
 * for windows (apply.c), the batch is evaluated in one internal subtransaction;
 * if that raises it is repeated row by row, so that only the row at fault becomes
 * a dead letter.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "exec/append.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

void
weir_append_letter(AppendLetters *letters, int32 record, int32 view,
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
	letters->list[letters->n++] = (AppendLetter){.record = record,
												 .view = view,
												 .sqlstate = sqlstate,
												 .reason = reason};
}

static void
evaluate_outputs(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	if (!a->needs_eval)
		return;
	for (int i = 0; i < nrows; i++)
	{
		apply_load_row(a, b, rows[i]);
		for (int o = 0; o < a->plan->nout; o++)
			apply_eval(a, &a->out[o], rows[i]);
	}
}

/*
 * Filter and evaluate some rows in a subtransaction; returns how many are left.
 * -1: rolled back, the error in *error (in batch_cxt).
 */
static int
try_rows(ViewApply *a, const EventBatch *b, int32 *rows, int nrows,
		 ErrorData **error)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int left = -1;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(a->batch_cxt);
	PG_TRY();
	{
		left = apply_filter(a, b, rows, nrows);
		evaluate_outputs(a, b, rows, left);
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

/* Row by row, after the batch as a whole has raised. */
static void
evaluate_single(ViewApply *a, const EventBatch *b, AppendLetters *letters)
{
	int kept = 0;

	for (int i = 0; i < a->nrows; i++)
	{
		int32 row = a->rows[i];
		ErrorData *e = NULL;
		int left = try_rows(a, b, &row, 1, &e);

		if (left < 0 && apply_is_fatal(e))
			ReThrowError(e);
		if (left < 0)
		{
			wp_fail(&a->parts[b->partition[row]]);
			weir_append_letter(letters, row, a->slot->view, e->sqlerrcode,
							   e->message);
		}
		else if (left == 1)
			a->rows[kept++] = row;
	}
	a->nrows = kept;
}

void
weir_append_evaluate(ViewApply *a, const EventBatch *b, AppendLetters *letters)
{
	ErrorData *e = NULL;
	int left;

	MemoryContextReset(a->batch_cxt);
	weir_apply_begin(a, b);
	memcpy(a->alive, a->rows, sizeof(int32) * a->nrows);
	left = try_rows(a, b, a->alive, a->nrows, &e);
	if (left < 0)
	{
		if (apply_is_fatal(e))
			ReThrowError(e);
		evaluate_single(a, b, letters);
		return;
	}
	memcpy(a->rows, a->alive, sizeof(int32) * left);
	a->nrows = left;
}
