/*
 * exec/overlap.h
 *		Panes combined into the windows that overlap on them, key by key.
 */
#ifndef WEIR_EXEC_OVERLAP_H
#define WEIR_EXEC_OVERLAP_H

#include "base/weir.h"

#include "exec/merge.h"

typedef struct OverlapTable OverlapTable;

extern OverlapTable *weir_overlap_new(ViewReader *reader, MemoryContext parent);
/* Forget all that was added. */
extern void weir_overlap_reset(OverlapTable *t);
extern void weir_overlap_free(OverlapTable *t);

/* Add a record of a pane, which must stay where it is as long as the table. */
extern void weir_overlap_add(OverlapTable *t, const PaneWindows *pane,
							 const GroupRecord *record);
/* The same from parts: key image and state. */
extern void
weir_overlap_add_group(OverlapTable *t, const PaneWindows *pane,
					   const char *key, uint32 keylen, const char *state);

/* All is added: the windows named first to upto are to be made. */
extern void weir_overlap_begin(OverlapTable *t, int64 first, int64 upto);
/*
 * The next window of a key: ascending for each key, which come one after the
 * other.  The state is read-only and valid until the next call.  False: no more.
 * May raise.
 */
extern bool weir_overlap_next(OverlapTable *t, MergeGroup *group);

#endif /* WEIR_EXEC_OVERLAP_H */
