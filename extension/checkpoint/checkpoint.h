/*
 * checkpoint/checkpoint.h
 *		What a coordinator writes, and what a recovery reads back.
 */
#ifndef WEIR_CHECKPOINT_H
#define WEIR_CHECKPOINT_H

#include "base/weir.h"

#include "catalog/stream.h"
#include "catalog/view.h"
#include "core/closing.h"
#include "exec/merge.h"
#include "plan/plan.h"
#include "shmem/pane.h"

/* A pane of a closed window that some snapshot may still need. */
typedef struct ClosedPane
{
	Pane *pane;
	int shard;
	int64 close; /* end + lateness */
} ClosedPane;

/* A view that is not written, and is to be tried again (trouble.c). */
typedef struct Postponed
{
	int64 unwritten; /* since when it is not written; 0: it was (monotonic us) */
	int64 full;      /* since when memory is short meanwhile, or 0 */
	int times;       /* that it raised, in a row */
	bool server;     /* the last time the server was in trouble, else a lock */
	int64 since;     /* the first time */
	int64 next;
} Postponed;

/* Dropping what a view no longer keeps (retention.c). */
typedef struct Retention
{
	int64 next;      /* monotonic us: not before */
	int64 done_upto; /* nothing is left up to there */
	int failures;    /* in a row */
} Retention;

/* A view in the hands of its lane's coordinator. */
typedef struct CheckpointView
{
	ViewSlot *slot;
	ViewRow *row;
	ViewPlan *plan;
	ViewReader *reader;
	ProgressRow progress; /* as committed */
	ProgressRow next;     /* as this checkpoint writes it */
	LostRange *lost;      /* found before its start, in cxt */
	bool begins;          /* had read nothing when its positions were found */
	int64 seq;            /* of the last chunk written */
	int64 next_seq;
	int64 written; /* bytes of changed groups, by this attempt */
	bool notifies; /* this checkpoint: its commit has to be durable */
	bool gone;     /* dropped, paused, reset or failed */
	bool to_send;  /* this checkpoint has put rows into the outbox */
	char *error;   /* why it failed, in cxt */
	bool said;     /* ... and the server's log says so */
	Postponed postponed;
	Retention retention;
	ClosedPane *closed; /* ascending in close */
	int max_closed;
	WcAttempt attempt; /* how many of closed, and whose */
	MemoryContext cxt;
} CheckpointView;

typedef struct CheckpointLane
{
	Lane *lane;
	StreamDef *stream;
	int nviews;
	CheckpointView **views;
	int synchronous;   /* synchronous_commit of the server */
	bool postponed;    /* the last attempt, as a whole */
	MemoryContext cxt; /* reset by each checkpoint */
} CheckpointLane;

/*
 * Commit the barrier that every worker has acknowledged and copied: final rows,
 * changed state, positions, dead letters, in one transaction.  A view that
 * raises is left out, failed or postponed, and the rest is tried again; one whose
 * row is locked is left for the next checkpoint.  durable: the commit's WAL is flushed
 * before this returns.  False: a lock was in the way of what is no view's, and
 * nothing is written; the next checkpoint does it.  Raises when nothing can be
 * written otherwise.  Called outside a transaction.
 */
extern bool weir_checkpoint_commit(CheckpointLane *c, bool durable);

/* --- a view that raises (trouble.c) ---------------------------------------- */

/* A lock was in the way (timeout, deadlock): nobody's failure, try again later. */
extern bool weir_is_lock_error(const ErrorData *e);
/* The server is in trouble: disk full, out of memory ... */
extern bool weir_is_server_error(const ErrorData *e);
/*
 * In PG_CATCH: roll back if a lock or the server was in the way, which passes;
 * raise again whatever else it was.  The error is copied to cxt.
 */
extern void weir_forgive_passing(MemoryContext cxt);
/* The view raised e, and the transaction is rolled back: postponed or failed. */
extern void weir_view_raised(CheckpointView *v, const ErrorData *e);
/* A view stops in state error: a line of the server's log. */
extern void weir_log_stop(const char *view, int sqlstate, const char *reason);
/* Is a postponed view to be tried again now, or still to be left out? */
extern bool weir_view_is_due(const CheckpointView *v);
extern bool weir_view_must_wait(const CheckpointView *v);
/* The transaction met a lock in no view's part, and is rolled back. */
extern void weir_lane_postponed(CheckpointLane *c, const ErrorData *e);
/* A checkpoint was committed; attempt.written says of which views. */
extern void weir_settle_postponed(CheckpointLane *c);

