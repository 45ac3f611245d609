/*
 * ingest.c
 *		The simulated ingest worker: worker/ingest*.c and exec/apply*.c without
 *		expressions.
 *
 * A step is one thing that no other process can come between: a batch begun for
 * one view, its groups changed (under the shard's lock), its positions
 * published, a barrier taken, one group copied.  What a worker decides is in
 * core/.
 */
#include "sim.h"

#include <string.h>

/* --- letting go and taking up ------------------------------------------------- */

static void
add_letter(World *w, Worker *me, int view, const BatchRow *row)
{
	Letter *l = world_alloc(w, sizeof(Letter));

	l->view = view;
	l->part = row->part;
	l->offset = row->r->offset;
	l->next = me->current;
	me->current = l;
}

static int64_t
least_position(const Worker *me, const Lane *lane, int p)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < me->nviews; i++)
		if (me->apply[i].active && me->apply[i].parts.p[p].position < least)
			least = me->apply[i].parts.p[p].position;
	return least == INT64_MAX ? lane->part[p].position : least;
}

/* Read from the least positions on. */
static void
assign(Lane *lane, int no)
{
	for (int p = 0; p < lane->nparts; p++)
		if (lane->part[p].worker == no)
			lane->part[p].position = least_position(&lane->worker[no], lane, p);
}

static void
load_view(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];
	int place = lane->place[me->nviews];
	Apply *a = &me->apply[me->nviews++];

	*a = (Apply){0};
	if (place < 0 || w->slot[place].detached)
		return;
	a->active = true;
	a->slot = &w->slot[place];
	a->shard = &a->slot->shard[no];
	a->parts = a->shard->parts;
	a->closed_upto = broken(BROKEN_joining_takes_closing)
						 ? a->slot->closed_upto
						 : wc_raise(a->slot->closed_upto, a->slot->closing);
	we_begin(&a->epochs);
	/* Of what is restored, what the coordinator is not closing. */
	for (Pane *p = a->shard->panes; p; p = p->next)
		p->mapped = !wc_is_closed(pane_close(a->slot, p->last), a->closed_upto);
	trace(w, "worker %d takes up view %d, closed up to %lld", no, a->slot->view,
		  (long long) a->closed_upto);
}

static void
load_views(World *w, Lane *lane, int no)
{
	while (lane->worker[no].nviews < lane->ready)
		load_view(w, lane, no);
	assign(lane, no);
}

void
worker_start(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];

	memset(me, 0, sizeof(Worker));
	me->alive = true;
	me->report.acked = me->report.copied = me->barrier.acked = lane->barrier;
	load_views(w, lane, no);
}

/* --- panes and groups --------------------------------------------------------------- */

static Pane *
get_pane(World *w, Apply *a, int64_t first, int64_t last)
{
	Pane *pane;

	for (pane = a->shard->panes; pane; pane = pane->next)
		if (pane->mapped && pane->first == first && pane->last == last)
			break;
	if (pane)
	{
		if (pane->freed)
			violation(w, "view %d: a record meets a freed pane", a->slot->view);
		return pane;
	}
	pane = world_alloc(w, sizeof(Pane));
	pane->first = first;
	pane->last = last;
	pane->mapped = true;
	pane->next = a->shard->panes;
	a->shard->panes = pane;
	return pane;
}

static bool
is_of(const Chunk *chunk, const Pane *pane)
{
	return chunk->first == pane->first && chunk->last == pane->last;
}

static void
copy_group(World *w, Apply *a, Pane *pane, int key)
{
	Chunk **end = &a->chunks;
	Chunk *last = NULL;

	pane->g[key].epoch = WE_CLEAN;
	if (!pane->g[key].live)
		return;
	for (; *end; end = &(*end)->next)
		last = *end;
	if (last == NULL || !is_of(last, pane) || pane->rewrite)
	{
		*end = last = world_alloc(w, sizeof(Chunk));
		last->first = pane->first;
		last->last = pane->last;
		last->rewrite = pane->rewrite;
		pane->rewrite = false;
		pane->logged = true;
	}
	last->keys[last->n] = key;
	last->values[last->n++] = pane->g[key].value;
}

