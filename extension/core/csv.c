/*
 * csv.c
 *		The scanner of separated values, see csv.h.
 *
 * Each byte of a record passes here once; a table says which ones matter.  No
 * lock, no memory.
 */
#include "core/csv.h"

#include <string.h>

#include "core/utf8.h"

typedef struct Scan
{
	const WsvDialect *d;
	const char *p;
	const char *end;
	WsvStatus status;
} Scan;

void
wsv_dialect(WsvDialect *d, char delimiter, char quote, char escape,
			const char *null)
{
	memset(d, 0, sizeof(*d));
	d->delimiter = delimiter;
	d->quote = quote;
	d->escape = escape;
	d->null = null;
	d->null_len = strlen(null);
	for (int c = 0x80; c < 256; c++)
		d->special[c] = true;
	d->special[0] = d->special['\n'] = d->special['\r'] = true;
	d->special[(unsigned char) delimiter] = true;
	d->special[(unsigned char) quote] = true;
	d->special[(unsigned char) escape] = true;
}

static bool
fail(Scan *s, WsvStatus status)
{
	s->status = status;
	return false;
}

static inline bool
at_special(const Scan *s)
{
	return s->d->special[(unsigned char) *s->p];
}

/* Past a sequence of UTF-8, or what means nothing here; not past NUL. */
static bool
skip_other(Scan *s)
{
	size_t n = 1;

	if (*s->p == '\0')
		return fail(s, WSV_ERR_NUL);
	if ((unsigned char) *s->p >= 0x80)
		n = wu_sequence(s->p, s->end);
	if (n == 0)
		return fail(s, WSV_ERR_UTF8);
	s->p += n;
	return true;
}

/* The length of the line's end at p, or 0. */
static inline int
line_end(const char *p, const char *end)
{
	if (*p == '\n')
		return 1;
	return *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 0;
}

/* To what ends the plain field: delimiter, line's end, or the end. */
static bool
scan_plain(Scan *s, WjValue *v)
{
	v->ptr = s->p;
	v->escaped = false;
	for (;;)
	{
		while (s->p < s->end && !at_special(s))
			s->p++;
		if (s->p == s->end || *s->p == s->d->delimiter ||
			line_end(s->p, s->end) > 0)
			break;
		if (*s->p == s->d->quote)
			return fail(s, WSV_ERR_QUOTE);
		if (!skip_other(s))
			return false;
	}
	v->len = (uint32_t) (s->p - v->ptr);
	v->type = v->len == s->d->null_len && memcmp(v->ptr, s->d->null, v->len) == 0
				  ? WJ_NULL
				  : WJ_STRING;
	return true;
}

/* Is this an escape, with what it escapes behind it? */
static inline bool
is_escape(const WsvDialect *d, const char *p, const char *end)
{
	return *p == d->escape && end - p > 1 &&
		   (p[1] == d->quote || p[1] == d->escape);
}

/* To behind the closing quote; p is at the opening one. */
static bool
scan_quoted(Scan *s, WjValue *v)
{
	v->ptr = ++s->p;
	v->type = WJ_STRING;
	v->escaped = false;
	for (;;)
	{
		while (s->p < s->end && !at_special(s))
			s->p++;
		if (s->p == s->end)
			return fail(s, WSV_ERR_END);
		if (is_escape(s->d, s->p, s->end))
		{
			v->escaped = true;
			s->p += 2;
		}
		else if (*s->p == s->d->quote)
			break;
		else if (!skip_other(s))
			return false;
	}
	v->len = (uint32_t) (s->p++ - v->ptr);
	if (s->p < s->end && *s->p != s->d->delimiter && line_end(s->p, s->end) == 0)
		return fail(s, WSV_ERR_QUOTE);
	return true;
}

static bool
scan_fields(Scan *s, int nfields, WjValue *fields)
{
	for (int i = 0; i < nfields; i++)
	{
		bool quoted = s->p < s->end && *s->p == s->d->quote;

		if (!(quoted ? scan_quoted(s, &fields[i]) : scan_plain(s, &fields[i])))
			return false;
		if (i == nfields - 1)
			break;
		if (s->p == s->end || *s->p != s->d->delimiter)
			return fail(s, WSV_ERR_FEW);
		s->p++;
	}
	if (s->p == s->end)
		return true;
	if (nfields > 0 && *s->p == s->d->delimiter)
		return fail(s, WSV_ERR_MANY);
	s->p += line_end(s->p, s->end);
	return s->p == s->end || fail(s, nfields > 0 ? WSV_ERR_LINES : WSV_ERR_MANY);
}

WsvStatus
wsv_scan(const WsvDialect *d, const char *buf, size_t len, int nfields,
		 WjValue *fields, size_t *errpos)
{
	Scan s = {d, buf, buf, WSV_OK};

	if (len > 0)
		s.end += len;
	if (len > UINT32_MAX)
		(void) fail(&s, WSV_ERR_TOO_LONG);
	else
		(void) scan_fields(&s, nfields, fields);
	if (errpos)
		*errpos = (size_t) (s.p - buf);
	return s.status;
}

size_t
wsv_unescape(const WsvDialect *d, const char *src, size_t len, char *dst)
{
	const char *end = src + len;
	char *to = dst;

	while (src < end)
	{
		if (is_escape(d, src, end))
			src++;
		*to++ = *src++;
	}
	return (size_t) (to - dst);
}

const char *
wsv_record_end(const WsvDialect *d, const char *p, const char *end)
{
	bool quoted = false;

	for (; p < end; p++)
	{
		if (!d->special[(unsigned char) *p])
			continue;
		if (quoted && is_escape(d, p, end))
			p++;
		else if (*p == d->quote)
			quoted = !quoted;
		else if (!quoted && *p == '\n')
			break;
	}
	return p;
}

bool
wsv_is_plain(const WsvDialect *d, const char *p, size_t len)
{
	if (len == d->null_len && memcmp(p, d->null, len) == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) p[i] < 0x80 && d->special[(unsigned char) p[i]])
			return false;
	return true;
}

const char *
wsv_status_text(WsvStatus status)
{
	switch (status)
	{
		case WSV_OK:
			return "no error";
		case WSV_ERR_QUOTE:
			return "quote in the middle of a field";
		case WSV_ERR_END:
			return "no closing quote";
		case WSV_ERR_LINES:
			return "more than one line";
		case WSV_ERR_UTF8:
			return "invalid UTF-8";
		case WSV_ERR_NUL:
			return "NUL byte";
		case WSV_ERR_FEW:
			return "fewer fields than columns";
		case WSV_ERR_MANY:
			return "more fields than columns";
		case WSV_ERR_TOO_LONG:
			return "record too long";
	}
	return "unknown error";
}
