/*
 * plan/cascade.h
 *		What cascade.c and merge.c share: a query over a view, on its way to one over
 *		the stream.
 */
#ifndef WEIR_PLAN_CASCADE_H
#define WEIR_PLAN_CASCADE_H

#include "plan/plan_internal.h"

typedef struct Cascade
{
	const char *view;      /* the one below */
	const Query *below;    /* its query */
	const Query *query;    /* the one over it */
	const ViewPlan *plan;  /* of the one below */
	const TupleDesc names; /* of its columns, as they are now */
} Cascade;

/* cascade.c: raise ERRCODE_FEATURE_NOT_SUPPORTED. */
extern void
cascade_refuse(const char *message, const char *detail, const char *hint);
/* What a column of the view below stands for, over the stream; its name. */
extern Expr *cascade_column(const Cascade *c, AttrNumber attno);
extern const char *cascade_column_name(const Cascade *c, AttrNumber attno);
/* Does node read an aggregate of the view below?  context: a Cascade. */
extern bool cascade_over_aggregate(Node *node, void *context);
/* An expression over the view below, as one over its stream. */
extern Node *cascade_flatten(Node *node, void *context);

/* merge.c: the same of an aggregate. */
extern Node *cascade_aggregate(Cascade *c, Aggref *outer);
/* a AND b; either may be NULL. */
extern Expr *cascade_both(Expr *a, Expr *b);

#endif /* WEIR_PLAN_CASCADE_H */
