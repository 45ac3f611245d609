/*
 * cost.c
 *		The hot paths of extension/core, to be counted by callgrind.
 *
 *	cost			the names of the paths, a line each
 *	cost PATH		runs one, CALLS times, within the function "measured" and
 *					nowhere else; prints how many calls that were
 *
 * Inputs are made before, from a fixed seed, and look like what topics hold.
 * What a path finds is added up and checked, so that nothing is optimised away
 * and no path gets cheap by failing.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/time.h"
#include "core/window.h"

#define CALLS    1000
#define BYTES    512
#define VALUES   16
#define FIVE_MIN (5 * 60 * WT_US_PER_SEC)

typedef struct Path
{
	const char *name;
	void (*prepare)(int i, char *text); /* input i */
	/* Returns whether it was accepted. */
	bool (*run)(const char *text, size_t len);
} Path;

static char input[CALLS][BYTES];
static size_t input_len[CALLS];
static uint64_t state = 42;
static WjPaths *paths;
static WjGuess *guess;
static WsvDialect dialect;
static volatile uint64_t sink;

static uint32_t
draw(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t) ((state >> 33) % below);
}

/* --- inputs ---------------------------------------------------------------- */

static const char *const words[] = {"click",     "log", "transaction", "/home",
									"/checkout", "DE",  "US",          "PT"};

static const char *
word(void)
{
	return words[draw(8)];
}

/* An event as weir-producer makes them. */
static void
flat(int i, char *text)
{
	snprintf(text, BYTES,
			 "{\"event_id\":\"%08x-72c6-4391-8c10-bca95c9d%04x\","
			 "\"event_type\":\"%s\",\"user_id\":%u,\"session_id\":\"d8c2463dc1%06x\","
			 "\"page\":\"%s\",\"country\":\"%s\",\"amount\":%u.%02u,"
			 "\"latency_ms\":%u,\"ts\":\"2026-01-%02uT%02u:%02u:%02u.%03uZ\","
			 "\"level\":\"INFO\"}",
			 (unsigned) i, draw(65536), word(), draw(1000000), draw(1 << 24),
			 word(), word(), draw(1000), draw(100), 1 + draw(200), 1 + draw(31),
			 draw(24), draw(60), draw(60), draw(1000));
}

/* The same fields in an order of their own. */
static void
shuffled(int i, char *text)
{
	static const char *const name[] = {"country", "page", "event_type",
									   "session_id", "level"};
	int at = (int) draw(5);
	size_t len = 1;

	text[0] = '{';
	for (int k = 0; k < 5; k++)
		len += (size_t) snprintf(text + len, BYTES - len, "\"%s\":\"%s\",",
								 name[(at + k * (1 + i % 4)) % 5], word());
	snprintf(text + len, BYTES - len,
			 "\"ts\":\"2026-01-%02uT00:00:00Z\",\"amount\":%u}", 1 + draw(31),
			 draw(1000));
}

/* Objects and arrays within one another, white space, escapes, UTF-8. */
static void
nested(int i, char *text)
{
	snprintf(text, BYTES,
			 "{ \"meta\": { \"at\": \"2026-01-%02uT00:00:00Z\", \"id\": %d },\n"
			 "  \"user\": { \"name\": \"Ren\303\251 \\\"%s\\\" \\u00e9\\n\", \"tags\": "
			 "[\"%s\", \"%s\", null, true],\n    \"address\": { \"city\": \"Z\303\274rich\", "
			 "\"zip\": \"%04u\" } },\n  \"items\": [ { \"sku\": \"A-%u\", \"price\": "
			 "%u.%02u, \"n\": %u }, { \"sku\": \"B\", \"price\": 1e-3 } ] }",
			 1 + draw(31), i, word(), word(), word(), draw(10000), draw(1000),
			 draw(1000), draw(100), draw(10));
}

static void
csv_line(int i, char *text)
{
	snprintf(text, BYTES, "%08x,%s,%u,\"a \"\"quoted\"\" %s\",%s,%u.%02u,,%u",
			 (unsigned) i, word(), draw(1000000), word(), word(), draw(1000),
			 draw(100), draw(200));
}

static void
short_integer(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "%u", draw(1000000));
}

static void
long_integer(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "-%u%09u", 1 + draw(1000000), draw(1000000000));
}

static void
price(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "%u.%02u", draw(1000), draw(100));
}

static void
seventeen_digits(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "%.17g", (draw(1 << 30) + 1) / 1048573.0);
}

static void
utc(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "2026-%02u-%02uT%02u:%02u:%02u.%03uZ", 1 + draw(12),
			 1 + draw(28), draw(24), draw(60), draw(60), draw(1000));
}

static void
zoned(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "2026-%02u-%02u %02u:%02u:%02u.%06u+%02u:30",
			 1 + draw(12), 1 + draw(28), draw(24), draw(60), draw(60),
			 draw(1000000), draw(14));
}

static void
date(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "2026-%02u-%02u", 1 + draw(12), 1 + draw(28));
}

static void
escaped(int i, char *text)
{
	(void) i;
	snprintf(text, BYTES, "he said \\\"%s\\\" and \\u00e9 went\\n\\t%s", word(),
			 word());
}

