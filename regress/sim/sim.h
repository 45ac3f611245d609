/*
 * sim.h
 *		The simulated world: what brokers, workers, coordinators, readers and
 *		the database have in it.  sim.c says what it is for.
 *
 * Everything is small and of fixed size, so that a world is quick to make and
 * to look through: a handful of partitions, views, keys and windows.  All memory
 * of a world belongs to it and is freed with it; what the protocol frees is
 * only marked, so that a use after that is found and named.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/barrier.h"
#include "core/closing.h"
#include "core/log.h"
#include "core/marks.h"
#include "core/progress.h"
#include "core/window.h"

#define PARTS   4
#define RECORDS 48 /* of a partition */
#define VIEWS   4
#define KEYS    3
#define WINDOWS \
	56 /* of a view, by number, from the first that holds FIRST_TIME */
#define PANES   (WINDOWS * 5) /* of a view: up to four for each last window */
#define WORKERS 4
#define LANES   3
#define PLACES  12 /* views of a lane in its life */
#define SLOTS   (VIEWS + 2)
#define READERS 3
#define BATCH   6

#define FIRST_TIME (-64)
#define MIN_SIZE   8
#define MIN_STEP   9

/* --- values ---------------------------------------------------------------- */

/* Of a group: how many records, and the sum of their random weights. */
typedef struct Value
{
	uint32_t n;
	uint32_t sum;
} Value;

/* All that was counted, by window and key. */
typedef struct Tally
{
	Value v[WINDOWS][KEYS];
} Tally;

/* --- the broker ------------------------------------------------------------- */

typedef struct Record
{
	int64_t offset;
	int64_t time; /* or WP_NO_TIME */
	uint32_t weight;
	int key;
	bool usable;
	unsigned poison; /* views in which an expression fails */
} Record;

typedef struct Log
{
	int n;
	int produced; /* records that are there by now */
	bool slow;    /* silent for long */
	int64_t end;  /* offset after the last one, control records included */
	Record r[RECORDS];
} Log;

/* --- the database ------------------------------------------------------------ */

typedef uint32_t Xid;
typedef uint32_t Snapshot; /* sees the first so many commits */

typedef enum ViewState
{
	VIEW_RUNNING,
	VIEW_PAUSED,
	VIEW_ERROR
} ViewState;

typedef enum StartKind
{
	START_EARLIEST,
	START_LATEST
} StartKind;

/* A view's row of the catalog: definition's moving part and progress. */
typedef struct Progress
{
	ViewState state;
	StartKind start;
	int64_t generation;
	int32_t incarnation;
	int64_t closed_upto;
	int64_t advance; /* what a user wants closed */
	int chunks;
	int nparts;
	WpPartition parts[PARTS];
	uint32_t late_sum[PARTS];
	Tally counted; /* what the results must be; no part of the protocol */
} Progress;

typedef struct ProgressVersion
{
	struct ProgressVersion *next; /* older */
	Xid xmin;
	Xid xmax;
	Progress p;
} ProgressVersion;

typedef struct FinalRow
{
	Xid xmin;
	Xid xmax;
	int view;
	int window;
	int key;
	Value value;
} FinalRow;

typedef struct StateRow
{
	Xid xmin;
	Xid xmax;
	int view;
	WlKey key;
	int seq;
	int n;
	int keys[KEYS];
	Value values[KEYS];
} StateRow;

typedef struct LetterRow
{
	Xid xmin;
	Xid xmax;
	int view; /* -1: of the stream */
	int part;
	int64_t offset;
} LetterRow;

typedef enum XactState
{
	XACT_RUNNING,
	XACT_COMMITTED,
	XACT_ABORTED
} XactState;

typedef struct Xact
{
	XactState state;
	uint32_t commit; /* its place in the order of commits, from 1 */
} Xact;

typedef struct Storage
{
	Xact *xacts;
	uint32_t nxacts;
	uint32_t maxxacts;
	uint32_t commits;
	uint32_t flushed;
	ProgressVersion *progress[VIEWS];
	Xid locked[VIEWS]; /* who has the row */
	FinalRow *finals;
	int nfinals;
	int maxfinals;
	StateRow *states;
	int nstates;
	int maxstates;
	LetterRow *letters;
	int nletters;
	int maxletters;
} Storage;

