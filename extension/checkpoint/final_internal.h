/*
 * checkpoint/final_internal.h
 *		What closes windows (final.c) and sessions (final_session.c).
 */
#ifndef WEIR_CHECKPOINT_FINAL_INTERNAL_H
#define WEIR_CHECKPOINT_FINAL_INTERNAL_H

#include "checkpoint/checkpoint.h"
#include "executor/spi.h"

/* Rows into v_final. */
typedef struct FinalWriter
{
	CheckpointView *v;
	SPIPlanPtr plan;
	int ncolumns; /* nout, and one for a hidden window */
	Datum *values;
	bool *nulls;
	char *spi_nulls;
	SinkWriter *sink;    /* NULL: the view has none */
	AlertWriter *alerts; /* the same */
} FinalWriter;

/* The row of a group, as the view's owner. */
extern void weir_final_write(FinalWriter *w, int64 window, const char *key,
							 const char *state);
/* A window that is made final. */
extern void weir_final_begin_window(CheckpointView *v, int64 window);
/* The attempt closes the last of the pane; close: by what it may go. */
extern void
weir_note_closed(CheckpointView *v, Pane *pane, int shard, int64 close);
/* Groups that readers see, too. */
extern void
weir_each_group(const Pane *pane, void (*visit)(void *, PaneGroup *), void *arg);

/* --- final_session.c --------------------------------------------------------- */

typedef struct SessionClosing SessionClosing;

/* Would a checkpoint up to there close some session? */
extern bool weir_can_close_sessions(CheckpointView *v, int64 upto);
/* Sessions, and panes, that this checkpoint closes.  NULL: none. */
extern SessionClosing *weir_find_closing_sessions(CheckpointView *v);
extern void weir_write_sessions(FinalWriter *w, SessionClosing *closing);

#endif /* WEIR_CHECKPOINT_FINAL_INTERNAL_H */
