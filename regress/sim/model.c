/*
 * model.c
 *		What the results must be, from the logs alone: docs/semantics.md, "the
 *		defining equation".
 *
 * In an exact world each view's results and counters are those of the model, to
 * the record.  Where a clock has decided (idle partitions, partitions found
 * late), each record must still be counted once, or be late once, or be a dead
 * letter once.
 */
#include "sim.h"

#include <string.h>

/* --- values -------------------------------------------------------------------- */

Value
value_combine(Value a, Value b)
{
	return (Value){.n = a.n + b.n, .sum = a.sum + b.sum};
}

void
tally_add(Tally *to, const Tally *from)
{
	for (int i = 0; i < WINDOWS; i++)
		for (int k = 0; k < KEYS; k++)
			to->v[i][k] = value_combine(to->v[i][k], from->v[i][k]);
}

/*
 * Does the window hold the time?  By the definition in docs/windows.md, with an
 * arithmetic of its own; its name, by which it is found, is core/window.h's.
 */
static bool
holds(const World *w, int view, int no, int64_t time)
{
	const WwSpec *s = &w->view[view].window;
	int64_t name = window_name(w, view, no);
	int64_t start = name;

	switch (s->kind)
	{
		case WW_NONE:
			return no == 0;
		case WW_CUMULATE:
			do
				start -= s->step;
			while (start % s->size != 0);
			return start <= time && time < name;
		default:
			return start <= time && time < start + s->size;
	}
}

static int64_t
close_of(const World *w, int view, int no)
{
	const ViewDef *def = &w->view[view];

	return window_close(&def->window, def->lateness, window_name(w, view, no));
}

/*
 * Does an expression fail?  (Not in views with windows that overlap, where it would
 * not be known for how many of them the record was late before.)
 */
bool
model_fails(const World *w, int view, const Record *r)
{
	WwKind kind = w->view[view].window.kind;

	return (kind == WW_TUMBLE || kind == WW_NONE) && (r->poison & (1u << view));
}

/* --- the model -------------------------------------------------------------------- */

typedef struct Model
{
	WpPartition p[PARTS];
	uint32_t late_sum[PARTS];
	Tally counted;
	Value all;    /* records that WHERE lets through */
	Value failed; /* and that are dead letters of the view */
} Model;

static bool
has_letter(const World *w, int view, int part, int64_t offset)
{
	for (int i = 0; i < w->db.nletters; i++)
	{
		const LetterRow *r = &w->db.letters[i];

		if (r->view == view && r->part == part && r->offset == offset &&
			db_visible(w, w->db.commits, 0, r->xmin, r->xmax))
			return true;
	}
	return false;
}

/* One record and one window that holds it.  False: late. */
static bool
model_window(World *w, Model *m, int view, int part, const Record *r, int no,
			 int64_t before)
{
	Value one = {.n = 1, .sum = r->weight};
	Value *v = &m->counted.v[no][r->key];

	m->all = value_combine(m->all, one);
	if (before != WP_NO_TIME && close_of(w, view, no) <= before)
	{
		m->p[part].late++;
		m->late_sum[part] += r->weight;
		return false;
	}
	if (!model_fails(w, view, r))
		*v = value_combine(*v, one);
	return true;
}

static void
model_usable(World *w, Model *m, int view, int part, const Record *r)
{
	WpPartition *p = &m->p[part];
	int64_t before = p->watermark;
	bool letter = has_letter(w, view, part, r->offset);
	bool open = false;

	if (r->time - w->delay > before)
		p->watermark = r->time - w->delay;
	p->events++;
	if (r->key == w->view[view].drops_key)
		return;
	for (int i = 0; i < WINDOWS; i++)
		if (holds(w, view, i, r->time))
			open = model_window(w, m, view, part, r, i, before) || open;
	if (letter)
		m->failed = value_combine(m->failed, (Value){.n = 1, .sum = r->weight});
	if (!open || !model_fails(w, view, r))
		return;
	p->events--;
	p->dead++;
	if (w->exact && !letter)
		violation(w, "view %d: dead letter %d:%lld is missing", view, part,
				  (long long) r->offset);
}

