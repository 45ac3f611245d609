/*
 * shmem/metrics.h
 *		What is counted for weir.metrics: latencies of views, work of lanes and
 *		what librdkafka says of itself.
 *
 * A counter has one writer, unless it is atomic, and is one word, so a reader
 * needs no lock; names of brokers are under the registry lock.  Nothing here is
 * on disk: it begins at 0 when the server starts.  It outlives the lane: what
 * belongs to a view is kept apart from its slot, and what belongs to a lane is
 * forgotten only when another stream has its place.
 */
#ifndef WEIR_SHMEM_METRICS_H
#define WEIR_SHMEM_METRICS_H

#include "base/weir.h"

#include "port/atomics.h"

/* --- latencies ------------------------------------------------------------- */

/* Classes of a latency; the last one has no upper end. */
#define WEIR_LATENCY_CLASSES 19

/* The upper ends in us, but for the last class. */
extern const int64 weir_latency_ends[WEIR_LATENCY_CLASSES - 1];

/* How many messages were so long on their way; private to a process. */
typedef struct LatencyCount
{
	uint64 n[WEIR_LATENCY_CLASSES];
	uint64 total;
	uint64 sum; /* us */
} LatencyCount;

/* The same, added up by several. */
typedef struct LatencyHistogram
{
	pg_atomic_uint64 n[WEIR_LATENCY_CLASSES];
	pg_atomic_uint64 sum; /* us */
} LatencyHistogram;

/* A view's, in any lane. */
typedef struct ViewMetrics
{
	/* Registry lock. */
	Oid dboid; /* InvalidOid: free */
	Oid view;  /* the relation: ids begin anew with the extension */
	LatencyHistogram freshness; /* until readers could see it */
	LatencyHistogram commit;    /* until it was committed */
} ViewMetrics;

/* Messages of about the same time, which wait for their commit. */
typedef struct LatencyCell
{
	int64 time; /* Kafka's, us since 1970; the mean */
	uint64 n;
} LatencyCell;

#define WEIR_LATENCY_CELLS 64

typedef struct LatencyCells
{
	int n;
	LatencyCell cells[WEIR_LATENCY_CELLS];
} LatencyCells;

/* n messages have taken us. */
extern void weir_latency_count(LatencyCount *c, int64 us, uint64 n);
/*
 * Add messages whose latencies are spread as c has them: as many as c has where
 * they are the same ones.
 */
extern void
weir_latency_add(LatencyHistogram *h, const LatencyCount *c, uint64 messages);
extern void weir_latency_read(LatencyCount *c, LatencyHistogram *h);
/* Note messages; when there is no room neighbours become one. */
extern void weir_cells_add(LatencyCells *c, int64 time, uint64 n);
/* Append from, which is empty then. */
extern void weir_cells_move(LatencyCells *from, LatencyCells *to);

/* --- lanes ----------------------------------------------------------------- */

/* What an ingest worker's time goes to. */
typedef enum WorkerStage
{
	STAGE_FETCH, /* taking what has arrived, and all that is in no other */
	STAGE_DECODE,
	STAGE_APPLY,
	STAGE_PUBLISH, /* positions and what they let readers see */
	STAGE_COPY,    /* for a checkpoint */
	STAGE_WAIT,    /* for messages or memory */
	WORKER_STAGES
} WorkerStage;

extern const char *const weir_stage_names[WORKER_STAGES];

#define WEIR_KAFKA_BROKERS     16
#define WEIR_KAFKA_BROKER_NAME 64

/* librdkafka's statistics of a broker. */
typedef struct BrokerMetrics
{
	char name[WEIR_KAFKA_BROKER_NAME]; /* host:port */
	bool up;
	int64 rtt; /* us; -1: not known */
} BrokerMetrics;

/* ... and of a consumer; counters go on when a new handle takes its place. */
typedef struct KafkaMetrics
{
	int64 rx_bytes;
	int64 tx_bytes;
	int64 errors;
	int64 disconnects;
	int64 queued; /* messages fetched and not taken */
	int nbrokers;
	BrokerMetrics brokers[WEIR_KAFKA_BROKERS];
} KafkaMetrics;

/* An ingest worker's; it writes them. */
typedef struct WorkerMetrics
{
	volatile int64 messages; /* read, those included that were read again */
	volatile int64 bytes;    /* of keys and payloads */
	volatile int64 malformed;
	volatile int64 batches;
	volatile int64 stage_us[WORKER_STAGES];
	KafkaMetrics kafka; /* registry lock */
} WorkerMetrics;

/* A lane's; the coordinator writes them, but for failures. */
typedef struct LaneMetrics
{
	volatile int64 checkpoints;
	volatile int64 checkpoint_failures;
	volatile int64 checkpoint_us;
	volatile int64 checkpoint_bytes; /* of changed groups */
	volatile int64 settled_at; /* monotonic us: nothing was left to commit */
	volatile int64 failures;   /* ends of the lane in disorder; launcher */
} LaneMetrics;

#endif /* WEIR_SHMEM_METRICS_H */
