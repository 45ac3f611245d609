/*
 * buddy.h
 *		Power-of-two block allocator over one region of memory.
 *
 * The region is mapped at the same address in every process that uses it.
 * Everything the allocator knows lies in the region itself:
 *
 *	+---------+------------------------+-----+-----------------------------+
 *	| WbArena | one byte per min block | pad | blocks ...					   |
 *	+---------+------------------------+-----+-----------------------------+
 *
 * NOT thread-safe: the caller holds a lock over every call, wb_free_bytes
 * included.  Nothing here raises, allocates, loops over the region or fails
 * midway, so the lock may be a spinlock or an LWLock held in a critical place.
 */
#ifndef WEIR_CORE_BUDDY_H
#define WEIR_CORE_BUDDY_H

#include <stddef.h>

/* The smallest min_block. */
#define WB_MIN_BLOCK 256

typedef struct WbArena WbArena;

/*
 * An upper bound for what the allocator keeps of a region of that size: its
 * head, a byte per WB_MIN_BLOCK and alignment.
 */
extern size_t wb_overhead(size_t region_size);

/*
 * Makes an arena of a region, which must be zero-filled (fresh from mmap) and
 * is not touched as a whole: what is written is the head and the first bytes
 * of some 2 * log2(region_size) blocks.  min_block is a power of two of at
 * least WB_MIN_BLOCK.  NULL when the arguments are wrong or the region is too
 * small for one block.
 */
extern WbArena *wb_init(void *region, size_t region_size, size_t min_block);

/*
 * A block of size bytes rounded up to a power of two and to min_block, or NULL
 * if there is no room.  Aligned to 64 bytes at least (blocks of a page or more
 * to 4096).  The contents are undefined.
 */
extern void *wb_alloc(WbArena *arena, size_t size);

/*
 * Gives a block back; size is what wb_alloc was given, or rounds up to the
 * same.  With assertions (no NDEBUG), a block freed twice, a wrong size and a
 * pointer that is not a block's abort.
 */
extern void wb_free(WbArena *arena, void *block, size_t size);

/* Bytes in free blocks, not necessarily next to each other. */
extern size_t wb_free_bytes(const WbArena *arena);

/* Bytes in all blocks, free or not; fixed at wb_init. */
extern size_t wb_total_bytes(const WbArena *arena);

/* What wb_alloc(size) takes from the free bytes; SIZE_MAX if it never fits. */
extern size_t wb_rounded(const WbArena *arena, size_t size);

#endif /* WEIR_CORE_BUDDY_H */
