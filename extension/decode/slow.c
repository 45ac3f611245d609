/*
 * decode/slow.c
 *		The values that only their types' input functions know, and JSON arrays
 *		for columns of array types (array.c).
 *
 * Runs in ingest workers and backends, inside their transaction, after the
 * records of a batch were scanned (decode.c).  Input functions may raise, and
 * before PostgreSQL 16 there is no other way to ask them.  So all values of a
 * batch are converted in one internal subtransaction, which costs next to
 * nothing; if one raises, that is rolled back and the batch is gone through
 * again with a subtransaction for each record, so that only the bad ones become
 * errors.  A record's outcome does not depend on its neighbours.
 *
 * Conditions that are not the message's fault (cancel, shutdown, no memory,
 * deadlock, input/output) are raised again.
 *
 * Memory: what input functions return, and leave behind, is in batch.cxt.
 */
#include "decode/decoder.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "catalog/view.h"
#include "decode/decimal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Reasons are kept with the dead letters: input functions may quote megabytes. */
#define MAX_REASON 1000

/* Room for a text of that many bytes, reused for each value. */
static char *
text_room(Decoder *d, Size size)
{
	if (size > d->text_size)
	{
		if (d->text != NULL)
			pfree(d->text);
		d->text = NULL;
		d->text_size = 0;
		d->text = MemoryContextAllocHuge(d->cxt, size * 2);
		d->text_size = size * 2;
	}
	return d->text;
}

/*
 * What the input function is given: terminated, in the server's encoding, NULL
 * for no value.  Raises.
 */
static char *
slow_text(Decoder *d, const SlowValue *slow)
{
	const WjValue *v = &slow->value;
	const char *start = v->ptr;
	int64 len = v->len;
	char *text;

	if (v->type == WJ_NULL)
		return NULL;
	if (slow->column->whole_json && v->type == WJ_STRING)
	{
		start--;
		len += 2;
	}
	text = text_room(d, (Size) len + 1);
	if (v->escaped && !slow->column->whole_json)
	{
		len = wj_unescape(start, len, text);
		if (len < 0)
			ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
							errmsg("unsupported Unicode escape sequence"),
							errdetail("\\u0000 cannot be converted to text.")));
	}
	else
		memcpy(text, start, len);
	text[len] = '\0';
	if (!slow->server_encoding && !d->plain_utf8)
		return pg_any_to_server(text, (int) len, PG_UTF8);
	return text;
}

/* Microseconds since 1970, which are in range, as the column's type. */
Datum
weir_column_datum(const Column *col, int64 us)
{
	int64 timestamp = us - WEIR_EPOCH_SHIFT;
	int64 days;

	if (col->kind == CONV_DATE)
	{
		days = timestamp / USECS_PER_DAY;
		if (timestamp % USECS_PER_DAY < 0)
			days--;
		return DateADTGetDatum((DateADT) days);
	}
	/* timestamp and timestamptz are rounded alike, and never out of range */
	if (col->def->typmod >= 0 && col->def->typmod < MAX_TIMESTAMP_PRECISION)
		return DirectFunctionCall2(timestamp_scale, TimestampGetDatum(timestamp),
								   Int32GetDatum(col->def->typmod));
	return TimestampGetDatum(timestamp);
}

bool
weir_is_time(const Column *col)
{
	return col->kind == CONV_TIMESTAMPTZ || col->kind == CONV_TIMESTAMP ||
		   col->kind == CONV_DATE;
}

/* Does the type's input function know words for the moment it runs at? */
static bool
reads_clock(const Column *col)
{
	switch (getBaseType(col->def->type))
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return false;
	}
}

/* History must replay alike: "now" and its like would not. */
static bool
names_moment(const char *text)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	while (*text)
	{
		const char *start = text;

		while (isalpha((unsigned char) *text))
			text++;
		for (int i = 0; i < (int) lengthof(words); i++)
			if (text - start == (ptrdiff_t) strlen(words[i]) &&
				pg_strncasecmp(start, words[i], text - start) == 0)
				return true;
		if (text == start)
			text++;
	}
	return false;
}

