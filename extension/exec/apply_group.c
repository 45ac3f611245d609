/*
 * exec/apply_group.c
 *		The group of each row of a batch.
 *
 * Runs in the ingest worker, inside the subtransaction of a batch (exec/apply.c):
 * it may raise.  Private memory; groups that are new are added to the pane, of the
 * arena, at once, since readers see them only when they are published.
 *
 * First the image, the hash and the pane of each row, then the groups.  In panes
 * that no cache holds, the lines that a row needs are asked for some rows before:
 * its slot of the index, its group, and that one's key.  Keys that other views of
 * the worker have, too, are built once for all of them, and looked up once for
 * each that is different (exec/common.h).
 */
#include "base/weir.h"

#include "exec/apply_internal.h"
#include "exec/apply_session.h"

/* How many rows before. */
#define AHEAD_INDEX 24
#define AHEAD_GROUP 16
#define AHEAD_KEY   8

static uint32
build_key(ViewApply *a, const EventBatch *b, int row, KeyBuffer *buf)
{
	Datum values[WEIR_MAX_KEYS];
	bool nulls[WEIR_MAX_KEYS];

	for (int k = 0; k < a->plan->nkeys; k++)
		values[k] = apply_value(&a->keys[k], b, row, &nulls[k]);
	return weir_key_build(a->codec, values, nulls, buf);
}

uint32
weir_apply_key(ViewApply *a, const EventBatch *b, int row)
{
	return build_key(a, b, row, &a->key_buf);
}

Pane *
weir_apply_pane(ViewApply *a, int64 first, int64 last)
{
	Pane *pane = weir_panemap_get(a->panes, first, last);
	PaneWindows windows = {.first = first, .last = last};

	if (pane)
		return pane;
	windows.end = weir_window_end(&a->plan->window, last);
	pane = weir_pane_new(&windows, &a->layout, &a->slot->memory);
	if (pane == NULL)
		return NULL;
	weir_panemap_put(a->panes, pane);
	LWLockAcquire(&a->shard->lock, LW_EXCLUSIVE);
	pane->next = a->shard->panes;
	a->shard->panes = pane;
	LWLockRelease(&a->shard->lock);
	return pane;
}

void
weir_apply_touch(ViewApply *a, Pane *pane, PaneGroup *g)
{
	if (g->batch_ref < (uint32) a->ntouched && a->touched[g->batch_ref] == g)
		return;
	g->batch_ref = a->ntouched;
	a->touched[a->ntouched] = g;
	a->touched_pane[a->ntouched++] = pane;
}

/* --- where to look ------------------------------------------------------------------ */

static void
probe_own_key(ViewApply *a, const EventBatch *b, int row, GroupProbe *p)
{
	p->key = a->key_buf.used;
	p->len = build_key(a, b, row, &a->key_buf);
	p->hash = weir_key_hash(a->codec, a->key_buf.data + p->key, p->len);
}

static void
probe_common_key(ViewApply *a, const EventBatch *b, int row, GroupProbe *p)
{
	CommonKeys *k = a->common_keys;
	const CommonImage *image;

	if (k->codes[row] < 0)
	{
		size_t at = k->images.used;
		uint32 len = build_key(a, b, row, &k->images);

		k->codes[row] =
			weir_common_code(k, at, len,
							 weir_key_hash(a->codec, k->images.data + at, len));
	}
	p->code = k->codes[row];
	image = &k->of[p->code];
	p->key = image->at;
	p->len = image->len;
	p->hash = image->hash;
}

/* Fill the probes of all rows.  False: no memory. */
static bool
make_probes(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows,
			bool common, GroupProbe *probes)
{
	for (int i = 0; i < nrows; i++)
	{
		GroupProbe *p = &probes[i];

		if (common)
			probe_common_key(a, b, rows[i], p);
		else
			probe_own_key(a, b, rows[i], p);
		p->pane = weir_apply_pane(a, a->first[rows[i]], a->last[rows[i]]);
		if (p->pane == NULL)
			return false;
	}
	return true;
}

/* --- looking -------------------------------------------------------------------------- */

static inline void
ask_ahead(const GroupProbe *probes, int i, int nrows)
{
	if (i + AHEAD_INDEX < nrows)
		weir_pane_ask_index(probes[i + AHEAD_INDEX].pane,
							probes[i + AHEAD_INDEX].hash);
	if (i + AHEAD_GROUP < nrows)
		weir_pane_ask_group(probes[i + AHEAD_GROUP].pane,
							probes[i + AHEAD_GROUP].hash);
	if (i + AHEAD_KEY < nrows)
		weir_pane_ask_key(probes[i + AHEAD_KEY].pane,
						  probes[i + AHEAD_KEY].hash);
}

static PaneGroup *
find_or_add(ViewApply *a, const GroupProbe *p, const char *images)
{
	PaneGroup *g;

	g = weir_pane_find(p->pane, p->hash, images + p->key, p->len,
					   a->codec->bitwise ? NULL : weir_key_equal, a->codec);
	return g ? g : weir_pane_add(p->pane, p->hash, images + p->key, p->len);
}

static void
take_group(ViewApply *a, int i, Pane *pane, PaneGroup *g)
{
	weir_apply_touch(a, pane, g);
	a->row_group[i] = g;
	a->states[i] = g->state;
}

static bool
find_own(ViewApply *a, int nrows, const GroupProbe *probes)
{
	for (int i = 0; i < nrows; i++)
	{
		PaneGroup *g;

		ask_ahead(probes, i, nrows);
		g = find_or_add(a, &probes[i], a->key_buf.data);
		if (g == NULL)
			return false;
		take_group(a, i, probes[i].pane, g);
	}
	return true;
}

static bool
find_common(ViewApply *a, int nrows, GroupScratch *s)
{
	memset(s->code_pane, 0, sizeof(Pane *) * a->common_keys->nimages);
	for (int i = 0; i < nrows; i++)
	{
		const GroupProbe *p = &s->probes[i];

		if (s->code_pane[p->code] != p->pane)
		{
			PaneGroup *g = find_or_add(a, p, a->common_keys->images.data);

			if (g == NULL)
				return false;
			s->code_pane[p->code] = p->pane;
			s->code_group[p->code] = g;
		}
		take_group(a, i, p->pane, s->code_group[p->code]);
	}
	return true;
}

bool
apply_find_groups(ViewApply *a, const EventBatch *b, const int32 *rows,
				  int nrows)
{
	bool common = a->common_keys && a->common_keys->users > 1;
	GroupScratch *s;

	if (a->sessions)
		return weir_session_find(a, b, rows, nrows);
	s = weir_common_scratch(a->common, nrows);
	a->key_buf.used = 0;
	a->ntouched = 0;
	return make_probes(a, b, rows, nrows, common, s->probes) &&
		   (common ? find_common(a, nrows, s) : find_own(a, nrows, s->probes));
}
