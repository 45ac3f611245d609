/*
 * window.c
 *		Where windows begin and end (see window.h).
 *
 * Called once per row or per run of rows by ingest workers, by the SQL functions
 * of the same names, and by whoever closes or reads windows.  Pure arithmetic:
 * no lock, no memory, no error but false.
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

bool
ww_is_valid(const WwSpec *w)
{
	if (w->size <= 0 || w->step <= 0)
		return false;
	return w->kind == WW_HOP ||
		   ((w->kind == WW_TUMBLE || w->kind == WW_SESSION) &&
			w->step == w->size) ||
		   (w->kind == WW_CUMULATE && w->size % w->step == 0);
}

int64_t
ww_panes(const WwSpec *w)
{
	if (w->kind == WW_HOP)
		return 2 * (w->size / w->step + 1);
	return w->kind == WW_CUMULATE ? w->size / w->step : 1;
}

/* Windows [n, n + size) for each n that is origin + k * step. */
static bool
hop_pane(const WwSpec *w, int64_t ts, WwPane *pane)
{
	int64_t last;
	int64_t before; /* how many more of them hold ts */
	int64_t first;
	int64_t end; /* of the first one, or of the last where that is over */
	int64_t ended;

	if (!ww_tumble_start(ts, w->step, w->origin, &last) ||
		__builtin_add_overflow(last, w->size, &end))
		return false;
	if (end <= ts)
	{
		*pane = (WwPane){last + 1, last, end, last + w->step};
		return true;
	}
	before = (end - 1 - ts) / w->step;
	if (__builtin_mul_overflow(before, w->step, &ended) ||
		__builtin_sub_overflow(last, ended, &first))
		return false;
	end -= ended;
	pane->first = first;
	pane->last = last;
	/* The window before the first one ends a step earlier. */
	pane->from = end - last > w->step ? end - w->step : last;
	pane->upto = end < last + w->step ? end : last + w->step;
	return true;
}

/* Windows [c, c + step), [c, c + 2 * step) ... [c, c + size). */
static bool
cumulate_pane(const WwSpec *w, int64_t ts, WwPane *pane)
{
	int64_t start;

	if (!ww_tumble_start(ts, w->size, w->origin, &start))
		return false;
	pane->from = start + (ts - start) / w->step * w->step;
	pane->upto = pane->first = pane->from + w->step;
	pane->last = start + w->size;
	return true;
}

static bool
tumble_pane(const WwSpec *w, int64_t ts, WwPane *pane)
{
	if (!ww_tumble_start(ts, w->size, w->origin, &pane->from))
		return false;
	pane->first = pane->last = pane->from;
	pane->upto = pane->from + w->size;
	return true;
}

bool
ww_pane(const WwSpec *w, int64_t ts, WwPane *pane)
{
	switch (w->kind)
	{
		case WW_NONE:
			*pane = (WwPane){WW_ALL_TIME, WW_ALL_TIME, INT64_MIN, INT64_MAX};
			return true;
		case WW_HOP:
			return hop_pane(w, ts, pane);
		case WW_CUMULATE:
			return cumulate_pane(w, ts, pane);
		case WW_TUMBLE:
			break;
		case WW_SESSION:
			if (!tumble_pane(w, ts, pane))
				return false;
			pane->first = pane->last = pane->upto;
			return true;
	}
	return tumble_pane(w, ts, pane);
}

/* Does a name say when it is over? */
static inline bool
is_named_by_end(const WwSpec *w)
{
	return w->kind == WW_CUMULATE || w->kind == WW_SESSION;
}

int64_t
ww_start(const WwSpec *w, int64_t name)
{
	int64_t start = name;

	if (w->kind == WW_CUMULATE)
		(void) ww_tumble_start(name - 1, w->size, w->origin, &start);
	return start;
}

int64_t
ww_end(const WwSpec *w, int64_t name)
{
	if (w->kind == WW_NONE)
		return WW_END_OF_ALL;
	return is_named_by_end(w) ? name : name + w->size;
}

int64_t
ww_ended(const WwSpec *w, int64_t t)
{
	int64_t bound;

	if (is_named_by_end(w))
		return t;
	return __builtin_sub_overflow(t, w->size, &bound) ? INT64_MIN : bound;
}

int64_t
ww_next(const WwSpec *w, int64_t bound)
{
	int64_t off = floor_mod(bound, w->step) - floor_mod(w->origin, w->step);
	int64_t next;

	if (off < 0)
		off += w->step;
	/* bound - off is a name, perhaps one that does not fit */
	return __builtin_add_overflow(bound, w->step - off, &next) ? INT64_MAX
															   : next;
}
