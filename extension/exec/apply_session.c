/*
 * exec/apply_session.c
 *		A batch of events into sessions.
 *
 * Runs in the ingest worker, where exec/apply.c has windows and groups.  A pane
 * has the sessions of a shard that end in [start, start + gap); so a key has one
 * of them in a pane at most, as the ends of its sessions are a gap apart.  A
 * session that comes to end later moves to a later pane: its state is copied to
 * a new group, and the old one is dead (live is 0).  Where two become one, the
 * group of the later one stays, or there is a new one in a later pane, again.
 * So sessions move to later panes only, which readers (shmem/read_session.c) and
 * the log (exec/session.c) rely on.
 *
 * Which sessions a key has, and where they are, is in an index in private memory
 * of the worker.  It is consulted with the key alone.  What is closed stays in it
 * until it is in the way; such a group may be freed by then, but is not looked
 * at, since no record that is not late meets a closed session.
 *
 * A batch is worked through twice.  First the sessions of its keys are found, as
 * they will be with all of its rows, in memory of the batch.  Then each session
 * that has got rows gets its group, and the state from which it goes on, which is
 * the combination of what became one.  All of that may fail, and is done again
 * then.  Under the lock the states are put in place, before the rows are added,
 * and what was moved dies; after that the index takes over the new sessions.
 */
#include "base/weir.h"

#include "common/int.h"
#include "core/closing.h"
#include "core/hash.h"
#include "core/window.h"
#include "exec/apply_session.h"

#define FIRST_KEYS 64

/* Where a session is. */
typedef struct SessionRef
{
	Pane *pane;
	PaneGroup *group;
} SessionRef;

/* The sessions of a key, in the order of time. */
typedef struct SessionKey
{
	uint64 hash;
	uint64 batch; /* the last one that it occurred in ... */
	int32 work;   /* ... and its place there */
	int32 n;
	int32 capacity;
	uint32 keylen;
	WsSpan *spans;
	SessionRef *refs;
	char key[FLEXIBLE_ARRAY_MEMBER];
} SessionKey;

/* A key in a batch. */
typedef struct SessionWork
{
	SessionKey *key;
	WsGrown *grown;
	int32 *touched; /* by session: in the view's touched groups, or -1 */
	SessionRef *refs;
	int n;
	int capacity;
} SessionWork;

typedef struct SessionApply
{
	MemoryContext cxt;
	SessionKey **keys; /* open addressing */
	uint32 mask;
	uint32 nkeys;
	uint64 batch; /* its number */
	/* Of the batch. */
	SessionWork *works;
	int nworks;
	int32 *row_work;  /* by selected row */
	WsSpan *spans;    /* by touched group */
	char **begin;     /* by touched group: state to go on from, or NULL */
	SessionRef *dead; /* that others take the place of */
	int ndead;
} SessionApply;

static inline int64
gap_of(const ViewApply *a)
{
	return a->plan->window.all.size;
}

static inline int64
close_of(const ViewApply *a, const WsSpan *span)
{
	return span->last + gap_of(a) + a->lateness;
}

/* --- the index ------------------------------------------------------------- */

static void
insert_key(SessionApply *s, SessionKey *k)
{
	uint32 i = (uint32) k->hash & s->mask;

	while (s->keys[i])
		i = (i + 1) & s->mask;
	s->keys[i] = k;
}

/* Has the key any session that is not closed? */
static bool
is_open(const ViewApply *a, const SessionKey *k)
{
	return k->n > 0 &&
		   !wc_is_closed(close_of(a, &k->spans[k->n - 1]), a->closed_upto);
}

static void
free_key(SessionKey *k)
{
	if (k->spans)
	{
		pfree(k->spans);
		pfree(k->refs);
	}
	pfree(k);
}

