/*
 * storage.c
 *		The simulated database: rows with versions, transactions, snapshots.
 *
 * A commit gets its place in the order of commits; a snapshot is the number of
 * commits that it sees.  Commits are flushed in that order, by a synchronous
 * one or later; a crash of the server takes the unflushed ones back, a suffix.
 * There is one writer to a view at a time, who has locked its row of the
 * catalog, as in PostgreSQL.  What the writer reads is the latest committed, as
 * a statement under READ COMMITTED does.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* --- transactions --------------------------------------------------------- */

Xid
db_begin(World *w)
{
	Storage *db = &w->db;

	if (db->nxacts + 1 >= db->maxxacts)
	{
		Xact *old = db->xacts;

		db->maxxacts = db->maxxacts ? db->maxxacts * 2 : 256;
		db->xacts = world_alloc(w, db->maxxacts * sizeof(Xact));
		if (old)
			memcpy(db->xacts, old, (db->nxacts + 1) * sizeof(Xact));
	}
	db->xacts[++db->nxacts] = (Xact){.state = XACT_RUNNING};
	return db->nxacts;
}

static void
unlock(World *w, Xid xid)
{
	for (int v = 0; v < VIEWS; v++)
		if (w->db.locked[v] == xid)
			w->db.locked[v] = 0;
}

void
db_commit(World *w, Xid xid, bool sync)
{
	Storage *db = &w->db;

	db->xacts[xid].state = XACT_COMMITTED;
	db->xacts[xid].commit = ++db->commits;
	if (sync)
		db->flushed = db->commits;
	unlock(w, xid);
}

void
db_abort(World *w, Xid xid)
{
	w->db.xacts[xid].state = XACT_ABORTED;
	unlock(w, xid);
}

void
db_crash(World *w)
{
	Storage *db = &w->db;

	for (Xid x = 1; x <= db->nxacts; x++)
		if (db->xacts[x].state == XACT_RUNNING ||
			(db->xacts[x].state == XACT_COMMITTED &&
			 db->xacts[x].commit > db->flushed))
			db_abort(w, x);
	db->commits = db->flushed;
}

Snapshot
db_snapshot(const World *w)
{
	return w->db.commits;
}

bool
db_sees(const World *w, Snapshot s, Xid xid)
{
	const Xact *x = &w->db.xacts[xid];

	return x->state == XACT_COMMITTED && x->commit <= s;
}

bool
db_visible(const World *w, Snapshot s, Xid own, Xid xmin, Xid xmax)
{
	if (xmin != own && !db_sees(w, s, xmin))
		return false;
	return xmax == 0 || (xmax != own && !db_sees(w, s, xmax));
}

bool
db_lock(World *w, Xid xid, int view)
{
	if (w->db.locked[view] != 0 && w->db.locked[view] != xid)
		return false;
	w->db.locked[view] = xid;
	return true;
}

/* Make room for one more row of a table. */
static void *
grow(World *w, void *rows, int n, int *max, size_t size)
{
	void *more;

	if (n < *max)
		return rows;
	*max = *max ? *max * 2 : 64;
	more = world_alloc(w, *max * size);
	if (n > 0)
		memcpy(more, rows, n * size);
	return more;
}

/* --- the catalog ------------------------------------------------------------ */

static ProgressVersion *
version(const World *w, Snapshot s, Xid own, int view)
{
	for (ProgressVersion *v = w->db.progress[view]; v; v = v->next)
		if (db_visible(w, s, own, v->xmin, v->xmax))
			return v;
	return NULL;
}

const Progress *
db_progress(const World *w, Snapshot s, Xid own, int view)
{
	ProgressVersion *v = version(w, s, own, view);

	return v ? &v->p : NULL;
}

void
db_progress_store(World *w, Xid xid, int view, const Progress *p)
{
	ProgressVersion *old = version(w, w->db.commits, xid, view);
	ProgressVersion *v = world_alloc(w, sizeof(ProgressVersion));

	if (old)
		old->xmax = xid;
	v->xmin = xid;
	v->p = *p;
	v->next = w->db.progress[view];
	w->db.progress[view] = v;
}

/* --- final rows ---------------------------------------------------------------- */

void
db_final_insert(World *w, Xid xid, const FinalRow *row)
{
	Storage *db = &w->db;

	for (int i = 0; i < db->nfinals; i++)
	{
		const FinalRow *r = &db->finals[i];

		if (r->view == row->view && r->window == row->window &&
			(r->key == row->key || r->xmin != xid) &&
			db_visible(w, db->commits, xid, r->xmin, r->xmax))
			violation(w, "view %d: window %d gets a second row", row->view,
					  row->window);
	}
	db->finals = grow(w, db->finals, db->nfinals, &db->maxfinals,
					  sizeof(FinalRow));
	db->finals[db->nfinals] = *row;
	db->finals[db->nfinals].xmin = xid;
	db->finals[db->nfinals++].xmax = 0;
}

bool
db_read_final(World *w, Snapshot s, int view, Tally *t)
{
	bool once = true;

	memset(t, 0, sizeof(Tally));
	for (int i = 0; i < w->db.nfinals; i++)
	{
		const FinalRow *r = &w->db.finals[i];

		if (r->view != view || !db_visible(w, s, 0, r->xmin, r->xmax))
			continue;
		once = once && t->v[r->window][r->key].n == 0;
		t->v[r->window][r->key] = r->value;
	}
	return once;
}

/* --- the state log ----------------------------------------------------------------- */