static void
model_make(World *w, Model *m, int view, const Progress *now)
{
	memset(m, 0, sizeof(*m));
	for (int p = 0; p < now->nparts; p++)
	{
		m->p[p].start = now->parts[p].start;
		m->p[p].position = w->log[p].end;
		m->p[p].watermark = WP_NO_TIME;
		for (int i = 0; i < w->log[p].n; i++)
		{
			const Record *r = &w->log[p].r[i];

			if (r->offset < m->p[p].start)
				continue;
			if (r->usable && r->time != WP_NO_TIME)
				model_usable(w, m, view, p, r);
			else
			{
				m->p[p].dead++;
				if (!has_letter(w, -1, p, r->offset))
					violation(w, "dead letter %d:%lld is missing", p,
							  (long long) r->offset);
			}
		}
	}
}

/* --- comparing ------------------------------------------------------------------------ */

typedef struct Found
{
	World *w;
	int view;
	int64_t closed_upto;
	Tally t;
} Found;

static void
found_open(void *arg, int64_t first, int64_t last, int key, Value value)
{
	Found *f = arg;
	int at = window_no(f->w, f->view, first);
	int to = window_no(f->w, f->view, last);

	if (wc_is_closed(close_of(f->w, f->view, to), f->closed_upto))
		violation(f->w, "view %d: window %d is closed and in the log", f->view,
				  to);
	for (; at <= to; at++)
		if (!wc_is_closed(close_of(f->w, f->view, at), f->closed_upto))
			f->t.v[at][key] = value_combine(f->t.v[at][key], value);
}

/* What is committed: final rows and the log. */
static void
find_results(Found *f, const Progress *now)
{
	World *w = f->w;

	f->closed_upto = now->closed_upto;
	if (!db_read_final(w, w->db.commits, f->view, &f->t))
		violation(w, "view %d: a window has two final rows", f->view);
	for (int i = 0; i < WINDOWS; i++)
		for (int k = 0; k < KEYS; k++)
			if (f->t.v[i][k].n > 0 &&
				!wc_is_closed(close_of(w, f->view, i), now->closed_upto))
				violation(w, "view %d: window %d is final and not closed",
						  f->view, i);
	db_restore(w, w->db.commits, f->view, now->chunks, found_open, f);
}

static void
check_same(World *w, int view, const char *what, const Tally *is,
		   const Tally *must)
{
	for (int i = 0; i < WINDOWS; i++)
		for (int k = 0; k < KEYS; k++)
			if (is->v[i][k].n != must->v[i][k].n ||
				is->v[i][k].sum != must->v[i][k].sum)
				violation(w,
						  "view %d: window %d, key %d has %u records, not %u %s",
						  view, i, k, is->v[i][k].n, must->v[i][k].n, what);
}

static void
check_counters(World *w, int view, const Progress *now, const Model *m)
{
	for (int p = 0; p < now->nparts; p++)
	{
		const WpPartition *is = &now->parts[p];
		const WpPartition *must = &m->p[p];

		if (is->position != must->position || is->watermark != must->watermark)
			violation(w, "view %d: position or watermark of partition %d", view,
					  p);
		if (is->events + is->dead != must->events + must->dead)
			violation(w, "view %d: partition %d has %lld records, not %lld",
					  view, p, (long long) (is->events + is->dead),
					  (long long) (must->events + must->dead));
		if (is->late < must->late)
			violation(w, "view %d: too few late in partition %d", view, p);
		if (w->exact && (is->late != must->late || is->dead != must->dead ||
						 now->late_sum[p] != m->late_sum[p]))
			violation(w,
					  "view %d: partition %d has %lld late, %lld dead, not %lld, %lld",
					  view, p, (long long) is->late, (long long) is->dead,
					  (long long) must->late, (long long) must->dead);
	}
}

/* Each record once: counted, late or failed. */
static void
check_once(World *w, int view, const Progress *now, const Model *m,
		   const Tally *t)
{
	Value sum = m->failed;

	for (int i = 0; i < WINDOWS; i++)
		for (int k = 0; k < KEYS; k++)
			sum = value_combine(sum, t->v[i][k]);
	for (int p = 0; p < now->nparts; p++)
		sum = value_combine(sum, (Value){.n = (uint32_t) now->parts[p].late,
										 .sum = now->late_sum[p]});
	if (sum.n != m->all.n || sum.sum != m->all.sum)
		violation(w, "view %d: %u records counted, late or failed, of %u", view,
				  sum.n, m->all.n);
}

