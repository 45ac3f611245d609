/*
 * checkpoint/open_groups.h
 *		The groups of a view's open windows, as a snapshot sees them.
 *
 * Backends that read the view, and the coordinator for alerts.
 */
#ifndef WEIR_CHECKPOINT_OPEN_GROUPS_H
#define WEIR_CHECKPOINT_OPEN_GROUPS_H

#include "base/weir.h"

#include "catalog/view.h"
#include "exec/merge.h"
#include "shmem/read.h"
#include "utils/snapshot.h"

typedef struct OpenGroups OpenGroups;

/*
 * Read them, all at once, under the snapshot; in the current memory context.  May
 * raise.  Takes the locks of shared memory only for moments (shmem/read.h).
 */
extern OpenGroups *
weir_open_groups_read(const ViewRow *row, ViewReader *reader, Snapshot snapshot);
/* The next group of a window that is in memory; false: there is none. */
extern bool weir_open_groups_next(OpenGroups *g, MergeGroup *group);
/* Windows, by name, that are final for the snapshot, and in memory no more. */
extern bool weir_open_groups_gone(const OpenGroups *g, int64 *from, int64 *upto);

#endif /* WEIR_CHECKPOINT_OPEN_GROUPS_H */