void
db_state_insert(World *w, Xid xid, const StateRow *row)
{
	Storage *db = &w->db;

	db->states = grow(w, db->states, db->nstates, &db->maxstates,
					  sizeof(StateRow));
	db->states[db->nstates] = *row;
	db->states[db->nstates].xmin = xid;
	db->states[db->nstates++].xmax = 0;
}

int
db_state_delete(World *w, Xid xid, int view, const WlKey *rewrite, int64_t upto)
{
	Storage *db = &w->db;
	int n = 0;

	for (int i = 0; i < db->nstates; i++)
	{
		StateRow *r = &db->states[i];
		bool match = rewrite ? wl_replaces(rewrite, &r->key)
							 : r->key.pane <= upto;

		if (rewrite && broken(BROKEN_replaces_older))
			match = wl_step(rewrite, &r->key) == WL_SAME;
		if (r->view != view || !match ||
			!db_visible(w, db->commits, xid, r->xmin, r->xmax))
			continue;
		r->xmax = xid;
		n++;
	}
	return n;
}

static int
compare_states(const void *a, const void *b)
{
	const StateRow *x = *(const StateRow *const *) a;
	const StateRow *y = *(const StateRow *const *) b;

	if (x->key.pane != y->key.pane)
		return x->key.pane < y->key.pane ? -1 : 1;
	if (x->key.first != y->key.first)
		return x->key.first < y->key.first ? -1 : 1;
	if (x->key.incarnation != y->key.incarnation)
		return x->key.incarnation - y->key.incarnation;
	if (x->key.shard != y->key.shard)
		return x->key.shard - y->key.shard;
	return x->seq - y->seq;
}

/* One pane of the log, while it is put together. */
typedef struct Restore
{
	Value log[KEYS];
	Value all[KEYS];
	RestoreGroup group;
	void *arg;
} Restore;

static void
end_of_log(Restore *r)
{
	for (int k = 0; k < KEYS; k++)
	{
		if (broken(BROKEN_logs_are_combined) && r->log[k].n > 0)
			r->all[k] = r->log[k];
		else
			r->all[k] = value_combine(r->all[k], r->log[k]);
		r->log[k] = (Value){0};
	}
}

static void
end_of_pane(Restore *r, const WlKey *pane)
{
	end_of_log(r);
	for (int k = 0; k < KEYS; k++)
	{
		if (r->all[k].n > 0)
			r->group(r->arg, pane->first, pane->pane, k, r->all[k]);
		r->all[k] = (Value){0};
	}
}

static void
add_row(Restore *r, const StateRow *row)
{
	for (int i = 0; i < row->n; i++)
	{
		Value *v = &r->log[row->keys[i]];

		*v = broken(BROKEN_last_write_wins) ? value_combine(*v, row->values[i])
											: row->values[i];
	}
}

void
db_restore(World *w, Snapshot s, int view, int chunks, RestoreGroup group,
		   void *arg)
{
	Storage *db = &w->db;
	const StateRow **rows = malloc((db->nstates + 1) * sizeof(StateRow *));
	Restore r = {.group = group, .arg = arg};
	int n = 0;

	for (int i = 0; i < db->nstates; i++)
		if (db->states[i].view == view &&
			db_visible(w, s, 0, db->states[i].xmin, db->states[i].xmax))
			rows[n++] = &db->states[i];
	qsort(rows, n, sizeof(StateRow *), compare_states);
	for (int i = 0; i < n; i++)
	{
		WlStep step = i > 0 ? wl_step(&rows[i - 1]->key, &rows[i]->key)
							: WL_SAME;

		if (step == WL_NEXT_LOG)
			end_of_log(&r);
		else if (step == WL_NEXT_PANE)
			end_of_pane(&r, &rows[i - 1]->key);
		add_row(&r, rows[i]);
	}
	if (n > 0)
		end_of_pane(&r, &rows[n - 1]->key);
	if (n != chunks)
		violation(w, "view %d: the log has %d chunks, not %d", view, n, chunks);
	free(rows);
}

/* --- dead letters ---------------------------------------------------------------------- */

void
db_letter_insert(World *w, Xid xid, const LetterRow *row)
{
	Storage *db = &w->db;

	for (int i = 0; i < db->nletters; i++)
	{
		const LetterRow *r = &db->letters[i];

		if (r->view == row->view && r->part == row->part &&
			r->offset == row->offset &&
			db_visible(w, db->commits, xid, r->xmin, r->xmax))
			return;
	}
	db->letters = grow(w, db->letters, db->nletters, &db->maxletters,
					   sizeof(LetterRow));
	db->letters[db->nletters] = *row;
	db->letters[db->nletters].xmin = xid;
	db->letters[db->nletters++].xmax = 0;
}

/* --- reset --------------------------------------------------------------------------------- */

void
db_forget_view(World *w, Xid xid, int view)
{
	Storage *db = &w->db;
	Snapshot s = db->commits;

	(void) db_state_delete(w, xid, view, NULL, INT64_MAX);
	for (int i = 0; i < db->nfinals; i++)
		if (db->finals[i].view == view &&
			db_visible(w, s, xid, db->finals[i].xmin, db->finals[i].xmax))
			db->finals[i].xmax = xid;
	for (int i = 0; i < db->nletters; i++)
		if (db->letters[i].view == view &&
			db_visible(w, s, xid, db->letters[i].xmin, db->letters[i].xmax))
			db->letters[i].xmax = xid;
}
