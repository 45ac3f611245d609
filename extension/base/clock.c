/*
 * base/clock.c
 *		Time, read in one place.  Any process, no locks.
 */
#include "base/weir.h"

#include <time.h>

#include "base/clock.h"
#include "base/guc.h"

TimestampTz
weir_clock_wall(void)
{
#ifdef WEIR_FAULTS
	if (weir_settings.test_clock > 0)
		return weir_settings.test_clock * USECS_PER_SEC;
#endif
	return GetCurrentTimestamp();
}

int64
weir_clock_monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64) t.tv_sec * USECS_PER_SEC + t.tv_nsec / 1000;
}
