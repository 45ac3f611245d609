/*
 * exec/accum_internal.h
 *		The compiled form of a plan's accumulators and aggregates.
 */
#ifndef WEIR_EXEC_ACCUM_INTERNAL_H
#define WEIR_EXEC_ACCUM_INTERNAL_H

#include "exec/accum.h"

/* What a value that goes into a sum may be at most; see accum.c. */
typedef enum AccumLimit
{
	LIMIT_NONE,
	LIMIT_NUMERIC,
	LIMIT_INTERVAL,
	LIMIT_MONEY
} AccumLimit;

/* Lookups of an ACCUM_DATUM; unused for the other kinds. */
typedef struct AccumCalls
{
	FmgrInfo trans;
	FmgrInfo combine;
	AccumLimit limit;
} AccumCalls;

struct AccumSet
{
	const AccumSpec *specs;
	int naccums;
	const AggSpec *aggs;
	int naggs;
	uint32 state_size;
	AccumCalls *calls; /* by accumulator */
	FmgrInfo *finals;  /* by aggregate; fn_oid 0: none */
	Datum numeric_max; /* LIMIT_NUMERIC's bounds */
	Datum numeric_min;
};

/* 128-bit two's complement integers in halves, as states have them. */
static inline void
accum_add128(uint64 *lo, int64 *hi, uint64 add_lo, int64 add_hi)
{
	*lo += add_lo;
	*hi = (int64) ((uint64) *hi + (uint64) add_hi + (*lo < add_lo));
}

/* Sums wrap around as int4_sum's would; signed overflow is undefined in C. */
static inline int64
accum_add64(int64 a, int64 b)
{
	return (int64) ((uint64) a + (uint64) b);
}

/* NaN is greater than all others and equal to itself, as in float8_lt. */
static inline bool
accum_float_less(double a, double b)
{
	return b != b ? a == a : a < b;
}

#endif /* WEIR_EXEC_ACCUM_INTERNAL_H */
