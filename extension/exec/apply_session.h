/*
 * exec/apply_session.h
 *		A batch of events into sessions: what apply.c leaves to apply_session.c.
 */
#ifndef WEIR_EXEC_APPLY_SESSION_H
#define WEIR_EXEC_APPLY_SESSION_H

#include "exec/apply_internal.h"

/* Memory in the current context; takes up the groups of the view's panes. */
extern struct SessionApply *weir_session_apply_new(ViewApply *a);

/*
 * Drop the rows that are late.  Raises when a time is out of range.  Returns rows
 * left, or -1: no memory to keep the late ones.
 */
extern int
weir_session_on_time(ViewApply *a, const EventBatch *b, int32 *rows, int nrows);
/*
 * Find the session of each row, as they are with all of these rows, and its group.
 * False: no memory.  Nothing of this counts before weir_session_publish.
 */
extern bool weir_session_find(ViewApply *a, const EventBatch *b,
							  const int32 *rows, int nrows);
/* The state from which a touched group goes on: its own, or a new one. */
extern const char *weir_session_state(const ViewApply *a, int touched);
/*
 * All other things are prepared: copy what is to vanish and the barrier has not
 * yet.  False: no memory.
 */
extern bool weir_session_prepare(ViewApply *a);
/* Under the shard's lock, before accumulators are updated. */
extern void weir_session_publish(ViewApply *a);
/* After that, without the lock. */
extern void weir_session_published(ViewApply *a);

/* --- of apply.c and apply_window.c, used by it ------------------------------------------------ */

/* Append the row's key to a->key_buf.  Returns its length. */
extern uint32 weir_apply_key(ViewApply *a, const EventBatch *b, int row);
/* The pane of these windows, made if need be; NULL: no memory. */
extern Pane *weir_apply_pane(ViewApply *a, int64 first, int64 last);
extern void weir_apply_touch(ViewApply *a, Pane *pane, PaneGroup *g);
/* A row is late for a window; keep it if the view says so.  False: no memory. */
extern bool weir_apply_late(ViewApply *a, const EventBatch *b, int32 row,
							int64 start, int64 end);

#endif /* WEIR_EXEC_APPLY_SESSION_H */
