/*
 * test_marks.c
 *		Where snapshots find windows, while marks are spared and memory is freed
 *		under them: each window in exactly one place, and marks never run out.
 *
 * Closing number i is transaction i and closes window i.  A snapshot s sees the
 * transactions up to s.
 */
#include "harness.h"

#include "core/marks.h"

enum
{
	CLOSINGS = 2000,
	SNAPSHOTS = 8
};

static bool
sees(void *arg, uint32_t xid)
{
	return xid <= *(const uint32_t *) arg;
}

typedef struct Held
{
	uint32_t s[SNAPSHOTS];
	int n;
} Held;

static bool
needed(void *arg, uint32_t xid)
{
	const Held *h = arg;

	for (int i = 0; i < h->n; i++)
		if (h->s[i] < xid)
			return true;
	return false;
}

/* Every window up to the last closing, as a reader with snapshot s finds it. */
static void
check_reader(const WmMarks *m, uint32_t s, int64_t closed)
{
	int64_t hidden;
	WmMarks copy;

	wm_copy(&copy, m);
	CHECK(wm_look(&copy, sees, &s, &hidden));
	CHECK_MSG(hidden <= s,
			  "snapshot %u: %lld is hidden and not yet seen as final", s,
			  (long long) hidden);
	for (int64_t w = 1; w <= closed; w++)
	{
		bool is_final = w <= s;
		bool in_memory = w > copy.gone_upto && w > hidden;
		bool taken = w > hidden && w <= copy.gone_upto && !is_final;

		CHECK_MSG(is_final + in_memory + taken == 1,
				  "snapshot %u, window %lld: %d %d %d", s, (long long) w,
				  is_final, in_memory, taken);
	}
}

static void
held_snapshots(void)
{
	WmMarks m = {0};
	Held h = {.n = 0};

	wm_begin(&m, 0);
	for (uint32_t x = 1; x <= CLOSINGS; x++)
	{
		int n;

		CHECK(wm_may_close(&m));
		wm_add(&m, x, x);
		if (rnd_below(10) == 0)
		{
			wm_settle(&m, x, false);
			wm_add(&m, x, x);
		}
		wm_settle(&m, x, true);
		if (h.n < SNAPSHOTS && rnd_below(50) == 0)
			h.s[h.n++] = x;
		if (h.n > 0 && rnd_below(400) == 0)
			h.s[0] = h.s[--h.n];
		if ((n = wm_unneeded(&m, needed, &h)) > 0)
			wm_drop(&m, n);
		if (wm_is_scarce(&m) || rnd_below(100) == 0)
			wm_force(&m);
		CHECK_MSG(!wm_is_scarce(&m), "%d marks", m.n);
		if (x % 37 == 0)
			for (int i = 0; i < h.n; i++)
				check_reader(&m, h.s[i], x);
	}
}

/* What is not committed for certain is not freed, whatever is scarce. */
static void
uncommitted(void)
{
	WmMarks m = {0};

	wm_begin(&m, 0);
	wm_add(&m, 10, 1);
	wm_settle(&m, 1, true);
	wm_add(&m, 20, 2);
	wm_force(&m);
	CHECK(m.gone_upto == 10 && m.freed_upto == 0 && m.n == 2);
	wm_settle(&m, 2, false);
	wm_force(&m);
	CHECK(m.gone_upto == 10 && m.n == 1);
	wm_drop(&m, 1);
	CHECK(m.gone_upto == 10 && m.freed_upto == 10 && m.n == 0);
}

int
main(void)
{
	RUN(held_snapshots);
	RUN(uncommitted);
	return done();
}
