/*
 * marks.h
 *		Where a snapshot finds a window: in the final table or in memory.
 *
 * A view's closings are marked with the transaction that writes the final rows,
 * before that commits.  A snapshot decides by the same transaction about the
 * rows and about the windows in memory, so it sees each window in one place.
 *
 *		freed_upto   mark[0]   mark[1] ... mark[n - 1]      still open
 *		-----------|---------|-------- ... ---------|------------------> close
 *		in no       hidden from those snapshots that
 *		memory      see the mark's transaction
 *
 * Marks are in the order of commit, and of upto.  The coordinator adds, settles
 * and drops them; readers look at a copy.  The caller has the lock that
 * protects the marks where it changes or copies them.  Questions about
 * transactions are asked through a callback, never under that lock.
 *
 * Plain C11, no memory, no error.
 */
#ifndef WEIR_CORE_MARKS_H
#define WEIR_CORE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#define WM_MARKS  256 /* closings that some snapshot may not see yet */
#define WM_NO_XID 0

/* Windows that close at or before upto were made final by xid. */
typedef struct WmMark
{
	int64_t upto;
	uint32_t xid; /* top-level */
	bool known_committed;
} WmMark;

typedef struct WmMarks
{
	uint32_t birth;     /* recovered as of this transaction: a snapshot that
						 * does not see it knows nothing of this memory */
	int64_t freed_upto; /* windows up to here are final for every snapshot */
	int n;
	WmMark mark[WM_MARKS];
} WmMarks;

/* Does the snapshot see xid; can any snapshot still not see it. */
typedef bool (*WmTest)(void *arg, uint32_t xid);

/* Memory of a view begins, or ends: all up to upto is final for everybody. */
extern void wm_begin(WmMarks *m, int64_t upto);

/* --- the coordinator ------------------------------------------------------- */

/*
 * Marks get scarce while an old snapshot holds them: may a view close windows
 * that closed some this many microseconds ago?
 */
extern bool wm_may_close(const WmMarks *m, int64_t since_last);
/* Before the commit of xid, which closes windows up to upto. */
extern void wm_add(WmMarks *m, int64_t upto, uint32_t xid);
/* The transaction is over: its mark, if there is one, is certain, or void. */
extern void wm_settle(WmMarks *m, uint32_t xid, bool committed);
/* How many marks no snapshot needs: the oldest ones, for wm_drop. */
extern int wm_unneeded(const WmMarks *m, WmTest needed, void *arg);
/* n > 0 marks go; memory of windows up to freed_upto may, too. */
extern void wm_drop(WmMarks *m, int n);

/* --- readers ----------------------------------------------------------------- */

/* A copy of what is in use. */
extern void wm_copy(WmMarks *dst, const WmMarks *src);
/*
 * Windows up to *hidden are in the final table for the snapshot, those after it
 * in memory.  False: the snapshot is older than the memory.
 */
extern bool wm_look(const WmMarks *m, WmTest sees, void *arg, int64_t *hidden);

#endif /* WEIR_CORE_MARKS_H */
