/*
 * zipf.c
 *	  Zipf-distributed ranks by Walker's alias method.
 *
 * Building takes O(n) and one pow() per rank; a draw takes one table line, no
 * floating point and no loop.  A line holds a threshold and an alias: the draw
 * picks a line uniformly and keeps it when 32 more bits are below the
 * threshold, else takes the alias.
 */
#include "zipf.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "rng.h"

typedef struct ZipfLine
{
	uint32_t threshold; /* keep the line when the bits are below this */
	uint32_t alias;     /* the rank to take otherwise */
} ZipfLine;

struct Zipf
{
	uint32_t n;
	bool uniform; /* skew is 0: there are no lines */
	ZipfLine lines[];
};

/* zipf_weights: weights scaled to a mean of 1. */
static void
zipf_weights(double *weights, uint32_t n, double skew)
{
	double total = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		weights[i] = pow(i + 1.0, -skew);
		total += weights[i];
	}
	for (uint32_t i = 0; i < n; i++)
		weights[i] *= n / total;
}

/*
 * zipf_pair: Vose's pairing.  A light rank gives the rest of its line to a
 * heavy one.  Zipf weights fall with the rank, so the heavy ranks are a prefix
 * and the light ones come in order: two cursors are all the work lists needed,
 * plus one rank that was heavy and has become light.
 */
static void
zipf_pair(Zipf *zipf, double *weights)
{
	uint32_t heavy = 0;
	uint32_t light = 0;

	while (light < zipf->n && weights[light] >= 1)
		light++;
	while (light < zipf->n && heavy < light && weights[heavy] >= 1)
	{
		uint32_t small = light++;

		/* a heavy rank that falls below 1 fills its own line at once */
		for (;;)
		{
			zipf->lines[small].threshold = (uint32_t) (weights[small] *
													   4294967295.0);
			zipf->lines[small].alias = heavy;
			weights[heavy] -= 1 - weights[small];
			if (weights[heavy] >= 1)
				break;
			small = heavy++;
			if (heavy >= zipf->n || weights[heavy] < 1)
				break;
		}
	}
}

/* zipf_fill: the tables.  Returns false when memory is out. */
static bool
zipf_fill(Zipf *zipf, double skew)
{
	double *weights = malloc(zipf->n * sizeof(double));

	if (weights == NULL)
		return false;
	/* lines that the pairing leaves out are whole, but for rounding */
	for (uint32_t i = 0; i < zipf->n; i++)
		zipf->lines[i] = (ZipfLine){UINT32_MAX, i};
	zipf_weights(weights, zipf->n, skew);
	zipf_pair(zipf, weights);
	free(weights);
	return true;
}

Zipf *
zipf_new(uint32_t n, double skew)
{
	size_t lines = skew > 0 ? n : 0;
	Zipf *zipf = malloc(sizeof(Zipf) + lines * sizeof(ZipfLine));

	if (zipf == NULL)
		return NULL;
	zipf->n = n;
	zipf->uniform = lines == 0;
	if (!zipf->uniform && !zipf_fill(zipf, skew))
	{
		free(zipf);
		return NULL;
	}
	return zipf;
}

void
zipf_free(Zipf *zipf)
{
	free(zipf);
}

uint32_t
zipf_draw(const Zipf *zipf, uint64_t bits)
{
	uint32_t rank = rng_below((uint32_t) (bits >> 32), zipf->n);
	const ZipfLine *line;

	if (zipf->uniform)
		return rank;
	line = &zipf->lines[rank];
	return (uint32_t) bits <= line->threshold ? rank : line->alias;
}
