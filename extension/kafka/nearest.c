/*
 * kafka/nearest.c
 *		The candidate nearest to a misspelt name, for hints.
 *
 * Called by option checks in whatever backend runs the DDL.  PostgreSQL has the
 * same from 16 on; this is the part that 15 lacks.  Dots, dashes and
 * underscores count as equal, since people mix them: fetch_min_bytes must find
 * fetch.min.bytes.
 */
#include "base/weir.h"

#include "kafka/nearest.h"

#include "utils/varlena.h"

/* The most edits at which a name still counts as meant. */
#define MAX_EDITS 4

/* weir_nearest_init: start a search for the name nearest to wanted. */
void
weir_nearest_init(NearestName *n, const char *wanted)
{
	n->wanted = wanted;
	n->best = NULL;
	n->distance = MAX_EDITS + 1;
}

/* Copy name into buf in lower case, its separators made alike. */
static int
fold_name(const char *name, char *buf, int size)
{
	int i;

	for (i = 0; name[i] != '\0' && i < size - 1; i++)
	{
		char ch = name[i];

		buf[i] = ch == '_' || ch == '-' ? '.' : pg_tolower((unsigned char) ch);
	}
	buf[i] = '\0';
	return i;
}

/* weir_nearest_consider: take the candidate if it is nearer than the best. */
void
weir_nearest_consider(NearestName *n, const char *candidate)
{
	char a[NAMEDATALEN];
	char b[NAMEDATALEN];
	int la = fold_name(n->wanted, a, sizeof(a));
	int lb = fold_name(candidate, b, sizeof(b));
	int d;

	d = varstr_levenshtein_less_equal(a, la, b, lb, 1, 1, 1, MAX_EDITS, true);
	/* More than half of it changed is another word. */
	if (d < n->distance && d <= MAX_EDITS && 2 * d <= Max(la, lb))
	{
		n->best = candidate;
		n->distance = d;
	}
}
