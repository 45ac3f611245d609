/*
 * log.h
 *		How the log of open windows is read.
 *
 * The log of a view is read in the order (pane, incarnation, shard, seq).  A log
 * proper is what one shard of one incarnation wrote for one pane: within it the
 * last write of a group wins.  A pane's groups are what its logs give, combined:
 * each incarnation began with empty shards and the earlier ones as its base, so
 * no number and no assignment of workers matters.
 *
 * A rewrite of a pane replaces one log proper as a whole.  Plain C11.
 */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include <stdint.h>

typedef struct WlKey
{
	int64_t pane;
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
	if (before->pane != next->pane)
		return WL_NEXT_PANE;
	if (before->incarnation != next->incarnation || before->shard != next->shard)
		return WL_NEXT_LOG;
	return WL_SAME;
}

#endif /* WEIR_CORE_LOG_H */
