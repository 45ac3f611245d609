/*
 * worker/ingest.h
 *		Private to the ingest worker: ingest.c (its life and its turns),
 *		ingest_views.c (which views it serves), ingest_batch.c (a batch of
 *		messages through decode and views), ingest_append.c (the same for an append
 *		view, which it writes itself), ingest_memory.c
 *		(without room), ingest_align.c (which partitions are held back),
 *		ingest_replay.c (dead letters once more), ingest_lost.c (what the topic no
 *		longer has) and ingest_metrics.c (what it counts).
 */
#ifndef WEIR_WORKER_INGEST_H
#define WEIR_WORKER_INGEST_H

#include "base/weir.h"

#include "catalog/stream.h"
#include "catalog/view.h"
#include "core/barrier.h"
#include "decode/decode.h"
#include "exec/apply.h"
#include "exec/letter.h"
#include "kafka/kafka.h"
#include "plan/plan.h"
#include "worker/lane.h"

/* A wait for memory; all zero when there is none. */
typedef struct MemoryWait
{
	int64 began;  /* monotonic us */
	int64 batch;  /* the same for the batch at hand, or 0 */
	int64 since;  /* the last time that something was freed */
	int backs;    /* times that the view has gone back */
	uint64 least; /* bytes in use then */
} MemoryWait;

typedef struct IngestView
{
	ViewSlot *slot;
	ViewRow *row;
	ViewPlan *plan;
	ViewApply *apply; /* NULL: the view has left */
	MemoryWait wait;
	uint64 taken;   /* records of the batch under way that are the view's */
	bool *replaced; /* by partition: its last record is another one now */
	Decoder *again; /* of the dead letters that it tries once more, or NULL */
	MemoryContext again_cxt;
	bool again_part; /* it takes each as one record */
} IngestView;

/* What a partition was before (ingest_lost.c). */
typedef struct IngestPast
{
	bool doubted;  /* records are compared with the views' last ones */
	bool lost;     /* it does not go on where the views are, perhaps */
	int64 old_end; /* when the topic was last out of reach; 0: not known */
	uint64 batch;  /* the last one that had records of it */
} IngestPast;

/* The last record of a partition in the batch under way. */
typedef struct IngestLast
{
	int32 partition;
	int64 offset;
	int64 timestamp; /* Kafka's, us since 1970, or -1 */
	uint32 print;
} IngestLast;

typedef struct Ingest
{
	Lane *lane;
	int worker;       /* number in the lane, and of the shards */
	LaneWorker *self; /* its place in the lane */
	StreamDef *stream;
	const char *group;
	int queue_kb;
	KafkaConsumer *consumer;
	bool delivered; /* something has come by this handle */
	int64 opened;   /* monotonic us */
	bool away;      /* the topic was since, so nothing more is taken of it */
	Decoder *decoder;
	Common *common; /* of its views */
	KafkaMessage *msgs;
	KafkaEvent *events;
	int capacity;
	int nviews;
	IngestView *views;
	bool needs_snapshot;
	WeWorker barrier;
	struct IngestAppend *append; /* NULL: a lane of windows */
	MemoryContext replay_cxt;
	Letter *replayed; /* the first of self->replay, which a view tries, or NULL */
	bool holding;     /* some partition is held back */
	bool went_back;   /* some view has to read records again */
	int64 copy_waits; /* since when copying waits for memory, or 0 */
	int64 cut_until;  /* dead letters without room are cut (monotonic us) */
	uint64 durable;
	MemoryContext cxt;
	MemoryContext decoder_cxt;
	IngestPast *past; /* by partition */
	IngestLast *last; /* of the batch under way */
	int nlast;
	uint64 batch;
	int64 ask_bounds; /* monotonic us: not before */
	int64 asked;      /* monotonic us: last answer or assignment */
	int64 pause;      /* before the next one, while the broker is away */
	int64 emptied;    /* when the consumer's queue was last empty */
	int64 second;     /* of the rate */
	int64 second_events;
	int seconds;
	WorkerStage stage;         /* what its time goes to ... */
	int64 stage_since;         /* ... since then (monotonic us) */
	KafkaMetrics kafka_before; /* what handles before this one have counted */
} Ingest;

/* --- ingest.c -------------------------------------------------------------- */

/* Take part in the barrier under way, if there is one. */
extern void weir_ingest_barrier(Ingest *in);
/* A lane without its coordinator is over: exit. */
extern void weir_ingest_check_coordinator(const Ingest *in);
/*
 * Between two batches of the same messages: what does not wait for their end, since
 * they may hold any number of records.  In no transaction.  False: no view is left.
 */
extern bool weir_ingest_between(Ingest *in);

/* --- ingest_views.c --------------------------------------------------------- */

/* Load the views that are ready and not here yet, and a decoder for all. */
extern void weir_ingest_load_views(Ingest *in);
/* Let go of views that the coordinator has detached. */
extern void weir_ingest_drop_detached(Ingest *in);
/*
 * The same for views that another worker has failed: they go on nowhere.
 * False: no view is left to be served.
 */
extern bool weir_ingest_drop_failed(Ingest *in);
/*
 * The view leaves the lane; the coordinator writes down why, and the server's log
 * says so.  Without a reason ("") it goes on in another lane.
 */
extern void weir_ingest_fail_view(Ingest *in, IngestView *v, int sqlstate,
								  const char *reason);
/* The same for all of them: the stream itself cannot go on. */
extern void weir_ingest_fail_all(Ingest *in, int sqlstate, const char *reason);
/* The view leaves the lane to go on in one of its own. */
extern void weir_ingest_part_view(Ingest *in, IngestView *v);

