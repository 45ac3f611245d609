/*
 * utf8.h
 *		Well-formed UTF-8, as RFC 3629 and PostgreSQL define it.
 *
 * No overlong forms, no surrogates, nothing above U+10FFFF; a NUL byte is
 * well-formed here, though PostgreSQL's text cannot hold it.  Plain C11, no
 * state; used by the JSON scanner and by decoders of raw text.
 */
#ifndef WEIR_CORE_UTF8_H
#define WEIR_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The length, 2 to 4, of the sequence at p, which begins with a byte of 0x80
 * or more; 0 if it is not well-formed or does not end before end.
 */
static inline size_t
wu_sequence(const char *p, const char *end)
{
	const unsigned char *s = (const unsigned char *) p;
	size_t left = (size_t) (end - p);
	unsigned c = s[0];
	unsigned lo = 0x80; /* the range of the second byte */
	unsigned hi = 0xBF;

	if (c < 0xC2 || c > 0xF4)
		return 0;
	if (left < 2)
		return 0;
	if (c < 0xE0)
		return s[1] >= lo && s[1] <= hi ? 2 : 0;
	if (c == 0xE0)
		lo = 0xA0;
	else if (c == 0xED)
		hi = 0x9F;
	else if (c == 0xF0)
		lo = 0x90;
	else if (c == 0xF4)
		hi = 0x8F;
	if (left < 3 || s[1] < lo || s[1] > hi || (s[2] & 0xC0) != 0x80)
		return 0;
	if (c < 0xF0)
		return 3;
	return left >= 4 && (s[3] & 0xC0) == 0x80 ? 4 : 0;
}

/* Writes a code point (not a surrogate) and returns its length, 1 to 4. */
extern size_t wu_encode(uint32_t code, char *dst);

/* Whether all of the text is well-formed; *errpos is where it is not. */
extern bool wu_valid(const char *p, size_t len, size_t *errpos);

#endif /* WEIR_CORE_UTF8_H */
