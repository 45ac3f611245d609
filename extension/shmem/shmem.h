/*
 * shmem/shmem.h
 *		What processes of Weir share: the registry of lanes and views, and the
 *		arena that holds the open windows.
 *
 * shmem/README.md has the map and the lock order.  Every pointer in here is
 * valid in every process: the segment is made by the postmaster and inherited.
 * "Who writes" is said for each field; a reader without the named lock reads
 * only what is marked atomic.
 */
#ifndef WEIR_SHMEM_H
#define WEIR_SHMEM_H

#include "base/weir.h"

#include "core/marks.h"
#include "core/progress.h"
#include "core/window.h"
#include "port/atomics.h"
#include "shmem/metrics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#define WEIR_LANE_VIEWS      256 /* views of a lane */
#define WEIR_FRESHNESS_SLOTS 128
#define WEIR_ERROR_LEN       512

/* --- memory (arena.c) ------------------------------------------------------ */

/* Which limit a request for memory met. */
typedef enum MemoryMet
{
	MEMORY_LEFT,
	MEMORY_VIEW, /* the view's own */
	MEMORY_ALL   /* that of the whole arena */
} MemoryMet;

/* What a view has of the arena. */
typedef struct MemoryAccount
{
	pg_atomic_uint64 used;
	pg_atomic_uint64 limit;  /* 0: none of its own; coordinator */
	volatile bool stops;     /* at the limit, instead of waiting; coordinator */
	volatile bool restoring; /* takes what is kept, too; coordinator */
	pg_atomic_uint32 met;    /* MemoryMet of the last request refused */
	pg_atomic_uint64 waited; /* last step of a wait for the arena (monotonic us) */
} MemoryAccount;

/* --- groups and panes (see pane.h) --------------------------------------- */

struct Pane;
struct Chunk;

/* Why offsets are lost to a view. */
typedef enum LostReason
{
	LOST_EXPIRED,   /* the broker has deleted them */
	LOST_RECREATED, /* the topic is another one */
	LOST_SKIPPED    /* they are there, in the new topic, and offset_reset
					 * says where to go on */
} LostReason;

/*
 * Offsets [from, upto) of a partition that a view has skipped, upto < 0: up to
 * where is not known.  In the arena until it is committed.
 */
typedef struct LostRange
{
	struct LostRange *next;
	int32 partition;
	LostReason reason;
	int64 from;
	int64 upto;
} LostRange;

/* Progress of a view in one partition; times in PostgreSQL's epoch. */
typedef WpPartition ViewPartition;

/*
 * The share of one ingest worker in one view.  The worker is its only writer;
 * it changes what readers may look at only while it holds lock exclusively.
 */
typedef struct Shard
{
	LWLock lock;
	pg_atomic_uint32 writer_waiting; /* readers stand back while it is set */
	struct Pane *panes;              /* lock; coordinator unlinks freed ones */
	ViewPartition *parts;            /* lock; by the lane's partition index */
	/* The barrier: written by the worker before it acknowledges ... */
	ViewPartition *acked; /* parts as they were at the barrier */
	LostRange *lost;      /* up to it, not yet committed */
	/* ... and in slices until it reports the copy as complete. */
	struct Chunk *chunks; /* changed groups not yet committed, oldest first */
	struct Chunk *chunks_tail;
} Shard;