static void
mark_changed(World *w, Apply *a, Pane *pane, int key)
{
	Group *g = &pane->g[key];
	WeTouch touch = we_touch(&a->epochs, g->epoch);

	if (touch == WE_LISTED)
		return;
	if (touch == WE_COPY_FIRST && !broken(BROKEN_copy_before_touch))
		copy_group(w, a, pane, key);
	pane->dirty[pane->ndirty++] = key;
	g->epoch = a->epochs.current;
}

/* --- a batch -------------------------------------------------------------------------- */

/* What the lane has not read yet of some of the worker's partitions. */
static void
fetch(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];
	int64_t next[PARTS];
	int n = 1 + below(w, BATCH);

	for (int p = 0; p < PARTS; p++)
		next[p] = lane->part[p].position;
	me->nbatch = 0;
	for (int tries = 0; tries < 8 && me->nbatch < n; tries++)
	{
		int p = below(w, lane->nparts);
		const Record *r = topic_next(w, p, next[p]);

		if (lane->part[p].worker != no || r == NULL)
			continue;
		me->batch[me->nbatch++] = (BatchRow){.part = p, .r = r};
		next[p] = r->offset + 1;
	}
	if (me->nbatch == 0)
		return;
	for (int i = 0; i < me->nbatch; i++)
		if (!me->batch[i].r->usable || me->batch[i].r->time == WP_NO_TIME)
			add_letter(w, me, -1, &me->batch[i]);
	me->phase = BATCH_BEGIN;
	me->at = 0;
}

static void
begin_batch(World *w, Worker *me, Apply *a)
{
	a->nrows = 0;
	for (int i = 0; i < me->nbatch; i++)
	{
		const BatchRow *b = &me->batch[i];
		WpPartition *p = &a->parts.p[b->part];

		if (broken(BROKEN_skip_what_was_read) && b->r->offset < p->position)
			p->position = b->r->offset;
		if (wp_take(p, b->r->offset, b->r->usable && b->r->time != WP_NO_TIME,
					b->r->time, w->delay, &a->watermark[a->nrows]))
			a->rows[a->nrows++] = i;
	}
	me->phase = BATCH_RUN;
}

/*
 * The first window that the record is not late for: the later ones that hold it
 * have a pane of their own, with another first one.
 */
static int64_t
first_open(const Apply *a, int64_t first, int64_t watermark)
{
	const Slot *slot = a->slot;
	int64_t open = window_open(&slot->window, slot->lateness,
							   wc_raise(a->closed_upto, watermark));

	return open > first ? open : first;
}

static void
apply_late(Apply *a, const BatchRow *b, int64_t windows)
{
	a->parts.p[b->part].late += windows;
	a->parts.late_sum[b->part] += (uint32_t) windows * b->r->weight;
}

static void
count_row(World *w, Apply *a, const Record *r, const WwPane *in)
{
	Value one = {.n = 1, .sum = r->weight};
	int view = a->slot->view;

	for (int i = window_no(w, view, in->first);
		 i <= window_no(w, view, in->last); i++)
	{
		Value *counted = &a->parts.counted.v[i][r->key];
		Value *visible = &a->shard->visible.v[i][r->key];

		*counted = value_combine(*counted, one);
		*visible = value_combine(*visible, one);
	}
}

static void
apply_row(World *w, Worker *me, Apply *a, int i)
{
	const BatchRow *b = &me->batch[a->rows[i]];
	const WwSpec *window = &a->slot->window;
	Value one = {.n = 1, .sum = b->r->weight};
	WwPane in;
	int64_t all;
	Pane *pane;
	Group *g;

	if (b->r->key == w->view[a->slot->view].drops_key ||
		!ww_pane(window, b->r->time, &in) || in.last < in.first)
		return;
	all = in.first;
	in.first = first_open(a, all, a->watermark[i]);
	if (in.first > in.last)
	{
		apply_late(a, b, (in.last - all) / window->step + 1);
		return;
	}
	apply_late(a, b, (in.first - all) / window->step);
	if (model_fails(w, a->slot->view, b->r))
	{
		wp_fail(&a->parts.p[b->part]);
		add_letter(w, me, a->slot->view, b);
		return;
	}
	pane = get_pane(w, a, broken(BROKEN_late_apart) ? all : in.first, in.last);
	g = &pane->g[b->r->key];
	mark_changed(w, a, pane, b->r->key);
	g->value = value_combine(g->value, one);
	g->live = true;
	count_row(w, a, b->r, &in);
}

