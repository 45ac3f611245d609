/*
 * exec/final.c
 *		From a group to a row (see final.h).
 *
 * Runs in backends that read open windows and in coordinators that close them.
 * Expressions are evaluated over a virtual slot, the final row: start of the
 * window, keys, results of the aggregates.  Takes no lock; may raise.
 */
#include "base/weir.h"

#include "exec/final.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

typedef struct FinalExec
{
	EState *estate;
	ExprContext *econtext;
	TupleTableSlot *slot; /* the final row */
	ExprState *having;
	ExprState **out;
} FinalExec;

StateLayout
weir_state_layout(const ViewPlan *plan, AccumSet *accums)
{
	StateLayout layout;
	uint32 *datums = palloc(sizeof(uint32) * Max(plan->naccums, 1));

	layout.size = weir_accum_state_size(accums);
	layout.sessions = plan->window.all.kind == WW_SESSION;
	if (layout.sessions)
		layout.size = MAXALIGN(layout.size) + sizeof(WsSpan);
	layout.ndatums = 0;
	for (int i = 0; i < plan->naccums; i++)
		if (weir_accum_is_datum(plan->accums[i].kind) &&
			!plan->accums[i].trans_byval)
			datums[layout.ndatums++] = plan->accums[i].offset;
	layout.datums = datums;
	return layout;
}

/* Columns of the final row, as the plan's expressions number them. */
static TupleDesc
final_desc(const ViewPlan *plan)
{
	TupleDesc desc = CreateTemplateTupleDesc(1 + plan->nkeys + plan->naggs);
	AttrNumber a = 1;

	TupleDescInitEntry(desc, a++, "window", plan->window.result, -1, 0);
	for (int i = 0; i < plan->nkeys; i++, a++)
	{
		TupleDescInitEntry(desc, a, "key", plan->keys[i].type,
						   plan->keys[i].typmod, 0);
		TupleDescInitEntryCollation(desc, a, plan->keys[i].collation);
	}
	for (int i = 0; i < plan->naggs; i++, a++)
		TupleDescInitEntry(desc, a, "agg", plan->aggs[i].result_type, -1, 0);
	return desc;
}

static FinalExec *
final_new(const ViewPlan *plan)
{
	FinalExec *f = palloc0(sizeof(FinalExec));

	f->estate = CreateExecutorState();
	f->econtext = CreateExprContext(f->estate);
	f->slot = MakeSingleTupleTableSlot(final_desc(plan), &TTSOpsVirtual);
	f->econtext->ecxt_scantuple = f->slot;
	if (plan->having)
		f->having = ExecInitExpr(plan->having, NULL);
	f->out = palloc(sizeof(ExprState *) * plan->nout);
	for (int i = 0; i < plan->nout; i++)
		f->out[i] = ExecInitExpr(plan->out[i], NULL);
	return f;
}

ViewReader *
weir_reader_new(const ViewPlan *plan, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	ViewReader *r = palloc0(sizeof(ViewReader));

	r->plan = plan;
	r->cxt = cxt;
	r->accums = weir_accum_compile(plan->accums, plan->naccums, plan->aggs,
								   plan->naggs, cxt);
	r->layout = weir_state_layout(plan, r->accums);
	r->codec = weir_key_codec(plan, cxt);
	r->final = final_new(plan);
	MemoryContextSwitchTo(old);
	return r;
}

/* A session as a range; in the current context. */
static Datum
session_range(const ViewReader *r, const char *state)
{
	const WindowSpec *w = &r->plan->window;
	const WsSpan *span = weir_state_span(&r->layout, unconstify(char *, state));
	RangeBound lower = {.val = Int64GetDatum(span->first),
						.inclusive = true,
						.lower = true};
	RangeBound upper = {.val = Int64GetDatum(span->last + w->all.size)};

	return RangeTypePGetDatum(
		weir_make_range(lookup_type_cache(w->result, TYPECACHE_RANGE_INFO),
						&lower, &upper));
}

bool
weir_final_row(ViewReader *r, int64 window, const char *key, const char *state,
			   Datum *values, bool *nulls)
{
	FinalExec *f = r->final;
	TupleTableSlot *slot = f->slot;
	MemoryContext old;
	bool isnull;
	bool pass = true;

	ResetExprContext(f->econtext);
	ExecClearTuple(slot);
	old = MemoryContextSwitchTo(f->econtext->ecxt_per_tuple_memory);
	slot->tts_values[0] = r->layout.sessions && !r->plan->window.ttl
							  ? session_range(r, state)
							  : Int64GetDatum(window);
	slot->tts_isnull[0] = false;
	weir_key_values(r->codec, key, slot->tts_values + 1, slot->tts_isnull + 1);
	weir_accum_final(r->accums, state, slot->tts_values + 1 + r->plan->nkeys,
					 slot->tts_isnull + 1 + r->plan->nkeys,
					 CurrentMemoryContext);
	ExecStoreVirtualTuple(slot);

	if (f->having)
	{
		Datum d = ExecEvalExpr(f->having, f->econtext, &isnull);

		pass = !isnull && DatumGetBool(d);
	}
	for (int i = 0; pass && i < r->plan->nout; i++)
		values[i] = ExecEvalExpr(f->out[i], f->econtext, &nulls[i]);
	MemoryContextSwitchTo(old);
	return pass;
}
