/*
 * api/metrics.c
 *		weir.metrics: everything that is counted, as rows of name, labels, value.
 *
 * Backends, each second or so.  What belongs to views comes from weir.status, so
 * that both say the same, and from their histograms; their counters, which must
 * never go back, from weir.kept; the rest from shared memory, a copy of one lane
 * at a time under the registry lock.  Rows go into a tuplestore.  Labels are made
 * once for all rows that have the same ones.  A user is told of the views that
 * weir.status shows it, and of the lanes of streams that it may read.
 */
#include "base/weir.h"

#include "access/xlog.h"
#include "base/clock.h"
#include "catalog/access.h"
#include "catalog/extension.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "funcapi.h"
#include "kafka/kafka.h"
#include "miscadmin.h"
#include "shmem/shmem.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(weir_metric_rows);

#define NOTHING_LEFT 0
#define MAX_LABELS   4

typedef struct Label
{
	const char *name;
	const char *value;
} Label;

/* Labels of the rows that come next; a further one may follow for each row. */
typedef struct Metrics
{
	ReturnSetInfo *rsinfo;
	Label labels[MAX_LABELS];
	int nlabels;
	Datum common;          /* these as jsonb, or 0: not made yet */
	MemoryContext scratch; /* of one view or lane at a time */
} Metrics;

/* --- rows ------------------------------------------------------------------------ */

static JsonbValue
as_string(const char *text)
{
	JsonbValue v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, text);
	v.val.string.len = (int) strlen(text);
	return v;
}

static void
push_label(JsonbParseState **state, const Label *l)
{
	JsonbValue name = as_string(l->name);
	JsonbValue value = as_string(l->value);

	(void) pushJsonbValue(state, WJB_KEY, &name);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static Datum
make_labels(const Metrics *m, const Label *further)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < m->nlabels; i++)
		push_label(&state, &m->labels[i]);
	if (further)
		push_label(&state, further);
	return JsonbPGetDatum(
		JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

static void
set_labels(Metrics *m, const char *name1, const char *value1, const char *name2,
		   const char *value2)
{
	m->nlabels = 0;
	m->common = (Datum) 0;
	if (name1)
		m->labels[m->nlabels++] = (Label){name1, value1};
	if (name2)
		m->labels[m->nlabels++] = (Label){name2, value2};
}

static void
put_row(Metrics *m, const char *name, Datum labels, double value)
{
	Datum values[3];
	bool nulls[3] = {false};

	values[0] = CStringGetTextDatum(name);
	values[1] = labels;
	values[2] = Float8GetDatum(value);
	tuplestore_putvalues(m->rsinfo->setResult, m->rsinfo->setDesc, values,
						 nulls);
}

static void
put(Metrics *m, const char *name, double value)
{
	if (m->common == (Datum) 0)
		m->common = make_labels(m, NULL);
	put_row(m, name, m->common, value);
}

static void
put_with(Metrics *m, const char *name, const char *label, const char *text,
		 double value)
{
	Label further = {label, text};

	put_row(m, name, make_labels(m, &further), value);
}

/* --- views ------------------------------------------------------------------------- */

/* Every state that weir.status knows. */
static const char *const states[] =
	{"starting",      "waiting for topic", "waiting for broker",
	 "catching up",   "running",           "idle",
	 "out of memory", "postponed",         "restarting",
	 "paused",        "paused: restored",  "finished",
	 "error",         "standby"};

/* Columns of the query below, from 1. */
enum
{
	VIEW_OID = 1,
	VIEW_NAME,
	VIEW_STREAM,
	VIEW_STATE,
	VIEW_NUMBERS
};

static const struct
{
	const char *name;
	bool known; /* always: 0 where the column is NULL */
	const char *sql;
} view_metrics[] = {
	{"weir_events_total", true, "k.events"},
	{"weir_late_events_total", true, "k.late"},
	{"weir_dead_letters_total", true, "k.dead_letters"},
	{"weir_lost_offsets_total", true, "k.lost"},
	{"weir_final_rows_total", true, "s.rows_final"},
	{"weir_restarts_total", true, "s.restarts"},
	{"weir_windows_open", true, "s.windows_open"},
	{"weir_groups_open", true, "s.groups_open"},
	{"weir_memory_bytes", true, "s.memory"},
	{"weir_memory_limit_bytes", true, "s.memory_limit"},
	{"weir_events_per_second", true, "s.events_per_second"},
	{"weir_lag_messages", false, "s.lag"},
	{"weir_messages_left", false, "s.messages_left"},
	{"weir_lag_seconds", false, "extract(epoch FROM s.lag_time)"},
	{"weir_watermark_seconds", false,
	 "extract(epoch FROM CASE WHEN isfinite(s.closing) THEN s.closing END)"},
	{"weir_watermark_lag_seconds", false,
	 "extract(epoch FROM clock_timestamp() - CASE WHEN isfinite(s.closing) THEN s.closing END)"},
	{"weir_state_since_seconds", true, "extract(epoch FROM s.state_since)"},
};

static char *
view_query(void)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT v.view::pg_catalog.oid, format('%I.%I', vn.nspname, vc.relname), "
						   "format('%I.%I', sn.nspname, sc.relname), s.state");
	for (int i = 0; i < (int) lengthof(view_metrics); i++)
		appendStringInfo(&sql, ", (%s)::float8", view_metrics[i].sql);
	appendStringInfoString(
		&sql,
		" FROM (SELECT *, coalesce(watermark, closed_upto) AS closing FROM weir.status) s "
		"JOIN weir.kept k USING (view_name) JOIN weir.views v ON v.view = view_name "
		"JOIN pg_class vc ON vc.oid = v.view JOIN pg_namespace vn ON vn.oid = vc.relnamespace "
		"JOIN pg_class sc ON sc.oid = v.stream JOIN pg_namespace sn ON sn.oid = sc.relnamespace");
	return sql.data;
}

