/*
 * catalog/stream_options.c
 *		The options of a stream and of its columns: one table each, from which
 *		the validator, its hints and the loading of a stream all work.
 *
 * Runs in the backend that executes the DDL (check, into a draft that is thrown
 * away) and wherever a stream is loaded.  Values are copied into the current
 * memory context.  An option's function reads the value or raises; it never
 * sees the other options, which is left to stream.c.
 */
#include "base/weir.h"

#include "catalog/place.h"
#include "catalog/stream_options.h"
#include "core/avro.h"
#include "kafka/nearest.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "common/int.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#define DEFAULT_IDLE_TIMEOUT  (10 * USECS_PER_SEC)
#define DEFAULT_LETTERS_LIMIT (INT64CONST(1024) * 1024 * 1024)
#define MAX_TOPIC_LEN         249

typedef struct StreamOption
{
	const char *name;
	void (*read)(StreamDraft *draft, const char *value);
} StreamOption;

typedef struct ColumnOption
{
	const char *name;
	void (*read)(ColumnDraft *draft, const char *value);
} ColumnOption;

/* Raise for a value that an option cannot have. */
static void
bad_value(const char *option, const char *value, const char *detail,
		  const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* --- options of the table ------------------------------------------------ */

static void
read_topic(StreamDraft *draft, const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++)
	{
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
				   *p) == NULL)
			break;
	}
	if (*p != '\0' || p == value || p - value > MAX_TOPIC_LEN ||
		strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		bad_value("topic", value,
				  "A topic's name is 1 to 249 letters, digits, dots, underscores and dashes.",
				  NULL);
	draft->def.topic = pstrdup(value);
}

static StreamFormat
format_value(const char *option, const char *value)
{
	if (strcmp(value, "json") == 0)
		return STREAM_JSON;
	if (strcmp(value, "csv") == 0)
		return STREAM_CSV;
	if (strcmp(value, "debezium-json") == 0)
		return STREAM_DEBEZIUM;
	if (strcmp(value, "avro") == 0)
		return STREAM_AVRO;
	if (strcmp(value, "avro-confluent") == 0)
		return STREAM_AVRO_CONFLUENT;
	if (strcmp(value, "raw") != 0)
		bad_value(option, value, NULL,
				  "Formats are \"json\", \"csv\", \"avro\", \"avro-confluent\", \"debezium-json\" and \"raw\".");
	return STREAM_RAW;
}

static void
read_format(StreamDraft *draft, const char *value)
{
	draft->def.format = format_value("format", value);
}

static void
read_key_format(StreamDraft *draft, const char *value)
{
	draft->def.key_format = format_value("key_format", value);
	if (draft->def.key_format == STREAM_DEBEZIUM)
		bad_value("key_format", value, "Debezium's keys are no envelopes.",
				  "Use \"json\", with paths such as payload.id.");
}

static void
read_records(StreamDraft *draft, const char *value)
{
	if (strcmp(value, "one") == 0)
		draft->def.records = STREAM_ONE;
	else if (strcmp(value, "lines") == 0)
		draft->def.records = STREAM_LINES;
	else if (strcmp(value, "array") == 0)
		draft->def.records = STREAM_ARRAY;
	else if (strcmp(value, "auto") == 0)
		draft->def.records = STREAM_AUTO;
	else
		bad_value("records", value, NULL,
				  "Use \"one\", \"lines\", \"array\" or \"auto\".");
}

static void
read_deletes(StreamDraft *draft, const char *value)
{
	draft->deletes_given = true;
	if (strcmp(value, "rows") == 0)
		draft->def.deletes = true;
	else if (strcmp(value, "skip") == 0)
		draft->def.deletes = false;
	else
		bad_value("deletes", value, NULL, "Use \"skip\" or \"rows\".");
}

/* A character that csv gives a meaning to. */
static char
csv_character(StreamDraft *draft, const char *option, const char *value)
{
	if (strlen(value) != 1 || (unsigned char) *value >= 0x80 ||
		*value == '\n' || *value == '\r')
		bad_value(option, value,
				  "It must be one ASCII character other than a line's end.",
				  NULL);
	draft->csv_option = option;
	return *value;
}

static void
read_delimiter(StreamDraft *draft, const char *value)
{
	draft->def.csv.delimiter = csv_character(draft, "delimiter", value);
}

