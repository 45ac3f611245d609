/*
 * test_text.c
 *		Escapes and UTF-8, over all code points.
 */
#include "harness.h"

#include "core/json.h"
#include "core/utf8.h"

static void
unescape(void)
{
	static const struct
	{
		const char *src;
		const char *want;
	} cases[] = {
		{"", ""},
		{"abc", "abc"},
		{"\\n", "\n"},
		{"a\\tb", "a\tb"},
		{"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
		{"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
		{"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
		{"\\\\u0041", "\\u0041"},
		{"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf"},
		{"\\u007f\\u0080", "\x7f\xc2\x80"},
		{"\\u07ff\\u0800\\uffff", "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
		{"\\ud800\\udc00", "\xf0\x90\x80\x80"},
		{"\xc3\xa9\\n\xc3\xa9", "\xc3\xa9\n\xc3\xa9"},
		{"\\u0000", NULL},
		{"abc\\u0000d", NULL},
		{"\\u0001", "\x01"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t len = strlen(cases[i].src);
		char *dst = malloc(len ? len : 1);
		int64_t n = wj_unescape(cases[i].src, len, dst);

		if (cases[i].want == NULL)
			CHECK_MSG(n == -1, "%s", cases[i].src);
		else
			CHECK_MSG(n == (int64_t) strlen(cases[i].want) &&
						  memcmp(dst, cases[i].want, (size_t) n) == 0,
					  "%s", cases[i].src);
		free(dst);
	}
}

/* Every code point, by its escapes and as bytes, and every short sequence. */
static void
utf8(void)
{
	long valid2 = 0;
	long valid3 = 0;

	for (uint32_t code = 1; code <= 0x10FFFF; code++)
	{
		char utf8[4];
		char text[20];
		char out[12];
		size_t len;
		int n;

		if (code >= 0xD800 && code <= 0xDFFF)
			continue;
		len = wu_encode(code, utf8);
		CHECK_MSG(wu_valid(utf8, len, NULL), "%x", code);
		CHECK(len == 1 || (wu_sequence(utf8, utf8 + len) == len &&
						   wu_sequence(utf8, utf8 + len - 1) == 0));
		if (code < 0x10000)
			n = sprintf(text, "\\u%04x", code);
		else
			n = sprintf(text, "\\u%04X\\u%04x",
						0xD800 + ((code - 0x10000) >> 10),
						0xDC00 + ((code - 0x10000) & 0x3FF));
		CHECK_MSG(wj_unescape(text, (size_t) n, out) == (int64_t) len &&
					  memcmp(out, utf8, len) == 0,
				  "%x", code);
	}
	for (uint32_t w = 0; w < 1 << 24; w++)
	{
		char s[3] = {(char) (w >> 16), (char) (w >> 8), (char) w};

		if ((w >> 16) < 0x80)
			continue;
		valid3 += wu_sequence(s, s + 3) == 3;
		valid2 += (w & 0xFF) == 0 && wu_sequence(s, s + 3) == 2;
	}
	CHECK(valid2 == 0x800 - 0x80);
	CHECK(valid3 == 0x10000 - 0x800 - 0x800);
}

static void
utf8_position(void)
{
	char text[40];

	for (size_t len = 1; len <= sizeof(text); len++)
		for (size_t at = 0; at < len; at++)
		{
			size_t errpos = len;

			memset(text, 'x', len);
			CHECK(wu_valid(text, len, &errpos) && errpos == len);
			text[at] = (char) 0xC3;
			CHECK(!wu_valid(text, len, &errpos) && errpos == at);
			if (at + 1 < len)
			{
				text[at + 1] = (char) 0xA9;
				CHECK(wu_valid(text, len, &errpos));
			}
		}
	CHECK(wu_valid("", 0, NULL));
}

int
main(void)
{
	RUN(unescape);
	RUN(utf8);
	RUN(utf8_position);
	return done();
}
