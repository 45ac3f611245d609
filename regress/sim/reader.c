/*
 * reader.c
 *		The simulated reader: SELECT of a view, api/open_scan.c and shmem/read.c.
 *
 * It takes a snapshot, reads final rows and open windows in either order, with
 * anything happening in between, and may read again under the same snapshot.
 * At the end of a read each window must have been in one place, and hold at
 * least what was visible when the read began and at most what is visible now.
 * A read of the log must be exactly what the snapshot's checkpoint says.
 */
#include "sim.h"

#include <string.h>

/* --- checks ------------------------------------------------------------------- */

static void
visible_now(const Slot *slot, Tally *t)
{
	*t = slot->recovered;
	for (int s = 0; s < WORKERS; s++)
		tally_add(t, &slot->shard[s].visible);
}

static void
check_places(World *w, const Reader *r)
{
	for (int i = 0; i < WINDOWS; i++)
	{
		bool final = false;

		for (int k = 0; k < KEYS; k++)
			final = final || r->final.v[i][k].n > 0;
		if (final && r->open_window[i])
			violation(w, "view %d: a reader sees window %d twice", r->view, i);
	}
}

/* Each group lies between the two, and is the same if they are. */
static void
check_between(World *w, const Reader *r, const Tally *least, const Tally *most)
{
	for (int i = 0; i < WINDOWS; i++)
		for (int k = 0; k < KEYS; k++)
		{
			Value v = value_combine(r->final.v[i][k], r->open.v[i][k]);
			Value lo = least->v[i][k];
			Value hi = most->v[i][k];

			if (v.n < lo.n || v.n > hi.n || (lo.n == hi.n && v.sum != hi.sum))
				violation(w,
						  "view %d: a reader sees %u records in window %d, key %d, not %u to %u",
						  r->view, v.n, i, k, lo.n, hi.n);
		}
}

/* --- the log ----------------------------------------------------------------------- */

typedef struct TakeArg
{
	World *w;
	Reader *r;
	int64_t hidden; /* what closes up to there is final */
} TakeArg;

/* A group counts in those windows of its pane that are not final. */
static void
take_group(void *arg, int64_t first, int64_t last, int key, Value value)
{
	TakeArg *a = arg;
	Reader *r = a->r;
	const ViewDef *def = &a->w->view[r->view];

	for (int i = window_no(a->w, r->view, first);
		 i <= window_no(a->w, r->view, last); i++)
	{
		int64_t name = window_name(a->w, r->view, i);

		if (!broken(BROKEN_final_in_pane) &&
			wc_is_closed(window_close(&def->window, def->lateness, name),
						 a->hidden))
			continue;
		r->open.v[i][key] = value_combine(r->open.v[i][key], value);
		r->open_window[i] = true;
	}
}

static void
read_log(World *w, Reader *r)
{
	const Progress *p = db_progress(w, r->snapshot, 0, r->view);
	TakeArg arg = {w, r, p ? p->closed_upto : 0};

	if (p)
		db_restore(w, r->snapshot, r->view, p->chunks, take_group, &arg);
	r->slot = NULL;
	r->step = READER_END;
}

/* --- shared memory ------------------------------------------------------------------- */

typedef struct SeesArg
{
	const World *w;
	Snapshot snapshot;
} SeesArg;

static bool
sees(void *arg, uint32_t xid)
{
	SeesArg *a = arg;

	if (broken(BROKEN_hide_what_is_seen))
		return false;
	return db_sees(a->w, a->snapshot, xid);
}

static Slot *
find_slot(World *w, int view)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].used && w->slot[i].live && w->slot[i].view == view)
			return &w->slot[i];
	return NULL;
}

static void
find(World *w, Reader *r)
{
	const Progress *p = db_progress(w, r->snapshot, 0, r->view);
	SeesArg arg = {w, r->snapshot};
	WmMarks marks;

	memset(&r->open, 0, sizeof(r->open));
	memset(r->open_window, 0, sizeof(r->open_window));
	r->slot = find_slot(w, r->view);
	if (r->slot == NULL || p == NULL || r->slot->generation != p->generation)
	{
		read_log(w, r);
		return;
	}
	r->life = r->slot->life;
	wm_copy(&marks, &r->slot->marks);
	if (broken(BROKEN_older_than_memory))
		marks.birth = WM_NO_XID;
	if (!wm_look(&marks, sees, &arg, &r->hidden))
	{
		read_log(w, r);
		return;
	}
	visible_now(r->slot, &r->least);
	r->k = 0;
	r->step = READER_LIST;
}

static bool
is_hidden(const Reader *r, const Pane *pane)
{
	return wc_is_closed(pane_close(r->slot, pane->last), r->hidden);
}

static bool
is_gone(const Reader *r, const Pane *pane)
{
	return wc_is_closed(pane_close(r->slot, pane->last),
						r->slot->marks.gone_upto) &&
		   !broken(BROKEN_look_before_touch);
}

static bool
has_gone(const Reader *r)
{
	return r->slot->life != r->life && !broken(BROKEN_life_checked);
}

