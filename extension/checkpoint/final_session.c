/*
 * checkpoint/final_session.c
 *		Closing sessions: which are final, and which panes are over.
 *
 * Runs in the coordinator, in the transaction of a checkpoint.  Every worker has
 * acknowledged the closing watermark: what it takes since then is not before
 * W - lateness, and so meets no session that ends there or earlier.  Such a
 * session of a shard, a *candidate*, does not change any more, and is read
 * without a lock.
 *
 * But it is not final if, in another shard, a session of the same key that ends
 * later overlaps it: then they are one, and wait for each other.  Of those others
 * only the key and the span are looked at.  That they begin before W - lateness
 * can change no more either, as a worker does not extend them to before that.
 * They may move to a later pane meanwhile; so panes are visited in that order, and
 * the lock is taken for a moment before each, which makes a worker's last batch
 * visible as a whole.
 *
 * A pane is over when all of its sessions are final; one that waits keeps its
 * pane.  What was final before is found again as long as its pane is there, and
 * is told by its end.
 */
#include "base/weir.h"

#include "checkpoint/final_internal.h"
#include "exec/session.h"

typedef struct FinalSession
{
	WsSpan span;
	const char *key;
	uint32 keylen;
	SessionPiece **pieces;
	int npieces;
} FinalSession;

struct SessionClosing
{
	CheckpointView *v;
	SessionTable *table;
	int64 upto;
	int shard; /* being visited */
	Pane *pane;
	FinalSession *sessions;
	int n;
	int capacity;
};

static inline int64
close_of(const CheckpointView *v, const WsSpan *span)
{
	return span->last + v->plan->window.all.size + v->row->lateness;
}

/* --- visiting ------------------------------------------------------------------ */

/* Was the pane closed by a checkpoint that has committed? */
static bool
is_over(const CheckpointView *v, const Pane *pane)
{
	return pane->over != WEIR_NO_TIME && pane->over <= v->progress.closed_upto;
}

/* The shard's next pane after "name", which is set to its name; or NULL. */
static Pane *
next_pane(Shard *shard, int64 *name, bool *started)
{
	Pane *next = NULL;

	LWLockAcquire(&shard->lock, LW_SHARED);
	for (Pane *p = shard->panes; p; p = p->next)
		if ((!*started || p->windows.last > *name) &&
			(next == NULL || p->windows.last < next->windows.last))
			next = p;
	LWLockRelease(&shard->lock);
	*started = true;
	if (next)
		*name = next->windows.last;
	return next;
}

/* Visit the groups of a shard's panes that are not over. */
static void
visit_shard(SessionClosing *c, int number, void (*visit)(void *, PaneGroup *))
{
	int64 name = 0;
	bool started = false;

	c->shard = number;
	while ((c->pane = next_pane(&c->v->slot->shards[number], &name, &started)) !=
		   NULL)
		if (!is_over(c->v, c->pane))
			weir_each_group(c->pane, visit, c);
}

static WsSpan
span_of(const SessionClosing *c, PaneGroup *g)
{
	volatile WsSpan *span = weir_state_span(&c->v->reader->layout, g->state);
	WsSpan copy;

	copy.first = span->first;
	copy.last = span->last;
	return copy;
}

static void
look_for_one(void *arg, PaneGroup *g)
{
	SessionClosing *c = arg;
	WsSpan span = span_of(c, g);

	c->n += wc_closes(close_of(c->v, &span), c->v->progress.closed_upto,
					  c->upto);
}

bool
weir_can_close_sessions(CheckpointView *v, int64 upto)
{
	SessionClosing c = {.v = v, .upto = upto};

	for (int s = 0; s < v->slot->nshards && c.n == 0; s++)
		visit_shard(&c, s, look_for_one);
	return c.n > 0;
}

/* --- which are final --------------------------------------------------------------- */