typedef struct ViewSlot
{
	/* Registry lock. */
	bool used;
	Oid dboid;
	int32 view;       /* weir.views.id */
	int64 generation; /* of weir.progress when the lane began */
	int lane;
	bool retired; /* not live, but read instead of a later slot: retired.h */
	int64 retired_at;               /* monotonic us */
	char postponed[WEIR_ERROR_LEN]; /* why its checkpoints are; coordinator,
									 * of an append view the workers */
	TimestampTz postponed_since;
	ViewMetrics *metrics;
	/* Set once by the coordinator before workers start. */
	uint64 fingerprint; /* of the plan that workers run */
	WwSpec window;      /* of calendar days or months: about as long */
	int64 lateness;
	bool keep_late; /* late events are kept as letters */
	bool append;    /* its rows are written by the workers, it has no windows */
	int nshards;
	int npartitions; /* of the shards' parts */
	int32 incarnation;
	int64 born_upto;      /* what earlier lanes have closed */
	MemoryAccount memory; /* panes and chunks */
	/* Marks lock (short). */
	LWLock marks_lock;
	pg_atomic_uint64 life; /* changes when the memory of the view goes away */
	bool live;             /* readers may use it */
	WmMarks marks;         /* closings that some snapshot may not see yet */
	/* Coordinator writes before the barrier, workers read at it. */
	int64 closing; /* W of the barrier under way */
	/* Coordinator; workers read it when they begin. */
	int64 closed_upto; /* C_v as committed */
	/* Worker sets, coordinator acts on. */
	pg_atomic_uint32 failed;
	char error[WEIR_ERROR_LEN];
	/*
	 * Coordinator sets, worker obeys between two batches.  Retired: anybody
	 * sets, launcher obeys.
	 */
	pg_atomic_uint32 detached;
	Shard shards[WEIR_MAX_WORKERS];
} ViewSlot;

/* --- lanes --------------------------------------------------------------- */

typedef struct LanePartition
{
	int32 partition;
	int worker;
	/* Written by the worker, read by anybody (each is one aligned word). */
	volatile int64 position;
	volatile int64 high;
	volatile int64 last_event; /* monotonic us of the last event or start */
	volatile int64 timestamp;  /* Kafka's, of the last message; -1: none */
	volatile int64 low;     /* first offset that the broker has; -1: unknown */
	volatile int64 durable; /* committed and flushed; by the coordinator */
	volatile int64 group;   /* the least of that over the stream's lanes */
	volatile bool at_end;
	volatile bool silent;     /* at its end, no event for idle_timeout ... */
	volatile int64 silent_at; /* ... since this time (monotonic us) */
	/* Written by the coordinator: what the leader has answered. */
	volatile int64 confirmed;    /* where the partition ended ... */
	volatile int64 confirmed_at; /* ... when it was asked (monotonic us) */
	/* By the worker again, for holding partitions back (worker/ingest_align.c). */
	volatile int64 last_seen; /* monotonic us of the last message or start */
	volatile int64 watermark; /* of the view that is furthest */
	volatile bool dry;        /* the last fetch brought nothing */
	volatile bool counts;     /* there is more to be read */
	volatile bool held;
} LanePartition;

/*
 * Is the partition idle: silent, and its leader has said since that nothing is
 * there beyond what was read, in open transactions neither?
 */
static inline bool
weir_partition_is_idle(const LanePartition *p)
{
	return p->silent && p->confirmed_at >= p->silent_at &&
		   p->confirmed == p->position;
}

typedef enum LaneState
{
	LANE_FREE,
	LANE_WANTED,   /* a coordinator should run */
	LANE_STARTING, /* coordinator registered, not ready */
	LANE_RUNNING,
	LANE_ENDING, /* no process is left; being cleaned up */
	LANE_BACKOFF /* failed; free again at restart_at */
} LaneState;

typedef enum LetterKind
{
	LETTER_DEAD, /* a message that could not be used */
	LETTER_LATE, /* an event that was late for a window, of a view that keeps them */
	LETTER_REPLAYED /* a dead letter that its view has tried once more */
} LetterKind;

/* What does not fit in the first block of a letter. */
typedef struct LetterPart
{
	struct LetterPart *next;
	uint32 len;
	char data[FLEXIBLE_ARRAY_MEMBER];
} LetterPart;

/* A message that is kept aside; lives in the arena until committed. */
typedef struct Letter
{
	struct Letter *next;
	LetterPart *parts;
	LetterKind kind;
	bool decided; /* coordinator: written, or not to be written any more */
	int32 view;   /* 0: the whole stream */
	int32 partition;
	int64 offset;
	int64 timestamp;    /* us since 1970, -1: none */
	uint32 fingerprint; /* of the message */
	int32 record;       /* its number in the message, or 0 */
	bool part;          /* that record, not all of the message */
	bool cut;           /* only its beginning is kept */
	union
	{
		struct
		{
			int64 id;          /* of the dead letter */
			int32 incarnation; /* of the view that tries it */
			int32 whose;       /* view of the dead letter; 0: the stream's */
			bool failed;       /* the message cannot be used yet */
		} replay;
		struct
		{
			int sqlstate;
		} dead;
		struct
		{
			int64 event_time; /* PostgreSQL's epoch, as all of these */
			int64 window_start;
			int64 window_end;
			int64 by; /* us since its window had closed for it */
		} late;
	};
	uint32 reason_len;
	uint32 key_len;
	uint32 payload_len;
	bool has_key;
	bool has_payload;
	uint32 len;                       /* of data; parts go on from there */
	char data[FLEXIBLE_ARRAY_MEMBER]; /* reason, key, payload */
} Letter;

