/*
 * fuzz_records.c
 *		If the input is a JSON array, each of its elements, taken apart, is JSON
 *		by itself, and they are as many as jansson finds.
 */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "core/json.h"
#include "core/records.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FuzzRoom room;
	static WjPaths *paths;
	char *copy = malloc(size ? size : 1);
	WsRecords r;
	size_t n = 0;
	size_t i = 0;

	if (paths == NULL)
		paths = wj_paths_new(fuzz_alloc, &room);
	memcpy(copy, data, size);
	if (wj_scan(paths, NULL, copy, size, NULL, NULL) == WJ_OK)
	{
		while ((unsigned char) copy[i] <= ' ')
			i++;
		if (copy[i] == '[')
		{
			json_t *root = json_loadb(copy, size,
									  JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

			ws_begin_array(&r, copy, size);
			for (; ws_more(&r); n++)
			{
				size_t len;
				const char *p = ws_next(&r, &len);

				REQUIRE(wj_scan(paths, NULL, p, len, NULL, NULL) == WJ_OK);
			}
			REQUIRE(root == NULL || json_array_size(root) == n);
			json_decref(root);
		}
	}
	free(copy);
	return 0;
}
