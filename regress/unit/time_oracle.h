/*
 * time_oracle.h
 *		A slow second opinion on dates and timestamps, by a regular expression
 *		and the C library; for unit tests and fuzzers.
 */
#ifndef WEIR_UNIT_TIME_ORACLE_H
#define WEIR_UNIT_TIME_ORACLE_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/time.h"

typedef enum OracleKind
{
	ORACLE_DATE,
	ORACLE_TIMESTAMP,
	ORACLE_TIMESTAMPTZ
} OracleKind;

static inline bool
oracle_matches(OracleKind kind, const char *text)
{
#define DATE  "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
#define CLOCK "[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
#define ZONE  "([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)"
	static const char *const pattern[] = {DATE "$", DATE CLOCK "$",
										  DATE CLOCK ZONE "$"};
	static regex_t regex[3];
	static bool compiled;

	for (int i = 0; i < 3 && !compiled; i++)
		if (regcomp(&regex[i], pattern[i], REG_EXTENDED | REG_NOSUB) != 0)
			abort();
	compiled = true;
	return regexec(&regex[kind], text, 0, NULL, 0) == 0;
}

/* Microseconds, or days for a date; false if it should be WT_FALLBACK. */
static inline bool
oracle_time(OracleKind kind, const char *buf, size_t len, int64_t *result)
{
	char text[64];
	struct tm tm = {0};
	struct tm back;
	time_t seconds;
	int64_t us = 0;
	const char *p;

	if (len >= sizeof(text) || memchr(buf, '\0', len) != NULL)
		return false;
	memcpy(text, buf, len);
	text[len] = '\0';
	if (!oracle_matches(kind, text))
		return false;
	tm.tm_year = atoi(text) - 1900;
	tm.tm_mon = atoi(text + 5) - 1;
	tm.tm_mday = atoi(text + 8);
	if (kind != ORACLE_DATE)
	{
		tm.tm_hour = atoi(text + 11);
		tm.tm_min = atoi(text + 14);
		tm.tm_sec = atoi(text + 17);
	}

	/* What does not come back as it went was no date or time. */
	back = tm;
	seconds = timegm(&back);
	if (tm.tm_year < 1 - 1900 || back.tm_year != tm.tm_year ||
		back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday ||
		back.tm_hour != tm.tm_hour || back.tm_min != tm.tm_min ||
		back.tm_sec != tm.tm_sec)
		return false;
	if (kind == ORACLE_DATE)
	{
		*result = seconds / 86400 - (seconds % 86400 < 0);
		return true;
	}
	p = text + 19;
	if (*p == '.')
		for (int64_t unit = 100000; *++p >= '0' && *p <= '9'; unit /= 10)
			us += (*p - '0') * unit;
	if (*p == '+' || *p == '-')
	{
		int hour = (p[1] - '0') * 10 + p[2] - '0';
		int minute = p[3] == '\0' ? 0 : atoi(p[3] == ':' ? p + 4 : p + 3);

		if (hour > 15 || minute > 59)
			return false;
		seconds -= (*p == '-' ? -60 : 60) * (hour * 60 + minute);
	}
	*result = (int64_t) seconds * 1000000 + us;
	return true;
}

/* Whether all three parsers agree with the oracle on this text. */
static inline bool
oracle_time_agrees(const char *buf, size_t len)
{
	for (int kind = ORACLE_DATE; kind <= ORACLE_TIMESTAMPTZ; kind++)
	{
		int64_t want = 0;
		int64_t got = -4711;
		int32_t days = -4711;
		bool ok = oracle_time((OracleKind) kind, buf, len, &want);
		WtStatus status;

		if (kind == ORACLE_DATE)
			status = wt_parse_date(buf, len, &days);
		else if (kind == ORACLE_TIMESTAMP)
			status = wt_parse_timestamp(buf, len, &got);
		else
			status = wt_parse_timestamptz(buf, len, &got);
		if (kind == ORACLE_DATE)
			got = days;
		if (status != (ok ? WT_OK : WT_FALLBACK) || got != (ok ? want : -4711))
			return false;
	}
	return true;
}

#endif /* WEIR_UNIT_TIME_ORACLE_H */
