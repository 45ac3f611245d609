/*
 * world.c
 *		One seed, one world: what there is in it, who does the next step, and
 *		what goes wrong.
 *
 * First anything may happen, in any order.  Then nothing fails any more, and the
 * world must come to rest with everything read and committed; what it then has
 * is compared with the model.
 */
#include "sim.h"

#include <string.h>

#define CALM_STEPS 60000

static void
make_views(World *w)
{
	w->nviews = 1 + below(w, VIEWS);
	for (int v = 0; v < w->nviews; v++)
	{
		ViewDef *def = &w->view[v];

		windows_make(w, def);
		def->lateness = one_in(w, 2) ? 0 : below(w, 30);
		def->drops_key = one_in(w, 3) ? below(w, KEYS) : -1;
	}
}

static void
make_world(World *w)
{
	w->exact = !one_in(w, 2);
	w->delay = one_in(w, 3) ? 0 : below(w, 25);
	w->failures = one_in(w, 4) ? 0 : 1 + below(w, 8);
	w->commands = 1 + below(w, 40);
	w->pace = 1 + below(w, 12);
	w->allparts = 1 + below(w, PARTS);
	w->nparts = w->exact ? w->allparts : 1 + below(w, w->allparts);
	topic_make(w);
	make_views(w);
}

/* --- what goes wrong ------------------------------------------------------------ */

static void
fail(World *w)
{
	Lane *lane = &w->lane[below(w, LANES)];
	int no = below(w, WORKERS);

	switch (below(w, 4))
	{
		case 0:
			server_crash(w);
			break;
		case 1:
			if (lane->state != LANE_FREE && lane->co.alive)
				coordinator_die(w, lane);
			break;
		default:
			if (lane->state != LANE_RUNNING || no >= lane->nworkers)
				break;
			trace(w, "worker %d of lane %d dies", no, (int) (lane - w->lane));
			lane->worker[no].alive = false;
			break;
	}
}

/* --- who is next ------------------------------------------------------------------ */

/* Mostly one step of a process, sometimes many before another one's next. */
static int
burst(World *w)
{
	return one_in(w, 12) ? 2 + below(w, 30) : 1;
}

/* Now and then some process gets no turn for long: a slow disk, a busy machine. */
static bool
sleeps(World *w, const Lane *lane, int who)
{
	if (w->calm)
		return false;
	if (w->steps >= w->sleep_until && one_in(w, 60))
	{
		w->sleeper_lane = (int) (lane - w->lane);
		w->sleeper = who == lane->nworkers ? WORKERS : who;
		w->sleep_until = w->steps + below(w, 600);
	}
	return w->steps < w->sleep_until &&
		   w->sleeper_lane == (int) (lane - w->lane) &&
		   w->sleeper == (who == lane->nworkers ? WORKERS : who);
}

/* A rare moment: let it last, with the coordinator asleep and news coming in. */
void
world_linger(World *w, const Lane *lane)
{
	if (w->calm || one_in(w, 2))
		return;
	w->sleeper_lane = (int) (lane - w->lane);
	w->sleeper = WORKERS;
	w->sleep_until = w->hurry_until = w->steps + below(w, 400);
}

static void
lane_step(World *w)
{
	Lane *lane = &w->lane[below(w, LANES)];
	int who;

	for (int i = 0; lane->state == LANE_FREE && i < LANES; i++)
		lane = &w->lane[i];
	if (lane->state == LANE_FREE)
		return;
	who = below(w, lane->nworkers + 1);
	if (sleeps(w, lane, who))
		return;
	for (int n = burst(w); n > 0 && !w->failed; n--)
	{
		if (who == lane->nworkers && lane->co.alive)
			coordinator_step(w, lane);
		else if (who < lane->nworkers && lane->worker[who].alive)
			worker_step(w, lane, who);
	}
}

static void
read_step(World *w)
{
	Reader *r = &w->reader[below(w, READERS)];

	for (int n = burst(w); n > 0 && !w->failed; n--)
		if (r->step != READER_NONE || !w->calm)
			reader_step(w, r);
}

static void
topic_step(World *w)
{
	if (!w->calm && w->steps >= w->hurry_until && !one_in(w, w->pace))
		return;
	if (!topic_is_complete(w))
		topic_produce(w);
	if (w->nparts < w->allparts && one_in(w, 10))
		w->nparts++;
}

static void
step(World *w)
{
	int n = below(w, 100);

	w->steps++;
	if (n < 68)
		lane_step(w);
	else if (n < 85)
		read_step(w);
	else if (n < 91)
		topic_step(w);
	else if (n < 95)
		lanes_step(w);
	else if (n < 97)
		w->db.flushed = w->db.commits;
	else if (n < 99)
		user_step(w);
	else if (w->failures > 0 && !w->calm && one_in(w, 40 / w->failures))
		fail(w);
}

/* --- the end ------------------------------------------------------------------------- */

static void
free_closed(World *w)
{
	for (int i = 0; i < LANES; i++)
		for (int k = 0;
			 w->lane[i].state == LANE_RUNNING && k < w->lane[i].co.nviews; k++)
			if (!w->lane[i].co.v[k].gone)
				checkpoint_free_closed(w, &w->lane[i].co.v[k]);
}

void
world_run(World *w)
{
	int steps;

	make_world(w);
	steps = 1000 + below(w, 9000);
	while (steps-- > 0 && !w->failed)
		step(w);
	w->calm = true;
	trace(w, "calm");
	for (steps = 0; steps < CALM_STEPS && !w->failed && !model_at_rest(w);
		 steps++)
		for (int i = 0; i < 16 && !w->failed; i++)
			step(w);
	if (w->failed)
		return;
	if (steps == CALM_STEPS)
	{
		violation(w, "it does not come to rest");
		return;
	}
	free_closed(w);
	model_check(w);
}
