/*
 * exec/session.h
 *		What several shards have of sessions, put together.
 */
#ifndef WEIR_EXEC_SESSION_H
#define WEIR_EXEC_SESSION_H

#include "base/weir.h"

#include "core/session.h"
#include "exec/merge.h"

/* What one source has of a session. */
typedef struct SessionPiece
{
	WsSpan span;
	const char *state; /* NULL: only its span is asked for */
	void *origin;      /* the caller's */
	int32 source;
	int32 next; /* of the same key, the one added before it, or -1 */
} SessionPiece;

typedef struct SessionTable
{
	ViewReader *reader;
	MemoryContext cxt;
	MergeTable *keys;
	int32 *last; /* by key: the piece added last */
	uint32 last_capacity;
	SessionPiece *pieces;
	int32 npieces;
	int32 capacity;
	bool newest;           /* visit the last session of each key only */
	SessionPiece **sorted; /* scratch: those of one key */
	WsSpan *spans;
	int32 sorted_capacity;
} SessionTable;

/* A session, and its pieces. */
typedef void (*VisitSession)(void *arg, const WsSpan *span, const char *key,
							 uint32 keylen, SessionPiece *const *pieces, int n);

extern SessionTable *weir_sessions_new(ViewReader *reader, MemoryContext parent);
/*
 * Add what a source has.  Of pieces of one source that are the same session the
 * one that contains the other counts, and among equals the one added later.
 * Key and state must stay where they are.
 */
extern void weir_sessions_add(SessionTable *t, int source, const WsSpan *span,
							  const char *key, uint32 keylen, const char *state,
							  void *origin);
/* The same of a record, which must stay where it is. */
extern void
weir_sessions_add_record(SessionTable *t, int source, const GroupRecord *record);
/* All is added: visit each session, once, or (t->newest) each key's last one. */
extern void weir_sessions_visit(SessionTable *t, VisitSession visit, void *arg);
/* The state of a session, from those of its pieces; in the table's memory. */
extern char *weir_sessions_combine(SessionTable *t, const WsSpan *span,
								   SessionPiece *const *pieces, int n);
extern void weir_sessions_reset(SessionTable *t);
extern void weir_sessions_free(SessionTable *t);

#endif /* WEIR_EXEC_SESSION_H */
