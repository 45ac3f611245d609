/*
 * plan/plan.h
 *		A view's query, taken apart: what to filter, how to group, what to keep
 *		and what to show.  That of an append view, which has no groups, is a
 *		filter and output expressions over the stream.
 *
 * Made from the rewrite rule of v_query, by every process that needs it: the
 * backend that defines or reads the view, the ingest worker, the coordinator.
 * Expressions over the stream are over varno 1 with the stream's attnos;
 * expressions over a *final row* (HAVING, output) are over varno 1 whose
 * columns are 1 = the window, by its name, 2 .. nkeys + 1 = keys, then the results
 * of the aggregates.  All have gone through expression_planner.
 */
#ifndef WEIR_PLAN_H
#define WEIR_PLAN_H

#include "base/weir.h"

#include "access/tupdesc.h"
#include "plan/accum_spec.h"
#include "plan/join.h"
#include "plan/window.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

#define WEIR_MAX_KEYS 64 /* GROUP BY entries besides the window */

typedef struct KeySpec
{
	Expr *expr;       /* over the stream */
	AttrNumber attno; /* > 0 if a plain column */
	Oid type;
	int32 typmod;
	int16 typlen;
	bool typbyval;
	char typalign;
	Oid collation;
	Oid eq_opr; /* from the GROUP BY clause */
	Oid eq_proc;
	Oid hash_proc;
	bool bitwise;   /* equal iff the bytes are equal */
	bool fixed_oid; /* type's OID and value mean the same anywhere */
} KeySpec;

typedef struct ViewPlan
{
	Oid stream;     /* the foreign table */
	bool append;    /* no window, keys or aggregates: a row for each record */
	JoinPlan *join; /* the tables that it is joined with, or NULL */
	List *where;    /* implicitly ANDed, over the stream */
	WindowSpec window;
	WindowSpec inner; /* a tumble that events must be in time for, windows of
					   * which make up those of window; WW_NONE: there is none */
	int nkeys;        /* without the window */
	KeySpec *keys;
	int naccums;
	AccumSpec *accums;
	int naggs;
	AggSpec *aggs;
	bool one_row; /* aggregates without GROUP BY: a row if there is no event */
	Expr *having; /* over a final row, or NULL */
	int nout;
	Expr **out;            /* output expressions, over a final row; append: over
						  * the stream */
	AttrNumber *out_attno; /* append: > 0 if a plain column */
	TupleDesc outdesc;     /* names and types of the output */
	int window_out;        /* output column (from 0) that is the plain start
								 * of the window, or -1 */
	Bitmapset *columns;    /* stream attnos that any expression reads; the
								 * event time is there only if one does so
								 * besides the window */
	bool needs_time;       /* an event without a time is of no use */
	bool needs_snapshot;   /* some function is not immutable, or runs SQL */
	uint64 layout;         /* of keys and states, as bytes */
	uint64 fingerprint;    /* of the query and the layout, in this database */
} ViewPlan;

/*
 * Plan the query of a view relation.  ttl: of its running totals, in us, or 0.  Raises ERRCODE_FEATURE_NOT_SUPPORTED (or
 * a nearer one) with detail and hint for everything that a continuous view
 * cannot do.  Result in the current memory context.
 *
 * Constant expressions are evaluated on the way, functions of the view's owner
 * among them: call it as that owner, in a transaction with a snapshot.
 */
extern ViewPlan *weir_plan_view(Oid query_rel, int64 ttl);

/* The same from a Query, as parsed and rewritten (not yet planned). */
extern ViewPlan *weir_plan_query(Query *query);

/*
 * The query of a view relation that selects from a continuous view, as one that
 * selects from that view's stream (cascade.c): its text, and the view in *over.
 * NULL: it does not.  Raises for what cannot be put together from the events.
 */
extern char *weir_plan_flatten(Oid query_rel, Oid *over);

/*
 * Raises when open windows of this plan that were kept as bytes in another
 * database cannot be used in this one.
 */
extern void weir_plan_require_portable(const ViewPlan *plan, const char *view);

#endif /* WEIR_PLAN_H */