/* Free closed panes that no snapshot can need any more.  No transaction. */
extern void weir_checkpoint_free_closed(CheckpointView *v);

/* Would a checkpoint up to there close some window of the view (final.c)? */
extern bool weir_can_close(CheckpointView *v, int64 upto);
/* Final rows of the windows being closed (final.c), as the view's owner. */
extern void weir_write_final(CheckpointView *v);

/*
 * The same rows for the view's sink (sink.c).  begin: NULL if the view has none,
 * which the others take.  Between SPI_connect and SPI_finish, as the owner.
 */
typedef struct SinkWriter SinkWriter;
extern SinkWriter *weir_sink_begin(CheckpointView *v);
extern void weir_sink_add(SinkWriter *w, Datum *values, const bool *nulls);
extern void weir_sink_end(SinkWriter *w);
/*
 * The same rows for the view's alerts (alerts.c), which are evaluated at the end.
 * window is its name.
 */
typedef struct AlertWriter AlertWriter;
extern AlertWriter *weir_alerts_begin(CheckpointView *v);
extern void weir_alerts_add(AlertWriter *w, int64 window, const Datum *values,
							const bool *nulls);
extern void weir_alerts_end(AlertWriter *w);
/*
 * Rows of open windows, for the alerts that look at those; complete: they can
 * resolve an alert, too, and so does that there is none, of a window up to closed.
 * fail instead of end: there are no rows, and why.
 */
extern AlertWriter *
weir_alerts_begin_open(CheckpointView *v, bool complete, int64 closed);
extern void weir_alerts_fail(AlertWriter *w, const char *reason);
/* Such alerts of the view, by what is open behind this checkpoint (alerts_open.c). */
extern void weir_alerts_open(CheckpointView *v);

/*
 * NOTIFY with the commit, which is then synchronous (notify.c).  False: not done,
 * since the queue of notifications is half full.
 */
extern bool weir_checkpoint_notify(CheckpointView *v, const char *channel,
								   const char *payload);

/*
 * Make sure that v_final has a partition for a window (partition.c).  retention:
 * of the view, or 0; a partition is then much shorter, since it goes as a whole.
 */
extern void
weir_ensure_partition(Oid final, int64 window, int64 size, int64 retention);
/*
 * Drop a partition of each view's v_final whose windows are older than the view
 * keeps them (retention.c).  Outside of a transaction; never waits for long.
 */
extern void weir_retention_serve(CheckpointLane *c);
/*
 * Dead letters and late events up to the barrier (letters.c): those of the whole
 * stream, and those of the views that are written.  After the commit, free them.
 * *current: the view that a letter is about while it is written, else -1.
 */
extern void weir_write_letters(CheckpointLane *c, volatile int *current);
extern void weir_free_letters(Lane *lane);
/* Write n letters of an append view's worker, which are sorted by this. */
extern void weir_append_write_letters(const StreamDef *stream, int32 view,
									  Letter **letters, size_t n);
/*
 * The view begins at the positions of its progress: letters behind them it does
 * not lack, but reads again.
 */
extern void weir_letters_unread(const CheckpointView *v, Oid stream);

/* --- the state log (state_log.c) ------------------------------------------ */

/* Append the view's chunks; updates v->next.chunks and next_seq. */
extern void weir_state_write(CheckpointView *v);
/* Drop the chunks of panes whose last window is named so, or before it. */
extern void weir_state_drop_closed(CheckpointView *v, int64 upto);

/* Write anew what was restored (sessions); updates v->progress and v->seq. */
extern void weir_state_rewrite(CheckpointView *v);

typedef void (*RestoreGroup)(void *arg, const PaneWindows *windows,
							 const char *key, uint32 keylen, const char *state);
/*
 * Read a view's log as the active snapshot sees it and hand out its groups,
 * pane by pane.  chunks: how many there must be.  Raises
 * ERRCODE_DATA_CORRUPTED if the log is not whole.
 */
extern void weir_state_restore(int32 view, int64 chunks, ViewReader *reader,
							   RestoreGroup group, void *arg);

#endif /* WEIR_CHECKPOINT_H */
