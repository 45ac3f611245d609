/*
 * pace.h
 *	  When the next event is due.
 */
#ifndef WEIR_PRODUCER_PACE_H
#define WEIR_PRODUCER_PACE_H

#include <stdint.h>

typedef struct Pace
{
	double rate;    /* events per second; 0: no pace */
	uint64_t first; /* the event that was due ... */
	int64_t since;  /* ... at this moment of the monotonic clock, in us */
} Pace;

/*
 * pace_wait: microseconds until event n is due; 0 if it is.  A producer that
 * fell behind catches up, but what it missed for more than a second (because
 * it was held back, or the machine slept) is not made up for in one burst.
 */
static inline int64_t
pace_wait(Pace *pace, uint64_t n, int64_t now)
{
	const int64_t forget_us = 1000000;
	int64_t due;

	if (pace->rate <= 0)
		return 0;
	due = pace->since +
		  (int64_t) ((double) (n - pace->first) * 1e6 / pace->rate);
	if (now - due > forget_us)
	{
		pace->first = n;
		pace->since = now;
		return 0;
	}
	return due > now ? due - now : 0;
}

#endif
