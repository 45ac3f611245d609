/*
 * window.c
 *		Where windows begin.
 *
 * Called once per row or per run of rows by ingest workers, and by the SQL
 * functions of the same names.  Pure arithmetic: no lock, no memory, no error
 * but false.
 */
#include "core/window.h"

/* a modulo size, from 0 to size - 1. */
static inline int64_t
floor_mod(int64_t a, int64_t size)
{
	int64_t r = a % size;

	return r < 0 ? r + size : r;
}

bool
ww_tumble_start(int64_t ts, int64_t size, int64_t origin, int64_t *start)
{
	int64_t off;
	int64_t s;
	int64_t end;

	if (size <= 0)
		return false;

	/* ts - origin could overflow; the difference of the remainders cannot. */
	off = floor_mod(ts, size);
	if (origin != 0)
	{
		off -= floor_mod(origin, size);
		if (off < 0)
			off += size;
	}
	if (__builtin_sub_overflow(ts, off, &s) ||
		__builtin_add_overflow(s, size, &end))
		return false;
	*start = s;
	return true;
}
