/*
 * api/infer.c
 *		weir.infer and IMPORT FOREIGN SCHEMA: from a topic's messages to the
 *		CREATE FOREIGN TABLE that fits them.
 *
 * Backends, as the user, who needs USAGE on the server; with his user mapping.
 * What the messages look like is found out in SQL (weir.infer_statement, in the
 * extension's script), over a sample that weir.sample_messages reads: half of it
 * the oldest messages and half the newest, spread over the partitions.
 */
#include "base/weir.h"

#include "api/fdw.h"
#include "api/sample.h"
#include "base/guc.h"
#include "catalog/namespace.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(weir_sample_messages);
PG_FUNCTION_INFO_V1(weir_infer);

#define DEFAULT_SAMPLE 1000
#define MOST_SAMPLED   100000
/* What a sample may hold; larger messages make it a smaller one. */
#define MOST_BYTES     (64 * 1024 * 1024)

/* --- the sample -------------------------------------------------------------------- */

static Oid
usable_server(const char *name)
{
	Oid serverid = get_foreign_server_oid(name, false);

	if (weir_server_aclcheck(serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	return serverid;
}

static void
check_sample(int n)
{
	if (n < 1 || n > MOST_SAMPLED)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the sample must have from 1 to %d messages",
							   MOST_SAMPLED)));
}

typedef struct Sampled
{
	ReturnSetInfo *rsinfo;
	size_t bytes;
} Sampled;

static bool
is_text(const char *bytes, size_t len)
{
	return memchr(bytes, '\0', len) == NULL &&
		   pg_verify_mbstr(PG_UTF8, bytes, (int) len, true);
}

/*
 * In the database's encoding.  NULL: it is no text, or has characters that are not
 * in it, which of some messages is no reason to fail.
 */
static text *
as_text(const char *bytes, size_t len)
{
	int encoding = GetDatabaseEncoding();
	Oid proc;
	unsigned char *to;
	int done;
	text *result = NULL;

	if (!is_text(bytes, len))
		return NULL;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return cstring_to_text_with_len(bytes, (int) len);
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(proc) || len > MaxAllocSize / MAX_CONVERSION_GROWTH - 1)
		return NULL;
	to = palloc(len * MAX_CONVERSION_GROWTH + 1);
	done = pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
										 (unsigned char *) unconstify(char *,
																	  bytes),
										 (int) len, to,
										 (int) len * MAX_CONVERSION_GROWTH + 1,
										 true);
	if (done == len)
		result = cstring_to_text((char *) to);
	pfree(to);
	return result;
}

/* SampleTake */
static bool
put_message(void *arg, const KafkaMessage *m)
{
	Sampled *s = arg;
	Datum values[5] = {0};
	bool nulls[5] = {false};
	bytea *payload;
	text *as_it_reads = m->payload ? as_text(m->payload, m->len) : NULL;

	values[0] = Int32GetDatum(m->partition);
	values[1] = Int64GetDatum(m->offset);
	nulls[2] = m->timestamp < 0;
	values[2] = TimestampTzGetDatum(m->timestamp - WEIR_EPOCH_SHIFT);
	nulls[3] = m->payload == NULL;
	nulls[4] = as_it_reads == NULL;
	values[4] = PointerGetDatum(as_it_reads);
	if (m->payload)
	{
		payload = palloc(m->len + VARHDRSZ);
		SET_VARSIZE(payload, m->len + VARHDRSZ);
		memcpy(VARDATA(payload), m->payload, m->len);
		values[3] = PointerGetDatum(payload);
	}
	tuplestore_putvalues(s->rsinfo->setResult, s->rsinfo->setDesc, values,
						 nulls);
	s->bytes += m->len;
	return s->bytes < MOST_BYTES;
}

Datum
weir_sample_messages(PG_FUNCTION_ARGS)
{
	char *server = NameStr(*PG_GETARG_NAME(0));
	int n = PG_GETARG_INT32(2);
	Sampled s = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	SampleWish wish = {.topic = text_to_cstring(PG_GETARG_TEXT_PP(1)),
					   .group = "weir",
					   .oldest = n / 2,
					   .newest = n - n / 2};

	check_sample(n);
	wish.settings = weir_server_settings(usable_server(server), GetUserId());
	InitMaterializedSRF(fcinfo, 0);
	weir_sample_topic(&wish, put_message, &s);
	return (Datum) 0;
}

