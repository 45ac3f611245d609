/*
 * checkpoint/state_session.c
 *		The state log of sessions: what is different.
 *
 * A session is in the log in each pane that it has been in, as it was, until that
 * pane is rewritten or over.  Its latest state contains all earlier ones, so the
 * log of a shard is put together as a whole and not pane by pane
 * (exec/session.c); the order of the log's index, by pane and then as it was
 * written, has the latest state last.  What was final stays in the log as long as
 * its pane: it is told by its end, which is not after the view's closed_upto.
 *
 * A recovery joins what several shards had, and what is joined may lie in other
 * panes than its pieces.  So it does not leave the log as it is, but writes all of
 * it anew, in the transaction in which the view begins: there is one incarnation
 * in the log at any time.
 *
 * Runs in the coordinator, and for reading in backends, too.
 */
#include "base/weir.h"

#include "checkpoint/final_internal.h"
#include "checkpoint/state_internal.h"
#include "core/log.h"

#define CHUNK_BYTES (512 * 1024)

/* --- reading ------------------------------------------------------------------- */

typedef struct Found
{
	WsSpan span;
	const char *key;
	uint32 keylen;
	char *state;
} Found;

typedef struct FoundList
{
	SessionTable *table;
	Found *items;
	int n;
	int capacity;
} FoundList;

static void
take_session(void *arg, const WsSpan *span, const char *key, uint32 keylen,
			 SessionPiece *const *pieces, int n)
{
	FoundList *list = arg;
	Found found = {.span = *span, .key = key, .keylen = keylen};

	found.state = weir_sessions_combine(list->table, span, pieces, n);
	if (list->n == list->capacity)
	{
		list->capacity = Max(64, list->capacity * 2);
		list->items = list->items ? repalloc_huge(list->items,
												  list->capacity * sizeof(Found))
								  : palloc(list->capacity * sizeof(Found));
	}
	list->items[list->n++] = found;
}

static int
compare_last(const void *a, const void *b)
{
	int64 x = ((const Found *) a)->span.last;
	int64 y = ((const Found *) b)->span.last;

	return (x > y) - (x < y);
}

void
weir_sessions_restore(SessionTable *table, RestoreGroup group, void *arg)
{
	const WwSpec *w = &table->reader->plan->window.all;
	FoundList list = {.table = table};

	weir_sessions_visit(table, take_session, &list);
	if (list.n > 1)
		qsort(list.items, list.n, sizeof(Found), compare_last);
	for (int i = 0; i < list.n; i++)
	{
		Found *f = &list.items[i];
		PaneWindows windows;
		WwPane pane;

		(void) ww_pane(w, f->span.last + w->size, &pane);
		windows = (PaneWindows){.first = pane.first,
								.last = pane.last,
								.end = ww_end(w, pane.last)};
		group(arg, &windows, f->key, f->keylen, f->state);
	}
}

/* --- writing all of it anew --------------------------------------------------------- */

typedef struct Rewriter
{
	CheckpointView *v;
	Pane *pane;
	Chunk *chunk;
} Rewriter;

static void
flush_chunk(Rewriter *r)
{
	if (r->chunk->nrecords > 0)
		weir_state_append(r->v, WL_RESTORED, r->chunk);
	r->pane->logged += r->chunk->used;
	r->chunk->used = 0;
	r->chunk->nrecords = 0;
}

static void
write_group(void *arg, PaneGroup *g)
{
	Rewriter *r = arg;
	const StateLayout *layout = &r->v->reader->layout;
	uint32 size = weir_record_size(g, layout);

	if (r->chunk->used + size > r->chunk->bytes)
		flush_chunk(r);
	if (size > r->chunk->bytes)
	{
		pfree(r->chunk);
		r->chunk = palloc0(offsetof(Chunk, data) + size);
		r->chunk->pane = r->pane->windows;
		r->chunk->bytes = size;
	}
	weir_record_write(g, layout, r->chunk->data + r->chunk->used, size);
	r->chunk->used += size;
	r->chunk->nrecords++;
}

void
weir_state_rewrite(CheckpointView *v)
{
	Rewriter r = {.v = v};

	v->next = v->progress;
	v->next_seq = v->seq;
	weir_state_clear(v);
	r.chunk = palloc0(offsetof(Chunk, data) + CHUNK_BYTES);
	r.chunk->bytes = CHUNK_BYTES;
	for (Pane *p = v->slot->shards[WL_RESTORED].panes; p; p = p->next)
	{
		r.pane = p;
		r.chunk->pane = p->windows;
		weir_each_group(p, write_group, &r);
		flush_chunk(&r);
		p->restored = false;
	}
	pfree(r.chunk);
	v->progress.chunks = v->next.chunks;
	v->seq = v->next_seq;
}

/* --- which chunks are of no use any more ---------------------------------------------- */

bool
weir_attempt_closes(const CheckpointView *v, int shard,
					const PaneWindows *windows)
{
	for (int i = Max(v->attempt.first, 0); i < v->attempt.nclosed; i++)
		if (v->closed[i].shard == shard &&
			v->closed[i].pane->windows.last == windows->last)
			return true;
	return false;
}
