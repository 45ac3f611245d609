/*
 * decode/convert.c
 *		Values to Datums without input functions.
 *
 * What a column's value is, is defined by its type's input function, applied
 * to the text that ->> gives (json and jsonb: to the value itself; JSON arrays
 * for array types: to each element, see array.c), with the column's typmod.
 * The converters here know the usual forms of the usual types and return
 * exactly what that definition gives; for anything else they say "don't know",
 * and the value is put aside for the input function (slow.c), which also makes
 * the error message.  So a converter never decides that a value is wrong.  The
 * one thing that is decided here is NOT NULL.
 *
 * This is the hot path of the ingest workers.  Nothing here raises, except for
 * want of memory; values by reference go into the decoder's chunk, only numeric
 * allocates in batch.cxt, which is current.
 */
#include "decode/decoder.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "core/time.h"
#include "decode/decimal.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

/* Room for that many values to begin with. */
#define SLOW_INITIAL 1024

/* The converter of a type for values that come as JSON. */
static ConvKind
kind_of_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return CONV_BOOL;
		case INT2OID:
			return CONV_INT2;
		case INT4OID:
			return CONV_INT4;
		case INT8OID:
			return CONV_INT8;
		case FLOAT4OID:
			return CONV_FLOAT4;
		case FLOAT8OID:
			return CONV_FLOAT8;
		case NUMERICOID:
			return CONV_NUMERIC;
		case TEXTOID:
		case VARCHAROID:
			return CONV_TEXT;
		case JSONOID:
			return CONV_JSON;
		case JSONBOID:
			return CONV_JSONB;
		case UUIDOID:
			return CONV_UUID;
		case TIMESTAMPTZOID:
			return CONV_TIMESTAMPTZ;
		case TIMESTAMPOID:
			return CONV_TIMESTAMP;
		case DATEOID:
			return CONV_DATE;
		default:
			return CONV_INPUT;
	}
}

/* The format of the column's source. */
static StreamFormat
format_of(const Decoder *d, const StreamColumn *def)
{
	switch (def->source)
	{
		case STREAM_SRC_PAYLOAD:
			return d->stream->format;
		case STREAM_SRC_KEY_FIELD:
			return d->stream->key_format;
		case STREAM_SRC_KEY:
			return STREAM_RAW;
		default:
			return STREAM_JSON;
	}
}

/* Choose the converter of a column and look up its input function. */
void
weir_column_init(Decoder *d, Column *col, const StreamColumn *def)
{
	StreamFormat format = format_of(d, def);
	Oid input;

	col->def = def;
	col->kind = kind_of_type(def->type);
	col->max_len = PG_UINT32_MAX;
	if (def->type == VARCHAROID && def->typmod >= (int32) VARHDRSZ)
		col->max_len = def->typmod - VARHDRSZ;

	if (format == STREAM_RAW && def->type == BYTEAOID)
		col->kind = CONV_BYTES;
	if (format != STREAM_CSV && format != STREAM_RAW)
	{
		col->whole_json = def->type == JSONOID || def->type == JSONBOID;
		weir_array_init(d, col);
	}
	else if (col->kind == CONV_JSON || col->kind == CONV_JSONB)
		col->kind = CONV_INPUT;
	if (format != STREAM_RAW && !d->plain_utf8 &&
		(col->kind == CONV_TEXT || col->whole_json))
		col->kind = CONV_INPUT;

	getTypeInputInfo(def->type, &input, &col->ioparam);
	fmgr_info_cxt(input, &col->input, d->cxt);
	col->null_input = get_typtype(def->type) == TYPTYPE_DOMAIN;
}

/* Leave a value to weir_convert_slow. */
void
weir_put_aside(Decoder *d, Column *col, int record, const WjValue *value,
			   bool server_encoding)
{
	SlowValue *slow;

	if (d->nslow == d->slow_capacity)
	{
		int capacity = Max(SLOW_INITIAL, d->slow_capacity * 2);
		Size size = (Size) capacity * sizeof(SlowValue);

		if (d->slow == NULL)
			d->slow = MemoryContextAllocHuge(d->cxt, size);
		else
			d->slow = repalloc_huge(d->slow, size);
		d->slow_capacity = capacity;
	}
	slow = &d->slow[d->nslow++];
	slow->column = col;
	slow->record = record;
	slow->value = *value;
	slow->server_encoding = server_encoding;
}

