/*
 * session.h
 *		The sessions of one key: which of them an event is in, and what becomes of
 *		them.
 *
 * A session is the time from its first event to gap after its last one,
 * [first, last + gap).  An event at t makes [t, t + gap) and joins what it
 * overlaps; at the very end of a session it begins another one.  So sessions of
 * a key do not overlap, and as each is at least gap long, an event meets two
 * at most.
 *
 *		|-- a --------|      |-- b -----|		gap 4, an event at t
 *		           |--t--|						joins a, which ends later now
 *		            |---t---|					joins a and b: they become one
 *
 * Sessions only grow.  Of two states of the same session one contains the
 * other, and that is the later one (ws_contains): where both are found, that is
 * enough to tell.
 *
 * An array of them is in the order of time.  Times are microseconds; whoever
 * calls makes sure that last + gap does not overflow.  Plain C11, no memory.
 */
#ifndef WEIR_CORE_SESSION_H
#define WEIR_CORE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct WsSpan
{
	int64_t first; /* events */
	int64_t last;
} WsSpan;

/*
 * A session while events are added: which ones of an array from before it
 * consists of, from <= i < upto.  None: it is new.
 */
typedef struct WsGrown
{
	WsSpan span;
	int32_t from;
	int32_t upto;
} WsGrown;

/* Does a later session begin at or after the end of this one? */
static inline bool
ws_is_apart(const WsSpan *s, int64_t first, int64_t gap)
{
	return first >= s->last + gap;
}

/* Is b all of a, and so a itself or what it has grown to? */
static inline bool
ws_contains(const WsSpan *b, const WsSpan *a)
{
	return b->first <= a->first && a->last <= b->last;
}

/* A session as it was before; i is its place. */
static inline void
ws_begin(WsGrown *s, const WsSpan *span, int32_t i)
{
	*s = (WsGrown){.span = *span, .from = i, .upto = i + 1};
}

/*
 * Add an event at t to n sessions; there must be room for another one.  Returns
 * how many there are then.
 */
extern int ws_add(WsGrown *s, int n, int64_t t, int64_t gap);

/* Which of n sessions is the event at t in, which was added? */
extern int ws_find(const WsGrown *s, int n, int64_t t);

/*
 * Join spans[from..n), in the order of first, to the session that begins with
 * from.  Returns the end, in the array; *joined is the session.
 */
extern int
ws_join(const WsSpan *spans, int from, int n, int64_t gap, WsSpan *joined);

#endif /* WEIR_CORE_SESSION_H */
