/*
 * exec/final.h
 *		From a group to a row: aggregates' results, HAVING, the select list.
 */
#ifndef WEIR_EXEC_FINAL_H
#define WEIR_EXEC_FINAL_H

#include "base/weir.h"

#include "exec/accum.h"
#include "exec/key.h"
#include "plan/plan.h"
#include "shmem/pane.h"

/* A view's plan, compiled for reading, merging and closing groups. */
typedef struct ViewReader
{
	const ViewPlan *plan;
	AccumSet *accums;
	StateLayout layout;
	KeyCodec *codec;
	struct FinalExec *final;
	MemoryContext cxt;
} ViewReader;

/* All memory in cxt.  Needs a transaction. */
extern ViewReader *weir_reader_new(const ViewPlan *plan, MemoryContext cxt);

/* Where by-reference accumulators lie; datums array in the current context. */
extern StateLayout weir_state_layout(const ViewPlan *plan, AccumSet *accums);

/*
 * Compute the output row of a group, in a context that the next call resets.
 * False: HAVING drops it.  values and nulls have plan->nout entries.
 */
extern bool weir_final_row(ViewReader *r, int64 window, const char *key,
						   const char *state, Datum *values, bool *nulls);

#endif /* WEIR_EXEC_FINAL_H */
