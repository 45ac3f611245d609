/*
 * shmem/arena.c
 *		Memory of the arena, and what each view has of it.
 *
 * Any process.  The arena is behind arena_lock, held for the buddy allocator's
 * few steps only; an account's sums are atomic.  Nothing here raises: without
 * room the answer is NULL, and the account says which limit was met.
 *
 * Of the arena, and of a view's own limit, half is kept for what a checkpoint
 * needs: at worst every group has changed, and its copy is about as large as the
 * group.  Without the copy nothing could be written out, and so nothing freed.
 * A recovery may take of that half: what it restores had room before, and if
 * others have taken that meanwhile, they wait until there is room again.
 */
#include "base/weir.h"

#include "core/buddy.h"
#include "shmem/shmem.h"

void *
weir_arena_alloc_keeping(size_t size, size_t keep)
{
	WbArena *arena = weir_registry->arena;
	void *block = NULL;

	LWLockAcquire(&weir_registry->arena_lock, LW_EXCLUSIVE);
	if (wb_free_bytes(arena) >= size + keep)
		block = wb_alloc(arena, size);
	LWLockRelease(&weir_registry->arena_lock);
	return block;
}

void *
weir_arena_alloc(size_t size)
{
	return weir_arena_alloc_keeping(size, weir_arena_total() / 2);
}

void *
weir_arena_alloc_reserved(size_t size)
{
	return weir_arena_alloc_keeping(size, 0);
}

void
weir_arena_free(void *block, size_t size)
{
	LWLockAcquire(&weir_registry->arena_lock, LW_EXCLUSIVE);
	wb_free(weir_registry->arena, block, size);
	LWLockRelease(&weir_registry->arena_lock);
}

size_t
weir_arena_total(void)
{
	return wb_total_bytes(weir_registry->arena);
}

size_t
weir_arena_rounded(size_t size)
{
	return wb_rounded(weir_registry->arena, size);
}

/* --- accounts ---------------------------------------------------------------- */

void
weir_account_init(MemoryAccount *a)
{
	pg_atomic_init_u64(&a->used, 0);
	pg_atomic_init_u64(&a->limit, 0);
	pg_atomic_init_u32(&a->met, MEMORY_LEFT);
	pg_atomic_init_u64(&a->waited, 0);
}

void *
weir_account_alloc(MemoryAccount *a, size_t size)
{
	uint64 limit = pg_atomic_read_u64(&a->limit);
	size_t rounded = weir_arena_rounded(size);
	MemoryMet met = MEMORY_LEFT;
	void *block = NULL;

	if (a->restoring)
		return weir_account_alloc_reserved(a, size);
	if (limit > 0 && pg_atomic_read_u64(&a->used) + rounded > limit / 2)
		met = MEMORY_VIEW;
	else if ((block = weir_arena_alloc(size)) == NULL)
		met = MEMORY_ALL;
	if (block)
		pg_atomic_fetch_add_u64(&a->used, rounded);
	else
		pg_atomic_write_u32(&a->met, met);
	return block;
}

void *
weir_account_alloc_reserved(MemoryAccount *a, size_t size)
{
	void *block = weir_arena_alloc_reserved(size);

	if (block)
		pg_atomic_fetch_add_u64(&a->used, weir_arena_rounded(size));
	else
		pg_atomic_write_u32(&a->met, MEMORY_ALL);
	return block;
}

void
weir_account_free(MemoryAccount *a, void *block, size_t size)
{
	if (block == NULL)
		return;
	weir_arena_free(block, size);
	pg_atomic_fetch_sub_u64(&a->used, weir_arena_rounded(size));
}

/* Thousandths of what is there for windows: half of a limit. */
static int
thousandths(uint64 used, uint64 limit)
{
	return limit == 0 ? 0 : (int) Min(used * 2000 / limit, 1000);
}

uint64
weir_arena_used(void)
{
	WbArena *arena = weir_registry->arena;
	uint64 left;

	LWLockAcquire(&weir_registry->arena_lock, LW_SHARED);
	left = wb_free_bytes(arena);
	LWLockRelease(&weir_registry->arena_lock);
	return wb_total_bytes(arena) - left;
}

int
weir_arena_pressure(void)
{
	return thousandths(weir_arena_used(), wb_total_bytes(weir_registry->arena));
}

int
weir_account_pressure(MemoryAccount *a)
{
	return thousandths(pg_atomic_read_u64(&a->used),
					   pg_atomic_read_u64(&a->limit));
}
