/*
 * fuzz_csv.c
 *		The first byte chooses dialect and number of fields.  Of what wsv_scan
 *		accepts, the fields lie in the record and read the same when they are
 *		written again, all between quotes; a record of a message, taken apart by
 *		lines, ends where wsv_scan says that it does.
 */
#include "fuzz.h"

#include <string.h>

#include "core/csv.h"
#include "core/records.h"
#include "core/utf8.h"

#define MAX_FIELDS 8

static size_t
write_again(const WsvDialect *d, int n, const WjValue *fields, char *out)
{
	char *start = out;

	for (int i = 0; i < n; i++)
	{
		char *text = malloc(fields[i].len + 1);
		size_t len = wsv_unescape(d, fields[i].ptr, fields[i].len, text);

		REQUIRE(len <= fields[i].len);
		REQUIRE(wu_valid(text, len, NULL));
		if (i > 0)
			*out++ = d->delimiter;
		if (fields[i].type == WJ_NULL)
		{
			memcpy(out, d->null, d->null_len);
			out += d->null_len;
		}
		else
		{
			*out++ = d->quote;
			for (size_t k = 0; k < len; k++)
			{
				if (text[k] == d->quote || text[k] == d->escape)
					*out++ = d->escape;
				*out++ = text[k];
			}
			*out++ = d->quote;
		}
		free(text);
	}
	return (size_t) (out - start);
}

static void
check_record(const WsvDialect *d, int n, const char *p, size_t len)
{
	WjValue fields[MAX_FIELDS];
	WjValue again[MAX_FIELDS];
	char *copy;
	char *text;
	char *text_again;
	size_t at;
	size_t written;

	if (wsv_scan(d, p, len, n, fields, &at) != WSV_OK)
	{
		REQUIRE(at <= len);
		return;
	}
	copy = malloc(2 * len + 64);
	text = malloc(len + 1);
	text_again = malloc(2 * len + 64);
	written = write_again(d, n, fields, copy);
	REQUIRE(n == 0 || wsv_scan(d, copy, written, n, again, NULL) == WSV_OK);
	for (int i = 0; i < n; i++)
	{
		size_t a = wsv_unescape(d, fields[i].ptr, fields[i].len, text);
		size_t b = wsv_unescape(d, again[i].ptr, again[i].len, text_again);

		REQUIRE(fields[i].ptr >= p && fields[i].ptr + fields[i].len <= p + len);
		REQUIRE(fields[i].type == again[i].type);
		REQUIRE(a == b && memcmp(text, text_again, a) == 0);
	}
	free(copy);
	free(text);
	free(text_again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	WsvDialect d;
	WsRecords r;
	char *copy;
	int n;

	if (size == 0)
		return 0;
	n = data[0] % MAX_FIELDS;
	if (data[0] & 0x80)
		wsv_dialect(&d, ';', '\'', '\\', "NA");
	else
		wsv_dialect(&d, ',', '"', '"', "");
	copy = malloc(size > 1 ? size - 1 : 1);
	memcpy(copy, data + 1, size - 1);
	check_record(&d, n, copy, size - 1);
	ws_begin_lines(&r, data[0] & 0x40 ? &d : NULL, copy, size - 1);
	while (ws_more(&r))
	{
		size_t len;
		const char *p = ws_next(&r, &len);

		REQUIRE(p >= copy && p + len <= copy + size - 1);
		REQUIRE(data[0] & 0x40 || memchr(p, '\n', len) == NULL);
		check_record(&d, n, p, len);
	}
	free(copy);
	return 0;
}