static void
key8(int i, char *text)
{
	snprintf(text, BYTES, "%08x", (unsigned) i);
}

static void
key40(int i, char *text)
{
	snprintf(text, BYTES, "%08x-72c6-4391-8c10-bca95c9d53a4-%03x", (unsigned) i,
			 draw(4096));
}

/* --- paths ------------------------------------------------------------------ */

static bool
scan(const char *text, size_t len, WjGuess *with)
{
	WjValue v[VALUES];
	WjStatus status = wj_scan(paths, with, text, len, v, NULL);

	sink += v[0].len;
	return status == WJ_OK && v[0].type != WJ_MISSING;
}

static bool
run_scan(const char *text, size_t len)
{
	return scan(text, len, guess);
}

static bool
run_scan_unguessed(const char *text, size_t len)
{
	return scan(text, len, NULL);
}

static bool
run_csv(const char *text, size_t len)
{
	WjValue v[VALUES];

	return wsv_scan(&dialect, text, len, 8, v, NULL) == WSV_OK;
}

static bool
run_int64(const char *text, size_t len)
{
	int64_t value = 0;
	bool good = wj_int64(text, len, &value);

	sink += (uint64_t) value;
	return good;
}

static bool
run_double(const char *text, size_t len)
{
	double value = 0;
	bool good = wj_double(text, len, &value);

	sink += (uint64_t) value;
	return good;
}

static bool
run_timestamptz(const char *text, size_t len)
{
	int64_t us = 0;
	WtStatus status = wt_parse_timestamptz(text, len, &us);

	sink += (uint64_t) us;
	return status == WT_OK;
}

static bool
run_date(const char *text, size_t len)
{
	int32_t days = 0;
	WtStatus status = wt_parse_date(text, len, &days);

	sink += (uint64_t) days;
	return status == WT_OK;
}

static bool
run_unescape(const char *text, size_t len)
{
	char to[BYTES];

	return wj_unescape(text, len, to) > 0;
}

static bool
run_hash(const char *text, size_t len)
{
	uint64_t hash = wh_hash(text, len, 0);

	sink += wh_mix(hash, len);
	return true;
}

static bool
run_tumble(const char *text, size_t len)
{
	int64_t start = 0;
	bool good = ww_tumble_start((int64_t) len * FIVE_MIN + text[0], FIVE_MIN, 0,
								&start);

	sink += (uint64_t) start;
	return good;
}

static bool
run_hop(const char *text, size_t len)
{
	static const WwSpec hour = {WW_HOP, 12 * FIVE_MIN, FIVE_MIN, 0};
	WwPane pane;
	bool good = ww_pane(&hour, (int64_t) len * FIVE_MIN + text[0], &pane);

	sink += (uint64_t) pane.last;
	return good;
}

static const Path all[] = {{"json-flat", flat, run_scan},
						   {"json-flat-unguessed", flat, run_scan_unguessed},
						   {"json-shuffled", shuffled, run_scan},
						   {"json-nested", nested, run_scan},
						   {"json-unescape", escaped, run_unescape},
						   {"csv", csv_line, run_csv},
						   {"int64-short", short_integer, run_int64},
						   {"int64-long", long_integer, run_int64},
						   {"double-price", price, run_double},
						   {"double-17-digits", seventeen_digits, run_double},
						   {"timestamptz-utc", utc, run_timestamptz},
						   {"timestamptz-zone", zoned, run_timestamptz},
						   {"date", date, run_date},
						   {"tumble", key8, run_tumble},
						   {"hop", key8, run_hop},
						   {"hash-8", key8, run_hash},
						   {"hash-40", key40, run_hash}};

#define PATHS (sizeof(all) / sizeof(all[0]))

/* callgrind collects between its entry and its return. */
__attribute__((noinline)) static int
measured(const Path *path)
{
	int good = 0;

	for (int i = 0; i < CALLS; i++)
		good += path->run(input[i], input_len[i]);
	return good;
}

static void *
alloc(size_t size, void *arg)
{
	(void) arg;
	return malloc(size);
}

static void
prepare(const Path *path)
{
	static const char *const wanted[] = {"ts",         "event_type",
										 "country",    "amount",
										 "latency_ms", "meta.at",
										 "user.name",  "items[0].price"};
	const char *err;

	paths = wj_paths_new(alloc, NULL);
	for (size_t i = path->prepare == nested ? 5 : 0;
		 i < sizeof(wanted) / sizeof(wanted[0]); i++)
		wj_paths_add(paths, wanted[i], false, &err);
	guess = wj_guess_new(paths);
	wsv_dialect(&dialect, ',', '"', '"', "");
	for (int i = 0; i < CALLS; i++)
	{
		path->prepare(i, input[i]);
		input_len[i] = strlen(input[i]);
	}
}

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < PATHS; i++)
	{
		if (argc < 2)
			puts(all[i].name);
		else if (strcmp(argv[1], all[i].name) == 0)
		{
			int good;

			prepare(&all[i]);
			good = measured(&all[i]);
			if (good != CALLS)
			{
				fprintf(stderr, "%s: %d of %d accepted\n", argv[1], good, CALLS);
				return 1;
			}
			printf("%d\n", good);
			return 0;
		}
	}
	return argc < 2 ? 0 : 2;
}
