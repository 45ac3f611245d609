/*
 * records.c
 *		Where the records of a message lie (see records.h).
 *
 * Called by decoders on messages in their private memory; no lock, no memory.
 */
#include "core/records.h"

#include <string.h>

#include "core/json_walk.h"

/* A space may be a delimiter, and so a line of two empty fields. */
static inline bool
is_blank(const WsRecords *r, char c)
{
	return c == '\r' || c == '\n' || (!r->csv && (c == ' ' || c == '\t'));
}

/* To the first byte of a line that is not blank. */
static void
skip_blank_lines(WsRecords *r)
{
	for (const char *p = r->p; p < r->end; p++)
	{
		if (!is_blank(r, *p))
			return;
		if (*p == '\n')
			r->p = p + 1;
	}
	r->p = r->end;
}

void
ws_begin_lines(WsRecords *r, const WsvDialect *csv, const char *buf, size_t len)
{
	*r = (WsRecords){.p = buf, .end = buf, .csv = csv};
	if (len > 0)
		r->end += len;
	skip_blank_lines(r);
}

void
ws_begin_array(WsRecords *r, const char *buf, size_t len)
{
	*r = (WsRecords){.p = wj_skip_space(buf), .end = buf + len, .array = true};
	r->p = wj_skip_space(r->p + 1);
	if (*r->p == ']')
		r->p = r->end;
}

static const char *
next_element(WsRecords *r, size_t *len)
{
	const char *start = r->p;
	const char *end;
	WjValue v;

	end = wj_take_value(start, &v);
	*len = (size_t) (end - start);
	end = wj_skip_space(end);
	r->p = *end == ',' ? wj_skip_space(end + 1) : r->end;
	return start;
}

static const char *
next_line(WsRecords *r, size_t *len)
{
	const char *start = r->p;
	const char *end;

	if (r->csv)
		end = wsv_record_end(r->csv, start, r->end);
	else
		end = memchr(start, '\n', (size_t) (r->end - start));
	if (end == NULL)
		end = r->end;
	r->p = end < r->end ? end + 1 : end;
	skip_blank_lines(r);
	if (end > start && end[-1] == '\r')
		end--;
	*len = (size_t) (end - start);
	return start;
}

const char *
ws_next(WsRecords *r, size_t *len)
{
	return r->array ? next_element(r, len) : next_line(r, len);
}
