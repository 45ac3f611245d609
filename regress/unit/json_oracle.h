/*
 * json_oracle.h
 *		Compares wj_scan with jansson; for unit tests and fuzzers.
 *
 * jansson's own limits are taken into account: it takes no NUL in a key, no
 * integer beyond int64 and no real beyond double (all valid JSON), and nests to
 * 2048 where wj_scan stops at 512.  It overlooks a NUL byte right after a
 * number or literal (2.14).  A message that meets one of these is only checked
 * for what still holds.
 */
#ifndef WEIR_UNIT_JSON_ORACLE_H
#define WEIR_UNIT_JSON_ORACLE_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/json_guess.h"

#define ORACLE_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

/* A path, and the same as steps: a key, or an index where key is NULL. */
typedef struct OraclePath
{
	const char *path;
	struct
	{
		const char *key;
		size_t index;
	} step[4];
	int nsteps;
} OraclePath;

#define KEY(k) \
	{          \
		k, 0   \
	}
#define ITEM(i) \
	{           \
		NULL, i \
	}

static const OraclePath oracle_paths[] = {
	{"a", {KEY("a")}, 1},
	{"b", {KEY("b")}, 1},
	{"a.a", {KEY("a"), KEY("a")}, 2},
	{"a.b", {KEY("a"), KEY("b")}, 2},
	{"a.b[1]", {KEY("a"), KEY("b"), ITEM(1)}, 3},
	{"b[0]", {KEY("b"), ITEM(0)}, 2},
	{"b[2].a", {KEY("b"), ITEM(2), KEY("a")}, 3},
	{"b[0][1]", {KEY("b"), ITEM(0), ITEM(1)}, 3},
	{"[1]", {ITEM(1)}, 1},
	{"[0].a.b", {ITEM(0), KEY("a"), KEY("b")}, 3},
	{"longer_than_8", {KEY("longer_than_8")}, 1},
	{"longer_than_sixteen_bytes", {KEY("longer_than_sixteen_bytes")}, 1},
	{"\"\"", {KEY("")}, 1},
	{"\"\".a", {KEY(""), KEY("a")}, 2},
	{"\"x.y\"", {KEY("x.y")}, 1},
	{"\xc3\xa9", {KEY("\xc3\xa9")}, 1},
	{"\"\\\"\"", {KEY("\"")}, 1},
};

#define ORACLE_NPATHS ((int) (sizeof(oracle_paths) / sizeof(oracle_paths[0])))

static inline WjPaths *
oracle_compile(WjAlloc alloc, void *arg)
{
	WjPaths *paths = wj_paths_new(alloc, arg);
	const char *err;

	for (int i = 0; i < ORACLE_NPATHS; i++)
		if (wj_paths_add(paths, oracle_paths[i].path, false, &err) != i)
			abort();
	return paths;
}

static inline const json_t *
oracle_get(const json_t *root, const OraclePath *path)
{
	for (int i = 0; root && i < path->nsteps; i++)
		root = path->step[i].key ? json_object_get(root, path->step[i].key)
								 : json_array_get(root, path->step[i].index);
	return root;
}

static inline bool
oracle_same_string(const json_t *want, const WjValue *got)
{
	char *text = malloc((size_t) got->len + 1);
	int64_t len = wj_unescape(got->ptr, got->len, text);
	size_t want_len = json_string_length(want);
	bool same;

	if (memchr(json_string_value(want), '\0', want_len) != NULL)
		same = len == -1;
	else
		same = len == (int64_t) want_len &&
			   memcmp(text, json_string_value(want), want_len) == 0;
	if (got->escaped != (memchr(got->ptr, '\\', got->len) != NULL))
		same = false;
	free(text);
	return same;
}

static inline bool
oracle_same_number(const json_t *want, const WjValue *got)
{
	int64_t i;
	double d;

	if (!wj_is_number(got->ptr, got->len) || !wj_double(got->ptr, got->len, &d))
		return false;
	if (json_is_real(want))
		return !wj_int64(got->ptr, got->len, &i) && d == json_real_value(want) &&
			   !signbit(d) == !signbit(json_real_value(want));
	return wj_int64(got->ptr, got->len, &i) && i == json_integer_value(want) &&
		   d == (double) i;
}

