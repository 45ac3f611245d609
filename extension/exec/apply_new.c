/*
 * exec/apply_new.c
 *		Compile a view's plan for the ingest worker (see apply.h).
 *
 * Runs once per view and worker, in a transaction, as the view's owner.
 */
#include "base/weir.h"

#include "access/tupdesc.h"
#include "core/closing.h"
#include "exec/apply_session.h"
#include "exec/join.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Rows that may come of a batch, in batches, without going record by record. */
#define JOIN_FACTOR 4

static void
init_expr(ViewApply *a, InputExpr *e, Expr *expr, AttrNumber attno)
{
	if (expr == NULL)
		return;
	if (attno > 0)
	{
		e->attno = attno;
		return;
	}
	e->state = ExecInitExpr(expr, NULL);
	e->values = palloc(sizeof(Datum) * a->capacity);
	e->nulls = palloc(sizeof(bool) * a->capacity);
}

/* Arguments after the first; is any of them to be evaluated? */
static bool
init_more(ViewApply *a, int c, const AccumSpec *spec)
{
	bool eval = false;

	a->more[c] = palloc0(sizeof(InputExpr) * (spec->nmore + 1));
	for (int i = 0; i < spec->nmore; i++)
	{
		init_expr(a, &a->more[c][i], spec->more[i].expr, spec->more[i].attno);
		eval = eval || a->more[c][i].state;
	}
	return eval;
}

/* Columns that evaluated expressions read, so that only these are loaded. */
static void
note_columns(Bitmapset **columns, Node *expr)
{
	if (expr)
		pull_varattnos(expr, 1, columns);
}

static void
collect_columns(ViewApply *a)
{
	const ViewPlan *plan = a->plan;
	Bitmapset *columns = NULL;
	int x = -1;

	note_columns(&columns, (Node *) plan->where);
	for (int k = 0; k < plan->nkeys; k++)
		if (a->keys[k].state)
			note_columns(&columns, (Node *) plan->keys[k].expr);
	for (int c = 0; c < plan->naccums; c++)
	{
		note_columns(&columns, (Node *) plan->accums[c].filter);
		if (a->args[c].state)
			note_columns(&columns, (Node *) plan->accums[c].arg);
		for (int i = 0; i < plan->accums[c].nmore; i++)
			if (a->more[c][i].state)
				note_columns(&columns, (Node *) plan->accums[c].more[i].expr);
	}
	for (int o = 0; plan->append && o < plan->nout; o++)
		if (a->out[o].state)
			note_columns(&columns, (Node *) plan->out[o]);
	a->attnos = palloc(sizeof(AttrNumber) * (bms_num_members(columns) + 1));
	while ((x = bms_next_member(columns, x)) >= 0)
	{
		a->attnos[a->nattnos++] = x + FirstLowInvalidHeapAttributeNumber;
		if (plan->join == NULL || a->attnos[a->nattnos - 1] <= plan->join->natts)
			a->nown = a->nattnos;
	}
}

