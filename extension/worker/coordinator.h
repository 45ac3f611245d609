/*
 * worker/coordinator.h
 *		Private to the coordinator: coordinator.c (its loop), closing.c (how far
 *		windows are to be closed), report.c (what it says of the lane), setup.c (from
 *		the catalog and the state log to a running lane) and crew.c (its workers).
 */
#ifndef WEIR_WORKER_COORDINATOR_H
#define WEIR_WORKER_COORDINATOR_H

#include "base/weir.h"

#include "base/guc.h"
#include "checkpoint/checkpoint.h"
#include "kafka/kafka.h"
#include "postmaster/bgworker.h"
#include "worker/lane.h"

/* Questions to the brokers whether silent partitions are idle (closing.c). */
typedef struct IdleQuestions
{
	KafkaClient *client; /* NULL: nothing was to be asked yet */
	int64 next;          /* monotonic us: not before */
	int64 pause;         /* us; grows while there is no answer */
} IdleQuestions;

typedef struct Coordinator
{
	Lane *lane;
	CheckpointLane c;
	uint64 *detach_barrier; /* by view: workers let go at this one; 0: not gone */
	bool *released;
	KafkaClient *client;
	IdleQuestions idle;
	char *stream_text; /* the stream's definition, to see it change */
	BackgroundWorkerHandle *workers[WEIR_MAX_WORKERS];
	MemoryContext cxt;
	int64 next_checkpoint; /* monotonic us */
	int64 last_checkpoint;
	int64 next_metadata;
	int64 next_join;
	int64 next_finish;
	int64 next_note; /* of what the lane is doing */
	int64 next_bounds;
	bool trouble;     /* as logged */
	uint64 published; /* publications at the last checkpoint */
	XLogRecPtr last_commit;
	bool durable_pending;
	bool letters_full;  /* the stream has as many dead letters as it may */
	int64 letters_seen; /* dead letters when they were looked at last */
	int64 next_letters; /* monotonic us: not before */
	bool replay_due;    /* there may be dead letters to be tried once more */
	int64 started;
	WeirSettings settings; /* as of the start, by which workers run */
} Coordinator;

/* --- setup.c --------------------------------------------------------------- */

/* Load stream and views; views that cannot be planned are gone, with a reason. */
extern void weir_setup_views(Coordinator *co);
/* Load the stream's definition; false: it is as it was. */
extern bool weir_stream_changed(Coordinator *co);
/*
 * Find the topic's partitions, resolve where each view starts, raise the
 * incarnations, restore open windows.  Waits for the broker as long as needed.
 */
extern void weir_setup_lane(Coordinator *co);
/*
 * Where the view goes on in each partition (positions.c); into its progress.
 * False: the broker did not answer, and err says why.
 */
extern bool weir_resolve_positions(Coordinator *co, CheckpointView *v,
								   int npartitions, char *err, size_t errlen);
/* Set up views that the scanner has put into the running lane. */
extern void weir_setup_joining(Coordinator *co);
/* Write failed views down and mark gone those the catalog no longer runs. */
extern void weir_recheck_views(Coordinator *co);
extern void weir_record_failures(Coordinator *co);

/* --- restore.c ------------------------------------------------------------- */

/* The open windows of a view that begins; raises when its log is damaged. */
extern void weir_restore_view(CheckpointView *v);

/* --- finish.c -------------------------------------------------------------- */

/* Has the view applied all that it was to read, in each partition? */
extern bool weir_view_is_done(CheckpointView *v, const Lane *lane);
/* Views that are done, with all of it committed, leave as finished. */
extern void weir_finish_views(Coordinator *co);

/* --- replay.c -------------------------------------------------------------- */

/* Hand out dead letters that views are to try once more. */
extern void weir_replay_serve(Coordinator *co);
/*
 * Do some work as the system user, in a transaction of its own and between
 * SPI_connect and SPI_finish.  True also if a lock or the server was in the way.
 */
extern bool weir_coordinator_try(Coordinator *co, bool (*work)(Coordinator *co));

/* --- letters_limit.c ------------------------------------------------------- */

/* See to it that the stream has no more dead letters than it may. */
extern void weir_letters_limit_serve(Coordinator *co);

/* --- closing.c ------------------------------------------------------------- */

/*
 * Set each view's closing watermark, for the barrier that comes; true if there
 * is anything to close.
 */
extern bool weir_closing_prepare(Coordinator *co);

/* --- crew.c ---------------------------------------------------------------- */

/* Ingest workers that a lane should have. */
extern int weir_crew_wanted(const StreamDef *stream, int npartitions);
/*
 * Start lane->nworkers of them, or as many as there are background workers for;
 * raises if there is none.  They read the views that are set up by now.
 */
extern void weir_crew_start(Coordinator *co);
/* Raises if one of them has ended. */
extern void weir_crew_check(Coordinator *co);
extern void weir_crew_wake(Lane *lane);

/* --- report.c -------------------------------------------------------------- */

/* The lane reads from now on. */
extern void weir_report_start(const Coordinator *co);
/* The lane is to end with a last checkpoint, and why: for the log. */
extern void weir_coordinator_stop(Coordinator *co, const char *why);
/* Once a second: what the lane is doing. */
extern void weir_report_condition(Coordinator *co);
/* A checkpoint is over. */
extern void weir_report_checkpoint(Coordinator *co, int64 began, bool committed);
/* Ask which offsets the broker still has. */
extern void weir_report_bounds(Coordinator *co);

/* --- coordinator.c --------------------------------------------------------- */

/* Views that have not left the lane. */
extern int weir_views_left(const Coordinator *co);
/* Wait on the latch, serving interrupts; stop or the postmaster's death exit. */
extern void weir_coordinator_wait(Coordinator *co, long ms);

#endif /* WEIR_WORKER_COORDINATOR_H */
