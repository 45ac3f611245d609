/*
 * checkpoint/state_internal.h
 *		What the state logs of windows (state_log.c) and of sessions
 *		(state_session.c) share.
 */
#ifndef WEIR_CHECKPOINT_STATE_INTERNAL_H
#define WEIR_CHECKPOINT_STATE_INTERNAL_H

#include "checkpoint/checkpoint.h"
#include "exec/session.h"

/* --- state_log.c ------------------------------------------------------------- */

/* Delete all chunks of the view; append one.  Both count in v->next. */
extern void weir_state_clear(CheckpointView *v);
extern void weir_state_append(CheckpointView *v, int shard, const Chunk *chunk);

/* --- state_session.c --------------------------------------------------------- */

/* All of the log is in the table: hand out its sessions, pane by pane. */
extern void
weir_sessions_restore(SessionTable *table, RestoreGroup group, void *arg);
/* Does the attempt under way close all of a pane? */
extern bool weir_attempt_closes(const CheckpointView *v, int shard,
								const PaneWindows *windows);

#endif /* WEIR_CHECKPOINT_STATE_INTERNAL_H */
