/*
 * api/fdw_handler.c
 *		The foreign-data wrapper weir: a topic seen as a table.
 *
 * Runs in backends.  SELECT is a bounded read of the topic, INSERT and COPY
 * produce; a stream has no UPDATE, DELETE or TRUNCATE, since a topic can only be
 * appended to.  Continuous views do not come through here.
 */
#include "api/fdw.h"

PG_FUNCTION_INFO_V1(weir_fdw_handler);

/* weir_fdw_handler: the callbacks. */
Datum
weir_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *r = makeNode(FdwRoutine);

	r->GetForeignRelSize = weir_fdw_rel_size;
	r->GetForeignPaths = weir_fdw_paths;
	r->GetForeignPlan = weir_fdw_plan;
	r->BeginForeignScan = weir_fdw_begin_scan;
	r->IterateForeignScan = weir_fdw_iterate;
	r->ReScanForeignScan = weir_fdw_rescan;
	r->EndForeignScan = weir_fdw_end_scan;
	r->ExplainForeignScan = weir_fdw_explain_scan;

	r->IsForeignRelUpdatable = weir_fdw_updatable;
	r->PlanForeignModify = weir_fdw_plan_modify;
	r->BeginForeignModify = weir_fdw_begin_modify;
	r->ExecForeignInsert = weir_fdw_insert;
	r->EndForeignModify = weir_fdw_end_modify;
	r->BeginForeignInsert = weir_fdw_begin_insert;
	r->EndForeignInsert = weir_fdw_end_modify;

	r->ImportForeignSchema = weir_fdw_import;
	PG_RETURN_POINTER(r);
}