static void
fail_view(World *w, Apply *a)
{
	trace(w, "view %d fails in a worker", a->slot->view);
	a->slot->failed = true;
	a->active = false;
}

static void worker_barrier(World *w, Lane *lane, int no);

/*
 * The batch, for the view whose turn it is.  While it waits for memory barriers
 * go on; it has published nothing of the batch then.
 */
static void
run_batch(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];
	Apply *a = &me->apply[me->at];

	if (!w->calm && one_in(w, 6))
	{
		worker_barrier(w, lane, no);
		return;
	}
	if (!w->calm && w->failures > 0 && one_in(w, 400))
	{
		fail_view(w, a);
		return;
	}
	for (int i = 0; i < a->nrows; i++)
		apply_row(w, me, a, i);
	me->phase = BATCH_PUBLISH;
}

static void
end_batch(World *w, Lane *lane, Worker *me)
{
	for (int i = 0; i < me->nbatch; i++)
	{
		LanePart *p = &lane->part[me->batch[i].part];
		const Record *r = me->batch[i].r;

		p->position = r->offset + 1;
		if (r->usable && r->time != WP_NO_TIME)
			p->idle = false;
	}
	me->phase = BATCH_NONE;
}

static void
batch_step(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];
	Apply *a = &me->apply[me->at];

	if (me->at == me->nviews)
		end_batch(w, lane, me);
	else if (!a->active)
	{
		me->at++;
		me->phase = BATCH_BEGIN;
	}
	else if (me->phase == BATCH_BEGIN)
		begin_batch(w, me, a);
	else if (me->phase == BATCH_RUN)
		run_batch(w, lane, no);
	else
	{
		a->shard->parts = a->parts;
		me->at++;
		me->phase = BATCH_BEGIN;
	}
}

/* --- the barrier -------------------------------------------------------------------------- */

/* Chunks of a pane that are not committed are worth nothing any more. */
static void
drop_chunks(Apply *a, const Pane *pane)
{
	Chunk **link = &a->shard->chunks;

	while (*link)
		if (is_of(*link, pane))
			*link = (*link)->next;
		else
			link = &(*link)->next;
}

/* All groups of a pane are written anew, and replace what its log held. */
static void
rewrite_pane(Apply *a, Pane *pane)
{
	drop_chunks(a, pane);
	if (broken(BROKEN_dropped_is_rewritten) && !pane->restored)
		return;
	if (!broken(BROKEN_restored_is_rewritten) || !pane->restored)
		pane->rewrite = true;
	pane->restored = false;
	if (broken(BROKEN_rewrite_copies_all))
		return;
	for (int k = 0; k < KEYS; k++)
		if (pane->g[k].live && pane->g[k].epoch == WE_CLEAN)
		{
			pane->g[k].epoch = a->epochs.current;
			pane->frozen[pane->nfrozen++] = k;
		}
}

static void
freeze_pane(World *w, Apply *a, Pane *pane, int64_t upto)
{
	pane->nfrozen = pane->ncopied = 0;
	if (!wc_is_closed(pane_close(a->slot, pane->last), upto))
	{
		memcpy(pane->frozen, pane->dirty, sizeof(pane->dirty));
		pane->nfrozen = pane->ndirty;
		if (pane->nfrozen > 0 &&
			(pane->restored || (pane->logged && one_in(w, 4))))
			rewrite_pane(a, pane);
	}
	else
	{
		drop_chunks(a, pane);
		pane->mapped = false;
	}
	pane->ndirty = 0;
}

static void
freeze_view(World *w, Apply *a)
{
	int64_t upto = wc_raise(a->closed_upto, a->slot->closing);

	a->shard->acked = a->shard->parts;
	for (Pane *p = a->shard->panes; p; p = p->next)
		if (p->mapped)
			freeze_pane(w, a, p, upto);
	we_freeze(&a->epochs);
	if (!broken(BROKEN_worker_takes_closing))
		a->closed_upto = upto;
}

