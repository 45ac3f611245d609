/*
 * buddy.c
 *		Power-of-two block allocator over one region of memory.
 *
 * A block of order k is min_block << k bytes and begins at a multiple of its
 * size from the base; its buddy is the block beside it with which it makes one
 * of order k + 1.  The region need not be a power of two: it is cut into the
 * powers of two that it is the sum of, largest first, and a buddy that would
 * reach beyond the end is never free.
 *
 * tags[] has a byte per min block.  The byte of a block's first min block says
 * its order and whether it is free; all others are 0, as fresh memory is, so
 * nothing has to be initialised.  Free blocks of an order are a doubly linked
 * list through their own first bytes, the last freed first: memory that was
 * touched is used again before memory that never was.
 *
 * An operation takes at most one step per order.  Used by ingest workers (and
 * by a coordinator that frees panes) on state in shared memory, under the lock
 * of the arena's owner.
 */
#include "core/buddy.h"

#include <assert.h>
#include <stdint.h>

#define MAX_ORDERS 48
#define BASE_ALIGN 4096

#define TAG_USED 0x40
#define TAG_FREE 0x80

typedef struct FreeBlock
{
	struct FreeBlock *next;
	struct FreeBlock *prev;
} FreeBlock;

/* All fields are protected by the caller's lock. */
struct WbArena
{
	char *base;     /* of block 0; fixed */
	size_t nblocks; /* of min_block; fixed */
	unsigned shift; /* log2(min_block); fixed */
	size_t free_bytes;
	uint64_t nonempty; /* bit k: heads[k] is not NULL */
	FreeBlock *heads[MAX_ORDERS];
	uint8_t tags[];
};

static inline char *
block_at(const WbArena *arena, size_t index)
{
	return arena->base + (index << arena->shift);
}

/* The smallest order that holds size bytes, or MAX_ORDERS if none does. */
static inline unsigned
order_of(const WbArena *arena, size_t size)
{
	size_t units;

	if (size <= (size_t) 1 << arena->shift)
		return 0;
	units = (size - 1) >> arena->shift;
	if (units >= arena->nblocks)
		return MAX_ORDERS;
	return 64 - (unsigned) __builtin_clzll(units);
}

static void
push(WbArena *arena, size_t index, unsigned order)
{
	FreeBlock *b = (FreeBlock *) block_at(arena, index);

	b->prev = NULL;
	b->next = arena->heads[order];
	if (b->next)
		b->next->prev = b;
	arena->heads[order] = b;
	arena->nonempty |= UINT64_C(1) << order;
	arena->tags[index] = (uint8_t) (TAG_FREE | order);
}

/* Takes a free block off its list and leaves it without a tag. */
static void
unlink_block(WbArena *arena, size_t index, unsigned order)
{
	FreeBlock *b = (FreeBlock *) block_at(arena, index);

	if (b->next)
		b->next->prev = b->prev;
	if (b->prev)
		b->prev->next = b->next;
	else
	{
		arena->heads[order] = b->next;
		if (b->next == NULL)
			arena->nonempty &= ~(UINT64_C(1) << order);
	}
	arena->tags[index] = 0;
}

size_t
wb_overhead(size_t region_size)
{
	return sizeof(WbArena) + region_size / WB_MIN_BLOCK + 1 +
		   _Alignof(WbArena) + BASE_ALIGN;
}

WbArena *
wb_init(void *region, size_t region_size, size_t min_block)
{
	uintptr_t start = (uintptr_t) region;
	uintptr_t end = start + region_size;
	uintptr_t head = (start + _Alignof(WbArena) - 1) &
					 ~(uintptr_t) (_Alignof(WbArena) - 1);
	uintptr_t base;
	WbArena *arena = (WbArena *) head;
	size_t index = 0;

	if (region == NULL || end < start || min_block < WB_MIN_BLOCK ||
		(min_block & (min_block - 1)) != 0)
		return NULL;

	/* A tag for every min block that the whole region could hold. */
	base = head + sizeof(WbArena) + region_size / min_block;
	base = (base + BASE_ALIGN - 1) & ~(uintptr_t) (BASE_ALIGN - 1);
	if (base < start || base > end || end - base < min_block)
		return NULL;

	arena->base = (char *) base;
	arena->shift = (unsigned) __builtin_ctzll(min_block);
	arena->nblocks = (end - base) >> arena->shift;
	arena->free_bytes = arena->nblocks << arena->shift;
	while (index < arena->nblocks)
	{
		unsigned order = 63 - (unsigned) __builtin_clzll(arena->nblocks - index);

		if (order >= MAX_ORDERS)
			return NULL;
		push(arena, index, order);
		index += (size_t) 1 << order;
	}
	return arena;
}

void *
wb_alloc(WbArena *arena, size_t size)
{
	unsigned order = order_of(arena, size);
	unsigned k;
	size_t index;
	char *block;

	if (order >= MAX_ORDERS || arena->nonempty >> order == 0)
		return NULL;
	k = order + (unsigned) __builtin_ctzll(arena->nonempty >> order);
	block = (char *) arena->heads[k];
	index = (size_t) (block - arena->base) >> arena->shift;
	unlink_block(arena, index, k);

	/* Keep the lower half, free the upper one, until it is small enough. */
	while (k > order)
	{
		k--;
		push(arena, index + ((size_t) 1 << k), k);
	}
	arena->tags[index] = (uint8_t) (TAG_USED | order);
	arena->free_bytes -= (size_t) 1 << (order + arena->shift);
	return block;
}

void
wb_free(WbArena *arena, void *block, size_t size)
{
	unsigned order = order_of(arena, size);
	size_t offset = (size_t) ((char *) block - arena->base);
	size_t index = offset >> arena->shift;

	assert(order < MAX_ORDERS);
	assert((char *) block >= arena->base && index < arena->nblocks);
	assert(offset == index << arena->shift);
	assert(arena->tags[index] == (TAG_USED | order));

	arena->tags[index] = 0;
	arena->free_bytes += (size_t) 1 << (order + arena->shift);
	for (;;)
	{
		size_t buddy = index ^ ((size_t) 1 << order);

		/* A tag of a free block of this order says it ends in the region. */
		if (buddy >= arena->nblocks || arena->tags[buddy] != (TAG_FREE | order))
			break;
		unlink_block(arena, buddy, order);
		index &= buddy;
		order++;
	}
	push(arena, index, order);
}

size_t
wb_free_bytes(const WbArena *arena)
{
	return arena->free_bytes;
}

size_t
wb_total_bytes(const WbArena *arena)
{
	return arena->nblocks << arena->shift;
}

size_t
wb_rounded(const WbArena *arena, size_t size)
{
	unsigned order = order_of(arena, size);

	if (order >= MAX_ORDERS || (size_t) 1 << order > arena->nblocks)
		return SIZE_MAX;
	return (size_t) 1 << (order + arena->shift);
}