typedef struct LaneWorker
{
	pid_t pid; /* registry lock; 0: none */
	Latch *latch;
	int queue_kb;                /* registry lock: what its consumer may hold */
	int backend;                 /* its number in virtual transaction ids */
	pg_atomic_uint64 acked;      /* last barrier whose positions are noted */
	pg_atomic_uint64 copied;     /* last barrier whose groups are copied out */
	pg_atomic_uint32 blocked;    /* waits for memory */
	volatile int32 blocked_view; /* of this view, by weir.views.id, or 0 */
	volatile uint64 published;   /* grows with what there is to commit */
	pg_atomic_uint64 committed;  /* where its own last commit is in the WAL */
	/* The worker's; frozen is the coordinator's from acked to the next one. */
	Letter *tried;   /* of a view that applies a batch: of records under way */
	Letter *kept;    /* ... of records applied, not published yet */
	Letter *letters; /* since the last barrier */
	Letter *frozen;  /* up to it */
	/* Dead letters to be tried once more: the coordinator's while ready is 0. */
	Letter *replay;
	pg_atomic_uint32 replay_ready;
	/* Dead letters that are not kept: the coordinator's, and the worker's own. */
	volatile bool letters_full;
	int letter_rate; /* kept in a second; 0: all */
	int64 letter_second;
	int letters_in_second;
	/* What weir.status shows; written by the worker, each but error a word. */
	volatile int64 rate; /* events in the last full second */
	volatile uint32 freshness[WEIR_FRESHNESS_SLOTS];
	volatile bool broker_down;
	volatile bool no_topic; /* it does not exist */
	char error[WEIR_ERROR_LEN];
	WorkerMetrics metrics;
	/* Messages not committed; settled is the coordinator's, as frozen is. */
	LatencyCells applied;
	LatencyCells settled;
} LaneWorker;

/* What a lane is doing, as weir.status says. */
typedef enum LaneCondition
{
	LANE_IS_STARTING,
	LANE_WAITS_FOR_TOPIC,
	LANE_WAITS_FOR_BROKER,
	LANE_CATCHES_UP,
	LANE_RUNS,
	LANE_IS_IDLE,
	LANE_LACKS_MEMORY,
	LANE_RESTARTS
} LaneCondition;

typedef struct Lane
{
	/* Registry lock. */
	LaneState state;
	Oid dboid;
	Oid stream;
	bool append; /* its one view has no windows, and no other joins */
	int nviews;
	int views[WEIR_LANE_VIEWS]; /* view slots; -1: gone */
	int nids; /* the same by weir.views.id, kept in LANE_BACKOFF */
	int32 ids[WEIR_LANE_VIEWS];
	uint64 run; /* raised for each coordinator of the lane; by the launcher */
	pid_t coordinator;
	Latch *coordinator_latch;
	int failures; /* in a row, for the back-off */
	TimestampTz restart_at;
	char error[WEIR_ERROR_LEN];
	LaneCondition condition; /* as last noted, and since when */
	TimestampTz condition_since;
	/* Flags, set by anybody, with the coordinator's latch. */
	pg_atomic_uint32 stop;
	pg_atomic_uint32 recheck; /* the catalog changed */
	volatile bool delayed;    /* a lock was in the way: not at once again */
	volatile bool ended;      /* the coordinator left in good order */
	pg_atomic_uint32 ready; /* first so many of views are set up for workers */
	/* Requests for a checkpoint: wanted by backends, done by the coordinator. */
	pg_atomic_uint64 checkpoint_wanted;
	pg_atomic_uint64 checkpoint_done;
	ConditionVariable checkpointed;
	/* The barrier: epoch is raised by the coordinator. */
	pg_atomic_uint64 barrier;
	/* Set by the coordinator before workers start. */
	int nworkers;
	LaneWorker workers[WEIR_MAX_WORKERS];
	int npartitions;
	LanePartition *parts; /* arena */
	size_t parts_bytes;
	volatile bool broker_down; /* the coordinator waits for an answer */
	volatile bool no_topic;    /* ... and for the topic */
	/* Dead letters handed to workers, and not settled by a checkpoint yet. */
	pg_atomic_uint32 replaying;
	/* Offsets for Kafka's tools: bumped when durable[] of parts has changed. */
	pg_atomic_uint64 durable;
	LaneMetrics metrics;
} Lane;

