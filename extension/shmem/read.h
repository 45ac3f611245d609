/*
 * shmem/read.h
 *		Reading the open windows of a running view from shared memory.
 */
#ifndef WEIR_SHMEM_READ_H
#define WEIR_SHMEM_READ_H

#include "base/weir.h"

#include "shmem/pane.h"
#include "shmem/retired.h"
#include "utils/snapshot.h"

/*
 * Takes one record of a pane; it stays valid as long as the context of the read.
 */
typedef void (*ReadGroup)(void *arg, const PaneWindows *pane,
						  const GroupRecord *record);

typedef enum ReadResult
{
	READ_DONE,
	READ_TOO_OLD, /* the snapshot is older than the lane: read the log */
	READ_AGAIN    /* the view went away meanwhile: find it again */
} ReadResult;

/*
 * Windows in (from, upto] of closing times that the snapshot does not see closed,
 * and that are in memory no more: they are rows of the final table by now.
 */
typedef struct ReadGone
{
	int64 from;
	int64 upto; /* not after from: none */
} ReadGone;

/*
 * Hand out the groups of all panes that have a window that is open for the
 * snapshot; *hidden: windows that close up to there are not.  layout is the
 * plan's.  Records are palloc'ed in the current context.  Takes marks_lock and
 * shards' locks, shared, for at most about 100 us at a time; may raise between
 * them.  Groups of windows that went meanwhile may have been handed out in part:
 * those in *gone do not count.
 */
extern ReadResult
weir_read_view(const ViewPlaces *places, int32 view, Snapshot snapshot,
			   const StateLayout *layout, int64 lateness, ReadGroup group,
			   void *arg, int64 *hidden, ReadGone *gone);

/* Takes what a shard has of a session, likewise. */
typedef void (*ReadSession)(void *arg, int shard, const GroupRecord *record);

/*
 * The same for a view of sessions (read_session.c).  Sessions that are hidden are
 * handed out, too, perhaps in part; they do not count, as those in *gone.  A shard
 * may show a session twice, as it was and as it has grown to.
 */
extern ReadResult
weir_read_sessions(const ViewPlaces *places, int32 view, Snapshot snapshot,
				   const StateLayout *layout, ReadSession session, void *arg,
				   int64 *hidden, ReadGone *gone);

#endif /* WEIR_SHMEM_READ_H */
