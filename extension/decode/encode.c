/*
 * decode/encode.c
 *		Rows to messages, the inverse of decoding: INSERT into a stream.
 *
 * Called by backends, once per row, in the caller's memory context; takes no
 * lock.  What is written reads back as the same value where the type allows
 * it: a JSON object with the payload columns that are not NULL, rendered as
 * to_jsonb would, but timestamptz in RFC 3339 (UTC, microseconds) and times
 * with a unit as integers; a line of values, with quotes where they are needed;
 * or, for raw streams, the column's own bytes.
 */
#include "decode/decoder.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "decode/decimal.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

/* A member of the object that is built: a value or members of its own. */
typedef struct Member
{
	char *key;
	char *json;    /* NULL: an object */
	List *members; /* of Member */
} Member;

/* What is encoded: the columns of one source in a row. */
typedef struct Row
{
	const StreamDef *stream;
	TupleDesc desc;
	const Datum *values;
	const bool *nulls;
	StreamSource source;
} Row;

/* The type of a column, below its domains. */
static Oid
base_type(const Row *row, int i)
{
	return getBaseType(TupleDescAttr(row->desc, i)->atttypid);
}

/* --- values -------------------------------------------------------------- */

/*
 * What to_jsonb(value) gives, as text.  It asks its call's expression for the
 * argument's type, so there has to be one.
 */
static char *
any_json(Oid type, Datum value)
{
	FmgrInfo function;
	FuncExpr *call;
	Jsonb *jsonb;

	fmgr_info(F_TO_JSONB, &function);
	call = makeFuncExpr(F_TO_JSONB, JSONBOID,
						list_make1(makeNullConst(type, -1, InvalidOid)),
						InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	fmgr_info_set_expr((Node *) call, &function);
	jsonb = DatumGetJsonbP(FunctionCall1(&function, value));
	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static char *
quoted(const char *text)
{
	StringInfoData buf;

	initStringInfo(&buf);
	escape_json(&buf, text);
	return buf.data;
}

/* RFC 3339 has the years 1 to 9999; what lies beyond is PostgreSQL's way. */
static char *
timestamptz_json(TimestampTz value)
{
	struct pg_tm tm;
	fsec_t fsec;

	if (TIMESTAMP_NOT_FINITE(value) ||
		timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
		return any_json(TIMESTAMPTZOID, TimestampTzGetDatum(value));
	return psprintf("\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year,
					tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					fsec);
}

/* A time as an integer in the column's unit. */
static char *
unit_json(const StreamColumn *col, Datum value)
{
	Timestamp timestamp;
	Datum units;

	timestamp = col->type == DATEOID
					? DatumGetTimestamp(
						  DirectFunctionCall1(date_timestamp, value))
					: DatumGetTimestamp(value);
	if (TIMESTAMP_NOT_FINITE(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("infinite time in column \"%s\" cannot be written as a number",
						col->name)));
	units = DirectFunctionCall2(numeric_add,
								NumericGetDatum(int64_to_numeric(timestamp)),
								NumericGetDatum(
									int64_to_numeric(WEIR_EPOCH_SHIFT)));
	units = weir_numeric_scale(units, col->unit_den, col->unit_num);
	return DatumGetCString(DirectFunctionCall1(numeric_out, units));
}

static char *
float_json(double value, char *text)
{
	return isfinite(value) ? text : quoted(text);
}

/* A value as JSON, in the server's encoding. */
static char *
value_json(const StreamColumn *col, Oid type, Datum value)
{
	Oid output;
	bool varlena;
	char *out;

	if (col->unit_num > 0)
		return unit_json(col, value);
	getTypeOutputInfo(type, &output, &varlena);
	switch (type)
	{
		case BOOLOID:
			return pstrdup(DatumGetBool(value) ? "true" : "false");
		case TIMESTAMPTZOID:
			return timestamptz_json(DatumGetTimestampTz(value));
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case JSONOID:
		case JSONBOID:
			return OidOutputFunctionCall(output, value);
		case FLOAT4OID:
			out = OidOutputFunctionCall(output, value);
			return float_json(DatumGetFloat4(value), out);
		case FLOAT8OID:
			out = OidOutputFunctionCall(output, value);
			return float_json(DatumGetFloat8(value), out);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return quoted(TextDatumGetCString(value));
		default:
			return any_json(type, value);
	}
}

/* --- the object ---------------------------------------------------------- */

static void
bad_path(const StreamColumn *col, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot write column \"%s\" to path \"%s\"",
						   col->name, col->path),
					errdetail("%s", what)));
}