static void
read_quote(StreamDraft *draft, const char *value)
{
	draft->def.csv.quote = csv_character(draft, "quote", value);
}

static void
read_escape(StreamDraft *draft, const char *value)
{
	draft->def.csv.escape = csv_character(draft, "escape", value);
}

static void
read_null(StreamDraft *draft, const char *value)
{
	if (strpbrk(value, "\r\n") != NULL)
		bad_value("null", value, "It must not contain a line's end.", NULL);
	draft->csv_option = "null";
	draft->def.csv.null = pstrdup(value);
}

static void
read_event_time(StreamDraft *draft, const char *value)
{
	if (value[0] == '\0')
		bad_value("event_time", value, NULL,
				  "Name a column, or leave the option out to use Kafka's timestamp.");
	draft->event_time = pstrdup(value);
}

static void *
schema_alloc(size_t size, void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, size);
}

/* A schema of Avro's, which is parsed only to see that it is one. */
static char *
schema_value(const char *option, const char *value)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "weir avro schema",
											  ALLOCSET_DEFAULT_SIZES);
	char err[256];

	if (av_schema_parse(value, strlen(value), schema_alloc, cxt, err,
						sizeof(err)) == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("invalid value for option \"%s\"", option),
						errdetail("It is no schema of Avro's: %s.", err)));
	MemoryContextDelete(cxt);
	return pstrdup(value);
}

static void
read_avro_schema(StreamDraft *draft, const char *value)
{
	draft->def.avro_schema = schema_value("avro_schema", value);
}

static void
read_avro_key_schema(StreamDraft *draft, const char *value)
{
	draft->def.avro_key_schema = schema_value("avro_key_schema", value);
}

