/*
 * test_hash.c
 *		Sanity of the hash: no collision where chance gives none, each bit of the
 *		key and seed moves half of the bits, all buckets equally full.
 */
#include "harness.h"

#include "core/hash.h"

static int
compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

/* How many of the hashes occur twice; sorts them. */
static size_t
collisions(uint64_t *hashes, size_t n)
{
	size_t same = 0;

	qsort(hashes, n, sizeof(*hashes), compare_hashes);
	for (size_t i = 1; i < n; i++)
		same += hashes[i] == hashes[i - 1];
	return same;
}

/* The same bytes give the same hash wherever they lie, and none beyond. */
static void
placement(void)
{
	for (size_t len = 0; len <= 200; len++)
	{
		char text[200];
		char *exact = malloc(len ? len : 1);
		uint64_t want;

		for (size_t i = 0; i < len; i++)
			exact[i] = text[i] = (char) rnd();
		want = wh_hash(exact, len, 7);
		CHECK(wh_hash(text, len, 7) == want);
		for (size_t shift = 0; shift < 16; shift++)
		{
			char moved[220];

			memset(moved, (int) shift, sizeof(moved));
			memcpy(moved + shift, text, len);
			CHECK_MSG(wh_hash(moved + shift, len, 7) == want, "%zu", len);
		}
		free(exact);
	}
	CHECK(wh_hash(NULL, 0, 1) == wh_hash("", 0, 1));
	CHECK(wh_hash(NULL, 0, 1) != wh_hash(NULL, 0, 2));
}

/* Every byte of every length counts, and so does the length. */
static void
every_byte_counts(void)
{
	static uint64_t hashes[200 * 201];
	char zeros[200] = {0};
	size_t n = 0;

	for (size_t len = 0; len < 200; len++)
	{
		hashes[n++] = wh_hash(zeros, len, 0);
		for (size_t i = 0; i < len; i++)
		{
			zeros[i] = 1;
			hashes[n++] = wh_hash(zeros, len, 0);
			zeros[i] = 0;
		}
	}
	CHECK(collisions(hashes, n) == 0);
}

static void
similar_keys(void)
{
	enum
	{
		N = 1000000
	};
	uint64_t *hashes = malloc(N * sizeof(*hashes));

	for (int64_t i = 0; i < N; i++)
		hashes[i] = wh_hash(&i, sizeof(i), 42);
	CHECK(collisions(hashes, N) == 0);
	for (int i = 0; i < N; i++)
	{
		char text[40];
		int len = sprintf(text, "user-%d-suffix-%d", i % 1000, i / 1000);

		hashes[i] = wh_hash(text, (size_t) len, 42);
	}
	CHECK(collisions(hashes, N) == 0);
	for (int i = 0; i < N; i++)
		hashes[i] = wh_mix((uint64_t) (i % 1000), (uint64_t) (i / 1000));
	CHECK(collisions(hashes, N) == 0);
	free(hashes);
}

/* Low and high bits both fill a table evenly: chi squared within 6 sigma. */
static void
even_buckets(void)
{
	enum
	{
		BUCKETS = 1024,
		N = 1024 * 200
	};

	for (int kind = 0; kind < 4; kind++)
	{
		static int count[BUCKETS];
		double chi = 0;

		memset(count, 0, sizeof(count));
		for (uint64_t i = 0; i < N; i++)
		{
			uint64_t key = kind & 1 ? i << 40 : i;
			uint64_t h = wh_hash(&key, sizeof(key), 0);

			count[kind & 2 ? h >> 54 : h & (BUCKETS - 1)]++;
		}
		for (int i = 0; i < BUCKETS; i++)
			chi += (count[i] - 200.0) * (count[i] - 200.0) / 200.0;
		CHECK_MSG(chi > 1023 - 6 * 45.2 && chi < 1023 + 6 * 45.2, "kind %d: %f",
				  kind, chi);
	}
}

/* Flipping one bit of key, seed or either argument of wh_mix. */
static void
avalanche(void)
{
	static const size_t lengths[] = {1, 3, 4, 7, 8, 12, 16, 17, 40, 48, 100};

	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
	{
		size_t len = lengths[k];

		for (size_t bit = 0; bit < len * 8 + 64; bit++)
		{
			int flipped = 0;

			for (int round = 0; round < 200; round++)
			{
				unsigned char text[100];
				uint64_t seed = rnd();
				uint64_t h;

				for (size_t i = 0; i < len; i++)
					text[i] = (unsigned char) rnd();
				h = wh_hash(text, len, seed);
				if (bit < len * 8)
					text[bit / 8] ^= (unsigned char) (1 << bit % 8);
				else
					seed ^= UINT64_C(1) << (bit - len * 8);
				flipped += __builtin_popcountll(h ^ wh_hash(text, len, seed));
			}

			/* 200 rounds of 64 bits: sigma is 57. */
			CHECK_MSG(flipped > 6400 - 400 && flipped < 6400 + 400,
					  "length %zu bit %zu: %d", len, bit, flipped);
		}
	}
	for (int bit = 0; bit < 128; bit++)
	{
		int flipped = 0;

		for (int round = 0; round < 200; round++)
		{
			uint64_t a = rnd();
			uint64_t b = rnd();
			uint64_t h = wh_mix(a, b);

			if (bit < 64)
				a ^= UINT64_C(1) << bit;
			else
				b ^= UINT64_C(1) << (bit - 64);
			flipped += __builtin_popcountll(h ^ wh_mix(a, b));
		}
		CHECK_MSG(flipped > 6400 - 400 && flipped < 6400 + 400,
				  "mix bit %d: %d", bit, flipped);
	}
	CHECK(wh_mix(1, 2) != wh_mix(2, 1));
}

/* The product, done by hand or not, is the same on every machine. */
static void
product(void)
{
	__extension__ typedef unsigned __int128 uint128;

	for (int i = 0; i < 100000; i++)
	{
		uint64_t a = (uint64_t) rnd_int64();
		uint64_t b = (uint64_t) rnd_int64();
		uint128 want = (uint128) a * b;

		wh_mul128(&a, &b);
		CHECK(a == (uint64_t) want && b == (uint64_t) (want >> 64));
	}
}

int
main(void)
{
	RUN(placement);
	RUN(every_byte_counts);
	RUN(similar_keys);
	RUN(even_buckets);
	RUN(avalanche);
	RUN(product);
	return done();
}
