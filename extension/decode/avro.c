/*
 * decode/avro.c
 *		Avro values to columns.
 *
 * Called by source.c for each record, in ingest workers and backends; takes no
 * lock and raises nothing once it is set up.  core/avro finds the values of the
 * columns' paths.  The usual types go straight into their columns.  Any other
 * value is written as text, or as JSON for json and jsonb and where it is a
 * record, an array or a map, into memory of the batch, and goes on as a JSON value
 * would (convert.c): so a column of any type takes what its input function takes.
 *
 * With a registry a message says by which schema it was written.  The first one
 * of a schema waits for the registry; what it answered is kept, and where there
 * is no such schema, it is asked again after a while.  Messages may name any id,
 * so what is known of those that cannot be used is forgotten when it gets much.  An
 * answer that does not come is no message's fault: that raises, and the worker or
 * query ends.
 */
#include "decode/decoder.h"

#include <math.h>

#include "base/clock.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "core/avro.h"
#include "core/time.h"
#include "decode/decimal.h"
#include "port/pg_bswap.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A schema, and what a source wants of it. */
typedef struct AvroSchema
{
	uint32 id;       /* the registry's; the hash key */
	char *bad;       /* why it cannot be used (in cxt), or NULL */
	int64 ask_again; /* ... and until when that is taken for true */
	MemoryContext cxt; /* of all that belongs to it; a registry's have their own */
	AvProgram *program;
	int *slots;      /* by column: in values, or AV_NO_FIELD */
	AvValue *values; /* of the record that is decoded */
} AvroSchema;

struct AvroReader
{
	bool confluent;
	AvroSchema *schema; /* the only one, or the one used last; or NULL */
	HTAB *schemas;      /* by id */
	int nbad;           /* of them cannot be used, about */
};

/* The header of a message with a schema's id: a zero byte, the id. */
#define HEADER_LEN   5
#define ASK_AGAIN_US (10 * USECS_PER_SEC)
#define MAX_BAD      1000

/* --- setting up ---------------------------------------------------------- */

static void *
avro_alloc(size_t size, void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, size);
}

/*
 * Compile a schema for the columns of a source; all memory in its context.
 * Returns the column whose path is not possible, and why; NULL: all are.
 */
static const StreamColumn *
compile(AvroSchema *schema, const Source *src, const AvNode *node,
		const char **error)
{
	MemoryContext old = MemoryContextSwitchTo(schema->cxt);
	const StreamColumn *bad = NULL;
	int i;

	schema->program = av_program_new(node, avro_alloc, schema->cxt);
	schema->slots = palloc(sizeof(int) * Max(src->ncolumns, 1));
	for (i = 0; i < src->ncolumns && bad == NULL; i++)
	{
		const StreamColumn *def = src->columns[i].def;

		schema->slots[i] = av_program_add(schema->program, def->path,
										  def->path_literal, error);
		if (schema->slots[i] == AV_BAD_PATH)
			bad = def;
	}
	schema->values = palloc0(sizeof(AvValue) *
							 Max(av_program_count(schema->program), 1));
	MemoryContextSwitchTo(old);
	return bad;
}

/* The same for a schema that the columns are declared for. */
static void
compile_given(AvroSchema *schema, const Source *src, const AvNode *node)
{
	const char *error;
	const StreamColumn *bad = compile(schema, src, node, &error);

	if (bad)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("path \"%s\" of column \"%s\" is not valid",
							   bad->path, bad->name),
						errdetail("%s.", error)));
}

/* A column that the schema of the options lacks is a mistake. */
static void
check_columns(const Source *src, const AvroSchema *schema)
{
	int i;

	for (i = 0; i < src->ncolumns; i++)
	{
		const StreamColumn *def = src->columns[i].def;

		if (schema->slots[i] == AV_NO_FIELD)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("column \"%s\" is not in the Avro schema", def->name),
					 errdetail("The schema has no field \"%s\".", def->path),
					 errhint(
						 "Give the field's path in the column's option \"path\".")));
	}
}

