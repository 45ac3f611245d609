/*
 * checkpoint/notify.c
 *		What a checkpoint notifies: alerts, and that windows have closed.
 *
 * Runs in the coordinator, in the transaction of a checkpoint.  NOTIFY leaves with
 * the commit: who hears of a window finds its rows, and nobody hears of what was
 * rolled back.  A commit that notifies is synchronous (choose_durability in
 * commit.c), so nobody hears either of what a crash undoes.
 */
#include "base/weir.h"

#include "checkpoint/final_internal.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* A queue that nobody empties must not stop checkpoints. */
#define QUEUE_MOST 0.5

bool
weir_checkpoint_notify(CheckpointView *v, const char *channel,
					   const char *payload)
{
	if (DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage,
										   (Datum) 0)) > QUEUE_MOST)
		return false;
	Async_Notify(channel, payload);
	v->notifies = true;
	return true;
}

static void
append_time(StringInfo s, const char *name, int64 time, Oid type)
{
	char buf[MAXDATELEN + 1];

	JsonEncodeDateTime(buf, TimestampTzGetDatum(time), type, NULL);
	appendStringInfo(s, ", \"%s\": \"%s\"", name, buf);
}

/* Names and times have a bounded length, so there is always room for it. */
static char *
payload_of(const FinalWriter *w)
{
	const CheckpointView *v = w->v;
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoString(&s, "{\"view\": ");
	escape_json(&s, v->row->name);
	appendStringInfo(&s, ", \"windows\": " INT64_FORMAT,
					 v->next.windows_final - v->progress.windows_final);
	append_time(&s, "first_start", w->first_start, v->plan->window.type);
	append_time(&s, "last_end", w->last_end, v->plan->window.type);
	appendStringInfo(&s, ", \"rows\": " INT64_FORMAT "}", w->nrows);
	return s.data;
}

void
weir_notify_closing(FinalWriter *w)
{
	CheckpointView *v = w->v;

	if (v->row->notify == NULL ||
		v->next.windows_final == v->progress.windows_final)
		return;
	if (!weir_checkpoint_notify(v, v->row->notify, payload_of(w)))
		ereport(LOG,
				(errmsg("closed windows of continuous view \"%s\" are not notified: the queue of notifications is full",
						v->row->name)));
}
