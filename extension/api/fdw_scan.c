/*
 * api/fdw_scan.c
 *		SELECT on a stream: a bounded read of its topic.
 *
 * Runs in a backend's executor, with the user mapping of whoever the query runs
 * as.  At the first row the scan connects, asks for the first offset and the
 * last stable one of each partition that the quals leave, and reads exactly that
 * range; what arrives later is not seen, or a busy topic would never end.
 *
 *	start_scan -> fetch (poll, trim to the ranges, decode) -> rows -> fetch ...
 *
 * A partition is done when its position reaches the end; positions also advance
 * by the end-of-partition event, since the tail may be control records or
 * compacted away.  Malformed messages are skipped and counted.  A scan that
 * starts again keeps the ends it saw first.
 *
 * The consumer is librdkafka's memory and threads.  EndForeignScan closes it; so
 * does a callback of the query's memory context, which is what remains after an
 * error.  Everything else lives in that context; rows are valid until the next
 * batch.
 */
#include "api/fdw.h"

#include "base/guc.h"
#include "decode/decode.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/wait_event.h"

/* Messages a batch: few at first, for LIMIT, then as many as are efficient. */
#define FIRST_BATCH 64
#define LAST_BATCH  4096
#define MAX_EVENTS  64
#define WAIT_MS     1000
/* Without any sign of a broker for so long, the scan gives up. */
#define SILENCE_MS  30000
/* Times that messages may expire under the scan. */
#define MAX_LOST    10

typedef struct ScanPartition
{
	bool known;     /* low and high were asked for */
	bool open;      /* being read, not done */
	int64 low;      /* first offset, when first asked */
	int64 high;     /* last stable offset, when first asked */
	int64 start;    /* the range of this scan ... */
	int64 end;      /* ... exclusive */
	int64 position; /* the next offset wanted */
} ScanPartition;

typedef struct StreamScan
{
	ForeignScanState *node;
	StreamDef *def;
	List *attrs;       /* IntList: needed */
	List *quals;       /* of PushedQual */
	MemoryContext cxt; /* the query's */
	MemoryContextCallback cleanup;

	KafkaConsumer *consumer; /* NULL: not started yet */
	Decoder *decoder;
	KafkaMessage *messages; /* LAST_BATCH */
	KafkaEvent *events;     /* MAX_EVENTS */

	int npartitions;
	ScanPartition *partitions; /* by number */
	int nopen;
	int nread;    /* that this scan reads */
	bool started; /* partitions are assigned */

	EventBatch *batch; /* NULL: none decoded */
	int next;          /* in batch */
	int batch_size;

	TimestampTz last_sign; /* of life from a broker */
	int nlost;
	uint64 nmessages;
	uint64 nmalformed;
	KafkaEvent trouble; /* the last error that was not fatal */
} StreamScan;

/* MemoryContextCallback, also the regular end. */
static void
close_consumer(void *arg)
{
	StreamScan *scan = arg;

	if (scan->consumer != NULL)
		weir_consumer_close(scan->consumer);
	scan->consumer = NULL;
}

/* Raise because the topic cannot be read. */
static void
scan_error(StreamScan *scan, int sqlstate, const char *text)
{
	ereport(ERROR, (errcode(sqlstate),
					errmsg("could not read topic \"%s\"", scan->def->topic),
					errdetail("The Kafka client says: %s.", text)));
}

/* weir_fdw_begin_scan: prepare; nothing is connected before the first row. */
void
weir_fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	StreamScan *scan = palloc0(sizeof(StreamScan));
	Oid userid;

	node->fdw_state = scan;
	userid = linitial_oid(list_nth(plan->fdw_private, PRIVATE_USER));
	scan->node = node;
	scan->cxt = estate->es_query_cxt;
	scan->def = weir_stream_load(RelationGetRelid(node->ss.ss_currentRelation),
								 OidIsValid(userid) ? userid : GetUserId());
	scan->attrs = list_nth(plan->fdw_private, PRIVATE_ATTRS);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	scan->quals = weir_fdw_init_quals(plan->fdw_exprs,
									  list_nth(plan->fdw_private, PRIVATE_KINDS),
									  &node->ss.ps);
	scan->cleanup.func = close_consumer;
	scan->cleanup.arg = scan;
	MemoryContextRegisterResetCallback(scan->cxt, &scan->cleanup);
}

/* --- start --------------------------------------------------------------- */

/* Make the decoder and the buffers. */
static void
make_decoder(StreamScan *scan)
{
	Bitmapset *needed = NULL;
	ListCell *lc;

	foreach(lc, scan->attrs)
		needed = bms_add_member(needed, lfirst_int(lc));
	scan->decoder = weir_decoder_new(scan->def, needed, LAST_BATCH, scan->cxt);
	scan->messages = palloc(LAST_BATCH * sizeof(KafkaMessage));
	scan->events = palloc(MAX_EVENTS * sizeof(KafkaEvent));
}

