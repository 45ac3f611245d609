/*
 * utf8.c
 *		Well-formed UTF-8, see utf8.h.
 *
 * Pure: no lock, no memory, no error but a return value.
 */
#include "core/utf8.h"

#include <string.h>

size_t
wu_encode(uint32_t code, char *dst)
{
	if (code < 0x80)
	{
		dst[0] = (char) code;
		return 1;
	}
	if (code < 0x800)
	{
		dst[0] = (char) (0xC0 | code >> 6);
		dst[1] = (char) (0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000)
	{
		dst[0] = (char) (0xE0 | code >> 12);
		dst[1] = (char) (0x80 | (code >> 6 & 0x3F));
		dst[2] = (char) (0x80 | (code & 0x3F));
		return 3;
	}
	dst[0] = (char) (0xF0 | code >> 18);
	dst[1] = (char) (0x80 | (code >> 12 & 0x3F));
	dst[2] = (char) (0x80 | (code >> 6 & 0x3F));
	dst[3] = (char) (0x80 | (code & 0x3F));
	return 4;
}

bool
wu_valid(const char *p, size_t len, size_t *errpos)
{
	const char *start = p;
	const char *end = p + len;

	while (p < end)
	{
		uint64_t word;
		size_t n;

		if (end - p >= 8)
		{
			memcpy(&word, p, sizeof(word));
			if ((word & UINT64_C(0x8080808080808080)) == 0)
			{
				p += 8;
				continue;
			}
		}
		n = (unsigned char) *p < 0x80 ? 1 : wu_sequence(p, end);
		if (n == 0)
		{
			if (errpos)
				*errpos = (size_t) (p - start);
			return false;
		}
		p += n;
	}
	return true;
}