static void
init_expressions(ViewApply *a, TupleDesc rowdesc)
{
	const ViewPlan *plan = a->plan;
	bool eval = false;

	a->slot_in = MakeSingleTupleTableSlot(CreateTupleDescCopy(rowdesc),
										  &TTSOpsVirtual);
	memset(a->slot_in->tts_isnull, true, rowdesc->natts * sizeof(bool));
	ExecStoreVirtualTuple(a->slot_in);
	a->econtext = CreateStandaloneExprContext();
	a->econtext->ecxt_scantuple = a->slot_in;

	a->keys = palloc0(sizeof(InputExpr) * (plan->nkeys + 1));
	a->args = palloc0(sizeof(InputExpr) * (plan->naccums + 1));
	a->more = palloc0(sizeof(InputExpr *) * (plan->naccums + 1));
	a->filters = palloc0(sizeof(InputExpr) * (plan->naccums + 1));
	a->pass = palloc0(sizeof(bool *) * (plan->naccums + 1));
	a->datums = palloc0(sizeof(int) * (plan->naccums + 1));
	if (plan->where)
		a->where = ExecInitQual(plan->where, NULL);
	for (int k = 0; k < plan->nkeys; k++)
	{
		init_expr(a, &a->keys[k], plan->keys[k].expr, plan->keys[k].attno);
		eval = eval || a->keys[k].state;
	}
	for (int c = 0; c < plan->naccums; c++)
	{
		const AccumSpec *spec = &plan->accums[c];

		init_expr(a, &a->args[c], spec->arg, spec->arg_attno);
		init_expr(a, &a->filters[c], spec->filter, 0);
		if (spec->filter)
			a->pass[c] = palloc(sizeof(bool) * a->capacity);
		if (weir_accum_is_datum(spec->kind))
			a->datums[a->ndatums++] = c;
		eval = init_more(a, c, spec) || eval || a->args[c].state || spec->filter;
	}
	a->out = palloc0(sizeof(InputExpr) * (plan->nout + 1));
	for (int o = 0; plan->append && o < plan->nout; o++)
	{
		init_expr(a, &a->out[o], plan->out[o], plan->out_attno[o]);
		eval = eval || a->out[o].state;
	}
	collect_columns(a);
	a->needs_eval = eval;
}

static void
init_vectors(ViewApply *a)
{
	int n = a->capacity;

	a->watermark = a->taken = palloc(sizeof(int64) * n);
	a->rows = palloc(sizeof(int32) * n);
	a->alive = palloc(sizeof(int32) * n);
	a->passing = palloc(sizeof(int32) * n);
	a->first = palloc(sizeof(int64) * n);
	a->last = palloc(sizeof(int64) * n);
	a->states = palloc(sizeof(char *) * n);
	a->row_group = palloc(sizeof(PaneGroup *) * n);
	a->touched = palloc(sizeof(PaneGroup *) * n);
	a->touched_pane = palloc(sizeof(Pane *) * n);
	a->failed = palloc(sizeof(int32) * n);
	a->pending = palloc_extended(sizeof(PendingDatum) * n * (a->ndatums + 1),
								 MCXT_ALLOC_HUGE);
	a->key_buf.cxt = CurrentMemoryContext;
}

/*
 * Take up the panes that recovery has left in the shard, but for those that the
 * coordinator may be closing: no record reaches these any more.  It may take
 * such panes out of the list meanwhile, but nobody adds any.
 */
static void
adopt_panes(ViewApply *a)
{
	Pane **open;
	int n = 0;

	LWLockAcquire(&a->shard->lock, LW_SHARED);
	for (Pane *p = a->shard->panes; p; p = p->next)
		n++;
	LWLockRelease(&a->shard->lock);
	open = palloc(sizeof(Pane *) * (n + 1));
	n = 0;
	LWLockAcquire(&a->shard->lock, LW_SHARED);
	for (Pane *p = a->shard->panes; p; p = p->next)
		if (!wc_is_closed(p->windows.end + a->lateness, a->closed_upto))
			open[n++] = p;
	LWLockRelease(&a->shard->lock);
	for (int i = 0; i < n; i++)
		weir_panemap_put(a->panes, open[i]);
	pfree(open);
}

