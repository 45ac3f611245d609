/*
 * test_window.c
 *		Where windows begin, against 128-bit arithmetic; which windows hold a
 *		time, and what of a window is in which pane, against trying them all.
 */
#include "harness.h"

#include "core/window.h"

__extension__ typedef __int128 int128;

static void
check(int64_t ts, int64_t size, int64_t origin)
{
	int64_t got = 4711;
	bool ok = ww_tumble_start(ts, size, origin, &got);
	int128 want = 0;
	bool want_ok = size > 0;

	if (want_ok)
	{
		int128 off = ((int128) ts - origin) % size;

		want = (int128) ts - (off < 0 ? off + size : off);
		want_ok = want >= INT64_MIN && want + size <= INT64_MAX;
	}
	CHECK_MSG(ok == want_ok && got == (want_ok ? (int64_t) want : 4711),
			  "ts %lld size %lld origin %lld gives %lld", (long long) ts,
			  (long long) size, (long long) origin, (long long) got);
}

static void
known_values(void)
{
	int64_t start;

	CHECK(ww_tumble_start(0, 10, 0, &start) && start == 0);
	CHECK(ww_tumble_start(9, 10, 0, &start) && start == 0);
	CHECK(ww_tumble_start(10, 10, 0, &start) && start == 10);
	CHECK(ww_tumble_start(-1, 10, 0, &start) && start == -10);
	CHECK(ww_tumble_start(-10, 10, 0, &start) && start == -10);
	CHECK(ww_tumble_start(2, 10, 3, &start) && start == -7);
	CHECK(ww_tumble_start(3, 10, 3, &start) && start == 3);
	CHECK(ww_tumble_start(2, 10, -17, &start) && start == -7);
	CHECK(ww_tumble_start(5, 1, 0, &start) && start == 5);
	CHECK(ww_tumble_start(INT64_MAX - 1, 1, 0, &start) && start == INT64_MAX - 1);
	CHECK(!ww_tumble_start(INT64_MAX, 1, 0, &start));
	CHECK(!ww_tumble_start(INT64_MIN, 10, 0, &start));
	CHECK(ww_tumble_start(INT64_MIN, 10, INT64_MIN, &start) &&
		  start == INT64_MIN);
	CHECK(!ww_tumble_start(1, INT64_MAX, 2, &start) || start <= 1);
	CHECK(!ww_tumble_start(0, 0, 0, &start));
	CHECK(!ww_tumble_start(0, -10, 0, &start));
}

static void
random_values(void)
{
	for (int i = 0; i < 500000; i++)
	{
		check(rnd_int64(), rnd_int64(), rnd_int64());
		check(rnd_int64(), rnd_int64(), 0);
		check((int64_t) rnd_below(2000) - 1000, (int64_t) rnd_below(40) - 2,
			  (int64_t) rnd_below(200) - 100);
	}
}

/* Is this the name of a window of the kind, and does the window hold ts? */
static bool
is_name(const WwSpec *w, int64_t name)
{
	return (name - w->origin) % w->step == 0;
}

static bool
holds(const WwSpec *w, int64_t name, int64_t ts)
{
	int64_t start = name;

	if (w->kind == WW_CUMULATE)
		/* the last multiple of size before the end */
		for (start = name - 1; (start - w->origin) % w->size != 0;)
			start--;
	CHECK(ww_start(w, name) == start);
	return start <= ts &&
		   ts < (w->kind == WW_CUMULATE ? name : name + w->size) &&
		   ts < ww_end(w, name);
}

static WwSpec
small_spec(void)
{
	WwSpec w = {.kind = (WwKind) (WW_TUMBLE + rnd_below(3)),
				.size = 1 + (int64_t) rnd_below(30),
				.step = 1 + (int64_t) rnd_below(30),
				.origin = (int64_t) rnd_below(200) - 100};

	if (w.kind == WW_TUMBLE)
		w.step = w.size;
	if (w.kind == WW_CUMULATE)
		w.size = w.step * (1 + (int64_t) rnd_below(6));
	CHECK(ww_is_valid(&w));
	return w;
}