static void
freeze_letters(Worker *me)
{
	Letter **end = &me->current;

	while (*end)
		end = &(*end)->next;
	*end = me->frozen;
	me->frozen = me->current;
	me->current = NULL;
}

static void
take_barrier(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];

	for (int i = 0; i < me->nviews; i++)
		if (me->apply[i].active && me->apply[i].slot->detached)
			me->apply[i].active = false;
	for (int i = 0; i < me->nviews; i++)
		if (me->apply[i].active)
			freeze_view(w, &me->apply[i]);
	freeze_letters(me);
	we_take(&me->barrier, lane->barrier);
	me->report.acked = lane->barrier;
	trace(w, "worker %d takes barrier %llu", no,
		  (unsigned long long) lane->barrier);
}

/* Copy one group of a view.  True: all is copied and handed over. */
static bool
copy_view(World *w, Apply *a)
{
	Chunk **end = &a->shard->chunks;

	if (a->epochs.frozen == WE_CLEAN)
		return true;
	for (Pane *p = a->shard->panes; p; p = p->next)
		while (p->mapped && p->ncopied < p->nfrozen)
		{
			int key = p->frozen[p->ncopied++];

			if (!we_is_due(&a->epochs, p->g[key].epoch))
				continue;
			copy_group(w, a, p, key);
			return false;
		}
	while (*end)
		end = &(*end)->next;
	*end = a->chunks;
	a->chunks = NULL;
	we_thaw(&a->epochs);
	return true;
}

static void
copy_slice(World *w, Worker *me)
{
	for (int i = 0; i < me->nviews; i++)
	{
		Apply *a = &me->apply[i];

		if (!a->active)
			continue;
		if (!copy_view(w, a))
			return;
		if (broken(BROKEN_positions_at_barrier))
			a->shard->acked = a->shard->parts;
	}
	me->barrier.copying = false;
	me->report.copied = me->barrier.acked;
}

static void
worker_barrier(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];

	switch (we_next(&me->barrier, lane->barrier))
	{
		case WE_TAKE:
			take_barrier(w, lane, no);
			break;
		case WE_COPY:
			copy_slice(w, me);
			break;
		case WE_NOTHING:
			break;
	}
}

/* --- the ends of partitions ------------------------------------------------------------------ */

static void
at_end(World *w, Lane *lane, int no, int p)
{
	LanePart *lp = &lane->part[p];
	Worker *me = &lane->worker[no];
	int64_t end = w->log[p].end;

	if (topic_next(w, p, lp->position) != NULL)
		return;
	lp->at_end = end >= lp->position;
	lp->high = end;
	if (end > lp->position)
		lp->position = end;
	for (int i = 0; i < me->nviews; i++)
	{
		Apply *a = &me->apply[i];

		if (a->active && wp_advance(&a->parts.p[p], end))
			a->shard->parts = a->parts;
	}
}

/* A partition is idle only at its end; when, a clock decides. */
static void
note_idle(World *w, Lane *lane, int p)
{
	LanePart *lp = &lane->part[p];

	lp->high = w->log[p].end;
	if (lp->position < lp->high)
		lp->at_end = false;
	lp->idle = !w->exact && lp->at_end && (lp->idle || one_in(w, 3));
}

void
worker_step(World *w, Lane *lane, int no)
{
	Worker *me = &lane->worker[no];
	int p = below(w, lane->nparts);

	if (!lane->co.alive)
	{
		me->alive = false;
		return;
	}
	if (me->phase != BATCH_NONE)
	{
		batch_step(w, lane, no);
		return;
	}
	switch (below(w, 6))
	{
		case 0:
		case 1:
			worker_barrier(w, lane, no);
			break;
		case 2:
			if (me->nviews == lane->ready || !one_in(w, 4))
				break;
			if (lane->co.step >= CO_WAIT && me->barrier.acked == lane->barrier)
				world_linger(w, lane);
			load_views(w, lane, no);
			break;
		case 3:
		case 4:
			fetch(w, lane, no);
			break;
		case 5:
			if (lane->part[p].worker != no)
				break;
			at_end(w, lane, no, p);
			note_idle(w, lane, p);
			break;
	}
}
