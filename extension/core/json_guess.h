/*
 * json_guess.h
 *		The order of a message's keys, as a guess for the next message; for
 *		json.c and json_guess.c only.
 *
 * Messages of one topic mostly have the same keys in the same order, written by
 * the same program.  So the keys of the top-level object are remembered as they
 * stand, with quotes and colon, and the next message is compared with them:
 *
 *		{"event_type":"click","user_id":42, ...
 *		 ^^^^^^^^^^^^^        ^^^^^^^^^^
 *		 member[0]            member[1]
 *
 * A match saves the search for the closing quote, the fingerprint and the probe.
 * A key that is no match is read as usual; if it is one of the next few that are
 * expected, those before it were left out of this message, else it takes the
 * place of the one that was expected.  Where keys come in no order that is to be
 * learned, guessing rests for a while.
 */
#ifndef WEIR_CORE_JSON_GUESS_H
#define WEIR_CORE_JSON_GUESS_H

#include "core/json_paths.h"

#if defined(__SSE2__) && !defined(WEIR_PORTABLE)
#include <emmintrin.h>
#define WJ_SSE2 1
#endif

#define WJ_GUESS_MEMBERS 64
#define WJ_GUESS_LEN     32 /* longest key that is guessed, quotes and colon too */

typedef struct WjMember
{
	char text[WJ_GUESS_LEN]; /* "key": and zeros */
	uint32_t len;
	uint32_t mask;      /* a bit for each byte of it */
	const WjNode *node; /* or NULL: no path wants it */
} WjMember;

struct WjGuess
{
	WjMember members[WJ_GUESS_MEMBERS];
	int n;
	int trust; /* below 0: not now */
	int rest;  /* messages until it is tried again */
};

/* Is it worth the while with the message that begins? */
static inline bool
wj_guess_begin(WjGuess *guess)
{
	return guess && (guess->trust >= 0 || --guess->rest <= 0);
}

/* Do the bytes from p to end begin with this key? */
static inline bool
wj_guess_matches(const WjMember *m, const char *p, const char *end)
{
#ifdef WJ_SSE2
	const __m128i *want = (const __m128i *) (const void *) m->text;
	const __m128i *have = (const __m128i *) (const void *) p;
	uint32_t same;

	if (end - p >= WJ_GUESS_LEN)
	{
		same = (uint32_t) _mm_movemask_epi8(
			_mm_cmpeq_epi8(_mm_loadu_si128(want), _mm_loadu_si128(have)));
		if (m->len > 16)
			same |= (uint32_t) _mm_movemask_epi8(
						_mm_cmpeq_epi8(_mm_loadu_si128(want + 1),
									   _mm_loadu_si128(have + 1)))
					<< 16;
		return (same & m->mask) == m->mask;
	}
#endif
	return (size_t) (end - p) >= m->len && memcmp(m->text, p, m->len) == 0;
}

/*
 * The member that stands at p, if it is the at-th of the guess; NULL: look for
 * yourself.
 */
static inline const WjMember *
wj_guess_member(const WjGuess *guess, int at, const char *p, const char *end)
{
	if (at >= guess->n || !wj_guess_matches(&guess->members[at], p, end))
		return NULL;
	return &guess->members[at];
}

/* Nothing is learned yet. */
extern void wj_guess_init(WjGuess *guess);
/*
 * The at-th guess was wrong: from p to the colon, p[len - 1], stands a key with
 * this node.  Returns the number of the guess for the key after it.
 */
extern int wj_guess_learn(WjGuess *guess, int at, const char *p, size_t len,
						  const WjNode *node);
/* A message is over; so many of its guesses were wrong. */
extern void wj_guess_end(WjGuess *guess, int wrong);

#endif /* WEIR_CORE_JSON_GUESS_H */