/* Room for size bytes in the chunk, not taken yet; aligned for an int. */
static inline char *
chunk_room(Decoder *d, Size size)
{
	if (unlikely(INTALIGN(size) > (Size) (d->end - d->next)))
		return weir_decode_grow(d, INTALIGN(size));
	return d->next;
}

static inline void
chunk_take(Decoder *d, Size size)
{
	d->next += INTALIGN(size);
}

/* The same, taken: for a value that lives as long as the batch. */
char *
weir_convert_room(Decoder *d, Size size)
{
	char *room = chunk_room(d, size);

	chunk_take(d, size);
	return room;
}

/* text, or a json value that is a text, of bytes in the server's encoding. */
static inline bool
convert_text(Decoder *d, const Column *col, const char *bytes, uint32 len,
			 bool escaped, Datum *out)
{
	char *room;
	int64 actual = len;

	if (len > col->max_len)
		return false;
	if (!col->store && !escaped)
		return true;
	room = chunk_room(d, (Size) len + VARHDRSZ);
	if (unlikely(escaped))
	{
		actual = wj_unescape(bytes, len, room + VARHDRSZ);
		if (actual < 0)
			return false;
	}
	else
		memcpy(room + VARHDRSZ, bytes, len);
	if (!col->store)
		return true;
	SET_VARSIZE(room, actual + VARHDRSZ);
	chunk_take(d, actual + VARHDRSZ);
	*out = PointerGetDatum(room);
	return true;
}

/* The text of a JSON value as it stands in the message, quotes included. */
static inline bool
convert_json(Decoder *d, const Column *col, const WjValue *v, Datum *out)
{
	int quote = v->type == WJ_STRING ? 1 : 0;

	return convert_text(d, col, v->ptr - quote, v->len + 2 * quote, false, out);
}

/*
 * A jsonb that nobody wants has only to be valid.  jsonb_in refuses little that
 * is JSON: \u0000, and numbers that numeric cannot hold, which have an exponent
 * or are very long.
 */
static bool
certainly_jsonb(const WjValue *v)
{
	uint32 i;

	if (v->type == WJ_STRING)
		return !v->escaped;
	if (v->len > 4096)
		return false;
	for (i = 0; i < v->len; i++)
	{
		char c = v->ptr[i];

		if (c == '\\')
			return false;
		if ((c == 'e' || c == 'E') && i > 0 && v->ptr[i - 1] >= '0' &&
			v->ptr[i - 1] <= '9')
			return false;
	}
	return true;
}

/* Whether the value's text is a number by JSON's grammar. */
static inline bool
is_number(const WjValue *v)
{
	if (likely(v->type == WJ_NUMBER))
		return true;
	return v->type == WJ_STRING && wj_is_number(v->ptr, v->len);
}

static inline bool
convert_int(const WjValue *v, int64 min, int64 max, int64 *out)
{
	return is_number(v) && wj_int64(v->ptr, v->len, out) && *out >= min &&
		   *out <= max;
}

/* parse_bool_with_len may look beyond a single "o", to see whether it is "on" */
static inline bool
safe_for_parse_bool(const WjValue *v)
{
	return v->len > 1 || (v->len == 1 && (*v->ptr | 0x20) != 'o');
}

static bool
convert_bool(const WjValue *v, Datum *out)
{
	bool value;

	if (v->type == WJ_TRUE || v->type == WJ_FALSE)
		*out = BoolGetDatum(v->type == WJ_TRUE);
	else if ((v->type == WJ_STRING || v->type == WJ_NUMBER) &&
			 safe_for_parse_bool(v) &&
			 parse_bool_with_len(v->ptr, v->len, &value))
		*out = BoolGetDatum(value);
	else
		return false;
	return true;
}

/* Does the number begin with a digit other than 0 before any exponent? */
static bool
has_nonzero_digit(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len && p[i] != 'e' && p[i] != 'E'; i++)
	{
		if (p[i] >= '1' && p[i] <= '9')
			return true;
	}
	return false;
}

/* As float8in: what underflows to zero is its error, not ours. */
static inline bool
convert_float8(const WjValue *v, double *out)
{
	if (!is_number(v) || !wj_double(v->ptr, v->len, out))
		return false;
	return *out != 0 || !has_nonzero_digit(v->ptr, v->len);
}

/*
 * float4in rounds the decimal once.  Rounding it to double first gives the same
 * float, except where that double lies in the middle between two floats.
 */
