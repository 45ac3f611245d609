/*
 * bench/floor.c
 *		The least that a machine has to do for the query of the README: Weir's
 *		own scanner and parsers (core/), and a hash table.
 *
 * No PostgreSQL, no columns, nothing closed, nothing kept: what Weir takes beyond
 * this is what its promises cost.  One record at a time, as one would write it by
 * hand.  Late records are left out by the rule of docs/semantics.md, so that what
 * it finds is what the view has to hold.
 */
#include "floor.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/json.h"
#include "core/time.h"

#define SLOTS     (1 << 18)
#define KEY_BYTES 48
#define WINDOW_US INT64_C(10000000)
#define DELAY_US  INT64_C(5000000) /* watermark_delay */

enum
{
	EVENT_TYPE,
	COUNTRY,
	AMOUNT,
	LATENCY,
	TS,
	COLUMNS
};

typedef struct Group
{
	uint64_t hash;
	int64_t window;
	uint32_t keylen;
	uint32_t typelen;
	char key[KEY_BYTES]; /* event type and country */
	int64_t n;
	double sum;
	int64_t latency_sum;
	int64_t latency_n;
	int64_t latency_max;
} Group;

static const char *const column[COLUMNS] = {"event_type", "country", "amount",
											"latency_ms", "ts"};
static int64_t greatest[FLOOR_PARTITIONS]; /* event time so far */
static Group *groups;
static long ngroups;
static WjPaths *paths;
static WjGuess *guess;

static void *
alloc(size_t size, void *arg)
{
	(void) arg;
	return malloc(size);
}

void
floor_begin(void)
{
	const char *err;

	groups = calloc(SLOTS, sizeof(Group));
	for (int i = 0; i < FLOOR_PARTITIONS; i++)
		greatest[i] = INT64_MIN / 2;
	paths = wj_paths_new(alloc, NULL);
	for (int i = 0; i < COLUMNS; i++)
		wj_paths_add(paths, column[i], true, &err);
	guess = wj_guess_new(paths);
}

/* The group of a window and key, new or not. */
static Group *
find(int64_t window, const char *key, uint32_t len)
{
	uint64_t hash = wh_mix(wh_hash(key, len, 0), (uint64_t) window);
	uint64_t i = hash & (SLOTS - 1);

	for (; groups[i].n > 0; i = (i + 1) & (SLOTS - 1))
		if (groups[i].hash == hash && groups[i].window == window &&
			groups[i].keylen == len && memcmp(groups[i].key, key, len) == 0)
			return &groups[i];
	groups[i].hash = hash;
	groups[i].window = window;
	groups[i].keylen = len;
	memcpy(groups[i].key, key, len);
	if (++ngroups == SLOTS / 2)
	{
		fprintf(stderr, "floor: too many groups\n");
		exit(1);
	}
	return &groups[i];
}

/* Move the partition's watermark; was it beyond the window's end before? */
static bool
is_late(int partition, int64_t ts)
{
	bool late = (ts / WINDOW_US + 1) * WINDOW_US <=
				greatest[partition] - DELAY_US;

	if (ts > greatest[partition])
		greatest[partition] = ts;
	return late;
}

void
floor_take(const char *message, size_t len, int partition)
{
	WjValue v[COLUMNS];
	char key[KEY_BYTES];
	int64_t ts;
	int64_t latency;
	double amount;
	Group *g;

	if (wj_scan(paths, guess, message, len, v, NULL) != WJ_OK ||
		v[EVENT_TYPE].type != WJ_STRING || v[COUNTRY].type != WJ_STRING ||
		v[EVENT_TYPE].len + v[COUNTRY].len > KEY_BYTES ||
		v[TS].type != WJ_STRING ||
		wt_parse_timestamptz(v[TS].ptr, v[TS].len, &ts) != WT_OK ||
		is_late(partition, ts))
		return;
	memcpy(key, v[EVENT_TYPE].ptr, v[EVENT_TYPE].len);
	memcpy(key + v[EVENT_TYPE].len, v[COUNTRY].ptr, v[COUNTRY].len);
	g = find(ts / WINDOW_US, key, v[EVENT_TYPE].len + v[COUNTRY].len);
	g->typelen = v[EVENT_TYPE].len;
	g->n++;
	if (v[AMOUNT].type == WJ_NUMBER &&
		wj_double(v[AMOUNT].ptr, v[AMOUNT].len, &amount))
		g->sum += amount;
	if (v[LATENCY].type == WJ_NUMBER &&
		wj_int64(v[LATENCY].ptr, v[LATENCY].len, &latency))
	{
		g->latency_sum += latency;
		g->latency_n++;
		if (latency > g->latency_max)
			g->latency_max = latency;
	}
}

long
floor_groups(void)
{
	return ngroups;
}

void
floor_write(FILE *f)
{
	for (int i = 0; i < SLOTS; i++)
	{
		const Group *g = &groups[i];

		if (g->n > 0)
			fprintf(f,
					"%.6f\t%.*s\t%.*s\t%" PRId64 "\t%.17g\t%" PRId64
					"\t%" PRId64 "\t%" PRId64 "\n",
					(double) g->window * 10, (int) g->typelen, g->key,
					(int) (g->keylen - g->typelen), g->key + g->typelen, g->n,
					g->sum, g->latency_sum, g->latency_n, g->latency_max);
	}
}
