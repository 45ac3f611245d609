/*
 * catalog/stream.c
 *		A stream: a foreign table of the wrapper weir, its options resolved.
 *
 * Called by the foreign-data wrapper, by weir.create_view and by workers, in a
 * transaction; takes AccessShareLock on the foreign table and keeps it until
 * the transaction ends.  Everything is read from the syscaches each time, so
 * that ALTER takes effect with the next load; the result lies in the caller's
 * memory context and points to nothing in the caches.
 *
 * What a single option can say is checked when it is set (stream_options.c);
 * what options and columns say together, here, when the stream is first used:
 * the validator does not see the columns' types.
 */
#include "base/weir.h"

#include "catalog/stream_options.h"
#include "kafka/kafka.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define WRAPPER_NAME "weir"

/* The types that a metadata column may have; InvalidOid ends a list. */
static const struct
{
	StreamSource source;
	const char *name;
	const char *wanted;
	Oid types[4];
} metadata_types[] = {
	{STREAM_SRC_TOPIC, "topic", "text", {TEXTOID}},
	{STREAM_SRC_PARTITION, "partition", "integer", {INT4OID}},
	{STREAM_SRC_OFFSET, "offset", "bigint", {INT8OID}},
	{STREAM_SRC_TIMESTAMP,
	 "timestamp",
	 "timestamp with time zone or timestamp without time zone",
	 {TIMESTAMPTZOID, TIMESTAMPOID}},
	{STREAM_SRC_KEY, "key", "text, bytea or jsonb", {TEXTOID, BYTEAOID, JSONBOID}},
	{STREAM_SRC_HEADERS, "headers", "jsonb", {JSONBOID}},
	{STREAM_SRC_RECORD, "record", "integer", {INT4OID}},
};

static bool
is_time_type(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
}

/* Raise because a column's type does not fit what it is to hold. */
static void
bad_type(const StreamColumn *col, const char *what, const char *wanted)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					errmsg("column \"%s\" cannot hold %s", col->name, what),
					errdetail("Its type is %s; it must be %s.",
							  format_type_with_typemod(col->type, col->typmod),
							  wanted)));
}

/* Check the type of a metadata column. */
static void
check_metadata_type(const StreamColumn *col)
{
	int i;
	int j;

	for (i = 0; i < lengthof(metadata_types); i++)
	{
		if (metadata_types[i].source != col->source)
			continue;
		for (j = 0; OidIsValid(metadata_types[i].types[j]); j++)
		{
			if (metadata_types[i].types[j] == col->type)
				return;
		}
		bad_type(col, psprintf("the message's %s", metadata_types[i].name),
				 metadata_types[i].wanted);
	}
}

/* Raise because two options of a column exclude each other. */
static void
bad_combination(const StreamColumn *col, const char *option, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("option \"%s\" of column \"%s\" makes no sense",
						   option, col->name),
					errdetail("%s", why)));
}

/* Names of formats, as the options "format" and "key_format" have them. */
static const char *
format_name(StreamFormat format)
{
	switch (format)
	{
		case STREAM_JSON:
			return "json";
		case STREAM_CSV:
			return "csv";
		case STREAM_AVRO:
			return "avro";
		case STREAM_DEBEZIUM:
			return "debezium-json";
		case STREAM_AVRO_CONFLUENT:
			return "avro-confluent";
		case STREAM_RAW:
			break;
	}
	return "raw";
}

/* Resolve a column that comes from the payload, or from the key. */
static void
resolve_payload(const StreamDef *def, StreamColumn *col,
				const ColumnDraft *draft)
{
	StreamFormat format = draft->key ? def->key_format : def->format;

	if (draft->path != NULL && (format == STREAM_CSV || format == STREAM_RAW))
		bad_combination(col, "path",
						psprintf("The %s %s.",
								 draft->key ? "key's format is"
											: "stream's format is",
								 format_name(format)));
	if (draft->key)
		col->source = STREAM_SRC_KEY_FIELD;
	if (draft->unit != NULL && !is_time_type(col->type))
		bad_type(col, "a time given as a number",
				 "timestamp with time zone or timestamp without time zone");
	col->path_literal = draft->path == NULL;
	col->path = draft->path != NULL ? pstrdup(draft->path) : col->name;
	col->unit_num = draft->unit_num;
	col->unit_den = draft->unit_den;
}

/* Resolve a column that is a member of Debezium's envelope. */
static void
resolve_envelope(const StreamDef *def, StreamColumn *col,
				 const ColumnDraft *draft)
{
	if (def->format != STREAM_DEBEZIUM)
		bad_combination(col, "metadata",
						psprintf("Only format debezium-json has \"%s\".",
								 draft->metadata));
	col->source = STREAM_SRC_PAYLOAD;
	col->envelope = true;
	col->path = pstrdup(draft->metadata);
	if (strcmp(draft->metadata, "ts_ms") != 0)
		return;
	if (!is_time_type(col->type))
		bad_type(col, "the time of a change",
				 "timestamp with time zone or timestamp without time zone");
	col->unit_num = 1000;
	col->unit_den = 1;
}

