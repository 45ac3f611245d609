/*
 * coordinator.c
 *		The simulated coordinator: worker/coordinator.c and worker/setup.c.
 *
 * It sets up the lane's views, starts workers, and then does one of its duties
 * after the other, in any order.  A step is one that no other process can come
 * between.  checkpoint.c has what follows a complete barrier.
 */
#include "sim.h"

#include <string.h>

void
coordinator_start(World *w, Lane *lane)
{
	memset(&lane->co, 0, sizeof(Coordinator));
	lane->co.alive = true;
	lane->co.step = CO_SETUP;
	lane->state = LANE_STARTING;
	lane->nparts = 0;
}

void
coordinator_die(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	trace(w, "coordinator of lane %d ends", (int) (lane - w->lane));
	if (co->xid != 0 && w->db.xacts[co->xid].state == XACT_RUNNING)
		db_abort(w, co->xid);
	co->xid = 0;
	co->alive = false;
}

/* --- views that leave --------------------------------------------------------- */

static bool
all_acked(const Lane *lane, uint64_t barrier)
{
	WeReport r[WORKERS];

	for (int i = 0; i < lane->nworkers; i++)
		r[i] = lane->worker[i].report;
	return we_all_acked(r, lane->nworkers, barrier);
}

static bool
is_complete(const Lane *lane)
{
	WeReport r[WORKERS];

	for (int i = 0; i < lane->nworkers; i++)
		r[i] = lane->worker[i].report;
	return broken(BROKEN_copied_by_all)
			   ? we_all_acked(r, lane->nworkers, lane->barrier)
			   : we_is_complete(r, lane->nworkers, lane->barrier);
}

/* Views whose row the catalog no longer runs leave, without an error. */
static void
recheck(World *w, Lane *lane)
{
	for (int i = 0; i < lane->co.nviews; i++)
	{
		CheckpointView *v = &lane->co.v[i];
		const Progress *p;

		if (v->gone)
			continue;
		p = db_progress(w, db_snapshot(w), 0, v->slot->view);
		if (p->generation != v->progress.generation)
			v->gone = true;
		else
			v->progress.advance = p->advance;
	}
}

/* Write down why views stopped; with the row locked, later. */
static void
record_failures(World *w, Lane *lane)
{
	for (int i = 0; i < lane->co.nviews; i++)
	{
		CheckpointView *v = &lane->co.v[i];
		Progress p;
		Xid xid;

		if (v->slot->failed && !v->gone)
		{
			v->gone = true;
			v->error = true;
		}
		if (!v->error || w->db.locked[v->slot->view] != 0)
			continue;
		xid = db_begin(w);
		p = *db_progress(w, db_snapshot(w), xid, v->slot->view);
		p.state = VIEW_ERROR;
		p.generation++;
		db_progress_store(w, xid, v->slot->view, &p);
		db_commit(w, xid, true);
		v->error = false;
	}
}

static void
detach_gone(Lane *lane)
{
	for (int i = 0; i < lane->co.nviews; i++)
	{
		CheckpointView *v = &lane->co.v[i];

		if (!v->gone || v->detach_barrier != 0)
			continue;
		v->slot->live = false;
		v->slot->detached = true;
		v->detach_barrier = lane->barrier + 1;
	}
}

static void
end_lane(World *w, Lane *lane)
{
	lane->ended = true;
	coordinator_die(w, lane);
}

static void
release_gone(World *w, Lane *lane)
{
	int left = 0;

	for (int i = 0; i < lane->co.nviews; i++)
	{
		CheckpointView *v = &lane->co.v[i];

		if (v->released)
			continue;
		if (v->error || v->detach_barrier == 0 ||
			!all_acked(lane, v->detach_barrier))
		{
			left++;
			continue;
		}
		slot_release(w, v->slot);
		lane->place[i] = -1;
		v->released = true;
	}
	if (left == 0 && lane->nplaces == lane->co.nviews)
		end_lane(w, lane);
}

/* --- setting up ------------------------------------------------------------------ */

/* Partitions that the view has not seen yet. */
static void
resolve(World *w, CheckpointView *v, int nparts)
{
	Progress *p = &v->progress;
	int known = p->nparts;

	for (int i = known; i < nparts; i++)
	{
		bool latest = known == 0 && p->start == START_LATEST;

		wp_begin(&p->parts[i], latest ? w->log[i].end : 0);
		p->late_sum[i] = 0;
	}
	p->nparts = nparts;
}

typedef struct Restorer
{
	World *w;
	Slot *slot;
} Restorer;

