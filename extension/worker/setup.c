/*
 * worker/setup.c
 *		From the catalog and the state log to a lane that can run.
 *
 * Runs in the coordinator, before it starts ingest workers.  Order: plans;
 * partitions and start offsets from the broker; one transaction that stores
 * these and raises each view's incarnation (from then on a snapshot that does
 * not see it reads the log, not memory), and restores the open windows
 * (restore.c); then the views are live.
 */
#include "base/weir.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "catalog/extension.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "shmem/retired.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/coordinator.h"

#define NO_RIGHT \
	"the view's owner has no right to SELECT from the stream any more"
#define RETRY_MS 1000

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* --- plans ----------------------------------------------------------------------- */

static void
set_limit(CheckpointView *v, const ViewRow *row)
{
	v->slot->memory.stops = row->stops_at_limit;
	pg_atomic_write_u64(&v->slot->memory.limit, row->memory_limit);
}

static void
compile_view(CheckpointView *v)
{
	WeirUser before;
	int nest;

	before = weir_become_owner(v->row->owner);
	nest = weir_settings_enter(v->row);
	v->plan = weir_plan_view(v->row->query, v->row->ttl);
	if (v->plan->append != weir_is_append(v->row))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(
					 "the query was changed between one with groups and one without"),
				 errhint("Create another view.")));
	v->reader = v->plan->append ? NULL : weir_reader_new(v->plan, v->cxt);
	weir_settings_leave(nest);
	weir_become_again(before);
	set_limit(v, v->row);
	v->slot->fingerprint = v->plan->fingerprint;
	v->slot->window = v->plan->window.all;
	v->slot->lateness = v->row->lateness;
	v->slot->keep_late = v->row->keep_late;
	v->slot->closing = WEIR_NO_TIME;
}

/* Raise when the view's owner may not run it (any more). */
static void
check_rights(const ViewRow *row)
{
	if (weir_relation_owner(row->final) != row->owner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the relations of the view have different owners"),
				 errhint("ALTER ... OWNER all four of them.")));
	if (pg_class_aclcheck(row->stream, row->owner, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg(NO_RIGHT)));
}

/* Load and plan one view; false: it should not run (any more). */
static bool
load_view(CheckpointView *v)
{
	MemoryContext old = MemoryContextSwitchTo(v->cxt);
	ProgressRow *p;
	bool ok = false;

	v->row = weir_view_load(v->slot->view);
	p = weir_progress_load(v->slot->view);
	if (v->row && p && v->row->home && strcmp(v->row->state, "running") == 0)
	{
		check_rights(v->row);
		v->progress = *p;
		v->slot->generation = p->generation;
		compile_view(v);
		ok = true;
	}
	MemoryContextSwitchTo(old);
	return ok;
}

/*
 * In a PG_CATCH: the transaction is rolled back, and the view leaves with the
 * reason, or to come again if a lock was in the way or the disk is full.  (Out of
 * memory is mostly our own, which does not pass.)
 */
static void
leave_out(Coordinator *co, CheckpointView *v)
{
	ErrorData *e;

	MemoryContextSwitchTo(v->cxt);
	e = CopyErrorData();
	if (ProcDiePending)
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	v->gone = true;
	/* Out of memory does not pass, unless what is kept for readers had it. */
	if (weir_is_lock_error(e) ||
		(weir_is_server_error(e) && (e->sqlerrcode != ERRCODE_OUT_OF_MEMORY ||
									 weir_retired_give_up() > 0)))
	{
		co->lane->delayed = true;
		strlcpy(co->lane->error, e->message, WEIR_ERROR_LEN);
	}
	else
	{
		v->error = e->message;
		v->said = true;
		weir_log_stop(v->row ? v->row->name : "?", e->sqlerrcode, e->message);
	}
}