/* --- shared memory ------------------------------------------------------------ */

typedef struct Group
{
	Value value;
	uint32_t epoch;
	bool live;
} Group;

typedef struct Pane
{
	struct Pane *next;
	int64_t first; /* names of the windows that it is a part of */
	int64_t last;
	Group g[KEYS];
	int dirty[KEYS];
	int ndirty;
	int frozen[KEYS];
	int nfrozen;
	int ncopied;
	bool rewrite;
	bool logged;
	bool restored;
	bool mapped; /* the worker may still find it */
	bool freed;
} Pane;

typedef struct Chunk
{
	struct Chunk *next;
	int64_t first; /* of its pane */
	int64_t last;
	bool rewrite;
	int n;
	int keys[KEYS];
	Value values[KEYS];
} Chunk;

typedef struct Letter
{
	struct Letter *next;
	int view;
	int part;
	int64_t offset;
} Letter;

/* What a worker publishes with a batch, and notes at a barrier. */
typedef struct Parts
{
	WpPartition p[PARTS];
	uint32_t late_sum[PARTS];
	Tally counted;
} Parts;

typedef struct Shard
{
	Parts parts;
	Parts acked;
	Tally visible; /* what readers may have seen by now */
	Pane *panes;
	Chunk *chunks; /* not known to be committed */
} Shard;

typedef struct Slot
{
	bool used;
	bool live;
	bool detached;
	bool failed;
	int view;
	int lane;
	int64_t generation;
	int32_t incarnation;
	WwSpec window;
	int64_t lateness;
	uint32_t life;
	WmMarks marks;
	int64_t closing;
	int64_t closed_upto;
	Tally recovered; /* counted by then */
	Shard shard[WORKERS];
} Slot;

/* --- processes ------------------------------------------------------------------ */

/* A view in an ingest worker. */
typedef struct Apply
{
	bool active;
	Slot *slot;
	Shard *shard;
	Parts parts; /* working copy */
	int64_t closed_upto;
	WeEpochs epochs;
	Chunk *chunks;
	int nrows;
	int rows[BATCH];
	int64_t watermark[BATCH];
} Apply;

typedef enum BatchPhase
{
	BATCH_NONE,
	BATCH_BEGIN,
	BATCH_RUN,
	BATCH_PUBLISH
} BatchPhase;

typedef struct BatchRow
{
	int part;
	const Record *r;
} BatchRow;

typedef struct Worker
{
	bool alive;
	WeReport report;
	WeWorker barrier;
	int nviews;
	Apply apply[PLACES];
	BatchPhase phase;
	int at; /* view whose turn it is */
	int nbatch;
	BatchRow batch[BATCH];
	Letter *current; /* dead letters since the barrier */
	Letter *frozen;  /* and up to it */
} Worker;

typedef struct ClosedPane
{
	Pane *pane;
	Pane **list; /* that it is in */
	int64_t close;
} ClosedPane;

typedef struct CheckpointView
{
	Slot *slot;
	Progress progress;
	Progress next;
	int seq;
	int next_seq;
	bool gone;
	bool error; /* to be written down */
	bool skip;  /* of this checkpoint */
	bool released;
	uint64_t detach_barrier;
	WcAttempt attempt;
	ClosedPane closed[PANES * (WORKERS + 1)];
} CheckpointView;

typedef enum CoordinatorStep
{
	CO_SETUP,   /* the next view of the lane */
	CO_STARTED, /* its transaction is to be committed */
	CO_REST,
	CO_PREPARE, /* the closing watermark of each view */
	CO_BARRIER,
	CO_WAIT,
	CO_BEGIN,
	CO_LOCK, /* of each view */
	CO_FINAL,
	CO_STATE,
	CO_STORE,
	CO_LETTERS,
	CO_MARK,
	CO_COMMIT,
	CO_SETTLE,
	CO_AFTER
} CoordinatorStep;

