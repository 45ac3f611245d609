/*
 * test_time.c
 *		The timestamp parsers against a regular expression and timegm, and unit
 *		conversion against 128-bit arithmetic.
 */
#include "harness.h"
#include "time_oracle.h"

__extension__ typedef __int128 int128;

static void
check_text(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	CHECK_MSG(oracle_time_agrees(copy, len), "%.*s", (int) len, text);
	free(copy);
}

static void
known_values(void)
{
	static const struct
	{
		const char *text;
		int64_t us;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01 00:00:00z", 0},
		{"1970-01-01T00:00:00.000001Z", 1},
		{"1970-01-01T00:00:00.1+00", 100000},
		{"1970-01-01T00:00:00.12-00:00", 120000},
		{"1970-01-01T01:00:00+01", 0},
		{"1969-12-31T18:29:59.999999-0530", -1},
		{"1970-01-01T15:59:00+15:59", 0},
		{"2000-01-01T00:00:00Z", WT_PG_EPOCH_US},
		{"2026-11-23T00:00:00.000Z", INT64_C(1795392000000000)},
		{"2024-02-29T23:59:59.5Z", INT64_C(1709251199500000)},
		{"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
		{"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
	};
	int32_t days;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int64_t us = 0;

		CHECK(wt_parse_timestamptz(cases[i].text, strlen(cases[i].text), &us) ==
			  WT_OK);
		CHECK_MSG(us == cases[i].us, "%s gives %lld", cases[i].text,
				  (long long) us);
		check_text(cases[i].text, strlen(cases[i].text));
	}
	CHECK(wt_parse_date("2000-01-01", 10, &days) == WT_OK &&
		  days == WT_PG_EPOCH_DAYS);
	CHECK(wt_parse_date("1969-12-31", 10, &days) == WT_OK && days == -1);
}

static void
fallbacks(void)
{
	static const char *const texts[] = {"",
										"2026",
										"2026-11-23",
										"2026-11-23T00:00:00",
										"2026-11-23T00:00Z",
										"2026-11-23T00:00:60Z",
										"2026-11-23T24:00:00Z",
										"2026-11-23T23:60:00Z",
										"2026-02-29T00:00:00Z",
										"1900-02-29T00:00:00Z",
										"2026-04-31T00:00:00Z",
										"2026-00-01T00:00:00Z",
										"2026-13-01T00:00:00Z",
										"2026-01-00T00:00:00Z",
										"0000-01-01T00:00:00Z",
										"2026-11-23T00:00:00.Z",
										"2026-11-23T00:00:00.1234567Z",
										"2026-11-23T00:00:00 Z",
										"2026-11-23T00:00:00Z ",
										" 2026-11-23T00:00:00Z",
										"2026-11-23t00:00:00Z",
										"2026-11-23  00:00:00Z",
										"2026/11/23T00:00:00Z",
										"2026-11-23T00:00:00+1",
										"2026-11-23T00:00:00+123",
										"2026-11-23T00:00:00+16",
										"2026-11-23T00:00:00+0060",
										"2026-11-23T00:00:00+01:0",
										"2026-11-23T00:00:00+01:00:00",
										"2026-11-23T00:00:00 UTC",
										"2026-11-23T00:00:00,5Z",
										"infinity",
										"now",
										"20261123T000000Z",
										"2026-11-23T00:00:00+ 1",
										"2026-11-23T00:00:00+01-00",
										"2026-1-23T00:00:00Z",
										"+026-11-23T00:00:00Z",
										"2026-11-23T-1:00:00Z"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		int64_t us = 4711;
		size_t len = strlen(texts[i]);

		CHECK_MSG(wt_parse_timestamptz(texts[i], len, &us) == WT_FALLBACK &&
					  us == 4711,
				  "%s", texts[i]);
		check_text(texts[i], len);
	}
}

/* Mostly good, sometimes a little out of range. */
static int
field(int from, int to)
{
	if (rnd_below(40) == 0)
		return from - 1 + (int) rnd_below((uint64_t) (to - from + 3));
	return from + (int) rnd_below((uint64_t) (to - from + 1));
}

static size_t
random_text(char *text)
{
	static const char *const zone[] = {"",          "Z",          "z",
									   "+%02d",     "-%02d",      "+%02d%02d",
									   "-%02d%02d", "+%02d:%02d", "-%02d:%02d"};
	size_t n;

	n = (size_t) sprintf(text, "%04d-%02d-%02d", field(1, 9999), field(1, 12),
						 field(1, 31));
	if (rnd_below(10) == 0)
		return n;
	n += (size_t) sprintf(text + n, "%c%02d:%02d:%02d", rnd_below(2) ? 'T' : ' ',
						  field(0, 23), field(0, 59), field(0, 59));
	if (rnd_below(2))
	{
		int digits = field(1, 6);

		text[n++] = '.';
		while (digits-- > 0)
			text[n++] = (char) ('0' + rnd_below(10));
		text[n] = '\0';
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
	n += (size_t) sprintf(text + n, zone[rnd_below(9)], field(0, 15),
						  field(0, 59));
#pragma GCC diagnostic pop
	return n;
}

static void
random_values(void)
{
	long good = 0;
	int rounds = 400000;

	for (int i = 0; i < rounds; i++)
	{
		char text[128];
		size_t n = random_text(text);
		int64_t us;

		check_text(text, n);
		good += wt_parse_timestamptz(text, n, &us) == WT_OK;
	}
	CHECK_MSG(good > rounds / 2, "%ld good", good);
}

static void
damaged_values(void)
{
	static const char spice[] = "0123456789-+:.TZ z t/";

	for (int i = 0; i < 400000; i++)
	{
		char text[128];
		size_t n = random_text(text);
		size_t at = rnd_below(n);

		switch (rnd_below(3))
		{
			case 0:
				text[at] = spice[rnd_below(sizeof(spice))];
				break;
			case 1:
				n = at;
				break;
			default:
				text[at] = (char) rnd();
				break;
		}
		check_text(text, n);
	}
}

/* Every day of the calendar, by counting. */
static void
every_day(void)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30,
									 31, 31, 30, 31, 30, 31};
	int64_t want = -719162;

	for (int y = 1; y <= 9999; y++)
		for (int m = 1; m <= 12; m++)
		{
			bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
			int last = month_days[m - 1] + (m == 2 && leap);

			for (int d = 1; d <= 31; d++)
			{
				char text[40];
				int32_t days = 0;
				WtStatus status;

				sprintf(text, "%04d-%02d-%02d", y, m, d);
				status = wt_parse_date(text, 10, &days);
				CHECK_MSG((status == WT_OK) == (d <= last), "%s", text);
				if (d > last)
					continue;
				CHECK_MSG(days == want && wt_days_from_civil(y, m, d) == want,
						  "%s", text);
				want++;
			}
		}
	CHECK(want == 2932897);

	/* Before year 1 the calendar goes on: 400 years are 146097 days. */
	CHECK(wt_days_from_civil(0, 3, 1) == wt_days_from_civil(400, 3, 1) - 146097);
	CHECK(wt_days_from_civil(-399, 2, 28) ==
		  wt_days_from_civil(1, 2, 28) - 146097);
	CHECK(wt_days_from_civil(0, 2, 29) + 1 == wt_days_from_civil(0, 3, 1));
}

