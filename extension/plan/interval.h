/*
 * plan/interval.h
 *		The arguments of windows, checked.
 */
#ifndef WEIR_PLAN_INTERVAL_H
#define WEIR_PLAN_INTERVAL_H

#include "base/weir.h"

#include "core/window.h"

/*
 * The length in us of a window's size (slide, step: what), a day being 24 hours.
 * Raises unless it is positive, without months, and fits.
 */
extern int64 weir_interval_length(const Interval *interval, const char *what);

/* Raises for an infinite origin, and for a step that does not divide the size. */
extern void weir_check_window(const WwSpec *w);

#endif /* WEIR_PLAN_INTERVAL_H */
