/*
 * clock.h
 *	  The two clocks: wall time for events, monotonic time for pacing.
 */
#ifndef WEIR_PRODUCER_CLOCK_H
#define WEIR_PRODUCER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock_wall_ms: milliseconds since 1970-01-01 00:00 UTC. */
static inline int64_t
clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* clock_mono_us: microseconds since some fixed moment. */
static inline int64_t
clock_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* clock_sleep_us: sleep; a signal ends it early. */
static inline void
clock_sleep_us(int64_t us)
{
	struct timespec wait = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&wait, NULL);
}

#endif
