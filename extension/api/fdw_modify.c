/*
 * api/fdw_modify.c
 *		INSERT into a stream and COPY to it: rows become messages.
 *
 * Runs in a backend's executor.  Messages are queued row by row and sent in the
 * background; the statement ends only when every one is acknowledged by all
 * in-sync replicas, in EndForeignModify or EndForeignInsert, which run inside
 * the statement and so can still fail it.  Kafka knows nothing of our
 * transactions: what was delivered stays, whatever becomes of the statement.
 *
 * Metadata columns that can be chosen, partition, key, timestamp and headers,
 * are used when they are not NULL; topic and offset cannot be.
 *
 * The producer is librdkafka's memory and threads.  It is closed at the end and,
 * after an error, by a callback of the query's memory context; what is queued
 * then is dropped.
 */
#include "api/fdw.h"

#include "base/guc.h"
#include "decode/decode.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

/* A broker that creates topics when asked for them needs a moment. */
#define CREATE_TRIES   5
#define CREATE_WAIT_MS 200

typedef struct StreamInsert
{
	StreamDef *def;
	KafkaProducer *producer;
	int npartitions;
	bool has_key;          /* columns of the key */
	MemoryContext row_cxt; /* reset for each row */
	MemoryContextCallback cleanup;
} StreamInsert;

/* What the metadata columns of a row say about its message. */
typedef struct MessageMeta
{
	int32 partition; /* -1: by key */
	const char *key; /* NULL: none */
	size_t key_len;
	int64 timestamp; /* us since 1970, or -1: now */
	List *headers;
} MessageMeta;

/* weir_fdw_updatable: a topic can only be appended to. */
int
weir_fdw_updatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

/* weir_fdw_plan_modify: nothing to plan; refuse what cannot be. */
List *
weir_fdw_plan_modify(PlannerInfo *root, ModifyTable *plan,
					 Index result_relation, int subplan_index)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("INSERT ... ON CONFLICT is not supported for streams"),
				 errdetail("A topic has no unique keys.")));
	return NIL;
}

/* --- begin --------------------------------------------------------------- */

/* MemoryContextCallback, also the regular end. */
static void
close_producer(void *arg)
{
	StreamInsert *ins = arg;

	if (ins->producer != NULL)
		weir_producer_close(ins->producer);
	ins->producer = NULL;
}

/* Raise because the topic cannot be written. */
static void
insert_error(const StreamInsert *ins, int sqlstate, const char *text)
{
	ereport(ERROR, (errcode(sqlstate),
					errmsg("could not write to topic \"%s\"", ins->def->topic),
					errdetail("The Kafka client says: %s.", text)));
}

/* Find the topic's partitions, and so whether a broker answers at all. */
static void
find_partitions(StreamInsert *ins)
{
	KafkaClient *client = weir_producer_client(ins->producer);
	char err[512];
	int i;

	for (i = 0; i < CREATE_TRIES; i++)
	{
		if (i > 0)
			(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 CREATE_WAIT_MS, PG_WAIT_EXTENSION);
		CHECK_FOR_INTERRUPTS();
		if (!weir_client_partitions(client, ins->def->topic,
									weir_settings.broker_timeout_ms,
									&ins->npartitions, err, sizeof(err)))
			insert_error(ins, weir_client_sqlstate(client), err);
		if (ins->npartitions > 0)
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("topic \"%s\" does not exist", ins->def->topic)));
}

/* Connect, for a statement that runs. */
static void
begin_insert(EState *estate, ResultRelInfo *rri)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	StreamInsert *ins = palloc0(sizeof(StreamInsert));
	Oid userid = weir_result_rel_user(rri, estate);
	char err[512];

	ins->def = weir_stream_load(RelationGetRelid(rri->ri_RelationDesc),
								OidIsValid(userid) ? userid : GetUserId());
	for (int i = 0; i < ins->def->ncolumns; i++)
		if (ins->def->columns[i].source == STREAM_SRC_KEY_FIELD)
			ins->has_key = true;
	ins->row_cxt = AllocSetContextCreate(estate->es_query_cxt, "weir insert",
										 ALLOCSET_DEFAULT_SIZES);
	ins->cleanup.func = close_producer;
	ins->cleanup.arg = ins;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &ins->cleanup);
	ins->producer = weir_producer_open(ins->def->settings, ins->def->topic, err,
									   sizeof(err));
	if (ins->producer == NULL)
		insert_error(ins, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, err);
	find_partitions(ins);
	rri->ri_FdwState = ins;
	MemoryContextSwitchTo(old);
}

/* weir_fdw_begin_modify: INSERT. */
void
weir_fdw_begin_modify(ModifyTableState *mtstate, ResultRelInfo *rri,
					  List *fdw_private, int subplan_index, int eflags)
{
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		begin_insert(mtstate->ps.state, rri);
}

/* weir_fdw_begin_insert: COPY, or a row that a partitioned table routes here. */
void
weir_fdw_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rri)
{
	begin_insert(mtstate->ps.state, rri);
}

/* --- rows ---------------------------------------------------------------- */

/* Raise for a metadata column that cannot be chosen, or not so. */
static void
bad_metadata(const StreamColumn *col, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cannot insert this value into column \"%s\"", col->name),
			 errdetail("%s", detail)));
}

