/*
 * plan/accum_spec.h
 *		Aggregates of a view's plan: which accumulators they are made of.
 *
 * An aggregate of a query is a final function over one to three accumulators;
 * equal accumulators (same kind, argument and filter) are kept once, so that
 * sum(x), avg(x) and count(x) share.
 *
 * Kinds of fixed size are updated in place.  The others are kept by reference,
 * as an AccumDatum: the new value is computed outside the lock, and stored under
 * it.  ACCUM_DATUM holds any transition value of PostgreSQL's (text for max(text),
 * numeric for sum(numeric), ...), ACCUM_INTERNAL one of type internal, serialised,
 * ACCUM_DISTINCT the set of values that an aggregate with DISTINCT will see.
 */
#ifndef WEIR_PLAN_ACCUM_SPEC_H
#define WEIR_PLAN_ACCUM_SPEC_H

#include "base/weir.h"

#include "nodes/primnodes.h"

typedef enum AccumKind
{
	ACCUM_COUNT,        /* rows, or rows with the argument not null: int64 */
	ACCUM_SUM_INT,      /* int2, int4 -> int64 sum */
	ACCUM_SUM_INT128,   /* int8 -> 128-bit sum */
	ACCUM_SUMSQ_INT128, /* int2, int4 -> 128-bit sum and sum of squares */
	ACCUM_SUM_FLOAT8,   /* float4, float8 -> float8 sum */
	ACCUM_SUM_FLOAT4,   /* float4 -> sum in float4 arithmetic */
	ACCUM_VAR_FLOAT8,   /* N, Sx, Sxx by Youngs and Cramer, as float8_accum */
	ACCUM_MIN_INT,      /* int2/4/8, date, time, timestamp(tz); not oid */
	ACCUM_MAX_INT,
	ACCUM_MIN_FLOAT8, /* float4 and float8, NaN greatest */
	ACCUM_MAX_FLOAT8,
	ACCUM_BOOL_AND,
	ACCUM_BOOL_OR,
	/* From here on kept as an AccumDatum; see weir_accum_is_datum. */
	ACCUM_DATUM,    /* transfn(value, arguments) through fmgr */
	ACCUM_INTERNAL, /* the same, with serialfn and deserialfn */
	ACCUM_DISTINCT  /* distinct values of the arguments */
} AccumKind;

/* An argument of an aggregate, over the stream's columns. */
typedef struct AccumArg
{
	Expr *expr;
	AttrNumber attno; /* > 0 if expr is a plain column */
	Oid type;
} AccumArg;

/* One accumulator of a view's plan; plain data, built by plan/. */
typedef struct AccumSpec
{
	AccumKind kind;
	Expr *arg;            /* over the stream's columns; NULL for count(*) */
	AttrNumber arg_attno; /* > 0 if arg is a plain column */
	Oid arg_type;
	Expr *filter;  /* or NULL */
	uint32 offset; /* in the state */
	uint32 size;
	/* Those that are kept as an AccumDatum only */
	int nmore;      /* arguments after the first one */
	AccumArg *more; /* these */
	bool portable;  /* its bytes mean the same in every database */
	/* ACCUM_DATUM, ACCUM_INTERNAL */
	Oid transfn;
	Oid combinefn;
	Oid serialfn;
	Oid deserialfn;
	Oid trans_type;
	int16 trans_len; /* of what is kept */
	bool trans_byval;
	bool trans_strict; /* transfn is strict; distinct: NULLs do not count */
	bool combine_strict;
	bool as_agg;   /* functions are called as by an Agg node */
	bool variadic; /* the last argument is VARIADIC */
	Oid collation;
	bool has_init;
	Datum init; /* initial transition value, if has_init */
	/* ACCUM_DISTINCT */
	struct KeySpec *keys; /* the arguments, as keys of a hash table */
} AccumSpec;

/* Is its state an AccumDatum? */
static inline bool
weir_accum_is_datum(AccumKind kind)
{
	return kind >= ACCUM_DATUM;
}

/* How an aggregate's result comes from its accumulators. */
typedef enum FinalKind
{
	FINAL_COUNT,          /* int8, never NULL */
	FINAL_INT8,           /* sum of ints: int64 or NULL */
	FINAL_NUMERIC_INT128, /* sum(int8) */
	FINAL_AVG_INT,        /* numeric, from ACCUM_SUM_INT */
	FINAL_AVG_INT128,
	FINAL_FLOAT8,
	FINAL_FLOAT4,
	FINAL_AVG_FLOAT8,
	FINAL_VAR_FLOAT8, /* calls PostgreSQL's float8_var_samp etc.: finalfn */
	FINAL_VAR_INT,    /* variance/stddev over int2, int4 */
	FINAL_MINMAX_INT, /* converted back to result_type */
	FINAL_MINMAX_FLOAT,
	FINAL_BOOL,
	FINAL_DATUM,        /* the transition value, through finalfn if any */
	FINAL_AVG_NUMERIC,  /* datum sum, count */
	FINAL_AVG_INTERVAL, /* likewise */
	FINAL_VAR_NUMERIC,  /* datum sum, datum sum of squares, count */
	FINAL_COUNT_DISTINCT,
	FINAL_DISTINCT /* the aggregate run over the set, in order */
} FinalKind;

typedef struct AggSpec
{
	FinalKind kind;
	int naccums;
	int accums[3]; /* indexes into the plan's accumulators */
	Oid result_type;
	int16 result_len;
	bool result_byval;
	Oid finalfn;     /* FINAL_DATUM, FINAL_VAR_FLOAT8; or InvalidOid */
	int final_extra; /* NULL arguments that finalfn takes besides */
	bool sample;     /* _samp, not _pop */
	bool sqrt;       /* stddev, not variance */
	Oid collation;
	AccumSpec *over; /* FINAL_DISTINCT: the aggregate itself, ... */
	List *order;     /* ... and SortGroupClauses over its arguments, by the
					  * arguments' numbers from 1 */
} AggSpec;

/* Size of one accumulator's state, a multiple of 8. */
extern uint32 weir_accum_kind_size(AccumKind kind);

#endif /* WEIR_PLAN_ACCUM_SPEC_H */
