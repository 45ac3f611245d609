/*
 * fuzz_path.c
 *		The first lines of the input are paths, the rest is a message: nothing
 *		crashes, values lie in the message, and a key that was added literally is
 *		found in a message made of it.
 */
#include "fuzz.h"

#include <string.h>

#include "core/json.h"

#define MAX_LINES 8

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FuzzRoom room;
	const char *p = (const char *) data;
	const char *end = p + size;
	WjPaths *paths;
	WjValue values[2 * MAX_LINES];
	size_t errpos = 0;

	room.used = 0;
	paths = wj_paths_new(fuzz_alloc, &room);
	for (int i = 0; i < MAX_LINES; i++)
	{
		const char *eol = memchr(p, '\n', (size_t) (end - p));
		char path[256];
		const char *err;
		int number;

		if (eol == NULL || eol - p >= (ptrdiff_t) sizeof(path))
			break;
		memcpy(path, p, (size_t) (eol - p));
		path[eol - p] = '\0';
		p = eol + 1;
		for (int literal = 0; literal < 2; literal++)
		{
			number = wj_paths_add(paths, path, literal, &err);
			REQUIRE((number == -1) == (err != NULL));
			REQUIRE(number < wj_paths_count(paths));
			REQUIRE(number == -1 ||
					wj_paths_add(paths, path, literal, &err) == number);
		}
		if (number >= 0 && strcspn(path, "\"\\\b\f\n\r\t") == strlen(path))
		{
			char text[300];
			int n = snprintf(text, sizeof(text), "{\"%s\":0}", path);

			if (wj_scan(paths, NULL, text, (size_t) n, values, NULL) == WJ_OK)
				REQUIRE(values[number].type == WJ_NUMBER);
		}
	}
	if (wj_scan(paths, NULL, p, (size_t) (end - p), values, &errpos) != WJ_OK)
		REQUIRE(errpos <= (size_t) (end - p));
	else
		for (int i = 0; i < wj_paths_count(paths); i++)
			REQUIRE(values[i].type == WJ_MISSING ||
					(values[i].ptr >= p && values[i].ptr <= end &&
					 values[i].len <= (size_t) (end - values[i].ptr)));
	return 0;
}
