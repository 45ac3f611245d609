/*
 * api/follow.h
 *		What else has to change when a relation of Weir's is altered.
 */
#ifndef WEIR_API_FOLLOW_H
#define WEIR_API_FOLLOW_H

#include "base/weir.h"

#include "nodes/pg_list.h"

/* A relation before the statement; relid is invalid when nothing follows. */
typedef struct Altered
{
	Oid relid;
	char *name;
	Oid nsp;
	Oid owner;
	List *reassigned; /* of ViewRow: views whose owner REASSIGN OWNED changes */
} Altered;

extern void weir_before_alter(Node *stmt, Altered *a);
extern void weir_after_alter(Node *stmt, const Altered *a);

#endif /* WEIR_API_FOLLOW_H */
