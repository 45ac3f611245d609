/*
 * plan/window.h
 *		The window of a view: what core/window.h says of windows of one length,
 *		and base/calendar.h of those between two dates.
 *
 * Called by whoever assigns, closes or reads windows.  No state, no memory;
 * nothing here raises.
 */
#ifndef WEIR_PLAN_WINDOW_H
#define WEIR_PLAN_WINDOW_H

#include "base/weir.h"

#include "base/calendar.h"
#include "core/window.h"

typedef struct WindowSpec
{
	Oid type;   /* of times: timestamptz or timestamp */
	Oid result; /* that SQL shows: type, or for a session a range of it */
	WwSpec all; /* us, PostgreSQL's epoch; of a calendar: about as long */
	bool ttl; /* sessions of which a view shows the last one of each key, as totals
				 * with a time to live; they are final without rows */
	bool by_date;
	WeirCalendar calendar; /* if by_date, tumble */
} WindowSpec;

/* Is a window more than one pane? */
static inline bool
weir_windows_overlap(const WindowSpec *w)
{
	return w->all.kind == WW_HOP || w->all.kind == WW_CUMULATE;
}

/* Do windows become final, with rows? */
static inline bool
weir_windows_close(const WindowSpec *w)
{
	return w->all.kind != WW_NONE && !w->ttl;
}

/* ww_pane, within what timestamps can be.  False: out of range. */
static inline bool
weir_window_pane(const WindowSpec *w, int64 ts, WwPane *pane)
{
	if (w->by_date)
	{
		if (!weir_calendar_window(&w->calendar, ts, &pane->from, &pane->upto))
			return false;
		pane->first = pane->last = pane->from;
		return true;
	}
	return ww_pane(&w->all, ts, pane) &&
		   (pane->last < pane->first ||
			(IS_VALID_TIMESTAMP(ww_start(&w->all, pane->first)) &&
			 IS_VALID_TIMESTAMP(ww_end(&w->all, pane->last))));
}

static inline int64
weir_window_start(const WindowSpec *w, int64 name)
{
	return ww_start(&w->all, name);
}

static inline int64
weir_window_end(const WindowSpec *w, int64 name)
{
	int64 start;
	int64 end;

	if (w->by_date)
		return weir_calendar_window(&w->calendar, name, &start, &end) ? end
																	  : name;
	return ww_end(&w->all, name);
}

/*
 * Windows with a name up to this one are closed when all up to t are, later ones
 * are not.  None is if t is WEIR_NO_TIME, and this, too.
 */
static inline int64
weir_window_closed(const WindowSpec *w, int64 lateness, int64 t)
{
	int64 start;
	int64 end;

	if (t == WEIR_NO_TIME)
		return WEIR_NO_TIME;
	if (!w->by_date)
		return ww_ended(&w->all, t - lateness);
	if (weir_calendar_window(&w->calendar, t - lateness, &start, &end))
		return start - 1;
	/* At the ends of time there are no windows. */
	return t < 0 ? WEIR_NO_TIME : t - lateness;
}

/* The first window that is not closed, by what weir_window_closed has said. */
static inline int64
weir_window_next(const WindowSpec *w, int64 closed)
{
	if (closed == WEIR_NO_TIME)
		return WEIR_NO_TIME;
	return w->by_date ? closed + 1 : ww_next(&w->all, closed);
}

#endif /* WEIR_PLAN_WINDOW_H */
