/*
 * checkpoint/final.c
 *		Closing: the groups of windows that are final become rows of v_final.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, as the view's
 * owner.  The panes of windows being closed are not written to any more, so they
 * are read without a lock.  Groups of several shards, and of several panes where
 * windows overlap, are combined first.
 */
#include "base/weir.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "checkpoint/final_internal.h"
#include "commands/trigger.h"
#include "exec/overlap.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Groups that are combined into windows at a time. */
#define PASS_GROUPS (4 * 1024 * 1024)

/* --- which panes ------------------------------------------------------------------ */

/* True: enough. */
typedef bool (*VisitPane)(CheckpointView *v, Pane *pane, int shard, void *arg);

/* Windows from "next" to "upto", by name, are those that are to be closed. */
typedef struct Closing
{
	int64 next;
	int64 upto;
} Closing;

static Closing
closing_windows(const CheckpointView *v, int64 upto)
{
	const WindowSpec *w = &v->plan->window;
	int64 lateness = v->row->lateness;
	int64 from = v->progress.closed_upto;

	return (Closing){.next = weir_window_next(w, weir_window_closed(w, lateness,
																	from)),
					 .upto = weir_window_closed(w, lateness, upto)};
}

/*
 * Visit the panes of which a checkpoint up to there closes some window, until one
 * is enough (true).  Workers add panes at the head of a list; only the coordinator
 * takes one out, so the rest is walked without the lock.
 */
static bool
visit_closing(CheckpointView *v, int64 upto, VisitPane visit, void *arg)
{
	Closing c = closing_windows(v, upto);

	for (int s = 0; s < v->slot->nshards; s++)
	{
		Shard *shard = &v->slot->shards[s];
		Pane *p;

		LWLockAcquire(&shard->lock, LW_SHARED);
		p = shard->panes;
		LWLockRelease(&shard->lock);
		for (; p; p = p->next)
			if (Max(p->windows.first, c.next) <= Min(p->windows.last, c.upto) &&
				visit(v, p, s, arg))
				return true;
	}
	return false;
}

static bool
any_pane(CheckpointView *v, Pane *pane, int shard, void *arg)
{
	return true;
}

bool
weir_can_close(CheckpointView *v, int64 upto)
{
	if (upto <= v->progress.closed_upto)
		return false;
	if (v->reader && v->reader->layout.sessions)
		return weir_can_close_sessions(v, upto);
	return visit_closing(v, upto, any_pane, NULL);
}

/* The panes that windows being closed are made of; in the checkpoint's context. */
typedef struct PaneList
{
	Pane **panes;
	int n;
	int capacity;
} PaneList;

static void
note_pane(PaneList *list, Pane *pane)
{
	if (list->n == list->capacity)
	{
		list->capacity = Max(64, list->capacity * 2);
		list->panes = list->panes ? repalloc(list->panes,
											 list->capacity * sizeof(Pane *))
								  : palloc(list->capacity * sizeof(Pane *));
	}
	list->panes[list->n++] = pane;
}

void
weir_note_closed(CheckpointView *v, Pane *pane, int shard, int64 close)
{
	ClosedPane *c;

	if (v->attempt.nclosed == v->max_closed)
	{
		v->max_closed = Max(64, v->max_closed * 2);
		v->closed = v->closed
						? repalloc(v->closed, v->max_closed * sizeof(ClosedPane))
						: MemoryContextAlloc(v->cxt, v->max_closed *
														 sizeof(ClosedPane));
	}
	c = &v->closed[v->attempt.nclosed++];
	c->pane = pane;
	c->shard = shard;
	c->close = close;
}

static bool
note_closed(CheckpointView *v, Pane *pane, int shard, void *list)
{
	int64 close = pane->windows.end + v->row->lateness;

	note_pane(list, pane);
	if (!wc_is_closed(close, v->next.closed_upto))
	{
		v->attempt.partial = true;
		return false;
	}
	weir_note_closed(v, pane, shard, close);
	return false;
}

static int
compare_closed(const void *a, const void *b)
{
	int64 x = ((const ClosedPane *) a)->close;
	int64 y = ((const ClosedPane *) b)->close;

	return (x > y) - (x < y);
}

/*
 * Panes that this checkpoint closes, ascending, and in *list all of which it
 * closes some window; false: none.
 */
static bool
find_closing(CheckpointView *v, PaneList *list)
{
	int first;

	wc_begin(&v->attempt);
	first = v->attempt.first;
	(void) visit_closing(v, v->next.closed_upto, note_closed, list);
	qsort(v->closed + first, v->attempt.nclosed - first, sizeof(ClosedPane),
		  compare_closed);
	return wc_has_closed(&v->attempt);
}

