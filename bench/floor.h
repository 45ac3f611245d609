/*
 * bench/floor.h
 *		The query of the README over messages, in a plain hash table.
 */
#ifndef WEIR_BENCH_FLOOR_H
#define WEIR_BENCH_FLOOR_H

#include <stddef.h>

extern void floor_begin(void);
/* Decode a message and count it. */
extern void floor_take(const char *message, size_t len);
/* Groups so far. */
extern long floor_groups(void);

#endif /* WEIR_BENCH_FLOOR_H */
