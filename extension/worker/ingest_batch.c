/*
 * worker/ingest_batch.c
 *		A batch of messages through decode and every view of the lane.
 *
 * One transaction per batch.  Messages that hold many records are several batches,
 * with room for a barrier between them.  Decoding runs as the stream's owner and each view
 * as its own, in security-restricted operations.  A view that raises for what is
 * no row's fault fails alone; the others go on with the batch.
 *
 * Without memory the batch waits (ingest_memory.c).  A view that has not applied
 * all of it has not published more than it has applied.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "checkpoint/checkpoint.h"
#include "exec/join.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "worker/ingest.h"

#define LETTER_PATIENCE_US (20 * USECS_PER_SEC)
#define CUT_US             (60 * USECS_PER_SEC)

/* --- messages that cannot be used --------------------------------------------------- */

/* Large ones are cut for a while after one has waited for nothing. */
static bool
try_letter(Ingest *in, const KafkaMessage *m, int sqlstate, const char *reason)
{
	Letter **list = &in->self->letters;

	return weir_letter_dead(list, m, 0, sqlstate, reason, false) ||
		   (weir_clock_monotonic() < in->cut_until &&
			weir_letter_dead(list, m, 0, sqlstate, reason, true));
}

/*
 * Keep the message, waiting for room where needed: for the commit of letters
 * before it, mostly, since windows leave some.  False: the stream stops here.
 */
static bool
dead_letter(Ingest *in, const KafkaMessage *m, int sqlstate, const char *reason)
{
	int64 since = weir_clock_monotonic();

	if (in->stream->on_error == STREAM_SKIP || !weir_letter_is_wanted(in->self))
		return true;
	while (!try_letter(in, m, sqlstate, reason))
	{
		int64 now = weir_clock_monotonic();

		if (now - since > 2 * LETTER_PATIENCE_US)
		{
			weir_ingest_fail_all(in, ERRCODE_OUT_OF_MEMORY,
								 "no room for a dead letter in weir.memory_limit");
			return false;
		}
		if (now - since > LETTER_PATIENCE_US)
			in->cut_until = now + CUT_US;
		weir_ingest_wait_begin(in, 0);
		weir_ingest_wait_step(in, true);
		weir_ingest_wait_end(in);
	}
	in->self->published++;
	return true;
}

/* Is this one dead letter too many, for a stream that stops then? */
static bool
is_too_many(const Ingest *in)
{
	return in->self->letters_full &&
		   in->stream->letters_full == STREAM_FULL_STOP;
}

/* Has somebody said that nothing is to stop at this message? */
static bool
is_skipped(const Ingest *in, const KafkaMessage *m)
{
	bool skipped;

	PushActiveSnapshot(GetTransactionSnapshot());
	skipped = weir_letter_is_skipped(in->stream->relid, m->partition, m->offset);
	PopActiveSnapshot();
	return skipped;
}

bool
weir_ingest_stops_at(Ingest *in, const KafkaMessage *m, int sqlstate,
					 const char *reason)
{
	char text[WEIR_ERROR_LEN];

	if (is_too_many(in))
		reason =
			"the stream has as many dead letters as dead_letters_limit allows";
	else if (in->stream->on_error != STREAM_STOP || is_skipped(in, m))
		return false;
	snprintf(text, sizeof(text),
			 "message at partition %d, offset " INT64_FORMAT
			 " cannot be used: %s",
			 m->partition, m->offset, reason);
	weir_ingest_fail_all(in, sqlstate, text);
	return true;
}

/* Do some views need an event time, and do all? */
static void
who_needs_time(const Ingest *in, bool *some, bool *all)
{
	*some = false;
	*all = true;
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
		{
			*some = *some || in->views[i].plan->needs_time;
			*all = *all && in->views[i].plan->needs_time;
		}
}

/* Messages without an event time.  False: the stream stops here. */
static bool
note_untimed(Ingest *in, const EventBatch *b)
{
	static const char no_time[] = "the message has no event time";
	bool some;
	bool all;

	who_needs_time(in, &some, &all);
	for (int i = 0; some && i < b->n; i++)
	{
		if (!b->ok[i] || b->event_time[i] != WEIR_NO_TIME)
			continue;
		if (all && weir_ingest_stops_at(in, &b->msgs[i],
										ERRCODE_NULL_VALUE_NOT_ALLOWED, no_time))
			return false;
		if (!dead_letter(in, &b->msgs[i], ERRCODE_NULL_VALUE_NOT_ALLOWED,
						 no_time))
			return false;
	}
	return true;
}