/* Connect and learn the topic's partitions. */
static void
connect_scan(StreamScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	KafkaClient *client;
	char err[512];

	make_decoder(scan);
	scan->consumer = weir_consumer_open(scan->def->settings, scan->def->topic,
										weir_stream_group(scan->def),
										weir_settings.queue_kb, 0, err,
										sizeof(err));
	if (scan->consumer == NULL)
		scan_error(scan, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, err);
	client = weir_consumer_client(scan->consumer);
	if (!weir_client_partitions(client, scan->def->topic,
								weir_settings.broker_timeout_ms,
								&scan->npartitions, err, sizeof(err)))
		scan_error(scan, weir_client_sqlstate(client), err);
	if (scan->npartitions == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("topic \"%s\" does not exist", scan->def->topic)));
	scan->partitions = palloc0(scan->npartitions * sizeof(ScanPartition));
	MemoryContextSwitchTo(old);
}

/* Ask for first and last offsets of n partitions. */
static void
ask_bounds(StreamScan *scan, int n, const int32 *which, int64 *low, int64 *high)
{
	KafkaClient *client = weir_consumer_client(scan->consumer);
	char err[512];

	if (!weir_client_bounds(client, scan->def->topic, n, which, low, high,
							weir_settings.broker_timeout_ms, err, sizeof(err)))
		scan_error(scan, weir_client_sqlstate(client), err);
}

/* Learn the bounds of the partitions in which, where not yet known. */
static void
learn_bounds(StreamScan *scan, int n, const int32 *which)
{
	int32 *unknown = palloc(Max(1, n) * sizeof(int32));
	int64 *low = palloc(Max(1, n) * sizeof(int64));
	int64 *high = palloc(Max(1, n) * sizeof(int64));
	int m = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		if (!scan->partitions[which[i]].known)
			unknown[m++] = which[i];
	}
	ask_bounds(scan, m, unknown, low, high);
	for (i = 0; i < m; i++)
	{
		ScanPartition *p = &scan->partitions[unknown[i]];

		p->known = true;
		p->low = low[i];
		p->high = high[i];
	}
	pfree(unknown);
	pfree(low);
	pfree(high);
}

/*
 * Raise the starts to the first records that are not before a time.  A broker
 * that cannot say is no error: the quals are rechecked.
 */
static void
skip_to_time(StreamScan *scan, int64 time_us, int n, const int32 *which)
{
	KafkaClient *client = weir_consumer_client(scan->consumer);
	int64 *offsets = palloc(Max(1, n) * sizeof(int64));
	char err[512];
	int i;

	if (time_us > 0 &&
		weir_client_offsets_for_time(client, scan->def->topic, n, which, time_us,
									 offsets, weir_settings.broker_timeout_ms,
									 err, sizeof(err)))
	{
		for (i = 0; i < n; i++)
		{
			ScanPartition *p = &scan->partitions[which[i]];

			p->start = Max(p->start, offsets[i]);
		}
	}
	pfree(offsets);
}

/* Assign the open partitions at their positions. */
static void
assign_open(StreamScan *scan)
{
	int32 *which = palloc(Max(1, scan->nopen) * sizeof(int32));
	int64 *offsets = palloc(Max(1, scan->nopen) * sizeof(int64));
	char err[512];
	int n = 0;
	int i;

	for (i = 0; i < scan->npartitions; i++)
	{
		if (!scan->partitions[i].open)
			continue;
		which[n] = i;
		offsets[n++] = scan->partitions[i].position;
	}
	if (!weir_consumer_assign(scan->consumer, n, which, offsets, err,
							  sizeof(err)))
		scan_error(scan, ERRCODE_FDW_ERROR, err);
	pfree(which);
	pfree(offsets);
	scan->last_sign = GetCurrentTimestamp();
}

/* Open the partitions that have something in range. */
static void
open_partitions(StreamScan *scan, int n, const int32 *which)
{
	int i;

	for (i = 0; i < n; i++)
	{
		ScanPartition *p = &scan->partitions[which[i]];

		p->open = p->start < p->end;
		p->position = p->start;
		scan->nopen += p->open;
	}
	scan->nread = scan->nopen;
}

