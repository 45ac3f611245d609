/*
 * exec/apply_window.c
 *		Which windows the rows of a batch count in, and which they are late for.
 *
 * Runs in the ingest worker, inside the subtransaction of a batch (exec/apply.c):
 * it may raise, and what it does to the worker's letters is undone then.  Private
 * memory; letters are of the arena.
 *
 * A row goes into the pane of all its windows, or, if it is late for some, into
 * the one of those that are left (core/window.h).  Neighbours are mostly of one
 * pane, so windows are computed once for a run of rows.
 *
 * Where windows are made up of others (a view over a view), a row that is late for
 * the inner one is late for all, whichever of them are open.
 */
#include "base/weir.h"

#include "exec/apply_session.h"
#include "exec/letter.h"

bool
weir_apply_lacks_letter(ViewApply *a)
{
	pg_atomic_write_u32(&a->slot->memory.met, MEMORY_ALL);
	a->lacks_letter = true;
	return false;
}

bool
weir_apply_late(ViewApply *a, const EventBatch *b, int32 row, int64 start,
				int64 end)
{
	/* For a session it is the event that had to come before. */
	int64 close = (a->sessions ? start + 1 : end) + a->lateness;
	Letter *l;

	a->late[b->partition[row]]++;
	if (!a->keep_late)
		return true;
	l = weir_letter_new(&b->msgs[row], a->slot->view, "", a->cut_letters);
	if (l == NULL)
		return weir_apply_lacks_letter(a);
	l->kind = LETTER_LATE;
	l->late.event_time = b->event_time[row];
	l->late.window_start = start;
	l->late.window_end = end;
	l->late.by = Max(a->watermark[row], a->closed_upto) - close;
	weir_letter_add(&a->worker->tried, l);
	return true;
}

/* The windows of time t.  Returns when the first of them closes. */
static int64
find_windows(const ViewApply *a, int64 t, WwPane *pane)
{
	const WindowSpec *w = &a->plan->window;

	if (!weir_window_pane(w, t, pane))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("window out of range")));
	if (pane->last < pane->first)
		return WEIR_NO_TIME;
	if (!IS_VALID_TIMESTAMP(weir_window_end(w, pane->last) + a->lateness))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("window out of range")));
	return weir_window_end(w, pane->first) + a->lateness;
}

/*
 * A row is in no window, or late for the first one at least.  *first: the first
 * that it is not late for; after the last one if there is none.  False: no
 * memory to keep it.
 */
static bool
skip_late(ViewApply *a, const EventBatch *b, int32 row, const WwPane *pane,
		  int64 *first)
{
	const WindowSpec *w = &a->plan->window;
	int64 closed;

	*first = pane->first;
	if (pane->last < pane->first)
		return true;
	closed = weir_window_closed(w, a->lateness,
								Max(a->watermark[row], a->closed_upto));
	for (; *first <= closed && *first <= pane->last; *first += w->all.step)
		if (!weir_apply_late(a, b, row, weir_window_start(w, *first),
							 weir_window_end(w, *first)))
			return false;
	return true;
}

/* Without windows nothing is late. */
static int
assign_all_time(ViewApply *a, const int32 *rows, int nrows)
{
	for (int i = 0; i < nrows; i++)
		a->first[rows[i]] = a->last[rows[i]] = WW_ALL_TIME;
	return nrows;
}

/*
 * The inner window of time t, and the outer ones, which are those of its start.
 * Returns when it closes.  An outer one could end before it only where it were
 * not made up of inner ones: in a zone whose clocks were off by seconds.
 */
static int64
find_nested(const ViewApply *a, int64 t, WwPane *inner, WwPane *outer)
{
	int64 close;

	if (!weir_window_pane(&a->plan->inner, t, inner) ||
		!IS_VALID_TIMESTAMP(inner->upto + a->lateness))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("window out of range")));
	close = inner->upto + a->lateness;
	if (a->plan->window.all.kind != WW_NONE)
		return Min(close, find_windows(a, inner->from, outer));
	outer->first = outer->last = WW_ALL_TIME;
	return close;
}

static int
assign_nested(ViewApply *a, const EventBatch *b, int32 *rows, int nrows)
{
	WwPane inner = {0}; /* of the last row; none yet */
	WwPane outer = {0};
	int64 close = 0;
	int kept = 0;

	for (int i = 0; i < nrows; i++)
	{
		int32 row = rows[i];
		int64 t = b->event_time[row];

		if (t < inner.from || t >= inner.upto)
			close = find_nested(a, t, &inner, &outer);
		if (outer.last < outer.first)
			continue;
		if (!wp_is_late(close, a->watermark[row], a->closed_upto))
		{
			a->first[row] = outer.first;
			a->last[row] = outer.last;
			rows[kept++] = row;
		}
		else if (!weir_apply_late(a, b, row, inner.from, inner.upto))
			return -1;
	}
	return kept;
}

int
weir_apply_windows(ViewApply *a, const EventBatch *b, int32 *rows, int nrows)
{
	WwPane pane = {0}; /* of the last row; none yet */
	int64 close = 0;   /* when its first window closes */
	int kept = 0;

	if (a->plan->inner.all.kind != WW_NONE)
		return assign_nested(a, b, rows, nrows);
	if (a->plan->window.all.kind == WW_NONE)
		return assign_all_time(a, rows, nrows);
	if (a->sessions)
		return weir_session_on_time(a, b, rows, nrows);
	for (int i = 0; i < nrows; i++)
	{
		int32 row = rows[i];
		int64 t = b->event_time[row];
		int64 first;

		if (t < pane.from || t >= pane.upto)
			close = find_windows(a, t, &pane);
		first = pane.first;
		if (wp_is_late(close, a->watermark[row], a->closed_upto))
		{
			if (!skip_late(a, b, row, &pane, &first))
				return -1;
			if (first > pane.last)
				continue;
		}
		a->first[row] = first;
		a->last[row] = pane.last;
		rows[kept++] = row;
	}
	return kept;
}