static bool
convert_float4(const WjValue *v, float4 *out)
{
	double value;
	uint64 bits;

	if (!convert_float8(v, &value))
		return false;
	*out = (float4) value;
	if (value == 0)
		return true;
	if (fabs(value) < FLT_MIN || isinf(*out))
		return false;
	memcpy(&bits, &value, sizeof(bits));
	return (bits & UINT64CONST(0x1FFFFFFF)) != UINT64CONST(0x10000000);
}

/* Plain decimals of up to 18 digits, with no more places than the typmod. */
static bool
convert_numeric(const Column *col, const WjValue *v, Datum *out)
{
	static const int64 power[] = {1,
								  10,
								  100,
								  1000,
								  10000,
								  100000,
								  1000000,
								  10000000,
								  100000000,
								  1000000000,
								  10000000000,
								  100000000000,
								  1000000000000,
								  10000000000000,
								  100000000000000,
								  1000000000000000,
								  10000000000000000,
								  100000000000000000,
								  1000000000000000000};
	int64 value;
	int places;
	int32 typmod = col->def->typmod;

	if (!is_number(v) || !weir_parse_decimal(v->ptr, v->len, &value, &places))
		return false;
	if (typmod >= (int32) VARHDRSZ)
	{
		int precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
		int scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

		if (scale < places || precision > 18 || scale > precision)
			return false;
		if (pg_mul_s64_overflow(value, power[scale - places], &value) ||
			value >= power[precision] || value <= -power[precision])
			return false;
		places = scale;
	}
	if (col->store)
		*out = NumericGetDatum(int64_div_fast_to_numeric(value, places));
	return true;
}

static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The 36 characters that uuid_out prints, in either case. */
static bool
convert_uuid(Decoder *d, const Column *col, const WjValue *v, Datum *out)
{
	char *room;
	const char *p = v->ptr;
	int i;

	if (v->type != WJ_STRING || v->escaped || v->len != 36)
		return false;
	room = chunk_room(d, UUID_LEN);
	for (i = 0; i < UUID_LEN; i++)
	{
		int high;
		int low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			return false;
		high = hex_digit(*p++);
		low = hex_digit(*p++);
		if ((high | low) < 0)
			return false;
		room[i] = (char) (high << 4 | low);
	}
	if (col->store)
		chunk_take(d, UUID_LEN);
	*out = PointerGetDatum(room);
	return true;
}

/*
 * timestamptz, timestamp and date.  Numbers, quoted or not, count units since
 * 1970; without a unit they are left to the slow path, which refuses them (or
 * takes a quoted one for what the input function thinks it is).
 */
static inline bool
convert_time(const Column *col, const WjValue *v, Datum *out)
{
	const StreamColumn *def = col->def;
	int64 us;
	int32 days;
	WtStatus status;

	if (def->unit_num > 0 && is_number(v))
	{
		if (!weir_decimal_time(v->ptr, v->len, def->unit_num, def->unit_den,
							   &us) ||
			!weir_time_in_range(us))
			return false;
		*out = weir_column_datum(col, us);
		return true;
	}
	if (v->type != WJ_STRING || v->escaped)
		return false;
	switch (col->kind)
	{
		case CONV_DATE:
			if (wt_parse_date(v->ptr, v->len, &days) != WT_OK)
				return false;
			*out = DateADTGetDatum(days - WT_PG_EPOCH_DAYS);
			return true;
		case CONV_TIMESTAMP:
			status = wt_parse_timestamp(v->ptr, v->len, &us);
			break;
		default:
			status = wt_parse_timestamptz(v->ptr, v->len, &us);
			break;
	}
	if (status != WT_OK)
		return false;
	*out = weir_column_datum(col, us);
	return true;
}

