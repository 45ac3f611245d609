/*
 * rng.h
 *	  Counter-based random numbers (splitmix64).
 *
 * Event n of a run is a function of the seed and n alone, so that any event
 * can be made without those before it and a run can be repeated byte for byte.
 * The generator is therefore placed by (seed, n) and then drawn from as often
 * as the event needs.  Not for cryptography.
 */
#ifndef WEIR_PRODUCER_RNG_H
#define WEIR_PRODUCER_RNG_H

#include <stdint.h>

#define RNG_GOLDEN UINT64_C(0x9E3779B97F4A7C15)

typedef struct Rng
{
	uint64_t state;
} Rng;

/* rng_mix: a bijection of 64 bits in which every input bit reaches all. */
static inline uint64_t
rng_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/* rng_next: 64 fresh random bits. */
static inline uint64_t
rng_next(Rng *rng)
{
	rng->state += RNG_GOLDEN;
	return rng_mix(rng->state);
}

/*
 * rng_at: the generator of item n under a seed.  Both are mixed, since plain
 * sums would make item n + 1 repeat the second draw of item n.
 */
static inline Rng
rng_at(uint64_t seed, uint64_t n)
{
	Rng rng = {rng_mix(rng_mix(seed + RNG_GOLDEN) ^ rng_mix(~n))};

	return rng;
}

/* rng_below: a number in [0, limit) from 32 random bits, without division. */
static inline uint32_t
rng_below(uint32_t bits, uint32_t limit)
{
	return (uint32_t) (((uint64_t) bits * limit) >> 32);
}

#endif