/* --- ingest_batch.c ---------------------------------------------------------- */

/* Take msgs[0 .. n) through decode and every view; positions move with them. */
extern void weir_ingest_batch(Ingest *in, int n);
/*
 * A batch for one view; it fails alone.  With in->replayed set the batch is that
 * letter, which is NULL afterwards if it is applied.  Needs a transaction.
 */
extern void weir_ingest_try_view(Ingest *in, IngestView *v, const EventBatch *b);
/* Before a barrier: groups say all that was applied.  A view that cannot fails. */
extern void weir_ingest_settle(Ingest *in);
/* Watermarks of the broker and idleness: what weir.status shows. */
extern void weir_ingest_note_partitions(Ingest *in);
/* The broker has answered: what was said of it being away is over. */
extern void weir_ingest_broker_answers(Ingest *in);

/* What else the two kinds of batches have in common. */
extern void weir_ingest_begin_transaction(const Ingest *in);
extern void weir_ingest_end_transaction(const Ingest *in);
/*
 * Decode msgs[0 .. n), as the stream's owner; n = 0: what of them did not fit
 * into the batch before, NULL when that was all.  Needs a transaction.
 */
extern EventBatch *weir_ingest_decode(Ingest *in, int n);
/* With on_error 'stop' the first such message ends the views of the stream. */
extern bool weir_ingest_stops_at(Ingest *in, const KafkaMessage *m,
								 int sqlstate, const char *reason);
/* The batch is applied: what others see of it. */
extern void weir_ingest_note_progress(Ingest *in, const EventBatch *b);

/* --- ingest_append.c --------------------------------------------------------- */

/* The lane is an append view's: make in->append. */
extern void weir_append_prepare(Ingest *in);
/* Write msgs[0 .. n) and commit it; waits where something is in the way. */
extern void weir_ingest_append(Ingest *in, int n);
/* The same for in->replayed, decoded.  False: the view has left. */
extern bool weir_append_again(Ingest *in, IngestView *v, const EventBatch *b);
/* Commit positions that are not yet.  False: not now, try again. */
extern bool weir_append_settle(Ingest *in);
/* How long not to look for messages, in ms. */
extern long weir_append_linger(const Ingest *in);

/* --- ingest_memory.c ---------------------------------------------------------- */

/*
 * One step of waiting for memory of a view, in which barriers go on.  False: go
 * on without the rest of the batch; the view has left the lane (no apply), or has
 * gone back to what is applied and reads the rest again.  Raises when waiting is
 * no use.
 */
extern bool weir_ingest_wait(Ingest *in, IngestView *v);
/* The view has applied a batch. */
extern void weir_ingest_wait_over(Ingest *in, IngestView *v);
/*
 * The parts of it, for waits of other kinds; view: 0, none in particular; all:
 * what is short is everybody's memory, not the view's own.
 */
extern void weir_ingest_wait_begin(Ingest *in, int32 view);
extern void weir_ingest_wait_step(Ingest *in, bool all);
extern void weir_ingest_wait_end(Ingest *in);
extern bool weir_ingest_patience_is_over(const Ingest *in, int64 since);

/* --- ingest_replay.c --------------------------------------------------------- */

/* Try some of the dead letters that the coordinator has handed out. */
extern void weir_ingest_replay(Ingest *in);

/* --- ingest_align.c ----------------------------------------------------------- */

/* n messages have come, as msgs has them. */
extern void weir_ingest_note_seen(Ingest *in, int n);
/* Under memory pressure hold back the partitions that are ahead; else let go. */
extern void weir_ingest_align(Ingest *in);
/* --- ingest_metrics.c --------------------------------------------------------- */

/* From now on its time goes to this. */
extern void weir_ingest_stage(Ingest *in, WorkerStage stage);
/*
 * Records that the view has counted by now in the partitions of the batch under
 * way; of parts, which are the view's.
 */
extern uint64 weir_ingest_counted(const Ingest *in, const ViewPartition *parts);
/* A batch is applied: how old its messages are, for the views that took some. */
extern void weir_ingest_note_latency(Ingest *in, const EventBatch *b);
/* No broker can be reached. */
extern void weir_ingest_note_disconnected(Ingest *in);
/* Once a second: rate, and what pg_stat_activity shows. */
extern void weir_ingest_note_rate(Ingest *in);

/* --- ingest_lost.c ------------------------------------------------------------ */

/*
 * The partition is about to be assigned: where to read it from, so that its
 * past can be compared.
 */
extern int64 weir_lost_doubt(Ingest *in, int p);
/* The topic is out of reach: where did its partitions end? */
extern void weir_lost_remember_ends(Ingest *in);
/*
 * Compare what has arrived of doubted partitions, and leave out what is of lost
 * ones; returns how many of msgs[0 .. n) are left.
 */
extern int weir_lost_filter(Ingest *in, int n);
/* The partition ends here; the broker does not have what we asked for. */
extern void weir_lost_at_end(Ingest *in, int p, int64 end);
extern void weir_lost_missing(Ingest *in, int p);
/* Decide about lost partitions.  True: done, assign them again. */
extern bool weir_lost_settle(Ingest *in);
/* Note the last record of each partition in a batch; a view takes them over. */
extern void weir_lost_note_last(Ingest *in, int n);
extern void weir_lost_take_last(const Ingest *in, ViewApply *a);

#endif /* WEIR_WORKER_INGEST_H */
