/*
 * test_json.c
 *		What the JSON scanner accepts and refuses, and where it sees the error.
 */
#include "harness.h"

#include "json_scan.h"

typedef struct Case
{
	const char *text;
	size_t len;
	WjStatus status;
	size_t errpos;
} Case;

#define Y(text)                          \
	{                                    \
		text, sizeof(text) - 1, WJ_OK, 0 \
	}
#define N(text, status, errpos)                \
	{                                          \
		text, sizeof(text) - 1, status, errpos \
	}

static const Case cases[] = {
	/* any value may stand alone, with white space around */
	Y("{}"),
	Y("[]"),
	Y("0"),
	Y("-0"),
	Y("\"\""),
	Y("true"),
	Y("false"),
	Y("null"),
	Y(" \t\r\n{ \t\r\n} \t\r\n"),
	Y("[ ]"),
	Y(" 1 "),
	Y("\"a\"\n"),
	Y("[1,2 , 3]"),
	Y("{\"a\" : 1 , \"b\":\t2}"),
	Y("[[[]],{}]"),
	Y("[{},[{}]]"),
	Y("{\"\":0}"),
	Y("{\"a\":1,\"a\":2}"),
	Y("[null]"),
	N("", WJ_ERR_EMPTY, 0),
	N(" ", WJ_ERR_EMPTY, 1),
	N("\n\t ", WJ_ERR_EMPTY, 3),
	N("\f1", WJ_ERR_SYNTAX, 0),
	N("\v", WJ_ERR_SYNTAX, 0),
	N("\xef\xbb\xbf{}", WJ_ERR_SYNTAX, 0),
	N("\xc2\xa0{}", WJ_ERR_SYNTAX, 0),
	N("1\xe2\x80\x8b", WJ_ERR_TRAILING, 1),
	N("\0", WJ_ERR_SYNTAX, 0),
	N("1\0", WJ_ERR_TRAILING, 1),
	N("[\0]", WJ_ERR_SYNTAX, 1),
	N("{\"a\"\0:1}", WJ_ERR_SYNTAX, 4),

	/* structure */
	N("{", WJ_ERR_END, 1),
	N("[", WJ_ERR_END, 1),
	N("[1", WJ_ERR_END, 2),
	N("[1,", WJ_ERR_END, 3),
	N("[1,]", WJ_ERR_SYNTAX, 3),
	N("[,1]", WJ_ERR_SYNTAX, 1),
	N("[1,,2]", WJ_ERR_SYNTAX, 3),
	N("[1 2]", WJ_ERR_SYNTAX, 3),
	N("[1:2]", WJ_ERR_SYNTAX, 2),
	N("]", WJ_ERR_SYNTAX, 0),
	N("}", WJ_ERR_SYNTAX, 0),
	N(",", WJ_ERR_SYNTAX, 0),
	N("[}", WJ_ERR_SYNTAX, 1),
	N("{]", WJ_ERR_SYNTAX, 1),
	N("[1}", WJ_ERR_SYNTAX, 2),
	N("{\"a\":1]", WJ_ERR_SYNTAX, 6),
	N("[{}", WJ_ERR_END, 3),
	N("{\"a\"}", WJ_ERR_SYNTAX, 4),
	N("{\"a\":}", WJ_ERR_SYNTAX, 5),
	N("{\"a\":1,}", WJ_ERR_SYNTAX, 7),
	N("{,\"a\":1}", WJ_ERR_SYNTAX, 1),
	N("{a:1}", WJ_ERR_SYNTAX, 1),
	N("{'a':1}", WJ_ERR_SYNTAX, 1),
	N("{1:1}", WJ_ERR_SYNTAX, 1),
	N("{null:1}", WJ_ERR_SYNTAX, 1),
	N("{\"a\" 1}", WJ_ERR_SYNTAX, 5),
	N("{\"a\"::1}", WJ_ERR_SYNTAX, 5),
	N("{\"a\":1 \"b\":2}", WJ_ERR_SYNTAX, 7),
	N("{\"a\":1,,}", WJ_ERR_SYNTAX, 7),
	N("{\"a\":1", WJ_ERR_END, 6),
	N("{\"a\":", WJ_ERR_END, 5),
	N("{\"a\"", WJ_ERR_END, 4),
	N("{\"a", WJ_ERR_END, 3),
	N("{\"", WJ_ERR_END, 2),
	N("{\"a\":1,", WJ_ERR_END, 7),
	N("{}}", WJ_ERR_TRAILING, 2),
	N("[]]", WJ_ERR_TRAILING, 2),
	N("{}{}", WJ_ERR_TRAILING, 2),
	N("1 2", WJ_ERR_TRAILING, 2),
	N("{} x", WJ_ERR_TRAILING, 3),
	N("\"a\"b", WJ_ERR_TRAILING, 3),
	N("[1]//", WJ_ERR_TRAILING, 3),
	N("/**/1", WJ_ERR_SYNTAX, 0),
	N("[1,#\n2]", WJ_ERR_SYNTAX, 3),
	N("<>", WJ_ERR_SYNTAX, 0),

	/* literals */
	N("tru", WJ_ERR_END, 3),
	N("t", WJ_ERR_END, 1),
	N("nul", WJ_ERR_END, 3),
	N("fals", WJ_ERR_END, 4),
	N("trux", WJ_ERR_SYNTAX, 0),
	N("True", WJ_ERR_SYNTAX, 0),
	N("NULL", WJ_ERR_SYNTAX, 0),
	N("nan", WJ_ERR_SYNTAX, 0),
	N("NaN", WJ_ERR_SYNTAX, 0),
	N("Infinity", WJ_ERR_SYNTAX, 0),
	N("-Infinity", WJ_ERR_NUMBER, 1),
	N("truefalse", WJ_ERR_TRAILING, 4),
	N("[nulll]", WJ_ERR_SYNTAX, 5),
	N("undefined", WJ_ERR_SYNTAX, 0),
	N("[tru]", WJ_ERR_SYNTAX, 1),

	/* numbers */
	Y("123"),
	Y("-1"),
	Y("-0.0"),
	Y("0.5"),
	Y("1e5"),
	Y("1E5"),
	Y("1e+5"),
	Y("1e-5"),
	Y("0e0"),
	Y("0E-0"),
	Y("-0e+00"),
	Y("1.25e007"),
	Y("1e999"),
	Y("123456789012345678901234567890"),
	Y("[0.1,1]"),
	N("-", WJ_ERR_END, 1),
	N("[-]", WJ_ERR_NUMBER, 2),
	N("01", WJ_ERR_NUMBER, 0),
	N("-01", WJ_ERR_NUMBER, 1),
	N("00", WJ_ERR_NUMBER, 0),
	N("1.", WJ_ERR_END, 2),
	N("[1.]", WJ_ERR_NUMBER, 3),
	N(".5", WJ_ERR_NUMBER, 0),
	N("-.5", WJ_ERR_NUMBER, 1),
	N("1e", WJ_ERR_END, 2),
	N("[1e]", WJ_ERR_NUMBER, 3),
	N("1e+", WJ_ERR_END, 3),
	N("[1e+]", WJ_ERR_NUMBER, 4),
	N("1.e5", WJ_ERR_NUMBER, 2),
	N("+1", WJ_ERR_NUMBER, 0),
	N("--1", WJ_ERR_NUMBER, 1),
	N("1-1", WJ_ERR_TRAILING, 1),
	N("1.2.3", WJ_ERR_TRAILING, 3),
	N("1e5.5", WJ_ERR_TRAILING, 3),
	N("0x1F", WJ_ERR_TRAILING, 1),
	N("1_000", WJ_ERR_TRAILING, 1),
	N("[1a]", WJ_ERR_SYNTAX, 2),
	N("- 1", WJ_ERR_NUMBER, 1),
	N("[1 .5]", WJ_ERR_SYNTAX, 3),
	N("1E+-2", WJ_ERR_NUMBER, 3),
	N("0e", WJ_ERR_END, 2),

	/* escapes */
	Y("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
	Y("\"\\u0000\\u001f\\uABcd\""),
	Y("\"\\ud83d\\ude00\""),
	Y("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""),
	Y("{\"\\u0061\":1}"),
	Y("\"\\\\u12\""),
	Y("\"\\uFFFE\\uFFFF\""),
	N("\"\\x41\"", WJ_ERR_ESCAPE, 1),
	N("\"\\a\"", WJ_ERR_ESCAPE, 1),
	N("\"\\'\"", WJ_ERR_ESCAPE, 1),
	N("\"\\\0\"", WJ_ERR_ESCAPE, 1),
	N("\"\\U0041\"", WJ_ERR_ESCAPE, 1),
	N("\"\\u12\"", WJ_ERR_ESCAPE, 1),
	N("\"\\u12G4\"", WJ_ERR_ESCAPE, 1),
	N("\"\\u 123\"", WJ_ERR_ESCAPE, 1),
	N("\"\\\n\"", WJ_ERR_ESCAPE, 1),
	N("\"\\\xc3\xa9\"", WJ_ERR_ESCAPE, 1),
	N("\"\\\"", WJ_ERR_END, 3),
	N("\"\\", WJ_ERR_END, 2),
	N("\"\\u", WJ_ERR_END, 3),
	N("\"\\u00e", WJ_ERR_END, 6),
	N("\"\\ud800\"", WJ_ERR_SURROGATE, 1),
	N("\"\\udc00\"", WJ_ERR_SURROGATE, 1),
	N("\"\\ud800x\"", WJ_ERR_SURROGATE, 1),
	N("\"\\ud800\\n....\"", WJ_ERR_SURROGATE, 1),
	N("\"\\ud800\\u0041\"", WJ_ERR_SURROGATE, 1),
	N("\"\\ud800\\ud800\\udc00\"", WJ_ERR_SURROGATE, 1),
	N("\"\\udc00\\ud800\"", WJ_ERR_SURROGATE, 1),
	N("\"\\ud800\\udc0\"", WJ_ERR_SURROGATE, 1),
	N("{\"\\ud800\":1}", WJ_ERR_SURROGATE, 2),

	/* raw characters */
	Y("\"\x7f\""),
	Y("\"\xc2\x80\""),
	Y("\"\xdf\xbf\""),
	Y("\"\xe0\xa0\x80\""),
	Y("\"\xed\x9f\xbf\""),
	Y("\"\xee\x80\x80\""),
	Y("\"\xef\xbf\xbf\""),
	Y("\"\xf0\x90\x80\x80\""),
	Y("\"\xf4\x8f\xbf\xbf\""),
	Y("\"\xef\xbb\xbf\""),
	Y("\"\xe2\x80\xa8\""),
	N("\"\0\"", WJ_ERR_CONTROL, 1),
	N("\"\n\"", WJ_ERR_CONTROL, 1),
	N("\"\t\"", WJ_ERR_CONTROL, 1),
	N("\"\x1f\"", WJ_ERR_CONTROL, 1),
	N("{\"a\nb\":1}", WJ_ERR_CONTROL, 3),
	N("\"\x80\"", WJ_ERR_UTF8, 1),
	N("\"\xbf\"", WJ_ERR_UTF8, 1),
	N("\"\xc0\x80\"", WJ_ERR_UTF8, 1),
	N("\"\xc1\xbf\"", WJ_ERR_UTF8, 1),
	N("\"\xc2\"", WJ_ERR_UTF8, 1),
	N("\"\xc2", WJ_ERR_UTF8, 1),
	N("\"\xc2\x41\"", WJ_ERR_UTF8, 1),
	N("\"\xe0\x9f\xbf\"", WJ_ERR_UTF8, 1),
	N("\"\xed\xa0\x80\"", WJ_ERR_UTF8, 1),
	N("\"\xed\xbf\xbf\"", WJ_ERR_UTF8, 1),
	N("\"\xe2\x82\"", WJ_ERR_UTF8, 1),
	N("\"\xe2\x82", WJ_ERR_UTF8, 1),
	N("\"\xf0\x8f\xbf\xbf\"", WJ_ERR_UTF8, 1),
	N("\"\xf4\x90\x80\x80\"", WJ_ERR_UTF8, 1),
	N("\"\xf5\x80\x80\x80\"", WJ_ERR_UTF8, 1),
	N("\"\xf0\x9f\x98\"", WJ_ERR_UTF8, 1),
	N("\"\xf0\x9f\x98", WJ_ERR_UTF8, 1),
	N("\"\xff\"", WJ_ERR_UTF8, 1),
	N("\"\xfe\xff\"", WJ_ERR_UTF8, 1),
	N("\"a\xc3\xa9\xff\"", WJ_ERR_UTF8, 4),
	N("{\"\xff\":1}", WJ_ERR_UTF8, 2),
	N("\"abc", WJ_ERR_END, 4),
	N("\"", WJ_ERR_END, 1),
	N("'a'", WJ_ERR_SYNTAX, 0),
};

static Arena arena = {NULL, -1};

static WjStatus
scan(const char *text, size_t len, size_t *errpos)
{
	WjPaths *paths = wj_paths_new(arena_alloc, &arena);
	char *copy;
	WjStatus status = scan_copy(paths, text, len, NULL, errpos, &copy);

	free(copy);
	return status;
}

static void
conformance(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *c = &cases[i];
		size_t errpos = 0;
		WjStatus status = scan(c->text, c->len, &errpos);

		CHECK_MSG(status == c->status && errpos == c->errpos,
				  "%s gives '%s' at %zu", c->text, wj_status_text(status),
				  errpos);
	}
}

/* The same cases after 0 to 40 bytes: every place in a block of 16. */
static void
alignment(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t n = 0; n <= 40; n++)
		{
			const Case *c = &cases[i];
			char text[200] = "[\"";
			size_t before = n + 4;
			size_t errpos = 0;
			WjStatus status;

			if (c->status == WJ_ERR_EMPTY || c->status == WJ_ERR_TRAILING ||
				c->text[0] != '"')
				continue;
			memset(text + 2, 'x', n);
			memcpy(text + 2 + n, "\",", 2);
			memcpy(text + before, c->text, c->len);
			text[before + c->len] = ']';
			status = scan(text, before + c->len + (c->status != WJ_ERR_END),
						  &errpos);
			CHECK_MSG(status == c->status &&
						  errpos == (status == WJ_OK ? 0 : before + c->errpos),
					  "%s gives '%s' at %zu", text, wj_status_text(status),
					  errpos);
		}
}

