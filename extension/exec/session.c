/*
 * exec/session.c
 *		What several shards have of sessions, put together (see session.h).
 *
 * Coordinators (closing, recovery) and backends (reads).  Private memory of the
 * table's own context; no locks; may raise.
 *
 * A shard knows only its own events, so a session may be in it in several
 * pieces, and they are joined here (core/session.h).  And a source may show a
 * session twice: the log has all states of it since the last rewrite, in
 * several panes, and to a reader it may move to a later pane meanwhile.
 */
#include "base/weir.h"

#include "exec/session.h"
#include "utils/memutils.h"

#define FIRST_PIECES 64

SessionTable *
weir_sessions_new(ViewReader *reader, MemoryContext parent)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "weir sessions",
											  ALLOCSET_DEFAULT_SIZES);
	SessionTable *t = MemoryContextAllocZero(parent, sizeof(SessionTable));

	t->reader = reader;
	t->cxt = cxt;
	t->keys = weir_merge_new(reader, cxt);
	return t;
}

void
weir_sessions_reset(SessionTable *t)
{
	SessionTable fresh = {.reader = t->reader,
						  .cxt = t->cxt,
						  .newest = t->newest};

	MemoryContextReset(t->cxt);
	*t = fresh;
	t->keys = weir_merge_new(t->reader, t->cxt);
}

void
weir_sessions_free(SessionTable *t)
{
	MemoryContextDelete(t->cxt);
	pfree(t);
}

/* An array with room for n things, of which old are there. */
static void *
grow(SessionTable *t, void *array, size_t size, int64 n)
{
	if (array)
		return repalloc_huge(array, size * n);
	return MemoryContextAllocExtended(t->cxt, size * n, MCXT_ALLOC_HUGE);
}

/* The number of the key. */
static uint32
find_key(SessionTable *t, const char *key, uint32 keylen)
{
	uint32 before = t->keys->ngroups;
	uint32 k = (uint32) (weir_merge_find(t->keys, 0, key, keylen) -
						 t->keys->groups);

	if (k >= t->last_capacity)
	{
		t->last_capacity = t->keys->capacity;
		t->last = grow(t, t->last, sizeof(int32), t->last_capacity);
	}
	if (k >= before)
		t->last[k] = -1;
	return k;
}

void
weir_sessions_add(SessionTable *t, int source, const WsSpan *span,
				  const char *key, uint32 keylen, const char *state,
				  void *origin)
{
	uint32 k = find_key(t, key, keylen);

	if (t->npieces == t->capacity)
	{
		t->capacity = Max(FIRST_PIECES, t->capacity * 2);
		t->pieces = grow(t, t->pieces, sizeof(SessionPiece), t->capacity);
	}
	t->pieces[t->npieces] = (SessionPiece){.span = *span,
										   .state = state,
										   .origin = origin,
										   .source = source,
										   .next = t->last[k]};
	t->last[k] = t->npieces++;
}

void
weir_sessions_add_record(SessionTable *t, int source, const GroupRecord *record)
{
	const StateLayout *layout = &t->reader->layout;
	const char *base = (const char *) record;
	char *state = MemoryContextAlloc(t->cxt, layout->size);

	weir_record_state(record, layout, state);
	weir_sessions_add(t, source, weir_state_span(layout, state),
					  base + record->key, record->keylen, state, NULL);
}

/* By source, a session before what it contains, and the later one of equals. */
static int
compare_states(const void *a, const void *b)
{
	const SessionPiece *x = *(SessionPiece *const *) a;
	const SessionPiece *y = *(SessionPiece *const *) b;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->span.first != y->span.first)
		return x->span.first < y->span.first ? -1 : 1;
	if (x->span.last != y->span.last)
		return x->span.last > y->span.last ? -1 : 1;
	return (x < y) - (x > y);
}

static int
compare_first(const void *a, const void *b)
{
	const SessionPiece *x = *(SessionPiece *const *) a;
	const SessionPiece *y = *(SessionPiece *const *) b;

	return (x->span.first > y->span.first) - (x->span.first < y->span.first);
}

/* The pieces of a key, as they were added last.  Returns how many. */
static int
collect(SessionTable *t, uint32 key)
{
	int n = 0;

	for (int32 i = t->last[key]; i >= 0; i = t->pieces[i].next)
	{
		if (n == t->sorted_capacity)
		{
			t->sorted_capacity = Max(FIRST_PIECES, t->sorted_capacity * 2);
			t->sorted = grow(t, t->sorted, sizeof(SessionPiece *),
							 t->sorted_capacity);
			t->spans = grow(t, t->spans, sizeof(WsSpan), t->sorted_capacity);
		}
		t->sorted[n++] = &t->pieces[i];
	}
	return n;
}

/* Leave out what was overtaken; the rest in the order of time. */
static int
order(SessionTable *t, int n)
{
	SessionPiece **p = t->sorted;
	int kept = 0;

	if (n > 1)
		qsort(p, n, sizeof(SessionPiece *), compare_states);
	for (int i = 0; i < n; i++)
		if (kept == 0 || p[i]->source != p[kept - 1]->source ||
			!ws_contains(&p[kept - 1]->span, &p[i]->span))
			p[kept++] = p[i];
	if (kept > 1)
		qsort(p, kept, sizeof(SessionPiece *), compare_first);
	for (int i = 0; i < kept; i++)
		t->spans[i] = p[i]->span;
	return kept;
}

void
weir_sessions_visit(SessionTable *t, VisitSession visit, void *arg)
{
	int64 gap = t->reader->plan->window.all.size;

	for (uint32 k = 0; k < t->keys->ngroups; k++)
	{
		int n = order(t, collect(t, k));
		WsSpan span;

		for (int i = 0, next; i < n; i = next)
		{
			next = ws_join(t->spans, i, n, gap, &span);
			if (t->newest && next < n)
				continue;
			visit(arg, &span, t->keys->groups[k].key, t->keys->groups[k].keylen,
				  t->sorted + i, next - i);
		}
	}
}

char *
weir_sessions_combine(SessionTable *t, const WsSpan *span,
					  SessionPiece *const *pieces, int n)
{
	const StateLayout *layout = &t->reader->layout;
	char *state = MemoryContextAlloc(t->cxt, layout->size);

	memcpy(state, pieces[0]->state, layout->size);
	for (int i = 1; i < n; i++)
		weir_accum_combine(t->reader->accums, state, pieces[i]->state, t->cxt);
	*weir_state_span(layout, state) = *span;
	return state;
}
