/*
 * catalog/place.c
 *		Places in a topic (see place.h).
 *
 * Backends, when a view or stream is defined, and coordinators, which look the
 * place up at the broker.  No locks; results in the current memory context.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "catalog/place.h"
#include "catalog/view.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

/* --- offsets -------------------------------------------------------------------- */

/* A whole number that is not negative, of at most max; -1: it is none. */
static int64
read_number(const char *text, int64 max)
{
	char *end;
	long long n;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return *end != '\0' || errno != 0 || n > max ? -1 : n;
}

/* Note one member of the object; false: it is no partition with an offset. */
static bool
add_offset(Place *place, const JsonbValue *key, const JsonbValue *value)
{
	int64 p = read_number(pnstrdup(key->val.string.val, key->val.string.len),
						  PLACE_MAX_PARTITIONS - 1);
	int64 offset;

	if (p < 0 || value->type != jbvNumeric)
		return false;
	offset = read_number(DatumGetCString(
							 DirectFunctionCall1(numeric_out,
												 NumericGetDatum(
													 value->val.numeric))),
						 PG_INT64_MAX - 1);
	if (p >= place->noffsets)
		place->offsets = repalloc(place->offsets, sizeof(int64) * (p + 1));
	for (; place->noffsets <= p; place->noffsets++)
		place->offsets[place->noffsets] = -1;
	place->offsets[p] = offset;
	return offset >= 0;
}

static const char *
parse_offsets(const char *text, Place *place)
{
	static const char why[] =
		"Offsets are whole numbers by partition, such as {\"0\": 17, \"1\": 4}.";
	Jsonb *jb = DatumGetJsonbP(
		DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbIterator *it = JsonbIteratorInit(&jb->root);
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(jb))
		return why;
	place->kind = PLACE_OFFSETS;
	place->offsets = palloc(sizeof(int64));
	(void) JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (!add_offset(place, &key, &value))
			return why;
	}
	return NULL;
}

/* --- times ---------------------------------------------------------------------- */

/* Times begin with no sign, and end with no "ago". */
static bool
is_interval(const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	return (text[0] == '-' && pg_strcasecmp(text, "-infinity") != 0) ||
		   (len > 4 && pg_strncasecmp(text + len - 4, " ago", 4) == 0);
}

static const char *
parse_interval(const char *text, Place *place)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum interval = DirectFunctionCall3(interval_in, CStringGetDatum(text),
										 ObjectIdGetDatum(InvalidOid),
										 Int32GetDatum(-1));

	place->kind = PLACE_TIME;
	place->time = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now),
							interval));
	return place->time < now
			   ? NULL
			   : "An interval counts back from now, as \"1 hour ago\" does.";
}

static const char *
parse_time(const char *text, Place *place)
{
	place->kind = PLACE_TIME;
	place->time = DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return TIMESTAMP_NOT_FINITE(place->time) ? "The time is infinite." : NULL;
}

/* --- all of them ------------------------------------------------------------------ */

const char *
weir_place_parse(const char *text, Place *place)
{
	memset(place, 0, sizeof(*place));
	while (isspace((unsigned char) *text))
		text++;
	if (strcmp(text, "earliest") == 0)
		place->kind = PLACE_EARLIEST;
	else if (strcmp(text, "latest") == 0)
		place->kind = PLACE_LATEST;
	else if (text[0] == '{' || text[0] == '[')
		return parse_offsets(text, place);
	else if (is_interval(text))
		return parse_interval(text, place);
	else
		return parse_time(text, place);
	return NULL;
}

/* Offsets in the order of their partitions. */
static char *
offsets_text(const Place *place)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int p = 0; p < place->noffsets; p++)
		if (place->offsets[p] >= 0)
			appendStringInfo(&s, "%s\"%d\": " INT64_FORMAT, s.len ? ", " : "{",
							 p, place->offsets[p]);
	appendStringInfoString(&s, s.len ? "}" : "{}");
	return s.data;
}

char *
weir_place_normal(const char *what, const char *text)
{
	Place place;
	const char *why = weir_place_parse(text, &place);
	char *kept;
	int nest;

	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be \"earliest\", \"latest\", a finite time, an interval back from now or offsets by partition",
						what),
				 errdetail("%s", why)));
	if (place.kind == PLACE_EARLIEST || place.kind == PLACE_LATEST)
		return pstrdup(place.kind == PLACE_EARLIEST ? "earliest" : "latest");
	if (place.kind == PLACE_OFFSETS)
		return offsets_text(&place);
	nest = weir_plain_settings_enter();
	kept = DatumGetCString(
		DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(place.time)));
	weir_settings_leave(nest);
	return kept;
}

void
weir_place_read(const char *kept, Place *place)
{
	if (weir_place_parse(kept, place) != NULL)
		elog(ERROR, "no place in a topic: %s", kept);
}

char *
weir_place_misfit(const Place *place, int npartitions)
{
	if (place->kind != PLACE_OFFSETS)
		return NULL;
	for (int p = 0; p < npartitions; p++)
		if (p >= place->noffsets || place->offsets[p] < 0)
			return psprintf("no offset is given for partition %d", p);
	if (place->noffsets > npartitions)
		return psprintf("an offset is given for partition %d, and there are only %d",
						place->noffsets - 1, npartitions);
	return NULL;
}
