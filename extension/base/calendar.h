/*
 * base/calendar.h
 *		Windows that begin at dates: of days in a time zone, which may have 23 or
 *		25 hours, and of months.
 *
 * Times are microseconds, PostgreSQL's epoch.  Nothing here raises, allocates or
 * keeps a state, but that PostgreSQL loads a time zone once per process.
 */
#ifndef WEIR_BASE_CALENDAR_H
#define WEIR_BASE_CALENDAR_H

#include "base/weir.h"

#include "pgtime.h"

/*
 * Windows begin at the local time origin + k * months, or + k * days, wherever
 * the clocks of the zone show that first; where they skip it, when they do.
 */
typedef struct WeirCalendar
{
	int32 months; /* either of the two */
	int32 days;
	int64 origin; /* local; in months of at least so many days */
	pg_tz *zone;  /* NULL: UTC */
} WeirCalendar;

/* The local time of t; false: out of range. */
extern bool weir_calendar_local(pg_tz *zone, int64 t, int64 *local);

/*
 * The window that holds t: [*start, *end).  False: it begins or ends out of the
 * range of timestamps.
 */
extern bool
weir_calendar_window(const WeirCalendar *c, int64 t, int64 *start, int64 *end);

#endif /* WEIR_BASE_CALENDAR_H */