/* The schema of the stream's options. */
static void
init_given(Decoder *d, Source *src)
{
	const char *text = src->key ? d->stream->avro_key_schema
								: d->stream->avro_schema;
	char err[256];
	AvNode *node;

	node = av_schema_parse(text, strlen(text), avro_alloc, d->cxt, err,
						   sizeof(err));
	if (node == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("the Avro schema of stream \"%s\" is not valid",
							   d->stream->relname),
						errdetail("%s.", err)));
	src->avro->schema = palloc0(sizeof(AvroSchema));
	src->avro->schema->cxt = d->cxt;
	compile_given(src->avro->schema, src, node);
	check_columns(src, src->avro->schema);
}

/* Schemas come later; but paths are checked now, against an empty one. */
static void
init_registry(Decoder *d, Source *src)
{
	static const AvNode nothing = {.type = AV_RECORD};
	AvroSchema unused = {.cxt = d->cxt};
	HASHCTL ctl = {.keysize = sizeof(uint32),
				   .entrysize = sizeof(AvroSchema),
				   .hcxt = d->cxt};

	compile_given(&unused, src, &nothing);
	src->avro->schemas = hash_create("weir avro schemas", 16, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The source has all its columns. */
void
weir_avro_init(Decoder *d, Source *src)
{
	src->avro = palloc0(sizeof(AvroReader));
	src->avro->confluent = src->format == STREAM_AVRO_CONFLUENT;
	if (src->avro->confluent)
		init_registry(d, src);
	else
		init_given(d, src);
}

/* --- schemas of the registry --------------------------------------------- */

/* It cannot be used: all that there is of it is the reason. */
static void
refuse_schema(AvroSchema *schema, const char *reason)
{
	char *bad = pstrdup(reason);

	MemoryContextReset(schema->cxt);
	schema->bad = MemoryContextStrdup(schema->cxt, bad);
	pfree(bad);
}

/* What the registry answered is a schema, perhaps one of Avro's. */
static void
take_schema(Decoder *d, const Source *src, AvroSchema *schema, const char *text)
{
	char err[256];
	const char *error;
	const StreamColumn *bad;
	AvNode *node = av_schema_parse(text, strlen(text), avro_alloc, schema->cxt,
								   err, sizeof(err));

	if (node == NULL)
	{
		refuse_schema(schema,
					  psprintf("schema %u is not valid: %s", schema->id, err));
		return;
	}
	bad = compile(schema, src, node, &error);
	if (bad)
		refuse_schema(schema,
					  psprintf("schema %u cannot be read for column \"%s\": %s",
							   schema->id, bad->name, error));
	else
		schema->bad = NULL;
}

/* Ask the registry for a schema.  Raises if it does not answer. */
static void
ask_registry(Decoder *d, const Source *src, AvroSchema *schema)
{
	char *text = NULL;

	MemoryContextReset(schema->cxt);
	schema->bad = "";
	schema->ask_again = 0;
	switch (weir_registry_schema(&d->stream->registry, schema->id, &text))
	{
		case REGISTRY_FAILED:
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("could not get schema %u from \"%s\": %s",
								   schema->id, d->stream->registry.url, text)));
			break;
		case REGISTRY_UNKNOWN:
			refuse_schema(schema, text);
			break;
		case REGISTRY_SCHEMA:
			take_schema(d, src, schema, text);
			break;
	}
	pfree(text);
	schema->ask_again = weir_clock_monotonic() + ASK_AGAIN_US;
}

/* Forget the schemas that cannot be used. */
static void
forget_bad(AvroReader *reader)
{
	HASH_SEQ_STATUS scan;
	AvroSchema *schema;

	reader->schema = NULL;
	reader->nbad = 0;
	hash_seq_init(&scan, reader->schemas);
	while ((schema = hash_seq_search(&scan)) != NULL)
	{
		if (schema->bad == NULL)
			continue;
		MemoryContextDelete(schema->cxt);
		(void) hash_search(reader->schemas, &schema->id, HASH_REMOVE, NULL);
	}
}

