/*
 * test_csv.c
 *		Separated values, and messages of several records.
 */
#include "harness.h"

#include "core/csv.h"
#include "core/records.h"

#define MAX_FIELDS 8

static WsvDialect plain;   /* , " "" and an empty null */
static WsvDialect strange; /* ; ' \ and NA */

/* A copy that ends where the memory does. */
static char *
copy_exactly(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	return copy;
}

/* Fields as text: joined by |, null as ~. */
static void
show(const WsvDialect *d, const char *text, size_t len, int n, char *out)
{
	WjValue fields[MAX_FIELDS];
	char *copy = copy_exactly(text, len);
	WsvStatus status = wsv_scan(d, copy, len, n, fields, NULL);

	*out = '\0';
	if (status != WSV_OK)
		strcpy(out, wsv_status_text(status));
	for (int i = 0; status == WSV_OK && i < n; i++)
	{
		if (i > 0)
			*out++ = '|';
		if (fields[i].type == WJ_NULL)
			*out++ = '~';
		else
			out += wsv_unescape(d, fields[i].ptr, fields[i].len, out);
		*out = '\0';
	}
	free(copy);
}

static void
fields(void)
{
	static const struct
	{
		const char *text;
		const char *want;
		bool strange;
	} cases[] = {
		{"a,b,c", "a|b|c", false},
		{"a,b,c\n", "a|b|c", false},
		{"a,b,c\r\n", "a|b|c", false},
		{"a,,c", "a|~|c", false},
		{",,", "~|~|~", false},
		{"\"\",,\"\"", "|~|", false},
		{"\"a,b\",\"c\"\"d\",\"\"\"\"", "a,b|c\"d|\"", false},
		{"\"a\nb\",c\rd,\"e\r\n\"", "a\nb|c\rd|e\r\n", false},
		{" a , b ,c ", " a | b |c ", false},
		{"\xc3\xa9,\xe2\x82\xac,\"\xf0\x9f\x98\x80\"",
		 "\xc3\xa9|\xe2\x82\xac|\xf0\x9f\x98\x80", false},
		{"a;NA;'NA'", "a|~|NA", true},
		{"'a\\'b';'c\\\\';\\", "a'b|c\\|\\", true},
		{"'a\\b';\"c\";", "a\\b|\"c\"|", true},
		{"", "fewer fields than columns", false},
		{"a,b", "fewer fields than columns", false},
		{"a,b\nc", "fewer fields than columns", false},
		{"a,b,c,d", "more fields than columns", false},
		{"a,b,c\nd", "more than one line", false},
		{"a,b,c\n\n", "more than one line", false},
		{"a,b\"c,d", "quote in the middle of a field", false},
		{"a,\"b\"c,d", "quote in the middle of a field", false},
		{"a,\"b,c", "no closing quote", false},
		{"a,b,\"", "no closing quote", false},
		{"a,b,\"c\"\"", "no closing quote", false},
		{"a;b;c;d", "more fields than columns", true},
		{"a;b;'c\\'", "no closing quote", true},
		{"a,\xff,c", "invalid UTF-8", false},
		{"a,\xc3,c", "invalid UTF-8", false},
		{"a,\"\xed\xa0\x80\",c", "invalid UTF-8", false},
	};
	char out[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		show(cases[i].strange ? &strange : &plain, cases[i].text,
			 strlen(cases[i].text), 3, out);
		CHECK_MSG(strcmp(out, cases[i].want) == 0, "%s: %s", cases[i].text, out);
	}
	show(&plain, "a,\0,b", 5, 3, out);
	CHECK(strcmp(out, "NUL byte") == 0);
	show(&plain, "", 0, 1, out);
	CHECK(strcmp(out, "~") == 0);
	show(&plain, "", 0, 0, out);
	CHECK(strcmp(out, "") == 0);
	show(&plain, "x", 1, 0, out);
	CHECK(strcmp(out, "more fields than columns") == 0);
}

/* Write a field as an encoder would. */
static size_t
write_field(const WsvDialect *d, const char *text, size_t len, char *out)
{
	char *start = out;

	if (wsv_is_plain(d, text, len) && rnd_below(2) == 0)
	{
		memcpy(out, text, len);
		return len;
	}
	*out++ = d->quote;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == d->quote || text[i] == d->escape)
			*out++ = d->escape;
		*out++ = text[i];
	}
	*out++ = d->quote;
	return (size_t) (out - start);
}