static void
restore_group(void *arg, int64_t first, int64_t last, int key, Value value)
{
	Restorer *r = arg;
	Shard *shard = &r->slot->shard[WL_RESTORED];
	Pane *pane = shard->panes;

	if (pane == NULL || pane->first != first || pane->last != last)
	{
		pane = world_alloc(r->w, sizeof(Pane));
		pane->first = first;
		pane->last = last;
		pane->restored = true;
		pane->next = shard->panes;
		shard->panes = pane;
	}
	pane->g[key].value = value;
	pane->g[key].live = true;
}

static void
lay_out_view(CheckpointView *v)
{
	Slot *slot = v->slot;

	memset(slot->shard, 0, sizeof(slot->shard));
	for (int s = 0; s < WORKERS; s++)
	{
		Parts *parts = &slot->shard[s].parts;

		memcpy(parts->p, v->progress.parts, sizeof(parts->p));
		memcpy(parts->late_sum, v->progress.late_sum, sizeof(parts->late_sum));
		for (int p = 0; broken(BROKEN_watermark_restored) && p < PARTS; p++)
			parts->p[p].watermark = WP_NO_TIME;
		slot->shard[s].acked = *parts;
	}
	slot->recovered = v->progress.counted;
	slot->closing = wc_raise(v->progress.closed_upto, v->progress.advance);
	slot->closed_upto = v->progress.closed_upto;
	wm_begin(&slot->marks, v->progress.closed_upto);
}

/* Restore, and store where the view begins; committed in a step of its own. */
static bool
start_view(World *w, Lane *lane, CheckpointView *v)
{
	Coordinator *co = &lane->co;
	const Progress *row;
	Restorer r = {.w = w, .slot = v->slot};

	co->xid = db_begin(w);
	row = db_progress(w, db_snapshot(w), co->xid, v->slot->view);
	if (!db_lock(w, co->xid, v->slot->view) ||
		row->generation != v->slot->generation)
	{
		db_abort(w, co->xid);
		co->xid = 0;
		return false;
	}
	v->progress.advance = row->advance;
	lay_out_view(v);
	db_restore(w, db_snapshot(w), v->slot->view, v->progress.chunks,
			   restore_group, &r);
	if (!broken(BROKEN_new_incarnation))
		v->progress.incarnation++;
	v->slot->incarnation = v->progress.incarnation;
	db_progress_store(w, co->xid, v->slot->view, &v->progress);
	v->slot->marks.birth = co->xid;
	return true;
}

/* Take the lane's next view over.  False: it does not run here. */
static bool
add_view(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;
	CheckpointView *v = &co->v[co->nviews];
	const Progress *p;

	memset(v, 0, sizeof(*v));
	v->slot = &w->slot[lane->place[co->nviews++]];
	wc_init(&v->attempt);
	p = db_progress(w, db_snapshot(w), 0, v->slot->view);
	if (p->state == VIEW_RUNNING)
	{
		v->progress = *p;
		v->slot->generation = p->generation;
		v->slot->window = w->view[v->slot->view].window;
		v->slot->lateness = w->view[v->slot->view].lateness;
		resolve(w, v, lane->nparts);
		if (start_view(w, lane, v))
			return true;
	}
	v->gone = true;
	return false;
}

static void
lay_out_lane(World *w, Lane *lane)
{
	lane->nparts = w->nparts;
	lane->nworkers = 1 + below(w, WORKERS);
	memset(lane->part, 0, sizeof(lane->part));
	for (int p = 0; p < lane->nparts; p++)
		lane->part[p].worker = (p + below(w, 2)) % lane->nworkers;
}

static void
start_lane(World *w, Lane *lane)
{
	detach_gone(lane);
	lane->ready = lane->co.nviews;
	for (int i = 0; i < lane->nworkers; i++)
		worker_start(w, lane, i);
	lane->state = LANE_RUNNING;
	trace(w, "lane %d runs with %d workers, %d views", (int) (lane - w->lane),
		  lane->nworkers, lane->co.nviews);
}

static void
setup_step(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	if (lane->nparts == 0)
		lay_out_lane(w, lane);
	if (co->nviews < lane->nplaces)
	{
		if (add_view(w, lane))
			co->step = CO_STARTED;
	}
	else
	{
		if (lane->state == LANE_STARTING)
			start_lane(w, lane);
		else
		{
			detach_gone(lane);
			lane->ready = co->nviews;
		}
		co->step = CO_REST;
	}
}

static void
commit_setup(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;
	CheckpointView *v = &co->v[co->nviews - 1];

	db_commit(w, co->xid, one_in(w, 2));
	co->last_commit = w->db.xacts[co->xid].commit;
	co->xid = 0;
	v->slot->live = true;
	co->step = CO_SETUP;
	trace(w, "view %d is set up, incarnation %d, %d partitions", v->slot->view,
		  v->progress.incarnation, v->progress.nparts);
}

