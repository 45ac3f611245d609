/*
 * worker/restore.c
 *		The open windows of a view, from the state log into shared memory.
 *
 * Runs in the coordinator, in the transaction in which the view begins, before
 * any ingest worker or reader knows of it: nobody else has its memory.  All of
 * it goes into one shard, whose worker takes the panes up with the view.
 * The log stays as it is; a pane that changes is written anew
 * (checkpoint/README.md, "Recovery and incarnations"); of sessions all are, at
 * once (checkpoint/state_session.c).
 */
#include "base/weir.h"

#include "core/log.h"
#include "worker/coordinator.h"

typedef struct Restorer
{
	CheckpointView *v;
	Pane *pane; /* to which groups are added */
} Restorer;

/* A pane, linked at once, so that it is freed with the view. */
static Pane *
new_pane(CheckpointView *v, const PaneWindows *windows)
{
	Shard *shard = &v->slot->shards[WL_RESTORED];
	Pane *pane = weir_pane_new(windows, &v->reader->layout, &v->slot->memory);

	if (pane == NULL)
		return NULL;
	LWLockAcquire(&shard->lock, LW_EXCLUSIVE);
	pane->next = shard->panes;
	shard->panes = pane;
	LWLockRelease(&shard->lock);
	return pane;
}

/* A session that is a row of v_final by now is still in the log. */
static bool
is_final(const CheckpointView *v, const char *state)
{
	const WsSpan *span = weir_state_span(&v->reader->layout,
										 unconstify(char *, state));

	return wc_is_closed(span->last + v->plan->window.all.size + v->row->lateness,
						v->progress.closed_upto);
}

static void
restore_group(void *arg, const PaneWindows *windows, const char *key,
			  uint32 keylen, const char *state)
{
	Restorer *r = arg;
	ViewReader *reader = r->v->reader;
	uint64 hash = weir_key_hash(reader->codec, key, keylen);

	if (reader->layout.sessions && is_final(r->v, state))
		return;
	if (r->pane == NULL || r->pane->windows.first != windows->first ||
		r->pane->windows.last != windows->last)
		r->pane = new_pane(r->v, windows);
	if (r->pane == NULL ||
		!weir_pane_restore(r->pane, hash, key, keylen, state, &reader->layout))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("no shared memory left to restore a view"),
						errhint("Raise weir.memory_limit.")));
}

void
weir_restore_view(CheckpointView *v)
{
	Restorer r = {.v = v};

	v->slot->memory.restoring = true;
	PG_TRY();
	{
		weir_state_restore(v->row->id, v->progress.chunks, v->reader,
						   restore_group, &r);
	}
	PG_FINALLY();
	{
		v->slot->memory.restoring = false;
	}
	PG_END_TRY();
}
