/*
 * api/open_scan.c
 *		The foreign table v_open: the open windows of a continuous view.
 *
 * Backends.  A running view is read from shared memory; one that is not (being
 * started, paused, in error, on a standby), or that started after the
 * snapshot was taken, from the state log as the snapshot sees it.  Both end in
 * a merge of groups, from which rows are made as the query says.  What an old
 * snapshot misses in memory follows from v_final (final_scan.c).
 *
 * A scan is safe in a parallel worker: it reads shared memory and tables under
 * the leader's snapshot.
 */
#include "base/weir.h"

#include "access/reloptions.h"
#include "api/final_scan.h"
#include "catalog/extension.h"
#include "catalog/view.h"
#include "checkpoint/checkpoint.h"
#include "exec/overlap.h"
#include "exec/session.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "postmaster/bgworker.h"
#include "shmem/read.h"
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
	ViewReader *reader;
	MergeTable *merge;     /* windows that are panes each ... */
	OverlapTable *overlap; /* ... or overlap; both NULL: not read yet */
	SessionTable *sessions; /* pieces, of which merge gets the sessions, or NULL */
	uint32 next;
	int64 hidden;     /* windows that close up to here are in v_final */
	ReadGone gone;    /* what has to be taken from v_final */
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

static void
take_record(void *arg, const PaneWindows *pane, const GroupRecord *record)
{
	OpenScan *scan = arg;

	if (scan->sessions)
		weir_sessions_add_record(scan->sessions, 0, record);
	else if (scan->overlap)
		weir_overlap_add(scan->overlap, pane, record);
	else
		weir_merge_add(scan->merge, pane->last, record, false);
}

static void
take_session(void *arg, int shard, const GroupRecord *record)
{
	weir_sessions_add_record(arg, shard, record);
}

static void
take_restored(void *arg, const PaneWindows *pane, const char *key,
			  uint32 keylen, const char *state)
{
	OpenScan *scan = arg;
	const StateLayout *layout = &scan->reader->layout;
	GroupRecord *r;
	PaneGroup *g = palloc0(offsetof(PaneGroup, state) + layout->size);

	/* The record outlives the pane it was read in. */
	g->key = (char *) key;
	g->keylen = keylen;
	memcpy(g->state, state, layout->size);
	r = MemoryContextAllocHuge(scan->cxt, weir_record_size(g, layout));
	weir_record_write(g, layout, (char *) r, weir_record_size(g, layout));
	take_record(scan, pane, r);
	pfree(g);
}

static void
read_log(OpenScan *scan)
{
	ProgressRow *p = weir_progress_load(scan->row->id);

	if (p && p->chunks > 0 && !scan->row->home)
		weir_plan_require_portable(scan->reader->plan, scan->row->name);
	if (p)
		scan->hidden = p->closed_upto;
	if (p && p->chunks > 0)
		weir_state_restore(scan->row->id, p->chunks, scan->reader,
						   take_restored, scan);
}

/* What workers keep is read by the plan they were started with, or not at all. */
static void
check_query(ViewSlot *slot, const OpenScan *scan)
{
	if (weir_view_find(MyDatabaseId, scan->row->id) == slot)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the query of continuous view \"%s\" was changed",
						scan->row->name),
				 errhint(
					 "Drop the view with weir.drop_view and create it again.")));
}

/* Begin to read, perhaps again. */
static void
forget_read(OpenScan *scan)
{
	if (scan->sessions)
		weir_sessions_reset(scan->sessions);
	if (scan->overlap)
		weir_overlap_reset(scan->overlap);
	else
		weir_merge_reset(scan->merge);
}

static ReadResult
read_memory(OpenScan *scan, const ViewPlaces *places, Snapshot snapshot)
{
	if (scan->sessions)
		return weir_read_sessions(places, scan->row->id, snapshot,
								  &scan->reader->layout, take_session,
								  scan->sessions, &scan->hidden, &scan->gone);
	return weir_read_view(places, scan->row->id, snapshot,
						  &scan->reader->layout, scan->row->lateness,
						  take_record, scan, &scan->hidden, &scan->gone);
}

