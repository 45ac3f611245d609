/*
 * kafka/headers.c
 *		A record's headers as JSON text.
 *
 * Called by the decoder for a stream that declares a headers column, in the
 * memory context that is current.  Order and repeated names are kept, hence an
 * array.  A header's value is bytes: valid UTF-8 becomes a string, anything
 * else stands as base64, so that no header can make a message undecodable.
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* Can jsonb hold these bytes as a string? */
static bool
is_text(const char *p, size_t len)
{
	return memchr(p, '\0', len) == NULL &&
		   pg_verify_mbstr(PG_UTF8, p, (int) len, true);
}

/* Append one character beyond ASCII as \u escapes; returns its length. */
static int
append_escaped(StringInfo out, const unsigned char *p)
{
	pg_wchar c = utf8_to_unicode(p);

	if (c >= 0x10000)
		appendStringInfo(out, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
						 0xDC00 + ((c - 0x10000) & 0x3FF));
	else
		appendStringInfo(out, "\\u%04x", (unsigned int) c);
	return pg_utf_mblen(p);
}

/* Append UTF-8 text as a JSON string in the database's encoding. */
static void
append_string(StringInfo out, const char *p, size_t len)
{
	bool raw = GetDatabaseEncoding() == PG_UTF8;
	size_t i = 0;

	appendStringInfoChar(out, '"');
	while (i < len)
	{
		unsigned char ch = p[i];

		if (ch >= 0x80 && !raw)
		{
			i += append_escaped(out, (const unsigned char *) p + i);
			continue;
		}
		if (ch == '"' || ch == '\\')
			appendStringInfo(out, "\\%c", ch);
		else if (ch < 0x20)
			appendStringInfo(out, "\\u%04x", ch);
		else
			appendStringInfoChar(out, ch);
		i++;
	}
	appendStringInfoChar(out, '"');
}

/* Append the bytes as a base64 string. */
static void
append_base64(StringInfo out, const char *p, size_t len)
{
	int room = pg_b64_enc_len((int) len);
	char *buf = palloc(room + 1);
	int n = pg_b64_encode((const void *) p, (int) len, (void *) buf, room);

	appendStringInfoChar(out, '"');
	if (n > 0)
		appendBinaryStringInfo(out, buf, n);
	appendStringInfoChar(out, '"');
	pfree(buf);
}

/* Append {"key":..., "value":...} or {"key":..., "base64":...}. */
static void
append_header(StringInfo out, const char *name, const char *value, size_t len)
{
	size_t name_len = strlen(name);

	appendStringInfoString(out, "{\"key\":");
	if (is_text(name, name_len))
		append_string(out, name, name_len);
	else
		append_base64(out, name, name_len);
	if (value == NULL)
		appendStringInfoString(out, ",\"value\":null");
	else if (is_text(value, len))
	{
		appendStringInfoString(out, ",\"value\":");
		append_string(out, value, len);
	}
	else
	{
		appendStringInfoString(out, ",\"base64\":");
		append_base64(out, value, len);
	}
	appendStringInfoChar(out, '}');
}

/* weir_message_headers: see kafka.h. */
char *
weir_message_headers(const KafkaMessage *m)
{
	rd_kafka_headers_t *headers;
	StringInfoData out;
	const char *name;
	const void *value;
	size_t len;
	size_t i;

	if (rd_kafka_message_headers((const rd_kafka_message_t *) m->handle,
								 &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) ==
				RD_KAFKA_RESP_ERR_NO_ERROR;
		 i++)
	{
		if (i > 0)
			appendStringInfoChar(&out, ',');
		append_header(&out, name, value, len);
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}
