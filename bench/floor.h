/*
 * bench/floor.h
 *		The query of the README over messages, in a plain hash table.
 */
#ifndef WEIR_BENCH_FLOOR_H
#define WEIR_BENCH_FLOOR_H

#include <stddef.h>
#include <stdio.h>

/* A topic may have so many. */
#define FLOOR_PARTITIONS 64

extern void floor_begin(void);
/* Decode a message and count it, unless it is late. */
extern void floor_take(const char *message, size_t len, int partition);
/* Groups so far. */
extern long floor_groups(void);
/*
 * One line a group, for COPY: start of the window in seconds since 1970, event
 * type, country, events, sum of amounts, sum, count and greatest of latencies.
 */
extern void floor_write(FILE *f);

#endif /* WEIR_BENCH_FLOOR_H */
