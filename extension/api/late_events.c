/*
 * api/late_events.c
 *		What weir.late_events shows of a message: its bytes as jsonb.
 *
 * Backends that read the view.  Not every message that a stream takes is jsonb: it
 * may be raw, or hold \u0000, or a number that numeric cannot.  Such a row shows
 * NULL; the bytes are beside it.  The input function runs in a subtransaction, so
 * its errors leave nothing behind.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "api/as_jsonb.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(weir_message_as_jsonb);

/* Errors that are not the message's. */
static bool
is_mine(const ErrorData *e)
{
	int category = ERRCODE_TO_CATEGORY(e->sqlerrcode);

	return category != ERRCODE_OPERATOR_INTERVENTION &&
		   category != ERRCODE_INSUFFICIENT_RESOURCES &&
		   category != ERRCODE_INTERNAL_ERROR;
}

static Datum
parse(const char *bytes, size_t len, int encoding)
{
	char *text = pnstrdup(bytes, len);

	if (memchr(text, '\0', len) != NULL)
		ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
						errmsg("the message is no text")));
	text = pg_any_to_server(text, (int) len, encoding);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

bool
weir_as_jsonb(const char *bytes, size_t len, int encoding, Datum *jsonb)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		*jsonb = parse(bytes, len, encoding);
		ReleaseCurrentSubTransaction();
		ok = true;
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(cxt);
		e = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_mine(e))
			ReThrowError(e);
		FreeErrorData(e);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return ok;
}

Datum
weir_message_as_jsonb(PG_FUNCTION_ARGS)
{
	bytea *message = PG_GETARG_BYTEA_PP(0);
	Datum result;

	if (!weir_as_jsonb(VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message),
					   PG_UTF8, &result))
		PG_RETURN_NULL();
	return result;
}
