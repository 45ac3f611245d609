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
	int64 nrows;
	int64 first_start; /* of the windows that were begun */
	int64 last_end;
} FinalWriter;

/* The row of a group, as the view's owner. */
extern void weir_final_write(FinalWriter *w, int64 window, const char *key,
							 const char *state);
/* A window that is made final, from start to end. */
extern void
weir_final_begin_window(FinalWriter *w, int64 window, int64 start, int64 end);
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

/* --- notify.c ---------------------------------------------------------------- */

/* All rows are written: notify that windows have closed, if the view says so. */
extern void weir_notify_closing(FinalWriter *w);

#endif /* WEIR_CHECKPOINT_FINAL_INTERNAL_H */