/*
 * The next step of a path, whose grammar is that of wj_paths_add; *path moves
 * behind it and the dot after it.
 */
static char *
next_step(const StreamColumn *col, const char **path)
{
	const char *p = *path;
	StringInfoData step;

	initStringInfo(&step);
	if (*p == '"')
	{
		for (p++; *p != '"' && *p != '\0'; p++)
		{
			if (*p == '\\' && p[1] != '\0')
				p++;
			appendStringInfoChar(&step, *p);
		}
		if (*p == '"')
			p++;
	}
	else
	{
		for (; *p != '.' && *p != '[' && *p != '\0'; p++)
			appendStringInfoChar(&step, *p);
	}
	if (*p == '[')
		bad_path(col, "A path through an array can be read only.");
	*path = *p == '.' ? p + 1 : p;
	return step.data;
}

static Member *
find_member(List *members, const char *key)
{
	ListCell *cell;

	foreach(cell, members)
	{
		Member *member = lfirst(cell);

		if (strcmp(member->key, key) == 0)
			return member;
	}
	return NULL;
}

/* Put a value at its place below the root, making the objects between. */
static void
add_value(Member *root, const StreamColumn *col, char *json)
{
	const char *path = col->path;
	Member *at = root;
	Member *member;

	do
	{
		char *key;

		if (at->json != NULL)
			bad_path(col, "Another column writes a value there.");
		key = col->path_literal ? col->path : next_step(col, &path);
		member = find_member(at->members, key);
		if (member == NULL)
		{
			member = palloc0(sizeof(Member));
			member->key = key;
			at->members = lappend(at->members, member);
		}
		else if (col->path_literal || *path == '\0')
			bad_path(col, "Another column writes a value there.");
		at = member;
	} while (!col->path_literal && *path != '\0');
	at->json = json;
}

static void
append_object(StringInfo buf, const Member *object)
{
	ListCell *cell;

	appendStringInfoChar(buf, '{');
	foreach(cell, object->members)
	{
		Member *member = lfirst(cell);

		if (foreach_current_index(cell) > 0)
			appendStringInfoChar(buf, ',');
		escape_json(buf, member->key);
		appendStringInfoChar(buf, ':');
		if (member->json != NULL)
			appendStringInfoString(buf, member->json);
		else
			append_object(buf, member);
	}
	appendStringInfoChar(buf, '}');
}

static void
encode_json(StringInfo buf, const Row *row, bool array)
{
	Member root = {NULL, NULL, NIL};
	int i;

	for (i = 0; i < row->stream->ncolumns; i++)
	{
		const StreamColumn *col = &row->stream->columns[i];

		if (col->source == row->source && !row->nulls[i])
			add_value(&root, col,
					  value_json(col, base_type(row, i), row->values[i]));
	}
	if (array)
		appendStringInfoChar(buf, '[');
	append_object(buf, &root);
	if (array)
		appendStringInfoChar(buf, ']');
}

/* --- separated values ---------------------------------------------------- */

/* A value as text that does not depend on the session's settings. */
static char *
value_text(const StreamColumn *col, Oid type, Datum value)
{
	Oid output;
	bool varlena;
	char *json;

	if (col->unit_num > 0)
		return unit_json(col, value);
	switch (type)
	{
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			json = value_json(col, type, value);
			return pnstrdup(json + 1, strlen(json) - 2);
		default:
			getTypeOutputInfo(type, &output, &varlena);
			return OidOutputFunctionCall(output, value);
	}
}

