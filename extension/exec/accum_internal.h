/*
 * exec/accum_internal.h
 *		The compiled form of a plan's accumulators and aggregates.
 */
#ifndef WEIR_EXEC_ACCUM_INTERNAL_H
#define WEIR_EXEC_ACCUM_INTERNAL_H

#include "exec/accum.h"

#include "exec/key.h"
#include "nodes/execnodes.h"
#include "utils/sortsupport.h"

/* What a value that goes into a sum may be at most; see accum_limit.c. */
typedef enum AccumLimit
{
	LIMIT_NONE,
	LIMIT_NUMERIC,
	LIMIT_FLOAT4,
	LIMIT_FLOAT8,
	LIMIT_SQUARES,
	LIMIT_INTERVAL,
	LIMIT_MONEY
} AccumLimit;

/* Lookups of an accumulator that is kept as an AccumDatum. */
typedef struct AccumCalls
{
	const AccumSpec *spec;
	FunctionCallInfo trans;
	FunctionCallInfo combine;
	FunctionCallInfo serial; /* ACCUM_INTERNAL */
	FunctionCallInfo deserial;
	AccumLimit limit;
	KeyCodec *codec; /* ACCUM_DISTINCT: of the elements */
} AccumCalls;

/* Lookups of an aggregate. */
typedef struct FinalCalls
{
	FunctionCallInfo final; /* or NULL */
	AccumCalls over;        /* FINAL_DISTINCT: the aggregate itself, ... */
	int norder;             /* ... and the order that it takes its values in */
	int *order;             /* arguments, from 0 */
	SortSupport sort;
} FinalCalls;

struct AccumSet
{
	const AccumSpec *specs;
	int naccums;
	const AggSpec *aggs;
	int naggs;
	uint32 state_size;
	AccumCalls *calls;  /* by accumulator */
	FinalCalls *finals; /* by aggregate */
	AggState *agg;      /* what aggregates' functions believe to be called by */
	Datum numeric_max;  /* LIMIT_NUMERIC's bounds */
	Datum numeric_min;
	int64 share; /* of its range that a sum may take is one in so many */
};

/* --- accum_calls.c ---------------------------------------------------------- */
extern void accum_compile_calls(AccumSet *set, AccumCalls *calls,
								const AccumSpec *spec, MemoryContext cxt);
extern void accum_compile_final(AccumSet *set, FinalCalls *calls,
								const AggSpec *agg, MemoryContext cxt);
/* As weir_accum_load, _step and _flat, of any compiled accumulator. */
extern void accum_load(AccumSet *set, AccumCalls *calls, const AccumDatum *d,
					   AccumValue *value, MemoryContext cxt);
extern void accum_step(AccumSet *set, AccumCalls *calls, AccumValue *value,
					   const NullableDatum *args, MemoryContext cxt);
extern void
accum_combine_datum(AccumSet *set, AccumCalls *calls, AccumDatum *dst,
					const AccumDatum *src, MemoryContext cxt);
/* The final function, or the value itself; value is in memory of its own. */
extern Datum
accum_finish(AccumSet *set, FinalCalls *calls, const AccumCalls *over,
			 const AccumValue *value, MemoryContext cxt, bool *isnull);

/* --- accum_limit.c ---------------------------------------------------------- */
extern AccumLimit accum_limit_of(Oid transfn);
extern void
accum_check_argument(const AccumSet *set, AccumLimit limit, Datum arg);
extern void accum_check_sum(const AccumSet *set, AccumLimit limit, Datum value);

/* --- accum_distinct.c ------------------------------------------------------- */
extern void accum_compile_order(FinalCalls *calls, const AggSpec *agg,
								const KeySpec *keys, MemoryContext cxt);
/* Run an aggregate over a set. */
extern Datum
accum_final_distinct(AccumSet *set, FinalCalls *calls, const AccumCalls *kept,
					 const AccumDatum *d, MemoryContext cxt, bool *isnull);

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