/* Throw out what is closed, or else grow.  Keys of the batch stay. */
static void
rebuild(ViewApply *a, SessionApply *s)
{
	SessionKey **old = s->keys;
	uint32 size = s->mask + 1;
	uint32 open = 0;

	for (uint32 i = 0; i < size; i++)
		if (old[i] && (old[i]->batch == s->batch || is_open(a, old[i])))
			open++;
	while (size < open * 4)
		size *= 2;
	s->keys = MemoryContextAllocExtended(s->cxt, size * sizeof(SessionKey *),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i <= s->mask; i++)
		if (old[i] && old[i]->batch != s->batch && !is_open(a, old[i]))
			free_key(old[i]);
		else if (old[i])
		{
			uint32 at = (uint32) old[i]->hash & (size - 1);

			while (s->keys[at])
				at = (at + 1) & (size - 1);
			s->keys[at] = old[i];
		}
	pfree(old);
	s->mask = size - 1;
	s->nkeys = open;
}

static SessionKey *
find_key(ViewApply *a, SessionApply *s, uint64 hash, const char *key,
		 uint32 keylen)
{
	SessionKey *k;

	for (uint32 i = (uint32) hash & s->mask; (k = s->keys[i]) != NULL;
		 i = (i + 1) & s->mask)
	{
		if (k->hash != hash)
			continue;
		if (k->keylen == keylen && memcmp(k->key, key, keylen) == 0)
			return k;
		if (!a->codec->bitwise &&
			weir_key_equal(a->codec, k->key, k->keylen, key, keylen))
			return k;
	}
	if ((s->nkeys + 1) * 2 > s->mask)
		rebuild(a, s);
	k = MemoryContextAllocZero(s->cxt, offsetof(SessionKey, key) + keylen);
	k->hash = hash;
	k->keylen = keylen;
	memcpy(k->key, key, keylen);
	insert_key(s, k);
	s->nkeys++;
	return k;
}

/* Room for n sessions. */
static void
reserve_key(SessionApply *s, SessionKey *k, int n)
{
	int capacity = Max(1, k->capacity);

	if (n <= k->capacity)
		return;
	while (capacity < n)
		capacity *= 2;
	if (k->spans == NULL)
	{
		SessionRef *refs = MemoryContextAlloc(s->cxt,
											  sizeof(SessionRef) * capacity);

		k->spans = MemoryContextAlloc(s->cxt, sizeof(WsSpan) * capacity);
		k->refs = refs;
	}
	else
	{
		k->spans = repalloc_huge(k->spans, sizeof(WsSpan) * capacity);
		k->refs = repalloc_huge(k->refs, sizeof(SessionRef) * capacity);
	}
	k->capacity = capacity;
}

/* A group that recovery has left. */
static void
adopt_group(ViewApply *a, SessionApply *s, Pane *pane, PaneGroup *g)
{
	WsSpan span = *weir_state_span(&a->layout, g->state);
	SessionKey *k;
	int i;

	if (!g->live || wc_is_closed(close_of(a, &span), a->closed_upto))
		return;
	k = find_key(a, s, g->hash, g->key, g->keylen);
	reserve_key(s, k, k->n + 1);
	for (i = k->n++; i > 0 && k->spans[i - 1].first > span.first; i--)
	{
		k->spans[i] = k->spans[i - 1];
		k->refs[i] = k->refs[i - 1];
	}
	k->spans[i] = span;
	k->refs[i] = (SessionRef){.pane = pane, .group = g};
}

static void
adopt_pane(ViewApply *a, SessionApply *s, Pane *pane)
{
	uint32 left = pane->filled;

	for (GroupSegment *seg = pane->segments; seg && left > 0; seg = seg->next)
		for (uint32 i = 0; i < seg->capacity && left > 0; i++, left--)
			adopt_group(a, s, pane,
						(PaneGroup *) (seg->groups +
									   (size_t) i * pane->group_size));
}

struct SessionApply *
weir_session_apply_new(ViewApply *a)
{
	SessionApply *s = palloc0(sizeof(SessionApply));
	uint32 state = 0;
	Pane *pane;

	s->cxt = CurrentMemoryContext;
	s->mask = FIRST_KEYS - 1;
	s->keys = palloc0(FIRST_KEYS * sizeof(SessionKey *));
	s->batch = 1;
	s->works = palloc(sizeof(SessionWork) * a->capacity);
	s->row_work = palloc(sizeof(int32) * a->capacity);
	s->spans = palloc(sizeof(WsSpan) * a->capacity);
	s->begin = palloc(sizeof(char *) * a->capacity);
	/* An event meets two sessions at most. */
	s->dead = palloc(sizeof(SessionRef) * a->capacity * 2);
	while ((pane = weir_panemap_next(a->panes, &state)) != NULL)
		adopt_pane(a, s, pane);
	return s;
}

