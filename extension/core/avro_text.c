/*
 * avro_text.c
 *		Avro values as text and as JSON (see avro.h).
 *
 * For values that have no fast way into a column.  Each is written twice: once to
 * count, then into the room that the caller has got for it.  The datum was
 * checked by av_scan, so reading it again cannot fail.  No lock, no memory.
 */
#include "core/avro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECIMAL_BYTES 256
#define LIMBS         (DECIMAL_BYTES / 4)
/* Decimal digits of so many bytes, in groups of nine. */
#define GROUPS        (LIMBS * 32 * 302 / 9000 + 2)

typedef struct Out
{
	char *p; /* NULL: only count */
	int64_t len;
	bool failed;
} Out;

static void
put(Out *o, const char *text, size_t len)
{
	if (o->failed || o->len + (int64_t) len >= AV_MAX_TEXT)
	{
		o->failed = true;
		return;
	}
	if (o->p)
		memcpy(o->p + o->len, text, len);
	o->len += (int64_t) len;
}

static inline void
put_char(Out *o, char c)
{
	put(o, &c, 1);
}

static void
put_text(Out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void
put_hex(Out *o, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++)
	{
		put_char(o, digits[(unsigned char) bytes[i] >> 4]);
		put_char(o, digits[(unsigned char) bytes[i] & 15]);
	}
}

/* A string's contents between quotes, with JSON's escapes. */
static void
put_json_string(Out *o, const char *text, size_t len)
{
	put_char(o, '"');
	for (size_t i = 0; i < len; i++)
	{
		char escape[8];

		if ((unsigned char) text[i] < 0x20)
		{
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) text[i]);
			put_text(o, escape);
			continue;
		}
		if (text[i] == '"' || text[i] == '\\')
			put_char(o, '\\');
		put_char(o, text[i]);
	}
	put_char(o, '"');
}

static void
put_string(Out *o, const char *text, size_t len, bool json)
{
	if (json)
		put_json_string(o, text, len);
	else
		put(o, text, len);
}

/* --- numbers ---------------------------------------------------------------- */

static void
put_int(Out *o, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	put_text(o, text);
}

/* The shortest text that is read as this number. */
static void
put_float(Out *o, double value, bool single, bool json)
{
	char text[40];

	if (!isfinite(value))
	{
		const char *name = isnan(value) ? "NaN"
						   : value > 0  ? "Infinity"
										: "-Infinity";

		put_string(o, name, strlen(name), json);
		return;
	}
	for (int digits = single ? 6 : 15; digits <= 17; digits++)
	{
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (single ? strtof(text, NULL) == (float) value
				   : strtod(text, NULL) == value)
			break;
	}
	put_text(o, text);
}

/* The absolute value, as limbs of 32 bits from the lowest on. */
static int
read_limbs(const AvValue *v, uint32_t *limbs, bool *negative)
{
	const unsigned char *bytes = (const unsigned char *) v->ptr;
	int n = (int) (v->len + 3) / 4;
	uint64_t carry;

	*negative = v->len > 0 && bytes[0] >= 0x80;
	carry = *negative;
	for (int i = 0; i < n; i++)
	{
		uint32_t limb = 0;

		for (int k = 3; k >= 0; k--)
		{
			int at = (int) v->len - 1 - (4 * i + k);
			uint32_t byte = at >= 0 ? bytes[at] : *negative ? 0xFF : 0;

			limb = limb << 8 | byte;
		}
		if (*negative)
		{
			carry += (uint32_t) ~limb;
			limb = (uint32_t) carry;
			carry >>= 32;
		}
		limbs[i] = limb;
	}
	return n;
}

/* Divides by 10^9; returns the rest. */
static uint32_t
divide(uint32_t *limbs, int n)
{
	uint64_t rest = 0;

	for (int i = n - 1; i >= 0; i--)
	{
		uint64_t value = rest << 32 | limbs[i];

		limbs[i] = (uint32_t) (value / 1000000000);
		rest = value % 1000000000;
	}
	return (uint32_t) rest;
}

