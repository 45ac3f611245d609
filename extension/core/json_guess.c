/*
 * json_guess.c
 *		Learning the order of a message's keys, see json_guess.h.
 *
 * Called where a guess was wrong, which is rare once an order is learned.  The
 * scanner's caller owns the WjGuess: one per process and set of paths.  Takes no
 * lock, raises nothing.
 */
#include "core/json_guess.h"

#include <stddef.h>

#define AHEAD     4    /* so many keys in a row may be left out of a message */
#define TRUST     64   /* messages with a wrong guess until guessing rests */
#define MOST      1024 /* trust that can be gained */
#define REST      4096 /* messages */
#define PER_WRONG 4    /* good messages that make up for a wrong guess */

WjGuess *
wj_guess_new(const WjPaths *paths)
{
	WjGuess *guess = paths->alloc(sizeof(WjGuess), paths->arg);

	if (guess != NULL)
		wj_guess_init(guess);
	return guess;
}

void
wj_guess_init(WjGuess *guess)
{
	memset(guess, 0, sizeof(*guess));
	guess->trust = TRUST * PER_WRONG;
}

int
wj_guess_learn(WjGuess *guess, int at, const char *p, size_t len,
			   const WjNode *node)
{
	WjMember *m;

	if (len > WJ_GUESS_LEN)
		return at;
	for (int i = at + 1; i < guess->n && i <= at + AHEAD; i++)
	{
		m = &guess->members[i];
		if (m->len == len && memcmp(m->text, p, len) == 0)
			return i + 1;
	}
	if (at == WJ_GUESS_MEMBERS)
		return at;
	if (at == guess->n)
		guess->n++;
	m = &guess->members[at];
	memset(m->text, 0, sizeof(m->text));
	memcpy(m->text, p, len);
	m->len = (uint32_t) len;
	m->mask = UINT32_MAX >> (WJ_GUESS_LEN - len);
	m->node = node;
	return at + 1;
}

void
wj_guess_end(WjGuess *guess, int wrong)
{
	if (guess->trust < 0)
	{
		/* It had its rest. */
		wj_guess_init(guess);
		return;
	}
	guess->trust += wrong == 0 ? 1 : -PER_WRONG * wrong;
	if (guess->trust > MOST)
		guess->trust = MOST;
	if (guess->trust < 0)
		guess->rest = REST;
}
