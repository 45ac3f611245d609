/*
 * base/clock.h
 *		The two clocks that Weir reads: wall time for what users see, monotonic
 *		time for intervals.  In a build with fault points tests set the wall by
 *		weir.test_clock.
 */
#ifndef WEIR_CLOCK_H
#define WEIR_CLOCK_H

#include "base/weir.h"

/* Microseconds of PostgreSQL's epoch. */
extern TimestampTz weir_clock_wall(void);
/* Microseconds of a clock that never jumps. */
extern int64 weir_clock_monotonic(void);

#endif /* WEIR_CLOCK_H */
