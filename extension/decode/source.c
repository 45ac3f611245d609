/*
 * decode/source.c
 *		The bytes of a message's value, or of its key, to its columns: one
 *		function for each format.
 *
 * Called by decode.c for each record, in ingest workers and backends; takes no
 * lock and raises nothing.  A scanner of core/ checks all of the bytes and notes
 * where the values are; convert.c makes Datums of them.
 */
#include "decode/decoder.h"

static void *
paths_alloc(size_t size, void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, size);
}

/* --- setting up ---------------------------------------------------------- */

/* Without columns yet; memory in the current context. */
void
weir_source_init(Decoder *d, Source *src, StreamFormat format, bool key)
{
	const StreamCsv *csv = &d->stream->csv;

	src->format = format;
	src->key = key;
	src->columns = palloc0(sizeof(Column) * Max(d->stream->ncolumns, 1));
	if (format == STREAM_JSON)
		src->paths = wj_paths_new(paths_alloc, d->cxt);
	if (format == STREAM_CSV)
		wsv_dialect(&src->csv, csv->delimiter, csv->quote, csv->escape,
					csv->null);
}

static int
add_path(Source *src, const Column *col)
{
	const char *error;
	int path;

	path = wj_paths_add(src->paths, col->def->path, col->def->path_literal,
						&error);
	if (path < 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("path \"%s\" of column \"%s\" is not valid",
							   col->def->path, col->def->name),
						errdetail("%s.", error)));
	return path;
}

/* The next of its columns, which is initialised already. */
void
weir_source_add(Decoder *d, Source *src, Column *col)
{
	if (src->format == STREAM_JSON)
		col->path = add_path(src, col);
	else
		col->path = src->ncolumns;
	src->ncolumns++;
}

/* All columns are added. */
void
weir_source_ready(Decoder *d, Source *src)
{
	int n = src->ncolumns;

	if (n > 0 &&
		(src->format == STREAM_AVRO || src->format == STREAM_AVRO_CONFLUENT))
		weir_avro_init(d, src);
	if (src->format == STREAM_JSON)
	{
		src->guess = wj_guess_new(src->paths);
		n = wj_paths_count(src->paths);
	}
	if (src->format == STREAM_DEBEZIUM)
		weir_debezium_init(d, src);
	src->scanned = palloc0(sizeof(WjValue) * Max(n, 1));
}

/* --- decoding ------------------------------------------------------------ */

static bool
malformed(Decoder *d, const Source *src, int record, const char *format,
		  size_t at, const char *why)
{
	weir_decode_fail(d, record, ERRCODE_INVALID_TEXT_REPRESENTATION,
					 psprintf("%smalformed %s at byte %zu: %s",
							  src->key ? "key: " : "", format, at, why));
	return false;
}

static bool
decode_json(Decoder *d, Source *src, int record, const char *bytes, size_t len)
{
	size_t at = 0;
	size_t i = 0;
	WjStatus status;

	status = wj_scan(src->paths, src->guess, bytes, len, src->scanned, &at);
	if (unlikely(status != WJ_OK))
		return malformed(d, src, record, "JSON", at, wj_status_text(status));
	/* Only white space can stand before the first brace. */
	while ((unsigned char) bytes[i] <= ' ')
		i++;
	if (unlikely(bytes[i] != '{'))
		return malformed(d, src, record, "JSON", i,
						 src->key ? "key is not an object"
								  : "message is not an object");
	return weir_convert_values(d, src, record);
}

/* Quotes that are doubled become one, in memory of the batch. */
static void
unescape_fields(Decoder *d, Source *src)
{
	int i;

	for (i = 0; i < src->ncolumns; i++)
	{
		WjValue *v = &src->scanned[i];
		char *room;

		if (likely(!v->escaped))
			continue;
		room = weir_convert_room(d, v->len);
		v->len = (uint32) wsv_unescape(&src->csv, v->ptr, v->len, room);
		v->ptr = room;
		v->escaped = false;
	}
}

static bool
decode_csv(Decoder *d, Source *src, int record, const char *bytes, size_t len)
{
	size_t at = 0;
	WsvStatus status;

	status = wsv_scan(&src->csv, bytes, len, src->ncolumns, src->scanned, &at);
	if (unlikely(status != WSV_OK))
		return malformed(d, src, record, "CSV", at, wsv_status_text(status));
	unescape_fields(d, src);
	return weir_convert_values(d, src, record);
}

static bool
decode_raw(Decoder *d, Source *src, int record, const char *bytes, size_t len)
{
	int i;

	for (i = 0; i < src->ncolumns; i++)
	{
		if (!weir_convert_bytes(d, &src->columns[i], record, bytes, len))
			return false;
	}
	return true;
}

/* All columns of the source.  False: the record failed. */
bool
weir_source_decode(Decoder *d, Source *src, int record, const char *bytes,
				   size_t len)
{
	switch (src->format)
	{
		case STREAM_JSON:
			return decode_json(d, src, record, bytes, len);
		case STREAM_CSV:
			return decode_csv(d, src, record, bytes, len);
		case STREAM_DEBEZIUM:
			return weir_debezium_decode(d, src, record, bytes, len);
		case STREAM_AVRO:
		case STREAM_AVRO_CONFLUENT:
			return weir_avro_decode(d, src, record, bytes, len);
		case STREAM_RAW:
			break;
	}
	return decode_raw(d, src, record, bytes, len);
}