/* The digits, without leading zeros, into room for 9 * GROUPS + 1. */
static void
limb_digits(uint32_t *limbs, int n, char *digits)
{
	uint32_t groups[GROUPS];
	int ngroups = 0;
	char *start = digits;

	while (n > 0)
	{
		groups[ngroups++] = divide(limbs, n);
		while (n > 0 && limbs[n - 1] == 0)
			n--;
	}
	*digits = '\0';
	while (ngroups-- > 0)
	{
		snprintf(digits, 10, digits == start ? "%u" : "%09u",
				 (unsigned) groups[ngroups]);
		digits += strlen(digits);
		if (digits - start == 1 && *start == '0')
			digits = start;
	}
	*digits = '\0';
}

static void
put_decimal(Out *o, const AvValue *v)
{
	uint32_t limbs[LIMBS + 1];
	char digits[9 * GROUPS + 10];
	bool negative;
	size_t n;
	size_t scale = (size_t) v->node->scale;

	if (v->len > DECIMAL_BYTES)
	{
		o->failed = true;
		return;
	}
	limb_digits(limbs, read_limbs(v, limbs, &negative), digits);
	n = strlen(digits);
	if (negative)
		put_char(o, '-');
	if (n <= scale)
		put_char(o, '0');
	else
		put(o, digits, n - scale);
	if (scale == 0)
		return;
	put_char(o, '.');
	for (size_t i = n; i < scale; i++)
		put_char(o, '0');
	put(o, digits + (n > scale ? n - scale : 0), n < scale ? n : scale);
}

/* --- times ------------------------------------------------------------------ */

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The civil date of a day since 1970; negative: the year before is BC. */
static void
civil(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int) (doy - (153 * mp + 2) / 5 + 1);
	*month = (int) (mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

/* A time of day, of units per second; nanoseconds are cut. */
static void
format_time(char *text, size_t size, int64_t units, int per_second)
{
	int64_t seconds = units / per_second;
	int64_t us = units % per_second;

	us = per_second > 1000000 ? us / (per_second / 1000000)
							  : us * (1000000 / per_second);
	snprintf(text, size, "%02d:%02d:%02d.%06d", (int) (seconds / 3600),
			 (int) (seconds / 60 % 60), (int) (seconds % 60), (int) us);
}

/* Date, and time of day if units is not negative; as PostgreSQL reads it. */
static void
format_moment(char *text, size_t size, int64_t days, int64_t units,
			  int per_second, const char *zone)
{
	char time[40] = "";
	int64_t year;
	int month;
	int day;

	civil(days, &year, &month, &day);
	if (units >= 0)
	{
		time[0] = 'T';
		format_time(time + 1, sizeof(time) - 1, units, per_second);
	}
	snprintf(text, size, "%04lld-%02d-%02d%s%s%s",
			 (long long) (year > 0 ? year : 1 - year), month, day, time, zone,
			 year > 0 ? "" : " BC");
}

static bool
put_time(Out *o, const AvValue *v, bool json)
{
	char text[100];
	int64_t per_day = INT64_C(86400) * v->node->per_second;

	switch (v->node->logical)
	{
		case AV_DATE:
			format_moment(text, sizeof(text), v->i, -1, 1, "");
			break;
		case AV_TIMESTAMP:
		case AV_LOCAL:
			format_moment(text, sizeof(text), floor_div(v->i, per_day),
						  v->i - floor_div(v->i, per_day) * per_day,
						  v->node->per_second,
						  v->node->logical == AV_LOCAL ? "" : "Z");
			break;
		case AV_TIME:
			if (v->i < 0 || v->i > per_day)
				return false;
			format_time(text, sizeof(text), v->i, v->node->per_second);
			break;
		default:
			return false;
	}
	put_string(o, text, strlen(text), json);
	return true;
}

static uint32_t
read_le32(const char *p)
{
	const unsigned char *b = (const unsigned char *) p;

	return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t) b[3] << 24;
}

static void
put_duration(Out *o, const AvValue *v, bool json)
{
	char text[80];
	uint32_t ms = read_le32(v->ptr + 8);

	snprintf(text, sizeof(text), "P%uM%uDT%u.%03uS", read_le32(v->ptr),
			 read_le32(v->ptr + 4), ms / 1000, ms % 1000);
	put_string(o, text, strlen(text), json);
}