ViewApply *
weir_apply_new(ViewSlot *slot, int shard, const ViewPlan *plan,
			   TupleDesc rowdesc, int64 delay, int npartitions, int capacity,
			   MemoryContext parent)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "weir view",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	ViewApply *a = palloc0(sizeof(ViewApply));

	a->cxt = cxt;
	a->slot = slot;
	a->shard = &slot->shards[shard];
	a->plan = plan;
	a->delay = delay;
	a->lateness = slot->lateness;
	/* A barrier under way may have been acknowledged without this view. */
	a->closed_upto = wc_raise(slot->closed_upto, slot->closing);
	a->keep_late = slot->keep_late;
	a->worker = &weir_registry->lanes[slot->lane].workers[shard];
	a->npartitions = npartitions;
	a->capacity = plan->join ? capacity * JOIN_FACTOR : capacity;
	we_begin(&a->epochs);
	a->next_row = -1;
	a->parts = palloc(sizeof(ViewPartition) * npartitions);
	memcpy(a->parts, a->shard->parts, sizeof(ViewPartition) * npartitions);
	a->part = palloc(sizeof(ViewPartition) * npartitions);
	for (int p = 0; p < npartitions; p++)
		a->ends = a->ends || a->parts[p].end != WP_NO_END;
	a->late = palloc0(sizeof(int64) * npartitions);
	a->accums = weir_accum_compile(plan->accums, plan->naccums, plan->aggs,
								   plan->naggs, cxt);
	weir_accum_set_panes(a->accums, ww_panes(&plan->window.all));
	a->layout = weir_state_layout(plan, a->accums);
	a->codec = weir_key_codec(plan, cxt);
	a->panes = weir_panemap_new(cxt);
	adopt_panes(a);
	if (a->layout.sessions)
		a->sessions = weir_session_apply_new(a);
	init_expressions(a, plan->join ? plan->join->desc : rowdesc);
	init_vectors(a);
	apply_live_new(a);
	if (plan->join)
		a->join = weir_join_new(a);
	a->batch_cxt = AllocSetContextCreate(cxt, "weir batch",
										 ALLOCSET_DEFAULT_SIZES);
	a->econtext->ecxt_per_tuple_memory = a->batch_cxt;
	MemoryContextSwitchTo(old);
	return a;
}

/* --- what it has in common with other views ------------------------------------ */

/* Only values that are passed by value outlive the view's turn. */
static void
share_expr(ViewApply *a, InputExpr *e, Expr *expr, const CommonScope *scope)
{
	if (e->state == NULL || !get_typbyval(exprType((Node *) expr)))
		return;
	pfree(e->values);
	pfree(e->nulls);
	e->common = weir_common_expr(a->common, scope, (Node *) expr, a->cxt);
	e->values = e->common->values;
	e->nulls = e->common->nulls;
}

static void
share_accum(ViewApply *a, int c, const CommonScope *scope)
{
	const AccumSpec *spec = &a->plan->accums[c];

	share_expr(a, &a->args[c], spec->arg, scope);
	share_expr(a, &a->filters[c], spec->filter, scope);
	for (int i = 0; i < spec->nmore; i++)
		share_expr(a, &a->more[c][i], spec->more[i].expr, scope);
}

/* Keys of which each is a column, or shared. */
static void
share_keys(ViewApply *a, const CommonScope *scope)
{
	CommonKey keys[WEIR_MAX_KEYS];
	int nkeys = a->plan->nkeys;

	for (int k = 0; k < nkeys; k++)
	{
		if (a->keys[k].state && a->keys[k].common == NULL)
			return;
		keys[k].attno = a->keys[k].attno;
		keys[k].expr = a->keys[k].common;
		keys[k].spec = &a->plan->keys[k];
	}
	if (nkeys > 0)
		a->common_keys = weir_common_keys(a->common, scope, keys, nkeys, a->cxt);
}

void
weir_apply_share(ViewApply *a, Common *common, const CommonScope *scope)
{
	a->common = common;
	/* Rows of a join are others, and an append view has a worker for itself. */
	if (a->plan->join || a->plan->append)
		return;
	if (a->where)
		a->common_where = weir_common_expr(common, scope,
										   (Node *) a->plan->where, a->cxt);
	for (int k = 0; k < a->plan->nkeys; k++)
		share_expr(a, &a->keys[k], a->plan->keys[k].expr, scope);
	for (int c = 0; c < a->plan->naccums; c++)
		share_accum(a, c, scope);
	if (!a->sessions)
		share_keys(a, scope);
}
