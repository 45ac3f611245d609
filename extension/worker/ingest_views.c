/*
 * worker/ingest_views.c
 *		Which views an ingest worker serves: taking them up, letting them go.
 *
 * Views are compiled as their owner, the decoder as the stream's: constants in
 * expressions and domains may run their functions.  Memory of a view is a child
 * of the worker's, deleted when it leaves.
 */
#include "base/weir.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/fault.h"
#include "checkpoint/checkpoint.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "worker/ingest.h"

static void
load_view(Ingest *in, IngestView *v, TupleDesc desc)
{
	WeirUser before;
	int nest;

	v->row = weir_view_load(v->slot->view);
	if (v->row == NULL)
		return;
	before = weir_become_owner(v->row->owner);
	nest = weir_settings_enter(v->row);
	v->plan = weir_plan_view(v->row->query, v->row->ttl);
	if (v->plan->fingerprint == v->slot->fingerprint)
	{
		/* Until it is whole it goes with the subtransaction. */
		v->apply = weir_apply_new(v->slot, in->worker, v->plan, desc,
								  in->stream->watermark_delay,
								  in->lane->npartitions, in->capacity,
								  CurTransactionContext);
		weir_apply_share(v->apply, in->common,
						 &(CommonScope){.owner = v->row->owner,
										.nsettings = v->row->nsettings,
										.settings = v->row->settings});
		MemoryContextSetParent(v->apply->cxt, in->cxt);
		v->apply->keep_dead = in->stream->on_error != STREAM_SKIP;
		v->replaced = MemoryContextAllocZero(v->apply->cxt,
											 sizeof(bool) *
												 in->lane->npartitions);
	}
	else
		weir_ingest_fail_view(in, v, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							  "the query was changed");
	weir_settings_leave(nest);
	weir_become_again(before);
	in->needs_snapshot = in->needs_snapshot || v->plan->needs_snapshot;
}

/*
 * A view that cannot be compiled any more (a function that its owner may not call
 * now, say) fails alone; one that meets a lock comes again.
 */
static void
try_load_view(Ingest *in, IngestView *v, TupleDesc desc)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		load_view(in, v, desc);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(cxt);
		e = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (ProcDiePending)
			ReThrowError(e);
		v->apply = NULL;
		weir_ingest_fail_view(in, v, e->sqlerrcode,
							  weir_is_lock_error(e) ? "" : e->message);
		FreeErrorData(e);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
}

/*
 * Load the lane's next view, unless it has left already.  If it leaves from now
 * on, its slot stays until this worker acknowledges the next barrier.
 */
static void
take_view(Ingest *in, TupleDesc desc)
{
	IngestView *v = &in->views[in->nviews];
	int slot;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	slot = in->lane->views[in->nviews++];
	if (slot >= 0 && !pg_atomic_read_u32(&weir_registry->views[slot].detached))
		v->slot = &weir_registry->views[slot];
	LWLockRelease(&weir_registry->lock);
	if (v->slot)
		try_load_view(in, v, desc);
}

/* A decoder for the columns that the views need now. */
static void
make_decoder(Ingest *in)
{
	MemoryContext cxt = AllocSetContextCreate(in->cxt, "weir decoder",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	WeirUser before = weir_become_owner(in->stream->owner);
	Bitmapset *columns = NULL;

	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			columns = bms_union(columns, in->views[i].plan->columns);
	in->decoder = weir_decoder_new(in->stream, columns, in->capacity, cxt);
	weir_become_again(before);
	MemoryContextSwitchTo(old);
	if (in->decoder_cxt)
		MemoryContextDelete(in->decoder_cxt);
	in->decoder_cxt = cxt;
	in->self->letter_rate = in->stream->letter_rate;
}

void
weir_ingest_load_views(Ingest *in)
{
	int ready = (int) pg_atomic_read_u32(&in->lane->ready);
	Relation rel;
	MemoryContext old;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	old = MemoryContextSwitchTo(in->cxt);
	rel = table_open(in->lane->stream, AccessShareLock);
	if (in->stream == NULL)
		in->stream = weir_stream_load(in->lane->stream, rel->rd_rel->relowner);
	while (in->nviews < ready)
		take_view(in, RelationGetDescr(rel));
	make_decoder(in);
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
let_go(Ingest *in, IngestView *v)
{
	Chunk *c;

	weir_ingest_wait_over(in, v);
	/* Only a view that is amid a batch has some: they are its own. */
	weir_letters_free(&in->self->tried);
	weir_letters_free(&in->self->kept);

	while ((c = v->apply->chunks) != NULL)
	{
		v->apply->chunks = c->next;
		weir_chunk_free(c);
	}
	weir_lost_free(&v->apply->lost);
	MemoryContextDelete(v->apply->cxt);
	v->apply = NULL;
}

bool
weir_ingest_drop_failed(Ingest *in)
{
	bool left = false;

	for (int i = 0; i < in->nviews; i++)
	{
		IngestView *v = &in->views[i];

		if (v->apply && pg_atomic_read_u32(&v->slot->failed))
			let_go(in, v);
		left = left || v->apply;
	}
	return left;
}

void
weir_ingest_drop_detached(Ingest *in)
{
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply &&
			pg_atomic_read_u32(&in->views[i].slot->detached))
		{
			let_go(in, &in->views[i]);
			WEIR_FAULT("ingest-view-left");
		}
}

void
weir_ingest_part_view(Ingest *in, IngestView *v)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	weir_view_set_apart(v->slot->dboid, v->slot->view, true);
	LWLockRelease(&weir_registry->lock);
	weir_ingest_fail_view(in, v, ERRCODE_SUCCESSFUL_COMPLETION, "");
}

void
weir_ingest_fail_view(Ingest *in, IngestView *v, int sqlstate,
					  const char *reason)
{
	bool first;

	/* Of several workers the first one says why. */
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	first = !pg_atomic_read_u32(&v->slot->failed);
	if (first)
		strlcpy(v->slot->error, reason, WEIR_ERROR_LEN);
	pg_atomic_write_u32(&v->slot->failed, 1);
	LWLockRelease(&weir_registry->lock);
	if (first && reason[0])
		weir_log_stop(v->row ? v->row->name : "?", sqlstate, reason);
	if (v->apply)
		let_go(in, v);
	weir_wake_coordinator(in->lane);
}

void
weir_ingest_fail_all(Ingest *in, int sqlstate, const char *reason)
{
	for (int i = 0; i < in->nviews; i++)
		if (in->views[i].apply)
			weir_ingest_fail_view(in, &in->views[i], sqlstate, reason);
}