/* False: the stream stops here. */
static bool
note_undecoded(Ingest *in, const EventBatch *b)
{
	for (int i = 0; i < b->nerrors; i++)
	{
		const DecodeError *e = &b->errors[i];
		const KafkaMessage *m = &b->msgs[e->record];

		if (weir_ingest_stops_at(in, m, e->sqlstate, e->reason) ||
			!dead_letter(in, m, e->sqlstate, e->reason))
			return false;
	}
	return note_untimed(in, b);
}

/* --- one view --------------------------------------------------------------------------- */

/*
 * Apply the batch, waiting for memory where needed.  False: not all of it, and
 * what is applied is published.
 */
static bool
apply_rows(Ingest *in, IngestView *v, const EventBatch *b)
{
	weir_apply_begin(v->apply, b);
	while (!weir_apply_run(v->apply, b))
	{
		if (v->apply->next_row >= 0)
			weir_apply_publish_part(v->apply, b);
		if (!weir_ingest_wait(in, v))
			return false;
		weir_apply_single_rows(v->apply);
	}
	weir_ingest_wait_over(in, v);
	return true;
}

/*
 * Apply a replayed letter: all of it or nothing, as it must not be committed in
 * part.  Without room it is tried again later; in the one case in which a part is
 * applied by then, the view starts anew from its last commit.
 */
static bool
apply_again(Ingest *in, IngestView *v, const EventBatch *b)
{
	ViewApply *a = v->apply;

	weir_apply_begin(a, b);
	if (weir_apply_run(a, b))
	{
		weir_letter_add(&in->self->kept, weir_letter_take(&in->self->replay));
		in->replayed = NULL;
		return true;
	}
	if (a->next_row > 0)
		weir_ingest_fail_view(in, v, ERRCODE_SUCCESSFUL_COMPLETION, "");
	else
		weir_apply_go_back(a);
	return false;
}

/* Apply the batch to one view, as its owner. */
static void
apply_view(Ingest *in, IngestView *v, const EventBatch *b)
{
	WeirUser before = weir_become_owner(v->row->owner);
	int nest = 0;
	bool applied;
	bool again;

	if (v->plan->needs_snapshot)
		nest = weir_settings_enter(v->row);
	if (v->apply->join)
		weir_join_refresh(v->apply->join,
						  weir_settings.join_refresh_ms * INT64CONST(1000));
	again = in->replayed != NULL;
	applied = again ? apply_again(in, v, b) : apply_rows(in, v, b);
	if (v->plan->needs_snapshot)
		weir_settings_leave(nest);
	weir_become_again(before);
	if (!applied)
		return;
	if (!again)
		weir_lost_take_last(in, v->apply);
	WEIR_FAULT("ingest-before-publish");
	weir_ingest_stage(in, STAGE_PUBLISH);
	weir_apply_publish(v->apply);
	weir_ingest_stage(in, STAGE_APPLY);
}

void
weir_ingest_begin_transaction(const Ingest *in)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (in->needs_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
}

void
weir_ingest_end_transaction(const Ingest *in)
{
	if (in->needs_snapshot)
		PopActiveSnapshot();
	CommitTransactionCommand();
}

void
weir_ingest_try_view(Ingest *in, IngestView *v, const EventBatch *b)
{
	PG_TRY();
	{
		apply_view(in, v, b);
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(in->cxt);
		e = CopyErrorData();
		if (ProcDiePending)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		/* A table that is locked before it was ever read: it comes again. */
		weir_ingest_fail_view(in, v, e->sqlerrcode,
							  weir_is_lock_error(e) ? "" : e->message);
		FreeErrorData(e);
		weir_ingest_begin_transaction(in);
	}
	PG_END_TRY();
}

/* --- before a barrier ------------------------------------------------------------------ */

/* As its owner; false: not even what is kept for checkpoints has room. */
static bool
settle(IngestView *v)
{
	WeirUser before = weir_become_owner(v->row->owner);
	int nest = 0;
	bool settled;

	if (v->plan->needs_snapshot)
		nest = weir_settings_enter(v->row);
	settled = weir_apply_settle(v->apply, true);
	if (v->plan->needs_snapshot)
		weir_settings_leave(nest);
	weir_become_again(before);
	return settled;
}

/* In a subtransaction, as a batch may be waiting for memory in this one. */
static void
try_settle(Ingest *in, IngestView *v)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool settled = false;
	volatile int sqlstate = ERRCODE_OUT_OF_MEMORY;
	const char *volatile reason =
		"the states of its aggregates do not fit in weir.memory_limit";

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		settled = settle(v);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(in->cxt);
		e = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (ProcDiePending)
			ReThrowError(e);
		sqlstate = e->sqlerrcode;
		reason = e->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (!settled)
		weir_ingest_fail_view(in, v, sqlstate, (const char *) reason);
}

