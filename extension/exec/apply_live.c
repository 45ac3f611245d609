/*
 * exec/apply_live.c
 *		Transition values that are costly to serialise are kept alive.
 *
 * Runs in the ingest worker, as the view's owner, in private memory.  An internal
 * state (hll, tdigest ...) or a set of distinct values is deserialised when a
 * batch first touches its group, and takes the rows of this batch and of
 * following ones.  It is *settled*, that is serialised into the group's
 * AccumDatum: before each barrier, when the journal is full, and otherwise as often
 * as is cheap (a thirtieth of the time).  What readers see of such an
 * aggregate lags behind by so much.
 *
 * A transition function that raises may leave its state torn, and so does a batch
 * that cannot be applied as a whole.  So the arguments of all rows since a group was
 * settled are kept in a *journal*.  What a failed batch has touched is thrown away
 * and made anew: what was settled, and the journal's rows.  Row by row there is
 * nothing to keep: the value is loaded, takes one row and is made flat.
 *
 * Memory: each group's values are in a context of their own.  Together, over all
 * views of the worker, they take weir.aggregate_cache and no more, but for one
 * batch; groups that find no room are loaded and made flat in each batch, one at
 * a time.  At a barrier those go that it closes and, when memory is short, those that
 * have not been touched since the one before.
 */
#include "base/weir.h"

#include "base/guc.h"
#include "core/hash.h"
#include "exec/apply_live.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define FIRST_LIVE 64

/* Of all views of this worker. */
static Size live_memory;

/* --- the groups that are alive --------------------------------------------------- */

static Size
limit(void)
{
	return (Size) weir_settings.aggregate_cache_kb * 1024;
}

bool
live_has_room(void)
{
	return live_memory < limit();
}

bool
live_is_short(void)
{
	return live_memory >= limit() / 4 * 3;
}

static void
forget_memory(void *arg)
{
	live_memory -= ((struct LiveStates *) arg)->memory;
}

static void
add_kept(struct LiveStates *live, const AccumSpec *spec, int accum, int datum)
{
	KeptAccum *k = &live->kept[live->nkept++];

	k->accum = accum;
	k->datum = datum;
	k->nargs = spec->arg ? spec->nmore + 1 : 0;
	k->types = palloc(sizeof(ArgType) * (k->nargs + 1));
	for (int i = 0; i < k->nargs; i++)
		get_typlenbyval(i == 0 ? spec->arg_type : spec->more[i - 1].type,
						&k->types[i].len, &k->types[i].byval);
}

