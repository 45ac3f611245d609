/*
 * fuzz.h
 *		What the fuzzers share: the entry point, and what a failure looks like.
 *
 * Each fuzz_x.c is a libFuzzer target; corpus/x holds its seeds, and every
 * input that once failed.  A target aborts where two opinions differ.
 */
#ifndef WEIR_FUZZ_FUZZ_H
#define WEIR_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond)                                                  \
	do                                                                 \
	{                                                                  \
		if (!(cond))                                                   \
		{                                                              \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                              \
	} while (0)

/*
 * A WjAlloc whose arg is a FuzzRoom: hands out one buffer, so that nothing
 * leaks, and then NULL.
 */
typedef struct FuzzRoom
{
	size_t used;
	_Alignas(16) char data[1 << 18];
} FuzzRoom;

static inline void *
fuzz_alloc(size_t size, void *arg)
{
	FuzzRoom *room = arg;
	void *p = room->data + room->used;

	size = (size + 15) & ~(size_t) 15;
	if (size > sizeof(room->data) - room->used)
		return NULL;
	room->used += size;
	return p;
}

#endif /* WEIR_FUZZ_FUZZ_H */
