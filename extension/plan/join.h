/*
 * plan/join.h
 *		The tables that a view joins its stream with.
 */
#ifndef WEIR_PLAN_JOIN_H
#define WEIR_PLAN_JOIN_H

#include "base/weir.h"

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

/* A relation of FROM beside the stream, which a worker keeps a copy of. */
typedef struct JoinTable
{
	char *name;    /* under which the join's query knows the copy */
	Index rtindex; /* in that query */
	Oid relid;     /* or InvalidOid: a subquery */
	Query *subquery;
	TupleDesc desc;     /* of the copy */
	Bitmapset *columns; /* that are read; others are NULL in it */
} JoinTable;

/*
 * Of the view's expressions those over tables are over further columns of the
 * stream: natts + 1 and so on.  The join's query has as columns the number of a
 * record in the batch, and then these.
 */
typedef struct JoinPlan
{
	int natts;       /* of the stream */
	TupleDesc desc;  /* of the stream, and the further columns */
	Query *query;    /* over copies: of the batch, and of the tables */
	Index stream;    /* the batch in it; its column natts + 1 is the number */
	TupleDesc batch; /* ... as it is laid out */
	Bitmapset *columns; /* of the stream, that the join itself reads */
	int ntables;
	JoinTable *tables;
} JoinPlan;

#endif /* WEIR_PLAN_JOIN_H */
