/*
 * decode/debezium.c
 *		Debezium's envelopes in JSON: a change of a row to the row.
 *
 * Called by source.c and split.c for each message, in ingest workers and
 * backends; takes no lock and raises nothing once it is set up.
 *
 *		{"before": null, "after": {"id": 1, ...}, "source": {...}, "op": "c",
 *		 "ts_ms": 1704067200000}
 *
 * stands in the message as it is, or as the member "payload" beside "schema",
 * as the connector's converter is set up.  Columns are paths below "after", and
 * below "before" for a deletion; some are members of the envelope itself.  So
 * there are four sets of paths, of which a message needs one: which is known once
 * "op" is found.  The last message's set is tried first.
 *
 * A message without a row is none of the stream: a tombstone, a deletion that is
 * not wanted, the truncation of a table.
 */
#include "decode/decoder.h"

#include "lib/stringinfo.h"

/* What every form asks for, by these numbers. */
enum
{
	MEMBER_OP,
	MEMBER_BEFORE,
	MEMBER_AFTER
};

/* A way that the columns' values may lie in a message. */
typedef struct Form
{
	WjPaths *paths; /* the members first, then columns' */
	WjGuess *guess;
	WjValue *values;
} Form;

struct Debezium
{
	bool wrapped;     /* was the last message beside a schema? */
	Form forms[2][2]; /* by wrapped; by whether it is a deletion */
};

static void *
paths_alloc(size_t size, void *arg)
{
	return MemoryContextAlloc((MemoryContext) arg, size);
}

/* --- setting up ---------------------------------------------------------- */

/* A name, between quotes if it is to be one step of a path. */
static char *
quote_name(const char *name)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '"');
	for (; *name != '\0'; name++)
	{
		if (*name == '"' || *name == '\\')
			appendStringInfoChar(&buf, '\\');
		appendStringInfoChar(&buf, *name);
	}
	appendStringInfoChar(&buf, '"');
	return buf.data;
}

/* Where a column's value is in messages of a form. */
static char *
column_path(const StreamColumn *def, int wrapped, int deletion)
{
	const char *payload = wrapped ? "payload." : "";
	const char *row = deletion ? "before." : "after.";

	if (def->envelope)
		return psprintf("%s%s", payload, def->path);
	return psprintf("%s%s%s", payload, row,
					def->path_literal ? quote_name(def->path) : def->path);
}

static int
add_path(Form *form, const StreamColumn *def, const char *path)
{
	const char *error;
	int number = wj_paths_add(form->paths, path, false, &error);

	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("path \"%s\" of column \"%s\" is not valid",
							   def->path, def->name),
						errdetail("%s.", error)));
	return number;
}

/* Paths that are one in a form are one in all, so that they have one number. */
static void
init_form(Decoder *d, Source *src, int wrapped, int deletion)
{
	Form *form = &src->debezium->forms[wrapped][deletion];
	static const char *const members[2][3] = {{"op", "before", "after"},
											  {"payload.op", "payload.before",
											   "payload.after"}};
	const char *error;
	int i;

	form->paths = wj_paths_new(paths_alloc, d->cxt);
	for (i = 0; i < lengthof(members[wrapped]); i++)
		(void) wj_paths_add(form->paths, members[wrapped][i], false, &error);
	for (i = 0; i < src->ncolumns; i++)
	{
		Column *col = &src->columns[i];

		col->path = add_path(form, col->def,
							 column_path(col->def, wrapped, deletion));
	}
	form->guess = wj_guess_new(form->paths);
	form->values = palloc0(sizeof(WjValue) * wj_paths_count(form->paths));
}

/* The source has all its columns. */
void
weir_debezium_init(Decoder *d, Source *src)
{
	int wrapped;

	src->debezium = palloc0(sizeof(Debezium));
	for (wrapped = 0; wrapped < 2; wrapped++)
	{
		init_form(d, src, wrapped, 0);
		init_form(d, src, wrapped, 1);
	}
}

/* --- decoding ------------------------------------------------------------ */

/* The letter of the operation; 0: there is none in messages of this form. */
static char
operation(const WjValue *op)
{
	return op->type == WJ_STRING && op->len == 1 ? *op->ptr : '\0';
}

static WjStatus
scan(Form *form, const char *bytes, size_t len, size_t *at)
{
	return wj_scan(form->paths, form->guess, bytes, len, form->values, at);
}

static bool
fail(Decoder *d, int record, char *reason)
{
	weir_decode_fail(d, record, ERRCODE_INVALID_TEXT_REPRESENTATION, reason);
	return false;
}

/* The form that has an operation; NULL: the record failed. */
static Form *
find_form(Decoder *d, Source *src, int record, const char *bytes, size_t len)
{
	Debezium *dbz = src->debezium;
	size_t at = 0;
	int tries;

	for (tries = 0; tries < 2; tries++)
	{
		Form *form = &dbz->forms[dbz->wrapped][0];
		WjStatus status = scan(form, bytes, len, &at);

		if (unlikely(status != WJ_OK))
		{
			(void) fail(d, record,
						psprintf("malformed JSON at byte %zu: %s", at,
								 wj_status_text(status)));
			return NULL;
		}
		if (likely(operation(&form->values[MEMBER_OP]) != '\0'))
			return form;
		dbz->wrapped = !dbz->wrapped;
	}
	(void) fail(d, record,
				pstrdup("message is no Debezium envelope: it has no \"op\""));
	return NULL;
}

/* All columns of the source.  False: the record failed, or there is none. */
bool
weir_debezium_decode(Decoder *d, Source *src, int record, const char *bytes,
					 size_t len)
{
	Form *form = find_form(d, src, record, bytes, len);
	int row = MEMBER_AFTER;

	if (form == NULL)
		return false;
	switch (operation(&form->values[MEMBER_OP]))
	{
		case 'c':
		case 'r':
		case 'u':
			break;
		case 'd':
			if (d->stream->deletes)
			{
				form = &src->debezium->forms[src->debezium->wrapped][1];
				(void) scan(form, bytes, len, NULL);
				row = MEMBER_BEFORE;
				break;
			}
			/* FALLTHROUGH */
		case 't':
		case 'm':
			d->no_record = true;
			return false;
		default:
			return fail(d, record,
						psprintf("message is no Debezium envelope: \"op\" is \"%c\"",
								 *form->values[MEMBER_OP].ptr));
	}
	if (unlikely(form->values[row].type != WJ_OBJECT))
		return fail(d, record,
					psprintf("message is no Debezium envelope: \"%s\" is no object",
							 row == MEMBER_AFTER ? "after" : "before"));
	src->scanned = form->values;
	return weir_convert_values(d, src, record);
}
