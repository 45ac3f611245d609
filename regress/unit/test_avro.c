/*
 * test_avro.c
 *		Avro: schemas, paths, values as text, and data that is not what its schema
 *		says.
 */
#include "harness.h"

#include "core/avro.h"

static Arena arena = {NULL, -1};

static AvNode *
schema_of(const char *json, char *err)
{
	return av_schema_parse(json, strlen(json), arena_alloc, &arena, err, 100);
}

static int
hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Bytes of hexadecimal digits, spaces between; ends where the memory does. */
static char *
bytes_of(const char *hex, size_t *len)
{
	char room[512];
	char *exact;

	*len = 0;
	for (; *hex; hex += 2)
	{
		while (*hex == ' ')
			hex++;
		room[(*len)++] = (char) (hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
	}
	exact = malloc(*len ? *len : 1);
	memcpy(exact, room, *len);
	return exact;
}

/* The value at a path as text, ~ if it is missing, or what is wrong. */
static void
show(const char *json, const char *path, const char *hex, bool as_json,
	 char *out)
{
	char err[100];
	AvNode *schema = schema_of(json, err);
	AvProgram *program;
	const char *why;
	size_t len;
	char *bytes = bytes_of(hex, &len);
	AvValue v;
	int64_t n = -1;
	AvStatus status;

	CHECK_MSG(schema != NULL, "%s: %s", json, err);
	program = av_program_new(schema, arena_alloc, &arena);
	CHECK_MSG(av_program_add(program, path, *path == '\0' || *path == '!',
							 &why) == 0,
			  "%s in %s", path, json);
	status = av_scan(program, bytes, len, &v, NULL);
	if (status == AV_OK && v.node != NULL)
	{
		n = av_text(&v, as_json, NULL);
		CHECK(n >= 0 && av_text(&v, as_json, out) == n);
		out[n < 0 ? 0 : n] = '\0';
	}
	else
		strcpy(out, status == AV_OK ? "~" : av_status_text(status));
	free(bytes);
}

#define NESTED                                                                 \
	"{\"type\":\"record\",\"name\":\"r\",\"namespace\":\"n\",\"fields\":["     \
	"{\"name\":\"a\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"s\","  \
	"\"fields\":[{\"name\":\"x\",\"type\":\"int\"},{\"name\":\"y\",\"type\":"  \
	"\"string\"}]},\"string\"]},{\"name\":\"b\",\"type\":{\"type\":\"array\"," \
	"\"items\":\"n.s\"}},{\"name\":\"c\",\"type\":{\"type\":\"map\","          \
	"\"values\":[\"null\",\"s\"]}}]}"
#define LOGICAL(type, logical, more) \
	"{\"type\":\"" type "\",\"logicalType\":\"" logical "\"" more "}"
#define FIXED(size, logical, more) \
	LOGICAL("fixed", logical, ",\"name\":\"f\",\"size\":" size more)

static void
values(void)
{
	static const struct
	{
		const char *schema;
		const char *path;
		const char *hex;
		const char *want;
		bool json;
	} cases[] = {
		{"\"null\"", "", "", "null", false},
		{"\"boolean\"", "", "01", "true", false},
		{"\"boolean\"", "", "02", "boolean is neither 0 nor 1", false},
		{"\"int\"", "", "01", "-1", false},
		{"\"int\"", "", "ffffffff0f", "-2147483648", false},
		{"\"int\"", "", "feffffff0f", "2147483647", false},
		{"\"int\"", "", "8080808010", "integer out of range", false},
		{"\"long\"", "", "ffffffffffffffffff01", "-9223372036854775808", false},
		{"\"long\"", "", "feffffffffffffffff01", "9223372036854775807", false},
		{"\"long\"", "", "feffffffffffffffff02", "integer out of range", false},
		{"\"long\"", "", "ff", "unexpected end", false},
		{"\"long\"", "", "0000", "unexpected bytes after the value", false},
		{"\"float\"", "", "0000c03f", "1.5", false},
		{"\"float\"", "", "cdcccc3d", "0.1", false},
		{"\"double\"", "", "9a9999999999b93f", "0.1", false},
		{"\"double\"", "", "000000000000f07f", "Infinity", false},
		{"\"double\"", "", "000000000000f8ff", "\"NaN\"", true},
		{"\"double\"", "", "00000000000000", "unexpected end", false},
		{"\"bytes\"", "", "0400ff", "\\x00ff", false},
		{"\"bytes\"", "", "0400ff", "\"\\\\x00ff\"", true},
		{"\"bytes\"", "", "01", "negative length", false},
		{"\"string\"", "", "0661220a", "\"a\\\"\\u000a\"", true},
		{"\"string\"", "", "0661220a", "a\"\n", false},
		{"\"string\"", "", "02ff", "invalid UTF-8", false},
		{"\"string\"", "", "04c3", "unexpected end", false},
		{"[\"null\",\"int\"]", "", "00", "null", false},
		{"[\"null\",\"int\"]", "", "0204", "2", false},
		{"[\"null\",\"int\"]", "", "04", "union has no such branch", false},
		{"[\"null\",\"int\"]", "", "01", "union has no such branch", false},
		{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}", "",
		 "02", "B", false},
		{"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}", "",
		 "04", "enum has no such symbol", false},
		{"{\"type\":\"array\",\"items\":\"int\"}", "", "040206 0304 0a0c 00",
		 "[1,3,5,6]", false},
		{"{\"type\":\"array\",\"items\":\"int\"}", "", "0402", "unexpected end",
		 false},
		{"{\"type\":\"array\",\"items\":\"null\"}", "",
		 "feffffffffffffffff01 00", "too many empty items", false},
		{"{\"type\":\"array\",\"items\":\"null\"}", "", "0400", "[null,null]",
		 false},
		{"{\"type\":\"map\",\"values\":\"int\"}", "", "02 0261 04 00",
		 "{\"a\":2}", false},
		{NESTED, "a.x", "02 04 0271 00 00", "2", false},
		{NESTED, "a.y", "02 04 0271 00 00", "q", false},
		{NESTED, "a.y", "00 00 00", "~", false},
		{NESTED, "a.y", "04 0271 00 00", "~", false},
		{NESTED, "a", "02 04 0271 00 00", "{\"x\":2,\"y\":\"q\"}", false},
		{NESTED, "b", "00 02 04 0271 00 00", "[{\"x\":2,\"y\":\"q\"}]", false},
		{NESTED, "c", "00 00 02 026b 02 04 0271 00",
		 "{\"k\":{\"x\":2,\"y\":\"q\"}}", false},
		{LOGICAL("int", "date", ""), "", "00", "1970-01-01", false},
		{LOGICAL("int", "date", ""), "", "01", "\"1969-12-31\"", true},
		{LOGICAL("int", "date", ""), "", "f5e457", "0001-12-31 BC", false},
		{LOGICAL("long", "timestamp-millis", ""), "", "01",
		 "1969-12-31T23:59:59.999000Z", false},
		{LOGICAL("long", "timestamp-micros", ""), "", "02",
		 "1970-01-01T00:00:00.000001Z", false},
		{LOGICAL("long", "timestamp-nanos", ""), "", "d00f",
		 "1970-01-01T00:00:00.000001Z", false},
		{LOGICAL("long", "local-timestamp-micros", ""), "", "02",
		 "1970-01-01T00:00:00.000001", false},
		{LOGICAL("int", "time-millis", ""), "", "02", "00:00:00.001000", false},
		{LOGICAL("int", "time-millis", ""), "", "01", "-1", false},
		{LOGICAL("string", "date", ""), "", "0261", "a", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":4,\"scale\":2"), "",
		 "0204", "0.04", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":4,\"scale\":2"), "",
		 "02ff", "-0.01", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":4"), "", "0480 00",
		 "-32768", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":4,\"scale\":1"), "", "00",
		 "0.0", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":40,\"scale\":20"), "",
		 "22 0100000000000000000000000000000000",
		 "3402823669209384634.63374607431768211456", false},
		{LOGICAL("bytes", "decimal", ",\"precision\":4,\"scale\":-2"), "",
		 "0204", "\\x04", false},
		{FIXED("2", "decimal", ",\"scale\":2"), "", "0100", "2.56", false},
		{FIXED("16", "uuid", ""), "", "00112233445566778899aabbccddeeff",
		 "00112233-4455-6677-8899-aabbccddeeff", false},
		{FIXED("12", "duration", ""), "", "01000000 02000000 dc050000",
		 "P1M2DT1.500S", false},
		{FIXED("2", "uuid", ""), "", "0102", "\\x0102", false},
	};
	char out[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		show(cases[i].schema, cases[i].path, cases[i].hex, cases[i].json, out);
		CHECK_MSG(strcmp(out, cases[i].want) == 0, "%s %s: %s", cases[i].schema,
				  cases[i].hex, out);
	}
}

