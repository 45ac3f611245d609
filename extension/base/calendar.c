/*
 * base/calendar.c
 *		Windows that begin at dates (see calendar.h).
 *
 * Called by ingest workers once per run of rows of a window, by whoever closes
 * or reads windows, and by weir.tumble.
 *
 * Which local time a boundary has is arithmetic.  When that is, PostgreSQL's
 * rules for local times say, as for AT TIME ZONE: a time that the clocks show
 * twice is the second one, by standard time; one that they skip is as much after the
 * change as it would be after the last time that they show before it.
 *
 * So boundaries are in order, but two may be the same moment, where a zone has
 * skipped a day (Samoa, 30 December 2011): the window between has no time.  The
 * local time of t says only about where it is; the window is found by comparing
 * moments.
 */
#include "base/weir.h"

#include "base/calendar.h"
#include "core/window.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

bool
weir_calendar_local(pg_tz *zone, int64 t, int64 *local)
{
	struct pg_tm tm;
	fsec_t fsec;
	int tz;

	if (zone == NULL)
		*local = t;
	else if (!IS_VALID_TIMESTAMP(t) ||
			 timestamp2tm(t, &tz, &tm, &fsec, NULL, zone) != 0 ||
			 tm2timestamp(&tm, fsec, NULL, local) != 0)
		return false;
	return true;
}

/* When the clocks show a local time. */
static bool
moment_of(pg_tz *zone, int64 local, int64 *t)
{
	struct pg_tm tm;
	fsec_t fsec;
	int tz;

	if (zone == NULL)
	{
		*t = local;
		return IS_VALID_TIMESTAMP(local);
	}
	if (!IS_VALID_TIMESTAMP(local) ||
		timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	tz = DetermineTimeZoneOffset(&tm, zone);
	return tm2timestamp(&tm, fsec, &tz, t) == 0;
}

/* --- boundaries, by number ------------------------------------------------------ */

static int64
floor_div(int64 a, int64 b)
{
	int64 q = a / b;

	return a % b < 0 ? q - 1 : q;
}

/* Months since year 0. */
static bool
month_of(int64 local, struct pg_tm *tm, fsec_t *fsec, int64 *month)
{
	if (timestamp2tm(local, NULL, tm, fsec, NULL, NULL) != 0)
		return false;
	*month = (int64) tm->tm_year * MONTHS_PER_YEAR + tm->tm_mon - 1;
	return true;
}

/* The local time of boundary k. */
static bool
boundary(const WeirCalendar *c, int64 k, int64 *local)
{
	struct pg_tm tm;
	fsec_t fsec;
	int64 month;

	if (c->days > 0)
		return !__builtin_mul_overflow(k, c->days * USECS_PER_DAY, local) &&
			   !__builtin_add_overflow(*local, c->origin, local);
	if (!month_of(c->origin, &tm, &fsec, &month))
		return false;
	month += k * c->months;
	tm.tm_year = (int) floor_div(month, MONTHS_PER_YEAR);
	tm.tm_mon = (int) (month - (int64) tm.tm_year * MONTHS_PER_YEAR) + 1;
	return IS_VALID_JULIAN(tm.tm_year, tm.tm_mon, tm.tm_mday) &&
		   tm2timestamp(&tm, fsec, NULL, local) == 0;
}

/* About which boundary comes before a local time. */
static bool
estimate(const WeirCalendar *c, int64 local, int64 *k)
{
	struct pg_tm tm;
	fsec_t fsec;
	int64 month;
	int64 first;

	if (c->days > 0)
	{
		if (__builtin_sub_overflow(local, c->origin, k))
			return false;
		*k = floor_div(*k, c->days * USECS_PER_DAY);
		return true;
	}
	if (!month_of(local, &tm, &fsec, &month) ||
		!month_of(c->origin, &tm, &fsec, &first))
		return false;
	*k = floor_div(month - first, c->months);
	return true;
}

static bool
moment_of_boundary(const WeirCalendar *c, int64 k, int64 *t)
{
	int64 local;

	return boundary(c, k, &local) && moment_of(c->zone, local, t);
}

/* --- windows --------------------------------------------------------------------- */

bool
weir_calendar_window(const WeirCalendar *c, int64 t, int64 *start, int64 *end)
{
	int64 local;
	int64 from;
	int64 upto;
	int64 k;

	if (!weir_calendar_local(c->zone, t, &local) || !estimate(c, local, &k) ||
		!moment_of_boundary(c, k, &from))
		return false;
	for (; from > t; k--)
		if (!moment_of_boundary(c, k - 1, &from))
			return false;
	for (;; k++, from = upto)
	{
		if (!moment_of_boundary(c, k + 1, &upto))
			return false;
		if (upto > t)
			break;
	}
	*start = from;
	*end = upto;
	return true;
}
