/*
 * time.h
 *		Fast parsers for the usual forms of dates and timestamps.
 *
 * All times are microseconds since 1970-01-01 00:00 UTC in the proleptic
 * Gregorian calendar.  The parsers know one strict grammar; wherever they say
 * WT_OK, PostgreSQL's own input function returns the same value under every
 * DateStyle and TimeZone.  Anything else, valid or not, is WT_FALLBACK and the
 * caller asks that input function.
 *
 * Plain C11, no state; callable from anywhere.
 *
 * This header's name is also the C library's: files of this folder are to be
 * included as "core/time.h" with the folder above in the include path, never
 * with -I of this folder.
 */
#ifndef WEIR_CORE_TIME_H
#define WEIR_CORE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WT_US_PER_SEC INT64_C(1000000)
#define WT_US_PER_DAY (INT64_C(86400) * WT_US_PER_SEC)

/* What to add to microseconds since 2000-01-01 (PostgreSQL's) to get ours. */
#define WT_PG_EPOCH_DAYS 10957
#define WT_PG_EPOCH_US   (WT_PG_EPOCH_DAYS * WT_US_PER_DAY)

typedef enum WtStatus
{
	WT_OK = 0,
	WT_FALLBACK /* not in the fast grammar, perhaps valid */
} WtStatus;

/*
 * YYYY-MM-DD, T or one space, HH:MM:SS, optionally .f with 1 to 6 digits, then
 * Z, z, +hh, -hh, +hhmm, -hhmm, +hh:mm or -hh:mm, and nothing more.  Years 1
 * to 9999, days as the month has them, hours to 23, seconds to 59, zones less
 * than 16 hours.  *us is set only when WT_OK.
 */
extern WtStatus wt_parse_timestamptz(const char *p, size_t len, int64_t *us);

/* The same without a zone; with one it is WT_FALLBACK. */
extern WtStatus wt_parse_timestamp(const char *p, size_t len, int64_t *us);

/* YYYY-MM-DD and nothing more. */
extern WtStatus
wt_parse_date(const char *p, size_t len, int32_t *days_since_1970);

/* Days from 1970-01-01 to year y, month m (1-12), day d (1-31). */
extern int64_t wt_days_from_civil(int y, int m, int d);

/*
 * A numeric timestamp: *us = floor(value * num / den), where one unit of value
 * is num/den microseconds: 1000000/1 for seconds, 1/1000 for nanoseconds.
 * False when num or den is not positive, or num * den or the result does not
 * fit int64.
 */
extern bool
wt_scale(int64_t value, int64_t unit_us_num, int64_t unit_us_den, int64_t *us);

#endif /* WEIR_CORE_TIME_H */