/* Memory of what is closed has been freed, since nobody reads any more. */
static void
check_memory(World *w)
{
	for (int i = 0; i < SLOTS; i++)
	{
		const Slot *slot = &w->slot[i];

		if (!slot->used || !slot->live)
			continue;
		if (slot->marks.n > 0)
			violation(w, "view %d: marks are left", slot->view);
		for (int s = 0; s < WORKERS; s++)
			for (const Pane *p = slot->shard[s].panes; p; p = p->next)
				if (wc_is_closed(pane_close(slot, p->last), slot->closed_upto))
					violation(w, "view %d: closed memory is left", slot->view);
	}
}

static void
check_letters(World *w, int view)
{
	for (int i = 0; i < w->db.nletters; i++)
	{
		const LetterRow *l = &w->db.letters[i];
		const Progress *now = db_progress(w, w->db.commits, 0, view);

		if (l->view == view && l->offset < now->parts[l->part].start &&
			db_visible(w, w->db.commits, 0, l->xmin, l->xmax))
			violation(w, "view %d: dead letter %d:%lld is from before its start",
					  view, l->part, (long long) l->offset);
	}
}

void
model_check(World *w)
{
	for (int v = 0; v < w->nviews; v++)
	{
		const Progress *now = db_progress(w, w->db.commits, 0, v);
		Found f = {.w = w, .view = v};
		Model m;

		model_make(w, &m, v, now);
		find_results(&f, now);
		check_same(w, v, "that were counted", &f.t, &now->counted);
		if (w->exact)
			check_same(w, v, "as the model has it", &f.t, &m.counted);
		check_counters(w, v, now, &m);
		check_once(w, v, now, &m, &f.t);
		check_letters(w, v);
	}
	check_memory(w);
}

/* --- rest --------------------------------------------------------------------------------- */

/* Has the view closed what it could? */
static bool
has_closed(const World *w, const Progress *p)
{
	int64_t least = INT64_MAX;

	if (!w->exact)
		return p->closed_upto >= p->advance;
	for (int i = 0; i < p->nparts; i++)
		if (p->parts[i].watermark < least)
			least = p->parts[i].watermark;
	return p->closed_upto == least;
}

static bool
is_in_lane(const World *w, int view, int64_t generation)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].used && w->slot[i].live && w->slot[i].view == view)
			return w->slot[i].generation == generation;
	return false;
}

static bool
view_at_rest(World *w, int view)
{
	const Progress *p;

	if (!w->view[view].exists)
		return false;
	p = db_progress(w, w->db.commits, 0, view);
	if (p->state != VIEW_RUNNING || !is_in_lane(w, view, p->generation) ||
		p->nparts != w->allparts || !has_closed(w, p))
		return false;
	for (int i = 0; i < p->nparts; i++)
		if (p->parts[i].position != w->log[i].end)
			return false;
	return true;
}

/* The coordinator is between two duties, and no view is about to leave. */
static bool
lane_at_rest(const Lane *lane)
{
	if (lane->state == LANE_FREE)
		return true;
	if (!lane->co.alive || lane->co.step != CO_REST ||
		lane->co.nviews < lane->nplaces)
		return false;
	for (int i = 0; i < lane->co.nviews; i++)
	{
		const CheckpointView *v = &lane->co.v[i];

		if (!v->released && (v->gone || v->slot->failed))
			return false;
	}
	return true;
}

bool
model_at_rest(World *w)
{
	if (!topic_is_complete(w) || w->user.xid != 0)
		return false;
	for (int i = 0; i < READERS; i++)
		if (w->reader[i].step != READER_NONE)
			return false;
	for (int v = 0; v < w->nviews; v++)
		if (!view_at_rest(w, v))
			return false;
	for (int i = 0; i < LANES; i++)
		if (!lane_at_rest(&w->lane[i]))
			return false;
	return true;
}
