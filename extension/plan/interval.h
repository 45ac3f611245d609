/*
 * plan/interval.h
 *		Intervals as lengths.
 */
#ifndef WEIR_PLAN_INTERVAL_H
#define WEIR_PLAN_INTERVAL_H

#include "base/weir.h"

/*
 * The length in us of a window's size, a day being 24 hours.  Raises unless it
 * is positive, without months, and fits.
 */
extern int64 weir_interval_length(const Interval *interval);

#endif /* WEIR_PLAN_INTERVAL_H */