static void
read_group(World *w, Reader *r, const Pane *pane, int key)
{
	TakeArg arg = {w, r, r->hidden};

	if (pane->freed)
		violation(w, "view %d: a reader meets a freed pane", r->view);
	if (pane->g[key].live)
		take_group(&arg, pane->first, pane->last, key, pane->g[key].value);
}

/* The panes of the k-th shard that are to be shown. */
static void
list_panes(Reader *r)
{
	if (r->k == WORKERS)
	{
		r->step = READER_GONE;
		return;
	}
	r->npanes = r->at = r->group = 0;
	for (Pane *p = r->slot->shard[r->k].panes; p; p = p->next)
		if (!is_hidden(r, p) && !is_gone(r, p))
			r->panes[r->npanes++] = p;
	r->k++;
	r->step = READER_PANE;
}

static void
read_pane(World *w, Reader *r)
{
	if (r->at == r->npanes)
		r->step = READER_LIST;
	else if (r->group == KEYS || is_gone(r, r->panes[r->at]))
	{
		r->at++;
		r->group = 0;
	}
	else
		read_group(w, r, r->panes[r->at], r->group++);
}

/* Whatever memory had of the window does not count. */
static void
take_window(Reader *r, int window, const Tally *now, const Tally *seen)
{
	r->open_window[window] = false;
	for (int k = 0; k < KEYS; k++)
	{
		Value v = seen->v[window][k].n > 0 ? (Value){0} : now->v[window][k];

		r->open.v[window][k] = v;
		r->open_window[window] = r->open_window[window] || v.n > 0;
	}
}

/*
 * Windows that have gone from memory although the snapshot does not see them
 * closed: rows that are committed by now, and that it does not see.
 */
static void
take_gone(World *w, Reader *r)
{
	Tally now;
	Tally seen;

	r->step = READER_END;
	r->gone = r->slot->marks.gone_upto;
	if (r->gone <= r->hidden || broken(BROKEN_gone_from_final))
		return;
	(void) db_read_final(w, db_snapshot(w), r->view, &now);
	(void) db_read_final(w, r->snapshot, r->view, &seen);
	for (int i = 0; i < WINDOWS; i++)
		if (wc_closes(pane_close(r->slot, window_name(w, r->view, i)),
					  r->hidden, r->gone))
			take_window(r, i, &now, &seen);
}

/* --- a read ----------------------------------------------------------------------------- */

static void
begin(World *w, Reader *r)
{
	memset(r, 0, sizeof(*r));
	r->snapshot = db_snapshot(w);
	r->reads = 1 + below(w, 3);
	r->step = READER_BEGIN;
}

static void
begin_read(World *w, Reader *r)
{
	r->view = below(w, w->nviews);
	r->final_last = one_in(w, 2);
	r->finals_read = false;
	memset(&r->open, 0, sizeof(r->open));
	memset(r->open_window, 0, sizeof(r->open_window));
	r->slot = NULL;
	r->step = r->final_last ? READER_FIND : READER_FINAL;
}

static void
read_final(World *w, Reader *r)
{
	if (!db_read_final(w, r->snapshot, r->view, &r->final))
		violation(w, "view %d: a window has two final rows", r->view);
	r->finals_read = true;
	r->step = r->final_last ? READER_END : READER_FIND;
}

/*
 * Rows that were taken from the final table in place of memory are those that
 * are there now; a reset has deleted them.
 */
static bool
was_reset(const World *w, const Reader *r)
{
	const Progress *now = db_progress(w, db_snapshot(w), 0, r->view);

	return r->gone > r->hidden && now->generation != r->slot->generation;
}

static void
end_read(World *w, Reader *r)
{
	const Progress *p = db_progress(w, r->snapshot, 0, r->view);
	Tally most = {0};

	if (!r->finals_read)
	{
		/* What was read stays what it was, whatever happens to memory now. */
		r->step = READER_FINAL;
		return;
	}
	check_places(w, r);
	if (r->slot && r->slot->life == r->life && !was_reset(w, r))
	{
		visible_now(r->slot, &most);
		check_between(w, r, &r->least, &most);
	}
	else if (r->slot == NULL)
	{
		if (p)
			most = p->counted;
		check_between(w, r, &most, &most);
	}
	if (--r->reads > 0)
		r->step = READER_BEGIN;
	else
		r->step = READER_NONE;
}

void
reader_step(World *w, Reader *r)
{
	if ((r->step == READER_LIST || r->step == READER_PANE ||
		 r->step == READER_GONE) &&
		has_gone(r))
	{
		r->step = READER_FIND;
		return;
	}
	switch (r->step)
	{
		case READER_NONE:
			begin(w, r);
			break;
		case READER_BEGIN:
			begin_read(w, r);
			break;
		case READER_FINAL:
			read_final(w, r);
			break;
		case READER_FIND:
			find(w, r);
			break;
		case READER_LIST:
			list_panes(r);
			break;
		case READER_PANE:
			read_pane(w, r);
			break;
		case READER_GONE:
			take_gone(w, r);
			break;
		case READER_END:
			end_read(w, r);
			break;
	}
}
