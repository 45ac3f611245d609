/*
 * test_json_paths.c
 *		Paths: how they are written, and what the scanner finds by them.
 */
#include "harness.h"
#include "json_scan.h"

static Arena arena = {NULL, -1};

/* One projection: the message, the path, what is expected ("-": missing). */
typedef struct Projection
{
	const char *text;
	const char *path;
	WjType type;
	const char *want;
} Projection;

static const Projection projections[] = {
	{"{\"a\":1}", "a", WJ_NUMBER, "1"},
	{"{\"a\":-1.5e3 }", "a", WJ_NUMBER, "-1.5e3"},
	{"{\"a\":\"x y\"}", "a", WJ_STRING, "x y"},
	{"{\"a\":\"\"}", "a", WJ_STRING, ""},
	{"{\"a\":true,\"b\":false}", "a", WJ_TRUE, "true"},
	{"{\"a\":true,\"b\":false}", "b", WJ_FALSE, "false"},
	{"{\"a\": null}", "a", WJ_NULL, "null"},
	{"{\"a\": { \"b\" : [1] } }", "a", WJ_OBJECT, "{ \"b\" : [1] }"},
	{"{\"a\": { \"b\" : [1 ,{}] } }", "a.b", WJ_ARRAY, "[1 ,{}]"},
	{"{\"a\": { \"b\" : [1 ,{}] } }", "a.b[1]", WJ_OBJECT, "{}"},
	{"{\"a\":{}}", "a", WJ_OBJECT, "{}"},
	{"{\"a\":{}}", "a.b", WJ_MISSING, NULL},
	{"{\"a\":[]}", "a[0]", WJ_MISSING, NULL},
	{"{\"A\":1}", "a", WJ_MISSING, NULL},
	{"{\"ab\":1}", "a", WJ_MISSING, NULL},
	{"{\"a\":1}", "ab", WJ_MISSING, NULL},
	{"{\"b\":{\"a\":1}}", "a", WJ_MISSING, NULL},
	{"[{\"a\":1}]", "a", WJ_MISSING, NULL},
	{"[{\"a\":1}]", "[0].a", WJ_NUMBER, "1"},
	{"[[],[0,[1,2]]]", "[1][1][1]", WJ_NUMBER, "2"},
	{"{\"a\":[{\"b\":1},{\"b\":2},{\"b\":3}]}", "a[1].b", WJ_NUMBER, "2"},
	{"{\"a\":{\"0\":7}}", "a[0]", WJ_MISSING, NULL},
	{"{\"a\":[7]}", "a.0", WJ_MISSING, NULL},
	{"1", "a", WJ_MISSING, NULL},
	{"\"a\"", "a", WJ_MISSING, NULL},

	/* duplicates: the last wins, and takes what was below with it */
	{"{\"a\":1,\"a\":\"2\"}", "a", WJ_STRING, "2"},
	{"{\"a\":1,\"a\":null}", "a", WJ_NULL, "null"},
	{"{\"a\":{\"b\":1},\"a\":{}}", "a.b", WJ_MISSING, NULL},
	{"{\"a\":{\"b\":1},\"a\":3}", "a.b", WJ_MISSING, NULL},
	{"{\"a\":{\"b\":1},\"a\":[]}", "a.b", WJ_MISSING, NULL},
	{"{\"a\":{\"b\":1},\"a\":{\"b\":{}}}", "a.b", WJ_OBJECT, "{}"},
	{"{\"a\":{\"b\":{\"c\":1}},\"a\":{\"b\":2}}", "a.b.c", WJ_MISSING, NULL},
	{"{\"a\":[1,2],\"a\":[3]}", "a[1]", WJ_MISSING, NULL},
	{"{\"a\":[1,2],\"a\":[3]}", "a[0]", WJ_NUMBER, "3"},
	{"{\"a\":{\"b\":1},\"\\u0061\":0}", "a.b", WJ_MISSING, NULL},
	{"{\"a\":{\"b\":1},\"x\":{\"a\":0}}", "a.b", WJ_NUMBER, "1"},

	/* keys of all sorts */
	{"{\"a.b\":1,\"a\":{\"b\":2}}", "\"a.b\"", WJ_NUMBER, "1"},
	{"{\"a.b\":1,\"a\":{\"b\":2}}", "a.b", WJ_NUMBER, "2"},
	{"{\"a\":{\"b.c\":{\"d\":2}}}", "a.\"b.c\".d", WJ_NUMBER, "2"},
	{"{\"\":{\"\":2}}", "\"\".\"\"", WJ_NUMBER, "2"},
	{"{\"a\\\"b\":2}", "\"a\\\"b\"", WJ_NUMBER, "2"},
	{"{\"a\\\\b\":2}", "a\\b", WJ_NUMBER, "2"},
	{"{\"\\u00e9\\ud83d\\ude00\":2}", "\xc3\xa9\xf0\x9f\x98\x80", WJ_NUMBER, "2"},
	{"{\"\xc3\xa9\":2}", "\xc3\xa9", WJ_NUMBER, "2"},
	{"{\"\\u0061b\":2}", "ab", WJ_NUMBER, "2"},
	{"{\"\\u0061b\":2}", "a", WJ_MISSING, NULL},
	{"{\"\\u0061\":2}", "ab", WJ_MISSING, NULL},
	{"{\"a\\u0000\":2}", "a", WJ_MISSING, NULL},
	{"{\"a\\u0000b\":2}", "a", WJ_MISSING, NULL},
	{"{\"\\t\\n\":2}", "\t\n", WJ_NUMBER, "2"},
};

