/*
 * checkpoint.c
 *		The simulated checkpoint: checkpoint/ of the extension, step by step.
 *
 * One transaction for all views.  A view that raises is left out and all is
 * written again; one whose row is locked is left for the next checkpoint.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* --- which panes ---------------------------------------------------------------- */

/* Does the attempt close the window that closes then? */
static bool
closes(const CheckpointView *v, int64_t close)
{
	return wc_closes(close, v->progress.closed_upto, v->next.closed_upto);
}

static bool
closes_some(const CheckpointView *v, const Pane *pane)
{
	for (int64_t n = pane->first; n <= pane->last; n += v->slot->window.step)
	{
		if (closes(v, pane_close(v->slot, n)))
			return true;
		if (n == WW_ALL_TIME)
			break;
	}
	return false;
}

/* What is over, and whether windows close that have parts which are not. */
static void
note_closing(CheckpointView *v, Pane **list)
{
	for (Pane *p = *list; p; p = p->next)
	{
		int64_t close = pane_close(v->slot, p->last);

		if (closes(v, close))
			v->closed[v->attempt.nclosed++] = (ClosedPane){.pane = p,
														   .list = list,
														   .close = close};
		else if (!broken(BROKEN_partial_is_closing) && closes_some(v, p))
			v->attempt.partial = true;
	}
}

static int
compare_closed(const void *a, const void *b)
{
	int64_t x = ((const ClosedPane *) a)->close;
	int64_t y = ((const ClosedPane *) b)->close;

	return (x > y) - (x < y);
}

static void
find_closing(CheckpointView *v)
{
	int first;

	wc_begin(&v->attempt);
	first = v->attempt.first;
	for (int s = 0; s < WORKERS; s++)
		note_closing(v, &v->slot->shard[s].panes);
	qsort(v->closed + first, v->attempt.nclosed - first, sizeof(ClosedPane),
		  compare_closed);
}

/* --- one view ---------------------------------------------------------------------- */

/* A window is all panes that are a part of it, whether they are over or not. */
static bool
is_part(const Pane *pane, int64_t name)
{
	if (broken(BROKEN_parts_of_windows))
		return pane->last == name;
	return pane->first <= name && name <= pane->last;
}

static void
write_window(World *w, Xid xid, CheckpointView *v, int window)
{
	int64_t name = window_name(w, v->slot->view, window);

	for (int k = 0; k < KEYS; k++)
	{
		FinalRow row = {.view = v->slot->view, .window = window, .key = k};

		for (int s = 0; s < WORKERS; s++)
			for (Pane *p = v->slot->shard[s].panes; p; p = p->next)
				if (is_part(p, name) && p->g[k].live)
					row.value = value_combine(row.value, p->g[k].value);
		if (row.value.n > 0)
			db_final_insert(w, xid, &row);
	}
	trace(w, "view %d closes window %d", v->slot->view, window);
}

static void
write_final(World *w, Lane *lane, CheckpointView *v)
{
	v->next = v->progress;
	v->next_seq = v->seq;
	v->next.counted = v->slot->recovered;
	for (int s = 0; s < lane->nworkers; s++)
		tally_add(&v->next.counted, &v->slot->shard[s].acked.counted);
	for (int p = 0; p < lane->nparts; p++)
	{
		const Parts *parts = &v->slot->shard[lane->part[p].worker].acked;

		v->next.parts[p] = parts->p[p];
		v->next.late_sum[p] = parts->late_sum[p];
	}
	v->next.closed_upto = wc_raise(v->next.closed_upto, v->slot->closing);
	find_closing(v);
	for (int i = 0; i < WINDOWS; i++)
		if (closes(v, pane_close(v->slot, window_name(w, v->slot->view, i))))
			write_window(w, lane->co.xid, v, i);
}

static void
write_chunk(World *w, Xid xid, CheckpointView *v, int shard, const Chunk *c)
{
	StateRow row = {.view = v->slot->view, .seq = ++v->next_seq, .n = c->n};

	row.key = (WlKey){.pane = c->last,
					  .first = c->first,
					  .incarnation = v->next.incarnation,
					  .shard = shard};
	if (c->rewrite)
		v->next.chunks -= db_state_delete(w, xid, row.view, &row.key, 0);
	memcpy(row.keys, c->keys, sizeof(row.keys));
	memcpy(row.values, c->values, sizeof(row.values));
	db_state_insert(w, xid, &row);
	v->next.chunks++;
}

