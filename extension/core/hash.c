/*
 * hash.c
 *		wyhash, final version 4, by Wang Yi (public domain), see hash.h.
 *
 * Called for group keys by ingest workers and readers.  Pure: no lock, no
 * memory, no error.
 */
#include "core/hash.h"

#include <string.h>

#define SECRET0 UINT64_C(0x2d358dccaa6c78a5)
#define SECRET1 UINT64_C(0x8bb84b93962eacc9)
#define SECRET2 UINT64_C(0x4b33a62ed433d4a3)
#define SECRET3 UINT64_C(0x4d5a2da51de1aa47)

static inline uint64_t
mum(uint64_t a, uint64_t b)
{
	wh_mul128(&a, &b);
	return a ^ b;
}

static inline uint64_t
read8(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
read4(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Folds all but the last 1 to 16 bytes of a key of over 16 into the seed. */
static uint64_t
fold_long(const uint8_t **pp, size_t *rest, uint64_t seed)
{
	const uint8_t *p = *pp;
	size_t i = *rest;

	if (i >= 48)
	{
		uint64_t s1 = seed;
		uint64_t s2 = seed;

		do
		{
			seed = mum(read8(p) ^ SECRET1, read8(p + 8) ^ seed);
			s1 = mum(read8(p + 16) ^ SECRET2, read8(p + 24) ^ s1);
			s2 = mum(read8(p + 32) ^ SECRET3, read8(p + 40) ^ s2);
			p += 48;
			i -= 48;
		} while (i >= 48);
		seed ^= s1 ^ s2;
	}
	while (i > 16)
	{
		seed = mum(read8(p) ^ SECRET1, read8(p + 8) ^ seed);
		p += 16;
		i -= 16;
	}
	*pp = p;
	*rest = i;
	return seed;
}

uint64_t
wh_hash(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t a = 0;
	uint64_t b = 0;

	seed ^= mum(seed ^ SECRET0, SECRET1);
	if (len > 16)
	{
		size_t rest = len;

		seed = fold_long(&p, &rest, seed);
		/* These may reach back into what is folded already. */
		a = read8(p + rest - 16);
		b = read8(p + rest - 8);
	}
	else if (len >= 4)
	{
		size_t mid = (len >> 3) << 2;

		a = read4(p) << 32 | read4(p + mid);
		b = read4(p + len - 4) << 32 | read4(p + len - 4 - mid);
	}
	else if (len > 0)
		a = (uint64_t) p[0] << 16 | (uint64_t) p[len >> 1] << 8 | p[len - 1];

	a ^= SECRET1;
	b ^= seed;
	wh_mul128(&a, &b);
	return mum(a ^ SECRET0 ^ len, b ^ SECRET1);
}
