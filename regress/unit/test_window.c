/*
 * test_window.c
 *		Where windows begin, against 128-bit arithmetic.
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

int
main(void)
{
	RUN(known_values);
	RUN(random_values);
	return done();
}