static void
write_state(World *w, Lane *lane, CheckpointView *v)
{
	Xid xid = lane->co.xid;

	if (wc_has_closed(&v->attempt))
		v->next.chunks -= db_state_delete(w, xid, v->slot->view, NULL,
										  ww_ended(&v->slot->window,
												   v->next.closed_upto -
													   v->slot->lateness));
	for (int s = 0; s < lane->nworkers; s++)
		for (Chunk *c = v->slot->shard[s].chunks; c; c = c->next)
			if (!wc_is_closed(pane_close(v->slot, c->last), v->next.closed_upto))
				write_chunk(w, xid, v, s, c);
}

static void
store(World *w, Lane *lane, CheckpointView *v)
{
	const Progress *row = db_progress(w, db_snapshot(w), lane->co.xid,
									  v->slot->view);
	Progress p = v->next;

	p.state = row->state;
	p.start = row->start;
	p.generation = row->generation;
	p.advance = row->advance;
	db_progress_store(w, lane->co.xid, v->slot->view, &p);
	v->attempt.written = true;
}

/* --- the transaction --------------------------------------------------------------------- */

/* Nothing of the transaction has happened; try again, perhaps without a view. */
static void
abort_attempt(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	for (int i = 0; i < co->nviews; i++)
		wm_settle(&co->v[i].slot->marks, co->xid, false);
	db_abort(w, co->xid);
	co->xid = 0;
	co->step = CO_BEGIN;
}

static void
begin_attempt(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	for (int i = 0; i < co->nviews; i++)
	{
		CheckpointView *v = &co->v[i];

		if (broken(BROKEN_from_committed) && v->skip && !v->gone)
			v->progress.closed_upto = wc_raise(v->progress.closed_upto,
											   v->slot->closing);
		wc_forget(&v->attempt);
	}
	co->xid = db_begin(w);
	co->cur = 0;
	co->step = CO_LOCK;
}

static void
lock_view(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;
	CheckpointView *v = &co->v[co->cur];
	const Progress *row;

	if (co->cur == co->nviews)
	{
		co->step = CO_LETTERS;
		return;
	}
	if (v->skip || v->gone || v->slot->failed ||
		!db_lock(w, co->xid, v->slot->view))
	{
		co->cur++;
		return;
	}
	row = db_progress(w, db_snapshot(w), co->xid, v->slot->view);
	if (row->generation != v->progress.generation &&
		!broken(BROKEN_generation_checked))
	{
		v->gone = true;
		co->cur++;
		return;
	}
	v->progress.advance = row->advance;
	co->step = CO_FINAL;
}

/* Something fails while a view is written.  True: the attempt is over. */
static bool
trouble(World *w, Lane *lane)
{
	CheckpointView *v = &lane->co.v[lane->co.cur];

	if (w->calm || w->failures == 0 || !one_in(w, 20))
		return false;
	if (one_in(w, 2))
	{
		trace(w, "view %d waits for a lock", v->slot->view);
		v->skip = true;
	}
	else
	{
		trace(w, "view %d fails in a checkpoint", v->slot->view);
		v->gone = true;
		v->error = true;
	}
	abort_attempt(w, lane);
	return true;
}

/* What is to be done with a letter; the view may have left and come again. */
static WcLetter
fate_of(const Coordinator *co, const Letter *l)
{
	if (l->view < 0 || broken(BROKEN_letters_with_view))
		return WC_LETTER_WRITE;
	for (int i = co->nviews - 1; i >= 0; i--)
		if (co->v[i].slot->view == l->view && !co->v[i].released)
			return wc_letter(&co->v[i].attempt, co->v[i].gone);
	return WC_LETTER_DROP;
}

static void
write_letters(World *w, Lane *lane)
{
	for (int i = 0; i < lane->nworkers; i++)
		for (Letter *l = lane->worker[i].frozen; l; l = l->next)
		{
			LetterRow row = {.view = l->view, .part = l->part};

			row.offset = l->offset;
			if (fate_of(&lane->co, l) == WC_LETTER_WRITE)
				db_letter_insert(w, lane->co.xid, &row);
		}
}

static void
free_letters(Coordinator *co, Worker *worker)
{
	Letter **link = &worker->frozen;

	while (*link)
	{
		if (fate_of(co, *link) == WC_LETTER_KEEP && !broken(BROKEN_letters_kept))
			link = &(*link)->next;
		else
			*link = (*link)->next;
	}
}

