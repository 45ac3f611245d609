/*
 * shmem/read_internal.h
 *		What the readers of open windows (read.c) and of open sessions
 *		(read_session.c) share.
 */
#ifndef WEIR_SHMEM_READ_INTERNAL_H
#define WEIR_SHMEM_READ_INTERNAL_H

#include "shmem/read.h"

typedef struct Reader
{
	ViewSlot *slot;
	uint64 life;
	const StateLayout *layout;
	int64 lateness;
	int64 hidden_upto; /* windows that close up to here are in v_final */
	int64 gone_later;  /* ... up to here in no later slot */
	char *buffer;
	size_t size;
	size_t used;
	ReadGroup group;
	void *arg;
} Reader;

typedef struct Position
{
	GroupSegment *seg;
	uint32 i; /* in seg */
	uint32 n; /* in the pane */
} Position;

/* Choose the slot to read, and find what the snapshot sees as closed there. */
extern ReadResult weir_read_begin(Reader *r, const ViewPlaces *places,
								  int32 view, Snapshot snapshot);
/* A new buffer with room for at least this much; records keep the old one. */
extern void weir_read_buffer(Reader *r, size_t need);
/* Let a writer that waits for the shard's lock go first. */
extern void weir_read_stand_back(Shard *shard);
/*
 * Flatten groups from pos on until time or room is over.  Lock held.  Returns
 * true at the end of the pane; *need: room that the next record wants.
 */
extern bool
weir_read_groups(Reader *r, const Pane *pane, Position *pos, size_t *need);
/* All is read: what of it is in memory no more. */
extern ReadResult weir_read_end(Reader *r, ReadGone *gone);

#endif /* WEIR_SHMEM_READ_INTERNAL_H */