/* --- the statement ------------------------------------------------------------------ */

/* In the current memory context; NULL: the topic has no messages. */
static char *
infer(const char *server, const char *topic, int sample, const char *table)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid types[] = {NAMEOID, TEXTOID, INT4OID, TEXTOID};
	Datum values[lengthof(types)];
	NameData name;
	char *statement;

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(topic);
	values[2] = Int32GetDatum(sample);
	values[3] = CStringGetTextDatum(table);
	SPI_connect();
	weir_spi("SELECT weir.infer_statement($1, $2, $3, $4)", lengthof(types),
			 types, values, NULL, SPI_OK_SELECT);
	statement = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (statement)
		statement = MemoryContextStrdup(cxt, statement);
	SPI_finish();
	return statement;
}

Datum
weir_infer(PG_FUNCTION_ARGS)
{
	char *topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *statement;

	check_sample(PG_GETARG_INT32(2));
	statement = infer(NameStr(*PG_GETARG_NAME(0)), topic, PG_GETARG_INT32(2),
					  topic);
	if (statement == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("topic \"%s\" has no messages to infer from", topic)));
	PG_RETURN_TEXT_P(cstring_to_text(statement));
}

/* --- IMPORT FOREIGN SCHEMA ------------------------------------------------------------ */

static int
import_sample(ImportForeignSchemaStmt *stmt)
{
	int sample = DEFAULT_SAMPLE;
	ListCell *lc;

	foreach(lc, stmt->options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);

		if (strcmp(opt->defname, "sample") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", opt->defname),
					 errhint(
						 "IMPORT FOREIGN SCHEMA takes \"sample\", the number of messages to look at.")));
		sample = pg_strtoint32(defGetString(opt));
	}
	check_sample(sample);
	return sample;
}

/* Does the statement ask for this topic? */
static bool
is_wanted(const ImportForeignSchemaStmt *stmt, const char *topic)
{
	ListCell *lc;

	foreach(lc, stmt->table_list)
		if (strcmp(((RangeVar *) lfirst(lc))->relname, topic) == 0)
			return stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO;
	/* Kafka's own, and what tools keep there, only by name. */
	return stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO && topic[0] != '_';
}

static List *
list_topics(Oid serverid)
{
	char err[256];
	List *topics = NIL;
	int sqlstate = ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
	bool ok = false;
	KafkaClient *client = weir_client_open(weir_server_settings(serverid,
																GetUserId()),
										   err, sizeof(err));

	PG_TRY();
	{
		ok = client &&
			 weir_client_topics(client, weir_settings.broker_timeout_ms,
								&topics, err, sizeof(err));
		if (client && !ok)
			sqlstate = weir_client_sqlstate(client);
	}
	PG_FINALLY();
	{
		if (client)
			weir_client_close(client);
	}
	PG_END_TRY();
	if (!ok)
		ereport(ERROR, (errcode(sqlstate), errmsg("could not list the topics"),
						errdetail("The Kafka client says: %s.", err)));
	return topics;
}

/* weir_fdw_import: a statement for each topic that is wanted and has messages. */
List *
weir_fdw_import(ImportForeignSchemaStmt *stmt, Oid serverid)
{
	int sample = import_sample(stmt);
	char *server = GetForeignServer(serverid)->servername;
	List *statements = NIL;
	ListCell *lc;

	foreach(lc, list_topics(serverid))
	{
		char *topic = lfirst(lc);
		char *statement;

		if (!is_wanted(stmt, topic))
			continue;
		if (strlen(topic) >= NAMEDATALEN)
		{
			ereport(NOTICE,
					(errmsg("topic \"%s\" is left out: its name is too long for a table",
							topic)));
			continue;
		}
		statement = infer(server, topic, sample, topic);
		if (statement)
			statements = lappend(statements, statement);
		else
			ereport(NOTICE,
					(errmsg("topic \"%s\" is left out: it has no messages",
							topic)));
	}
	return statements;
}