/* A field, between quotes if it would not be read as it stands. */
static void
append_field(StringInfo buf, const WsvDialect *csv, const char *text)
{
	if (wsv_is_plain(csv, text, strlen(text)))
	{
		appendStringInfoString(buf, text);
		return;
	}
	appendStringInfoChar(buf, csv->quote);
	for (; *text != '\0'; text++)
	{
		if (*text == csv->quote || *text == csv->escape)
			appendStringInfoChar(buf, csv->escape);
		appendStringInfoChar(buf, *text);
	}
	appendStringInfoChar(buf, csv->quote);
}

static void
encode_csv(StringInfo buf, const Row *row)
{
	const StreamCsv *options = &row->stream->csv;
	WsvDialect csv;
	bool first = true;
	int i;

	wsv_dialect(&csv, options->delimiter, options->quote, options->escape,
				options->null);
	for (i = 0; i < row->stream->ncolumns; i++)
	{
		const StreamColumn *col = &row->stream->columns[i];

		if (col->source != row->source)
			continue;
		if (!first)
			appendStringInfoChar(buf, csv.delimiter);
		first = false;
		if (row->nulls[i])
			appendStringInfoString(buf, csv.null);
		else
			append_field(buf, &csv,
						 value_text(col, base_type(row, i), row->values[i]));
	}
}

/* --- raw ----------------------------------------------------------------- */

static char *
encode_bytes(Oid type, Datum value, size_t *len)
{
	Oid output;
	bool varlena;
	char *text;

	if (type == BYTEAOID)
	{
		bytea *bytes = DatumGetByteaPP(value);

		*len = VARSIZE_ANY_EXHDR(bytes);
		text = palloc(*len + 1);
		memcpy(text, VARDATA_ANY(bytes), *len);
		text[*len] = '\0';
		return text;
	}
	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	*len = strlen(text);
	return text;
}

/* The one column; NULL if it is NULL: a message without value, or key. */
static char *
encode_raw(const Row *row, size_t *len)
{
	int i;

	*len = 0;
	for (i = 0; i < row->stream->ncolumns; i++)
	{
		const StreamColumn *col = &row->stream->columns[i];

		if (col->source != row->source || row->nulls[i])
			continue;
		if (col->unit_num > 0)
		{
			char *text = unit_json(col, row->values[i]);

			*len = strlen(text);
			return text;
		}
		return encode_bytes(base_type(row, i), row->values[i], len);
	}
	return NULL;
}

/* --- both ---------------------------------------------------------------- */

static char *
encode(const Row *row, StreamFormat format, bool array, size_t *len)
{
	StringInfoData buf;
	char *utf8;

	if (format == STREAM_RAW)
		return encode_raw(row, len);
	if (format == STREAM_AVRO || format == STREAM_AVRO_CONFLUENT ||
		format == STREAM_DEBEZIUM)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to stream \"%s\"", row->stream->relname),
				 errdetail("Messages in Avro and of Debezium can be read only."),
				 errhint("Write through a stream of format raw.")));
	initStringInfo(&buf);
	if (format == STREAM_CSV)
		encode_csv(&buf, row);
	else
		encode_json(&buf, row, array);
	utf8 = pg_server_to_any(buf.data, buf.len, PG_UTF8);
	*len = utf8 == buf.data ? (size_t) buf.len : strlen(utf8);
	return utf8;
}

char *
weir_encode_row(const StreamDef *stream, TupleDesc desc, const Datum *values,
				const bool *nulls, size_t *len)
{
	Row row = {stream, desc, values, nulls, STREAM_SRC_PAYLOAD};

	return encode(&row, stream->format, stream->records == STREAM_ARRAY, len);
}

char *
weir_encode_key(const StreamDef *stream, TupleDesc desc, const Datum *values,
				const bool *nulls, size_t *len)
{
	Row row = {stream, desc, values, nulls, STREAM_SRC_KEY_FIELD};
	int i;

	/* No value at all is no key. */
	for (i = 0; i < stream->ncolumns; i++)
	{
		if (stream->columns[i].source == STREAM_SRC_KEY_FIELD && !nulls[i])
			return encode(&row, stream->key_format, false, len);
	}
	*len = 0;
	return NULL;
}