static void
check_scale(int64_t value, int64_t num, int64_t den)
{
	int64_t got = 4711;
	bool ok = wt_scale(value, num, den, &got);
	int128 want = 0;
	bool want_ok = num > 0 && den > 0 && (int128) num * den <= INT64_MAX;

	if (want_ok)
	{
		want = (int128) value * num / den;
		if ((int128) value * num % den < 0)
			want--;
		want_ok = want >= INT64_MIN && want <= INT64_MAX;
	}
	CHECK_MSG(ok == want_ok, "%lld * %lld / %lld", (long long) value,
			  (long long) num, (long long) den);
	if (ok && want_ok)
		CHECK_MSG(got == (int64_t) want, "%lld * %lld / %lld",
				  (long long) value, (long long) num, (long long) den);
}

static void
scale(void)
{
	static const int64_t unit[][2] = {{1000000, 1}, {1000, 1}, {1, 1},
									  {1, 1000},    {1, 10},   {60000000, 1},
									  {100, 3},     {7, 9}};
	int64_t us;

	CHECK(wt_scale(1795392000, 1000000, 1, &us) && us == 1795392000000000);
	CHECK(wt_scale(1999, 1, 1000, &us) && us == 1);
	CHECK(wt_scale(-1, 1, 1000, &us) && us == -1);
	CHECK(wt_scale(-1000, 1, 1000, &us) && us == -1);
	CHECK(!wt_scale(1, 0, 1, &us) && !wt_scale(1, 1, 0, &us));
	CHECK(!wt_scale(1, -1, 1, &us) && !wt_scale(1, 1, -1, &us));
	CHECK(wt_scale(-19, INT64_C(1433416028337098191), 3, &us));
	check_scale(-19, INT64_C(1433416028337098191), 3);
	for (int i = 0; i < 200000; i++)
	{
		/* A result next to the limit, where a part of it may be beyond. */
		int64_t den = 1 + (int64_t) (rnd() >> 1 >> rnd_below(62));
		int64_t num = 1 + (int64_t) (rnd() >> 1) % (INT64_MAX / den);
		int128 edge = (int128) (rnd_below(2) ? INT64_MAX : INT64_MIN) * den /
						  num +
					  (int64_t) rnd_below(9) - 4;

		if (edge >= INT64_MIN && edge <= INT64_MAX)
			check_scale((int64_t) edge, num, den);
	}
	for (int i = 0; i < 200000; i++)
	{
		const int64_t *u = unit[rnd_below(sizeof(unit) / sizeof(unit[0]))];

		check_scale(rnd_int64(), u[0], u[1]);
		check_scale(rnd_int64(), rnd_int64(), rnd_int64());
	}
}

int
main(void)
{
	RUN(known_values);
	RUN(fallbacks);
	RUN(random_values);
	RUN(damaged_values);
	RUN(every_day);
	RUN(scale);
	return done();
}