static void
projection(void)
{
	for (size_t i = 0; i < sizeof(projections) / sizeof(projections[0]); i++)
	{
		const Projection *c = &projections[i];
		WjPaths *paths = wj_paths_new(arena_alloc, &arena);
		const char *err;
		WjValue v;
		char *copy;

		CHECK_MSG(wj_paths_add(paths, c->path, false, &err) == 0, "%s", c->path);
		CHECK(scan_copy(paths, c->text, strlen(c->text), &v, NULL, &copy) ==
			  WJ_OK);
		CHECK_MSG(v.type == c->type, "%s of %s", c->path, c->text);
		if (v.type != WJ_MISSING && c->want)
			CHECK_MSG(v.len == strlen(c->want) &&
						  memcmp(v.ptr, c->want, v.len) == 0,
					  "%s of %s: %.*s", c->path, c->text, (int) v.len, v.ptr);
		free(copy);
		arena_free(&arena);
	}
}

/* All lengths of keys, among keys that differ in one byte, literal or not. */
static void
key_lengths(void)
{
	for (size_t len = 1; len <= 70; len++)
	{
		WjPaths *paths = wj_paths_new(arena_alloc, &arena);
		char key[80] = "";
		char text[400];
		WjValue values[71];
		const char *err;
		int n;

		memset(key, 'k', len);
		for (size_t at = 0; at < len; at++)
		{
			key[at] = '!';
			CHECK(wj_paths_add(paths, key, at % 2, &err) == (int) at);
			key[at] = 'k';
		}
		CHECK(wj_paths_count(paths) == (int) len);
		for (size_t at = 0; at < len; at++)
		{
			char *copy;

			key[at] = '!';
			n = sprintf(text, "{\"%s\":%zu,\"%s?\":0,\"%.*s\":0}", key, at, key,
						(int) len - 1, key);
			key[at] = 'k';
			CHECK(scan_copy(paths, text, (size_t) n, values, NULL, &copy) ==
				  WJ_OK);
			for (size_t i = 0; i < len; i++)
				CHECK_MSG(values[i].type == (i == at ? WJ_NUMBER : WJ_MISSING),
						  "byte %zu of %zu, path %zu", at, len, i);
			CHECK(values[at].type == WJ_NUMBER &&
				  atoi(values[at].ptr) == (int) at);
			free(copy);
		}
		arena_free(&arena);
	}
}

/* Several paths at once, some inside others, given twice, in any order. */
static void
many_paths(void)
{
	static const char text[] =
		"{\"x\":[0,{\"y\":1}],\"z\":{\"w\":{\"v\":\"\\n\"}}}";
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	const char *err;
	WjValue v[8];
	char *copy;

	CHECK(wj_paths_add(paths, "z.w.v", false, &err) == 0);
	CHECK(wj_paths_add(paths, "x[1].y", false, &err) == 1);
	CHECK(wj_paths_add(paths, "x[0]", false, &err) == 2);
	CHECK(wj_paths_add(paths, "x", true, &err) == 3);
	CHECK(wj_paths_add(paths, "z", false, &err) == 4);
	CHECK(wj_paths_add(paths, "z.w.v", true, &err) == 5);
	CHECK(wj_paths_add(paths, "x[1].y", false, &err) == 1);
	CHECK(wj_paths_add(paths, "\"x\"", false, &err) == 3);
	CHECK(wj_paths_count(paths) == 6);
	CHECK(scan_copy(paths, text, sizeof(text) - 1, v, NULL, &copy) == WJ_OK);
	CHECK(v[0].type == WJ_STRING && v[0].escaped && v[0].len == 2);
	CHECK(v[1].type == WJ_NUMBER && *v[1].ptr == '1' && !v[1].escaped);
	CHECK(v[2].type == WJ_NUMBER && *v[2].ptr == '0');
	CHECK(v[3].type == WJ_ARRAY && v[3].ptr == copy + 5 && v[3].len == 11);
	CHECK(v[4].type == WJ_OBJECT && v[4].len == sizeof(text) - 1 - 5 - 11 - 6);
	CHECK(v[5].type == WJ_MISSING);
	free(copy);
	arena_free(&arena);
}