/* Each byte in a string, at each place of strings of 0 to 70 bytes. */
static void
every_byte(void)
{
	for (size_t len = 1; len <= 70; len++)
		for (size_t at = 0; at < len; at++)
			for (int c = 0; c < 256; c++)
			{
				char text[80];
				bool good = c >= 0x20 && c < 0x80 && c != '\\';
				size_t errpos = 0;
				WjStatus status;

				memset(text, 'x', sizeof(text));
				text[0] = text[len + 1] = '"';
				text[at + 1] = (char) c;
				if (c == '"' && at + 1 < len)
					good = false;
				else if (c == '"' || (c == '\\' && at + 1 < len))
					continue;
				status = scan(text, len + 2, &errpos);
				CHECK_MSG((status == WJ_OK) == good, "byte %d at %zu of %zu", c,
						  at, len);
				CHECK(good || errpos >= at + 1);
				arena_free(&arena);
			}
}

static void
depth(void)
{
	static char text[4 * WJ_MAX_DEPTH + 20];
	size_t errpos = 0;

	memset(text, '[', WJ_MAX_DEPTH);
	memset(text + WJ_MAX_DEPTH, ']', WJ_MAX_DEPTH);
	CHECK(scan(text, 2 * WJ_MAX_DEPTH, &errpos) == WJ_OK);
	memset(text, '[', WJ_MAX_DEPTH + 1);
	memset(text + WJ_MAX_DEPTH + 1, ']', WJ_MAX_DEPTH + 1);
	CHECK(scan(text, 2 * WJ_MAX_DEPTH + 2, &errpos) == WJ_ERR_DEPTH);
	CHECK(errpos == WJ_MAX_DEPTH);

	/* Objects and arrays in turn, closed by the right bracket or not. */
	for (int wrong = -1; wrong < 300; wrong++)
	{
		size_t n = 0;
		size_t want = 0;

		for (int i = 0; i < 150; i++)
			n += (size_t) sprintf(text + n, "{\"a\":[");
		for (int i = 0; i < 300; i++)
		{
			char c = i % 2 ? '}' : ']';

			if (i == wrong)
			{
				want = n;
				c = c == '}' ? ']' : '}';
			}
			if (i == 0)
				text[n++] = '1', want += i == wrong;
			text[n++] = c;
		}
		if (wrong < 0)
			CHECK(scan(text, n, &errpos) == WJ_OK);
		else
		{
			CHECK(scan(text, n, &errpos) == WJ_ERR_SYNTAX);
			CHECK_MSG(errpos == want, "bracket %d", wrong);
		}
	}
}

/* Cut anywhere, a message is no message. */
static void
truncation(void)
{
	static const char text[] =
		"{\"event_id\":\"40270156-abaf\",\"n\":[1.5e3,true,null,\"\\ud83d\\ude00"
		"\xf0\x9f\x98\x80\"],\"o\":{\"x\":{}}, \"false\" : false }";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		CHECK_MSG(scan(text, len, NULL) != WJ_OK, "%zu", len);
	CHECK(scan(text, sizeof(text) - 1, NULL) == WJ_OK);
	CHECK(scan(NULL, 0, NULL) == WJ_ERR_EMPTY);
}

int
main(void)
{
	RUN(conformance);
	RUN(alignment);
	RUN(every_byte);
	RUN(depth);
	RUN(truncation);
	arena_free(&arena);
	return done();
}
