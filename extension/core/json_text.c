/*
 * json_text.c
 *		Escapes in JSON strings and keys, and what errors are called.
 *
 * The part of the scanner that few messages need.  Called by the decoders, for
 * each string value with a backslash, and by json.c.  Pure: no lock, no memory,
 * no error but a return value.
 */
#include "core/json_text.h"

#include <string.h>

#include "core/utf8.h"

/* -1 if it is no hexadecimal digit. */
static inline int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int32_t
wj_hex4(const char *p, const char *end)
{
	int32_t code = 0;

	for (int i = 0; i < 4; i++)
	{
		int h;

		if (p + i == end)
			return -2;
		h = hex_value(p[i]);
		if (h < 0)
			return -1;
		code = code << 4 | h;
	}
	return code;
}

/* The next code of a checked string, from an escape or as a single byte. */
static size_t
decode_one(const char **pp, char *dst)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	const char *p = *pp;
	const char *which;
	uint32_t code;

	if (*p != '\\')
	{
		*dst = *p;
		*pp = p + 1;
		return 1;
	}
	if (p[1] != 'u')
	{
		which = strchr(from, p[1]);
		*dst = which ? to[which - from] : p[1];
		*pp = p + 2;
		return 1;
	}
	code = (uint32_t) wj_hex4(p + 2, p + 6);
	*pp = p + 6;
	if (code >= 0xD800 && code <= 0xDBFF)
	{
		code = 0x10000 + ((code - 0xD800) << 10) +
			   ((uint32_t) wj_hex4(p + 8, p + 12) - 0xDC00);
		*pp = p + 12;
	}
	return wu_encode(code, dst);
}

int64_t
wj_unescape(const char *src, size_t len, char *dst)
{
	const char *end = src + len;
	char *out = dst;

	while (src < end)
	{
		const char *slash = memchr(src, '\\', (size_t) (end - src));
		size_t plain = (size_t) ((slash ? slash : end) - src);
		size_t n;

		memcpy(out, src, plain);
		out += plain;
		src += plain;
		if (slash == NULL)
			break;
		n = decode_one(&src, out);
		if (n == 1 && *out == '\0')
			return -1;
		out += n;
	}
	return out - dst;
}

/* Whether a checked key with escapes is this one. */
static bool
equals_escaped(const char *p, const char *end, const WjKey *key)
{
	size_t done = 0;

	while (p < end)
	{
		char code[4];
		size_t n = decode_one(&p, code);

		if (key->len - done < n || memcmp(key->text + done, code, n) != 0)
			return false;
		done += n;
	}
	return done == key->len;
}

const WjNode *
wj_find_escaped(const WjNode *node, const char *p, const char *end)
{
	for (int i = 0; i < node->nkeys; i++)
		if (equals_escaped(p, end, &node->keys[i]))
			return node->keys[i].node;
	return NULL;
}

const char *
wj_status_text(WjStatus status)
{
	switch (status)
	{
		case WJ_OK:
			return "no error";
		case WJ_ERR_EMPTY:
			return "message is empty";
		case WJ_ERR_SYNTAX:
			return "unexpected character";
		case WJ_ERR_END:
			return "unexpected end of message";
		case WJ_ERR_NUMBER:
			return "malformed number";
		case WJ_ERR_CONTROL:
			return "control character in a string";
		case WJ_ERR_ESCAPE:
			return "malformed escape sequence";
		case WJ_ERR_SURROGATE:
			return "unpaired surrogate";
		case WJ_ERR_UTF8:
			return "malformed UTF-8";
		case WJ_ERR_DEPTH:
			return "nested too deeply";
		case WJ_ERR_TRAILING:
			return "unexpected text after the value";
		case WJ_ERR_TOO_LONG:
			return "message is too long";
	}
	return "unknown error";
}
