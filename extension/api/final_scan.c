/*
 * api/final_scan.c
 *		Final rows that a snapshot does not see (see final_scan.h).
 *
 * Backends and parallel workers.  An old snapshot takes a window from memory as
 * long as it does not see its closing.  When the window's memory was needed for
 * others (core/marks.h), what is left of it are the rows of v_final.  They are
 * committed, so SnapshotSelf finds them; those that the reader's own snapshot
 * sees are left out, since it finds them in v_final itself.  No snapshot is taken
 * or registered for that, which a parallel worker must not do.
 *
 * A final window does not change, so its rows are what the reader would have seen
 * in memory.  What users change in v_final meanwhile, and partitions that they
 * drop, show as they are now.
 */
#include "base/weir.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "api/final_scan.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

struct FinalScan
{
	const ViewPlan *plan;
	AttrNumber window; /* column of v_final */
	int64 from;
	int64 upto;
	Snapshot snapshot;
	MemoryContext cxt;
	Relation final;
	List *leaves; /* OIDs of partitions still to be read */
	/* Of the partition that is being read. */
	Relation rel;
	Relation index; /* NULL: read all of it */
	IndexScanDesc index_scan;
	TableScanDesc table_scan;
	TupleTableSlot *slot;
	TupleConversionMap *map; /* to v_final; NULL: the same columns */
	TupleTableSlot *mapped;
};

FinalScan *
weir_final_scan_begin(const ViewRow *row, const ViewPlan *plan, int64 from,
					  int64 upto, Snapshot snapshot)
{
	FinalScan *s = palloc0(sizeof(FinalScan));

	s->cxt = CurrentMemoryContext;
	s->plan = plan;
	s->window = (plan->window_out < 0 ? plan->nout : plan->window_out) + 1;
	s->from = from;
	s->upto = upto;
	s->snapshot = snapshot;
	s->final = table_open(row->final, AccessShareLock);
	s->leaves = find_all_inheritors(row->final, AccessShareLock, NULL);
	s->mapped = MakeSingleTupleTableSlot(RelationGetDescr(s->final),
										 &TTSOpsVirtual);
	return s;
}

/* --- one partition ----------------------------------------------------------- */

/* Does the index begin with the window, and may it be used? */
static bool
is_usable(const FinalScan *s, Relation index, AttrNumber window)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relam == BTREE_AM_OID && form->indisvalid &&
		   !form->indcheckxmin && form->indkey.values[0] == window &&
		   index->rd_opcintype[0] == s->plan->window.type &&
		   RelationGetIndexPredicate(index) == NIL;
}

static Relation
find_index(const FinalScan *s, AttrNumber window)
{
	ListCell *lc;

	foreach(lc, RelationGetIndexList(s->rel))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_usable(s, index, window))
			return index;
		index_close(index, NoLock);
	}
	return NULL;
}

static void
begin_index_scan(FinalScan *s)
{
	bool zoned = s->plan->window.type == TIMESTAMPTZOID;
	ScanKeyData keys[2];
	int n = 0;

	if (s->from != WEIR_NO_TIME)
		ScanKeyInit(&keys[n++], 1, BTGreaterStrategyNumber,
					zoned ? F_TIMESTAMPTZ_GT : F_TIMESTAMP_GT,
					TimestampTzGetDatum(s->from));
	ScanKeyInit(&keys[n++], 1, BTLessEqualStrategyNumber,
				zoned ? F_TIMESTAMPTZ_LE : F_TIMESTAMP_LE,
				TimestampTzGetDatum(s->upto));
	s->index_scan = weir_index_beginscan(s->rel, s->index, SnapshotSelf, n);
	index_rescan(s->index_scan, keys, n, NULL, 0);
}

static void
begin_leaf(FinalScan *s)
{
	AttrNumber window;

	s->map = convert_tuples_by_name(RelationGetDescr(s->rel),
									RelationGetDescr(s->final));
	window = s->map ? s->map->attrMap->attnums[s->window - 1] : s->window;
	s->slot = table_slot_create(s->rel, NULL);
	s->index = find_index(s, window);
	if (s->index)
		begin_index_scan(s);
	else
		s->table_scan = table_beginscan(s->rel, SnapshotSelf, 0, NULL);
}

/* Open the next partition; false: there is none. */
static bool
open_leaf(FinalScan *s)
{
	MemoryContext old;

	if (s->leaves == NIL)
		return false;
	old = MemoryContextSwitchTo(s->cxt);
	s->rel = table_open(linitial_oid(s->leaves), NoLock);
	s->leaves = list_delete_first(s->leaves);
	/* The table itself, a partitioned partition, or a user's foreign one. */
	if (s->rel->rd_rel->relkind == RELKIND_RELATION)
		begin_leaf(s);
	MemoryContextSwitchTo(old);
	return true;
}

static void
close_leaf(FinalScan *s)
{
	if (s->slot)
		ExecDropSingleTupleTableSlot(s->slot);
	if (s->index_scan)
		index_endscan(s->index_scan);
	if (s->index)
		index_close(s->index, NoLock);
	if (s->table_scan)
		table_endscan(s->table_scan);
	if (s->rel)
		table_close(s->rel, NoLock);
	s->slot = NULL;
	s->index_scan = NULL;
	s->index = NULL;
	s->table_scan = NULL;
	s->rel = NULL;
	s->map = NULL;
}

static bool
next_tuple(FinalScan *s)
{
	if (s->index_scan)
		return index_getnext_slot(s->index_scan, ForwardScanDirection, s->slot);
	return s->table_scan &&
		   table_scan_getnextslot(s->table_scan, ForwardScanDirection, s->slot);
}

/* The row in the slot as one of v_final; NULL: it is not one of ours. */
static TupleTableSlot *
wanted_row(FinalScan *s)
{
	TupleTableSlot *row = s->slot;
	bool isnull;
	int64 window;

	if (table_tuple_satisfies_snapshot(s->rel, s->slot, s->snapshot))
		return NULL;
	if (s->map)
		row = execute_attr_map_slot(s->map->attrMap, s->slot, s->mapped);
	window = DatumGetTimestampTz(slot_getattr(row, s->window, &isnull));
	if (isnull || window > s->upto ||
		(s->from != WEIR_NO_TIME && window <= s->from))
		return NULL;
	return row;
}

bool
weir_final_scan_next(FinalScan *s, Datum *values, bool *nulls)
{
	for (;;)
	{
		TupleTableSlot *row;

		CHECK_FOR_INTERRUPTS();
		if (s->rel == NULL && !open_leaf(s))
			return false;
		if (!next_tuple(s))
		{
			close_leaf(s);
			continue;
		}
		row = wanted_row(s);
		if (row == NULL)
			continue;
		slot_getsomeattrs(row, s->plan->nout);
		memcpy(values, row->tts_values, sizeof(Datum) * s->plan->nout);
		memcpy(nulls, row->tts_isnull, sizeof(bool) * s->plan->nout);
		return true;
	}
}

void
weir_final_scan_end(FinalScan *s)
{
	close_leaf(s);
	ExecDropSingleTupleTableSlot(s->mapped);
	table_close(s->final, NoLock);
}
