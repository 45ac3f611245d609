/*
 * plan/interval.c
 *		The arguments of windows, checked (see interval.h).
 *
 * Called by the window functions themselves, and when a view is planned.
 */
#include "base/weir.h"

#include "common/int.h"
#include "plan/interval.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Every month has this day. */
#define LAST_COMMON_DAY 28

static void
refuse_not_positive(const Interval *interval, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a window's %s must be greater than zero", what),
			 errdetail("The %s is %s.", what,
					   DatumGetCString(
						   DirectFunctionCall1(interval_out,
											   IntervalPGetDatum(interval)))),
			 errhint("Use a positive interval, such as '10 seconds'.")));
}

int64
weir_interval_length(const Interval *interval, const char *what)
{
	int64 days;
	int64 length;

	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a window's %s cannot have months or years", what),
				 errdetail("Months have no common length."),
				 errhint(
					 "Use days, hours, minutes or seconds, such as '30 days'.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, interval->time, &length))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("interval out of range"),
				 errdetail("A window's %s must fit 64 bits of microseconds.",
						   what),
				 errhint("Use a shorter interval.")));
	if (length <= 0)
		refuse_not_positive(interval, what);
	return length;
}

void
weir_check_window(const WwSpec *w)
{
	if (TIMESTAMP_NOT_FINITE(w->origin))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a window's origin cannot be infinite"),
				 errdetail(
					 "Windows begin at the origin and at every multiple of their size from it."),
				 errhint("Use a finite timestamp, or leave the origin out.")));
	if (!ww_is_valid(w))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the step of a cumulating window must divide its size"),
				 errdetail(
					 "The windows that begin together end a step apart, the last one after the size."),
				 errhint(
					 "Use a size that is a multiple of the step, such as weir.cumulate(ts, '1 minute', '1 hour').")));
}

/* --- windows by date ---------------------------------------------------------- */

static pg_tz *
find_zone(const char *name)
{
	pg_tz *zone = pg_tzset(name);

	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint(
					 "Use a name of the view pg_timezone_names, such as 'Europe/Berlin'.")));
	return zone;
}

static void
check_dates(const Interval *size, const char *zone)
{
	if (size->month < 0 || size->day < 0 || size->time < 0 ||
		(size->month == 0 && size->day == 0 && size->time == 0))
		refuse_not_positive(size, "size");
	if (size->time == 0 && (size->month == 0) != (size->day == 0))
		return;
	if (zone && size->month == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "a window in a time zone must be of whole days or whole months"),
				 errdetail(
					 "The clocks may skip or repeat what is less than a day."),
				 errhint(
					 "For shorter windows give an origin instead, such as weir.tumble(ts, '1 hour', '2024-01-01 00:00+05:30').")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a window's size cannot mix months with days or a time"),
			 errdetail("Months have no common length."),
			 errhint(
				 "Use whole months, such as '1 month', or days, such as '30 days'.")));
}

/* Where the windows begin, as a local time. */
static int64
local_origin(const WeirCalendar *c, const int64 *origin)
{
	int64 local = -WEIR_EPOCH_SHIFT; /* 1970-01-01 00:00 there */
	struct pg_tm tm;
	fsec_t fsec;

	if (origin && (!weir_calendar_local(c->zone, *origin, &local) ||
				   timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
	if (origin && c->months > 0 && tm.tm_mday > LAST_COMMON_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the origin of windows of months must not be after day %d of a month",
						LAST_COMMON_DAY),
				 errdetail("Not every month has day %d.", tm.tm_mday),
				 errhint(
					 "Use another origin, such as the first day of a month.")));
	return local;
}

void
weir_tumble_spec(WindowSpec *w, const Interval *size, const int64 *origin,
				 const char *zone)
{
	w->all.kind = WW_TUMBLE;
	w->all.origin = origin ? *origin : -WEIR_EPOCH_SHIFT;
	if (TIMESTAMP_NOT_FINITE(w->all.origin))
		weir_check_window(&w->all);
	w->by_date = zone != NULL || size->month != 0;
	if (w->by_date)
	{
		check_dates(size, zone);
		w->calendar.months = size->month;
		w->calendar.days = size->day;
		w->calendar.zone = zone ? find_zone(zone) : NULL;
		w->calendar.origin = local_origin(&w->calendar, origin);
		w->all.size = weir_interval_length(&(Interval){.day = size->day,
													   .time = size->month *
															   LAST_COMMON_DAY *
															   USECS_PER_DAY},
										   "size");
	}
	else
		w->all.size = weir_interval_length(size, "size");
	w->all.step = w->all.size;
	weir_check_window(&w->all);
}
