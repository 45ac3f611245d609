/*
 * exec/merge.h
 *		Records of several shards and incarnations, combined into groups.
 */
#ifndef WEIR_EXEC_MERGE_H
#define WEIR_EXEC_MERGE_H

#include "base/weir.h"

#include "exec/final.h"

typedef struct MergeGroup
{
	int64 window;
	uint64 hash;
	const char *key;
	uint32 keylen;
	char *state; /* private; pointers into records or cxt */
} MergeGroup;

typedef struct MergeTable
{
	ViewReader *reader;
	MemoryContext cxt;
	MergeGroup *groups;
	uint32 ngroups;
	uint32 capacity;
	uint32 *index; /* group number + 1, open addressing */
	uint32 index_mask;
} MergeTable;

extern MergeTable *weir_merge_new(ViewReader *reader, MemoryContext parent);
/*
 * Add a record, which must stay where it is as long as the table.  replace: it
 * takes the place of an equal key's state (a later write of the same log)
 * instead of being combined with it.
 */
extern void weir_merge_add(MergeTable *m, int64 window,
						   const GroupRecord *record, bool replace);
/* The same from parts: key image and state. */
extern void weir_merge_group(MergeTable *m, int64 window, const char *key,
							 uint32 keylen, const char *state);
/* Find the group, or add it with no state; valid until the next one is added. */
extern MergeGroup *
weir_merge_find(MergeTable *m, int64 window, const char *key, uint32 keylen);
extern void weir_merge_reset(MergeTable *m);
extern void weir_merge_free(MergeTable *m);

#endif /* WEIR_EXEC_MERGE_H */