/* Choose what to read, and begin. */
static void
start_scan(StreamScan *scan)
{
	StreamBounds b;
	int32 *which;
	int n = 0;
	int i;

	if (scan->consumer == NULL)
		connect_scan(scan);
	weir_fdw_eval_quals(&b, scan->quals, scan->node->ss.ps.ps_ExprContext);
	which = palloc(scan->npartitions * sizeof(int32));
	for (i = 0; i < scan->npartitions; i++)
	{
		scan->partitions[i].open = false;
		if (weir_fdw_wants_partition(&b, i))
			which[n++] = i;
	}
	learn_bounds(scan, n, which);
	for (i = 0; i < n; i++)
	{
		ScanPartition *p = &scan->partitions[which[i]];

		p->start = Max(p->low, b.off_lo);
		p->end = Min(p->high, b.off_hi + 1);
	}
	skip_to_time(scan, b.time_lo, n, which);

	scan->nopen = 0;
	open_partitions(scan, n, which);
	pfree(which);
	if (scan->nopen > 0)
		assign_open(scan);
	scan->batch = NULL;
	scan->batch_size = FIRST_BATCH;
	scan->started = true;
}

/* --- fetch --------------------------------------------------------------- */

/* A partition has reached its end. */
static void
finish_partition(StreamScan *scan, int32 number)
{
	ScanPartition *p = &scan->partitions[number];
	int64 low;
	int64 high;

	p->open = false;
	scan->nopen--;
	/* There is more that nobody wants: do not let it crowd the others out. */
	if (scan->nopen > 0 &&
		weir_consumer_watermarks(scan->consumer, number, &low, &high) &&
		high > p->position)
		weir_consumer_finish(scan->consumer, number);
}

/* The position of a partition is now at least this. */
static void
advance(StreamScan *scan, int32 number, int64 position)
{
	ScanPartition *p = &scan->partitions[number];

	p->position = Max(p->position, position);
	if (p->open && p->position >= p->end)
		finish_partition(scan, number);
}

/* Keep the messages that are in range, in order; returns how many. */
static int
trim(StreamScan *scan, int n)
{
	int kept = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		KafkaMessage *m = &scan->messages[i];
		ScanPartition *p;

		if (m->partition < 0 || m->partition >= scan->npartitions)
			continue;
		p = &scan->partitions[m->partition];
		if (!p->open || m->offset < p->position)
			continue;
		if (m->offset < p->end)
		{
			if (kept != i)
				scan->messages[kept] = *m;
			kept++;
		}
		advance(scan, m->partition, m->offset + 1);
	}
	return kept;
}

/* Messages of a partition expired before we read them: go on at the first. */
static void
skip_lost(StreamScan *scan, const KafkaEvent *e)
{
	int64 low;
	int64 high;

	if (e->partition < 0 || e->partition >= scan->npartitions ||
		!scan->partitions[e->partition].open)
		return;
	if (++scan->nlost > MAX_LOST)
		scan_error(scan, ERRCODE_FDW_ERROR, e->text);
	ask_bounds(scan, 1, &e->partition, &low, &high);
	/* A smaller topic than before was recreated. */
	if (high < scan->partitions[e->partition].end)
		scan_error(scan, ERRCODE_FDW_ERROR, e->text);
	advance(scan, e->partition, low);
	if (scan->nopen > 0)
		assign_open(scan);
}

/* Does this error stay however long one waits? */
static bool
is_final(const KafkaEvent *e)
{
	switch (weir_kafka_sqlstate(e->code))
	{
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_UNDEFINED_OBJECT:
			return true;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			/* The group is for Kafka's tools only; a scan commits nothing. */
			return e->partition >= 0;
		default:
			return e->fatal;
	}
}

static void
handle_event(StreamScan *scan, const KafkaEvent *e)
{
	switch (e->kind)
	{
		case KAFKA_EVENT_EOF:
			scan->last_sign = GetCurrentTimestamp();
			if (e->partition >= 0 && e->partition < scan->npartitions &&
				scan->partitions[e->partition].open)
				advance(scan, e->partition, e->offset);
			break;
		case KAFKA_EVENT_OFFSET_LOST:
			skip_lost(scan, e);
			break;
		case KAFKA_EVENT_PARTITION_ERROR:
		case KAFKA_EVENT_CLIENT_ERROR:
			scan->trouble = *e;
			if (is_final(e))
				scan_error(scan, weir_kafka_sqlstate(e->code), e->text);
			break;
	}
}

/* Wait for something to arrive; raise when nothing has for too long. */
static void
wait_for_messages(StreamScan *scan)
{
	int events;

	if (TimestampDifferenceExceeds(scan->last_sign, GetCurrentTimestamp(),
								   SILENCE_MS))
		scan_error(scan, ERRCODE_CONNECTION_FAILURE,
				   scan->trouble.text[0] != '\0' ? scan->trouble.text
												 : "no answer from the broker");
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT |
								   WL_EXIT_ON_PM_DEATH,
							   weir_consumer_fd(scan->consumer), WAIT_MS,
							   PG_WAIT_EXTENSION);
	if ((events & WL_LATCH_SET) != 0)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	weir_consumer_drain_fd(scan->consumer);
}

