/*
 * exec/accum.h
 *		Work on accumulators: compile, update, combine, results.
 *
 * plan/accum_spec.h says what accumulators are, shmem/state.h how they lie in
 * memory.
 */
#ifndef WEIR_EXEC_ACCUM_H
#define WEIR_EXEC_ACCUM_H

#include "base/weir.h"

#include "plan/accum_spec.h"
#include "shmem/state.h"

/* Compiled form, one per process and view: function lookups done. */
typedef struct AccumSet AccumSet;

/*
 * naccums specs, naggs aggregates over them.  Memory and FmgrInfos in cxt; the
 * specs must outlive the set.  state_size is the size of a group's state.
 */
extern AccumSet *
weir_accum_compile(const AccumSpec *specs, int naccums, const AggSpec *aggs,
				   int naggs, MemoryContext cxt);
/*
 * A window is combined from so many panes at most: sums that are added to here stay
 * so much below the end of their range (accum_limit.c).
 */
extern void weir_accum_set_panes(AccumSet *set, int64 panes);
extern uint32 weir_accum_state_size(const AccumSet *set);

/*
 * Check the arguments of a batch before anything is applied: rows[0..nrows)
 * index values/nulls.  Returns -1, or the position in rows of the first value
 * that the accumulator cannot take (float overflow), with its text in *reason.
 * Never raises.  Fixed kinds only.
 */
extern int
weir_accum_check(const AccumSpec *spec, const int32 *rows, int nrows,
				 const Datum *values, const bool *nulls, const char **reason);

/*
 * Greater ones are refused: beyond these a sum could become infinite, which
 * PostgreSQL reports as an error and we cannot, once the lock is held.
 *
 * float8 sums: 1e18 values of 1e290 stay finite.
 * float4 sums: 1e12 values of 1e26 stay below 3.4e38.
 * variances: the term (x * N - Sx)^2 is at most (2 * N * 1e140)^2, which stays
 * finite for 1e13 values.
 */
#define BOUND_FLOAT8 1e290
#define BOUND_FLOAT4 1e26
#define BOUND_SQUARE 1e140

/*
 * Apply a batch to fixed-size kinds: row rows[i] belongs to the group whose
 * state is states[i].  pass[rows[i]] (or pass NULL) is the FILTER.  values and
 * nulls are NULL for count(*).  The same state may come more than once; its
 * rows are taken in order.  Cannot raise, allocate or loop for long.
 */
extern void weir_accum_apply(const AccumSpec *spec, const int32 *rows,
							 int nrows, char *const *states, const Datum *values,
							 const bool *nulls, const bool *pass);

/*
 * Transition values that are kept as an AccumDatum are worked on in another
 * form, outside every lock: load, any number of steps, flat, and the result is
 * stored again.  What is loaded is never changed.  All of these may raise, and
 * leave garbage in the current context; so call them on private values.
 */
typedef struct AccumValue
{
	Datum value;
	bool isnull;
	bool begun; /* some row was taken */
} AccumValue;

/* The value may live in *d itself, or in cxt, where it stays. */
extern void weir_accum_load(AccumSet *set, int accum, const AccumDatum *d,
							AccumValue *value, MemoryContext cxt);
/* The transition by a row's arguments; the result is in cxt. */
extern void weir_accum_step(AccumSet *set, int accum, AccumValue *value,
							const NullableDatum *args, MemoryContext cxt);
/* Make of it what is kept. */
extern void
weir_accum_flat(AccumSet *set, int accum, AccumValue *value, MemoryContext cxt);

/* An AccumDatum as a Datum and back. */
extern Datum
weir_accum_get_datum(const AccumSpec *spec, const AccumDatum *d, bool *isnull);
extern void weir_accum_put_null(AccumDatum *d, bool begun);
extern void weir_accum_put_byval(AccumDatum *d, Datum value);
/* Length in bytes of a by-reference transition value. */
extern uint32 weir_accum_datum_size(const AccumSpec *spec, Datum value);

/*
 * Combine src into dst, both private states; new by-reference values are
 * palloc'ed in cxt, old ones are not freed.  src may hold the later rows only
 * where order matters.  Garbage is left in the current context.  It raises for
 * want of memory or when a comparison function of a user's type does: values
 * that could overflow here are refused by check and step before.
 */
extern void
weir_accum_combine(AccumSet *set, char *dst, const char *src, MemoryContext cxt);

/*
 * Results of all aggregates of a group; by-reference ones in cxt, and garbage
 * too: reset it now and then.  May raise, as combine.
 */
extern void weir_accum_final(AccumSet *set, const char *state, Datum *values,
							 bool *nulls, MemoryContext cxt);

#endif /* WEIR_EXEC_ACCUM_H */