/* The process that writes a database's final windows to topics. */
typedef struct Sender
{
	/* Registry lock. */
	Oid dboid; /* the last database that had it */
	pid_t pid;
	Latch *latch;
	TimestampTz claimed; /* being started since; 0: it is not */
	TimestampTz failed;  /* when the last one did */
	/* Set by anybody, with the latch. */
	volatile bool recheck; /* the catalog changed */
} Sender;

#define WEIR_MAX_SENDERS 16

/* --- the segment --------------------------------------------------------- */

typedef struct Registry
{
	LWLock lock; /* the registry lock */
	LWLock arena_lock;
	int lane_tranche;
	Latch *launcher_latch; /* registry lock */
	char problem[128];     /* registry lock: why views are not started */
	pid_t launcher;
	Oid scanned; /* database that the last scanner has been through */
	/* Databases whose catalog changed: ring of OIDs, registry lock. */
	int nchanged;
	Oid changed[64];
	bool changed_overflow; /* look at all databases */
	/* Databases whose workers must stay away (DROP DATABASE ...). */
	int nbanned;
	Oid banned[16];
	/* Views in lanes of their own: ring, registry lock. */
	int napart;
	struct
	{
		Oid dboid;
		int32 view;
	} apart[64];
	Sender senders[WEIR_MAX_SENDERS];
	int max_lanes;
	int max_views;
	Lane *lanes;
	ViewSlot *views;
	ViewMetrics *metrics; /* max_views */
	struct WbArena *arena;
} Registry;

extern Registry *weir_registry; /* NULL: not preloaded */

extern void weir_shmem_init(void); /* from _PG_init, while preloading */
/* Raises with a hint when weir is not in shared_preload_libraries. */
extern void weir_require_preload(void);

/*
 * The arena; NULL when it is full, but for the half that is kept for what a
 * checkpoint needs (_reserved takes that, too).  Never raises; takes arena_lock.
 */
extern void *weir_arena_alloc(size_t size);
extern void *weir_arena_alloc_reserved(size_t size);
/* The same, for those who say themselves how much has to stay free. */
extern void *weir_arena_alloc_keeping(size_t size, size_t keep);
extern void weir_arena_free(void *block, size_t size);
extern size_t weir_arena_rounded(size_t size);
extern uint64 weir_arena_used(void);
extern size_t weir_arena_total(void);
/* The same, on a view's account and within its limit. */
extern void weir_account_init(MemoryAccount *a);
extern void *weir_account_alloc(MemoryAccount *a, size_t size);
extern void *weir_account_alloc_reserved(MemoryAccount *a, size_t size);
extern void weir_account_free(MemoryAccount *a, void *block, size_t size);
/* How much of what is there for windows is in use, in thousandths. */
extern int weir_arena_pressure(void);
extern int weir_account_pressure(MemoryAccount *a);

/* --- lost ranges (lost.c) -------------------------------------------------- */

/* How many offsets; 0 where that is not known. */
extern int64 weir_lost_length(const LostRange *range);
/*
 * What is lost of a partition that was read up to position, when its topic is
 * another one now, begins at low, and is read from there or from its end on.
 * old_end: of the former topic, less than position if it is not known.
 * Returns how many ranges, at most WEIR_LOST_MAX.
 */
#define WEIR_LOST_MAX 3
extern int
weir_lost_of_recreated(LostRange *ranges, int32 partition, int64 position,
					   int64 old_end, int64 low, int64 to);
