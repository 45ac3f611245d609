/*
 * fuzz_time.c
 *		The timestamp parsers agree with a regular expression and timegm.
 */
#include "fuzz.h"

#include "unit/time_oracle.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	REQUIRE(oracle_time_agrees((const char *) data, size));
	return 0;
}
