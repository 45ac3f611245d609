/*
 * shmem/condition.c
 *		What a lane is doing: what weir.status shows, and since when.
 *
 * Any process, under the registry lock.  Readers work it out as it is; the
 * coordinator (the launcher, while there is none) does so once a second and notes
 * when it changes.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "shmem/shmem.h"

static const char *const names[] = {
	[LANE_IS_STARTING] = "starting",
	[LANE_WAITS_FOR_TOPIC] = "waiting for topic",
	[LANE_WAITS_FOR_BROKER] = "waiting for broker",
	[LANE_CATCHES_UP] = "catching up",
	[LANE_RUNS] = "running",
	[LANE_IS_IDLE] = "idle",
	[LANE_LACKS_MEMORY] = "out of memory",
	[LANE_RESTARTS] = "restarting",
};

const char *
weir_condition_name(LaneCondition condition)
{
	return names[condition];
}

/* Does the coordinator or a worker wait for its broker? */
static bool
lane_waits(const Lane *lane)
{
	bool waits = lane->broker_down;

	for (int w = 0; w < lane->nworkers; w++)
		waits = waits || lane->workers[w].broker_down;
	return waits;
}

/* Does it wait for the topic to be there? */
static bool
lane_has_no_topic(const Lane *lane)
{
	bool none = lane->no_topic;

	for (int w = 0; w < lane->nworkers; w++)
		none = none || lane->workers[w].no_topic;
	return none;
}

static bool
lane_is_idle(const Lane *lane)
{
	for (int p = 0; p < lane->npartitions; p++)
		if (!weir_partition_is_idle(&lane->parts[p]))
			return false;
	return true;
}

static bool
lane_lacks_memory(const Lane *lane)
{
	for (int w = 0; w < lane->nworkers; w++)
		if (pg_atomic_read_u32((pg_atomic_uint32 *) &lane->workers[w].blocked))
			return true;
	return false;
}

LaneCondition
weir_lane_condition(const Lane *lane)
{
	if (lane->state == LANE_BACKOFF)
		return LANE_RESTARTS;
	if (lane_has_no_topic(lane))
		return LANE_WAITS_FOR_TOPIC;
	if (lane_waits(lane))
		return LANE_WAITS_FOR_BROKER;
	if (lane->state != LANE_RUNNING)
		return LANE_IS_STARTING;
	if (lane_lacks_memory(lane))
		return LANE_LACKS_MEMORY;
	if (weir_lane_is_behind(lane))
		return LANE_CATCHES_UP;
	return lane_is_idle(lane) ? LANE_IS_IDLE : LANE_RUNS;
}

const char *
weir_lane_error(const Lane *lane)
{
	const char *error = lane->error;

	for (int w = 0; w < lane->nworkers && error[0] == '\0'; w++)
		error = lane->workers[w].error;
	return error;
}

bool
weir_lane_note_condition(Lane *lane)
{
	LaneCondition condition;
	bool changed;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	condition = weir_lane_condition(lane);
	changed = condition != lane->condition || lane->condition_since == 0;
	if (changed)
	{
		lane->condition = condition;
		lane->condition_since = weir_clock_wall();
	}
	LWLockRelease(&weir_registry->lock);
	return changed;
}

int64
weir_lane_delay(const Lane *lane)
{
	int64 now = weir_clock_wall() + WEIR_EPOCH_SHIFT;
	int64 delay = 0;

	if (lane->state != LANE_RUNNING)
		return 0;
	for (int p = 0; p < lane->npartitions; p++)
		if (lane->parts[p].high > lane->parts[p].position &&
			lane->parts[p].timestamp >= 0)
			delay = Max(delay, now - lane->parts[p].timestamp);
	return delay;
}