static void
bad_schemas(void)
{
	static const char *const cases[] = {
		"",
		"{",
		"1",
		"\"integer\"",
		"{}",
		"{\"type\":\"record\"}",
		"{\"type\":\"record\",\"name\":\"r\"}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"type\":\"int\"}]}",
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[1]}",
		"{\"type\":\"enum\",\"name\":\"e\"}",
		"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[1]}",
		"{\"type\":\"fixed\",\"name\":\"f\"}",
		"{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}",
		"{\"type\":\"array\"}",
		"{\"type\":\"map\"}",
		"[[\"int\"]]",
		"[\"int\",{\"type\":\"fixed\",\"name\":\"f\",\"size\":1},"
		"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1}]",
	};
	char deep[1000] = "";
	char err[100];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		*err = '\0';
		CHECK_MSG(schema_of(cases[i], err) == NULL && *err != '\0', "%s",
				  cases[i]);
	}
	for (int i = 0; i < 100; i++)
		strcat(deep, "{\"type\":");
	CHECK(schema_of(deep, err) == NULL);
	for (long left = 0; left < 20; left++)
	{
		Arena small = {NULL, left};

		(void) av_schema_parse(NESTED, strlen(NESTED), arena_alloc, &small, err,
							   sizeof(err));
		arena_free(&small);
	}
}

