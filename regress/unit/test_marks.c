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

static int64_t
hidden_from(const WmMarks *m, uint32_t s)
{
	int64_t upto = -1;

	CHECK(wm_look(m, sees, &s, &upto));
	return upto;
}

static void
close_one(WmMarks *m, uint32_t x, bool committed)
{
	wm_add(m, x, x);
	wm_settle(m, x, committed);
}

/* An earlier memory takes over the marks of a later one. */
static void
appended(void)
{
	static WmMarks m;
	static WmMarks later;

	wm_begin(&m, 10);
	close_one(&m, 20, true);
	close_one(&m, 25, false);
	/* The next memory begins after 20, with all up to 20 closed. */
	wm_begin(&later, 20);
	later.birth = 22;
	close_one(&later, 30, true);
	close_one(&later, 40, true);
	CHECK(wm_append(&m, &later, 20));
	CHECK(hidden_from(&m, 19) == 10);
	CHECK(hidden_from(&m, 22) == 20);
	CHECK(hidden_from(&m, 30) == 30);
	CHECK(hidden_from(&m, 40) == 40);
	CHECK(m.gone_upto == 10);
	/* One whose marks were dropped, and one whose windows were freed. */
	wm_begin(&later, 40);
	close_one(&later, 50, true);
	close_one(&later, 60, true);
	close_one(&later, 70, true);
	wm_drop(&later, 1);
	wm_force(&later);
	CHECK(wm_append(&m, &later, 40));
	CHECK(m.gone_upto == 70);
	CHECK(hidden_from(&m, 50) == 50);
	CHECK(hidden_from(&m, 65) == 60);
	CHECK(hidden_from(&m, 70) == 70);
}

static void
no_room(void)
{
	static WmMarks m;
	static WmMarks later;

	wm_begin(&m, 0);
	wm_begin(&later, 0);
	for (uint32_t x = 1; x < WM_MARKS; x++)
		close_one(&m, x, true);
	close_one(&later, WM_MARKS, true);
	CHECK(wm_append(&m, &later, 0));
	CHECK(hidden_from(&m, WM_MARKS) == WM_MARKS);
	CHECK(!wm_append(&m, &later, 0));
}

int
main(void)
{
	RUN(held_snapshots);
	RUN(uncommitted);
	RUN(appended);
	RUN(no_room);
	return done();
}
