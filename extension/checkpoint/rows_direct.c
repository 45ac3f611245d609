/*
 * checkpoint/rows_direct.c
 *		Rows of an append view, many at a time (see rows_direct.h).
 *
 * Runs in the ingest worker, in its transaction, as the view's owner (rows.c).
 * A page is filled, and logged, at a time, which is several times faster than
 * INSERT; what is left to do for each row is to check constraints and to make
 * index entries.  Everything else that a table can have is the executor's.
 *
 * Memory: a child of the current context for the batch; what the table's access
 * method leaks is in there as well.
 */
#include "base/weir.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "checkpoint/rows_direct.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/memutils.h"

/* Rows that are handed to the table at once. */
#define MAX_ROWS 500

typedef struct DirectWriter
{
	Relation rel;
	EState *estate;
	ResultRelInfo *rri;
	TupleTableSlot **slots;
	int nslots;
	CommandId cid;
} DirectWriter;

/* --- may it be done ------------------------------------------------------------ */

static bool
fires_triggers(const TriggerDesc *t)
{
	return t && (t->trig_insert_before_row || t->trig_insert_after_row ||
				 t->trig_insert_instead_row || t->trig_insert_before_statement ||
				 t->trig_insert_after_statement);
}

/* Does the table take the column as the query has it? */
static bool
is_same(Form_pg_attribute table, Form_pg_attribute query)
{
	return !table->attisdropped && table->attidentity == '\0' &&
		   table->attgenerated == '\0' && table->atttypid == query->atttypid &&
		   (table->atttypmod == -1 || table->atttypmod == query->atttypmod) &&
		   strcmp(NameStr(table->attname), NameStr(query->attname)) == 0;
}

static bool
may_write(Relation rel, const ViewPlan *plan)
{
	TupleDesc desc = RelationGetDescr(rel);

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relispartition ||
		rel->rd_rel->relrowsecurity || rel->rd_rules ||
		fires_triggers(rel->trigdesc) || desc->natts != plan->nout)
		return false;
	for (int i = 0; i < desc->natts; i++)
		if (!is_same(TupleDescAttr(desc, i), TupleDescAttr(plan->outdesc, i)))
			return false;
	return pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT) ==
		   ACLCHECK_OK;
}

/* --- writing --------------------------------------------------------------------- */

static void
begin_write(DirectWriter *w, Relation rel, int n)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	w->rel = rel;
	w->estate = CreateExecutorState();
	weir_init_range_table(w->estate, rte);
	w->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(w->rri, rel, 1, NULL, 0);
	ExecOpenIndices(w->rri, false);
	w->cid = GetCurrentCommandId(true);
	w->nslots = Min(n, MAX_ROWS);
	w->slots = palloc(sizeof(TupleTableSlot *) * w->nslots);
	for (int i = 0; i < w->nslots; i++)
		w->slots[i] = table_slot_create(rel, NULL);
}

static void
fill_slot(DirectWriter *w, TupleTableSlot *slot, ViewApply *a,
		  const EventBatch *b, int32 record)
{
	ExecClearTuple(slot);
	for (int o = 0; o < a->plan->nout; o++)
		slot->tts_values[o] = weir_append_value(a, o, b, record,
												&slot->tts_isnull[o]);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(w->rel);
	if (w->rel->rd_att->constr)
		ExecConstraints(w->rri, slot, w->estate);
}

static void
make_index_entries(DirectWriter *w, TupleTableSlot *slot)
{
	list_free(weir_insert_index_tuples(w->rri, slot, w->estate));
	ResetPerTupleExprContext(w->estate);
}

static void
write_some(DirectWriter *w, ViewApply *a, const EventBatch *b,
		   const int32 *records, int n)
{
	for (int i = 0; i < n; i++)
		fill_slot(w, w->slots[i], a, b, records[i]);
	table_multi_insert(w->rel, w->slots, n, w->cid, 0, NULL);
	for (int i = 0; i < n && w->rri->ri_NumIndices > 0; i++)
		make_index_entries(w, w->slots[i]);
}

static void
end_write(DirectWriter *w)
{
	table_finish_bulk_insert(w->rel, 0);
	for (int i = 0; i < w->nslots; i++)
		ExecDropSingleTupleTableSlot(w->slots[i]);
	ExecCloseIndices(w->rri);
	FreeExecutorState(w->estate);
}

bool
weir_rows_direct(Relation rel, ViewApply *a, const EventBatch *b,
				 const int32 *records, int n)
{
	DirectWriter w;
	MemoryContext cxt;
	MemoryContext old;

	if (!may_write(rel, a->plan))
		return false;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "weir rows",
								ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	begin_write(&w, rel, n);
	for (int i = 0; i < n; i += w.nslots)
		write_some(&w, a, b, records + i, Min(n - i, w.nslots));
	end_write(&w);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return true;
}