static void
paths(void)
{
	char err[100];
	AvNode *schema = schema_of(NESTED, err);
	AvProgram *p = av_program_new(schema, arena_alloc, &arena);
	const char *why;

	CHECK(av_program_add(p, "a.x", false, &why) == 0);
	CHECK(av_program_add(p, "a", true, &why) == 1);
	CHECK(av_program_add(p, "\"a\".\"x\"", false, &why) == 0);
	CHECK(av_program_add(p, "c", false, &why) == 2);
	CHECK(av_program_count(p) == 3);
	CHECK(av_program_add(p, "a.x", true, &why) == AV_NO_FIELD);
	CHECK(av_program_add(p, "b.x", false, &why) == AV_NO_FIELD);
	CHECK(av_program_add(p, "a.x.z", false, &why) == AV_NO_FIELD);
	CHECK(av_program_add(p, "", false, &why) == AV_BAD_PATH);
	CHECK(av_program_add(p, "a.", false, &why) == AV_BAD_PATH);
	CHECK(av_program_add(p, "b[0]", false, &why) == AV_BAD_PATH);
	CHECK(av_program_add(p, "\"a", false, &why) == AV_BAD_PATH);
	CHECK(av_program_add(p, "\"a\"x", false, &why) == AV_BAD_PATH);
	CHECK(av_program_count(p) == 3);
}

/* A type that contains itself: as deep as is allowed, and no deeper. */
static void
recursion(void)
{
	static const char list[] =
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"next\","
		"\"type\":[\"null\",\"r\"]}]}";
	static const char endless[] =
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"next\","
		"\"type\":\"r\"}]}";
	char err[100];
	AvProgram *p = av_program_new(schema_of(list, err), arena_alloc, &arena);
	char data[100];
	AvValue v;

	memset(data, 2, sizeof(data));
	data[AV_MAX_DEPTH - 1] = 0;
	CHECK(av_scan(p, data, AV_MAX_DEPTH, &v, NULL) == AV_OK);
	data[AV_MAX_DEPTH - 1] = 2;
	data[AV_MAX_DEPTH] = 0;
	CHECK(av_scan(p, data, AV_MAX_DEPTH + 1, &v, NULL) == AV_ERR_DEPTH);
	p = av_program_new(schema_of(endless, err), arena_alloc, &arena);
	CHECK(av_scan(p, data, 0, &v, NULL) == AV_ERR_DEPTH);
}

/*
 * Records of n fields "f", each of this type, or where it is NULL of the record
 * before: r0 ... rm.
 */