/* Add a copy.  False: not even the arena's reserve has room. */
extern bool weir_lost_add(LostRange **list, const LostRange *range);
/* Append one list to another, and leave it empty. */
extern void weir_lost_move(LostRange **to, LostRange **from);
extern void weir_lost_free(LostRange **list);

/* --- what a lane is doing (condition.c) ------------------------------------- */

extern const char *weir_condition_name(LaneCondition condition);
/* Registry lock held. */
extern LaneCondition weir_lane_condition(const Lane *lane);
/* What the lane, else a worker, has to say; registry lock held. */
extern const char *weir_lane_error(const Lane *lane);
/*
 * Note what the lane is doing, and since when.  True: something else than it was
 * doing at the last call.
 */
extern bool weir_lane_note_condition(Lane *lane);
/*
 * How old the last message is of a partition that is not read to its end, in us;
 * the greatest, or 0.  Registry lock held.
 */
extern int64 weir_lane_delay(const Lane *lane);

/* --- latencies of a view (metrics.c); registry lock held ---------------------- */

/* NULL: nothing was counted yet. */
extern ViewMetrics *weir_view_metrics(Oid dboid, Oid view);
/* For a slot that is not used yet. */
extern ViewMetrics *weir_view_metrics_claim(Oid dboid, Oid view);

/* --- registry (registry.c); each takes the registry lock itself ----------- */

/* The slot through which a running view can be read, or NULL. */
extern ViewSlot *weir_view_find(Oid dboid, int32 view);
/*
 * Has no view of those that have waited for the arena since then more of it than
 * this one?
 */
extern bool weir_view_has_most(ViewSlot *view, uint64 since);
/* Why nothing of the view is written at the moment; NULL: that is over. */
extern void weir_view_postpone(ViewSlot *slot, const char *why);
/* Tell the launcher that the catalog of this database changed. Cannot raise. */
extern void weir_notify_launcher(Oid dboid);
/* Wake the lane's coordinator. */
extern void weir_wake_coordinator(Lane *lane);
/* Wake a worker of the lane. */
extern void weir_wake_worker(Lane *lane, int worker);
/* Records between a lane's positions and these, both ways; lock held. */
extern int64
weir_lane_distance(const Lane *lane, int n, const ViewPartition *parts);

/*
 * A place for the database's sender, for the caller to start it; -1: there is one,
 * which is told to look at the catalog, or no place is free, or the database is to
 * be left alone.
 */
extern int weir_sender_claim(Oid dboid);
extern void weir_wake_sender(Oid dboid);
/* Tell the database's sender to end; is it, or will it be there?  Lock held. */
extern bool weir_sender_stop(Oid dboid);

/*
 * What a worker's consumer may hold of fetched messages: as much as it wants,
 * as long as that is not more than half of what all others leave of the total.
 */
extern int weir_queue_claim(LaneWorker *w, int wanted_kb, int total_kb);
/*
 * Views that met a memory limit of their own stay in lanes of their own, so that
 * nobody waits for them; lock held.  The oldest of very many are forgotten.
 */
extern void weir_view_set_apart(Oid dboid, int32 view, bool apart);
extern bool weir_view_is_apart(Oid dboid, int32 view);
extern bool weir_lane_is_apart(const Lane *lane);
/* Messages that the lane has not read yet; events in its last second; lock held. */
extern int64 weir_lane_lag(const Lane *lane);
extern int64 weir_lane_rate(const Lane *lane);
/* Up to where workers that write rows themselves have committed; 0: nothing. */
extern uint64 weir_lane_committed(Lane *lane);
/* Does it catch up, with more before it than a second's worth?  Lock held. */
extern bool weir_lane_is_behind(const Lane *lane);
/* The stream's running lane of windows that is furthest ahead, lock held; -1: none. */
extern int weir_lane_main(Oid dboid, Oid stream);

/* A free lane or view slot for the caller to fill, lock held; -1: none. */
extern int weir_lane_claim(Oid dboid, Oid stream);
extern int
weir_view_claim(Oid dboid, int32 view, Oid relation, int64 generation, int lane);

#endif /* WEIR_SHMEM_H */