/* A length of time as microseconds; days are 24 hours. */
static int64
read_interval(const char *option, const char *value)
{
	Interval *iv;
	int64 us;

	iv = DatumGetIntervalP(
		DirectFunctionCall3(interval_in, CStringGetDatum(value),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (iv->month != 0)
		bad_value(option, value, "Months and years have no fixed length.",
				  "Give it in days, hours, minutes or seconds.");
	if (pg_mul_s64_overflow(iv->day, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, iv->time, &us))
		bad_value(option, value, "It is too long.", NULL);
	if (us < 0)
		bad_value(option, value, "It must not be negative.", NULL);
	return us;
}

static void
read_watermark_delay(StreamDraft *draft, const char *value)
{
	draft->def.watermark_delay = read_interval("watermark_delay", value);
}

static void
read_max_ahead(StreamDraft *draft, const char *value)
{
	draft->def.max_ahead = read_interval("max_ahead", value);
}

static void
read_idle_timeout(StreamDraft *draft, const char *value)
{
	draft->def.idle_timeout = read_interval("idle_timeout", value);
}

static void
read_idle_advance(StreamDraft *draft, const char *value)
{
	draft->def.idle_advance = read_interval("idle_advance", value);
}

static void
read_start(StreamDraft *draft, const char *value)
{
	Place place;
	const char *why = weir_place_parse(value, &place);

	if (why)
		bad_value("start", value, why,
				  "Use \"earliest\", \"latest\", a time, an interval back from now, or offsets by partition.");
	draft->def.start = pstrdup(value);
}

static void
read_workers(StreamDraft *draft, const char *value)
{
	int n = value[0] - '0';

	if (strlen(value) != 1 || n < 1 || n > WEIR_MAX_WORKERS)
		bad_value("workers", value, NULL,
				  psprintf("Give a whole number from 1 to %d.",
						   WEIR_MAX_WORKERS));
	draft->def.workers = n;
}

static void
read_on_error(StreamDraft *draft, const char *value)
{
	if (strcmp(value, "dead_letter") == 0)
		draft->def.on_error = STREAM_DEAD_LETTER;
	else if (strcmp(value, "skip") == 0)
		draft->def.on_error = STREAM_SKIP;
	else if (strcmp(value, "stop") == 0)
		draft->def.on_error = STREAM_STOP;
	else
		bad_value("on_error", value, NULL,
				  "Use \"dead_letter\", \"skip\" or \"stop\".");
}

static void
read_letters_limit(StreamDraft *draft, const char *value)
{
	if (strcmp(value, "none") == 0)
	{
		draft->def.letters_limit = 0;
		return;
	}
	draft->def.letters_limit = DatumGetInt64(
		DirectFunctionCall1(pg_size_bytes, CStringGetTextDatum(value)));
	if (draft->def.letters_limit < 1)
		bad_value("dead_letters_limit", value, NULL,
				  "Give a size such as \"1 GB\", or \"none\".");
}

static void
read_letters_full(StreamDraft *draft, const char *value)
{
	if (strcmp(value, "count") == 0)
		draft->def.letters_full = STREAM_FULL_COUNT;
	else if (strcmp(value, "drop_oldest") == 0)
		draft->def.letters_full = STREAM_FULL_DROP_OLDEST;
	else if (strcmp(value, "stop") == 0)
		draft->def.letters_full = STREAM_FULL_STOP;
	else
		bad_value("dead_letters_full", value, NULL,
				  "Use \"count\", \"drop_oldest\" or \"stop\".");
}

static void
read_letter_rate(StreamDraft *draft, const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end != '\0' || n < 1 || n > 1000000)
		bad_value("dead_letter_rate", value, NULL,
				  "Give a whole number from 1 to 1000000.");
	draft->def.letter_rate = (int) n;
}

static void
read_offset_reset(StreamDraft *draft, const char *value)
{
	if (strcmp(value, "error") == 0)
		draft->def.offset_reset = STREAM_RESET_ERROR;
	else if (strcmp(value, "earliest") == 0)
		draft->def.offset_reset = STREAM_RESET_EARLIEST;
	else if (strcmp(value, "latest") == 0)
		draft->def.offset_reset = STREAM_RESET_LATEST;
	else
		bad_value("offset_reset", value, NULL,
				  "Use \"error\", \"earliest\" or \"latest\".");
}

static const StreamOption table_options[] = {
	{"topic", read_topic},
	{"format", read_format},
	{"key_format", read_key_format},
	{"records", read_records},
	{"deletes", read_deletes},
	{"delimiter", read_delimiter},
	{"quote", read_quote},
	{"escape", read_escape},
	{"null", read_null},
	{"avro_schema", read_avro_schema},
	{"avro_key_schema", read_avro_key_schema},
	{"event_time", read_event_time},
	{"watermark_delay", read_watermark_delay},
	{"max_ahead", read_max_ahead},
	{"idle_timeout", read_idle_timeout},
	{"idle_advance", read_idle_advance},
	{"start", read_start},
	{"on_error", read_on_error},
	{"dead_letters_limit", read_letters_limit},
	{"dead_letters_full", read_letters_full},
	{"dead_letter_rate", read_letter_rate},
	{"workers", read_workers},
	{"offset_reset", read_offset_reset},
};

/* --- options of a column ------------------------------------------------- */

static void
read_path(ColumnDraft *draft, const char *value)
{
	if (value[0] == '\0')
		bad_value("path", value, NULL,
				  "Give the keys from the outermost in, such as user.address.city.");
	draft->path = pstrdup(value);
}

static void
read_unit(ColumnDraft *draft, const char *value)
{
	draft->unit_den = 1;
	if (strcmp(value, "s") == 0)
		draft->unit_num = USECS_PER_SEC;
	else if (strcmp(value, "ms") == 0)
		draft->unit_num = 1000;
	else if (strcmp(value, "us") == 0)
		draft->unit_num = 1;
	else if (strcmp(value, "ns") == 0)
	{
		draft->unit_num = 1;
		draft->unit_den = 1000;
	}
	else
		bad_value("unit", value, NULL,
				  "Units are \"s\", \"ms\", \"us\" and \"ns\".");
	draft->unit = pstrdup(value);
}

static const struct
{
	const char *name;
	StreamSource source;
} metadata_names[] = {
	{"topic", STREAM_SRC_TOPIC},     {"partition", STREAM_SRC_PARTITION},
	{"offset", STREAM_SRC_OFFSET},   {"timestamp", STREAM_SRC_TIMESTAMP},
	{"key", STREAM_SRC_KEY},         {"headers", STREAM_SRC_HEADERS},
	{"record", STREAM_SRC_RECORD},   {"op", STREAM_SRC_ENVELOPE},
	{"ts_ms", STREAM_SRC_ENVELOPE},  {"source", STREAM_SRC_ENVELOPE},
	{"before", STREAM_SRC_ENVELOPE}, {"after", STREAM_SRC_ENVELOPE},
};

static void
read_metadata(ColumnDraft *draft, const char *value)
{
	int i;

	for (i = 0; i < lengthof(metadata_names); i++)
	{
		if (strcmp(value, metadata_names[i].name) == 0)
		{
			draft->source = metadata_names[i].source;
			draft->metadata = metadata_names[i].name;
			return;
		}
	}
	bad_value("metadata", value, NULL,
			  "Use \"topic\", \"partition\", \"offset\", \"timestamp\", \"key\", \"headers\" or \"record\"; in format debezium-json also \"op\", \"ts_ms\", \"source\", \"before\" or \"after\".");
}

static void
read_key(ColumnDraft *draft, const char *value)
{
	if (!parse_bool(value, &draft->key))
		bad_value("key", value, NULL, "Use \"true\" or \"false\".");
}

static const ColumnOption column_options[] = {
	{"path", read_path},
	{"unit", read_unit},
	{"metadata", read_metadata},
	{"key", read_key},
};

/* --- reading them -------------------------------------------------------- */

/* Error context: which option was being read. */
static void
option_context(void *arg)
{
	errcontext("option \"%s\"", (const char *) arg);
}

/* Read a table's option; false: there is none of this name. */
static bool
read_table_option(StreamDraft *draft, const char *name, const char *value)
{
	ErrorContextCallback context;
	int i;

	for (i = 0; i < lengthof(table_options); i++)
	{
		if (strcmp(table_options[i].name, name) != 0)
			continue;
		context.callback = option_context;
		context.arg = (void *) name;
		context.previous = error_context_stack;
		error_context_stack = &context;
		table_options[i].read(draft, value);
		error_context_stack = context.previous;
		return true;
	}
	return false;
}

/* Read a column's option; false: there is none of this name. */
static bool
read_column_option(ColumnDraft *draft, const char *name, const char *value)
{
	int i;

	for (i = 0; i < lengthof(column_options); i++)
	{
		if (strcmp(column_options[i].name, name) != 0)
			continue;
		column_options[i].read(draft, value);
		return true;
	}
	return false;
}

/* weir_stream_check_option: see stream.h. */
bool
weir_stream_check_option(Oid catalog, const char *name, const char *value)
{
	StreamDraft table = {0};
	ColumnDraft column = {0};

	if (catalog == ForeignTableRelationId)
		return read_table_option(&table, name, value);
	if (catalog == AttributeRelationId)
		return read_column_option(&column, name, value);
	return false;
}

/* weir_stream_nearest_option: see stream.h. */
void
weir_stream_nearest_option(Oid catalog, NearestName *nearest)
{
	int i;

	for (i = 0;
		 catalog == ForeignTableRelationId && i < lengthof(table_options); i++)
		weir_nearest_consider(nearest, table_options[i].name);
	for (i = 0; catalog == AttributeRelationId && i < lengthof(column_options);
		 i++)
		weir_nearest_consider(nearest, column_options[i].name);
}

/* weir_stream_read_options: defaults, then what the table's options say. */
void
weir_stream_read_options(StreamDraft *draft, List *options)
{
	ListCell *lc;

	memset(draft, 0, sizeof(*draft));
	draft->def.format = STREAM_JSON;
	draft->def.key_format = STREAM_RAW;
	draft->def.csv.delimiter = ',';
	draft->def.csv.quote = '"';
	draft->def.csv.null = pstrdup("");
	draft->def.on_error = STREAM_DEAD_LETTER;
	draft->def.offset_reset = STREAM_RESET_ERROR;
	draft->def.max_ahead = USECS_PER_DAY;
	draft->def.idle_timeout = DEFAULT_IDLE_TIMEOUT;
	draft->def.idle_advance = -1;
	draft->def.letters_limit = DEFAULT_LETTERS_LIMIT;
	draft->def.start = pstrdup("earliest");
	foreach(lc, options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);

		(void) read_table_option(draft, opt->defname, defGetString(opt));
	}
	if (draft->def.csv.escape == '\0')
		draft->def.csv.escape = draft->def.csv.quote;
}

/* weir_column_read_options: defaults, then what the column's options say. */
void
weir_column_read_options(ColumnDraft *draft, List *options)
{
	ListCell *lc;

	memset(draft, 0, sizeof(*draft));
	draft->source = STREAM_SRC_PAYLOAD;
	foreach(lc, options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);

		(void) read_column_option(draft, opt->defname, defGetString(opt));
	}
}
