/*
 * fuzz_string.c
 *		The input between quotes: if it is a JSON string, wj_unescape makes of it
 *		what jansson does, within the input's length, and that is UTF-8.
 */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "core/json.h"
#include "core/utf8.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FuzzRoom room;
	static WjPaths *paths;
	char *text = malloc(size + 4);
	char *dst = malloc(size ? size : 1);
	json_t *root;
	const char *err;
	WjValue v;
	int64_t n;

	if (paths == NULL)
	{
		paths = wj_paths_new(fuzz_alloc, &room);
		REQUIRE(wj_paths_add(paths, "[0]", false, &err) == 0);
	}
	memcpy(text, "[\"", 2);
	if (size > 0)
		memcpy(text + 2, data, size);
	memcpy(text + 2 + size, "\"]", 2);
	root = json_loadb(text, size + 4, JSON_ALLOW_NUL, NULL);
	if (wj_scan(paths, NULL, text, size + 4, &v, NULL) == WJ_OK && v.len == size)
	{
		const json_t *want = json_array_get(root, 0);
		size_t len = json_string_length(want);

		REQUIRE(want != NULL && v.type == WJ_STRING && v.ptr == text + 2);
		n = wj_unescape(v.ptr, v.len, dst);
		if (memchr(json_string_value(want), '\0', len) != NULL)
			REQUIRE(n == -1);
		else
		{
			REQUIRE(n == (int64_t) len);
			REQUIRE(memcmp(dst, json_string_value(want), len) == 0);
			REQUIRE(wu_valid(dst, len, NULL));
			REQUIRE(v.escaped || n == (int64_t) v.len);
		}
	}
	json_decref(root);
	free(dst);
	free(text);
	return 0;
}
