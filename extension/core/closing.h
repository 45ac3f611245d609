/*
 * closing.h
 *		Which windows a checkpoint closes, and what becomes of the attempt.
 *
 * A window closes at its end + lateness.  A view has the closing watermark that
 * is committed (from), and the one of the barrier under way (upto).  The
 * checkpoint closes what lies in (from, upto]; since "from" moves with a commit
 * only, what a failed attempt was to close is found again by the next one.
 *
 * Panes whose last window is closed stay in memory as long as a snapshot may need
 * them (marks.h).  The coordinator lists them in the order of closing: first those
 * of earlier commits, then those of the attempt under way.
 *
 * Plain C11; the attempt belongs to the coordinator alone.
 */
#ifndef WEIR_CORE_CLOSING_H
#define WEIR_CORE_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

/* Is the window that closes here final, once all up to "upto" is? */
static inline bool
wc_is_closed(int64_t close, int64_t upto)
{
	return close <= upto;
}

/* Does a checkpoint that goes on from "from" close it? */
static inline bool
wc_closes(int64_t close, int64_t from, int64_t upto)
{
	return close > from && close <= upto;
}

/* A closing watermark that takes over another one never goes back. */
static inline int64_t
wc_raise(int64_t upto, int64_t to)
{
	return to > upto ? to : upto;
}

/* One view in one attempt at a checkpoint. */
typedef struct WcAttempt
{
	int nclosed;  /* panes listed as closed */
	int first;    /* of those, first that the attempt closes; -1: none yet */
	bool partial; /* it closes windows of panes that have others, still open */
	bool written; /* the view is in the transaction under way */
} WcAttempt;

static inline void
wc_init(WcAttempt *a)
{
	*a = (WcAttempt){.first = -1};
}

/* The view's turn in the transaction: what is listed from now on is its. */
static inline void
wc_begin(WcAttempt *a)
{
	a->first = a->nclosed;
	a->partial = false;
}

/* Does the attempt close anything?  Then it needs a mark. */
static inline bool
wc_has_closed(const WcAttempt *a)
{
	return a->first >= 0 && (a->partial || a->nclosed > a->first);
}

/* The transaction did not happen: nothing was closed by it. */
static inline void
wc_forget(WcAttempt *a)
{
	if (a->first >= 0)
		a->nclosed = a->first;
	a->first = -1;
	a->written = false;
}

/*
 * The transaction has committed.  True: with the view in it, so its chunks are
 * on disk and its positions are the committed ones.  What was not written stays
 * dirty: its chunks are kept and the next barrier's appended to them.
 */
static inline bool
wc_commit(WcAttempt *a)
{
	bool written = a->written;

	a->first = -1;
	a->written = false;
	return written;
}

/*
 * A letter (dead, or late) of a view goes with its positions: otherwise a reset,
 * which another transaction does under the attempt, would find letters of the
 * former life afterwards.  (One of the whole stream is written by every attempt,
 * and is in the table once.)
 */
typedef enum WcLetter
{
	WC_LETTER_WRITE,
	WC_LETTER_KEEP, /* for the next checkpoint, as the view's chunks */
	WC_LETTER_DROP  /* what was not committed is read again, if at all */
} WcLetter;

static inline WcLetter
wc_letter(const WcAttempt *a, bool gone)
{
	if (gone)
		return WC_LETTER_DROP;
	return a->written ? WC_LETTER_WRITE : WC_LETTER_KEEP;
}

#endif /* WEIR_CORE_CLOSING_H */
