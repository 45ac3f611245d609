/*
 * fuzz_avro.c
 *		The input is a schema, a zero byte, and a datum.  Whatever both are, nothing
 *		is read beyond them; each value found lies in the datum, and its JSON is
 *		JSON by wj_scan, as long as it was said to be.
 */
#include "fuzz.h"

#include <string.h>

#include "core/avro.h"

#define MAX_VALUES 4

static FuzzRoom room;

static void
check_value(const AvValue *v, const char *data, size_t len)
{
	static FuzzRoom paths_room;
	static WjPaths *paths;
	int64_t n;
	char *text;

	if (paths == NULL)
		paths = wj_paths_new(fuzz_alloc, &paths_room);
	if (v->node == NULL)
		return;
	if (v->node->type >= AV_BYTES && v->node->type != AV_ENUM)
		REQUIRE(v->ptr >= data && v->ptr + v->len <= data + len);
	n = av_text(v, true, NULL);
	if (n < 0 || n > 1 << 20)
		return;
	text = malloc((size_t) n + 1);
	REQUIRE(av_text(v, true, text) == n);
	REQUIRE(wj_scan(paths, NULL, text, (size_t) n, NULL, NULL) == WJ_OK);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const wanted[MAX_VALUES] = {"a", "a.b", "b", "c.a.b"};
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t schema_len = zero ? (size_t) (zero - data) : size;
	size_t len = zero ? size - schema_len - 1 : 0;
	char *copy = malloc(len ? len : 1);
	AvValue values[MAX_VALUES];
	AvProgram *program = NULL;
	AvNode *schema;
	const char *why;
	char err[64];
	size_t at;

	memcpy(copy, zero ? zero + 1 : data, len);
	room.used = 0;
	schema = av_schema_parse((const char *) data, schema_len, fuzz_alloc, &room,
							 err, sizeof(err));
	if (schema != NULL)
		program = av_program_new(schema, fuzz_alloc, &room);
	for (int i = 0; program != NULL && i < MAX_VALUES; i++)
		(void) av_program_add(program, wanted[i], i == 0, &why);
	if (program != NULL && av_scan(program, copy, len, values, &at) == AV_OK)
		for (int i = 0; i < av_program_count(program); i++)
			check_value(&values[i], copy, len);
	free(copy);
	return 0;
}