static void
put_uuid(Out *o, const char *bytes, bool json)
{
	if (json)
		put_char(o, '"');
	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			put_char(o, '-');
		put_hex(o, bytes + i, 1);
	}
	if (json)
		put_char(o, '"');
}

static void
put_bytes(Out *o, const AvValue *v, bool json)
{
	if (v->node->logical == AV_DECIMAL)
		put_decimal(o, v);
	else if (v->node->logical == AV_UUID)
		put_uuid(o, v->ptr, json);
	else if (v->node->logical == AV_DURATION)
		put_duration(o, v, json);
	else
	{
		put_text(o, json ? "\"\\\\x" : "\\x");
		put_hex(o, v->ptr, v->len);
		if (json)
			put_char(o, '"');
	}
}

/* --- containers ------------------------------------------------------------- */

static void put_value(Out *o, const AvValue *v, bool json);

/* The value at the cursor, as JSON. */
static bool
put_next(Out *o, AvCursor *c, const AvNode *node)
{
	AvValue v;
	int branch;

	if (node->type == AV_UNION)
		node = av_read_branch(c, node, &branch);
	if (node == NULL || o->failed || !av_read_value(c, node, &v, 0))
		return false;
	put_value(o, &v, true);
	return !o->failed;
}

static bool
put_fields(Out *o, AvCursor *c, const AvNode *node)
{
	put_char(o, '{');
	for (int i = 0; i < node->n; i++)
	{
		if (i > 0)
			put_char(o, ',');
		put_json_string(o, node->names[i], strlen(node->names[i]));
		put_char(o, ':');
		if (!put_next(o, c, node->children[i]))
			return false;
	}
	put_char(o, '}');
	return true;
}

static bool
put_items(Out *o, AvCursor *c, const AvNode *node)
{
	bool map = node->type == AV_MAP;
	bool first = true;
	int64_t n;

	put_char(o, map ? '{' : '[');
	while (av_read_block(c, &n) && n > 0)
	{
		for (; n > 0; n--, first = false)
		{
			static const AvNode key = {.type = AV_STRING};

			if (!first)
				put_char(o, ',');
			if (map && !put_next(o, c, &key))
				return false;
			if (map)
				put_char(o, ':');
			if (!put_next(o, c, node->children[0]))
				return false;
		}
	}
	put_char(o, map ? '}' : ']');
	return true;
}

static void
put_container(Out *o, const AvValue *v)
{
	AvCursor c = {.p = v->ptr,
				  .end = v->ptr + v->len,
				  .status = AV_OK,
				  .spare = UINT32_MAX};

	if (!(v->node->type == AV_RECORD ? put_fields(o, &c, v->node)
									 : put_items(o, &c, v->node)))
		o->failed = true;
}

static void
put_value(Out *o, const AvValue *v, bool json)
{
	switch (v->node->type)
	{
		case AV_BOOLEAN:
			put_text(o, v->i ? "true" : "false");
			break;
		case AV_INT:
		case AV_LONG:
			if (v->node->logical == AV_PLAIN || !put_time(o, v, json))
				put_int(o, v->i);
			break;
		case AV_FLOAT:
		case AV_DOUBLE:
			put_float(o, v->d, v->node->type == AV_FLOAT, json);
			break;
		case AV_BYTES:
		case AV_FIXED:
			put_bytes(o, v, json);
			break;
		case AV_STRING:
			put_string(o, v->ptr, v->len, json);
			break;
		case AV_ENUM:
			put_string(o, v->node->names[v->i], strlen(v->node->names[v->i]),
					   json);
			break;
		case AV_RECORD:
		case AV_ARRAY:
		case AV_MAP:
			put_container(o, v);
			break;
		case AV_NULL:
		case AV_UNION:
		case AV_MISSING:
			put_text(o, "null");
			break;
	}
}

int64_t
av_text(const AvValue *value, bool json, char *out)
{
	Out o = {.p = out};

	put_value(&o, value, json);
	return o.failed ? -1 : o.len;
}
