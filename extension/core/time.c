/*
 * time.c
 *		Fast parsers for the usual forms of dates and timestamps.
 *
 * Called by the decoders, once per value.  Pure: no lock, no memory, no error
 * but WT_FALLBACK.  The grammar is the part of ISO 8601 in which PostgreSQL
 * leaves nothing to its settings: a year of four digits comes first, so
 * DateStyle has no say, and a zone is a number or Z, so TimeZone and the
 * abbreviations have none.  A leap second, 24:00:00, a seventh digit and years
 * before 1 or after 9999 are left to PostgreSQL.
 */
#include "core/time.h"

/* Two digits; what is no digit sets *bad. */
static inline unsigned
two_digits(const char *p, unsigned *bad)
{
	unsigned a = (unsigned char) p[0] - (unsigned) '0';
	unsigned b = (unsigned char) p[1] - (unsigned) '0';

	*bad |= (a > 9) | (b > 9);
	return a * 10 + b;
}

int64_t
wt_days_from_civil(int y, int m, int d)
{
	/* Years begin in March here, so that the leap day is the last. */
	int64_t year = (int64_t) y - (m <= 2);
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t yoe = year - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

/* YYYY-MM-DD from ten readable bytes. */
static inline bool
parse_ymd(const char *p, int64_t *days)
{
	static const uint8_t month_days[13] = {0,  31, 29, 31, 30, 31, 30,
										   31, 31, 30, 31, 30, 31};
	unsigned bad = 0;
	unsigned y = two_digits(p, &bad) * 100;
	unsigned m;
	unsigned d;

	y += two_digits(p + 2, &bad);
	m = two_digits(p + 5, &bad);
	d = two_digits(p + 8, &bad);
	if (bad || p[4] != '-' || p[7] != '-')
		return false;
	if (y == 0 || m - 1 > 11 || d == 0 || d > month_days[m])
		return false;
	if (m == 2 && d == 29 && (y % 4 != 0 || (y % 100 == 0 && y % 400 != 0)))
		return false;
	*days = wt_days_from_civil((int) y, (int) m, (int) d);
	return true;
}

/*
 * The fraction at p, if there is one, in microseconds.  Returns the byte after
 * it, or NULL if it has no digit or more than six.
 */
static inline const char *
parse_fraction(const char *p, const char *end, int64_t *us)
{
	static const int32_t unit[7] = {0, 100000, 10000, 1000, 100, 10, 1};
	int32_t f = 0;
	int n = 0;

	*us = 0;
	if (p == end || *p != '.')
		return p;
	for (p++; p < end && *p >= '0' && *p <= '9'; p++)
	{
		if (++n > 6)
			return NULL;
		f = f * 10 + (*p - '0');
	}
	if (n == 0)
		return NULL;
	*us = (int64_t) f * unit[n];
	return p;
}

/*
 * Date, time and fraction at p as if in UTC.  Returns the byte after them, or
 * NULL if that is not what is there.
 */
static inline const char *
parse_local(const char *p, size_t len, int64_t *us)
{
	const char *end = p + len;
	int64_t days;
	int64_t fraction;
	unsigned bad = 0;
	unsigned h;
	unsigned m;
	unsigned s;

	if (len < 19 || !parse_ymd(p, &days))
		return NULL;
	h = two_digits(p + 11, &bad);
	m = two_digits(p + 14, &bad);
	s = two_digits(p + 17, &bad);
	if (bad || h > 23 || m > 59 || s > 59 || p[13] != ':' || p[16] != ':' ||
		(p[10] != 'T' && p[10] != ' '))
		return NULL;
	p = parse_fraction(p + 19, end, &fraction);
	*us = days * WT_US_PER_DAY +
		  (int64_t) (h * 3600 + m * 60 + s) * WT_US_PER_SEC + fraction;
	return p;
}

/* Z, z, +hh, +hhmm or +hh:mm, and the end. */
static inline bool
parse_zone(const char *p, const char *end, int64_t *offset_us)
{
	size_t len = (size_t) (end - p);
	unsigned bad = 0;
	unsigned h;
	unsigned m = 0;
	int64_t us;

	if (len == 1 && (*p == 'Z' || *p == 'z'))
	{
		*offset_us = 0;
		return true;
	}
	if (len < 3 || (*p != '+' && *p != '-'))
		return false;
	h = two_digits(p + 1, &bad);
	if (len == 5)
		m = two_digits(p + 3, &bad);
	else if (len == 6 && p[3] == ':')
		m = two_digits(p + 4, &bad);
	else if (len != 3)
		return false;
	if (bad || h > 15 || m > 59)
		return false;
	us = (int64_t) (h * 60 + m) * 60 * WT_US_PER_SEC;
	*offset_us = *p == '-' ? -us : us;
	return true;
}

WtStatus
wt_parse_timestamptz(const char *p, size_t len, int64_t *us)
{
	const char *end = p + len;
	int64_t local;
	int64_t offset;

	p = parse_local(p, len, &local);
	if (p == NULL || !parse_zone(p, end, &offset))
		return WT_FALLBACK;
	*us = local - offset;
	return WT_OK;
}

WtStatus
wt_parse_timestamp(const char *p, size_t len, int64_t *us)
{
	const char *end = p + len;
	int64_t local;

	if (parse_local(p, len, &local) != end)
		return WT_FALLBACK;
	*us = local;
	return WT_OK;
}

WtStatus
wt_parse_date(const char *p, size_t len, int32_t *days_since_1970)
{
	int64_t days;

	if (len != 10 || !parse_ymd(p, &days))
		return WT_FALLBACK;
	*days_since_1970 = (int32_t) days;
	return WT_OK;
}

bool
wt_scale(int64_t value, int64_t unit_us_num, int64_t unit_us_den, int64_t *us)
{
	int64_t limit;
	int64_t q;
	int64_t r;

	if (unit_us_num <= 0 || unit_us_den <= 0 ||
		__builtin_mul_overflow(unit_us_num, unit_us_den, &limit))
		return false;

	/*
	 * value = q * den + r, both q and r with value's sign, so value * num / den
	 * is q * num plus r * num / den.  The latter is less than limit, and the
	 * former no further from 0 than the result, so it overflows only if that
	 * does.
	 */
	q = value / unit_us_den;
	r = value % unit_us_den * unit_us_num;
	r = r / unit_us_den - (r % unit_us_den < 0);
	if (__builtin_mul_overflow(q, unit_us_num, &q) ||
		__builtin_add_overflow(q, r, &q))
		return false;
	*us = q;
	return true;
}
