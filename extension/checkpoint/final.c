/*
 * checkpoint/final.c
 *		Closing: the groups of windows that are final become rows of v_final.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, as the view's
 * owner.  The panes being closed are not written to any more, so they are read
 * without a lock.  Groups of several shards are combined first.
 */
#include "base/weir.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "checkpoint/checkpoint.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* --- which panes ------------------------------------------------------------------ */

/* True: enough. */
typedef bool (*VisitPane)(CheckpointView *v, Pane *pane, int shard);

static int64
close_of(const CheckpointView *v, int64 start)
{
	return start + v->plan->window.size + v->row->lateness;
}

/*
 * Visit the panes that a checkpoint up to there closes, until one is enough
 * (true).  Workers add panes at the head of a list; only the coordinator
 * takes one out, so the rest is walked without the lock.
 */
static bool
visit_closing(CheckpointView *v, int64 upto, VisitPane visit)
{
	int64 from = v->progress.closed_upto;

	for (int s = 0; s < v->slot->nshards; s++)
	{
		Shard *shard = &v->slot->shards[s];
		Pane *p;

		LWLockAcquire(&shard->lock, LW_SHARED);
		p = shard->panes;
		LWLockRelease(&shard->lock);
		for (; p; p = p->next)
			if (wc_closes(close_of(v, p->start), from, upto) && visit(v, p, s))
				return true;
	}
	return false;
}

static bool
any_pane(CheckpointView *v, Pane *pane, int shard)
{
	return true;
}

bool
weir_can_close(CheckpointView *v, int64 upto)
{
	return upto > v->progress.closed_upto && visit_closing(v, upto, any_pane);
}

static bool
note_closed(CheckpointView *v, Pane *pane, int shard)
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
	c->close = close_of(v, pane->start);
	return false;
}

static int
compare_closed(const void *a, const void *b)
{
	int64 x = ((const ClosedPane *) a)->close;
	int64 y = ((const ClosedPane *) b)->close;

	return (x > y) - (x < y);
}

/* Panes that this checkpoint closes, ascending; false: none. */
static bool
find_closing(CheckpointView *v)
{
	int first;

	wc_begin(&v->attempt);
	first = v->attempt.first;
	(void) visit_closing(v, v->next.closed_upto, note_closed);
	qsort(v->closed + first, v->attempt.nclosed - first, sizeof(ClosedPane),
		  compare_closed);
	return wc_has_closed(&v->attempt);
}

/* --- writing rows ------------------------------------------------------------------ */

typedef struct FinalWriter
{
	CheckpointView *v;
	SPIPlanPtr plan;
	int ncolumns; /* nout, and one for a hidden window */
	Datum *values;
	bool *nulls;
	char *spi_nulls;
} FinalWriter;

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

static void
write_group(FinalWriter *w, int64 window, const char *key, const char *state)
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
}

static void
each_group(const Pane *pane, void (*visit)(void *, PaneGroup *), void *arg)
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
	int64 start;
} MergeSource;

static void
write_one(void *arg, PaneGroup *g)
{
	MergeSource *m = arg;

	write_group(m->writer, m->start, g->key, g->state);
}

static void
merge_one(void *arg, PaneGroup *g)
{
	MergeSource *m = arg;

	weir_merge_group(m->merge, m->start, g->key, g->keylen, g->state);
}

/* All panes closed[first..last) are of one window. */
static void
write_window(FinalWriter *w, MergeTable *merge, int first, int last)
{
	CheckpointView *v = w->v;
	int64 start = v->closed[first].close - v->plan->window.size -
				  v->row->lateness;
	MergeSource m = {.merge = merge, .writer = w, .start = start};

	weir_ensure_partition(v->row->final, start, v->plan->window.size);
	v->next.windows_final++;
	if (last - first == 1)
	{
		each_group(v->closed[first].pane, write_one, &m);
		return;
	}
	for (int i = first; i < last; i++)
		each_group(v->closed[i].pane, merge_one, &m);
	for (uint32 i = 0; i < merge->ngroups; i++)
		write_group(w, start, merge->groups[i].key, merge->groups[i].state);
	weir_merge_reset(merge);
}

void
weir_write_final(CheckpointView *v)
{
	FinalWriter w = {.v = v};
	MergeTable *merge;
	WeirUser user;
	int nest;

	if (!find_closing(v))
		return;

	user = weir_become_owner(v->row->owner);
	nest = weir_settings_enter(v->row);
	SPI_connect();
	/* What is deferred would raise at COMMIT, where no view is named. */
	weir_spi("SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, NULL,
			 SPI_OK_UTILITY);
	prepare_insert(&w);
	merge = weir_merge_new(v->reader, CurrentMemoryContext);
	for (int first = v->attempt.first, last; first < v->attempt.nclosed;
		 first = last)
	{
		for (last = first + 1; last < v->attempt.nclosed &&
							   v->closed[last].close == v->closed[first].close;
			 last++)
			;
		write_window(&w, merge, first, last);
	}
	weir_merge_free(merge);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(user);
}