static char *
nested(int m, int n, const char *type)
{
	size_t room = (size_t) (m + 2) * (size_t) (n + 2) * 64 + 1000;
	char *json = malloc(room);
	char *end = json;

	end += sprintf(end, "[\"null\"");
	for (int i = 0; i <= m; i++)
	{
		end += sprintf(end,
					   ",{\"type\":\"record\",\"name\":\"r%d\",\"fields\":[", i);
		for (int f = 0; f < n; f++)
		{
			end += sprintf(end, "%s{\"name\":\"f%d\",\"type\":", f ? "," : "",
						   f);
			if (i == 0 || type)
				end += sprintf(end, "%s}", type ? type : "\"null\"");
			else
				end += sprintf(end, "\"r%d\"}", i - 1);
		}
		end += sprintf(end, "]}");
	}
	strcpy(end, "]");
	return json;
}

/* Few bytes do not ask for much work, nor do schemas. */
static void
work(void)
{
	static const char again[] =
		"{\"type\":\"record\",\"name\":\"x\",\"fields\":[{\"name\":\"a\","
		"\"type\":[{\"type\":\"record\",\"name\":\"l\",\"fields\":[{\"name\":"
		"\"a\",\"type\":[\"l\",{\"type\":\"record\",\"name\":\"r\",\"fields\":["
		"{\"name\":\"a\",\"type\":[\"l\",\"r\"]}]}]}]},\"r\"]}]}";
	char items[80000];
	char path[200] = "a";
	char err[100];
	const char *why;
	char *json = nested(40, 2, NULL);
	AvProgram *p = av_program_new(schema_of(json, err), arena_alloc, &arena);
	AvValue v;

	/* Records of nothing in records of nothing: two to the power of 41. */
	CHECK(av_scan(p, "\x52", 1, &v, NULL) == AV_ERR_ITEMS);
	free(json);

	/* 60,000 records, with 1,000 fields each that take no room. */
	json = nested(0, 1000, NULL);
	snprintf(items, sizeof(items), "{\"type\":\"array\",\"items\":%.70000s}",
			 strchr(json, '{'));
	items[strlen(items) - 2] = '}';
	items[strlen(items) - 1] = '\0';
	free(json);
	p = av_program_new(schema_of(items, err), arena_alloc, &arena);
	CHECK_MSG(p != NULL, "%s", err);
	CHECK(av_scan(p, "\xc0\xa9\x07\0", 4, &v, NULL) == AV_ERR_ITEMS);

	/* Two ways at each step. */
	p = av_program_new(schema_of(again, err), arena_alloc, &arena);
	CHECK(av_program_add(p, "a.a.a", false, &why) == 0);
	for (int i = 1; i < 50; i++)
		strcat(path, ".a");
	CHECK(av_program_add(p, path, false, &why) == AV_BAD_PATH);
	CHECK(strcmp(why, "path has too many ways through the schema") == 0);
	strcat(path, ".b");
	CHECK(av_program_add(p, path, false, &why) == AV_BAD_PATH);

	/* Very many names. */
	json = nested(9000, 1, "\"null\"");
	CHECK_MSG(schema_of(json, err) != NULL, "%s", err);
	free(json);
}

/* Whatever the bytes are: no read beyond, and what is accepted has a text. */
static void
noise(void)
{
	char err[100];
	AvProgram *p = av_program_new(schema_of(NESTED, err), arena_alloc, &arena);
	const char *why;

	CHECK(av_program_add(p, "a", false, &why) == 0);
	CHECK(av_program_add(p, "a.y", false, &why) == 1);
	CHECK(av_program_add(p, "b", false, &why) == 2);
	for (int round = 0; round < 100000; round++)
	{
		size_t len = rnd_below(24);
		char *data = malloc(len ? len : 1);
		AvValue v[3];

		for (size_t i = 0; i < len; i++)
			data[i] = (char) (rnd_below(4) ? rnd_below(6) : rnd());
		if (av_scan(p, data, len, v, NULL) == AV_OK)
			for (int i = 0; i < 3; i++)
				CHECK(v[i].node == NULL || av_text(&v[i], true, NULL) >= 0);
		free(data);
	}
}

int
main(void)
{
	RUN(values);
	RUN(bad_schemas);
	RUN(paths);
	RUN(recursion);
	RUN(work);
	RUN(noise);
	arena_free(&arena);
	return done();
}
