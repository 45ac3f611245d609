/*
 * plan/accum_spec.c
 *		Sizes of accumulators (see accum_spec.h).  Any process, no locks.
 */
#include "base/weir.h"

#include "plan/accum_spec.h"
#include "shmem/state.h"

static const uint32 kind_sizes[] = {
	[ACCUM_COUNT] = sizeof(int64),
	[ACCUM_SUM_INT] = sizeof(AccumInt),
	[ACCUM_SUM_INT128] = sizeof(AccumInt128),
	[ACCUM_SUMSQ_INT128] = sizeof(AccumIntSquares),
	[ACCUM_SUM_FLOAT8] = sizeof(AccumFloat),
	[ACCUM_SUM_FLOAT4] = sizeof(AccumFloat),
	[ACCUM_VAR_FLOAT8] = sizeof(AccumFloatSquares),
	[ACCUM_MIN_INT] = sizeof(AccumInt),
	[ACCUM_MAX_INT] = sizeof(AccumInt),
	[ACCUM_MIN_FLOAT8] = sizeof(AccumFloat),
	[ACCUM_MAX_FLOAT8] = sizeof(AccumFloat),
	[ACCUM_BOOL_AND] = sizeof(AccumInt),
	[ACCUM_BOOL_OR] = sizeof(AccumInt),
	[ACCUM_DATUM] = MAXALIGN(sizeof(AccumDatum)),
	[ACCUM_INTERNAL] = MAXALIGN(sizeof(AccumDatum)),
	[ACCUM_DISTINCT] = MAXALIGN(sizeof(AccumDatum)),
};

uint32
weir_accum_kind_size(AccumKind kind)
{
	return kind_sizes[kind];
}