typedef struct Coordinator
{
	bool alive;
	CoordinatorStep step;
	CoordinatorStep after_setup;
	int cur; /* view, and partition, whose turn it is */
	int part;
	WpClosing closing;
	Xid xid;
	bool sync;
	bool stop; /* as this checkpoint has found it */
	int nviews;
	CheckpointView v[PLACES];
	bool durable_pending;
	uint32_t last_commit;
} Coordinator;

typedef enum LaneState
{
	LANE_FREE,
	LANE_STARTING,
	LANE_RUNNING
} LaneState;

typedef struct LanePart
{
	int worker;
	int64_t position;
	int64_t high;
	int64_t group; /* told to Kafka's tools */
	bool at_end;
	bool idle;
} LanePart;

typedef struct Lane
{
	LaneState state;
	bool ended;
	bool stop;
	uint64_t barrier;
	int nparts;
	LanePart part[PARTS];
	int nplaces;
	int place[PLACES]; /* slots; -1: gone */
	int ready;         /* places that workers may take up */
	int nworkers;
	Worker worker[WORKERS];
	Coordinator co;
} Lane;

typedef enum ReaderStep
{
	READER_NONE,
	READER_BEGIN, /* of a read */
	READER_FINAL,
	READER_FIND,
	READER_LIST,
	READER_PANE,
	READER_GONE, /* windows that are in memory no more */
	READER_END
} ReaderStep;

typedef struct Reader
{
	ReaderStep step;
	Snapshot snapshot;
	int reads; /* still to come in this snapshot */
	int view;
	bool final_last;
	bool finals_read;
	Tally final;
	Tally open;
	bool open_window[WINDOWS];
	Slot *slot;
	uint32_t life;
	int64_t hidden;
	Tally least;  /* what must be there */
	int k;        /* shard */
	int64_t gone; /* windows up to here were taken from the final table */
	int npanes;
	int at;
	int group;
	Pane *panes[PANES * 2];
} Reader;

typedef struct User
{
	Xid xid; /* 0: nothing under way */
	int view;
} User;

/* --- the world -------------------------------------------------------------------- */

typedef struct ViewDef
{
	bool exists;
	WwSpec window;
	int64_t lateness;
	int drops_key; /* WHERE; -1: nothing */
} ViewDef;

typedef struct World
{
	uint64_t seed;
	uint64_t rng;
	uint64_t steps;
	uint64_t sleep_until;
	uint64_t hurry_until;
	int sleeper_lane;
	int sleeper; /* a worker, or WORKERS: the coordinator */
	bool exact;  /* no clock decides: the logs alone give the result */
	bool calm;   /* nothing fails any more */
	bool failed;
	int64_t delay;
	int pace;     /* how rare new records are */
	int failures; /* how often something fails; 0: never */
	int commands; /* how rare they are */
	int allparts;
	int nparts; /* of the topic by now */
	Log log[PARTS];
	int nviews;
	ViewDef view[VIEWS];
	Storage db;
	Slot slot[SLOTS];
	Lane lane[LANES];
	Reader reader[READERS];
	User user;
	struct Block *blocks;
} World;

/* --- rules that can be broken, one at a time --------------------------------------- */

typedef enum Broken
{
	BROKEN_NONE,
#define RULE(name, text) BROKEN_##name,
#include "rules.h"
#undef RULE
	BROKEN_END
} Broken;

extern Broken sim_broken;

static inline bool
broken(Broken rule)
{
	return sim_broken == rule;
}

/* --- sim.c ---------------------------------------------------------------------------- */

