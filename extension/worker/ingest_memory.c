/*
 * worker/ingest_memory.c
 *		What an ingest worker does when there is no room for a batch.
 *
 * It keeps the batch and waits, and barriers go on, since only they can free
 * memory: positions that are published do not go beyond what is applied.  The
 * coordinator commits at once while a worker waits.  All of this happens inside
 * the batch's transaction; weir.status says "out of memory" meanwhile.
 *
 * The batch may be what stands in the way: its records are of partitions that are
 * ahead, and those that would let windows close have still to be read.  So after a
 * moment the rest of it is given back, and all is read anew from where the views
 * are, now with the partitions that are ahead held back (ingest_align.c).
 *
 * A view that meets a limit of its own must not keep the others of its lane
 * waiting: it leaves, and goes on in a lane of its own from what is committed.
 * What meets no end of waiting stops in state error, with nothing lost: after a
 * while without anything being freed, or at once where on_memory_limit says so.
 */
#include "base/weir.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/clock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/retired.h"
#include "worker/ingest.h"

#define STEP_MS      10
#define PATIENCE_US  (20 * USECS_PER_SEC)
#define LEAVE_US     (USECS_PER_SEC / 2)
#define CUT_AFTER_US (15 * USECS_PER_SEC)
#define GO_BACK_US   (USECS_PER_SEC / 8)
#define MOST_BACKS   4 /* the pause before going back doubles so often */
#define IDLE_MOST_US (300 * USECS_PER_SEC)
#define WAITS_US     (5 * USECS_PER_SEC) /* after a step, a view still waits */

/*
 * What librdkafka has let go of is kept by its threads' heaps.  A worker that reads
 * anew each time would take as much again, some MB a second.
 */
static void
give_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void
weir_ingest_wait_begin(Ingest *in, int32 view)
{
	in->self->blocked_view = view;
	pg_atomic_write_u32(&in->self->blocked, 1);
	give_back();
}

void
weir_ingest_wait_end(Ingest *in)
{
	pg_atomic_write_u32(&in->self->blocked, 0);
}

void
weir_ingest_wait_step(Ingest *in, bool all)
{
	weir_ingest_stage(in, STAGE_WAIT);
	weir_wake_coordinator(in->lane);
	if (all)
		(void) weir_retired_give_up();
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 STEP_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	weir_worker_interrupts();
	weir_ingest_note_partitions(in);
	weir_ingest_stage(in, STAGE_COPY);
	weir_ingest_barrier(in);
	weir_ingest_stage(in, STAGE_APPLY);
}

/*
 * A partition that falls silent holds back closing until it is idle: wait for
 * that, too.
 */
bool
weir_ingest_patience_is_over(const Ingest *in, int64 since)
{
	int64 patience = Min(in->stream->idle_timeout, IDLE_MOST_US) +
					 PATIENCE_US / 2;

	return weir_clock_monotonic() - since > Max(PATIENCE_US, patience);
}

static bool
is_alone(const Ingest *in, const IngestView *v)
{
	for (int i = 0; i < in->nviews; i++)
		if (&in->views[i] != v && in->views[i].apply)
			return false;
	return true;
}

/* How much is in use of what the last request met the limit of. */
static uint64
in_use(MemoryAccount *a)
{
	return pg_atomic_read_u32(&a->met) == MEMORY_VIEW
			   ? pg_atomic_read_u64(&a->used)
			   : weir_arena_used();
}

static void
give_up(Ingest *in, MemoryAccount *a)
{
	weir_ingest_wait_end(in);
	if (pg_atomic_read_u32(&a->met) != MEMORY_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("the open windows do not fit in weir.memory_limit"),
				 errhint("Raise weir.memory_limit, and resume the view.")));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("the open windows do not fit in the view's memory_limit of " UINT64_FORMAT
					" kB",
					pg_atomic_read_u64(&a->limit) / 1024),
			 errhint(
				 "Raise it with weir.set_memory_limit, and resume the view.")));
}

void
weir_ingest_wait_over(Ingest *in, IngestView *v)
{
	if (v->wait.began != 0)
		weir_ingest_wait_end(in);
	memset(&v->wait, 0, sizeof(v->wait));
	if (v->apply)
		v->apply->cut_letters = false;
}

/* Note what there is to know of the wait. */
static void
note_wait(Ingest *in, IngestView *v, int64 now)
{
	MemoryWait *w = &v->wait;
	MemoryAccount *a = &v->slot->memory;
	uint64 used = in_use(a);

	pg_atomic_write_u64(&a->waited,
						pg_atomic_read_u32(&a->met) == MEMORY_ALL ? now : 0);
	if (w->began == 0)
	{
		w->began = now;
		w->least = PG_UINT64_MAX;
	}
	if (w->batch == 0)
		w->batch = now;
	/* Again and again: a wait for copies has ended, perhaps. */
	weir_ingest_wait_begin(in, v->row->id);
	if (used < w->least)
	{
		w->least = used;
		w->since = now;
	}
}

/*
 * The rest of the batch is given back: other partitions may have to be read
 * first, and these records stand in their way.
 */
static void
go_back(Ingest *in, IngestView *v)
{
	v->wait.batch = 0;
	v->wait.backs++;
	weir_apply_go_back(v->apply);
	in->went_back = true;
}

/*
 * A large message that is to be kept has waited long enough for room: from now on
 * its beginning will do, and the wait begins anew.
 */
static bool
may_cut(Ingest *in, IngestView *v, int64 now)
{
	if (!v->apply->lacks_letter || v->apply->cut_letters ||
		now - v->wait.since < CUT_AFTER_US)
		return false;
	v->apply->cut_letters = true;
	v->wait.since = now;
	return true;
}

/*
 * Is it for this view to stop?  At its own limit, yes.  Where all of the memory is
 * in use, it is for the one that has most of it among those that wait; its end
 * makes room for the others, whichever would have lost patience first.
 */
static bool
must_give_up(const Ingest *in, const IngestView *v, bool own, int64 now)
{
	if (own && v->slot->memory.stops)
		return true;
	return weir_ingest_patience_is_over(in, v->wait.since) &&
		   (own || weir_view_has_most(v->slot, now - WAITS_US));
}

bool
weir_ingest_wait(Ingest *in, IngestView *v)
{
	MemoryWait *w = &v->wait;
	MemoryAccount *a = &v->slot->memory;
	bool own = pg_atomic_read_u32(&a->met) == MEMORY_VIEW;
	int64 now = weir_clock_monotonic();

	note_wait(in, v, now);
	if (may_cut(in, v, now))
		return true;
	if (must_give_up(in, v, own, now))
		give_up(in, a);
	if (own && now - w->began > LEAVE_US && !is_alone(in, v))
	{
		weir_ingest_wait_end(in);
		weir_ingest_part_view(in, v);
		return false;
	}
	if (now - w->batch > (GO_BACK_US << Min(w->backs, MOST_BACKS)) &&
		v->apply->next_row >= 0)
	{
		go_back(in, v);
		return false;
	}
	weir_ingest_wait_step(in, !own);
	return v->apply != NULL;
}