/* One that was not met yet, or was forgotten: nothing is known of it. */
static AvroSchema *
enter_schema(Decoder *d, AvroReader *reader, uint32 id)
{
	MemoryContext cxt = AllocSetContextCreate(d->cxt, "weir avro schema",
											  ALLOCSET_SMALL_SIZES);
	AvroSchema *schema = hash_search(reader->schemas, &id, HASH_ENTER, NULL);

	*schema = (AvroSchema){.id = id, .bad = "", .cxt = cxt};
	return schema;
}

static AvroSchema *
find_schema(Decoder *d, const Source *src, uint32 id)
{
	AvroReader *reader = src->avro;
	AvroSchema *schema = reader->schema;

	if (likely(schema != NULL && schema->id == id && schema->bad == NULL))
		return schema;
	schema = hash_search(reader->schemas, &id, HASH_FIND, NULL);
	if (schema == NULL)
	{
		if (reader->nbad >= MAX_BAD)
			forget_bad(reader);
		schema = enter_schema(d, reader, id);
		reader->nbad++;
	}
	if (schema->bad != NULL && schema->ask_again <= weir_clock_monotonic())
	{
		ask_registry(d, src, schema);
		reader->nbad -= schema->bad == NULL;
	}
	reader->schema = schema;
	return schema;
}

/*
 * The schema that a message names; NULL: it has failed.  Registries count in
 * signed integers: to ask for more might be an error that looks like theirs.
 */
static AvroSchema *
named_schema(Decoder *d, Source *src, int record, const char *bytes, size_t len)
{
	AvroSchema *schema = NULL;
	const char *why = "it does not begin with the id of a schema";
	uint32 id;

	if (likely(len >= HEADER_LEN && bytes[0] == 0))
	{
		memcpy(&id, bytes + 1, sizeof(id));
		id = pg_ntoh32(id);
		why = "no registry has a schema of that id";
		if (id <= PG_INT32_MAX)
		{
			schema = find_schema(d, src, id);
			why = schema->bad;
		}
	}
	if (likely(why == NULL))
		return schema;
	weir_decode_fail(d, record, ERRCODE_INVALID_BINARY_REPRESENTATION,
					 psprintf("%smalformed Avro: %s", src->key ? "key: " : "",
							  why));
	return NULL;
}

/* --- values that need no text -------------------------------------------- */

static inline bool
is_integer(const AvValue *v)
{
	return v->node->type == AV_INT || v->node->type == AV_LONG;
}

static inline bool
is_float(const AvValue *v)
{
	return v->node->type == AV_FLOAT || v->node->type == AV_DOUBLE;
}

static inline bool
is_bytes(const AvValue *v)
{
	return v->node->type == AV_BYTES || v->node->type == AV_FIXED;
}

/* An integer is one whatever it counts. */
static inline bool
take_integer(const AvValue *v, int64 min, int64 max, int64 *out)
{
	*out = v->i;
	return is_integer(v) && v->i >= min && v->i <= max;
}

static bool
take_float8(const AvValue *v, Datum *out)
{
	if (is_float(v))
		*out = Float8GetDatum(v->d);
	else if (is_integer(v) && v->node->logical == AV_PLAIN)
		*out = Float8GetDatum((float8) v->i);
	else
		return false;
	return true;
}

static bool
take_float4(const AvValue *v, Datum *out)
{
	float4 single = (float4) v->d;

	if (!is_float(v) || (isinf(single) && !isinf(v->d)) ||
		(single == 0 && v->d != 0))
		return false;
	*out = Float4GetDatum(single);
	return true;
}

/* The integer of a decimal; false if it has more than eight bytes. */
static bool
decimal_integer(const AvValue *v, int64 *out)
{
	uint64 value;
	uint32 i;

	if (v->len == 0 || v->len > 8)
		return false;
	value = (v->ptr[0] & 0x80) != 0 ? ~UINT64CONST(0) : 0;
	for (i = 0; i < v->len; i++)
		value = value << 8 | (unsigned char) v->ptr[i];
	*out = (int64) value;
	return true;
}

