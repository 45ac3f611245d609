/*
 * session.c
 *		Sessions of one key (see session.h).
 *
 * Called by ingest workers for each row, by coordinators and readers when they
 * combine what several workers have.  Pure arithmetic on the caller's arrays.
 */
#include "core/session.h"

#include <string.h>

/* The first session whose last event is not before t, or n. */
static int
first_from(const WsGrown *s, int n, int64_t t)
{
	int low = 0;

	while (low < n)
	{
		int mid = low + (n - low) / 2;

		if (s[mid].span.last < t)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

static inline int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t
greatest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* A new session before the one at i. */
static int
insert(WsGrown *s, int n, int i, int64_t t)
{
	int32_t place = i < n ? s[i].from : n > 0 ? s[n - 1].upto : 0;

	memmove(s + i + 1, s + i, (size_t) (n - i) * sizeof(WsGrown));
	s[i] = (WsGrown){.span = {.first = t, .last = t},
					 .from = place,
					 .upto = place};
	return n + 1;
}

/* Sessions i to j - 1 become one, with an event at t. */
static int
join(WsGrown *s, int n, int i, int j, int64_t t)
{
	s[i].span.first = least(s[i].span.first, t);
	s[i].span.last = greatest(s[j - 1].span.last, t);
	s[i].upto = s[j - 1].upto;
	memmove(s + i + 1, s + j, (size_t) (n - j) * sizeof(WsGrown));
	return n - (j - i - 1);
}

int
ws_add(WsGrown *s, int n, int64_t t, int64_t gap)
{
	WsSpan event = {.first = t, .last = t};
	int i = first_from(s, n, t);
	int j;

	if (i > 0 && !ws_is_apart(&s[i - 1].span, t, gap))
		i--;
	for (j = i; j < n && !ws_is_apart(&event, s[j].span.first, gap); j++)
		;
	return i == j ? insert(s, n, i, t) : join(s, n, i, j, t);
}

int
ws_find(const WsGrown *s, int n, int64_t t)
{
	return first_from(s, n, t);
}

int
ws_join(const WsSpan *spans, int from, int n, int64_t gap, WsSpan *joined)
{
	int i = from + 1;

	*joined = spans[from];
	for (; i < n && !ws_is_apart(joined, spans[i].first, gap); i++)
		joined->last = greatest(joined->last, spans[i].last);
	return i;
}