/* The windows of ts are first, first + step ... last, and of all in the pane. */
static void
check_pane(const WwSpec *w, int64_t ts)
{
	WwPane pane;
	WwPane other;

	CHECK(ww_pane(w, ts, &pane));
	for (int64_t name = ts - 300; name <= ts + 300; name++)
	{
		bool in = pane.first <= name && name <= pane.last &&
				  (name - pane.last) % w->step == 0;

		if (is_name(w, name))
			CHECK(holds(w, name, ts) == in);
	}
	CHECK(pane.from <= ts && ts < pane.upto);
	for (int64_t t = pane.from; t < pane.upto; t++)
	{
		CHECK(ww_pane(w, t, &other));
		CHECK(other.first == pane.first && other.last == pane.last &&
			  other.from == pane.from && other.upto == pane.upto);
	}
	CHECK(ww_pane(w, pane.upto, &other) && other.from == pane.upto);
}

/* Which windows are over at t, and which is the first that is not. */
static void
check_ended(const WwSpec *w, int64_t t)
{
	int64_t bound = ww_ended(w, t);
	int64_t next = ww_next(w, bound);

	CHECK(is_name(w, next));
	for (int64_t name = t - 100; name <= t + 100; name++)
		if (is_name(w, name))
		{
			CHECK((ww_end(w, name) <= t) == (name <= bound));
			CHECK((ww_end(w, name) <= t) == (name < next));
		}
}

static void
all_windows(void)
{
	for (int i = 0; i < 3000; i++)
	{
		WwSpec w = small_spec();
		int64_t ts = (int64_t) rnd_below(400) - 200;

		check_pane(&w, ts);
		check_ended(&w, ts);
	}
}

/* A slide has two panes at most, also where it does not divide the size. */
static void
paired_panes(void)
{
	for (int i = 0; i < 1000; i++)
	{
		WwSpec w = small_spec();
		WwPane pane;
		int n = 0;

		w.kind = WW_HOP;
		CHECK(ww_pane(&w, w.origin, &pane) && pane.from == w.origin);
		for (int64_t t = w.origin; t < w.origin + w.step; t = pane.upto, n++)
			CHECK(ww_pane(&w, t, &pane));
		CHECK(n == (w.size % w.step == 0 ? 1 : 2));
		n = 0;
		for (int64_t t = w.origin; t < w.origin + w.size; t = pane.upto, n++)
			CHECK(ww_pane(&w, t, &pane));
		CHECK(n <= ww_panes(&w));
	}
}

/* Nothing overflows, and what does not fit is said. */
static void
far_times(void)
{
	for (int i = 0; i < 300000; i++)
	{
		WwSpec w = {.kind = (WwKind) (WW_TUMBLE + rnd_below(3)),
					.size = rnd_int64(),
					.step = rnd_int64(),
					.origin = rnd_int64()};
		int64_t ts = rnd_int64();
		WwPane pane;

		if (!ww_is_valid(&w))
			continue;
		(void) ww_next(&w, ww_ended(&w, ts));
		if (!ww_pane(&w, ts, &pane))
			continue;
		CHECK(pane.from <= ts && ts < pane.upto);
		if (pane.last < pane.first || ts < INT64_MIN + w.size)
			continue;
		CHECK(ww_start(&w, pane.last) <= ts && ts < ww_end(&w, pane.first));
		CHECK(ww_ended(&w, ts) < pane.first);
		CHECK(ww_next(&w, ww_ended(&w, ts)) == pane.first);
	}
}

static void
valid_specs(void)
{
	CHECK(ww_is_valid(&(WwSpec){WW_HOP, 10, 3, 0}));
	CHECK(ww_is_valid(&(WwSpec){WW_HOP, 3, 10, 0}));
	CHECK(!ww_is_valid(&(WwSpec){WW_HOP, 10, 0, 0}));
	CHECK(!ww_is_valid(&(WwSpec){WW_HOP, -10, 3, 0}));
	CHECK(ww_is_valid(&(WwSpec){WW_CUMULATE, 9, 3, 0}));
	CHECK(!ww_is_valid(&(WwSpec){WW_CUMULATE, 10, 3, 0}));
	CHECK(!ww_is_valid(&(WwSpec){WW_CUMULATE, 3, 9, 0}));
	CHECK(!ww_is_valid(&(WwSpec){WW_TUMBLE, 10, 5, 0}));
}

int
main(void)
{
	RUN(known_values);
	RUN(random_values);
	RUN(valid_specs);
	RUN(all_windows);
	RUN(paired_panes);
	RUN(far_times);
	return done();
}