static void
add_marks(Lane *lane)
{
	for (int i = 0; i < lane->co.nviews; i++)
	{
		CheckpointView *v = &lane->co.v[i];

		if (v->attempt.written && wc_has_closed(&v->attempt))
			wm_add(&v->slot->marks, v->next.closed_upto, lane->co.xid);
	}
}

static void
settle_marks(Lane *lane)
{
	for (int i = 0; i < lane->co.nviews; i++)
		wm_settle(&lane->co.v[i].slot->marks, lane->co.xid, true);
}

static void
after_commit(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	for (int i = 0; i < lane->nworkers; i++)
		free_letters(co, &lane->worker[i]);
	for (int i = 0; i < co->nviews; i++)
	{
		CheckpointView *v = &co->v[i];
		bool written = wc_commit(&v->attempt);

		v->skip = false;
		if (written)
		{
			v->progress = v->next;
			v->seq = v->next_seq;
			v->slot->closed_upto = v->progress.closed_upto;
		}
		if (written || broken(BROKEN_chunks_until_committed))
			for (int s = 0; s < lane->nworkers && !v->released; s++)
				v->slot->shard[s].chunks = NULL;
	}
	for (int i = 0; i < lane->nworkers; i++)
		if (broken(BROKEN_letters_at_barrier))
			lane->worker[i].current = NULL;
	co->last_commit = w->db.xacts[co->xid].commit;
	co->durable_pending = true;
	co->xid = 0;
	co->step = CO_REST;
}

void
checkpoint_step(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;
	CheckpointView *v = &co->v[co->cur];

	switch (co->step)
	{
		case CO_BEGIN:
			begin_attempt(w, lane);
			break;
		case CO_LOCK:
			lock_view(w, lane);
			break;
		case CO_FINAL:
			if (trouble(w, lane))
				break;
			write_final(w, lane, v);
			co->step = CO_STATE;
			break;
		case CO_STATE:
			if (trouble(w, lane))
				break;
			write_state(w, lane, v);
			co->step = CO_STORE;
			break;
		case CO_STORE:
			if (trouble(w, lane))
				break;
			store(w, lane, v);
			co->cur++;
			co->step = CO_LOCK;
			break;
		case CO_LETTERS:
			write_letters(w, lane);
			co->step = CO_MARK;
			break;
		case CO_MARK:
			if (!broken(BROKEN_mark_before_commit))
				add_marks(lane);
			co->step = CO_COMMIT;
			break;
		case CO_COMMIT:
			db_commit(w, co->xid, co->stop || one_in(w, 4));
			trace(w, "lane %d commits barrier %llu", (int) (lane - w->lane),
				  (unsigned long long) lane->barrier);
			co->step = CO_SETTLE;
			break;
		case CO_SETTLE:
			if (broken(BROKEN_mark_before_commit))
				add_marks(lane);
			settle_marks(lane);
			co->step = CO_AFTER;
			break;
		default:
			after_commit(w, lane);
			break;
	}
}

/* --- freeing what is closed ------------------------------------------------------------------ */

/* Is there a snapshot that does not see the transaction? */
static bool
snapshot_needs(void *arg, uint32_t xid)
{
	World *w = arg;

	for (int i = 0; i < READERS; i++)
		if (w->reader[i].step != READER_NONE &&
			!db_sees(w, w->reader[i].snapshot, xid) &&
			!broken(BROKEN_keep_while_needed))
			return true;
	return false;
}

static void
unlink_pane(ClosedPane *c)
{
	Pane **link = c->list;

	while (*link != c->pane)
		link = &(*link)->next;
	*link = c->pane->next;
	c->pane->freed = true;
}

void
checkpoint_free_closed(World *w, CheckpointView *v)
{
	WmMarks *marks = &v->slot->marks;
	int done = 0;
	bool force;
	int n;

	if (marks->birth != WM_NO_XID && !snapshot_needs(w, marks->birth))
		marks->birth = WM_NO_XID;
	n = wm_unneeded(marks, snapshot_needs, w);
	force = n < marks->n && (wm_is_scarce(marks) || (!w->calm && one_in(w, 16)));
	if (n > 0)
		wm_drop(marks, n);
	if (force)
		wm_force(marks);
	for (; done < v->attempt.nclosed &&
		   wc_is_closed(v->closed[done].close, marks->gone_upto);
		 done++)
		unlink_pane(&v->closed[done]);
	v->attempt.nclosed -= done;
	memmove(v->closed, v->closed + done,
			v->attempt.nclosed * sizeof(ClosedPane));
}
