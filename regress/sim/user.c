/*
 * user.c
 *		The simulated user: creates, pauses, resumes and resets views, closes
 *		windows by hand, or just holds a view's row, in transactions that may
 *		take long and be rolled back.
 */
#include "sim.h"

#include <string.h>

static void
create_view(World *w, int view)
{
	Xid xid = db_begin(w);
	Progress p = {.closed_upto = WP_NO_TIME, .advance = WP_NO_TIME};

	p.start = one_in(w, 4) ? START_LATEST : START_EARLIEST;
	db_progress_store(w, xid, view, &p);
	db_commit(w, xid, true);
	w->view[view].exists = true;
	trace(w, "view %d is created", view);
}

static void
reset_view(World *w, Xid xid, int view, Progress *p)
{
	int64_t generation = p->generation;
	int32_t incarnation = p->incarnation;

	memset(p, 0, sizeof(*p));
	p->generation = generation + 1;
	p->incarnation = incarnation;
	p->closed_upto = p->advance = WP_NO_TIME;
	p->start = one_in(w, 4) ? START_LATEST : START_EARLIEST;
	db_forget_view(w, xid, view);
}

typedef enum Command
{
	PAUSE,
	RESUME,
	RESET,
	ADVANCE,
	HOLD_ROW,
	COMMANDS
} Command;

static Command
choose(World *w, const Progress *p)
{
	if (w->calm || (p->state != VIEW_RUNNING && !one_in(w, 4)))
		return RESUME;
	return below(w, COMMANDS);
}

static void
begin(World *w)
{
	User *u = &w->user;
	Progress p;

	u->view = below(w, w->nviews);
	if (w->view[u->view].exists && !w->calm && !one_in(w, w->commands))
		return;
	if (!w->view[u->view].exists)
	{
		create_view(w, u->view);
		return;
	}
	if (w->db.locked[u->view] != 0)
		return;
	u->xid = db_begin(w);
	(void) db_lock(w, u->xid, u->view);
	p = *db_progress(w, db_snapshot(w), u->xid, u->view);
	switch (choose(w, &p))
	{
		case PAUSE:
			p.state = VIEW_PAUSED;
			p.generation++;
			break;
		case RESUME:
			if (p.state != VIEW_RUNNING)
				p.generation++;
			p.state = VIEW_RUNNING;
			break;
		case RESET:
			reset_view(w, u->xid, u->view, &p);
			break;
		case ADVANCE:
			if (!w->exact)
				p.advance = wc_raise(wc_raise(p.advance, p.closed_upto),
									 below(w, 300));
			break;
		default:
			return;
	}
	db_progress_store(w, u->xid, u->view, &p);
}

void
user_step(World *w)
{
	User *u = &w->user;

	if (u->xid == 0)
	{
		begin(w);
		return;
	}
	if (!one_in(w, 3))
		return;
	if (one_in(w, 4) && !w->calm)
		db_abort(w, u->xid);
	else
	{
		trace(w, "a command on view %d commits", u->view);
		db_commit(w, u->xid, true);
	}
	u->xid = 0;
}
