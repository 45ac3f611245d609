/*
 * shmem/pane.h
 *		Panes and groups: the open windows of a view in one shard.
 *
 *	Pane --index--> Group (hash, key image, state)
 *	     \-segments: arrays of groups, append-only, in order of arrival
 *	     \-var: room for key images and by-reference values, bump-allocated
 *	     \-dirty lists: groups that changed since a barrier
 *
 * One writer, the ingest worker that owns the shard.  It may look up and add
 * groups without a lock, since readers see only the first ngroups groups and
 * only those that are live; it publishes ngroups and changes states while it
 * holds the shard's lock exclusively.  The index is the writer's alone.
 *
 * A group's key is an *image*: for each key one byte (1: NULL), then, if not
 * NULL, 8 bytes of Datum (by value), typlen bytes (fixed length), or a uint32
 * length and the payload without its header (varlena).
 *
 * A *record* is a group made flat, for readers, chunks and recovery: the struct
 * GroupRecord, then state, key and by-reference values, 8-aligned; in the state
 * AccumDatum.data is then an offset from the record's start.
 */
#ifndef WEIR_PANE_H
#define WEIR_PANE_H

#include "base/weir.h"

#include "core/session.h"
#include "shmem/shmem.h"
#include "shmem/state.h"

/* Where the by-reference values are in a state; plain memory of a process. */
typedef struct StateLayout
{
	uint32 size;
	bool sessions; /* behind the accumulators there is the group's WsSpan */
	int ndatums;
	const uint32 *datums; /* offsets of AccumDatum with data by reference */
} StateLayout;

/* When the first and the last event of a session were. */
static inline WsSpan *
weir_state_span(const StateLayout *layout, char *state)
{
	return (WsSpan *) (state + layout->size - sizeof(WsSpan));
}

typedef struct PaneGroup
{
	uint64 hash;
	char *key;
	uint32 keylen;
	uint32 batch_ref; /* worker's scratch: index in its touched list */
	uint32 epoch;     /* barrier interval of the last change, 0: clean */
	uint32 live;      /* has had a row applied */
	char state[FLEXIBLE_ARRAY_MEMBER];
} PaneGroup;

typedef struct GroupSegment
{
	struct GroupSegment *next;
	uint32 capacity;
	uint32 bytes;
	char groups[FLEXIBLE_ARRAY_MEMBER];
} GroupSegment;

typedef struct VarBlock
{
	struct VarBlock *next;
	size_t bytes;
	size_t used;
	char data[FLEXIBLE_ARRAY_MEMBER];
} VarBlock;

typedef struct DirtyList
{
	PaneGroup **groups;
	uint32 n;
	uint32 capacity;
} DirtyList;

/*
 * The windows that the records of a pane count in: from first to last, by the
 * names of core/window.h.  They say which pane it is.
 */
typedef struct PaneWindows
{
	int64 first;
	int64 last;
	int64 end; /* of the last one */
} PaneWindows;

typedef struct Pane
{
	PaneWindows windows;
	struct Pane *next; /* shard's lock */
	uint32 ngroups;    /* published; shard's lock */
	uint32 filled;     /* worker */
	uint32 group_size;
	uint32 index_mask;
	uint64 *index;          /* worker */
	GroupSegment *segments; /* first; appended with a barrier before ngroups */
	GroupSegment *last;     /* worker */
	uint32 last_used;       /* worker: groups in last */
	VarBlock *var;          /* worker */
	DirtyList dirty;        /* worker: changed in this interval */
	DirtyList frozen;       /* worker: to be copied for the barrier */
	uint32 ncopy;           /* worker: groups to look at: of frozen, or all */
	uint32 ncopied;         /* of these */
	GroupSegment *copy_seg; /* worker: of all, where the next one is */
	uint32 copy_at;         /* in copy_seg */
	struct Chunk *chunk;    /* worker: chunk being filled */
	MemoryAccount *account; /* the view's */
	uint64 logged;          /* bytes of its chunks since the last rewrite */
	bool whole;             /* worker: all groups are copied, not only frozen */
	bool rewrite;           /* worker: the next chunk begins a rewrite */
	bool restored;          /* has groups of older incarnations' chunks */
	uint64 kept;            /* worker: bytes of its chunks not yet committed */
	/* Of sessions only. */
	uint32 ndead; /* groups that are no more; shard's lock */
	int64 held;   /* coordinator: closing up to here left some of it open */
	int64 over;   /* coordinator: closing up to here was to close all of it */
} Pane;