extern bool sim_tracing;
extern void trace(const World *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The world has shown something that must not be. */
extern void violation(World *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern void *world_alloc(World *w, size_t size);
/* 0 .. n - 1 */
extern int below(World *w, int n);
/* True in one of n cases. */
extern bool one_in(World *w, int n);

/* --- windows.c ------------------------------------------------------------------------- */

extern void windows_make(World *w, ViewDef *def);
/* Windows of a view by number, and by the name that core/window.h has for them. */
extern int window_no(const World *w, int view, int64_t name);
extern int64_t window_name(const World *w, int view, int no);
extern int64_t
window_close(const WwSpec *window, int64_t lateness, int64_t name);
/* The least name of a window that is open when all is closed up to there. */
extern int64_t window_open(const WwSpec *window, int64_t lateness, int64_t upto);
/* When the last window of a pane closes. */
extern int64_t pane_close(const Slot *slot, int64_t last);

/* --- world.c --------------------------------------------------------------------------- */

extern void world_run(World *w);
extern void world_linger(World *w, const Lane *lane);

/* --- topic.c ---------------------------------------------------------------------------- */

extern void topic_make(World *w);
extern void topic_produce(World *w);
extern bool topic_is_complete(const World *w);
/* First record at or after the offset that is there, or NULL. */
extern const Record *topic_next(const World *w, int part, int64_t offset);

/* --- storage.c ---------------------------------------------------------------------------- */

extern Xid db_begin(World *w);
extern void db_commit(World *w, Xid xid, bool sync);
extern void db_abort(World *w, Xid xid);
extern void db_crash(World *w);
extern Snapshot db_snapshot(const World *w);
extern bool db_sees(const World *w, Snapshot s, Xid xid);
/* Visible to the snapshot, or to the transaction itself? */
extern bool db_visible(const World *w, Snapshot s, Xid own, Xid xmin, Xid xmax);
extern bool db_lock(World *w, Xid xid, int view);
/* The view's row, or NULL. */
extern const Progress *
db_progress(const World *w, Snapshot s, Xid own, int view);
extern void db_progress_store(World *w, Xid xid, int view, const Progress *p);
extern void db_final_insert(World *w, Xid xid, const FinalRow *row);
extern void db_state_insert(World *w, Xid xid, const StateRow *row);
extern void db_letter_insert(World *w, Xid xid, const LetterRow *row);
/* Returns how many. */
extern int
db_state_delete(World *w, Xid xid, int view, const WlKey *rewrite, int64_t upto);
extern void db_forget_view(World *w, Xid xid, int view);
/* The rows of a view; false: a window has two rows of a key. */
extern bool db_read_final(World *w, Snapshot s, int view, Tally *t);
/* Open windows as the log has them; group is called for each. */
typedef void (*RestoreGroup)(void *arg, int64_t first, int64_t last, int key,
							 Value value);
extern void db_restore(World *w, Snapshot s, int view, int chunks,
					   RestoreGroup group, void *arg);

/* --- ingest.c -------------------------------------------------------------------------------- */

extern void worker_start(World *w, Lane *lane, int no);
extern void worker_step(World *w, Lane *lane, int no);

/* --- coordinator.c, checkpoint.c ---------------------------------------------------------------- */

extern void coordinator_start(World *w, Lane *lane);
extern void coordinator_step(World *w, Lane *lane);
/* The process is gone; its transaction with it. */
extern void coordinator_die(World *w, Lane *lane);
/* One step of what is between the barrier and the next rest. */
extern void checkpoint_step(World *w, Lane *lane);
extern void checkpoint_free_closed(World *w, CheckpointView *v);

/* --- lanes.c --------------------------------------------------------------------------------------- */

/* Launcher and scanner: free what has ended, place views that should run. */
extern void lanes_step(World *w);
extern void lane_release(World *w, Lane *lane);
extern void slot_release(World *w, Slot *slot);
extern void server_crash(World *w);

/* --- reader.c, user.c ------------------------------------------------------------------------------ */

extern void reader_step(World *w, Reader *r);
extern void user_step(World *w);

/* --- model.c ---------------------------------------------------------------------------------------- */

extern void tally_add(Tally *to, const Tally *from);
extern Value value_combine(Value a, Value b);
extern bool model_fails(const World *w, int view, const Record *r);
/* Is everything committed that the topic has? */
extern bool model_at_rest(World *w);
/* All views against the logs. */
extern void model_check(World *w);

#endif /* WEIR_SIM_H */