static void
try_load(Coordinator *co, CheckpointView *v)
{
	PG_TRY();
	{
		begin();
		if (!load_view(v))
			v->gone = true;
		end();
	}
	PG_CATCH();
	{
		leave_out(co, v);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(co->cxt);
}

/* Take the lane's next view slot over. */
static CheckpointView *
add_view(Coordinator *co)
{
	CheckpointView *v = MemoryContextAllocZero(co->cxt, sizeof(CheckpointView));

	v->cxt = AllocSetContextCreate(co->cxt, "weir view", ALLOCSET_DEFAULT_SIZES);
	v->slot = &weir_registry->views[co->lane->views[co->c.nviews]];
	wc_init(&v->attempt);
	co->c.views[co->c.nviews++] = v;
	try_load(co, v);
	return v;
}

static inline const char *
or_empty(const char *text)
{
	return text ? text : "";
}

/* What the bytes of its messages mean. */
static void
describe_format(StringInfo d, const StreamDef *s)
{
	appendStringInfo(d, "%d %d %d %d %d %d %d %s\n", s->format, s->key_format,
					 s->records, s->deletes, s->csv.delimiter, s->csv.quote,
					 s->csv.escape, or_empty(s->csv.null));
	appendStringInfo(d, "%s\n%s\n%s\n%s\n%s\n", or_empty(s->avro_schema),
					 or_empty(s->avro_key_schema), or_empty(s->registry.url),
					 or_empty(s->registry.username),
					 or_empty(s->registry.password));
}

/* All that workers take from a stream's definition, as text. */
static char *
describe_stream(const StreamDef *s)
{
	StringInfoData d;
	ListCell *lc;

	initStringInfo(&d);
	appendStringInfo(&d,
					 "%s %d %d %d " INT64_FORMAT " " INT64_FORMAT
					 " " INT64_FORMAT " " INT64_FORMAT " %d %u\n",
					 s->topic, s->on_error, s->offset_reset, s->event_time,
					 s->watermark_delay, s->max_ahead, s->idle_timeout,
					 s->idle_advance, s->workers, s->owner);
	appendStringInfo(&d, INT64_FORMAT " %d %d\n", s->letters_limit,
					 s->letters_full, s->letter_rate);
	describe_format(&d, s);
	for (int i = 0; i < s->ncolumns; i++)
	{
		const StreamColumn *c = &s->columns[i];

		appendStringInfo(&d,
						 "%s %u %d %u %d %d %d %d %s " INT64_FORMAT
						 "/" INT64_FORMAT "\n",
						 or_empty(c->name), c->type, c->typmod, c->collation,
						 c->not_null, c->source, c->envelope, c->path_literal,
						 or_empty(c->path), c->unit_num, c->unit_den);
	}
	foreach(lc, s->settings)
	{
		KafkaSetting *k = lfirst(lc);

		appendStringInfo(&d, "%s=%s\n", k->name, k->value);
	}
	return d.data;
}

bool
weir_stream_changed(Coordinator *co)
{
	MemoryContext cxt;
	Relation rel;
	StreamDef *stream = NULL;
	char *text = "";
	bool changed;

	begin();
	if (co->lane->state != LANE_RUNNING)
		LockRelationOid(co->lane->stream, AccessShareLock);
	else if (!ConditionalLockRelationOid(co->lane->stream, AccessShareLock))
	{
		/* Somebody is about to change it: do not wait, look again. */
		end();
		pg_atomic_write_u32(&co->lane->recheck, 1);
		return false;
	}
	cxt = AllocSetContextCreate(co->cxt, "weir stream", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(cxt);
	rel = try_relation_open(co->lane->stream, NoLock);
	if (rel)
	{
		stream = weir_stream_load(co->lane->stream, rel->rd_rel->relowner);
		text = describe_stream(stream);
		relation_close(rel, NoLock);
	}
	end();
	MemoryContextSwitchTo(co->cxt);
	changed = co->stream_text == NULL || strcmp(text, co->stream_text) != 0;
	if (!changed)
		MemoryContextDelete(cxt);
	else
	{
		co->stream_text = text;
		co->c.stream = stream ? stream : co->c.stream;
	}
	return changed;
}

void
weir_setup_views(Coordinator *co)
{
	Lane *lane = co->lane;

	(void) weir_stream_changed(co);

	co->c.lane = lane;
	co->c.cxt = AllocSetContextCreate(co->cxt, "weir checkpoint",
									  ALLOCSET_DEFAULT_SIZES);
	co->c.views = palloc0(sizeof(CheckpointView *) * WEIR_LANE_VIEWS);
	co->detach_barrier = palloc0(sizeof(uint64) * WEIR_LANE_VIEWS);
	co->released = palloc0(sizeof(bool) * WEIR_LANE_VIEWS);
	while (co->c.nviews < lane->nviews)
		add_view(co);
}

/* --- the broker's answers ------------------------------------------------------------ */

static void
say(Lane *lane, const char *text)
{
	if (strcmp(lane->error, text) != 0 && text[0])
		ereport(LOG, (errmsg("weir lane %d: %s", weir_lane_number(lane), text)));
	strlcpy(lane->error, text, WEIR_ERROR_LEN);
}

static int
wait_for_topic(Coordinator *co)
{
	char err[256];
	int n;

	for (;;)
	{
		if (weir_stream_changed(co) && co->client)
		{
			weir_client_close(co->client);
			co->client = NULL;
		}
		if (co->client == NULL)
			co->client = weir_client_open(co->c.stream->settings, err,
										  sizeof(err));
		if (co->client == NULL)
			say(co->lane, err);
		else if (!weir_client_partitions(co->client, co->c.stream->topic,
										 weir_settings.broker_timeout_ms, &n,
										 err, sizeof(err)))
		{
			co->lane->broker_down = true;
			say(co->lane, err);
		}
		else if (n == 0)
		{
			co->lane->broker_down = false;
			co->lane->no_topic = true;
			say(co->lane,
				psprintf("topic \"%s\" does not exist", co->c.stream->topic));
		}
		else
			break;
		weir_coordinator_wait(co, RETRY_MS);
	}
	co->lane->broker_down = false;
	co->lane->no_topic = false;
	say(co->lane, "");
	return n;
}

static void
wait_for_positions(Coordinator *co, CheckpointView *v, int npartitions)
{
	char err[256];

	while (!v->gone &&
		   !weir_resolve_positions(co, v, npartitions, err, sizeof(err)))
	{
		co->lane->broker_down = true;
		say(co->lane, err);
		weir_coordinator_wait(co, RETRY_MS);
	}
	co->lane->broker_down = false;
	say(co->lane, "");
}

/* --- shared memory -------------------------------------------------------------------- */

static void *
arena_or_error(size_t size)
{
	void *p = weir_arena_alloc_reserved(size);

	if (p == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("no shared memory left for another lane"),
						errhint("Raise weir.memory_limit.")));
	memset(p, 0, size);
	return p;
}

static void
lay_out_lane(Coordinator *co, int npartitions)
{
	Lane *lane = co->lane;

	lane->parts_bytes = sizeof(LanePartition) * npartitions;
	lane->parts = arena_or_error(lane->parts_bytes);
	lane->npartitions = npartitions;
	lane->nworkers = weir_crew_wanted(co->c.stream, npartitions);
	for (int p = 0; p < npartitions; p++)
	{
		LanePartition *lp = &lane->parts[p];

		lp->partition = p;
		lp->position = PG_INT64_MAX;
		lp->watermark = WEIR_NO_TIME;
		lp->timestamp = lp->low = -1;
		for (int i = 0; i < co->c.nviews; i++)
			if (!co->c.views[i]->gone)
				lp->position = Min(lp->position,
								   co->c.views[i]->progress.parts[p].position);
		lp->durable = lp->position;
	}
}

static void
lay_out_view(CheckpointView *v, const Lane *lane)
{
	size_t bytes = sizeof(ViewPartition) * lane->npartitions;

	v->slot->nshards = lane->nworkers;
	v->slot->npartitions = lane->npartitions;
	v->slot->born_upto = v->progress.closed_upto;
	for (int s = 0; s < v->slot->nshards; s++)
	{
		v->slot->shards[s].parts = arena_or_error(bytes);
		v->slot->shards[s].acked = arena_or_error(bytes);
		memcpy(v->slot->shards[s].parts, v->progress.parts, bytes);
		memcpy(v->slot->shards[s].acked, v->progress.parts, bytes);
	}
	v->slot->closed_upto = v->progress.closed_upto;
	v->slot->closing = Max(v->progress.closed_upto, v->progress.advance);
	wm_begin(&v->slot->marks, v->progress.closed_upto);
}

/* --- a view begins --------------------------------------------------------------------- */

/* One view: restore, store where it begins.  Raises when its log is damaged. */
static void
start_view(Coordinator *co, CheckpointView *v)
{
	bool stale;

	if (!weir_progress_lock(v->row->id, &v->progress, &stale))
	{
		co->lane->delayed = co->lane->delayed || !stale;
		v->gone = true;
		return;
	}
	lay_out_view(v, co->lane);
	if (!v->plan->append)
		weir_restore_view(v);
	WEIR_FAULT("setup-restored");
	v->progress.incarnation++;
	v->slot->incarnation = v->progress.incarnation;
	if (v->reader && v->reader->layout.sessions)
		weir_state_rewrite(v);
	weir_lost_store(v->row->id, v->progress.topic, v->lost);
	weir_progress_store(v->row->id, &v->progress);
	weir_letters_unread(v, co->lane->stream);
	co->replay_due = true;
	v->slot->marks.birth = GetTopTransactionId();
	WEIR_FAULT("setup-stored");
}

static void
try_start(Coordinator *co, CheckpointView *v)
{
	PG_TRY();
	{
		begin();
		MemoryContextSwitchTo(co->c.cxt);
		start_view(co, v);
		end();
	}
	PG_CATCH();
	{
		leave_out(co, v);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(co->cxt);
	MemoryContextReset(co->c.cxt);
}

void
weir_setup_lane(Coordinator *co)
{
	int npartitions = wait_for_topic(co);

	for (int i = 0; i < co->c.nviews; i++)
		wait_for_positions(co, co->c.views[i], npartitions);
	WEIR_FAULT("setup-positions-known");
	lay_out_lane(co, npartitions);
	for (int i = 0; i < co->c.nviews; i++)
		if (!co->c.views[i]->gone)
			try_start(co, co->c.views[i]);
	WEIR_FAULT("setup-committed");
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < co->c.nviews; i++)
		co->c.views[i]->slot->live = !co->c.views[i]->gone;
	LWLockRelease(&weir_registry->lock);
}

void
weir_setup_joining(Coordinator *co)
{
	char err[256];
	int nviews;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	nviews = co->lane->nviews;
	LWLockRelease(&weir_registry->lock);
	while (co->c.nviews < nviews)
	{
		CheckpointView *v = add_view(co);

		/* Without an answer the view leaves and comes again: nobody waits. */
		if (!v->gone && !weir_resolve_positions(co, v, co->lane->npartitions,
												err, sizeof(err)))
			v->gone = true;
		if (!v->gone)
			try_start(co, v);
		WEIR_FAULT("setup-view-joining");
		LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
		v->slot->live = !v->gone;
		LWLockRelease(&weir_registry->lock);
	}
}

/* --- the catalog changes ------------------------------------------------------------------- */

/* The row outlives the one that it was read with. */
static void
take_text(CheckpointView *v, char **to, const char *text)
{
	if (*to)
		pfree(*to);
	*to = text ? MemoryContextStrdup(v->cxt, text) : NULL;
}

/* Asks for a checkpoint where the change takes one. */
static void
recheck_view(Coordinator *co, CheckpointView *v)
{
	ProgressRow *p = weir_progress_load(v->slot->view);
	ViewRow *row = weir_view_load(v->slot->view);

	if (p == NULL || row == NULL || !row->home ||
		p->generation != v->progress.generation || row->owner != v->row->owner)
	{
		v->gone = true;
		return;
	}
	set_limit(v, row);
	v->row->retention = row->retention;
	take_text(v, &v->row->name, row->name);
	take_text(v, &v->row->notify, row->notify);
	v->retention.done_upto = WEIR_NO_TIME;
	if (pg_class_aclcheck(row->stream, row->owner, ACL_SELECT) != ACLCHECK_OK)
	{
		v->gone = true;
		v->error = MemoryContextStrdup(v->cxt, NO_RIGHT);
	}
	else if (v->progress.advance != p->advance)
	{
		v->progress.advance = p->advance;
		co->next_checkpoint = 0;
	}
}

void
weir_recheck_views(Coordinator *co)
{
	bool ours;

	co->replay_due = true;
	begin();
	MemoryContextSwitchTo(co->c.cxt);
	ours = weir_sql_version() != NULL && weir_other_version() == NULL;
	for (int i = 0; i < co->c.nviews; i++)
	{
		/* The extension was dropped or updated under us. */
		if (!ours)
			co->c.views[i]->gone = true;
		if (!co->c.views[i]->gone)
			recheck_view(co, co->c.views[i]);
	}
	end();
	MemoryContextReset(co->c.cxt);
	/* Options and columns are taken from the catalog once: begin anew. */
	if (co->lane->state == LANE_RUNNING && weir_stream_changed(co))
		weir_coordinator_stop(co, "the stream's definition was changed");
}

/* Write down why the view stopped; false: that cannot be done just now. */
static bool
record_failure(Coordinator *co, CheckpointView *v)
{
	ProgressRow row = {.generation = v->slot->generation};
	volatile bool recorded = true;
	bool stale;

	PG_TRY();
	{
		begin();
		/* Whoever paused, reset or dropped it meanwhile had the last word. */
		if (weir_sql_version() == NULL)
			recorded = true; /* DROP EXTENSION was what it met */
		else if (weir_progress_lock(v->slot->view, &row, &stale))
			weir_view_set_state(v->slot->view, "error", v->error);
		else
			recorded = stale;
		end();
	}
	PG_CATCH();
	{
		weir_forgive_passing(co->c.cxt);
		recorded = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(co->cxt);
	return recorded;
}

void
weir_record_failures(Coordinator *co)
{
	for (int i = 0; i < co->c.nviews; i++)
	{
		CheckpointView *v = co->c.views[i];

		if (pg_atomic_read_u32(&v->slot->failed) && !v->gone)
		{
			v->gone = true;
			/* Without a reason it goes on in another lane. */
			if (v->slot->error[0])
				v->error = MemoryContextStrdup(v->cxt, v->slot->error);
			v->said = true; /* by the ingest worker */
		}
		if (v->error == NULL)
			continue;
		if (!v->said)
			weir_log_stop(v->row->name,
						  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, v->error);
		v->said = true;
		if (record_failure(co, v))
			v->error = NULL;
	}
}
