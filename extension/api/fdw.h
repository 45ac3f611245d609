/*
 * api/fdw.h
 *		The foreign-data wrapper for streams: what its files share.
 *
 *	fdw_handler.c	the table of callbacks
 *	fdw_options.c	the validator
 *	fdw_plan.c		estimates, paths, which quals narrow the read
 *	fdw_ranges.c	the quals' values at run time, as ranges of offsets
 *	fdw_scan.c		reading a topic from its start to the end seen first
 *	fdw_modify.c	INSERT and COPY
 *	fdw_headers.c	a jsonb value as message headers
 *	infer.c			IMPORT FOREIGN SCHEMA
 */
#ifndef WEIR_API_FDW_H
#define WEIR_API_FDW_H

#include "base/weir.h"

#include "catalog/stream.h"
#include "kafka/kafka.h"

#include "commands/explain.h"
#ifdef WEIR_EXPLAIN_HEADERS_SPLIT
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "foreign/fdwapi.h"
#include "nodes/execnodes.h"
#include "utils/jsonb.h"

/* --- plan ---------------------------------------------------------------- */

/* Strategy of a pushed "column = ANY (array)"; others are btree's. */
#define PUSHED_ANY 0

/*
 * fdw_private of a scan.  The pushed clauses themselves are fdw_exprs, so that
 * parameters in them are found and EXPLAIN can show them.
 */
enum
{
	PRIVATE_ATTRS, /* IntList: attribute numbers needed */
	PRIVATE_KINDS, /* IntList: StreamSource, strategy per clause */
	PRIVATE_USER   /* OidList: whom to be, or 0: who runs it */
};

extern void weir_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid);
extern void weir_fdw_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid);
extern ForeignScan *
weir_fdw_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
			  ForeignPath *path, List *tlist, List *clauses, Plan *outer_plan);
/* The side of a pushed clause that is not the column. */
extern Expr *weir_fdw_value_side(Expr *clause);

/* --- ranges -------------------------------------------------------------- */

/* What the pushed quals leave to be read; all limits are inclusive. */
typedef struct StreamBounds
{
	bool empty; /* nothing can match */
	int64 part_lo;
	int64 part_hi;
	List *part_sets; /* of IntSet: each must contain the partition */
	int64 off_lo;
	int64 off_hi;
	int64 time_lo; /* us since 1970, or PG_INT64_MIN: no limit */
} StreamBounds;

/* A qual whose value is known only when the scan starts. */
typedef struct PushedQual
{
	StreamSource source;
	int strategy;
	Oid type; /* of value */
	ExprState *value;
} PushedQual;

/* List of PushedQual for the plan's clauses. */
extern List *weir_fdw_init_quals(List *clauses, List *kinds, PlanState *ps);
/* Evaluate them.  Result in the current memory context. */
extern void
weir_fdw_eval_quals(StreamBounds *b, List *quals, ExprContext *econtext);
extern bool weir_fdw_wants_partition(const StreamBounds *b, int32 partition);

/* --- scan ---------------------------------------------------------------- */

extern void weir_fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *weir_fdw_iterate(ForeignScanState *node);
extern void weir_fdw_rescan(ForeignScanState *node);
extern void weir_fdw_end_scan(ForeignScanState *node);
extern void weir_fdw_explain_scan(ForeignScanState *node, ExplainState *es);

/* --- modify -------------------------------------------------------------- */

extern int weir_fdw_updatable(Relation rel);
extern List *weir_fdw_plan_modify(PlannerInfo *root, ModifyTable *plan,
								  Index result_relation, int subplan_index);
extern void
weir_fdw_begin_modify(ModifyTableState *mtstate, ResultRelInfo *rri,
					  List *fdw_private, int subplan_index, int eflags);
extern void weir_fdw_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rri);
extern TupleTableSlot *
weir_fdw_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
				TupleTableSlot *plan_slot);
extern void weir_fdw_end_modify(EState *estate, ResultRelInfo *rri);

/* A jsonb array of {"key", "value"} or an object, as List of KafkaSetting. */
extern List *weir_fdw_headers(Jsonb *jb);

/* --- infer.c --------------------------------------------------------------- */

extern List *weir_fdw_import(ImportForeignSchemaStmt *stmt, Oid serverid);

/* --- fdw_options.c --------------------------------------------------------- */

/* Is there an option of this name in a List of DefElem? */
extern bool weir_has_option(List *options, const char *name);

#endif /* WEIR_API_FDW_H */
