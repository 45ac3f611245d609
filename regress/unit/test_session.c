/*
 * test_session.c
 *		Sessions, against all events at once: sort them, and cut where two are a
 *		gap or more apart.
 */
#include "harness.h"

#include "core/session.h"

#define MAX 64

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a;
	int64_t y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

/* By brute force.  Returns how many. */
static int
batch(const int64_t *events, int n, int64_t gap, WsSpan *spans)
{
	int64_t sorted[MAX];
	int found = 0;

	memcpy(sorted, events, sizeof(int64_t) * (size_t) n);
	qsort(sorted, (size_t) n, sizeof(int64_t), compare);
	for (int i = 0; i < n; i++)
		if (i > 0 && sorted[i] - sorted[i - 1] < gap)
			spans[found - 1].last = sorted[i];
		else
			spans[found++] = (WsSpan){.first = sorted[i], .last = sorted[i]};
	return found;
}

static bool
same(const WsSpan *a, const WsSpan *b)
{
	return a->first == b->first && a->last == b->last;
}

/*
 * Some events, then others on top of what they gave: what is there afterwards,
 * and what it consists of.
 */
static void
grow(const int64_t *events, int before, int n, int64_t gap)
{
	WsSpan old[MAX];
	WsSpan want[MAX];
	WsGrown s[MAX + 1];
	int nold = batch(events, before, gap, old);
	int nwant = batch(events, n, gap, want);
	int found = nold;
	int next = 0;

	for (int i = 0; i < nold; i++)
		ws_begin(&s[i], &old[i], i);
	for (int i = before; i < n; i++)
		found = ws_add(s, found, events[i], gap);
	CHECK_MSG(found == nwant, "%d sessions, should be %d", found, nwant);
	for (int i = 0; i < found; i++)
	{
		CHECK(same(&s[i].span, &want[i]));
		CHECK(s[i].from == next && s[i].upto >= next);
		for (next = s[i].from; next < s[i].upto; next++)
			CHECK(ws_contains(&want[i], &old[next]));
	}
	CHECK(next == nold);
	for (int i = 0; i < n; i++)
	{
		int at = ws_find(s, found, events[i]);

		CHECK(at < found && s[at].span.first <= events[i] &&
			  s[at].span.last >= events[i]);
	}
}

/* Each of several workers has some of the events; joined they are all. */
static void
join(const int64_t *events, int n, int64_t gap, int workers)
{
	WsSpan pieces[MAX];
	WsSpan want[MAX];
	WsSpan joined;
	int nwant = batch(events, n, gap, want);
	int npieces = 0;
	int found = 0;

	for (int w = 0; w < workers; w++)
	{
		int64_t own[MAX];
		int nown = 0;

		for (int i = w; i < n; i += workers)
			own[nown++] = events[i];
		npieces += batch(own, nown, gap, pieces + npieces);
	}
	qsort(pieces, (size_t) npieces, sizeof(WsSpan), compare);
	for (int i = 0; i < npieces; found++)
	{
		i = ws_join(pieces, i, npieces, gap, &joined);
		CHECK(found < nwant && same(&joined, &want[found]));
	}
	CHECK(found == nwant);
}

static void
known_values(void)
{
	WsGrown s[4];
	int n = ws_add(s, 0, 10, 5);

	CHECK(n == 1 && s[0].span.first == 10 && s[0].span.last == 10);
	/* the end begins another one, on both sides */
	n = ws_add(s, n, 15, 5);
	CHECK(n == 2 && s[1].span.first == 15);
	n = ws_add(s, n, 5, 5);
	CHECK(n == 3 && s[0].span.first == 5 && s[1].span.first == 10);
	/* one in between makes one of two */
	n = ws_add(s, n, 11, 5);
	CHECK(n == 2 && s[1].span.first == 10 && s[1].span.last == 15);
	n = ws_add(s, n, 6, 5);
	CHECK(n == 1 && s[0].span.first == 5 && s[0].span.last == 15);
}

static void
random_events(void)
{
	int64_t events[MAX];

	for (int round = 0; round < 20000; round++)
	{
		int n = 1 + (int) rnd_below(MAX);
		int64_t gap = 1 + (int64_t) rnd_below(12);
		uint64_t width = 1 + rnd_below(300);

		for (int i = 0; i < n; i++)
			events[i] = (int64_t) rnd_below(width) - 150;
		grow(events, (int) rnd_below((uint64_t) n + 1), n, gap);
		join(events, n, gap, 1 + (int) rnd_below(4));
	}
}

int
main(void)
{
	RUN(known_values);
	RUN(random_events);
	return done();
}