static inline bool
oracle_same(const json_t *want, const WjValue *got)
{
	json_t *again;
	bool same;

	if (want == NULL)
		return got->type == WJ_MISSING;
	switch (json_typeof(want))
	{
		case JSON_NULL:
			return got->type == WJ_NULL && memcmp(got->ptr, "null", 4) == 0;
		case JSON_TRUE:
			return got->type == WJ_TRUE && memcmp(got->ptr, "true", 4) == 0;
		case JSON_FALSE:
			return got->type == WJ_FALSE && got->len == 5;
		case JSON_STRING:
			return got->type == WJ_STRING && oracle_same_string(want, got);
		case JSON_INTEGER:
		case JSON_REAL:
			return got->type == WJ_NUMBER && oracle_same_number(want, got);
		case JSON_OBJECT:
		case JSON_ARRAY:
			break;
	}
	if (got->type != (json_is_object(want) ? WJ_OBJECT : WJ_ARRAY))
		return false;
	if (*got->ptr != (got->type == WJ_OBJECT ? '{' : '['))
		return false;
	again = json_loadb(got->ptr, got->len, ORACLE_FLAGS, NULL);
	same = again != NULL && json_equal(again, want);
	json_decref(again);
	return same;
}

/* Whether jansson may accept what wj_scan refuses with this error. */
static inline bool
oracle_may_refuse(WjStatus status, const char *buf, size_t len, size_t errpos)
{
	if (status == WJ_ERR_SYNTAX || status == WJ_ERR_TRAILING)
		return errpos < len && buf[errpos] == '\0';
	return status == WJ_ERR_DEPTH;
}

/*
 * Does a guess change anything?  One that learns from this message alone, so
 * that a failure can be repeated; the second scan uses what the first learned.
 */
static inline bool
oracle_guessed(const WjPaths *paths, const char *buf, size_t len,
			   WjStatus status, size_t errpos, const WjValue *values)
{
	WjGuess guess;

	wj_guess_init(&guess);
	for (int round = 0; round < 3; round++)
	{
		WjValue again[ORACLE_NPATHS];
		size_t at = (size_t) -1;

		if (wj_scan(paths, &guess, buf, len, again, &at) != status ||
			at != errpos)
			return false;
		for (int i = 0; status == WJ_OK && i < ORACLE_NPATHS; i++)
			if (again[i].type != values[i].type ||
				(again[i].type != WJ_MISSING &&
				 (again[i].ptr != values[i].ptr || again[i].len != values[i].len ||
				  again[i].escaped != values[i].escaped)))
				return false;
	}
	return true;
}

/* NULL if wj_scan does with this message what jansson does, else why not. */
static inline const char *
oracle_compare(const WjPaths *paths, const char *buf, size_t len)
{
	static char why[200];
	WjValue values[ORACLE_NPATHS];
	size_t errpos = (size_t) -1;
	json_error_t error;
	json_t *root = json_loadb(buf, len, ORACLE_FLAGS, &error);
	WjStatus status = wj_scan(paths, NULL, buf, len, values, &errpos);
	const char *result = NULL;

	if (status != WJ_OK && errpos > len)
		result = "errpos is beyond the message";
	else if (!oracle_guessed(paths, buf, len, status, errpos, values))
		result = "a guess changes the result";
	else if (root == NULL)
	{
		enum json_error_code code = json_error_code(&error);

		if (status == WJ_OK && code != json_error_null_byte_in_key &&
			code != json_error_numeric_overflow)
		{
			snprintf(why, sizeof(why), "jansson refuses: %s", error.text);
			result = why;
		}
	}
	else if (status != WJ_OK && !oracle_may_refuse(status, buf, len, errpos))
	{
		snprintf(why, sizeof(why), "wj_scan refuses at %zu: %s", errpos,
				 wj_status_text(status));
		result = why;
	}
	else if (status == WJ_OK)
		for (int i = 0; i < ORACLE_NPATHS && result == NULL; i++)
			if (!oracle_same(oracle_get(root, &oracle_paths[i]), &values[i]))
			{
				snprintf(why, sizeof(why), "path %s differs (type %d)",
						 oracle_paths[i].path, values[i].type);
				result = why;
			}
	json_decref(root);
	return result;
}

#endif /* WEIR_UNIT_JSON_ORACLE_H */