/* Fill one column from its attribute and options. */
static void
resolve_column(const StreamDef *def, StreamColumn *col, Form_pg_attribute att,
			   List *options)
{
	ColumnDraft draft;

	col->name = pstrdup(NameStr(att->attname));
	col->source = STREAM_SRC_DROPPED;
	if (att->attisdropped)
		return;
	col->type = att->atttypid;
	col->typmod = att->atttypmod;
	col->collation = att->attcollation;
	col->not_null = att->attnotnull;
	if (att->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" cannot be generated", col->name),
				 errdetail("The columns of a stream come from its messages.")));

	weir_column_read_options(&draft, options);
	col->source = draft.source;
	if (col->source == STREAM_SRC_PAYLOAD)
	{
		resolve_payload(def, col, &draft);
		return;
	}
	if (draft.path != NULL)
		bad_combination(col, "path", "It is a metadata column.");
	if (draft.unit != NULL)
		bad_combination(col, "unit", "It is a metadata column.");
	if (draft.key)
		bad_combination(col, "key", "It is a metadata column.");
	if (col->source == STREAM_SRC_ENVELOPE)
	{
		resolve_envelope(def, col, &draft);
		return;
	}
	check_metadata_type(col);
}

static int
count_columns(const StreamDef *def, StreamSource source)
{
	int n = 0;
	int i;

	for (i = 0; i < def->ncolumns; i++)
		n += def->columns[i].source == source;
	return n;
}

/* Format raw: exactly one column takes the message, and at most one the key. */
static void
check_raw(const StreamDef *def)
{
	int n = count_columns(def, STREAM_SRC_PAYLOAD);

	if (def->key_format == STREAM_RAW &&
		count_columns(def, STREAM_SRC_KEY_FIELD) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
				 errmsg("stream \"%s\" has more than one column for the message's key",
						def->relname),
				 errdetail("The key's format is raw."),
				 errhint("Set the option \"key_format\" of the foreign table.")));
	if (def->format == STREAM_RAW && n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
				 errmsg("stream \"%s\" of format raw has %d columns for the message",
						def->relname, n),
				 errdetail(
					 "Exactly one column must be without the option \"metadata\".")));
}

/* Raise because options of the table exclude each other. */
static void
bad_table_option(const StreamDef *def, const char *option, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("option \"%s\" of stream \"%s\" makes no sense",
						   option, def->relname),
					errdetail("%s", why)));
}

/* The characters of csv are different ones, and the null text has none. */
static void
check_csv(const StreamDef *def, const char *option)
{
	const StreamCsv *csv = &def->csv;

	if (def->format != STREAM_CSV && def->key_format != STREAM_CSV)
	{
		if (option != NULL)
			bad_table_option(def, option,
							 "Neither the stream's nor the key's format is csv.");
		return;
	}
	if (csv->delimiter == csv->quote)
		bad_table_option(def, "quote", "It is the delimiter.");
	if (csv->delimiter == csv->escape)
		bad_table_option(def, "escape", "It is the delimiter.");
	if (strchr(csv->null, csv->delimiter) != NULL ||
		strchr(csv->null, csv->quote) != NULL)
		bad_table_option(def, "null", "It contains the delimiter or the quote.");
}

/* Avro needs a schema, and nothing else does. */
static void
check_avro(const StreamDef *def, const char *option, bool avro,
		   const char *schema)
{
	if (schema != NULL && !avro)
		bad_table_option(def, option, "The format is not avro.");
	if (schema == NULL && avro)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("stream \"%s\" of format avro has no schema",
							   def->relname),
						errhint("Set the option \"%s\" of the foreign table.",
								option)));
}

/* Schemas by their ids need a place where they are. */
static void
check_registry(const StreamDef *def)
{
	if (def->registry.url == NULL && (def->format == STREAM_AVRO_CONFLUENT ||
									  def->key_format == STREAM_AVRO_CONFLUENT))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("stream \"%s\" of format avro-confluent has no schema registry",
						def->relname),
				 errhint(
					 "Set the option \"schema_registry\" of the server, or use format avro with the option \"avro_schema\".")));
}

/* Only some formats can hold several records. */
static void
check_records(const StreamDef *def)
{
	if (def->records == STREAM_ONE || def->format == STREAM_JSON ||
		(def->format == STREAM_CSV && def->records == STREAM_LINES))
		return;
	bad_table_option(def, "records",
					 def->format == STREAM_CSV
						 ? "In format csv it is \"one\" or \"lines\"."
						 : psprintf("In format %s a message is one record.",
									format_name(def->format)));
}

/* Find the event time's column. */
static void
resolve_event_time(StreamDef *def, const char *name)
{
	int i;

	if (name == NULL)
		return;
	for (i = 0; i < def->ncolumns; i++)
	{
		const StreamColumn *col = &def->columns[i];

		if (col->source == STREAM_SRC_DROPPED || strcmp(col->name, name) != 0)
			continue;
		if (!is_time_type(col->type) && col->type != DATEOID)
			bad_type(col, "the event time",
					 "timestamp with time zone, timestamp without time zone or date");
		def->event_time = i + 1;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
			 errmsg("event time column \"%s\" of stream \"%s\" does not exist",
					name, def->relname),
			 errhint("Change the option \"event_time\" of the foreign table.")));
}

