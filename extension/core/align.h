/*
 * align.h
 *		Which partitions of a topic to hold back while memory is short.
 *
 * History is read from all partitions at once, and one of them may have passed
 * a time that another has still to reach.  Windows stay open until the last one
 * has passed them, so what the first ones are ahead costs memory.  Under
 * pressure the partitions that are ahead of the least watermark are held, until
 * that has caught up.  Plain C11, no state; callable from anywhere.
 */
#ifndef WEIR_CORE_ALIGN_H
#define WEIR_CORE_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

/* Pressure, in thousandths of the memory for windows. */
#define WA_HOLD    500 /* from here on the first ones are held */
#define WA_RELEASE 250 /* below, all are let go */

/* No record seen yet: behind everything. */
#define WA_NO_TIME INT64_MIN

typedef struct WaPartition
{
	int64_t watermark;
	bool counts; /* there is more to read of it, and it can be read */
	bool held;   /* in: is; out: shall be */
} WaPartition;

/*
 * Decide for n partitions.  Those that are further than slack ahead of the
 * least watermark of those that count are held from WA_HOLD on, and let go when
 * they are not so far ahead any more.  The one with the least watermark is
 * never held, so what is left of the memory is for it, and those near it.
 * Returns whether anything has changed.
 */
extern bool wa_align(WaPartition *parts, int n, int64_t slack, int pressure);

#endif /* WEIR_CORE_ALIGN_H */