static const char *
seconds_text(int class)
{
	return class < WEIR_LATENCY_CLASSES - 1
			   ? psprintf("%g", weir_latency_ends[class] / 1e6)
			   : "+Inf";
}

/* As Prometheus has it: a class holds what is in those below it, too. */
static void
put_histogram(Metrics *m, const char *name, const LatencyCount *c)
{
	char *bucket = psprintf("%s_bucket", name);
	uint64 n = 0;

	for (int i = 0; i < WEIR_LATENCY_CLASSES; i++)
	{
		n += c->n[i];
		put_with(m, bucket, "le", seconds_text(i), n);
	}
	put(m, psprintf("%s_sum", name), c->sum / 1e6);
	put(m, psprintf("%s_count", name), n);
}

static void
put_latencies(Metrics *m, Oid view)
{
	LatencyCount freshness = {0};
	LatencyCount commit = {0};
	ViewMetrics *v;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	v = weir_view_metrics(MyDatabaseId, view);
	if (v)
	{
		weir_latency_read(&freshness, &v->freshness);
		weir_latency_read(&commit, &v->commit);
	}
	LWLockRelease(&weir_registry->lock);
	put_histogram(m, "weir_freshness_seconds", &freshness);
	put_histogram(m, "weir_commit_latency_seconds", &commit);
}

/* The plan is kept for as long as the session lasts: it costs as much as the rest. */
static SPIPlanPtr
view_plan(void)
{
	static SPIPlanPtr plan;

	if (plan == NULL)
	{
		SPIPlanPtr made = SPI_prepare(view_query(), 0, NULL);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the query of weir.metrics");
		plan = made;
	}
	return plan;
}

