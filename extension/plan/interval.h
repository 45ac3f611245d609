/*
 * plan/interval.h
 *		The arguments of windows, checked.
 */
#ifndef WEIR_PLAN_INTERVAL_H
#define WEIR_PLAN_INTERVAL_H

#include "base/weir.h"

#include "plan/window.h"

/*
 * The length in us of a window's size (slide, step: what), a day being 24 hours.
 * Raises unless it is positive, without months, and fits.
 */
extern int64 weir_interval_length(const Interval *interval, const char *what);

/*
 * The windows of weir.tumble: of one length, or, with months or in a time zone, by
 * date.  origin and zone may be NULL.  Raises for what no window can be.
 */
extern void weir_tumble_spec(WindowSpec *w, const Interval *size,
							 const int64 *origin, const char *zone);

/* Raises for an infinite origin, and for a step that does not divide the size. */
extern void weir_check_window(const WwSpec *w);

#endif /* WEIR_PLAN_INTERVAL_H */
