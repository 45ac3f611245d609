/*
 * hash.h
 *		A fast 64-bit hash for short keys.
 *
 * The algorithm is wyhash, final version 4, by Wang Yi, who put it into the
 * public domain: two 64x64->128 bit multiplications for keys of up to 16
 * bytes.  Not cryptographic: whoever knows the seed can make collisions, so
 * take one at random where the keys are a stranger's.
 *
 * Unaligned keys are fine.  The result depends on the machine's byte order:
 * never write it to disk.  Plain C11, no state; callable from anywhere.
 */
#ifndef WEIR_CORE_HASH_H
#define WEIR_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Both halves of the product of *a and *b: the low one to *a. */
static inline void
wh_mul128(uint64_t *a, uint64_t *b)
{
#if defined(__SIZEOF_INT128__) && !defined(WEIR_PORTABLE)
	__extension__ typedef unsigned __int128 wh_u128;
	wh_u128 r = (wh_u128) *a * *b;

	*a = (uint64_t) r;
	*b = (uint64_t) (r >> 64);
#else
	uint64_t ah = *a >> 32;
	uint64_t al = (uint32_t) *a;
	uint64_t bh = *b >> 32;
	uint64_t bl = (uint32_t) *b;
	uint64_t m0 = ah * bl;
	uint64_t m1 = al * bh;
	uint64_t lo = al * bl;
	uint64_t t = lo + (m0 << 32);
	uint64_t c = t < lo;

	lo = t + (m1 << 32);
	c += lo < t;
	*b = ah * bh + (m0 >> 32) + (m1 >> 32) + c;
	*a = lo;
#endif
}

/*
 * Combines two values, such as a hash with the next column's, or one value
 * with a seed, into a well-mixed hash.  Order matters.
 */
static inline uint64_t
wh_mix(uint64_t a, uint64_t b)
{
	a ^= UINT64_C(0x2d358dccaa6c78a5);
	b ^= UINT64_C(0x8bb84b93962eacc9);
	wh_mul128(&a, &b);
	a ^= UINT64_C(0x2d358dccaa6c78a5);
	b ^= UINT64_C(0x8bb84b93962eacc9);
	wh_mul128(&a, &b);
	return a ^ b;
}

/* The hash of len bytes at data (which may be NULL if len is 0). */
extern uint64_t wh_hash(const void *data, size_t len, uint64_t seed);

#endif /* WEIR_CORE_HASH_H */
