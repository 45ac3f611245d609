/*
 * log.h
 *		How the log of open windows is read.
 *
 * The log of a view is read in the order (pane, first, incarnation, shard, seq).  A log
 * proper is what one shard of one incarnation wrote for one pane: within it the
 * last write of a group wins.  A pane's groups are what its logs give, combined,
 * so no number and no assignment of workers matters.
 *
 * A recovery puts them into one shard (WL_RESTORED) of a new incarnation, whose
 * other shards begin empty.  As long as nothing of the pane is copied from that
 * shard, what older incarnations have written stands.  The first copy is a rewrite,
 * that is, it has all of the shard's groups; so it replaces
 *
 *		the log proper of its own incarnation and shard, as every rewrite, and
 *		if it is that shard's, all logs of the pane of older incarnations.
 *
 * Plain C11.
 */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define WL_RESTORED 0 /* the shard that recovered groups are in */

typedef struct WlKey
{
	int64_t pane;  /* by its last window ... */
	int64_t first; /* ... and its first one */
	int32_t incarnation;
	int32_t shard;
} WlKey;

typedef enum WlStep
{
	WL_SAME,     /* the last write wins */
	WL_NEXT_LOG, /* combine what is complete, begin another log */
	WL_NEXT_PANE /* hand out what is combined, begin another pane */
} WlStep;

static inline WlStep
wl_step(const WlKey *before, const WlKey *next)
{
	if (before->pane != next->pane || before->first != next->first)
		return WL_NEXT_PANE;
	if (before->incarnation != next->incarnation || before->shard != next->shard)
		return WL_NEXT_LOG;
	return WL_SAME;
}

/* Does a rewrite of the one log proper take the place of the other one? */
static inline bool
wl_replaces(const WlKey *rewrite, const WlKey *log)
{
	return wl_step(rewrite, log) == WL_SAME ||
		   (log->pane == rewrite->pane && log->first == rewrite->first &&
			rewrite->shard == WL_RESTORED &&
			log->incarnation < rewrite->incarnation);
}

#endif /* WEIR_CORE_LOG_H */