/* --- lateness ---------------------------------------------------------------- */

int
weir_session_on_time(ViewApply *a, const EventBatch *b, int32 *rows, int nrows)
{
	int64 gap = gap_of(a);
	int kept = 0;

	for (int i = 0; i < nrows; i++)
	{
		int32 row = rows[i];
		int64 t = b->event_time[row];
		int64 over; /* the pane is by then */

		if (pg_add_s64_overflow(t, gap, &over) ||
			pg_add_s64_overflow(over, gap, &over) ||
			pg_add_s64_overflow(over, a->lateness, &over) ||
			!IS_VALID_TIMESTAMP(over))
			ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
							errmsg("window out of range")));
		/* a session that ends at t does not have it, and may be closed */
		if (wp_is_late(t + a->lateness + 1, a->watermark[row], a->closed_upto))
		{
			if (!weir_apply_late(a, b, row, t, t + gap))
				return -1;
			continue;
		}
		rows[kept++] = row;
	}
	return kept;
}

/* --- first: the sessions of the batch's keys -------------------------------------- */

/* Take up a key, with what it has open. */
static SessionWork *
begin_work(ViewApply *a, SessionApply *s, SessionKey *k)
{
	SessionWork *w = &s->works[s->nworks];
	int first = 0;

	while (first < k->n &&
		   wc_is_closed(close_of(a, &k->spans[first]), a->closed_upto))
		first++;
	w->key = k;
	w->n = k->n - first;
	w->capacity = w->n + 4;
	w->grown = palloc(sizeof(WsGrown) * w->capacity);
	for (int i = first; i < k->n; i++)
		ws_begin(&w->grown[i - first], &k->spans[i], i);
	k->batch = s->batch;
	k->work = s->nworks++;
	return w;
}

static void
add_row(ViewApply *a, SessionApply *s, const EventBatch *b, int32 row, int i)
{
	size_t at = a->key_buf.used;
	uint32 len = weir_apply_key(a, b, row);
	const char *key = a->key_buf.data + at;
	SessionKey *k = find_key(a, s, weir_key_hash(a->codec, key, len), key, len);
	SessionWork *w = k->batch == s->batch ? &s->works[k->work]
										  : begin_work(a, s, k);

	if (w->n == w->capacity)
	{
		w->capacity *= 2;
		w->grown = repalloc_huge(w->grown, sizeof(WsGrown) * w->capacity);
	}
	w->n = ws_add(w->grown, w->n, b->event_time[row], gap_of(a));
	s->row_work[i] = k->work;
}

/* --- second: their groups ------------------------------------------------------------ */

/* The group of the key in the pane; *found: it was there.  NULL: no memory. */
static PaneGroup *
find_group(ViewApply *a, const SessionKey *k, Pane *pane)
{
	PaneGroup *g = weir_pane_find(pane, k->hash, k->key, k->keylen,
								  a->codec->bitwise ? NULL : weir_key_equal,
								  a->codec);

	return g ? g : weir_pane_add(pane, k->hash, k->key, k->keylen);
}

/* What became one, combined: the state from which group g goes on. */
static char *
combine(ViewApply *a, SessionApply *s, const SessionKey *k,
		const WsGrown *grown, const PaneGroup *g)
{
	char *state = palloc0(a->layout.size);

	for (int i = grown->from; i < grown->upto; i++)
	{
		const SessionRef *old = &k->refs[i];

		if (i == grown->from)
			memcpy(state, old->group->state, a->layout.size);
		else
			weir_accum_combine(a->accums, state, old->group->state,
							   CurrentMemoryContext);
		if (old->group != g)
			s->dead[s->ndead++] = *old;
	}
	return state;
}

