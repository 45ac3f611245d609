/*
 * worker/report.c
 *		What a coordinator says of its lane: in the log, to weir.status and
 *		weir.metrics, in pg_stat_activity.
 *
 * Runs in the coordinator, between two checkpoints or while it waits.  The log has
 * a line when the lane starts, one for why it ends in good order, and one when it
 * comes to stand still or goes on; what it does in peace is nothing to log.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "worker/coordinator.h"

#define NOTE_US USECS_PER_SEC

void
weir_report_start(const Coordinator *co)
{
	ereport(LOG,
			(errmsg("weir lane %d reads stream \"%s.%s\": topic \"%s\", partitions %d, ingest workers %d, views %d",
					weir_lane_number(co->lane), co->c.stream->nspname,
					co->c.stream->relname, co->c.stream->topic,
					co->lane->npartitions, co->lane->nworkers,
					weir_views_left(co))));
}

void
weir_coordinator_stop(Coordinator *co, const char *why)
{
	if (pg_atomic_exchange_u32(&co->lane->stop, 1) == 0)
		ereport(LOG, (errmsg("weir lane %d ends: %s",
							 weir_lane_number(co->lane), why)));
}

/*
 * Trouble, and its end; what a healthy lane does is nothing to log.  What is said
 * while a lane is set up setup.c logs.
 */
static void
log_condition(Coordinator *co)
{
	Lane *lane = co->lane;
	LaneCondition condition = lane->condition;
	bool trouble = condition == LANE_WAITS_FOR_TOPIC ||
				   condition == LANE_WAITS_FOR_BROKER ||
				   condition == LANE_LACKS_MEMORY;
	char error[WEIR_ERROR_LEN];

	if (lane->state != LANE_RUNNING || trouble == co->trouble)
		return;
	co->trouble = trouble;
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	strlcpy(error, weir_lane_error(lane), WEIR_ERROR_LEN);
	LWLockRelease(&weir_registry->lock);
	if (!trouble)
		ereport(LOG, (errmsg("weir lane %d goes on reading stream \"%s.%s\"",
							 weir_lane_number(lane), co->c.stream->nspname,
							 co->c.stream->relname)));
	else
		ereport(LOG,
				(errmsg("weir lane %d stands still on stream \"%s.%s\": %s",
						weir_lane_number(lane), co->c.stream->nspname,
						co->c.stream->relname, weir_condition_name(condition)),
				 error[0] ? errdetail_log("%s.", error) : 0));
}

static void
say(const Coordinator *co)
{
	int n = weir_views_left(co);
	char text[2 * NAMEDATALEN + 64];

	snprintf(text, sizeof(text), "%s, %d %s of %s.%s",
			 weir_condition_name(co->lane->condition), n,
			 n == 1 ? "view" : "views", co->c.stream->nspname,
			 co->c.stream->relname);
	weir_worker_say(false, text);
}

/* Once a second: what the lane is doing, for weir.status and pg_stat_activity. */
void
weir_report_condition(Coordinator *co)
{
	Lane *lane = co->lane;
	int64 now = weir_clock_monotonic();
	bool changed;

	if (now < co->next_note)
		return;
	co->next_note = now + NOTE_US;
	changed = weir_lane_note_condition(lane);
	if (changed)
		log_condition(co);
	say(co);
}

void
weir_report_checkpoint(Coordinator *co, int64 began, bool committed)
{
	LaneMetrics *m = &co->lane->metrics;
	bool all = committed;

	m->checkpoint_us += weir_clock_monotonic() - began;
	if (!committed)
		return;
	m->checkpoints++;
	for (int i = 0; i < co->c.nviews; i++)
		all = all && (co->c.views[i]->gone ||
					  co->c.views[i]->postponed.unwritten == 0);
	if (all)
		m->settled_at = began;
}

/* Which offsets the broker still has. */
void
weir_report_bounds(Coordinator *co)
{
	Lane *lane = co->lane;
	int n = lane->npartitions;
	int32 *partitions = palloc(sizeof(int32) * n);
	int64 *low = palloc(sizeof(int64) * n);
	int64 *high = palloc(sizeof(int64) * n);
	char err[256];

	for (int p = 0; p < n; p++)
		partitions[p] = p;
	if (weir_client_bounds(co->client, co->c.stream->topic, n, partitions, low,
						   high, 500, err, sizeof(err)))
		for (int p = 0; p < n; p++)
			lane->parts[p].low = low[p];
	pfree(partitions);
	pfree(low);
	pfree(high);
}