/* Poll once; returns the number of messages to decode. */
static int
poll_once(StreamScan *scan)
{
	int nevents;
	int n;
	int kept;
	int i;

	n = weir_consumer_poll(scan->consumer, scan->messages, scan->batch_size,
						   scan->events, MAX_EVENTS, &nevents);
	if (n > 0)
		scan->last_sign = GetCurrentTimestamp();
	kept = trim(scan, n);
	for (i = 0; i < nevents; i++)
		handle_event(scan, &scan->events[i]);
	if (n == 0 && nevents == 0 && scan->nopen > 0)
		wait_for_messages(scan);
	return kept;
}

/* Get the next batch; false: the scan has read everything. */
static bool
fetch(StreamScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(
		scan->node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	int n = 0;

	if (!scan->started)
		start_scan(scan);
	if (scan->batch != NULL)
		scan->batch = weir_decode_more(scan->decoder);
	while (scan->batch == NULL && n == 0 && scan->nopen > 0)
	{
		CHECK_FOR_INTERRUPTS();
		n = poll_once(scan);
	}
	if (n > 0)
	{
		scan->batch = weir_decode(scan->decoder, scan->messages, n);
		scan->batch_size = Min(2 * scan->batch_size, LAST_BATCH);
		scan->nmessages += n;
	}
	if (scan->batch != NULL)
		scan->nmalformed += scan->batch->nerrors;
	scan->next = 0;
	MemoryContextSwitchTo(old);
	return scan->batch != NULL;
}

/* --- rows ---------------------------------------------------------------- */

/* Put record i of the batch into the slot. */
static void
fill_slot(StreamScan *scan, TupleTableSlot *slot, int i)
{
	ListCell *lc;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true,
		   slot->tts_tupleDescriptor->natts * sizeof(bool));
	foreach(lc, scan->attrs)
	{
		int a = lfirst_int(lc) - 1;

		slot->tts_values[a] = scan->batch->columns[a].values[i];
		slot->tts_isnull[a] = scan->batch->columns[a].nulls[i];
	}
	ExecStoreVirtualTuple(slot);
}

/* weir_fdw_iterate: the next well-formed message as a row. */
TupleTableSlot *
weir_fdw_iterate(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	for (;;)
	{
		while (scan->batch != NULL && scan->next < scan->batch->n)
		{
			int i = scan->next++;

			if (!scan->batch->ok[i])
				continue;
			fill_slot(scan, slot, i);
			return slot;
		}
		if (!fetch(scan))
			return ExecClearTuple(slot);
	}
}

/* weir_fdw_rescan: begin again with the next row; the ends seen stay. */
void
weir_fdw_rescan(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;

	scan->started = false;
	scan->batch = NULL;
}

/* weir_fdw_end_scan: disconnect. */
void
weir_fdw_end_scan(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;

	if (scan != NULL)
		close_consumer(scan);
}

/* --- explain ------------------------------------------------------------- */

/* The pushed quals as text. */
static void
explain_quals(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *context;
	List *texts = NIL;
	ListCell *lc;

	if (plan->fdw_exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	foreach(lc, plan->fdw_exprs)
		texts = lappend(texts, deparse_expression(lfirst(lc), context,
												  list_length(es->rtable) > 1 ||
													  es->verbose,
												  false));
	ExplainPropertyList("Kafka Filter", texts, es);
}

/* The ranges that were read, one per partition. */
static void
explain_ranges(StreamScan *scan, ExplainState *es)
{
	List *texts = NIL;
	int i;

	for (i = 0; i < scan->npartitions; i++)
	{
		const ScanPartition *p = &scan->partitions[i];

		if (p->known && p->start < p->end)
			texts = lappend(texts, psprintf("%d: " INT64_FORMAT "-" INT64_FORMAT,
											i, p->start, p->end - 1));
	}
	if (texts != NIL)
		ExplainPropertyList("Offsets", texts, es);
}

/* weir_fdw_explain_scan: topic, quals, and what was read. */
void
weir_fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	StreamScan *scan = node->fdw_state;

	ExplainPropertyText("Topic", scan->def->topic, es);
	explain_quals(node, es);
	if (!es->analyze)
		return;
	ExplainPropertyInteger("Partitions Read", NULL, scan->nread, es);
	if (es->verbose)
		explain_ranges(scan, es);
	ExplainPropertyInteger("Messages Read", NULL, scan->nmessages, es);
	if (scan->nmalformed > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyInteger("Malformed Messages", NULL, scan->nmalformed, es);
}
