/*
 * shmem/shmem.c
 *		Makes the shared segment: registry, lanes, views and the arena.
 *
 * The postmaster reserves it at start (weir.memory_limit), so that nothing can
 * run out at run time but the arena itself, whose callers expect NULL.  The
 * arena's pages are not touched before they are used.
 */
#include "base/weir.h"

#include "base/guc.h"
#include "core/buddy.h"
#include "miscadmin.h"
#include "shmem/shmem.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define ARENA_MIN_BLOCK 512

Registry *weir_registry = NULL;

static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static size_t
arena_size(void)
{
	return (size_t) weir_settings.memory_limit_mb * 1024 * 1024;
}

static size_t
segment_size(void)
{
	size_t size = MAXALIGN(sizeof(Registry));

	size = add_size(size,
					mul_size(weir_settings.max_lanes, MAXALIGN(sizeof(Lane))));
	size = add_size(size, mul_size(weir_settings.max_views,
								   MAXALIGN(sizeof(ViewSlot))));
	size = add_size(size, mul_size(weir_settings.max_views,
								   MAXALIGN(sizeof(ViewMetrics))));
	size = add_size(size, arena_size());
	return add_size(size, 2 * PG_CACHE_LINE_SIZE);
}

static void
request_segment(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(segment_size());
}

static void
init_lane(Lane *lane)
{
	pg_atomic_init_u32(&lane->stop, 0);
	pg_atomic_init_u32(&lane->recheck, 0);
	pg_atomic_init_u64(&lane->checkpoint_wanted, 0);
	pg_atomic_init_u64(&lane->checkpoint_done, 0);
	pg_atomic_init_u64(&lane->barrier, 0);
	pg_atomic_init_u64(&lane->durable, 0);
	pg_atomic_init_u32(&lane->ready, 0);
	pg_atomic_init_u32(&lane->replaying, 0);
	ConditionVariableInit(&lane->checkpointed);
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
	{
		pg_atomic_init_u64(&lane->workers[w].acked, 0);
		pg_atomic_init_u64(&lane->workers[w].copied, 0);
		pg_atomic_init_u32(&lane->workers[w].blocked, 0);
		pg_atomic_init_u32(&lane->workers[w].replay_ready, 0);
		pg_atomic_init_u64(&lane->workers[w].committed, 0);
	}
}

static void
init_metrics(ViewMetrics *m)
{
	for (int i = 0; i < WEIR_LATENCY_CLASSES; i++)
	{
		pg_atomic_init_u64(&m->freshness.n[i], 0);
		pg_atomic_init_u64(&m->commit.n[i], 0);
	}
	pg_atomic_init_u64(&m->freshness.sum, 0);
	pg_atomic_init_u64(&m->commit.sum, 0);
}

static void
init_view(ViewSlot *view, int tranche)
{
	LWLockInitialize(&view->marks_lock, tranche);
	pg_atomic_init_u64(&view->life, 0);
	pg_atomic_init_u32(&view->failed, 0);
	pg_atomic_init_u32(&view->detached, 0);
	view->metrics = NULL;
	weir_account_init(&view->memory);
	for (int s = 0; s < WEIR_MAX_WORKERS; s++)
	{
		LWLockInitialize(&view->shards[s].lock, tranche);
		pg_atomic_init_u32(&view->shards[s].writer_waiting, 0);
	}
}

static void
init_segment(Registry *reg)
{
	char *p = (char *) reg + MAXALIGN(sizeof(Registry));

	memset(reg, 0, sizeof(Registry));
	reg->lane_tranche = LWLockNewTrancheId();
	LWLockInitialize(&reg->lock, reg->lane_tranche);
	LWLockInitialize(&reg->arena_lock, reg->lane_tranche);
	reg->max_lanes = weir_settings.max_lanes;
	reg->max_views = weir_settings.max_views;

	reg->lanes = (Lane *) p;
	memset(p, 0, reg->max_lanes * sizeof(Lane));
	p += MAXALIGN(reg->max_lanes * sizeof(Lane));
	reg->views = (ViewSlot *) p;
	memset(p, 0, reg->max_views * sizeof(ViewSlot));
	p += MAXALIGN(reg->max_views * sizeof(ViewSlot));
	reg->metrics = (ViewMetrics *) p;
	memset(p, 0, reg->max_views * sizeof(ViewMetrics));
	p += MAXALIGN(reg->max_views * sizeof(ViewMetrics));
	for (int i = 0; i < reg->max_lanes; i++)
		init_lane(&reg->lanes[i]);
	for (int i = 0; i < reg->max_views; i++)
	{
		init_view(&reg->views[i], reg->lane_tranche);
		init_metrics(&reg->metrics[i]);
	}

	p = (char *) TYPEALIGN(PG_CACHE_LINE_SIZE, p);
	reg->arena = wb_init(p, arena_size(), ARENA_MIN_BLOCK);
}

static void
startup_segment(void)
{
	bool found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	weir_registry = ShmemInitStruct("weir", segment_size(), &found);
	if (!found)
		init_segment(weir_registry);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(weir_registry->lane_tranche, "weir");
}

void
weir_shmem_init(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_segment;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_segment;
}

void
weir_require_preload(void)
{
	if (weir_registry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("weir is not loaded at server start"),
				 errhint(
					 "Add weir to shared_preload_libraries and restart the server.")));
}
