/*
 * test_number.c
 *		Numbers from their JSON text, against strtoll and strtod.  glibc's strtod
 *		rounds correctly whatever the length, and is the reference here.
 */
#include "harness.h"

#include <errno.h>
#include <float.h>
#include <math.h>

#include "core/json.h"

/* A block of the exact size, so that the sanitizer sees a byte beyond it. */
static char *
exact(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	return copy;
}

static void
check_int(const char *text)
{
	size_t len = strlen(text);
	char *copy = exact(text, len);
	int64_t got = 4711;
	bool ok = wj_int64(copy, len, &got);
	char *end;
	long long want;

	errno = 0;
	want = strtoll(text, &end, 10);
	if (errno == ERANGE || *end != '\0' || end == text)
		CHECK_MSG(!ok && got == 4711, "%s", text);
	else
		CHECK_MSG(ok && got == want, "%s gives %lld", text, (long long) got);
	free(copy);
}

static void
check_double(const char *text)
{
	size_t len = strlen(text);
	char *copy = exact(text, len);
	double want = strtod(text, NULL);
	double got = 4711;
	bool ok = wj_double(copy, len, &got);

	CHECK_MSG(wj_is_number(copy, len), "%s", text);
	if (isinf(want))
		CHECK_MSG(!ok && got == 4711, "%s gives %g", text, got);
	else
		CHECK_MSG(ok && memcmp(&got, &want, sizeof(got)) == 0,
				  "%.60s gives %.17g, not %.17g", text, got, want);
	free(copy);
}

static void
integers(void)
{
	static const char *const texts[] = {"0",
										"-0",
										"1",
										"-1",
										"9",
										"10",
										"9223372036854775807",
										"9223372036854775808",
										"-9223372036854775808",
										"-9223372036854775809",
										"9999999999999999999",
										"-9999999999999999999",
										"18446744073709551615",
										"18446744073709551616",
										"100000000000000000000",
										"1000000000000000000",
										"-1000000000000000000",
										"1.0",
										"1e2",
										"1E2",
										"-",
										""};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_int(texts[i]);
	for (int i = 0; i < 300000; i++)
	{
		char text[32];

		sprintf(text, "%lld", (long long) rnd_int64());
		check_int(text);
	}
}

