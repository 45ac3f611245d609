/*
 * worker/closing.c
 *		How far the windows of each view are to be closed, and which partitions
 *		are idle.
 *
 * Runs in the coordinator, between two barriers, outside of a transaction.  It
 * reads the positions and watermarks of the workers under the shards' locks, one
 * at a time.
 *
 * A partition holds back closing until it is idle.  That a worker has read it to
 * its end and has had nothing for idle_timeout makes it silent, no more: a broker
 * that hangs looks the same for a minute, and records of an open transaction are
 * not to be seen.  So the leaders are asked where the partitions end, open
 * transactions included.  Idle is what ended, when asked, where the worker
 * stands.
 *
 * A partition that a view has read as far as it was to read does not count for it;
 * with the last one all its windows close.  Totals with a time to live stay as they
 * are then.
 *
 * Two things go beyond what partitions say: the clock, when all are idle and the
 * stream has idle_advance, and weir.advance_watermark, whose wish is in
 * weir.progress.
 *
 * Asking costs a request per broker, and up to QUESTION_MS without an answer, in
 * which no checkpoint begins.  So it is done when a partition has become silent,
 * and again only if the watermark would rise by an answer that is no longer
 * recent: a lane that has nothing to close asks nothing.  After a question
 * without success there is a pause, which grows.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "worker/coordinator.h"

#define QUESTION_MS    400
#define RECENT_US      (2 * USECS_PER_SEC)
#define FIRST_PAUSE_US (USECS_PER_SEC / 2)
#define LAST_PAUSE_US  (5 * USECS_PER_SEC)

/* --- asking --------------------------------------------------------------------- */

static void
pause_questions(IdleQuestions *q)
{
	q->pause = Min(Max(2 * q->pause, FIRST_PAUSE_US), LAST_PAUSE_US);
	q->next = weir_clock_monotonic() + q->pause;
}

/* Ask where the silent partitions end; false: no answer, or not now. */
static bool
ask_ends(Coordinator *co, int n, const int32 *partitions, int64 *ends)
{
	char err[256];

	if (co->idle.client == NULL)
		co->idle.client = weir_client_open_uncommitted(co->c.stream->settings,
													   err, sizeof(err));
	return co->idle.client != NULL &&
		   weir_client_ends(co->idle.client, co->c.stream->topic, n, partitions,
							ends, QUESTION_MS);
}

static void
confirm_silent(Coordinator *co)
{
	Lane *lane = co->lane;
	int32 *partitions = palloc(sizeof(int32) * lane->npartitions);
	int64 *ends = palloc(sizeof(int64) * lane->npartitions);
	int64 asked = weir_clock_monotonic();
	bool all = false;
	int n = 0;

	for (int p = 0; p < lane->npartitions; p++)
		if (lane->parts[p].silent)
			partitions[n++] = p;
	if (n > 0 && asked >= co->idle.next && ask_ends(co, n, partitions, ends))
	{
		all = true;
		for (int i = 0; i < n; i++)
		{
			LanePartition *lp = &lane->parts[partitions[i]];

			lp->confirmed = ends[i];
			lp->confirmed_at = asked;
			all = all && weir_partition_is_idle(lp);
		}
	}
	if (all)
		co->idle.pause = 0;
	else if (asked >= co->idle.next)
		pause_questions(&co->idle);
	pfree(partitions);
	pfree(ends);
}

/* Has some partition become silent that is not known to be idle? */
static bool
any_unconfirmed(const Lane *lane)
{
	for (int p = 0; p < lane->npartitions; p++)
		if (lane->parts[p].silent && !weir_partition_is_idle(&lane->parts[p]))
			return true;
	return false;
}

/* Is some partition idle as of an answer from before "since"? */
static bool
any_old(const Lane *lane, int64 since)
{
	for (int p = 0; p < lane->npartitions; p++)
		if (weir_partition_is_idle(&lane->parts[p]) &&
			lane->parts[p].confirmed_at < since)
			return true;
	return false;
}

/* --- closing watermark ----------------------------------------------------------- */

/*
 * All partitions are idle: the clock may close what is open.  It does not move the
 * watermark where nothing is to be closed, so an event that comes after a long
 * silence still has its window.
 */
static int64
advance_by_clock(const Coordinator *co, CheckpointView *v, int64 upto)
{
	int64 advance = co->c.stream->idle_advance;
	int64 by_clock = weir_clock_wall() - advance;

	return advance >= 0 && by_clock > upto && weir_can_close(v, by_clock)
			   ? by_clock
			   : upto;
}

/*
 * How far the windows of a view may close now (core/progress.h).  What leaders
 * have said before "since" does not count.
 */
static int64
closing_watermark(const Coordinator *co, CheckpointView *v, int64 since)
{
	const Lane *lane = co->lane;
	WpClosing c;
	int64 upto;

	if (v->row->until && weir_view_is_done(v, lane))
		return v->plan->window.ttl ? v->slot->closing : WP_END_OF_TIME;
	wp_closing_begin(&c);
	for (int p = 0; p < lane->npartitions; p++)
	{
		const LanePartition *lp = &lane->parts[p];
		Shard *shard = &v->slot->shards[lp->worker];
		bool idle = weir_partition_is_idle(lp) && lp->confirmed_at >= since;
		ViewPartition vp;

		LWLockAcquire(&shard->lock, LW_SHARED);
		vp = shard->parts[p];
		LWLockRelease(&shard->lock);
		wp_closing_add(&c, vp.watermark,
					   !wp_is_done(&vp) &&
						   !wp_rests(&vp, idle, lp->position, lp->confirmed));
	}
	upto = wp_closing_watermark(&c, v->slot->closing);
	return c.active ? upto : advance_by_clock(co, v, upto);
}

/* Would the watermark rise by answers that are no longer recent? */
static bool
relies_on_old(const Coordinator *co, int64 since)
{
	if (!any_old(co->lane, since))
		return false;
	for (int i = 0; i < co->c.nviews; i++)
	{
		CheckpointView *v = co->c.views[i];

		if (!v->gone && wm_may_close(&v->slot->marks) &&
			closing_watermark(co, v, PG_INT64_MIN) >
				closing_watermark(co, v, since))
			return true;
	}
	return false;
}

/* Is that its last closing, to be committed even if no window is left? */
static bool
ends_here(const CheckpointView *v, int64 upto)
{
	return upto >= WP_END_OF_TIME && v->progress.closed_upto < WP_END_OF_TIME &&
		   !weir_is_append(v->row);
}

bool
weir_closing_prepare(Coordinator *co)
{
	int64 since = weir_clock_monotonic() - RECENT_US;
	bool any = false;

	if (any_unconfirmed(co->lane) || relies_on_old(co, since))
		confirm_silent(co);
	for (int i = 0; i < co->c.nviews; i++)
	{
		CheckpointView *v = co->c.views[i];
		int64 upto = v->slot->closing;

		if (v->gone)
			continue;
		if (wm_may_close(&v->slot->marks))
			upto = Max(closing_watermark(co, v, since), v->progress.advance);
		any = any || weir_can_close(v, upto) || ends_here(v, upto) ||
			  (v->progress.advance > v->progress.closed_upto &&
			   upto > v->progress.closed_upto);
		v->slot->closing = upto;
	}
	return any;
}
