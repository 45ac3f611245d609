/*
 * exec/accum.h
 *		Accumulators: what an aggregate keeps for a group.
 *
 * An aggregate of a query is a final function over one to three accumulators;
 * equal accumulators (same kind, argument and filter) are kept once, so that
 * sum(x), avg(x) and count(x) share.
 *
 * A group's accumulators lie one after the other, 8-aligned, in its *state*: a
 * flat piece of memory of layout->size bytes, in shared memory (written by one
 * ingest worker under the shard's lock, where nothing may raise or allocate)
 * or in a private copy.  All-zero bytes are the state of no rows.
 *
 * Kinds of fixed size are updated in place.  ACCUM_DATUM holds any transition
 * value of PostgreSQL's (text for max(text), numeric for sum(numeric), ...) by
 * reference: the new value is computed outside the lock, and stored under it.
 */
#ifndef WEIR_EXEC_ACCUM_H
#define WEIR_EXEC_ACCUM_H

#include "base/weir.h"

#include "nodes/primnodes.h"

typedef enum AccumKind
{
	ACCUM_COUNT,				/* rows, or rows with the argument not null: int64 */
	ACCUM_SUM_INT,				/* int2, int4 -> int64 sum */
	ACCUM_SUM_INT128,			/* int8 -> 128-bit sum */
	ACCUM_SUMSQ_INT128,			/* int2, int4 -> 128-bit sum and sum of squares */
	ACCUM_SUM_FLOAT8,			/* float4, float8 -> float8 sum */
	ACCUM_SUM_FLOAT4,			/* float4 -> sum in float4 arithmetic */
	ACCUM_VAR_FLOAT8,			/* N, Sx, Sxx by Youngs and Cramer, as float8_accum */
	ACCUM_MIN_INT,				/* int2/4/8, date, time, timestamp(tz); not oid */
	ACCUM_MAX_INT,
	ACCUM_MIN_FLOAT8,			/* float4 and float8, NaN greatest */
	ACCUM_MAX_FLOAT8,
	ACCUM_BOOL_AND,
	ACCUM_BOOL_OR,
	ACCUM_DATUM					/* transfn(value, argument) through fmgr */
} AccumKind;

/* States of the fixed kinds; n counts the values taken (0: none, result NULL). */
typedef struct AccumInt
{
	int64		n;
	int64		value;
} AccumInt;

typedef struct AccumFloat
{
	int64		n;
	double		value;
} AccumFloat;

typedef struct AccumInt128
{
	int64		n;
	uint64		lo;				/* two's complement, low and high half */
	int64		hi;
} AccumInt128;

typedef struct AccumIntSquares
{
	int64		n;
	uint64		sum_lo;
	int64		sum_hi;
	uint64		sq_lo;
	int64		sq_hi;
} AccumIntSquares;

typedef struct AccumFloatSquares
{
	double		n;
	double		sx;
	double		sxx;
} AccumFloatSquares;

/*
 * A transition value.  By reference: len bytes at data (cap: room there).  By
 * value: the Datum itself in data and len = 8.  len = 0: NULL.
 */
typedef struct AccumDatum
{
	char	   *data;
	uint32		len;
	uint32		cap;
} AccumDatum;

/* One accumulator of a view's plan; plain data, built by plan/. */
typedef struct AccumSpec
{
	AccumKind	kind;
	Expr	   *arg;			/* over the stream's columns; NULL for count(*) */
	AttrNumber	arg_attno;		/* > 0 if arg is a plain column */
	Oid			arg_type;
	Expr	   *filter;			/* or NULL */
	uint32		offset;			/* in the state */
	uint32		size;
	/* ACCUM_DATUM only */
	Oid			transfn;
	Oid			combinefn;
	Oid			trans_type;
	int16		trans_len;
	bool		trans_byval;
	bool		trans_strict;	/* transfn is strict */
	bool		combine_strict;
	Oid			collation;
	bool		has_init;
	Datum		init;			/* initial transition value, if has_init */
	bool		preserves_fixed_oid;	/* trans_type has a fixed OID (< 16384) */
} AccumSpec;