static void
easy_doubles(void)
{
	static const char *const texts[] =
		{"0",
		 "-0",
		 "0.0",
		 "-0.0",
		 "0e5",
		 "1",
		 "-1",
		 "0.1",
		 "123.45",
		 "1e22",
		 "1e23",
		 "1e-22",
		 "1e-23",
		 "9007199254740992",
		 "9007199254740993",
		 "9007199254740991e22",
		 "9007199254740993e-22",
		 "1.7976931348623157e308",
		 "1.7976931348623158e308",
		 "1.7976931348623159e308",
		 "1e308",
		 "1e309",
		 "-1e309",
		 "1e400",
		 "1e-400",
		 "4.9e-324",
		 "2.4703282292062327e-324",
		 "2.4703282292062328e-324",
		 "2.2250738585072011e-308",
		 "2.2250738585072014e-308",
		 "1e99999999999999",
		 "1e-99999999999999",
		 "0e99999999999999999999",
		 "123e-100000000000000000",
		 "0.000000000000000000000000000001",
		 "1000000000000000000000000000000",
		 "1.00000000000000011102230246251565404236316680908203125",
		 "1.00000000000000011102230246251565404236316680908203124",
		 "1.00000000000000011102230246251565404236316680908203126",
		 "0.1e1",
		 "10e-1",
		 "00000000001e0" + 10,
		 "1E+05",
		 "18446744073709551616",
		 "6.02214076e23",
		 "99999999999999999999e-20"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_double(texts[i]);
}

static void
random_doubles(void)
{
	for (int i = 0; i < 300000; i++)
	{
		char text[400];
		uint64_t bits = rnd();
		double d;

		memcpy(&d, &bits, sizeof(d));
		if (!isfinite(d))
			continue;
		sprintf(text, "%.*e", (int) rnd_below(25), d);
		check_double(text);
		sprintf(text, "%s%llu.%0*llu", bits & 1 ? "-" : "",
				(unsigned long long) (rnd() >> rnd_below(64)),
				(int) rnd_below(22),
				(unsigned long long) (rnd() >> rnd_below(64)));
		check_double(text);
		sprintf(text, "%llue%d", (unsigned long long) (rnd() >> rnd_below(64)),
				(int) rnd_below(700) - 350);
		check_double(text);
	}
}

/* Half-way between two doubles, exactly, and a digit more or less. */
static void
halfway_doubles(void)
{
	static char text[3000];

	for (int i = 0; i < 3000; i++)
	{
		uint64_t bits = rnd();
		double d;
		long double half;
		size_t n;

		/* Everything from denormals to large, but with room above. */
		bits &= ~(UINT64_C(1) << 63);
		if (i % 3 == 0)
			bits >>= 12 + rnd_below(20);
		memcpy(&d, &bits, sizeof(d));
		if (!isfinite(d) || d >= DBL_MAX / 2)
			continue;
		half = ((long double) d + (long double) nextafter(d, INFINITY)) / 2;
		n = (size_t) sprintf(text, "%.1100Lf", half);
		while (text[n - 1] == '0' && text[n - 2] != '.')
			n--;
		text[n] = '\0';
		check_double(text);
		memcpy(text + n, "0000000001", 11);
		check_double(text);
		memset(text + n, '0', 1000);
		memcpy(text + n + 1000, "1e0", 4);
		check_double(text);
		text[n] = '\0';
		if (text[n - 1] > '0' && text[n - 1] <= '9')
		{
			text[n - 1]--;
			memcpy(text + n, "999999999", 10);
			check_double(text);
		}
	}
}

/* Very long numbers, whose digits and exponent undo each other. */
static void
long_doubles(void)
{
	static char text[300100];

	for (int i = 0; i < 40; i++)
	{
		size_t zeros = rnd_below(300000);
		size_t n;
		double got;

		memcpy(text, "0.", 2);
		memset(text + 2, '0', zeros);
		n = 2 + zeros;
		n += (size_t) sprintf(text + n, "12345678901234567890123e%zu", zeros);
		check_double(text);
		CHECK(wj_double(text, n, &got) && got == 0.12345678901234567890123);

		text[0] = '7';
		memset(text + 1, '0', zeros);
		n = 1 + zeros;
		n += (size_t) sprintf(text + n, ".00e-%zu", zeros + 1);
		check_double(text);
		CHECK(wj_double(text, n, &got) && got == 0.7);
	}
}

/* wj_is_number against the rule that wj_scan applies to a whole message. */
static void
grammar(void)
{
	static const char alphabet[] = "0019.eE+--. ";
	Arena arena = {NULL, -1};
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	long good = 0;

	for (int i = 0; i < 300000; i++)
	{
		char text[9];
		size_t len = rnd_below(9);
		bool want;
		char *copy;

		for (size_t k = 0; k < len; k++)
			text[k] = alphabet[rnd_below(sizeof(alphabet) - 1)];
		copy = exact(text, len);
		want = wj_scan(paths, NULL, copy, len, NULL, NULL) == WJ_OK &&
			   memchr(copy, ' ', len) == NULL;
		CHECK_MSG(wj_is_number(copy, len) == want, "%.*s", (int) len, copy);
		good += want;
		free(copy);
	}
	CHECK(good > 1000);
	arena_free(&arena);
}

int
main(void)
{
	RUN(integers);
	RUN(easy_doubles);
	RUN(random_doubles);
	RUN(halfway_doubles);
	RUN(long_doubles);
	RUN(grammar);
	return done();
}