void
weir_ingest_settle(Ingest *in)
{
	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];
		bool own = !IsTransactionState();

		if (v->apply == NULL || weir_apply_is_settled(v->apply))
			continue;
		if (own)
			weir_ingest_begin_transaction(in);
		try_settle(in, v);
		if (own)
			weir_ingest_end_transaction(in);
	}
}

/* --- what others see of it ------------------------------------------------------------ */

void
weir_ingest_note_progress(Ingest *in, const EventBatch *b)
{
	Lane *lane = in->lane;
	int64 now = weir_clock_monotonic();

	for (int i = 0; i < b->n; i++)
	{
		LanePartition *p = &lane->parts[b->partition[i]];

		p->position = b->offset[i] + 1;
		if (!b->ok[i] || b->event_time[i] == WEIR_NO_TIME)
			continue;
		p->last_event = now;
		p->silent = false;
	}
	for (int i = 0; i < in->nlast; i++)
		lane->parts[in->last[i].partition].timestamp = in->last[i].timestamp;
	weir_ingest_note_latency(in, b);
	in->second_events += b->n;
}

/*
 * A partition is silent if it was read to its end and has brought no event for
 * idle_timeout.  Whether it is idle, too, its leader has to say (closing.c).
 */
static void
note_silence(const Ingest *in, LanePartition *p, int64 now)
{
	bool silent = p->at_end && !in->self->broker_down &&
				  now - p->last_event > in->stream->idle_timeout;

	if (silent && !p->silent)
	{
		p->silent_at = now;
		pg_write_barrier();
	}
	p->silent = silent;
}

void
weir_ingest_note_partitions(Ingest *in)
{
	Lane *lane = in->lane;
	int64 now = weir_clock_monotonic();

	for (int i = 0; i < lane->npartitions; i++)
	{
		LanePartition *p = &lane->parts[i];
		int64 low;
		int64 high;

		if (p->worker != in->worker)
			continue;
		if (weir_consumer_watermarks(in->consumer, p->partition, &low, &high))
			p->high = high;
		if (p->position < p->high)
			p->at_end = false;
		note_silence(in, p, now);
	}
}

void
weir_ingest_broker_answers(Ingest *in)
{
	if (!in->self->broker_down)
		return;
	in->self->broker_down = false;
	in->self->no_topic = false;
	in->self->error[0] = '\0';
}

/* --- the batch ---------------------------------------------------------------------------- */

/* ... and note how many of its records are new to the view. */
static void
count_view(Ingest *in, IngestView *v, const EventBatch *b)
{
	uint64 before = weir_ingest_counted(in, v->apply->parts);

	weir_ingest_try_view(in, v, b);
	v->taken = v->apply ? weir_ingest_counted(in, v->apply->parts) - before : 0;
}

/* Apply a decoded batch to all views.  False: the stream stops here. */
static bool
apply_batch(Ingest *in, const EventBatch *b)
{
	weir_ingest_stage(in, STAGE_APPLY);
	if (!note_undecoded(in, b))
		return false;
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
		{
			count_view(in, &in->views[i], b);
			WEIR_FAULT("ingest-view-applied");
		}
	weir_ingest_stage(in, STAGE_PUBLISH);
	weir_ingest_note_progress(in, b);
	return true;
}

EventBatch *
weir_ingest_decode(Ingest *in, int n)
{
	WeirUser before = weir_become_owner(in->stream->owner);
	EventBatch *b;

	weir_ingest_stage(in, STAGE_DECODE);
	b = n > 0 ? weir_decode(in->decoder, in->msgs, n)
			  : weir_decode_more(in->decoder);
	weir_become_again(before);
	if (b)
	{
		in->self->metrics.malformed += b->nerrors;
		weir_common_begin(in->common, b->n);
	}
	return b;
}

/*
 * As many records of the messages as a batch has room for, in a transaction.
 * False: that was all.  A view that has gone back has not had what is before the
 * rest, so that is not for now, either.
 */
static bool
apply_some(Ingest *in, int n)
{
	EventBatch *b;
	bool more;

	weir_ingest_begin_transaction(in);
	b = weir_ingest_decode(in, n);
	WEIR_FAULT("ingest-decoded");
	more = b != NULL && apply_batch(in, b) && b->record != NULL &&
		   !in->went_back;
	weir_ingest_end_transaction(in);
	return more;
}

void
weir_ingest_batch(Ingest *in, int n)
{
	if (!weir_ingest_drop_failed(in))
		return;
	weir_lost_note_last(in, n);
	while (apply_some(in, n) && weir_ingest_between(in))
		n = 0;
	weir_ingest_broker_answers(in);
	WEIR_FAULT("ingest-applied");
}
