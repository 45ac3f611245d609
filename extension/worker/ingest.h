/*
 * worker/ingest.h
 *		Private to the ingest worker: ingest.c (its life and its turns),
 *		ingest_views.c (which views it serves) and ingest_batch.c (a batch of
 *		messages through decode and views).
 */
#ifndef WEIR_WORKER_INGEST_H
#define WEIR_WORKER_INGEST_H

#include "base/weir.h"

#include "catalog/stream.h"
#include "catalog/view.h"
#include "core/barrier.h"
#include "decode/decode.h"
#include "exec/apply.h"
#include "kafka/kafka.h"
#include "plan/plan.h"
#include "worker/lane.h"

typedef struct IngestView
{
	ViewSlot *slot;
	ViewRow *row;
	ViewPlan *plan;
	ViewApply *apply; /* NULL: the view has left */
} IngestView;

typedef struct Ingest
{
	Lane *lane;
	int worker;       /* number in the lane, and of the shards */
	LaneWorker *self; /* its place in the lane */
	StreamDef *stream;
	KafkaConsumer *consumer;
	Decoder *decoder;
	KafkaMessage *msgs;
	KafkaEvent *events;
	int capacity;
	int nviews;
	IngestView *views;
	bool needs_snapshot;
	WeWorker barrier;
	uint64 durable;
	MemoryContext cxt;
	MemoryContext decoder_cxt;
	int64 asked;  /* monotonic us: last answer or assignment */
	int64 second; /* of the rate */
	int64 second_events;
	int seconds;
} Ingest;

/* --- ingest.c -------------------------------------------------------------- */

/* Take part in the barrier under way, if there is one. */
extern void weir_ingest_barrier(Ingest *in);

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
/* The view leaves the lane; the coordinator writes down why. */
extern void weir_ingest_fail_view(Ingest *in, IngestView *v, const char *reason);
/* The same for all of them: the stream itself cannot go on. */
extern void weir_ingest_fail_all(Ingest *in, const char *reason);

/* --- ingest_batch.c ---------------------------------------------------------- */

/* Take msgs[0 .. n) through decode and every view; positions move with them. */
extern void weir_ingest_batch(Ingest *in, int n);
/* Watermarks of the broker, idleness, rate: what weir.status shows. */
extern void weir_ingest_note_partitions(Ingest *in);
extern void weir_ingest_note_rate(Ingest *in);
/* The broker has answered: what was said of it being away is over. */
extern void weir_ingest_broker_answers(Ingest *in);

#endif /* WEIR_WORKER_INGEST_H */
