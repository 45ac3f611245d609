/*
 * worker/lane.h
 *		What launcher, coordinator and ingest workers know of one another.
 *		README.md in this folder has the states of a lane.
 */
#ifndef WEIR_WORKER_LANE_H
#define WEIR_WORKER_LANE_H

#include "base/weir.h"

#include "kafka/kafka.h"
#include "postmaster/bgworker.h"
#include "shmem/shmem.h"

/* Main functions, named in BackgroundWorker.bgw_function_name. */
extern PGDLLEXPORT void weir_launcher_main(Datum arg);
extern PGDLLEXPORT void weir_scanner_main(Datum database);
extern PGDLLEXPORT void weir_coordinator_main(Datum lane);
extern PGDLLEXPORT void weir_ingest_main(Datum lane_and_worker);
extern PGDLLEXPORT void weir_sender_main(Datum place);

/* Lanes of a stream that are this many records apart become one. */
#define WEIR_JOIN_DISTANCE 50000

/* What can be done when the topic does not go on where a view is. */
#define WEIR_GO_ON_HINT \
	"weir.reset starts the view anew, the stream's option offset_reset goes on without what is lost"

extern void weir_launcher_register(void); /* from _PG_init */

/*
 * Fill a worker's registration; the caller registers it.  Never restarted by
 * the postmaster.
 */
extern void weir_worker_fill(BackgroundWorker *w, const char *function,
							 const char *name, Datum arg);
/* What every worker does first: signals, database, user, settings. */
extern void weir_worker_begin(Oid dboid);
/* Serve interrupts, reload, the postmaster's death. */
extern void weir_worker_interrupts(void);

/*
 * What pg_stat_activity and the process's title say of it, when that changes;
 * at most once a second, please.
 */
extern void weir_worker_say(bool busy, const char *text);
/* A number of which only the size matters, to two digits. */
extern int64 weir_coarse(int64 n);

/* Views of a lane that coordinator and ingest worker both load. */
extern int weir_lane_number(const Lane *lane);

/*
 * Free all memory of a lane and its view slots, but for what is kept for
 * readers.  The caller is the launcher and knows that no process of the lane is
 * left.
 */
extern void weir_lane_release(Lane *lane);
/* Free what one view of a lane holds; its worker has let go of it. */
extern void weir_view_release(ViewSlot *slot);

/* --- retired slots (retire.c); the launcher's, but for the last one --------- */
extern bool weir_view_retire(ViewSlot *slot);
extern int weir_retired_serve(void);
extern void weir_view_forget_retired(ViewSlot *slot);

#endif /* WEIR_WORKER_LANE_H */