/* One value that is there; false: ask the input function. */
static pg_attribute_always_inline bool
convert_value(Decoder *d, const Column *col, const WjValue *v, Datum *out)
{
	int64 number;
	double real;
	float4 single;

	switch (col->kind)
	{
		case CONV_TEXT:
			return convert_text(d, col, v->ptr, v->len, v->escaped, out);
		case CONV_INT4:
			if (!convert_int(v, PG_INT32_MIN, PG_INT32_MAX, &number))
				return false;
			*out = Int32GetDatum((int32) number);
			return true;
		case CONV_INT8:
			if (!convert_int(v, PG_INT64_MIN, PG_INT64_MAX, &number))
				return false;
			*out = Int64GetDatum(number);
			return true;
		case CONV_FLOAT8:
			if (!convert_float8(v, &real))
				return false;
			*out = Float8GetDatum(real);
			return true;
		case CONV_TIMESTAMPTZ:
		case CONV_TIMESTAMP:
		case CONV_DATE:
			return convert_time(col, v, out);
		case CONV_BOOL:
			return convert_bool(v, out);
		case CONV_INT2:
			if (!convert_int(v, PG_INT16_MIN, PG_INT16_MAX, &number))
				return false;
			*out = Int16GetDatum((int16) number);
			return true;
		case CONV_FLOAT4:
			if (!convert_float4(v, &single))
				return false;
			*out = Float4GetDatum(single);
			return true;
		case CONV_NUMERIC:
			return convert_numeric(col, v, out);
		case CONV_UUID:
			return convert_uuid(d, col, v, out);
		case CONV_JSON:
			return convert_json(d, col, v, out);
		case CONV_JSONB:
			return !col->store && certainly_jsonb(v);
		case CONV_BYTES:
			return convert_text(d, col, v->ptr, v->len, false, out);
		case CONV_INPUT:
			break;
	}
	return false;
}

static inline void
store_value(Column *col, int record, Datum value)
{
	if (col->store)
	{
		col->values[record] = value;
		col->nulls[record] = false;
	}
}

void
weir_store_value(Column *col, int record, Datum value)
{
	store_value(col, record, value);
}

/* The column has no value in this record.  False: it must have one. */
bool
weir_convert_null(Decoder *d, Column *col, int record)
{
	static const WjValue null_value = {NULL, 0, WJ_NULL, false};

	if (unlikely(col->def->not_null))
	{
		weir_decode_fail(d, record, ERRCODE_NOT_NULL_VIOLATION,
						 psprintf("column \"%s\": null value violates not-null constraint",
								  col->def->name));
		return false;
	}
	if (unlikely(col->null_input))
		weir_put_aside(d, col, record, &null_value, false);
	else if (col->store)
	{
		col->values[record] = (Datum) 0;
		col->nulls[record] = true;
	}
	return true;
}

/*
 * All columns of a source from what the scanner found in one record.  False: the
 * record failed and is in the batch's errors.
 */
bool
weir_convert_values(Decoder *d, Source *src, int record)
{
	const WjValue *values = src->scanned;
	Column *col;
	Column *end = src->columns + src->ncolumns;

	for (col = src->columns; col < end; col++)
	{
		const WjValue *v = &values[col->path];
		Datum value = (Datum) 0;

		if (unlikely(v->type <= WJ_NULL))
		{
			if (!weir_convert_null(d, col, record))
				return false;
		}
		else if (likely(convert_value(d, col, v, &value)))
			store_value(col, record, value);
		else
			weir_put_aside(d, col, record, v, false);
	}
	return true;
}

/* One value that is there, and not null. */
void
weir_convert_one(Decoder *d, Column *col, int record, const WjValue *value)
{
	Datum datum = (Datum) 0;

	if (convert_value(d, col, value, &datum))
		store_value(col, record, datum);
	else
		weir_put_aside(d, col, record, value, false);
}

/*
 * A value that is bytes: a raw payload, or a key.  bytea takes any; all other
 * types take them as text in the server's encoding.
 */
bool
weir_convert_bytes(Decoder *d, Column *col, int record, const char *bytes,
				   size_t len)
{
	WjValue v = {bytes, (uint32) len, WJ_STRING, false};
	Datum value = (Datum) 0;

	if (col->kind != CONV_BYTES)
	{
		int valid;

		valid = pg_encoding_verifymbstr(GetDatabaseEncoding(), bytes, (int) len);
		if (valid != (int) len)
		{
			weir_decode_fail(d, record, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
							 psprintf("column \"%s\": invalid byte sequence for encoding \"%s\" at byte %d",
									  col->def->name, GetDatabaseEncodingName(),
									  valid));
			return false;
		}
	}
	if (convert_value(d, col, &v, &value))
		store_value(col, record, value);
	else
		weir_put_aside(d, col, record, &v, true);
	return true;
}

/* A time that is known already, in microseconds since 1970. */
bool
weir_convert_time(Decoder *d, Column *col, int record, int64 us)
{
	if (!weir_time_in_range(us))
	{
		weir_decode_fail(d, record, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
						 psprintf("column \"%s\": timestamp out of range",
								  col->def->name));
		return false;
	}
	store_value(col, record, weir_column_datum(col, us));
	return true;
}