static void
alloc_groups(struct LiveStates *live, uint32 capacity)
{
	live->capacity = capacity;
	live->groups = palloc_extended(sizeof(LiveGroup) * capacity,
								   MCXT_ALLOC_HUGE);
	live->values = palloc_extended(sizeof(AccumValue) * live->nkept * capacity,
								   MCXT_ALLOC_HUGE);
	live->mask = capacity * 2 - 1;
	live->index = palloc_extended(sizeof(uint32) * ((Size) live->mask + 1),
								  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/*
 * Only where a group's state is read by nobody but readers: where groups are
 * merged, their states have to be what they say.
 */
static bool
groups_stay_apart(const ViewApply *a)
{
	switch (a->plan->window.all.kind)
	{
		case WW_NONE:
		case WW_TUMBLE:
		case WW_HOP:
		case WW_CUMULATE:
			return true;
		default:
			return false;
	}
}

void
apply_live_new(ViewApply *a)
{
	MemoryContext cxt = AllocSetContextCreate(a->cxt, "weir live states",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	struct LiveStates *live = palloc0(sizeof(struct LiveStates));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	live->cxt = cxt;
	live->behind = true;
	live->kept = palloc(sizeof(KeptAccum) * (a->ndatums + 1));
	for (int d = 0; d < a->ndatums; d++)
		if (apply_is_kept_alive(a, d))
			add_kept(live, &a->plan->accums[a->datums[d]], a->datums[d], d);
	alloc_groups(live, FIRST_LIVE);
	live->touched = palloc(sizeof(uint32) * a->capacity);
	live->order = palloc(sizeof(int32) * a->capacity);
	live->starts = palloc(sizeof(int32) * (a->capacity + 1));
	live->journal_cxt = AllocSetContextCreate(cxt, "weir journal",
											  ALLOCSET_DEFAULT_SIZES);
	live->journal_capacity = live->args_capacity = 1024;
	live->journal = palloc(sizeof(JournalRow) * live->journal_capacity);
	live->args = palloc(sizeof(NullableDatum) * live->args_capacity);
	callback->func = forget_memory;
	callback->arg = live;
	MemoryContextRegisterResetCallback(cxt, callback);
	MemoryContextSwitchTo(old);
	if (live->nkept > 0 && groups_stay_apart(a))
		a->live = live;
	else
		MemoryContextDelete(cxt);
}

static inline uint32
slot_of(const struct LiveStates *live, const PaneGroup *group)
{
	return (uint32) wh_mix((uint64) (uintptr_t) group,
						   UINT64CONST(0x9E3779B97F4A7C15)) &
		   live->mask;
}

static LiveGroup *
find(const struct LiveStates *live, const PaneGroup *group)
{
	uint32 i = slot_of(live, group);

	for (; live->index[i] != 0; i = (i + 1) & live->mask)
		if (live->groups[live->index[i] - 1].group == group)
			return &live->groups[live->index[i] - 1];
	return NULL;
}

void
live_index_put(struct LiveStates *live, uint32 number)
{
	uint32 i = slot_of(live, live->groups[number].group);

	while (live->index[i] != 0)
		i = (i + 1) & live->mask;
	live->index[i] = number + 1;
}

/* All groups into other arrays; dropped ones keep their numbers. */
static void
grow(struct LiveStates *live)
{
	MemoryContext old = MemoryContextSwitchTo(live->cxt);
	LiveGroup *groups = live->groups;
	AccumValue *values = live->values;

	pfree(live->index);
	alloc_groups(live, live->capacity * 2);
	memcpy(live->groups, groups, sizeof(LiveGroup) * live->ngroups);
	memcpy(live->values, values,
		   sizeof(AccumValue) * live->nkept * live->ngroups);
	pfree(groups);
	pfree(values);
	for (uint32 i = 0; i < live->ngroups; i++)
		if (live->groups[i].group)
			live_index_put(live, i);
	MemoryContextSwitchTo(old);
}

void
live_count_memory(struct LiveStates *live, LiveGroup *l)
{
	Size memory = l->cxt ? MemoryContextMemAllocated(l->cxt, true) : 0;

	live->memory += memory - l->memory;
	live_memory += memory - l->memory;
	l->memory = memory;
}

void
live_drop(struct LiveStates *live, LiveGroup *l)
{
	MemoryContextDelete(l->cxt);
	l->cxt = NULL;
	live_count_memory(live, l);
	l->group = NULL;
	l->dirty = l->torn = false;
}

/* What is settled of a group, alive. */
static void
load(ViewApply *a, LiveGroup *l)
{
	struct LiveStates *live = a->live;

	for (int i = 0; i < live->nkept; i++)
	{
		int c = live->kept[i].accum;

		weir_accum_load(a->accums, c, apply_datum_of(a, c, l->group),
						&live_values(live, l)[i], l->cxt);
	}
	l->loaded = true;
}

static LiveGroup *
add(ViewApply *a, PaneGroup *group, Pane *pane)
{
	struct LiveStates *live = a->live;
	LiveGroup *l;

	if (live->ngroups == live->capacity)
		grow(live);
	l = &live->groups[live->ngroups];
	memset(l, 0, sizeof(*l));
	l->group = group;
	l->pane = pane;
	l->cxt = AllocSetContextCreate(live->cxt, "weir live state",
								   ALLOCSET_SMALL_SIZES);
	live_index_put(live, live->ngroups++);
	return l;
}

/* --- the journal ---------------------------------------------------------------------- */

void
live_reset_journal(struct LiveStates *live)
{
	live->njournal = live->nnoted = 0;
	live->nargs = live->nnoted_args = 0;
	MemoryContextReset(live->journal_cxt);
}

/* Room in the journal for one more row. */
static void
grow_journal(struct LiveStates *live, int nargs)
{
	if (live->njournal == live->journal_capacity)
	{
		live->journal_capacity *= 2;
		live->journal = repalloc_huge(live->journal,
									  sizeof(JournalRow) *
										  (Size) live->journal_capacity);
	}
	if (live->nargs + nargs > live->args_capacity)
	{
		live->args_capacity = live->args_capacity * 2 + nargs;
		live->args = repalloc_huge(live->args, sizeof(NullableDatum) *
												   (Size) live->args_capacity);
	}
}

static void
note_row(struct LiveStates *live, uint32 number, int kept,
		 const NullableDatum *args)
{
	const KeptAccum *k = &live->kept[kept];
	JournalRow *row;
	MemoryContext old;

	grow_journal(live, k->nargs);
	row = &live->journal[live->njournal++];
	row->live = number;
	row->kept = kept;
	row->args = live->nargs;
	for (int i = 0; i < k->nargs; i++)
	{
		NullableDatum *arg = &live->args[live->nargs++];

		*arg = args[i];
		if (arg->isnull || k->types[i].byval)
			continue;
		old = MemoryContextSwitchTo(live->journal_cxt);
		arg->value = datumCopy(arg->value, false, k->types[i].len);
		MemoryContextSwitchTo(old);
	}
}

/* Make torn groups anew: what was settled, and the rows since then. */
void
live_mend(ViewApply *a)
{
	struct LiveStates *live = a->live;

	if (!live->torn)
		return;
	live->njournal = live->nnoted;
	live->nargs = live->nnoted_args;
	for (uint32 i = 0; i < live->ngroups; i++)
		if (live->groups[i].torn)
		{
			MemoryContextReset(live->groups[i].cxt);
			load(a, &live->groups[i]);
		}
	for (uint32 i = 0; i < live->njournal; i++)
	{
		JournalRow *row = &live->journal[i];
		LiveGroup *l = &live->groups[row->live];

		if (l->torn)
			weir_accum_step(a->accums, live->kept[row->kept].accum,
							&live_values(live, l)[row->kept],
							&live->args[row->args], l->cxt);
	}
	for (uint32 i = 0; i < live->ngroups; i++)
		live->groups[i].torn = false;
	live->torn = false;
}

/* --- a batch --------------------------------------------------------------------------------- */

/* Order the batch's rows by group, by counting. */
static void
sort_rows(ViewApply *a, int nrows)
{
	struct LiveStates *live = a->live;
	int32 *starts = live->starts;

	memset(starts, 0, sizeof(int32) * (a->ntouched + 1));
	for (int i = 0; i < nrows; i++)
		starts[a->row_group[i]->batch_ref + 1]++;
	for (int t = 0; t < a->ntouched; t++)
		starts[t + 1] += starts[t];
	for (int i = 0; i < nrows; i++)
		live->order[starts[a->row_group[i]->batch_ref]++] = i;
	/* each is now where the next one begins */
	memmove(starts + 1, starts, sizeof(int32) * a->ntouched);
	starts[0] = 0;
}

/* Take a group's rows into one value; number: its own, if it has a journal. */
static void
take_rows(ViewApply *a, const EventBatch *b, const int32 *rows, int touched,
		  int kept, AccumValue *value, MemoryContext cxt, const LiveGroup *l)
{
	struct LiveStates *live = a->live;
	int c = live->kept[kept].accum;
	const bool *pass = a->pass[c];
	NullableDatum args[FUNC_MAX_ARGS];

	for (int i = live->starts[touched]; i < live->starts[touched + 1]; i++)
	{
		int32 row = rows[live->order[i]];

		if (pass && !pass[row])
			continue;
		apply_arguments(a, b, c, row, args);
		weir_accum_step(a->accums, c, value, args, cxt);
		if (l)
			note_row(live, l - live->groups, kept, args);
	}
}

/* A group that does not stay alive.  False: no room. */
static bool
take_flat(ViewApply *a, const EventBatch *b, const int32 *rows, int touched)
{
	struct LiveStates *live = a->live;
	PaneGroup *g = a->touched[touched];

	for (int i = 0; i < live->nkept; i++)
	{
		int c = live->kept[i].accum;
		PendingDatum *p = apply_pending(a, live->kept[i].datum, touched);
		MemoryContext work = AllocSetContextCreate(a->batch_cxt, "weir state",
												   ALLOCSET_SMALL_SIZES);

		weir_accum_load(a->accums, c, apply_datum_of(a, c, g), &p->value, work);
		take_rows(a, b, rows, touched, i, &p->value, work, NULL);
		weir_accum_flat(a->accums, c, &p->value, work);
		if (!p->value.isnull)
			p->value.value = datumCopy(p->value.value, false, -1);
		MemoryContextDelete(work);
		p->alive = false;
		if (!apply_reserve(a, c, g, a->touched_pane[touched], false, p))
			return false;
	}
	return true;
}

/* A group that is alive, or can be. */
static void
take_alive(ViewApply *a, const EventBatch *b, const int32 *rows, int touched,
		   LiveGroup *l)
{
	struct LiveStates *live = a->live;

	/* From here on, until the batch is applied. */
	l->torn = live->torn = true;
	l->dirty = l->recent = true;
	live->touched[live->ntouched++] = l - live->groups;
	if (!l->loaded)
		load(a, l);
	for (int i = 0; i < live->nkept; i++)
	{
		take_rows(a, b, rows, touched, i, &live_values(live, l)[i], l->cxt, l);
		apply_pending(a, live->kept[i].datum, touched)->alive = true;
	}
	/* What it grows by from now on is counted when it is settled. */
	if (l->memory == 0)
		live_count_memory(live, l);
}

/* Take the rows of one group. */
static bool
take_group(ViewApply *a, const EventBatch *b, const int32 *rows, int touched)
{
	LiveGroup *l = find(a->live, a->touched[touched]);

	if (a->next_row >= 0 && l)
	{
		live_drop(a->live, l);
		l = NULL;
	}
	if (l == NULL && a->next_row < 0 && live_has_room())
		l = add(a, a->touched[touched], a->touched_pane[touched]);
	if (l == NULL)
		return take_flat(a, b, rows, touched);
	take_alive(a, b, rows, touched, l);
	return true;
}

bool
apply_live_rows(ViewApply *a, const EventBatch *b, const int32 *rows, int nrows)
{
	struct LiveStates *live = a->live;

	/* Row by row: all is settled first, and then changed where it is kept. */
	if ((live->starved || a->next_row >= 0) && !weir_apply_settle(a, false))
		return false;
	live_mend(a);
	live->ntouched = 0;
	sort_rows(a, nrows);
	for (int t = 0; t < a->ntouched; t++)
		if (!take_group(a, b, rows, t))
			return false;
	return true;
}

void
apply_live_applied(ViewApply *a)
{
	struct LiveStates *live = a->live;

	if (live == NULL)
		return;
	for (uint32 i = 0; i < live->ntouched; i++)
		live->groups[live->touched[i]].torn = false;
	live->ntouched = 0;
	live->torn = false;
	live->nnoted = live->njournal;
	live->nnoted_args = live->nargs;
}