static bool
take_numeric(const Column *col, const AvValue *v, Datum *out)
{
	int64 value;

	if (col->def->typmod >= (int32) VARHDRSZ)
		return false;
	if (is_integer(v) && v->node->logical == AV_PLAIN)
	{
		if (col->store)
			*out = NumericGetDatum(int64_to_numeric(v->i));
		return true;
	}
	if (v->node->logical != AV_DECIMAL || v->node->scale > 18 ||
		!decimal_integer(v, &value))
		return false;
	if (col->store)
		*out = NumericGetDatum(int64_div_fast_to_numeric(value, v->node->scale));
	return true;
}

/* Microseconds since 1970 of a timestamp; nanoseconds are rounded down. */
static bool
timestamp_us(const AvValue *v, int64 *us)
{
	int per_second = v->node->per_second;

	if (v->node->logical != AV_TIMESTAMP && v->node->logical != AV_LOCAL)
		return false;
	if (per_second == 1000)
		return !pg_mul_s64_overflow(v->i, 1000, us);
	*us = v->i;
	if (per_second > 1000000)
		*us = v->i / 1000 - (v->i % 1000 < 0);
	return true;
}

static bool
take_time(const Column *col, const AvValue *v, Datum *out)
{
	int64 us;

	if (!timestamp_us(v, &us) || !weir_time_in_range(us))
		return false;
	*out = weir_column_datum(col, us);
	return true;
}

static bool
take_date(const Column *col, const AvValue *v, Datum *out)
{
	if (v->node->logical != AV_DATE)
		return take_time(col, v, out);
	if (!IS_VALID_DATE(v->i - WT_PG_EPOCH_DAYS))
		return false;
	*out = DateADTGetDatum((DateADT) (v->i - WT_PG_EPOCH_DAYS));
	return true;
}

static bool
take_bytes(Decoder *d, const Column *col, const AvValue *v, Datum *out)
{
	char *room;

	if (!is_bytes(v) || v->node->logical == AV_DECIMAL)
		return false;
	if (!col->store)
		return true;
	room = weir_convert_room(d, (Size) v->len + VARHDRSZ);
	SET_VARSIZE(room, v->len + VARHDRSZ);
	memcpy(room + VARHDRSZ, v->ptr, v->len);
	*out = PointerGetDatum(room);
	return true;
}

static bool
take_uuid(Decoder *d, const AvValue *v, Datum *out)
{
	char *room;

	if (v->node->type != AV_FIXED || v->len != UUID_LEN)
		return false;
	room = weir_convert_room(d, UUID_LEN);
	memcpy(room, v->ptr, UUID_LEN);
	*out = PointerGetDatum(room);
	return true;
}

/* A value of the type that its column has; false: not of that. */
static bool
take_value(Decoder *d, const Column *col, const AvValue *v, Datum *out)
{
	int64 number;

	switch (col->kind)
	{
		case CONV_BOOL:
			*out = BoolGetDatum(v->i != 0);
			return v->node->type == AV_BOOLEAN;
		case CONV_INT2:
			if (!take_integer(v, PG_INT16_MIN, PG_INT16_MAX, &number))
				return false;
			*out = Int16GetDatum((int16) number);
			return true;
		case CONV_INT4:
			if (!take_integer(v, PG_INT32_MIN, PG_INT32_MAX, &number))
				return false;
			*out = Int32GetDatum((int32) number);
			return true;
		case CONV_INT8:
			if (!take_integer(v, PG_INT64_MIN, PG_INT64_MAX, &number))
				return false;
			*out = Int64GetDatum(number);
			return true;
		case CONV_FLOAT4:
			return take_float4(v, out);
		case CONV_FLOAT8:
			return take_float8(v, out);
		case CONV_NUMERIC:
			return take_numeric(col, v, out);
		case CONV_TIMESTAMPTZ:
		case CONV_TIMESTAMP:
			return take_time(col, v, out);
		case CONV_DATE:
			return take_date(col, v, out);
		case CONV_UUID:
			return take_uuid(d, v, out);
		default:
			return col->def->type == BYTEAOID && take_bytes(d, col, v, out);
	}
}

/* --- values as text ------------------------------------------------------ */