/* A session has got rows.  False: no memory. */
static bool
touch_session(ViewApply *a, SessionApply *s, SessionWork *w, int i)
{
	const WsGrown *grown = &w->grown[i];
	WwPane at = {0};
	Pane *pane;
	PaneGroup *g;
	int n = a->ntouched;

	(void) ww_pane(&a->plan->window.all, grown->span.last + gap_of(a), &at);
	pane = weir_apply_pane(a, at.first, at.last);
	if (pane == NULL)
		return false;
	g = find_group(a, w->key, pane);
	if (g == NULL)
		return false;
	weir_apply_touch(a, pane, g);
	w->touched[i] = n;
	w->refs[i] = (SessionRef){.pane = pane, .group = g};
	s->spans[n] = grown->span;
	s->begin[n] = NULL;
	if (grown->upto - grown->from != 1 || w->key->refs[grown->from].group != g)
		s->begin[n] = combine(a, s, w->key, grown, g);
	return true;
}

/* All rows are added: which sessions get which groups is found on the way. */
static void
begin_touching(SessionApply *s, SessionWork *w)
{
	w->touched = palloc(sizeof(int32) * w->n);
	w->refs = palloc(sizeof(SessionRef) * w->n);
	for (int i = 0; i < w->n; i++)
	{
		w->touched[i] = -1;
		if (w->grown[i].from < w->grown[i].upto)
			w->refs[i] = w->key->refs[w->grown[i].from];
	}
	reserve_key(s, w->key, w->n);
}

bool
weir_session_find(ViewApply *a, const EventBatch *b, const int32 *rows,
				  int nrows)
{
	SessionApply *s = a->sessions;

	a->key_buf.used = 0;
	a->ntouched = 0;
	s->batch++;
	s->nworks = s->ndead = 0;
	for (int i = 0; i < nrows; i++)
		add_row(a, s, b, rows[i], i);
	for (int i = 0; i < s->nworks; i++)
		begin_touching(s, &s->works[i]);
	for (int i = 0; i < nrows; i++)
	{
		SessionWork *w = &s->works[s->row_work[i]];
		int at = ws_find(w->grown, w->n, b->event_time[rows[i]]);

		if (w->touched[at] < 0 && !touch_session(a, s, w, at))
			return false;
		a->row_group[i] = a->touched[w->touched[at]];
		a->states[i] = a->row_group[i]->state;
	}
	return true;
}

const char *
weir_session_state(const ViewApply *a, int touched)
{
	const char *begin = a->sessions->begin[touched];

	return begin ? begin : a->touched[touched]->state;
}

/* --- the barrier's due, and the lock ---------------------------------------------------- */

/*
 * The state to begin with takes over where the group has room for values by
 * reference: what the values are is in the view's pending ones.
 */
static void
keep_rooms(ViewApply *a, int touched)
{
	char *begin = a->sessions->begin[touched];

	for (int d = 0; begin && d < a->ndatums; d++)
	{
		uint32 offset = a->plan->accums[a->datums[d]].offset;

		memcpy(begin + offset, a->touched[touched]->state + offset,
			   sizeof(AccumDatum));
	}
}

bool
weir_session_prepare(ViewApply *a)
{
	SessionApply *s = a->sessions;

	for (int i = 0; i < s->ndead; i++)
	{
		PaneGroup *g = s->dead[i].group;

		if (!we_is_due(&a->epochs, g->epoch))
			continue;
		if (!weir_pane_copy_group(s->dead[i].pane, g, &a->layout, &a->chunks,
								  &a->chunks_tail))
			return false;
		g->epoch = WE_CLEAN;
	}
	for (int t = 0; t < a->ntouched; t++)
		keep_rooms(a, t);
	return true;
}

void
weir_session_publish(ViewApply *a)
{
	SessionApply *s = a->sessions;

	for (int t = 0; t < a->ntouched; t++)
	{
		char *state = a->touched[t]->state;

		if (s->begin[t])
			memcpy(state, s->begin[t], a->layout.size);
		*weir_state_span(&a->layout, state) = s->spans[t];
	}
	for (int i = 0; i < s->ndead; i++)
	{
		s->dead[i].group->live = 0;
		s->dead[i].pane->ndead++;
	}
}

void
weir_session_published(ViewApply *a)
{
	SessionApply *s = a->sessions;

	for (int i = 0; i < s->nworks; i++)
	{
		SessionWork *w = &s->works[i];

		for (int k = 0; k < w->n; k++)
		{
			w->key->spans[k] = w->grown[k].span;
			w->key->refs[k] = w->refs[k];
		}
		w->key->n = w->n;
	}
}
