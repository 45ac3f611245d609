/*
 * fuzz_json.c
 *		wj_scan accepts a message iff jansson does, and finds the same values.
 */
#include "fuzz.h"

#include "unit/json_oracle.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FuzzRoom room;
	static WjPaths *paths;
	const char *why;

	if (paths == NULL)
		paths = oracle_compile(fuzz_alloc, &room);
	why = oracle_compare(paths, (const char *) data, size);
	if (why)
		fprintf(stderr, "%s\n", why);
	REQUIRE(why == NULL);
	return 0;
}