/* A thousand columns, and a path as deep as one may be. */
static void
big_sets(void)
{
	static char text[40000];
	static WjValue v[1001];
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	const char *err;
	char path[400];
	char *copy;
	size_t n = 0;

	for (int i = 0; i < 1000; i++)
	{
		sprintf(path, "measurement_%04d_temperature", i);
		CHECK(wj_paths_add(paths, path, true, &err) == i);
		n += (size_t) sprintf(text + n, "%s\"%s\":%d", i ? "," : "{", path,
							  999 - i);
	}
	text[n++] = '}';
	CHECK(scan_copy(paths, text, n, v, NULL, &copy) == WJ_OK);
	for (int i = 0; i < 1000; i++)
	{
		int64_t got;

		CHECK(v[i].type == WJ_NUMBER && wj_int64(v[i].ptr, v[i].len, &got) &&
			  got == 999 - i);
	}
	free(copy);

	for (int i = 0; i < WJ_MAX_STEPS; i++)
		memcpy(path + 2 * i, i ? ".a" : "a", 3 - !i);
	path[2 * WJ_MAX_STEPS - 1] = '\0';
	for (int i = 0; i < WJ_MAX_STEPS; i++)
	{
		path[2 * i] = 'a';
		path[2 * i + 1] = '.';
	}
	path[2 * WJ_MAX_STEPS - 1] = '\0';
	CHECK(wj_paths_add(paths, path, false, &err) == 1000);
	n = 0;
	for (int i = 0; i < WJ_MAX_STEPS + 100; i++)
		n += (size_t) sprintf(text + n, "{\"a\":");
	text[n++] = '1';
	memset(text + n, '}', WJ_MAX_STEPS + 100);
	n += WJ_MAX_STEPS + 100;
	CHECK(scan_copy(paths, text, n, v, NULL, &copy) == WJ_OK);
	CHECK(v[1000].type == WJ_OBJECT && v[1000].len == 100 * 6 + 1);
	free(copy);
	strcat(path, ".a");
	CHECK(wj_paths_add(paths, path, false, &err) == -1 && err != NULL);
	arena_free(&arena);
}

static void
bad_paths(void)
{
	static const char *const bad[] =
		{"",       ".",     "a.",           ".a",
		 "a..b",   "[",     "[]",           "[a]",
		 "[1",     "a[1",   "a[-1]",        "a]",
		 "a[1]b",  "\"a",   "\"a\\n\"",     "a\"b\"",
		 "\"a\"b", "a.[0]", "[4294967295]", "[99999999999999999999999]",
		 "\"\\",   "a[1] "};
	static const char *const good[] =
		{"[4294967294]",   "[007]",     " ", "a b", "$",
		 "\"a\"[0].\"b\"", "@timestamp"};
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	const char *err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		CHECK_MSG(wj_paths_add(paths, bad[i], false, &err) == -1, "%s", bad[i]);
		CHECK(err != NULL && *err != '\0');
		CHECK(wj_paths_count(paths) == 0);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK_MSG(wj_paths_add(paths, good[i], false, &err) == (int) i, "%s",
				  good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(wj_paths_add(paths, bad[i], true, &err) >= 0);
	arena_free(&arena);
}

/* Memory that runs out at any point leaves a set that works. */
static void
out_of_memory(void)
{
	static const char text[] = "{\"a\":{\"b\":1,\"b\":[2]},\"a\":{\"c\":3}}";

	for (long room = 0; room < 40; room++)
	{
		static const char *const path[] = {"a.b", "a.b[0]", "a.c", "d", "a"};
		Arena small = {NULL, room};
		WjPaths *paths = wj_paths_new(arena_alloc, &small);
		int number[5];
		const char *err;
		WjValue v[5];

		if (paths == NULL)
		{
			CHECK(room == 0);
			continue;
		}
		for (int i = 0; i < 5; i++)
		{
			number[i] = wj_paths_add(paths, path[i], false, &err);
			CHECK((number[i] < 0) == (err != NULL));
			if (i == 1)
				small.left = -1;
		}
		CHECK(wj_scan(paths, NULL, text, sizeof(text) - 1, v, NULL) == WJ_OK);
		for (int i = 0; i < 5; i++)
			if (number[i] >= 0)
				CHECK_MSG(v[number[i]].type == (i == 2   ? WJ_NUMBER
												: i == 4 ? WJ_OBJECT
														 : WJ_MISSING),
						  "%s with room for %ld", path[i], room);
		CHECK(room < 30 || (number[0] == 0 && number[4] == 4));
		arena_free(&small);
	}
}

int
main(void)
{
	RUN(projection);
	RUN(key_lengths);
	RUN(many_paths);
	RUN(big_sets);
	RUN(bad_paths);
	RUN(out_of_memory);
	return done();
}