/* The key's bytes. */
static void
set_key(MessageMeta *meta, const StreamColumn *col, Datum value)
{
	if (col->type == BYTEAOID)
	{
		bytea *bytes = DatumGetByteaPP(value);

		meta->key = VARDATA_ANY(bytes);
		meta->key_len = VARSIZE_ANY_EXHDR(bytes);
		return;
	}
	if (col->type == JSONBOID)
		meta->key = DatumGetCString(DirectFunctionCall1(jsonb_out, value));
	else
		meta->key = TextDatumGetCString(value);
	meta->key = pg_server_to_any(meta->key, strlen(meta->key), PG_UTF8);
	meta->key_len = strlen(meta->key);
}

/* The message's own time; a zone-less one is UTC, as when it is read. */
static void
set_timestamp(MessageMeta *meta, const StreamColumn *col, Datum value)
{
	TimestampTz t = DatumGetTimestampTz(value);

	/* Kafka counts milliseconds; librdkafka takes zero for "now". */
	if (TIMESTAMP_NOT_FINITE(t) || t < 1000 - WEIR_EPOCH_SHIFT ||
		t > PG_INT64_MAX - WEIR_EPOCH_SHIFT)
		bad_metadata(col, "A message's timestamp is after 1970 and finite.");
	meta->timestamp = t + WEIR_EPOCH_SHIFT;
}

static void
set_partition(MessageMeta *meta, const StreamInsert *ins,
			  const StreamColumn *col, Datum value)
{
	meta->partition = DatumGetInt32(value);
	if (meta->partition < 0 || meta->partition >= ins->npartitions)
		bad_metadata(col, psprintf("Topic \"%s\" has the partitions 0 to %d.",
								   ins->def->topic, ins->npartitions - 1));
}

/* Take one column's value, not NULL, if it is metadata. */
static void
set_metadata(MessageMeta *meta, const StreamInsert *ins,
			 const StreamColumn *col, Datum value)
{
	switch (col->source)
	{
		case STREAM_SRC_TOPIC:
			bad_metadata(col, "A stream writes to its own topic only.");
			break;
		case STREAM_SRC_OFFSET:
			bad_metadata(col, "Kafka chooses the offset.");
			break;
		case STREAM_SRC_RECORD:
			bad_metadata(col, "A row is written as a message of one record.");
			break;
		case STREAM_SRC_PARTITION:
			set_partition(meta, ins, col, value);
			break;
		case STREAM_SRC_TIMESTAMP:
			set_timestamp(meta, col, value);
			break;
		case STREAM_SRC_KEY:
			set_key(meta, col, value);
			break;
		case STREAM_SRC_HEADERS:
			meta->headers = weir_fdw_headers(DatumGetJsonbP(value));
			break;
		case STREAM_SRC_PAYLOAD:
		case STREAM_SRC_KEY_FIELD:
		case STREAM_SRC_ENVELOPE:
		case STREAM_SRC_DROPPED:
			break;
	}
}

/* The metadata of a row; also checks NOT NULL, which the executor does not. */
static void
read_metadata(const StreamInsert *ins, TupleTableSlot *slot, MessageMeta *meta)
{
	int i;

	memset(meta, 0, sizeof(*meta));
	meta->partition = -1;
	meta->timestamp = -1;
	for (i = 0; i < ins->def->ncolumns; i++)
	{
		const StreamColumn *col = &ins->def->columns[i];

		if (!slot->tts_isnull[i])
			set_metadata(meta, ins, col, slot->tts_values[i]);
		else if (col->not_null && (col->source == STREAM_SRC_PAYLOAD ||
								   col->source == STREAM_SRC_KEY_FIELD))
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of stream \"%s\" violates not-null constraint",
							col->name, ins->def->relname)));
	}
}

/* weir_fdw_insert: queue one row's message. */
TupleTableSlot *
weir_fdw_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
				TupleTableSlot *plan_slot)
{
	StreamInsert *ins = rri->ri_FdwState;
	MemoryContext old = MemoryContextSwitchTo(ins->row_cxt);
	MessageMeta meta;
	char *payload;
	size_t len;

	MemoryContextReset(ins->row_cxt);
	slot_getallattrs(slot);
	read_metadata(ins, slot, &meta);
	if (meta.key == NULL && ins->has_key)
		meta.key = weir_encode_key(ins->def, slot->tts_tupleDescriptor,
								   slot->tts_values, slot->tts_isnull,
								   &meta.key_len);
	payload = weir_encode_row(ins->def, slot->tts_tupleDescriptor,
							  slot->tts_values, slot->tts_isnull, &len);
	weir_produce(ins->producer, meta.partition, meta.key, meta.key_len, payload,
				 len, meta.timestamp, meta.headers);
	MemoryContextSwitchTo(old);
	return slot;
}

/* weir_fdw_end_modify: wait for every acknowledgement, or fail the statement. */
void
weir_fdw_end_modify(EState *estate, ResultRelInfo *rri)
{
	StreamInsert *ins = rri->ri_FdwState;

	if (ins == NULL)
		return;
	weir_producer_flush(ins->producer);
	close_producer(ins);
}
