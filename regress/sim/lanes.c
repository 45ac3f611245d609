/*
 * lanes.c
 *		The simulated launcher and scanner: which views are in which lane, and
 *		what is left when processes have ended.
 */
#include "sim.h"

#include <string.h>

/* --- what ends --------------------------------------------------------------- */

static void
free_panes(Pane *panes)
{
	for (Pane *p = panes; p; p = p->next)
		p->freed = true;
}

void
slot_release(World *w, Slot *slot)
{
	slot->life++;
	slot->live = false;
	for (int s = 0; s < WORKERS; s++)
	{
		free_panes(slot->shard[s].panes);
		slot->shard[s].panes = NULL;
		slot->shard[s].chunks = NULL;
	}
	wm_begin(&slot->marks, WP_NO_TIME);
	slot->used = false;
}

void
lane_release(World *w, Lane *lane)
{
	for (int i = 0; i < lane->nplaces; i++)
		if (lane->place[i] >= 0)
			slot_release(w, &w->slot[lane->place[i]]);
	lane->nplaces = 0;
	lane->state = LANE_FREE;
}

void
server_crash(World *w)
{
	trace(w, "the server crashes, %u of %u commits are flushed", w->db.flushed,
		  w->db.commits);
	for (int i = 0; i < LANES; i++)
		if (w->lane[i].state != LANE_FREE)
		{
			w->lane[i].co.alive = false;
			lane_release(w, &w->lane[i]);
			memset(&w->lane[i], 0, sizeof(Lane));
		}
	memset(w->reader, 0, sizeof(w->reader));
	memset(&w->user, 0, sizeof(w->user));
	db_crash(w);
}

static bool
has_ended(const Lane *lane)
{
	if (lane->state == LANE_FREE || lane->co.alive)
		return false;
	for (int i = 0; i < lane->nworkers; i++)
		if (lane->worker[i].alive)
			return false;
	return true;
}

/* --- where views go -------------------------------------------------------------- */

static bool
is_placed(const World *w, int view)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].used && w->slot[i].view == view)
			return true;
	return false;
}

static void
place(World *w, Lane *lane, int view, int64_t generation)
{
	int i = 0;
	Slot *slot;

	while (w->slot[i].used)
		i++;
	slot = &w->slot[i];
	slot->used = true;
	slot->live = slot->detached = slot->failed = false;
	slot->view = view;
	slot->generation = generation;
	slot->lane = (int) (lane - w->lane);
	lane->place[lane->nplaces++] = i;
	trace(w, "view %d goes into lane %d", view, slot->lane);
}

static bool
takes(World *w, const Lane *lane, const Progress *p)
{
	if (lane->nplaces == PLACES)
		return false;
	if (lane->state == LANE_STARTING)
		return lane->nparts == 0;
	return lane->state == LANE_RUNNING && lane->co.alive && !lane->ended &&
		   !lane->stop && lane->nparts == p->nparts && !one_in(w, 3);
}

static void
place_view(World *w, int view)
{
	const Progress *p = db_progress(w, db_snapshot(w), 0, view);

	for (int i = 0; i < LANES; i++)
		if (takes(w, &w->lane[i], p))
		{
			place(w, &w->lane[i], view, p->generation);
			return;
		}
	for (int i = 0; i < LANES; i++)
	{
		Lane *lane = &w->lane[i];

		if (lane->state != LANE_FREE)
			continue;
		lane->ended = lane->stop = false;
		lane->ready = lane->nworkers = 0;
		place(w, lane, view, p->generation);
		coordinator_start(w, lane);
		return;
	}
}

void
lanes_step(World *w)
{
	for (int i = 0; i < LANES; i++)
		if (has_ended(&w->lane[i]))
			lane_release(w, &w->lane[i]);
	for (int v = 0; v < w->nviews; v++)
	{
		const Progress *p = db_progress(w, db_snapshot(w), 0, v);

		if (w->view[v].exists && p && p->state == VIEW_RUNNING &&
			!is_placed(w, v))
			place_view(w, v);
	}
}
