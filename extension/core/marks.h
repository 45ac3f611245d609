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
 * A snapshot that is held for long keeps marks and memory.  When either gets
 * scarce, windows are freed although it does not see their closing: gone_upto
 * moves beyond freed_upto, and such a reader takes what it misses, the windows in
 * (hidden, gone_upto], from the rows of the final table that are committed by now.
 * Of marks that lie before gone_upto every other one can then be spared: a reader
 * between two of them is told less to be hidden than it sees, and has to leave
 * out those rows that its snapshot sees.
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

/* The simulation has fewer. */
#ifndef WM_MARKS
#define WM_MARKS  256 /* closings that some snapshot may not see yet */
#define WM_SCARCE 192 /* from so many on */
#endif
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
	int64_t gone_upto;  /* windows up to here are in no memory */
	int n;
	WmMark mark[WM_MARKS];
} WmMarks;

/* Does the snapshot see xid; can any snapshot still not see it. */
typedef bool (*WmTest)(void *arg, uint32_t xid);

/* Memory of a view begins, or ends: all up to upto is final for everybody. */
extern void wm_begin(WmMarks *m, int64_t upto);

/* --- the coordinator ------------------------------------------------------- */

/* Is there a mark left?  (There is, if wm_force is called when it should be.) */
extern bool wm_may_close(const WmMarks *m);
/* Before the commit of xid, which closes windows up to upto. */
extern void wm_add(WmMarks *m, int64_t upto, uint32_t xid);
/* The transaction is over: its mark, if there is one, is certain, or void. */
extern void wm_settle(WmMarks *m, uint32_t xid, bool committed);
/* How many marks no snapshot needs: the oldest ones, for wm_drop. */
extern int wm_unneeded(const WmMarks *m, WmTest needed, void *arg);
/* n > 0 marks go; memory of windows up to freed_upto may, too. */
extern void wm_drop(WmMarks *m, int n);
/*
 * Snapshots need the marks that there are, but marks are scarce (wm_is_scarce) or
 * memory is: memory of all windows whose closing is committed may go, those up to
 * gone_upto, and marks are spared.
 */
extern bool wm_is_scarce(const WmMarks *m);
extern void wm_force(WmMarks *m);

/*
 * A later memory of the view, which began with all up to "from" closed, goes:
 * what was closed there is closed here, too.  Both are settled.  False: there is
 * no room.
 */
extern bool wm_append(WmMarks *m, const WmMarks *later, int64_t from);

/* --- readers ----------------------------------------------------------------- */

/* A copy of what is in use. */
extern void wm_copy(WmMarks *dst, const WmMarks *src);
/*
 * Windows up to *hidden are in the final table for the snapshot, those after it
 * in memory.  False: the snapshot is older than the memory.
 */
extern bool wm_look(const WmMarks *m, WmTest sees, void *arg, int64_t *hidden);

#endif /* WEIR_CORE_MARKS_H */
