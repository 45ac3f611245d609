/*
 * api/open_scan.c
 *		The foreign table v_open: the open windows of a continuous view.
 *
 * Backends.  Groups are read, and merged, at the first row that is asked for
 * (checkpoint/open_groups.c); rows are made of them as the query says.  What an
 * old snapshot misses in memory follows from v_final (final_scan.c).
 *
 * A scan is safe in a parallel worker: it reads shared memory and tables under
 * the leader's snapshot.
 */
#include "base/weir.h"

#include "access/reloptions.h"
#include "api/final_scan.h"
#include "catalog/extension.h"
#include "catalog/view.h"
#include "checkpoint/open_groups.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(weir_open_handler);
PG_FUNCTION_INFO_V1(weir_open_validator);

#define GUESSED_ROWS 1000

typedef struct OpenScan
{
	MemoryContext cxt;
	ViewRow *row;
	ViewReader *reader; /* NULL: not read yet */
	OpenGroups *groups;
	FinalScan *final; /* NULL: not begun */
} OpenScan;

/* --- planning ----------------------------------------------------------------------- */

static void
get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	rel->rows = GUESSED_ROWS;
}

static void
get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	add_path(rel, (Path *) weir_foreignscan_path(root, rel, rel->rows, 10,
												 10 + rel->rows * 0.01, NIL));
}

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
		 List *tlist, List *clauses, Plan *outer)
{
	return make_foreignscan(tlist, extract_actual_clauses(clauses, false),
							rel->relid, NIL, NIL, NIL, NIL, outer);
}

static bool
is_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return true;
}

/* --- reading ------------------------------------------------------------------------- */

/* The foreign table must still have the query's columns, and no others. */
static void
check_columns(Relation rel, TupleDesc out)
{
	TupleDesc desc = RelationGetDescr(rel);
	bool same = desc->natts == out->natts;

	for (int i = 0; same && i < out->natts; i++)
		same = TupleDescAttr(desc, i)->atttypid ==
			   TupleDescAttr(out, i)->atttypid;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the columns of \"%s\" are not those of the continuous view's query",
						RelationGetRelationName(rel)),
				 errhint(
					 "Do not alter it; drop the view with weir.drop_view and create it again.")));
}

/*
 * The workers of a view hold what others read, and free it when no other reader
 * is left; and what they would see depends on the moment.
 */
static void
refuse_workers(void)
{
	if (MyBgworkerEntry && strcmp(MyBgworkerEntry->bgw_library_name, "weir") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot read open windows"),
				 errdetail(
					 "A function in its query reads from a continuous view."),
				 errhint("Read the _final table instead.")));
}

static void
prepare(OpenScan *scan, Relation rel)
{
	WeirUser before;
	int nest;

	refuse_workers();
	scan->row = weir_view_of_open(RelationGetRelid(rel));
	if (scan->row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this foreign table belongs to no continuous view"),
				 errhint(
					 "A dump without data does not hold the definition: drop the view's relations, and define it with weir.create_view.")));
	/* Planning runs functions: as the owner, and with no names but the owner's. */
	before = weir_become_owner(scan->row->owner);
	nest = weir_settings_enter(scan->row);
	scan->reader = weir_reader_new(weir_plan_view(scan->row->query,
												  scan->row->ttl),
								   scan->cxt);
	weir_settings_leave(nest);
	weir_become_again(before);
	check_columns(rel, scan->reader->plan->outdesc);
}

static void
begin_scan(ForeignScanState *node, int eflags)
{
	OpenScan *scan = palloc0(sizeof(OpenScan));

	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		weir_require_version();
	scan->cxt = AllocSetContextCreate(node->ss.ps.state->es_query_cxt,
									  "weir open windows",
									  ALLOCSET_DEFAULT_SIZES);
	node->fdw_state = scan;
}

/* The next row of a window that is open for the snapshot, and in memory. */
static bool
next_open(OpenScan *scan, TupleTableSlot *slot)
{
	WeirUser before = weir_become_owner(scan->row->owner);
	int nest = weir_settings_enter(scan->row);
	MergeGroup g;
	bool found = false;

	while (!found && weir_open_groups_next(scan->groups, &g))
		found = weir_final_row(scan->reader, g.window, g.key, g.state,
							   slot->tts_values, slot->tts_isnull);
	weir_settings_leave(nest);
	weir_become_again(before);
	return found;
}

/* The next row of one that is in memory no more, though it is open for it. */
static bool
next_gone(OpenScan *scan, TupleTableSlot *slot, Snapshot snapshot)
{
	MemoryContext old;
	int64 from;
	int64 upto;

	if (!weir_open_groups_gone(scan->groups, &from, &upto))
		return false;
	if (scan->final == NULL)
	{
		old = MemoryContextSwitchTo(scan->cxt);
		scan->final = weir_final_scan_begin(scan->row, scan->reader->plan, from,
											upto, snapshot);
		MemoryContextSwitchTo(old);
	}
	return weir_final_scan_next(scan->final, slot->tts_values, slot->tts_isnull);
}

static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	OpenScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (scan->reader == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->cxt);

		prepare(scan, node->ss.ss_currentRelation);
		scan->groups = weir_open_groups_read(scan->row, scan->reader,
											 GetActiveSnapshot());
		MemoryContextSwitchTo(old);
	}
	if (next_open(scan, slot) ||
		next_gone(scan, slot, node->ss.ps.state->es_snapshot))
		ExecStoreVirtualTuple(slot);
	return slot;
}

static void
rescan(ForeignScanState *node)
{
	OpenScan *scan = node->fdw_state;

	if (scan->final)
		weir_final_scan_end(scan->final);
	scan->final = NULL;
	MemoryContextReset(scan->cxt);
	scan->reader = NULL;
	scan->groups = NULL;
}

static void
end_scan(ForeignScanState *node)
{
	OpenScan *scan = node->fdw_state;

	if (scan && scan->final)
		weir_final_scan_end(scan->final);
	if (scan)
		MemoryContextDelete(scan->cxt);
}

Datum
weir_open_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *r = makeNode(FdwRoutine);

	r->GetForeignRelSize = get_rel_size;
	r->GetForeignPaths = get_paths;
	r->GetForeignPlan = get_plan;
	r->IsForeignScanParallelSafe = is_parallel_safe;
	r->BeginForeignScan = begin_scan;
	r->IterateForeignScan = iterate_scan;
	r->ReScanForeignScan = rescan;
	r->EndForeignScan = end_scan;
	PG_RETURN_POINTER(r);
}

Datum
weir_open_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));

	if (options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"",
						((DefElem *) linitial(options))->defname),
				 errhint(
					 "Objects of the wrapper weir_open are made by weir.create_view and take no options.")));
	PG_RETURN_VOID();
}
