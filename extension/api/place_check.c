/*
 * api/place_check.c
 *		Where a view begins and ends, as users say it (see place_check.h).
 *
 * Backends, in the transaction that defines or resets a view.  Asks for up to
 * weir.broker_timeout, interruptibly; the connection is closed before this
 * returns or raises.  What cannot be found out now the view's lane finds out
 * (worker/positions.c).
 */
#include "base/weir.h"

#include "access/xact.h"
#include "api/place_check.h"
#include "base/guc.h"
#include "catalog/place.h"
#include "kafka/kafka.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Partitions of the topic; -1, after a warning: there is no answer, or none. */
static int
ask_partitions(const StreamDef *stream)
{
	char err[256];
	int n = 0;
	KafkaClient *client = weir_client_open(stream->settings, err, sizeof(err));
	bool ok = client != NULL;

	PG_TRY();
	{
		ok = ok && weir_client_partitions(client, stream->topic,
										  weir_settings.broker_timeout_ms, &n,
										  err, sizeof(err));
	}
	PG_FINALLY();
	{
		if (client)
			weir_client_close(client);
	}
	PG_END_TRY();
	if (!ok)
		ereport(WARNING, (errcode(ERRCODE_CONNECTION_FAILURE),
						  errmsg("the broker does not answer: %s", err),
						  errhint("The view starts as soon as it does.")));
	else if (n == 0)
		ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT),
						  errmsg("topic \"%s\" does not exist", stream->topic),
						  errhint("The view starts as soon as it does.")));
	return ok && n > 0 ? n : -1;
}

void
weir_check_place(const StreamDef *stream, const char *what, const char *kept)
{
	int n = ask_partitions(stream);
	Place place;
	char *misfit;

	weir_place_read(kept, &place);
	misfit = n < 0 ? NULL : weir_place_misfit(&place, n);
	if (misfit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s does not fit topic \"%s\": %s", what, stream->topic,
						misfit),
				 errhint("Give an offset for each of its %d partitions, such as {\"0\": 17, \"1\": 4}.",
						 n)));
}

char *
weir_read_until(text *until)
{
	char *kept = weir_place_normal("until", text_to_cstring(until));
	Place place;

	weir_place_read(kept, &place);
	if (place.kind == PLACE_EARLIEST)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("until must not be \"earliest\""),
						errdetail("There would be nothing to read.")));
	if (place.kind == PLACE_TIME &&
		place.time > GetCurrentTransactionStartTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must not lie in the future"),
				 errdetail(
					 "A time stands for offsets, which nobody knows before."),
				 errhint(
					 "Use \"latest\" to stop at what there is now, or offsets.")));
	return kept;
}

void
weir_check_until(const StreamDef *stream, const char *until)
{
	if (until && until[0] == '{')
		weir_check_place(stream, "until", until);
}
