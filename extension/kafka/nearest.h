/*
 * kafka/nearest.h
 *		"Perhaps you meant": the candidate nearest to a misspelt name.
 *
 * Set wanted, consider each candidate, then read best (NULL: none is near).
 * Pure but for the server's edit distance; no memory is kept.
 */
#ifndef WEIR_KAFKA_NEAREST_H
#define WEIR_KAFKA_NEAREST_H

#include "base/weir.h"

typedef struct NearestName
{
	const char *wanted;
	const char *best;
	int distance;
} NearestName;

extern void weir_nearest_init(NearestName *n, const char *wanted);
extern void weir_nearest_consider(NearestName *n, const char *candidate);

#endif /* WEIR_KAFKA_NEAREST_H */
