/*
 * avro.c
 *		Reading Avro's binary encoding (see avro.h).
 *
 * Nothing is trusted: each length is compared with what is left.  Items and fields
 * that take no room (null, empty records) are counted against an allowance, so
 * that a few bytes cannot ask for a long loop.  Recursion is as deep as the data is,
 * up to AV_MAX_DEPTH.  No lock, no memory.
 */
#include "core/avro.h"

#include <string.h>

#include "core/utf8.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static bool
fail(AvCursor *c, AvStatus status)
{
	c->status = status;
	return false;
}

static bool
read_long_varint(AvCursor *c, uint64_t first, int64_t *value)
{
	uint64_t v = first & 0x7F;
	int shift = 7;

	for (;; shift += 7)
	{
		uint64_t byte;

		if (c->p == c->end)
			return fail(c, AV_ERR_END);
		byte = (unsigned char) *c->p++;
		if (shift == 63 && byte > 1)
			return fail(c, AV_ERR_VARINT);
		v |= (byte & 0x7F) << shift;
		if (byte < 0x80)
			break;
	}
	*value = (int64_t) (v >> 1) ^ -(int64_t) (v & 1);
	return true;
}

static inline bool
read_varint(AvCursor *c, int64_t *value)
{
	uint64_t byte;

	if (unlikely(c->p == c->end))
		return fail(c, AV_ERR_END);
	byte = (unsigned char) *c->p++;
	if (unlikely(byte >= 0x80))
		return read_long_varint(c, byte, value);
	*value = (int64_t) (byte >> 1) ^ -(int64_t) (byte & 1);
	return true;
}

bool
av_read_varint(AvCursor *c, int64_t *value)
{
	return read_varint(c, value);
}

/* So many bytes: *ptr, and the cursor is behind them. */
static inline bool
take(AvCursor *c, int64_t len, const char **ptr)
{
	if (unlikely(len < 0))
		return fail(c, AV_ERR_LENGTH);
	if (unlikely(len > c->end - c->p))
		return fail(c, AV_ERR_END);
	*ptr = c->p;
	c->p += len;
	return true;
}

static inline bool
take_counted(AvCursor *c, const char **ptr, uint32_t *len)
{
	int64_t n;

	if (!read_varint(c, &n) || !take(c, n, ptr))
		return false;
	*len = (uint32_t) n;
	return true;
}

static inline bool
read_string(AvCursor *c, AvValue *v)
{
	size_t at;

	if (!take_counted(c, &v->ptr, &v->len))
		return false;
	if (unlikely(!wu_valid(v->ptr, v->len, &at)))
	{
		c->p = v->ptr + at;
		return fail(c, AV_ERR_UTF8);
	}
	return true;
}

static inline bool
read_float(AvCursor *c, AvValue *v)
{
	const char *p;
	uint32_t bits = 0;
	float f;

	if (!take(c, 4, &p))
		return false;
	for (int i = 3; i >= 0; i--)
		bits = bits << 8 | (unsigned char) p[i];
	memcpy(&f, &bits, sizeof(f));
	v->d = f;
	return true;
}

static inline bool
read_double(AvCursor *c, AvValue *v)
{
	const char *p;
	uint64_t bits = 0;

	if (!take(c, 8, &p))
		return false;
	for (int i = 7; i >= 0; i--)
		bits = bits << 8 | (unsigned char) p[i];
	memcpy(&v->d, &bits, sizeof(v->d));
	return true;
}

static inline bool
read_boolean(AvCursor *c, AvValue *v)
{
	const char *p;

	if (!take(c, 1, &p))
		return false;
	v->i = *p;
	if (v->i == 0 || v->i == 1)
		return true;
	c->p = p;
	return fail(c, AV_ERR_BOOLEAN);
}

static inline bool
read_int(AvCursor *c, AvValue *v)
{
	return read_varint(c, &v->i) &&
		   (likely(v->i == (int32_t) v->i) || fail(c, AV_ERR_VARINT));
}

static inline bool
read_enum(AvCursor *c, const AvNode *node, AvValue *v)
{
	return read_int(c, v) &&
		   (likely(v->i >= 0 && v->i < node->n) || fail(c, AV_ERR_SYMBOL));
}