/* What is written is read again, alone and as one of several lines. */
static void
round_trip(void)
{
	static const char letters[] = ",;\"'\\\n\r aNA";

	for (int round = 0; round < 20000; round++)
	{
		const WsvDialect *d = rnd_below(2) ? &plain : &strange;
		char texts[3][8];
		size_t lens[3];
		char line[128];
		size_t len = 0;
		WjValue v[3];
		char out[8];
		char *copy;

		for (int i = 0; i < 3; i++)
		{
			lens[i] = rnd_below(8);
			for (size_t k = 0; k < lens[i]; k++)
				texts[i][k] = letters[rnd_below(sizeof(letters) - 1)];
			if (i > 0)
				line[len++] = d->delimiter;
			len += write_field(d, texts[i], lens[i], line + len);
		}
		copy = copy_exactly(line, len);
		CHECK(wsv_record_end(d, copy, copy + len) == copy + len);
		CHECK(wsv_scan(d, copy, len, 3, v, NULL) == WSV_OK);
		for (int i = 0; i < 3; i++)
			CHECK_MSG(v[i].type == WJ_STRING &&
						  wsv_unescape(d, v[i].ptr, v[i].len, out) == lens[i] &&
						  memcmp(out, texts[i], lens[i]) == 0,
					  "%.*s", (int) len, line);
		free(copy);
	}
}

/* The records of a message, each between brackets. */
static void
split(WsRecords *r, char *out)
{
	*out = '\0';
	while (ws_more(r))
	{
		size_t len;
		const char *p = ws_next(r, &len);

		out += sprintf(out, "<%.*s>", (int) len, p);
	}
}

static void
lines(void)
{
	static const struct
	{
		const char *text;
		const char *want;
		bool csv;
	} cases[] = {
		{"", "", false},
		{"\n \n\t\r\n", "", false},
		{"a", "<a>", false},
		{"a\n", "<a>", false},
		{"a\nb", "<a><b>", false},
		{"\n\na\r\n\r\n b \n\n", "<a>< b >", false},
		{"\"a\nb\"\nc", "<\"a><b\"><c>", false},
		{"\"a\nb\"\nc", "<\"a\nb\"><c>", true},
		{"\"a\"\"\nb\"\r\nc", "<\"a\"\"\nb\"><c>", true},
		{"a\n \nb", "<a>< ><b>", true},
		{"\"a\nb\nc", "<\"a\nb\nc>", true},
	};
	char out[256];
	WsRecords r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t len = strlen(cases[i].text);
		char *copy = copy_exactly(cases[i].text, len);

		ws_begin_lines(&r, cases[i].csv ? &plain : NULL, copy, len);
		split(&r, out);
		CHECK_MSG(strcmp(out, cases[i].want) == 0, "%s: %s", cases[i].text, out);
		free(copy);
	}
}

static void
arrays(void)
{
	static const struct
	{
		const char *text;
		const char *want;
	} cases[] = {
		{"[]", ""},
		{" [ ] ", ""},
		{"[1]", "<1>"},
		{" [ {\"a\" : 1} , {\"b\":[1,2]}\n] ", "<{\"a\" : 1}><{\"b\":[1,2]}>"},
		{"[\"]\",null,[[]],\"\\\"\" , 1.5e3 ]",
		 "<\"]\"><null><[[]]><\"\\\"\"><1.5e3>"},
	};
	char out[256];
	WsRecords r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t len = strlen(cases[i].text);
		char *copy = copy_exactly(cases[i].text, len);

		ws_begin_array(&r, copy, len);
		split(&r, out);
		CHECK_MSG(strcmp(out, cases[i].want) == 0, "%s: %s", cases[i].text, out);
		free(copy);
	}
}

int
main(void)
{
	wsv_dialect(&plain, ',', '"', '"', "");
	wsv_dialect(&strange, ';', '\'', '\\', "NA");
	RUN(fields);
	RUN(round_trip);
	RUN(lines);
	RUN(arrays);
	return done();
}