/* A piece of the state log: records of one pane, as of one barrier. */
typedef struct Chunk
{
	struct Chunk *next;
	MemoryAccount *account;
	PaneWindows pane;
	uint32 bytes; /* arena block */
	uint32 used;  /* of data */
	uint32 nrecords;
	bool rewrite; /* first that replaces what the pane's log held */
	char data[FLEXIBLE_ARRAY_MEMBER];
} Chunk;

typedef struct GroupRecord
{
	uint32 len; /* of all, multiple of 8 */
	uint32 keylen;
	uint32 key;   /* offset of the key image */
	uint32 state; /* offset of the state */
} GroupRecord;

/* Are two key images equal?  NULL: compare bytes. */
typedef bool (*KeyEqual)(void *arg, const char *a, uint32 alen, const char *b,
						 uint32 blen);

/* --- writer: the ingest worker; NULL or false: no memory is left ----------- */
extern Pane *weir_pane_new(const PaneWindows *windows,
						   const StateLayout *layout, MemoryAccount *account);
extern PaneGroup *weir_pane_find(Pane *pane, uint64 hash, const char *key,
								 uint32 keylen, KeyEqual equal, void *arg);
extern PaneGroup *
weir_pane_add(Pane *pane, uint64 hash, const char *key, uint32 keylen);
extern char *weir_pane_room(Pane *pane, size_t size);
/* The same, also of what is kept for checkpoints. */
extern char *weir_pane_room_reserved(Pane *pane, size_t size);
/* Recovery: add a group as the log has it, clean, and publish it. */
extern bool
weir_pane_restore(Pane *pane, uint64 hash, const char *key, uint32 keylen,
				  const char *state, const StateLayout *layout);
/* Make sure that n more groups fit in one of the pane's lists. */
extern bool weir_pane_reserve(DirtyList *list, Pane *pane, uint32 n);
extern void weir_pane_publish(Pane *pane); /* under the shard's lock */
/* Flatten one frozen group into the pane's chunk; chunk lists in head, tail. */
extern bool
weir_pane_copy_group(Pane *pane, PaneGroup *group, const StateLayout *layout,
					 Chunk **head, Chunk **tail);
/* What it takes of the arena. */
extern uint64 weir_pane_bytes(const Pane *pane);
extern void weir_pane_free(Pane *pane);
extern void weir_chunk_free(Chunk *chunk);
extern void weir_chunks_free(Shard *shard); /* those not yet committed */

/* --- asking ahead: the worker that owns the shard ------------------------- */

#define PANE_ENTRY_ADDRESS UINT64CONST(0x0000FFFFFFFFFFFF)
/* Smaller ones are in the processor's caches anyway. */
#define PANE_ASK_GROUPS    16384

/* Have the processor fetch what weir_pane_find is going to read for hash ... */
static inline void
weir_pane_ask_index(const Pane *pane, uint64 hash)
{
	if (pane->index_mask >= PANE_ASK_GROUPS)
		__builtin_prefetch(&pane->index[(uint32) hash & pane->index_mask]);
}

/* The group in the slot where the search begins, or NULL. */
static inline PaneGroup *
weir_pane_first(const Pane *pane, uint64 hash)
{
	return (
		PaneGroup *) (uintptr_t) (pane->index[(uint32) hash & pane->index_mask] &
								  PANE_ENTRY_ADDRESS);
}

/* ... then what the slot points at, ... */
static inline void
weir_pane_ask_group(const Pane *pane, uint64 hash)
{
	const PaneGroup *g;

	if (pane->index_mask < PANE_ASK_GROUPS)
		return;
	g = weir_pane_first(pane, hash);
	__builtin_prefetch(g, 1);
	__builtin_prefetch((const char *) g + 64, 1);
}

/* ... and then its key. */
static inline void
weir_pane_ask_key(const Pane *pane, uint64 hash)
{
	const PaneGroup *g;

	if (pane->index_mask < PANE_ASK_GROUPS)
		return;
	g = weir_pane_first(pane, hash);
	if (g)
		__builtin_prefetch(g->key);
}

/* --- records ------------------------------------------------------------- */
extern uint32
weir_record_size(const PaneGroup *group, const StateLayout *layout);
extern void weir_record_write(const PaneGroup *group, const StateLayout *layout,
							  char *dst, uint32 size);
/* Copy the record's state to dst (layout->size) with pointers into record. */
extern void weir_record_state(const GroupRecord *record,
							  const StateLayout *layout, char *dst);
/* Is this a well-formed record that ends within avail bytes? */
extern bool weir_record_valid(const GroupRecord *record, size_t avail,
							  const StateLayout *layout);

#endif /* WEIR_PANE_H */
