/*
 * test_json_guess.c
 *		Guessing a message's keys: what is learned, and that it changes nothing.
 */
#include "harness.h"
#include "core/json_guess.h"

static Arena arena = {NULL, -1};

enum
{
	NKEYS = 12
};

/* Of all lengths around the limits of 16 and 32 bytes. */
static const char *const key[NKEYS] = {"a",
									   "id",
									   "event_type",
									   "thirteen_long",
									   "fourteen__long",
									   "a.longer_key_of_28_bytes_now",
									   "and_another_key_of_29_bytes__",
									   "and_one_more_of_30_bytes______",
									   "k\\u00e9y",
									   "\xc3\xa9t\xc3\xa9",
									   "",
									   "o"};

static WjPaths *
all_paths(void)
{
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	const char *err;

	for (int i = 0; i < NKEYS; i += 2)
		wj_paths_add(paths, key[i], true, &err);
	wj_paths_add(paths, "o.x", false, &err);
	return paths;
}

static size_t
put(char *text, const int *order, int n)
{
	size_t len = 0;

	text[len++] = '{';
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			text[len++] = ',';
		len += (size_t) sprintf(text + len, "\"%s\":", key[order[i]]);
		len += (size_t) sprintf(text + len,
								order[i] == NKEYS - 1 ? "{\"x\":%d}" : "%d",
								(int) rnd_below(1000));
	}
	text[len++] = '}';
	return len;
}

/* Is what is found with the guess what is found without? */
static bool
same(const WjPaths *paths, WjGuess *guess, const char *text, size_t len)
{
	int n = wj_paths_count(paths);
	WjValue plain[NKEYS + 1];
	WjValue guessed[NKEYS + 1];

	if (wj_scan(paths, NULL, text, len, plain, NULL) != WJ_OK ||
		wj_scan(paths, guess, text, len, guessed, NULL) != WJ_OK)
		return false;
	for (int i = 0; i < n; i++)
		if (plain[i].type != guessed[i].type ||
			(plain[i].type != WJ_MISSING && (plain[i].ptr != guessed[i].ptr ||
											 plain[i].len != guessed[i].len)))
			return false;
	return true;
}

static bool
is_member(const WjGuess *guess, int at, const char *text)
{
	char want[80];

	snprintf(want, sizeof(want), "\"%s\":", text);
	return at < guess->n && guess->members[at].len == strlen(want) &&
		   memcmp(guess->members[at].text, want, strlen(want)) == 0;
}

/* One order is learned at once; keys that do not fit are left out. */
static void
one_order(void)
{
	WjPaths *paths = all_paths();
	WjGuess guess;
	char text[1024];
	int order[NKEYS];
	int trust;

	wj_guess_init(&guess);
	for (int i = 0; i < NKEYS; i++)
		order[i] = i;
	CHECK(same(paths, &guess, text, put(text, order, NKEYS)));
	CHECK(guess.n == NKEYS - 1);
	CHECK(is_member(&guess, 6, key[6]));
	CHECK(is_member(&guess, 7, key[8]));

	/* Without the one that is too long, no guess is wrong any more. */
	order[7] = 0;
	memmove(order + 7, order + 8, (NKEYS - 8) * sizeof(int));
	trust = guess.trust;
	for (int i = 0; i < 5; i++)
		CHECK(same(paths, &guess, text, put(text, order, NKEYS - 1)));
	CHECK(guess.trust == trust + 5);
	arena_free(&arena);
}

/* Keys that are sometimes left out unlearn nothing. */
static void
optional_keys(void)
{
	WjPaths *paths = all_paths();
	WjGuess guess;
	char text[1024];

	wj_guess_init(&guess);
	for (int i = 0; i < 2000; i++)
	{
		int order[NKEYS];
		int n = 0;

		for (int k = 0; k < 7; k++)
			if (i == 0 || k % 3 != 1 || rnd_below(20) > 0)
				order[n++] = k;
		CHECK(same(paths, &guess, text, put(text, order, n)));
		CHECK(guess.n == 7);
		CHECK(guess.trust >= 0);
	}
	for (int k = 0; k < 7; k++)
		CHECK(is_member(&guess, k, key[k]));
	arena_free(&arena);
}

/* In no order there is nothing to learn: guessing rests, and tries again. */
static void
no_order(void)
{
	WjPaths *paths = all_paths();
	WjGuess guess;
	char text[1024];
	int rested = 0;
	int tried = 0;

	wj_guess_init(&guess);
	for (int i = 0; i < 30000; i++)
	{
		int order[NKEYS];
		bool rests = guess.trust < 0;

		for (int k = 0; k < NKEYS; k++)
			order[k] = (int) rnd_below(NKEYS);
		CHECK(same(paths, &guess, text, put(text, order, NKEYS)));
		rested += guess.trust < 0;
		tried += rests && guess.trust >= 0;
	}
	CHECK_MSG(rested > 25000, "%d", rested);
	CHECK_MSG(tried >= 2, "%d", tried);
	arena_free(&arena);
}

/* More keys than are remembered. */
static void
many_keys(void)
{
	WjPaths *paths = all_paths();
	WjGuess guess;
	static char text[10000];
	size_t len = 0;

	wj_guess_init(&guess);
	text[len++] = '{';
	for (int i = 0; i < 2 * WJ_GUESS_MEMBERS; i++)
		len += (size_t) sprintf(text + len, "\"key%d\":%d,", i, i);
	len += (size_t) sprintf(text + len, "\"event_type\":7}");
	for (int i = 0; i < 3; i++)
		CHECK(same(paths, &guess, text, len));
	CHECK(guess.n == WJ_GUESS_MEMBERS);
	arena_free(&arena);
}

int
main(void)
{
	RUN(one_order);
	RUN(optional_keys);
	RUN(no_order);
	RUN(many_keys);
	return done();
}
