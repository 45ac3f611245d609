/*
 * harness.h
 *		What a unit test needs: CHECK, RUN, random numbers, an arena.
 *
 * A test program is a main that calls RUN(test) for each of its tests and
 * returns done().  A test that fails a CHECK goes on, and counts as one failed
 * test; the first few failures are printed.  The last line of output is
 * "N passed, N failed", which the Makefile adds up.
 */
#ifndef WEIR_UNIT_HARNESS_H
#define WEIR_UNIT_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tests_passed;
static int tests_failed;
static long checks_failed;

#define CHECK(cond) CHECK_MSG(cond, "%s", "")

/* The message is printf's; it says which case it was. */
#define CHECK_MSG(cond, ...)                                  \
	do                                                        \
	{                                                         \
		if (!(cond) && checks_failed++ < 10)                  \
		{                                                     \
			printf("%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			printf(__VA_ARGS__);                              \
			printf("\n");                                     \
		}                                                     \
	} while (0)

#define RUN(test) run_test(#test, test)

static inline void
run_test(const char *name, void (*test)(void))
{
	checks_failed = 0;
	test();
	if (checks_failed == 0)
		tests_passed++;
	else
	{
		tests_failed++;
		printf("%s: %ld checks failed\n", name, checks_failed);
	}
	fflush(stdout);
}

static inline int
done(void)
{
	printf("%d passed, %d failed\n", tests_passed, tests_failed);
	return tests_failed != 0;
}

/*
 * splitmix64.  The seed is fixed, so that a failure comes again; WEIR_SEED in
 * the environment gives another.
 */
static inline uint64_t
rnd(void)
{
	static uint64_t state;
	static bool seeded;
	uint64_t z;

	if (!seeded)
	{
		const char *seed = getenv("WEIR_SEED");

		state = seed ? strtoull(seed, NULL, 10) : 42;
		seeded = true;
	}
	z = state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* 0 to n - 1. */
static inline uint64_t
rnd_below(uint64_t n)
{
	return rnd() % n;
}

/* Of all sizes, small ones and those next to the limits often. */
static inline int64_t
rnd_int64(void)
{
	int64_t v = (int64_t) (rnd() >> rnd_below(64));

	switch (rnd_below(8))
	{
		case 0:
			return INT64_MAX - (int64_t) rnd_below(1000);
		case 1:
			return INT64_MIN + (int64_t) rnd_below(1000);
		case 2:
		case 3:
		case 4:
			return v == INT64_MIN ? v : -v;
		default:
			return v;
	}
}

/* A WjAlloc whose arg is an Arena; freed as a whole by arena_free. */
typedef struct Arena
{
	struct ArenaBlock *blocks;
	long left; /* allocations until it returns NULL; < 0: no end */
} Arena;

typedef struct ArenaBlock
{
	struct ArenaBlock *next;
	_Alignas(max_align_t) char data[];
} ArenaBlock;

static inline void *
arena_alloc(size_t size, void *arg)
{
	Arena *arena = arg;
	ArenaBlock *block;

	if (arena->left == 0)
		return NULL;
	arena->left--;
	block = malloc(sizeof(ArenaBlock) + size);
	block->next = arena->blocks;
	arena->blocks = block;
	memset(block->data, 0xA5, size);
	return block->data;
}

static inline void
arena_free(Arena *arena)
{
	while (arena->blocks)
	{
		ArenaBlock *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}

#endif /* WEIR_UNIT_HARNESS_H */