static void
add_piece(void *arg, PaneGroup *g)
{
	SessionClosing *c = arg;
	const CheckpointView *v = c->v;
	WsSpan span = span_of(c, g);
	int64 close = close_of(v, &span);
	bool alone = v->slot->nshards == 1;

	if (wc_is_closed(close, c->upto))
	{
		if (!alone || close > v->progress.closed_upto)
			weir_sessions_add(c->table, c->shard, &span, g->key, g->keylen,
							  g->state, c->pane);
	}
	else if (!alone && span.first + v->row->lateness < c->upto)
		weir_sessions_add(c->table, c->shard, &span, g->key, g->keylen, NULL,
						  NULL);
}

/* The session is not final: what waits for it keeps its pane. */
static void
hold_panes(const SessionClosing *c, SessionPiece *const *pieces, int n)
{
	for (int i = 0; i < n; i++)
		if (pieces[i]->origin)
			((Pane *) pieces[i]->origin)->held = c->upto;
}

static void
take_session(void *arg, const WsSpan *span, const char *key, uint32 keylen,
			 SessionPiece *const *pieces, int n)
{
	SessionClosing *c = arg;
	int64 close = close_of(c->v, span);
	FinalSession *s;

	if (!wc_is_closed(close, c->upto))
		hold_panes(c, pieces, n);
	if (!wc_closes(close, c->v->progress.closed_upto, c->upto))
		return;
	if (c->n == c->capacity)
	{
		c->capacity = Max(64, c->capacity * 2);
		c->sessions = c->sessions
						  ? repalloc_huge(c->sessions,
										  c->capacity * sizeof(FinalSession))
						  : palloc(c->capacity * sizeof(FinalSession));
	}
	s = &c->sessions[c->n++];
	*s = (FinalSession){.span = *span, .key = key, .keylen = keylen, .npieces = n};
	s->pieces = palloc(sizeof(SessionPiece *) * n);
	memcpy(s->pieces, pieces, sizeof(SessionPiece *) * n);
}

/* Panes that no session is in that is not final. */
static void
note_panes(SessionClosing *c)
{
	CheckpointView *v = c->v;

	for (int s = 0; s < v->slot->nshards; s++)
	{
		int64 name = 0;
		bool started = false;
		Pane *p;

		while ((p = next_pane(&v->slot->shards[s], &name, &started)) != NULL)
		{
			if (is_over(v, p) || p->held == c->upto ||
				!wc_is_closed(p->windows.end + v->row->lateness, c->upto))
				continue;
			p->over = c->upto;
			weir_note_closed(v, p, s, c->upto);
		}
	}
}

SessionClosing *
weir_find_closing_sessions(CheckpointView *v)
{
	SessionClosing *c = palloc0(sizeof(SessionClosing));

	wc_begin(&v->attempt);
	c->v = v;
	c->upto = v->next.closed_upto;
	if (c->upto <= v->progress.closed_upto)
		return NULL;
	c->table = weir_sessions_new(v->reader, CurrentMemoryContext);
	for (int s = 0; s < v->slot->nshards; s++)
		visit_shard(c, s, add_piece);
	weir_sessions_visit(c->table, take_session, c);
	note_panes(c);
	v->attempt.partial = c->n > 0;
	return wc_has_closed(&v->attempt) ? c : NULL;
}

/* --- rows ------------------------------------------------------------------------------ */

static int
compare_end(const void *a, const void *b)
{
	int64 x = ((const FinalSession *) a)->span.last;
	int64 y = ((const FinalSession *) b)->span.last;

	return (x > y) - (x < y);
}

void
weir_write_sessions(FinalWriter *w, SessionClosing *c)
{
	CheckpointView *v = w->v;

	if (c->n > 1)
		qsort(c->sessions, c->n, sizeof(FinalSession), compare_end);
	for (int i = 0; i < c->n; i++)
	{
		FinalSession *s = &c->sessions[i];
		int64 end = s->span.last + v->plan->window.all.size;

		weir_final_begin_window(w, end, s->span.first, end);
		weir_final_write(w, end, s->key,
						 weir_sessions_combine(c->table, &s->span, s->pieces,
											   s->npieces));
	}
	weir_sessions_free(c->table);
}