/* What the text of a value is in JSON. */
static WjType
json_type(const AvValue *v)
{
	switch (v->node->type)
	{
		case AV_BOOLEAN:
			return v->i ? WJ_TRUE : WJ_FALSE;
		case AV_INT:
		case AV_LONG:
			return v->node->logical == AV_PLAIN ? WJ_NUMBER : WJ_STRING;
		case AV_FLOAT:
		case AV_DOUBLE:
			return isfinite(v->d) ? WJ_NUMBER : WJ_STRING;
		case AV_BYTES:
		case AV_FIXED:
			return v->node->logical == AV_DECIMAL ? WJ_NUMBER : WJ_STRING;
		case AV_RECORD:
		case AV_MAP:
			return WJ_OBJECT;
		case AV_ARRAY:
			return WJ_ARRAY;
		default:
			return WJ_STRING;
	}
}

static bool
fail(Decoder *d, const Column *col, int record, int sqlstate, const char *why)
{
	weir_decode_fail(d, record, sqlstate,
					 psprintf("column \"%s\": %s", col->def->name, why));
	return false;
}

/* A string, or an enum's symbol, is its own text. */
static bool
convert_string(Decoder *d, Column *col, int record, const AvValue *v)
{
	WjValue value = {v->ptr, v->len, WJ_STRING, false};

	if (v->node->type == AV_ENUM)
	{
		value.ptr = v->node->names[v->i];
		value.len = (uint32) strlen(value.ptr);
	}
	else if (memchr(v->ptr, '\0', v->len) != NULL)
		return fail(d, col, record, ERRCODE_UNTRANSLATABLE_CHARACTER,
					"NUL character in a string");
	weir_convert_one(d, col, record, &value);
	return true;
}

static bool
convert_text(Decoder *d, Column *col, int record, const AvValue *v)
{
	WjValue value = {NULL, 0, json_type(v), false};
	int64 len = av_text(v, col->whole_json, NULL);
	char *room;

	if (len < 0)
		return fail(d, col, record, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					"value too long");
	room = weir_convert_room(d, len);
	(void) av_text(v, col->whole_json, room);
	value.ptr = room;
	value.len = (uint32) len;
	/* The text of a JSON string is what stands between its quotes. */
	if (value.type == WJ_STRING && col->whole_json)
	{
		value.ptr++;
		value.len -= 2;
		value.escaped = memchr(value.ptr, '\\', value.len) != NULL;
	}
	weir_convert_one(d, col, record, &value);
	return true;
}

/* --- decoding ------------------------------------------------------------ */

static inline bool
convert_column(Decoder *d, Column *col, int record, const AvValue *v)
{
	Datum datum = (Datum) 0;

	if (v == NULL || v->node == NULL || v->node->type == AV_NULL)
		return weir_convert_null(d, col, record);
	if (likely(take_value(d, col, v, &datum)))
	{
		weir_store_value(col, record, datum);
		return true;
	}
	if ((v->node->type == AV_STRING || v->node->type == AV_ENUM) &&
		!col->whole_json)
		return convert_string(d, col, record, v);
	return convert_text(d, col, record, v);
}

/* All columns of the source.  False: the record failed. */
bool
weir_avro_decode(Decoder *d, Source *src, int record, const char *bytes,
				 size_t len)
{
	AvroSchema *schema = src->avro->schema;
	size_t header = src->avro->confluent ? HEADER_LEN : 0;
	size_t at = 0;
	AvStatus status;
	int i;

	if (header > 0)
	{
		schema = named_schema(d, src, record, bytes, len);
		if (schema == NULL)
			return false;
	}
	status = av_scan(schema->program, bytes + header, len - header,
					 schema->values, &at);
	if (unlikely(status != AV_OK))
	{
		weir_decode_fail(d, record, ERRCODE_INVALID_BINARY_REPRESENTATION,
						 psprintf("%smalformed Avro at byte %zu: %s",
								  src->key ? "key: " : "", at + header,
								  av_status_text(status)));
		return false;
	}
	for (i = 0; i < src->ncolumns; i++)
	{
		int slot = schema->slots[i];

		if (!convert_column(d, &src->columns[i], record,
							slot >= 0 ? &schema->values[slot] : NULL))
			return false;
	}
	return true;
}