static void
read_open(OpenScan *scan)
{
	uint64 fingerprint = scan->reader->plan->fingerprint;
	Snapshot snapshot = GetActiveSnapshot();
	ReadResult result = READ_AGAIN;

	while (result == READ_AGAIN)
	{
		ViewPlaces places = {0};

		forget_read(scan);
		scan->hidden = WEIR_NO_TIME;
		scan->gone = (ReadGone){.from = WEIR_NO_TIME, .upto = WEIR_NO_TIME};
		/* After a reset or a pause, what a lane still holds is void. */
		if (weir_registry && !RecoveryInProgress())
			weir_view_places(MyDatabaseId, scan->row->id, scan->row->generation,
							 fingerprint, &places);
		if (places.now && places.now->fingerprint != fingerprint)
			check_query(places.now, scan);
		if (places.now == NULL && places.before == NULL)
		{
			read_log(scan);
			return;
		}
		result = read_memory(scan, &places, snapshot);
		if (result == READ_TOO_OLD)
			read_log(scan);
	}
}

/* Aggregates without GROUP BY have a row if there is nothing to aggregate. */
static void
add_only_row(OpenScan *scan)
{
	ViewReader *reader = scan->reader;

	if (reader->plan->one_row && scan->merge->ngroups == 0)
		weir_merge_group(scan->merge, WW_ALL_TIME, "", 0,
						 palloc0(Max(reader->layout.size, 1)));
}

/* Windows that close up to t are named so or before. */
static int64
closed_windows(const OpenScan *scan, int64 t)
{
	return weir_window_closed(&scan->reader->plan->window, scan->row->lateness,
							  t);
}

/* A session of all shards; it is named by its end. */
static void
add_session(void *arg, const WsSpan *span, const char *key, uint32 keylen,
			SessionPiece *const *pieces, int n)
{
	OpenScan *scan = arg;
	int64 end = span->last + scan->reader->plan->window.all.size;

	if (end > closed_windows(scan, scan->hidden))
		weir_merge_find(scan->merge, end, key, keylen)->state =
			weir_sessions_combine(scan->sessions, span, pieces, n);
}

/* All is read: make the windows that are open for the snapshot and in memory. */
static void
begin_overlap(OpenScan *scan)
{
	int64 closed = closed_windows(scan, Max(scan->hidden, scan->gone.upto));

	weir_overlap_begin(scan->overlap,
					   weir_window_next(&scan->reader->plan->window, closed),
					   PG_INT64_MAX);
}

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
	scan->reader = weir_reader_new(weir_plan_view(scan->row->query), scan->cxt);
	weir_settings_leave(nest);
	weir_become_again(before);
	check_columns(rel, scan->reader->plan->outdesc);
	if (weir_windows_overlap(&scan->reader->plan->window))
		scan->overlap = weir_overlap_new(scan->reader, scan->cxt);
	else
		scan->merge = weir_merge_new(scan->reader, scan->cxt);
	if (scan->reader->layout.sessions)
		scan->sessions = weir_sessions_new(scan->reader, scan->cxt);
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

/* The next group of a window that is in memory; false: there is none. */
static bool
next_group(OpenScan *scan, MergeGroup *group)
{
	int64 gone = closed_windows(scan, scan->gone.upto);

	if (scan->overlap)
		return weir_overlap_next(scan->overlap, group);
	while (scan->next < scan->merge->ngroups)
	{
		*group = scan->merge->groups[scan->next++];
		if (group->window > gone)
			return true;
	}
	return false;
}

/* The next row of a window that is open for the snapshot, and in memory. */
static bool
next_open(OpenScan *scan, TupleTableSlot *slot)
{
	WeirUser before = weir_become_owner(scan->row->owner);
	int nest = weir_settings_enter(scan->row);
	MergeGroup g;
	bool found = false;

	while (!found && next_group(scan, &g))
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

	if (scan->gone.upto <= scan->gone.from)
		return false;
	if (scan->final == NULL)
	{
		old = MemoryContextSwitchTo(scan->cxt);
		scan->final = weir_final_scan_begin(scan->row, scan->reader->plan,
											closed_windows(scan, scan->gone.from),
											closed_windows(scan, scan->gone.upto),
											snapshot);
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
		read_open(scan);
		if (scan->sessions)
			weir_sessions_visit(scan->sessions, add_session, scan);
		if (scan->overlap)
			begin_overlap(scan);
		else
			add_only_row(scan);
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
	scan->merge = NULL;
	scan->overlap = NULL;
	scan->sessions = NULL;
	scan->next = 0;
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
