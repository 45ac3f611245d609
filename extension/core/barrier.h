/*
 * barrier.h
 *		The barrier: how workers and coordinator agree on one point of the
 *		stream without stopping.
 *
 * The coordinator raises the barrier's number.  A worker sees it between two
 * batches; it *takes* it (notes positions, freezes what has changed,
 * acknowledges) and then copies the frozen groups in slices between the
 * following batches, until it can report the barrier as copied.  When every
 * worker has, the coordinator commits; the next barrier is raised after that.
 *
 * Which groups: a group carries the interval of its last change.  Intervals are
 * numbered per view and worker from 1, a barrier ends one.
 *
 *		epoch of group
 *		0			clean, or copied
 *		frozen		changed before the barrier, still to be copied
 *		current		changed since; listed as changed
 *
 * A group that is frozen is copied before it is changed, so that its copy is as
 * of the barrier.  Plain C11; what is per group is inline.
 */
#ifndef WEIR_CORE_BARRIER_H
#define WEIR_CORE_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

/* --- a worker --------------------------------------------------------------- */

typedef struct WeWorker
{
	uint64_t acked; /* last barrier taken */
	bool copying;   /* and not copied yet */
} WeWorker;

typedef enum WeStep
{
	WE_NOTHING, /* no barrier is under way here */
	WE_TAKE,    /* note positions, freeze, acknowledge */
	WE_COPY     /* a slice of the frozen groups */
} WeStep;

/* What to do between two batches, with the barrier raised so far. */
static inline WeStep
we_next(const WeWorker *w, uint64_t barrier)
{
	if (w->copying)
		return WE_COPY;
	return barrier > w->acked ? WE_TAKE : WE_NOTHING;
}

static inline void
we_take(WeWorker *w, uint64_t barrier)
{
	w->acked = barrier;
	w->copying = true;
}

/* --- the coordinator ---------------------------------------------------------- */

/* What a worker has reported. */
typedef struct WeReport
{
	uint64_t acked;
	uint64_t copied;
} WeReport;

/* Has every worker noted its positions, and let go of what left before? */
static inline bool
we_all_acked(const WeReport *r, int n, uint64_t barrier)
{
	for (int i = 0; i < n; i++)
		if (r[i].acked < barrier)
			return false;
	return true;
}

/* May the barrier be committed? */
static inline bool
we_is_complete(const WeReport *r, int n, uint64_t barrier)
{
	for (int i = 0; i < n; i++)
		if (r[i].acked < barrier || r[i].copied < barrier)
			return false;
	return true;
}

/* --- groups -------------------------------------------------------------------- */

#define WE_CLEAN 0

typedef struct WeEpochs
{
	uint32_t current; /* interval under way, from 1 */
	uint32_t frozen;  /* interval that is being copied, or 0 */
} WeEpochs;

typedef enum WeTouch
{
	WE_LISTED,    /* it has changed in this interval before */
	WE_LIST,      /* list it as changed */
	WE_COPY_FIRST /* copy it, then list it */
} WeTouch;

static inline void
we_begin(WeEpochs *e)
{
	e->current = 1;
	e->frozen = 0;
}

/* The barrier: what has changed so far is to be copied. */
static inline void
we_freeze(WeEpochs *e)
{
	e->frozen = e->current++;
}

/* All is copied. */
static inline void
we_thaw(WeEpochs *e)
{
	e->frozen = 0;
}

/* Is the group of this epoch still to be copied? */
static inline bool
we_is_due(const WeEpochs *e, uint32_t group)
{
	return e->frozen != 0 && group == e->frozen;
}

/* A record is about to change a group of this epoch. */
static inline WeTouch
we_touch(const WeEpochs *e, uint32_t group)
{
	if (group == e->current)
		return WE_LISTED;
	return we_is_due(e, group) ? WE_COPY_FIRST : WE_LIST;
}

#endif /* WEIR_CORE_BARRIER_H */