/* How an aggregate's result comes from its accumulators. */
typedef enum FinalKind
{
	FINAL_COUNT,				/* int8, never NULL */
	FINAL_INT8,					/* sum of ints: int64 or NULL */
	FINAL_NUMERIC_INT128,		/* sum(int8) */
	FINAL_AVG_INT,				/* numeric, from ACCUM_SUM_INT */
	FINAL_AVG_INT128,
	FINAL_FLOAT8,
	FINAL_FLOAT4,
	FINAL_AVG_FLOAT8,
	FINAL_VAR_FLOAT8,			/* calls PostgreSQL's float8_var_samp etc.: finalfn */
	FINAL_VAR_INT,				/* variance/stddev over int2, int4 */
	FINAL_MINMAX_INT,			/* converted back to result_type */
	FINAL_MINMAX_FLOAT,
	FINAL_BOOL,
	FINAL_DATUM,				/* the transition value, through finalfn if any */
	FINAL_AVG_NUMERIC,			/* datum sum, count */
	FINAL_AVG_INTERVAL,			/* likewise */
	FINAL_VAR_NUMERIC			/* datum sum, datum sum of squares, count */
} FinalKind;

typedef struct AggSpec
{
	FinalKind	kind;
	int			naccums;
	int			accums[3];		/* indexes into the plan's accumulators */
	Oid			result_type;
	int16		result_len;
	bool		result_byval;
	Oid			finalfn;		/* FINAL_DATUM, FINAL_VAR_FLOAT8; or InvalidOid */
	bool		sample;			/* _samp, not _pop */
	bool		sqrt;			/* stddev, not variance */
	Oid			collation;
} AggSpec;

/* Compiled form, one per process and view: function lookups done. */
typedef struct AccumSet AccumSet;

/*
 * naccums specs, naggs aggregates over them.  Memory and FmgrInfos in cxt; the
 * specs must outlive the set.  state_size is the size of a group's state.
 */
extern AccumSet *weir_accum_compile(const AccumSpec *specs, int naccums,
									const AggSpec *aggs, int naggs,
									MemoryContext cxt);
extern uint32 weir_accum_state_size(const AccumSet *set);
/* Size of one accumulator's state, a multiple of 8. */
extern uint32 weir_accum_kind_size(AccumKind kind);

/*
 * Check the arguments of a batch before anything is applied: rows[0..nrows)
 * index values/nulls.  Returns -1, or the position in rows of the first value
 * that the accumulator cannot take (float overflow), with its text in *reason.
 * Never raises.  Fixed kinds only.
 */
extern int	weir_accum_check(const AccumSpec *spec, const int32 *rows,
							 int nrows, const Datum *values,
							 const bool *nulls, const char **reason);

/*
 * Apply a batch to fixed-size kinds: row rows[i] belongs to the group whose
 * state is states[i].  pass[rows[i]] (or pass NULL) is the FILTER.  values and
 * nulls are NULL for count(*).  The same state may come more than once; its
 * rows are taken in order.  Cannot raise, allocate or loop for long.
 */
extern void weir_accum_apply(const AccumSpec *spec, const int32 *rows,
							 int nrows, char *const *states,
							 const Datum *values, const bool *nulls,
							 const bool *pass);

/*
 * One step of an ACCUM_DATUM: *value (NULL when *isnull) becomes the transition
 * of *value and arg.  The result is in cxt (or is the old one, untouched); the
 * old one is not freed.  Garbage is left in the current context.  May raise:
 * call it on private values, outside every lock.
 */
extern void weir_accum_step(AccumSet *set, int accum, Datum *value,
							bool *isnull, Datum arg, bool argnull,
							MemoryContext cxt);

/* An AccumDatum as a Datum and back. */
extern Datum weir_accum_get_datum(const AccumSpec *spec, const AccumDatum *d,
								  bool *isnull);
/* Length in bytes of a by-reference transition value. */
extern uint32 weir_accum_datum_size(const AccumSpec *spec, Datum value);

/*
 * Combine src into dst, both private states; new by-reference values are
 * palloc'ed in cxt, old ones are not freed.  src may hold the later rows only
 * where order matters.  Garbage is left in the current context.  It raises for
 * want of memory or when a comparison function of a user's type does: values
 * that could overflow here are refused by check and step before.
 */
extern void weir_accum_combine(AccumSet *set, char *dst, const char *src,
							   MemoryContext cxt);

/*
 * Results of all aggregates of a group; by-reference ones in cxt, and garbage
 * too: reset it now and then.  May raise, as combine.
 */
extern void weir_accum_final(AccumSet *set, const char *state, Datum *values,
							 bool *nulls, MemoryContext cxt);

#endif /* WEIR_EXEC_ACCUM_H */