/* --- writing rows ------------------------------------------------------------------ */

static void
prepare_insert(FinalWriter *w)
{
	CheckpointView *v = w->v;
	Oid final = v->row->final;
	Oid *types;
	StringInfoData sql;

	w->ncolumns = v->plan->nout + (v->plan->window_out < 0 ? 1 : 0);
	w->values = palloc(sizeof(Datum) * w->ncolumns);
	w->nulls = palloc(sizeof(bool) * w->ncolumns);
	w->spi_nulls = palloc(w->ncolumns);
	types = palloc(sizeof(Oid) * w->ncolumns);
	if (get_rel_name(final) == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the final table of the view is gone")));
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s VALUES (",
					 quote_qualified_identifier(get_namespace_name(
													get_rel_namespace(final)),
												get_rel_name(final)));
	for (int i = 0; i < w->ncolumns; i++)
	{
		types[i] = i < v->plan->nout
					   ? TupleDescAttr(v->plan->outdesc, i)->atttypid
					   : v->plan->window.type;
		appendStringInfo(&sql, "%s$%d", i ? ", " : "", i + 1);
	}
	appendStringInfoChar(&sql, ')');
	w->plan = SPI_prepare(sql.data, w->ncolumns, types);
	if (w->plan == NULL)
		elog(ERROR, "could not prepare: %s", sql.data);
}

void
weir_final_write(FinalWriter *w, int64 window, const char *key,
				 const char *state)
{
	ViewReader *reader = w->v->reader;

	if (!weir_final_row(reader, window, key, state, w->values, w->nulls))
		return;
	if (w->v->plan->window_out < 0)
	{
		w->values[w->ncolumns - 1] = TimestampTzGetDatum(window);
		w->nulls[w->ncolumns - 1] = false;
	}
	for (int i = 0; i < w->ncolumns; i++)
		w->spi_nulls[i] = w->nulls[i] ? 'n' : ' ';
	if (SPI_execute_plan(w->plan, w->values, w->spi_nulls, false, 0) !=
		SPI_OK_INSERT)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("a rule or trigger of \"%s\" changed what an insert does",
						get_rel_name(w->v->row->final))));
	w->nrows++;
	weir_sink_add(w->sink, w->values, w->nulls);
	weir_alerts_add(w->alerts, window, w->values, w->nulls);
}

void
weir_each_group(const Pane *pane, void (*visit)(void *, PaneGroup *), void *arg)
{
	uint32 left = pane->ngroups;

	for (GroupSegment *seg = pane->segments; seg && left > 0; seg = seg->next)
		for (uint32 i = 0; i < seg->capacity && left > 0; i++, left--)
		{
			PaneGroup *g = (PaneGroup *) (seg->groups +
										  (size_t) i * pane->group_size);

			if (g->live)
				visit(arg, g);
		}
}

typedef struct MergeSource
{
	MergeTable *merge;
	FinalWriter *writer;
	int64 window;
} MergeSource;

static void
write_one(void *arg, PaneGroup *g)
{
	MergeSource *m = arg;

	weir_final_write(m->writer, m->window, g->key, g->state);
}

static void
merge_one(void *arg, PaneGroup *g)
{
	MergeSource *m = arg;

	weir_merge_group(m->merge, m->window, g->key, g->keylen, g->state);
}

void
weir_final_begin_window(FinalWriter *w, int64 window, int64 start, int64 end)
{
	CheckpointView *v = w->v;

	weir_ensure_partition(v->row->final, window, v->plan->window.all.step,
						  v->row->retention);
	v->next.windows_final++;
	w->first_start = Min(w->first_start, start);
	w->last_end = Max(w->last_end, end);
}

/* The same of a window of a fixed length, or between two dates. */
static void
begin_window(FinalWriter *w, int64 window)
{
	const WindowSpec *spec = &w->v->plan->window;

	weir_final_begin_window(w, window, weir_window_start(spec, window),
							weir_window_end(spec, window));
}

/* All panes closed[first..last) are of one window. */
static void
write_window(FinalWriter *w, MergeTable *merge, int first, int last)
{
	CheckpointView *v = w->v;
	MergeSource m = {.merge = merge,
					 .writer = w,
					 .window = v->closed[first].pane->windows.last};

	begin_window(w, m.window);
	if (last - first == 1)
	{
		weir_each_group(v->closed[first].pane, write_one, &m);
		return;
	}
	for (int i = first; i < last; i++)
		weir_each_group(v->closed[i].pane, merge_one, &m);
	for (uint32 i = 0; i < merge->ngroups; i++)
		weir_final_write(w, m.window, merge->groups[i].key,
						 merge->groups[i].state);
	weir_merge_reset(merge);
}