/* The options of a user's mapping, or of the public one, or NIL. */
static List *
mapping_options(Oid userid, Oid serverid)
{
	HeapTuple tup;
	Datum datum;
	bool isnull;
	List *options = NIL;

	tup = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
						  ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tup))
		tup = SearchSysCache2(USERMAPPINGUSERSERVER,
							  ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tup))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tup,
							Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tup);
	return options;
}

/* Append options as settings for kafka/, but for those of the registry. */
static List *
append_settings(List *settings, List *options)
{
	ListCell *lc;

	foreach(lc, options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);
		KafkaSetting *s = palloc(sizeof(KafkaSetting));
		const char *name = opt->defname;

		if (weir_registry_option(name, true) ||
			weir_registry_option(name, false))
			continue;
		if (strcmp(name, "bootstrap_servers") == 0)
			name = "bootstrap.servers";
		s->name = pstrdup(name);
		s->value = pstrdup(defGetString(opt));
		settings = lappend(settings, s);
	}
	return settings;
}

/* The registry's address, from options of server and user mapping. */
static void
read_registry(RegistryAddress *registry, List *options)
{
	ListCell *lc;

	foreach(lc, options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);

		if (strcmp(opt->defname, "schema_registry") == 0)
			registry->url = pstrdup(defGetString(opt));
		else if (strcmp(opt->defname, "schema_registry_username") == 0)
			registry->username = pstrdup(defGetString(opt));
		else if (strcmp(opt->defname, "schema_registry_password") == 0)
			registry->password = pstrdup(defGetString(opt));
	}
}

/* Does the wrapper of this server answer to our name? */
static bool
is_weir_server(const ForeignServer *server)
{
	return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname,
				  WRAPPER_NAME) == 0;
}

/* weir_server_settings: see stream.h. */
List *
weir_server_settings(Oid serverid, Oid userid)
{
	ForeignServer *server = GetForeignServer(serverid);

	if (!is_weir_server(server))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not one of Kafka's brokers",
						server->servername),
				 errhint(
					 "Name a server that was created with FOREIGN DATA WRAPPER weir.")));
	return append_settings(append_settings(NIL, server->options),
						   mapping_options(userid, serverid));
}

static bool
has_topic(List *options)
{
	ListCell *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "topic") == 0)
			return true;
	}
	return false;
}

/* weir_is_stream: see stream.h. */
bool
weir_is_stream(Oid relid)
{
	ForeignTable *table;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	table = GetForeignTable(relid);
	return has_topic(table->options) &&
		   is_weir_server(GetForeignServer(table->serverid));
}

/* Fill the columns of def from the relation. */
static void
load_columns(StreamDef *def, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	int i;

	def->ncolumns = desc->natts;
	def->columns = palloc0(Max(1, desc->natts) * sizeof(StreamColumn));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		resolve_column(def, &def->columns[i], att,
					   att->attisdropped
						   ? NIL
						   : GetForeignColumnOptions(def->relid, i + 1));
	}
}

/* weir_stream_load: see stream.h. */
StreamDef *
weir_stream_load(Oid relid, Oid userid)
{
	StreamDef *def = palloc(sizeof(StreamDef));
	StreamDraft draft;
	ForeignTable *table;
	Relation rel = table_open(relid, AccessShareLock);

	if (!weir_is_stream(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(rel)),
				 errhint(
					 "A stream is a foreign table of a server with FOREIGN DATA WRAPPER weir.")));

	table = GetForeignTable(relid);
	weir_stream_read_options(&draft, table->options);
	*def = draft.def;
	def->relid = relid;
	def->serverid = table->serverid;
	def->owner = rel->rd_rel->relowner;
	def->nspname = get_namespace_name(RelationGetNamespace(rel));
	def->relname = pstrdup(RelationGetRelationName(rel));
	load_columns(def, rel);
	check_raw(def);
	check_csv(def, draft.csv_option);
	check_records(def);
	if (draft.deletes_given && def->format != STREAM_DEBEZIUM)
		bad_table_option(def, "deletes", "The format is not debezium-json.");
	check_avro(def, "avro_schema", def->format == STREAM_AVRO, def->avro_schema);
	check_avro(def, "avro_key_schema", def->key_format == STREAM_AVRO,
			   def->avro_key_schema);
	resolve_event_time(def, draft.event_time);

	def->settings = weir_server_settings(table->serverid, userid);
	read_registry(&def->registry, GetForeignServer(table->serverid)->options);
	read_registry(&def->registry, mapping_options(userid, table->serverid));
	check_registry(def);
	table_close(rel, NoLock);
	return def;
}

/* weir_stream_group: see stream.h. */
char *
weir_stream_group(const StreamDef *stream)
{
	return psprintf("weir.%s.%s.%s", get_database_name(MyDatabaseId),
					stream->nspname, stream->relname);
}