static char *
column_text(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

static void
put_view(Metrics *m, int row)
{
	const char *state = column_text(row, VIEW_STATE);
	bool isnull;

	set_labels(m, "view", column_text(row, VIEW_NAME), "stream",
			   column_text(row, VIEW_STREAM));
	for (int i = 0; i < (int) lengthof(view_metrics); i++)
	{
		Datum d = weir_spi_get(row, VIEW_NUMBERS + i, &isnull);

		if (!isnull || view_metrics[i].known)
			put(m, view_metrics[i].name, isnull ? 0 : DatumGetFloat8(d));
	}
	for (int i = 0; i < (int) lengthof(states); i++)
		put_with(m, "weir_view_state", "state", states[i],
				 strcmp(state, states[i]) == 0);
	put_latencies(m, DatumGetObjectId(weir_spi_get(row, VIEW_OID, &isnull)));
}

static void
put_views(Metrics *m)
{
	int nest = weir_plain_settings_enter();
	MemoryContext spi;

	SPI_connect();
	if (SPI_execute_plan(view_plan(), NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run the query of weir.metrics");
	spi = MemoryContextSwitchTo(m->scratch);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		put_view(m, (int) i);
		MemoryContextReset(m->scratch);
	}
	MemoryContextSwitchTo(spi);
	SPI_finish();
	weir_settings_leave(nest);
}

/* --- partitions --------------------------------------------------------------------- */

/* A partition as the lane that is furthest in the stream has it. */
typedef struct PartitionCopy
{
	LanePartition lane;
	int64 watermark;
} PartitionCopy;

/* Is no other running lane of the stream further?  Registry lock held. */
static bool
is_furthest(const Lane *lane)
{
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		const Lane *other = &weir_registry->lanes[i];
		int64 distance = 0;

		if (other == lane || other->state != LANE_RUNNING ||
			other->dboid != lane->dboid || other->stream != lane->stream ||
			other->npartitions != lane->npartitions)
			continue;
		for (int p = 0; p < lane->npartitions; p++)
			distance += other->parts[p].position - lane->parts[p].position;
		if (distance > 0 || (distance == 0 && other < lane))
			return false;
	}
	return true;
}

/* The first view of the lane that can be read, or NULL. */
static ViewSlot *
first_view(const Lane *lane)
{
	for (int i = 0; i < lane->nviews; i++)
		if (lane->views[i] >= 0 && weir_registry->views[lane->views[i]].live)
			return &weir_registry->views[lane->views[i]];
	return NULL;
}

/* Registry lock held; parts has room. */
static void
copy_partitions(const Lane *lane, PartitionCopy *parts)
{
	ViewSlot *view = first_view(lane);

	for (int p = 0; p < lane->npartitions; p++)
	{
		Shard *shard;

		parts[p].lane = lane->parts[p];
		parts[p].watermark = WEIR_NO_TIME;
		if (view == NULL)
			continue;
		shard = &view->shards[lane->parts[p].worker];
		LWLockAcquire(&shard->lock, LW_SHARED);
		if (shard->parts)
			parts[p].watermark = shard->parts[p].watermark;
		LWLockRelease(&shard->lock);
	}
}

static void
put_partition(Metrics *m, const char *stream, const PartitionCopy *p)
{
	const LanePartition *l = &p->lane;

	set_labels(m, "stream", stream, "partition", psprintf("%d", l->partition));
	put(m, "weir_partition_position", l->position);
	put(m, "weir_partition_committed", l->durable);
	put(m, "weir_partition_high_watermark", l->high);
	if (l->low >= 0)
		put(m, "weir_partition_low_watermark", l->low);
	put(m, "weir_partition_lag_messages", Max(0, l->high - l->position));
	put(m, "weir_partition_idle", weir_partition_is_idle(l));
	put(m, "weir_partition_held", l->held);
	if (p->watermark != WEIR_NO_TIME)
		put(m, "weir_partition_watermark_seconds",
			(p->watermark + WEIR_EPOCH_SHIFT) / 1e6);
	if (l->timestamp >= 0)
		put(m, "weir_partition_last_message_seconds", l->timestamp / 1e6);
}

static void
put_partitions(Metrics *m, const Lane *lane, const char *stream)
{
	PartitionCopy *parts;
	int n;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	n = lane->state == LANE_RUNNING && is_furthest(lane) ? lane->npartitions : 0;
	LWLockRelease(&weir_registry->lock);
	if (n == 0)
		return;
	parts = palloc(sizeof(PartitionCopy) * n);
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	if (lane->state == LANE_RUNNING && lane->npartitions == n)
		copy_partitions(lane, parts);
	else
		n = 0;
	LWLockRelease(&weir_registry->lock);
	for (int p = 0; p < n; p++)
		put_partition(m, stream, &parts[p]);
	pfree(parts);
}

/* --- lanes ---------------------------------------------------------------------------- */

/* What there is to say of a lane; counters are sums over its workers. */
typedef struct LaneCopy
{
	Oid stream; /* InvalidOid: none of this database */
	int workers;
	int64 queue;
	WorkerMetrics work;
	int nkafka; /* workers of which there are librdkafka's statistics */
	LaneMetrics lane;
	LaneState state;
} LaneCopy;

/* The same broker is one to all workers: up where one has it, and the longest way. */
static void
add_broker(KafkaMetrics *sum, const BrokerMetrics *b)
{
	int i = 0;

	while (i < sum->nbrokers && strcmp(sum->brokers[i].name, b->name) != 0)
		i++;
	if (i == WEIR_KAFKA_BROKERS)
		return;
	if (i == sum->nbrokers)
		sum->brokers[sum->nbrokers++] = *b;
	sum->brokers[i].up = sum->brokers[i].up || b->up;
	sum->brokers[i].rtt = Max(sum->brokers[i].rtt, b->rtt);
}

static void
add_kafka(KafkaMetrics *sum, const KafkaMetrics *k)
{
	sum->rx_bytes += k->rx_bytes;
	sum->tx_bytes += k->tx_bytes;
	sum->errors += k->errors;
	sum->disconnects += k->disconnects;
	sum->queued += k->queued;
	for (int i = 0; i < k->nbrokers; i++)
		add_broker(sum, &k->brokers[i]);
}

static void
add_worker(LaneCopy *c, const LaneWorker *w)
{
	c->queue += (int64) w->queue_kb * 1024;
	c->work.messages += w->metrics.messages;
	c->work.bytes += w->metrics.bytes;
	c->work.malformed += w->metrics.malformed;
	c->work.batches += w->metrics.batches;
	for (int i = 0; i < WORKER_STAGES; i++)
		c->work.stage_us[i] += w->metrics.stage_us[i];
	add_kafka(&c->work.kafka, &w->metrics.kafka);
}

static void
copy_lane(LaneCopy *c, const Lane *lane)
{
	memset((void *) c, 0, sizeof(*c));
	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	if (lane->dboid == MyDatabaseId)
	{
		c->stream = lane->stream;
		c->state = lane->state;
		c->workers = lane->state == LANE_RUNNING ? lane->nworkers : 0;
		memcpy((void *) &c->lane, (const void *) &lane->metrics,
			   sizeof(c->lane));
		for (int w = 0; w < WEIR_MAX_WORKERS; w++)
			add_worker(c, &lane->workers[w]);
	}
	LWLockRelease(&weir_registry->lock);
}

static void
put_checkpoints(Metrics *m, const LaneCopy *c)
{
	const LaneMetrics *l = &c->lane;
	int64 age = c->state == LANE_RUNNING && l->settled_at > 0
					? weir_clock_monotonic() - l->settled_at
					: 0;

	put(m, "weir_checkpoints_total", l->checkpoints);
	put(m, "weir_checkpoint_failures_total", l->checkpoint_failures);
	put(m, "weir_checkpoint_seconds_total", l->checkpoint_us / 1e6);
	put(m, "weir_checkpoint_bytes_total", l->checkpoint_bytes);
	put(m, "weir_checkpoint_age_seconds", age / 1e6);
	put(m, "weir_lane_failures_total", l->failures);
}

static void
put_kafka(Metrics *m, const KafkaMetrics *k)
{
	put(m, "weir_kafka_rx_bytes_total", k->rx_bytes);
	put(m, "weir_kafka_tx_bytes_total", k->tx_bytes);
	put(m, "weir_kafka_fetch_queue_messages", k->queued);
	put(m, "weir_kafka_request_errors_total", k->errors);
	put(m, "weir_kafka_disconnects_total", k->disconnects);
	for (int i = 0; i < k->nbrokers; i++)
	{
		const BrokerMetrics *b = &k->brokers[i];

		put_with(m, "weir_kafka_broker_state", "broker", b->name, b->up);
		if (b->rtt >= 0)
			put_with(m, "weir_kafka_rtt_seconds_avg", "broker", b->name,
					 b->rtt / 1e6);
	}
}

static void
put_lane(Metrics *m, const LaneCopy *c, const char *stream, int number)
{
	const WorkerMetrics *w = &c->work;

	set_labels(m, "stream", stream, "lane", psprintf("%d", number));
	put(m, "weir_workers", c->workers);
	put(m, "weir_queue_bytes", c->queue);
	put(m, "weir_messages_total", w->messages);
	put(m, "weir_bytes_total", w->bytes);
	put(m, "weir_malformed_total", w->malformed);
	put(m, "weir_batches_total", w->batches);
	for (int i = 0; i < WORKER_STAGES; i++)
		put_with(m, "weir_stage_seconds_total", "stage", weir_stage_names[i],
				 w->stage_us[i] / 1e6);
	put_checkpoints(m, c);
	put_kafka(m, &w->kafka);
}

/* A stream's name, or NULL if it is no more, or not for this user. */
static const char *
stream_name(Oid stream)
{
	char *name = OidIsValid(stream) && weir_sees_errors(InvalidOid, stream)
					 ? get_rel_name(stream)
					 : NULL;

	return name ? quote_qualified_identifier(get_namespace_name(
												 get_rel_namespace(stream)),
											 name)
				: NULL;
}

static void
put_lanes(Metrics *m)
{
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *lane = &weir_registry->lanes[i];
		const char *stream;
		LaneCopy c;

		copy_lane(&c, lane);
		stream = stream_name(c.stream);
		if (stream == NULL)
			continue;
		put_lane(m, &c, stream, i);
		put_partitions(m, lane, stream);
		MemoryContextReset(m->scratch);
	}
}

