/*
 * plan/plan_internal.h
 *		What the files of plan/ share.
 *
 * The query is taken apart in this order, each step a file:
 *
 *	refuse.c		shapes that are no continuous view; WITH, ORDER BY, joins ...
 *	functions.c		functions whose result depends on the moment
 *	window.c		the window among the GROUP BY items, and its constants
 *	keys.c			the other GROUP BY items, as keys of a hash table
 *	aggregates.c	aggregates, as final functions over accumulators;
 *	agg_catalog.c	... those that go through their own functions
 *	agg_distinct.c	... and those with DISTINCT
 *	join.c			FROM with tables, as a query of its own
 *	append.c		a query without groups: all of it is over the stream
 *	cascade.c		before all that, once: a query over a view, made one over its stream;
 *	merge.c			... and aggregates in that
 *	plan.c			puts it together and rewrites what is shown
 *
 * Expressions are compared with equal() as the parser left them and simplified
 * afterwards only, since both sides of a comparison must have had the same
 * treatment.  Everything is in the caller's memory context; no state is kept.
 */
#ifndef WEIR_PLAN_INTERNAL_H
#define WEIR_PLAN_INTERNAL_H

#include "plan/plan.h"

#include "catalog/stream.h"

/* The stream's range table index in all expressions of a plan. */
#define PLAN_VARNO 1

typedef struct PlanContext
{
	Query *query; /* our copy; Vars are PLAN_VARNO's */
	const StreamDef *stream;
	ViewPlan *plan;
	FuncExpr *window;  /* the window's call, as written; NULL: none */
	FuncExpr *in_time; /* the window in WHERE to be in time for, or NULL */
	List *keys;        /* of Expr, as written; parallel to plan->keys */
	List *aggrefs;     /* of Aggref, as written; parallel to plan->aggs */
} PlanContext;

/* refuse.c: raise for a clause that no view can have. */
extern void plan_check_clauses(const Query *query);
/* The same, and for a FROM that cannot be; else its only item. */
extern RangeTblEntry *plan_check_shape(Query *query, int *rtindex);
/* Raise if node refers to system columns or whole rows of the stream. */
extern void plan_check_columns(Node *node, const StreamDef *stream);

/* functions.c: raise if node calls what changes from moment to moment. */
extern void plan_check_functions(Node *node);

/* window.c */
/* Is node the call of a window? */
extern bool plan_is_window(Node *node);
/* Raise if node calls weir.session. */
extern void plan_check_no_session(Node *node);
/* Fill cxt->plan->window and inner from cxt->window and in_time. */
extern void plan_window(PlanContext *cxt);
/* Running totals that begin anew after a silence; raises if they are none. */
extern void plan_time_to_live(ViewPlan *plan, int64 ttl);
/* The argument of weir.in_time(), which node calls, or NULL. */
extern Node *plan_in_time_argument(Node *node);
/* weir.in_time() of a window. */
extern Expr *plan_in_time(FuncExpr *window);

/* keys.c */
extern void plan_key(KeySpec *key, Expr *expr, Oid eq_opr, bool hashable);

/* aggregates.c: index of the aggregate in plan->aggs, added if it is new. */
extern int plan_aggregate(PlanContext *cxt, Aggref *aggref);
/* Does Weir compute the aggregate itself? */
extern bool plan_is_native(Oid aggfn);
/* An accumulator over args, which are simplified, as is filter. */
extern void
plan_init_accum(AccumSpec *spec, AccumKind kind, List *args, Expr *filter);
/* Index of the accumulator like *spec, which is added if it is new. */
extern int plan_add_accum(ViewPlan *plan, const AccumSpec *spec);
/* Place the accumulators in the state. */
extern void plan_layout(ViewPlan *plan);

/* agg_catalog.c: one accumulator through the aggregate's own functions. */
extern void
plan_catalog_aggregate(ViewPlan *plan, AggSpec *agg, const Aggref *aggref,
					   List *args, Expr *filter);
/*
 * Set the functions of *spec and agg.  keep: raise if states of the aggregate
 * cannot be combined and kept.
 */
extern void plan_set_catalog(ViewPlan *plan, AggSpec *agg, AccumSpec *spec,
							 const Aggref *aggref, bool keep);
/* What to use instead of an aggregate. */
extern const char *plan_aggregate_hint(Oid aggfn);

/* merge.c: is it weir.merge? */
extern bool plan_is_merge(Oid aggfn);

/* agg_distinct.c: an aggregate over a set. */
extern void
plan_distinct_aggregate(ViewPlan *plan, AggSpec *agg, const Aggref *aggref,
						List *args, Expr *filter);
/* Does DISTINCT make no difference to the aggregate? */
extern bool plan_ignores_distinct(const Aggref *aggref);

/* The stream's column that expr is, to the bit, or 0. */
extern AttrNumber plan_plain_column(Expr *expr);
/* join.c: does FROM have more than one item; take it apart. */
extern bool plan_is_join(const Query *query);
extern void plan_join(PlanContext *cxt, Index stream);
/* append.c: is it a query without groups, and what does it show? */
extern bool plan_is_append(const Query *query);
extern void plan_append(PlanContext *cxt);

/* plan.c: simplify an expression over the stream and note what it needs. */
extern Expr *plan_stream_expr(PlanContext *cxt, Expr *expr);
/* Do values of this type mean the same in every cluster, as stored? */
extern bool plan_type_is_fixed(Oid type);

#endif /* WEIR_PLAN_INTERNAL_H */