/* --- how far windows may close ------------------------------------------------------- */

/* Look at one partition of one view. */
static void
prepare_step(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;
	CheckpointView *v = &co->v[co->cur];
	int64_t upto;

	if (co->cur == co->nviews)
	{
		co->step = CO_BARRIER;
		return;
	}
	if (co->part == 0)
		wp_closing_begin(&co->closing);
	if (!v->gone && co->part < lane->nparts)
	{
		const LanePart *lp = &lane->part[co->part];
		const WpPartition *p = &v->slot->shard[lp->worker].parts.p[co->part++];

		wp_closing_add(&co->closing, p->watermark,
					   !wp_rests(p, lp->idle, lp->position, lp->high));
		return;
	}
	if (!v->gone && wm_may_close(&v->slot->marks))
	{
		upto = wc_raise(wp_closing_watermark(&co->closing, v->slot->closing),
						v->progress.advance);
		if (!co->closing.active && !w->exact && upto != WP_NO_TIME &&
			one_in(w, 8))
			upto += below(w, 40); /* the clock closes what nothing else will */
		if (broken(BROKEN_least_watermark) &&
			co->closing.greatest > v->slot->closing)
			upto = co->closing.greatest;
		v->slot->closing = upto;
	}
	co->cur++;
	co->part = 0;
}

/* --- the loop ----------------------------------------------------------------------------- */

static bool
any_worker_died(const Lane *lane)
{
	for (int i = 0; i < lane->nworkers; i++)
		if (!lane->worker[i].alive)
			return true;
	return false;
}

/* Positions that are flushed, for Kafka's tools. */
static void
publish_durable(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	if (!co->durable_pending ||
		(co->last_commit > w->db.flushed && !broken(BROKEN_group_is_durable)))
		return;
	for (int p = 0; p < lane->nparts; p++)
	{
		int64_t least = INT64_MAX;

		for (int i = 0; i < co->nviews; i++)
			if (!co->v[i].gone && co->v[i].progress.parts[p].position < least)
				least = co->v[i].progress.parts[p].position;
		for (int i = 0; i < co->nviews && least < INT64_MAX; i++)
		{
			const Progress *now = db_progress(w, w->db.flushed, 0,
											  co->v[i].slot->view);

			if (!co->v[i].gone && now &&
				now->generation == co->v[i].progress.generation &&
				now->parts[p].position < least)
				violation(w, "Kafka is told %lld of partition %d, not flushed",
						  (long long) least, p);
		}
	}
	co->durable_pending = false;
}

static void
rest_step(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	switch (below(w, 8))
	{
		case 0:
			for (int i = 0; i < co->nviews; i++)
				if (!co->v[i].gone)
					checkpoint_free_closed(w, &co->v[i]);
			break;
		case 1:
			if (lane->nplaces > co->nviews)
				co->step = CO_SETUP;
			break;
		case 2:
			release_gone(w, lane);
			break;
		case 3:
			publish_durable(w, lane);
			break;
		case 4:
			recheck(w, lane);
			if (w->nparts > lane->nparts ||
				(lane->nplaces == PLACES && one_in(w, 4)) ||
				(lane != &w->lane[0] && one_in(w, 30)))
				lane->stop = true;
			break;
		default:
			record_failures(w, lane);
			detach_gone(lane);
			co->stop = lane->stop;
			co->cur = co->part = 0;
			co->step = CO_PREPARE;
			break;
	}
}

void
coordinator_step(World *w, Lane *lane)
{
	Coordinator *co = &lane->co;

	if (lane->state == LANE_RUNNING && any_worker_died(lane) &&
		(co->step == CO_REST || co->step == CO_WAIT))
	{
		coordinator_die(w, lane);
		return;
	}
	switch (co->step)
	{
		case CO_SETUP:
			setup_step(w, lane);
			break;
		case CO_STARTED:
			commit_setup(w, lane);
			break;
		case CO_REST:
			rest_step(w, lane);
			break;
		case CO_PREPARE:
			prepare_step(w, lane);
			break;
		case CO_BARRIER:
			lane->barrier++;
			co->step = CO_WAIT;
			break;
		case CO_WAIT:
			if (is_complete(lane))
				co->step = CO_BEGIN;
			break;
		default:
			checkpoint_step(w, lane);
			break;
	}
	if (co->alive && co->step == CO_REST && co->stop)
		end_lane(w, lane);
}