/* --- the server ------------------------------------------------------------------------ */

static void
put_server(Metrics *m)
{
	set_labels(m, "version", WEIR_SQL_VERSION, "librdkafka",
			   weir_kafka_version());
	put(m, "weir_build_info", 1);
	set_labels(m, NULL, NULL, NULL, NULL);
	put(m, "weir_up",
		weir_registry != NULL && weir_registry->launcher_latch != NULL);
	put(m, "weir_in_recovery", RecoveryInProgress());
	if (weir_registry == NULL)
		return;
	put(m, "weir_arena_bytes", weir_arena_total());
	put(m, "weir_arena_used_bytes", weir_arena_used());
}

Datum
weir_metric_rows(PG_FUNCTION_ARGS)
{
	Metrics m = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	MemoryContext before;

	InitMaterializedSRF(fcinfo, 0);
	put_server(&m);
	if (weir_registry == NULL || weir_other_version() != NULL)
		return NOTHING_LEFT;
	m.scratch = AllocSetContextCreate(CurrentMemoryContext, "weir metrics",
									  ALLOCSET_DEFAULT_SIZES);
	put_views(&m);
	before = MemoryContextSwitchTo(m.scratch);
	put_lanes(&m);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(m.scratch);
	return NOTHING_LEFT;
}
