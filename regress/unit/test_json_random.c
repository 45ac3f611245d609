/*
 * test_json_random.c
 *		The JSON scanner against jansson, on random messages: valid ones with
 *		all that JSON allows, and the same with bytes changed, added, removed.
 */
#include "harness.h"
#include "json_oracle.h"

#define ROUNDS 60000

static char text[1 << 16];
static size_t text_len;
static Arena arena = {NULL, -1};

static void
put(const char *s)
{
	size_t n = strlen(s);

	memcpy(text + text_len, s, n);
	text_len += n;
}

static void
put_space(void)
{
	static const char *const space[] = {" ", "\n", "\t", "\r\n", "   "};

	while (rnd_below(6) == 0)
		put(space[rnd_below(5)]);
}

static void
put_string(void)
{
	static const char *const piece[] = {"a",
										"b",
										"abcdefgh",
										"\\n",
										"\\u0041",
										"\\ud83d\\ude00",
										"\xc3\xa9",
										"\xe2\x82\xac",
										"\xf0\x9f\x98\x80",
										"\\\\",
										"\\\"",
										"the quick brown fox jumps",
										"\x7f",
										"\\u00e9",
										"{",
										"]",
										":",
										"\\/",
										"0123456789abcde"};
	uint64_t n = rnd_below(rnd_below(5) == 0 ? 12 : 3);

	put("\"");
	while (n-- > 0)
		put(piece[rnd_below(sizeof(piece) / sizeof(piece[0]))]);
	if (rnd_below(200) == 0)
		put("\\u0000");
	put("\"");
}

static void
put_key(void)
{
	static const char *const key[] = {"a",
									  "b",
									  "a",
									  "b",
									  "",
									  "x.y",
									  "ab",
									  "c",
									  "longer_than_8",
									  "longer_than_sixteen_bytes",
									  "longer_than_sixteen_bytfs",
									  "\xc3\xa9",
									  "\\u00e9",
									  "\\u0061",
									  "\\\"",
									  "longer\\u005fthan_8",
									  "longer_than_9",
									  "\\u0062"};

	if (rnd_below(12) == 0)
	{
		put_string();
		return;
	}
	put("\"");
	put(key[rnd_below(sizeof(key) / sizeof(key[0]))]);
	put("\"");
}

static void
put_number(void)
{
	char number[64];
	double d;
	uint64_t bits = rnd();

	switch (rnd_below(5))
	{
		case 0:
			sprintf(number, "%lld", (long long) rnd_int64());
			break;
		case 1:
			memcpy(&d, &bits, sizeof(d));
			if (!isfinite(d))
				d = 0.5;
			sprintf(number, "%.*e", (int) rnd_below(20), d);
			break;
		case 2:
			sprintf(number, "%d.%02d", (int) rnd_below(100000),
					(int) rnd_below(100));
			break;
		case 3:
			sprintf(number, "-%dE%d", (int) rnd_below(1000),
					(int) rnd_below(330));
			break;
		default:
			sprintf(number, "%d", (int) rnd_below(1000));
			break;
	}
	put(number);
}

static void
put_value(int depth)
{
	static const char *const literal[] = {"true", "false", "null"};
	uint64_t kind = rnd_below(depth > 5 ? 6 : 10);
	uint64_t n = rnd_below(6);

	put_space();
	if (kind < 2)
		put_string();
	else if (kind < 4)
		put_number();
	else if (kind < 6)
		put(literal[rnd_below(3)]);
	else
	{
		put(kind < 9 ? "{" : "[");
		put_space();
		for (uint64_t i = 0; i < n; i++)
		{
			if (kind < 9)
			{
				put_space();
				put_key();
				put_space();
				put(":");
			}
			put_value(depth + 1);
			if (i + 1 < n)
				put(",");
		}
		put(kind < 9 ? "}" : "]");
	}
	put_space();
}

static void
put_message(void)
{
	do
	{
		text_len = 0;
		put_value(rnd_below(4) == 0 ? 3 : 0);
	} while (text_len > 3000);
}

/* Some damage of the sort that leaves most of the message as it was. */
static void
mutate(void)
{
	static const char spice[] = "\"\\{}[]:,0123456789.eE+-tfnu \n\x01\x80\xc3"
								"\xa9\xed\xa0\xff/";
	uint64_t n = 1 + rnd_below(3);

	while (n-- > 0 && text_len > 1)
	{
		size_t at = rnd_below(text_len);
		char c = rnd_below(4) ? spice[rnd_below(sizeof(spice))] : (char) rnd();

		switch (rnd_below(4))
		{
			case 0:
				text[at] = c;
				break;
			case 1:
				memmove(text + at + 1, text + at, text_len - at);
				text[at] = c;
				text_len++;
				break;
			case 2:
				memmove(text + at, text + at + 1, text_len - at - 1);
				text_len--;
				break;
			default:
				if (rnd_below(4) == 0)
					text_len = at + 1;
				else
					text[at] = text[rnd_below(text_len)];
				break;
		}
	}
}

static void
compare(const WjPaths *paths)
{
	char *copy = malloc(text_len ? text_len : 1);
	const char *why;

	memcpy(copy, text, text_len);
	why = oracle_compare(paths, copy, text_len);
	CHECK_MSG(why == NULL, "%s: %.*s", why, (int) text_len, text);
	free(copy);
}

static void
valid_messages(void)
{
	WjPaths *paths = oracle_compile(arena_alloc, &arena);
	WjGuess *guess = wj_guess_new(paths);
	long found = 0;

	for (int i = 0; i < ROUNDS; i++)
	{
		WjValue values[ORACLE_NPATHS];

		put_message();
		compare(paths);
		CHECK_MSG(wj_scan(paths, guess, text, text_len, values, NULL) == WJ_OK,
				  "%.*s", (int) text_len, text);
		for (int k = 0; k < ORACLE_NPATHS; k++)
			found += values[k].type != WJ_MISSING;
	}

	/* The generator must not be so wild that the paths find nothing. */
	CHECK_MSG(found > ROUNDS / 3, "%ld values found", found);
	arena_free(&arena);
}

static void
damaged_messages(void)
{
	WjPaths *paths = oracle_compile(arena_alloc, &arena);
	long accepted = 0;

	for (int i = 0; i < ROUNDS * 2; i++)
	{
		WjValue values[ORACLE_NPATHS];

		put_message();
		mutate();
		compare(paths);
		accepted += wj_scan(paths, NULL, text, text_len, values, NULL) == WJ_OK;
	}
	CHECK_MSG(accepted > ROUNDS / 10 && accepted < ROUNDS * 2 - ROUNDS / 10,
			  "%ld accepted", accepted);
	arena_free(&arena);
}

int
main(void)
{
	RUN(valid_messages);
	RUN(damaged_messages);
	return done();
}
