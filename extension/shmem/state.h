/*
 * shmem/state.h
 *		What a group's state is made of: the layout of accumulators in memory.
 *
 * A group's accumulators lie one after the other, 8-aligned, in its *state*: a
 * flat piece of memory, in shared memory (written by one ingest worker under the
 * shard's lock, where nothing may raise or allocate) or in a private copy.
 * All-zero bytes are the state of no rows.  plan/accum_spec.h says which
 * accumulators a view has and where; exec/accum.h works on them.
 */
#ifndef WEIR_SHMEM_STATE_H
#define WEIR_SHMEM_STATE_H

#include "base/weir.h"

/* States of the fixed kinds; n counts the values taken (0: none, result NULL). */
typedef struct AccumInt
{
	int64 n;
	int64 value;
} AccumInt;

typedef struct AccumFloat
{
	int64 n;
	double value;
} AccumFloat;

typedef struct AccumInt128
{
	int64 n;
	uint64 lo; /* two's complement, low and high half */
	int64 hi;
} AccumInt128;

typedef struct AccumIntSquares
{
	int64 n;
	uint64 sum_lo;
	int64 sum_hi;
	uint64 sq_lo;
	int64 sq_hi;
} AccumIntSquares;

typedef struct AccumFloatSquares
{
	double n;
	double sx;
	double sxx;
} AccumFloatSquares;

/*
 * A transition value.  By reference: len bytes at data (cap: room there).  By
 * value: the Datum itself in data and len = 8.  len = 0: NULL.
 */
typedef struct AccumDatum
{
	char *data;
	uint32 len;
	uint32 cap;
} AccumDatum;

#endif /* WEIR_SHMEM_STATE_H */
