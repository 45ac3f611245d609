/*
 * window.h
 *		Where windows begin and end, and which of them hold a time.
 *
 * Windows are half-open and aligned to an origin, by default 1970-01-01 00:00
 * UTC.  Times and sizes are microseconds.  Each window of a kind has a name,
 * the time that SQL shows for it; names are origin + k * step, in the order of
 * the windows, and so in the order of their ends:
 *
 *		kind		window named n		step
 *		tumble		[n, n + size)		size
 *		hop			[n, n + size)		slide; windows overlap, or leave gaps
 *		cumulate	[c, n)				step; c is the last multiple of size
 *										before n
 *
 * A *pane* is what all windows share: records that count in exactly the windows
 * first, first + step ... last.  Time is cut into panes at every start and end
 * of a window, so a hop has at most two for each slide; one of a tumble is the
 * window.  A late record that counts in the later ones of these windows only is
 * in a pane of the same last window, with another first one.
 *
 *		hop, size 5, slide 2:	0   2   4   6   8
 *		window 0				|---------|
 *		window 2				    |---------|
 *		window 4				        |---------|
 *		panes					|   | | | | | | |
 *
 * So a window is the combination of the panes with first <= window <= last, and
 * a pane is over when its last window is.  Once a window is closed no record goes
 * into a pane that it is made of: the window would be late for the record.
 *
 * Plain C11, no state; callable from anywhere.
 */
#ifndef WEIR_CORE_WINDOW_H
#define WEIR_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef enum WwKind
{
	WW_NONE, /* one pane without end, named WW_ALL_TIME, of size 0 and step 1 */
	WW_TUMBLE,
	WW_HOP,
	WW_CUMULATE,
	WW_SESSION /* a pane has those that end in it: core/session.h */
} WwKind;

/*
 * The only pane where there are no windows: it closes later than anything, and is
 * an event's whatever its time.
 */
#define WW_ALL_TIME   INT64_MAX
/* Where it ends: later than anything closes, and 300 years can still be added. */
#define WW_END_OF_ALL (INT64_MAX - INT64_C(10000000000000000))

typedef struct WwSpec
{
	WwKind kind;
	int64_t size;   /* of a window; cumulate: of the longest one */
	int64_t step;   /* between names; tumble: size */
	int64_t origin; /* some name; cumulate: some start */
} WwSpec;

/* The windows that hold a time, and all times that have the same ones. */
typedef struct WwPane
{
	int64_t first; /* names; last < first: there is none */
	int64_t last;
	int64_t from; /* [from, upto) */
	int64_t upto;
} WwPane;

/*
 * *start = the greatest origin + k * size that is not after ts, k being any
 * integer: a floor for negative times too.  False (and *start is left alone)
 * when size is not positive, or start or start + size does not fit int64.
 */
extern bool
ww_tumble_start(int64_t ts, int64_t size, int64_t origin, int64_t *start);

/* Is this a size and a step of windows?  cumulate: step divides size. */
extern bool ww_is_valid(const WwSpec *w);

/* The windows that hold ts.  False: one begins or ends outside of int64. */
extern bool ww_pane(const WwSpec *w, int64_t ts, WwPane *pane);

/* How many panes a window is made of at most, but for those of late records. */
extern int64_t ww_panes(const WwSpec *w);

/* Of a window's name; it must be one that ww_pane has given. */
extern int64_t ww_start(const WwSpec *w, int64_t name);
extern int64_t ww_end(const WwSpec *w, int64_t name);

/*
 * Windows with a name up to this one end at or before t, later ones after it.
 * It need not be a name itself.
 */
extern int64_t ww_ended(const WwSpec *w, int64_t t);

/*
 * The least name above "bound", which ww_ended has given: the first window that
 * is open when all up to there are not.  INT64_MAX: it does not fit.
 */
extern int64_t ww_next(const WwSpec *w, int64_t bound);

#endif /* WEIR_CORE_WINDOW_H */