/* Each window is a pane: by what the attempt closes, window by window. */
static void
write_windows(FinalWriter *w)
{
	CheckpointView *v = w->v;
	MergeTable *merge = weir_merge_new(v->reader, CurrentMemoryContext);

	for (int first = v->attempt.first, last; first < v->attempt.nclosed;
		 first = last)
	{
		for (last = first + 1; last < v->attempt.nclosed &&
							   v->closed[last].close == v->closed[first].close;
			 last++)
			;
		write_window(w, merge, first, last);
	}
	weir_merge_free(merge);
}

/* --- windows that overlap ------------------------------------------------------------ */

typedef struct OverlapSource
{
	OverlapTable *table;
	const PaneWindows *windows;
	uint32 pass; /* this one of so many: */
	uint32 npasses;
} OverlapSource;

static void
add_one(void *arg, PaneGroup *g)
{
	OverlapSource *o = arg;

	if (g->hash % o->npasses == o->pass)
		weir_overlap_add_group(o->table, o->windows, g->key, g->keylen,
							   g->state);
}

static int
compare_panes(const void *a, const void *b)
{
	int64 x = (*(Pane *const *) a)->windows.first;
	int64 y = (*(Pane *const *) b)->windows.first;

	return (x > y) - (x < y);
}

/* Begin each window that some pane has, and this checkpoint closes. */
static void
begin_windows(FinalWriter *w, PaneList *list, const Closing *c)
{
	int64 next = c->next;

	qsort(list->panes, list->n, sizeof(Pane *), compare_panes);
	for (int i = 0; i < list->n; i++)
	{
		const PaneWindows *p = &list->panes[i]->windows;

		for (next = Max(next, p->first); next <= Min(p->last, c->upto);
			 next += w->v->plan->window.all.step)
			begin_window(w, next);
	}
}

/*
 * Combine the panes into windows and write these, in passes over a share of the
 * keys if there are very many groups.  No record goes into these panes any more,
 * also not into those that have windows that are still open (core/window.h).
 */
static void
write_overlapping(FinalWriter *w, PaneList *list)
{
	CheckpointView *v = w->v;
	Closing c = closing_windows(v, v->next.closed_upto);
	OverlapTable *table = weir_overlap_new(v->reader, CurrentMemoryContext);
	OverlapSource o = {.table = table};
	uint64 ngroups = 0;
	MergeGroup group;

	begin_windows(w, list, &c);
	for (int i = 0; i < list->n; i++)
		ngroups += list->panes[i]->ngroups;
	o.npasses = ngroups / PASS_GROUPS + 1;
	for (; o.pass < o.npasses; o.pass++)
	{
		for (int i = 0; i < list->n; i++)
		{
			o.windows = &list->panes[i]->windows;
			weir_each_group(list->panes[i], add_one, &o);
		}
		weir_overlap_begin(table, c.next, c.upto);
		while (weir_overlap_next(table, &group))
			weir_final_write(w, group.window, group.key, group.state);
		weir_overlap_reset(table);
	}
	weir_overlap_free(table);
}

void
weir_write_final(CheckpointView *v)
{
	FinalWriter w = {.v = v,
					 .first_start = PG_INT64_MAX,
					 .last_end = PG_INT64_MIN};
	SessionClosing *sessions = NULL;
	PaneList list = {0};
	WeirUser user;
	int nest;

	if (v->reader->layout.sessions)
		sessions = weir_find_closing_sessions(v);
	if (sessions == NULL &&
		(v->reader->layout.sessions || !find_closing(v, &list)))
		return;
	/* Totals whose time is over go without a trace. */
	if (v->plan->window.ttl)
		return;

	user = weir_become_owner(v->row->owner);
	nest = weir_settings_enter(v->row);
	SPI_connect();
	/* What is deferred would raise at COMMIT, where no view is named. */
	weir_spi("SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, NULL,
			 SPI_OK_UTILITY);
	prepare_insert(&w);
	w.sink = weir_sink_begin(v);
	w.alerts = weir_alerts_begin(v);
	if (sessions)
		weir_write_sessions(&w, sessions);
	else if (weir_windows_overlap(&v->plan->window))
		write_overlapping(&w, &list);
	else
		write_windows(&w);
	weir_sink_end(w.sink);
	weir_alerts_end(w.alerts);
	v->next.rows_final += w.nrows;
	weir_notify_closing(&w);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(user);
}
