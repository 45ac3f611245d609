/*
 * catalog/sink.h
 *		Weir's tables of sinks: weir.sink_state, weir.sink_sent, weir.outbox.
 *
 * A sink writes the final windows of a view to a topic.  Coordinators put them
 * into the outbox, in the transaction that makes them final; the sender takes
 * them from there.  All functions need a transaction and work as the extension's
 * owner, whoever calls.
 */
#ifndef WEIR_CATALOG_SINK_H
#define WEIR_CATALOG_SINK_H

#include "base/weir.h"

#include "nodes/pg_list.h"

typedef struct SinkRow
{
	int32 view;
	Oid relation; /* the view */
	Oid stream;
	char *topic;
	int nkey;
	int *key; /* output columns of the view, from 0 */
	int64 sent;
	bool failed; /* has an error noted */
} SinkRow;

typedef struct OutboxRow
{
	int64 number;
	char *key; /* NULL: none */
	char *value;
} OutboxRow;

/* The view's sink, locked until the transaction ends; NULL: it has none. */
extern SinkRow *weir_sink_lock(int32 view);
/* Does the view have one? */
extern bool weir_sink_exists(int32 view);
extern void
weir_sink_insert(int32 view, const char *topic, int nkey, const int *key);
/* With what has not been sent; false: there was none. */
extern bool weir_sink_delete(int32 view);
/* The sinks of the views that belong to this database; List of SinkRow. */
extern List *weir_sinks_load(void);

/* Number n rows and put them into the outbox; the sink is locked. */
extern void weir_outbox_append(int32 view, int n, const OutboxRow *rows);
/*
 * Up to max rows above number sent, ascending, having deleted those up to it and
 * noted that the topic has them.  Result in the current context.
 */
extern OutboxRow *weir_outbox_next(int32 view, int64 sent, int max, int *nrows);
/* Why the sink cannot write now; NULL: it can. */
extern void weir_sink_note(int32 view, const char *error);

#endif /* WEIR_CATALOG_SINK_H */