bool
av_read_block(AvCursor *c, int64_t *n)
{
	int64_t bytes;

	if (!read_varint(c, n))
		return false;
	if (*n >= 0)
		return true;
	if (*n == INT64_MIN)
		return fail(c, AV_ERR_LENGTH);
	*n = -*n;
	if (!read_varint(c, &bytes))
		return false;
	return bytes >= 0 || fail(c, AV_ERR_LENGTH);
}

bool
av_end_item(AvCursor *c, const char *start)
{
	return c->p > start || c->spare-- > 0 || fail(c, AV_ERR_ITEMS);
}

static bool
skip_items(AvCursor *c, const AvNode *node, int depth)
{
	int64_t n;

	for (;;)
	{
		if (!av_read_block(c, &n))
			return false;
		if (n == 0)
			return true;
		for (; n > 0; n--)
		{
			const char *start = c->p;
			AvValue key;

			if (node->type == AV_MAP && !read_string(c, &key))
				return false;
			if (!av_skip(c, node->children[0], depth + 1) ||
				!av_end_item(c, start))
				return false;
		}
	}
}

static bool
skip_fields(AvCursor *c, const AvNode *node, int depth)
{
	for (int i = 0; i < node->n; i++)
	{
		const char *start = c->p;

		if (!av_skip(c, node->children[i], depth + 1) || !av_end_item(c, start))
			return false;
	}
	return true;
}

/* All of a record, array or map. */
static bool
read_container(AvCursor *c, const AvNode *node, AvValue *v, int depth)
{
	v->ptr = c->p;
	if (depth >= AV_MAX_DEPTH)
		return fail(c, AV_ERR_DEPTH);
	if (!(node->type == AV_RECORD ? skip_fields(c, node, depth)
								  : skip_items(c, node, depth)))
		return false;
	v->len = (uint32_t) (c->p - v->ptr);
	return true;
}

bool
av_read_value(AvCursor *c, const AvNode *node, AvValue *v, int depth)
{
	v->node = node;
	switch (node->type)
	{
		case AV_NULL:
			return true;
		case AV_BOOLEAN:
			return read_boolean(c, v);
		case AV_INT:
			return read_int(c, v);
		case AV_LONG:
			return read_varint(c, &v->i);
		case AV_FLOAT:
			return read_float(c, v);
		case AV_DOUBLE:
			return read_double(c, v);
		case AV_BYTES:
			return take_counted(c, &v->ptr, &v->len);
		case AV_STRING:
			return read_string(c, v);
		case AV_FIXED:
			v->len = node->size;
			return take(c, node->size, &v->ptr);
		case AV_ENUM:
			return read_enum(c, node, v);
		case AV_RECORD:
		case AV_ARRAY:
		case AV_MAP:
			return read_container(c, node, v, depth);
		case AV_UNION:
		case AV_MISSING:
			break;
	}
	return fail(c, AV_ERR_BRANCH);
}

const AvNode *
av_read_branch(AvCursor *c, const AvNode *node, int *branch)
{
	int64_t n;

	if (!read_varint(c, &n))
		return NULL;
	if (unlikely(n < 0 || n >= node->n))
	{
		(void) fail(c, AV_ERR_BRANCH);
		return NULL;
	}
	*branch = (int) n;
	return node->children[n];
}

bool
av_skip(AvCursor *c, const AvNode *node, int depth)
{
	AvValue v;
	int branch;

	if (node->type == AV_UNION)
	{
		node = av_read_branch(c, node, &branch);
		if (node == NULL)
			return false;
	}
	return av_read_value(c, node, &v, depth);
}

const char *
av_status_text(AvStatus status)
{
	switch (status)
	{
		case AV_OK:
			return "no error";
		case AV_ERR_END:
			return "unexpected end";
		case AV_ERR_TRAILING:
			return "unexpected bytes after the value";
		case AV_ERR_VARINT:
			return "integer out of range";
		case AV_ERR_LENGTH:
			return "negative length";
		case AV_ERR_BRANCH:
			return "union has no such branch";
		case AV_ERR_SYMBOL:
			return "enum has no such symbol";
		case AV_ERR_BOOLEAN:
			return "boolean is neither 0 nor 1";
		case AV_ERR_UTF8:
			return "invalid UTF-8";
		case AV_ERR_DEPTH:
			return "nested too deeply";
		case AV_ERR_ITEMS:
			return "too many empty items";
		case AV_ERR_TOO_LONG:
			return "value too long";
	}
	return "unknown error";
}
