/*
 * window.h
 *		Where windows begin.
 *
 * Windows are half-open, [start, start + size), and aligned to an origin, by
 * default 1970-01-01 00:00 UTC.  Times and sizes are microseconds.  Plain C11,
 * no state; callable from anywhere.
 */
#ifndef WEIR_CORE_WINDOW_H
#define WEIR_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/*
 * *start = the greatest origin + k * size that is not after ts, k being any
 * integer: a floor for negative times too.  False (and *start is left alone)
 * when size is not positive, or start or start + size does not fit int64.
 */
extern bool
ww_tumble_start(int64_t ts, int64_t size, int64_t origin, int64_t *start);

#endif /* WEIR_CORE_WINDOW_H */