/* A numeric time that convert.c could not decide.  Raises. */
static Datum
slow_time(const Column *col, char *text)
{
	int64 us;

	if (col->def->unit_num <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("numeric time needs the column option \"unit\"")));
	us = weir_numeric_time(text, col->def->unit_num, col->def->unit_den);
	if (!weir_time_in_range(us))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
	return weir_column_datum(col, us);
}

/*
 * One value as its column's type defines it, in the current context.  Raises.
 * A JSON string for an array is in the notation of array_in.
 */
Datum
weir_slow_datum(Decoder *d, const SlowValue *slow, bool *isnull)
{
	Column *col = slow->column;
	WjType type = slow->value.type;
	char *text;

	*isnull = type == WJ_NULL;
	if (col->array != NULL && type != WJ_NULL && type != WJ_STRING)
		return weir_array_datum(d, slow);
	text = slow_text(d, slow);
	if (text != NULL && weir_is_time(col) &&
		(type == WJ_NUMBER || (col->def->unit_num > 0 && type == WJ_STRING &&
							   wj_is_number(text, strlen(text)))))
		return slow_time(col, text);
	if (text != NULL && reads_clock(col) && names_moment(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("a time must not depend on when it is read: \"%s\"",
						text)));
	return InputFunctionCall(&col->input, text, col->ioparam, col->def->typmod);
}

static void
convert_slow(Decoder *d, const SlowValue *slow)
{
	Column *col = slow->column;
	bool isnull;
	Datum value = weir_slow_datum(d, slow, &isnull);

	if (col->store)
	{
		col->values[slow->record] = value;
		col->nulls[slow->record] = isnull;
	}
}

static void
convert_range(Decoder *d, int from, int to)
{
	int i;

	for (i = from; i < to; i++)
	{
		d->current = &d->slow[i];
		convert_slow(d, d->current);
	}
}

/* Is this no message's fault? */
static bool
must_rethrow(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return sqlstate == ERRCODE_DATA_CORRUPTED ||
				   sqlstate == ERRCODE_INDEX_CORRUPTED;
	}
}

/*
 * Convert the values in a subtransaction.  NULL: done, else what was raised,
 * by d->current, in the current context.
 */
static ErrorData *
try_range(Decoder *d, int from, int to)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		convert_range(d, from, to);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (error != NULL && must_rethrow(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/* Note that d->current's record is bad. */
static void
fail_current(Decoder *d, const ErrorData *error)
{
	const SlowValue *slow = d->current;
	StringInfoData reason;

	initStringInfo(&reason);
	appendStringInfo(&reason, "column \"%s\": %s", slow->column->def->name,
					 error->message);
	if (error->detail != NULL)
		appendStringInfo(&reason, " (%s)", error->detail);
	if (reason.len > MAX_REASON)
		reason.data[pg_mbcliplen(reason.data, reason.len, MAX_REASON)] = '\0';
	weir_decode_fail(d, slow->record, error->sqlerrcode, reason.data);
}

/* Go through the records one by one; some of them fail. */
static void
convert_each(Decoder *d)
{
	int from;
	int to;

	for (from = 0; from < d->nslow; from = to)
	{
		int record = d->slow[from].record;
		ErrorData *error;

		CHECK_FOR_INTERRUPTS();
		for (to = from + 1; to < d->nslow && d->slow[to].record == record;)
			to++;
		error = try_range(d, from, to);
		if (error != NULL)
			fail_current(d, error);
	}
}

/*
 * Convert what was put aside; records that fail go to the batch's errors, which
 * are no longer ascending then.  While a parallel query runs PostgreSQL 15 and
 * 16 begin no subtransaction: there, a bad value fails the query.
 */
static void
convert(Decoder *d)
{
	if (IsInParallelMode())
		convert_range(d, 0, d->nslow);
	else if (try_range(d, 0, d->nslow) != NULL)
		convert_each(d);
}

/* As the stream's owner where that may run code of users, whoever reads it. */
void
weir_convert_slow(Decoder *d)
{
	bool pushed = false;
	WeirUser user;

	if (d->nslow == 0)
		return;
	if (!d->needs_snapshot)
	{
		convert(d);
		return;
	}
	user = weir_become_stream_owner(d->stream->owner);
	if (!ActiveSnapshotSet())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		pushed = true;
	}
	convert(d);
	if (pushed)
		PopActiveSnapshot();
	weir_become_again(user);
}
