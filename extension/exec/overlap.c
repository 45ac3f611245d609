/*
 * exec/overlap.c
 *		Panes combined into overlapping windows (see overlap.h).
 *
 * Coordinators (closing) and backends (reads).  No locks; may raise.
 *
 * Of one key there is a state for each pane, to be counted in all windows from
 * the pane's first to its last one.  With n windows that are w panes wide each,
 * combining every window for itself takes n * w steps.  Here each state is
 * combined into at most two places, and each window out of at most three.
 *
 * Every "width" windows there is a pivot, width being the most windows that a
 * pane counts in.  So a pane that has a pivot among its windows has just one:
 *
 *					pivot p					  pivot q
 *		------------|-------------------------|--------------> windows
 *		 f======l   f===|====l         f======|======l
 *		 (direct)       right of p     left of q  right of q
 *
 * The block of windows (p, q] is made of
 *
 *		panes across p		the sum, from the right, of those that reach so far
 *		panes across q		the sum, from the left, of those that have begun
 *		panes across none	each added to all of its windows: of records that were
 *							late for some windows, and at the edges
 *
 * Memory: what is added, in the table's context, and two contexts of a block each
 * in turn, since a block ends with what is to the right of its pivot, which the
 * next one needs.
 */
#include "base/weir.h"

#include "exec/overlap.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define NO_ITEM     PG_UINT32_MAX
#define FIRST_ITEMS 1024

/* The state of a key in a pane. */
typedef struct Item
{
	int64 first;
	int64 last;
	const char *state;
	uint32 next; /* of the same key */
} Item;

/* What several states make together; the first one is not copied. */
typedef struct Cell
{
	char *state; /* NULL: nothing */
	bool owned;  /* it is a copy, to be changed in place */
} Cell;

struct OverlapTable
{
	ViewReader *reader;
	const WindowSpec *window;
	MemoryContext cxt;
	MergeTable *keys; /* without states */
	uint32 *heads;    /* by key: its last item */
	uint32 nheads;
	Item *items;
	uint32 nitems;
	uint32 capacity;
	/* Windows to be made, and where we are. */
	int64 first;
	int64 upto;
	uint32 key; /* the next one */
	Item *own;  /* of the key, within the windows, by first */
	uint32 nown;
	uint32 own_capacity;
	uint32 at;    /* first that is in no block yet */
	int64 before; /* the block's windows come after this */
	int64 width;
	int64 cells; /* room in these arrays: */
	Cell *left;  /* of the block, by window */
	Cell *right; /* of the pivot before it */
	Cell *next;  /* of the pivot at its end */
	Cell *out;
	bool reaches; /* next is not empty */
	int64 shown;  /* windows of the block that were handed out */
	MemoryContext block;
	MemoryContext spare;
};

/* --- what is added ------------------------------------------------------------ */

static void
allocate(OverlapTable *t)
{
	t->nheads = 0;
	t->heads = NULL;
	t->nitems = 0;
	t->capacity = FIRST_ITEMS;
	t->items = MemoryContextAlloc(t->cxt, sizeof(Item) * t->capacity);
	t->own = NULL;
	t->own_capacity = 0;
	t->cells = 0;
}

OverlapTable *
weir_overlap_new(ViewReader *reader, MemoryContext parent)
{
	OverlapTable *t = MemoryContextAllocZero(parent, sizeof(OverlapTable));

	t->reader = reader;
	t->window = &reader->plan->window;
	t->cxt = AllocSetContextCreate(parent, "weir panes", ALLOCSET_DEFAULT_SIZES);
	t->keys = weir_merge_new(reader, parent);
	t->block = AllocSetContextCreate(parent, "weir windows",
									 ALLOCSET_DEFAULT_SIZES);
	t->spare = AllocSetContextCreate(parent, "weir windows",
									 ALLOCSET_DEFAULT_SIZES);
	allocate(t);
	return t;
}

void
weir_overlap_reset(OverlapTable *t)
{
	MemoryContextReset(t->cxt);
	MemoryContextReset(t->block);
	MemoryContextReset(t->spare);
	weir_merge_reset(t->keys);
	allocate(t);
}

void
weir_overlap_free(OverlapTable *t)
{
	MemoryContextDelete(t->cxt);
	MemoryContextDelete(t->block);
	MemoryContextDelete(t->spare);
	weir_merge_free(t->keys);
	pfree(t);
}

/* An array of the table with room for twice as many. */
static void *
grown(OverlapTable *t, void *array, Size bytes)
{
	if (array == NULL)
		return MemoryContextAllocHuge(t->cxt, bytes);
	return repalloc_huge(array, bytes);
}

/* Where the items of a key begin. */
static uint32 *
head_of(OverlapTable *t, const char *key, uint32 keylen)
{
	MergeGroup *g = weir_merge_find(t->keys, 0, key, keylen);
	uint32 number = (uint32) (g - t->keys->groups);

	if (t->nheads < t->keys->ngroups)
	{
		t->heads = grown(t, t->heads, sizeof(uint32) * t->keys->capacity);
		for (; t->nheads < t->keys->capacity; t->nheads++)
			t->heads[t->nheads] = NO_ITEM;
	}
	return &t->heads[number];
}

void
weir_overlap_add_group(OverlapTable *t, const PaneWindows *pane,
					   const char *key, uint32 keylen, const char *state)
{
	uint32 *head = head_of(t, key, keylen);

	if (t->nitems == t->capacity)
	{
		t->capacity *= 2;
		t->items = grown(t, t->items, sizeof(Item) * t->capacity);
	}
	t->items[t->nitems] = (Item){.first = pane->first,
								 .last = pane->last,
								 .state = state,
								 .next = *head};
	*head = t->nitems++;
}

void
weir_overlap_add(OverlapTable *t, const PaneWindows *pane,
				 const GroupRecord *record)
{
	const StateLayout *layout = &t->reader->layout;
	const char *base = (const char *) record;
	char *state = MemoryContextAlloc(t->cxt, Max(layout->size, 1));

	weir_record_state(record, layout, state);
	weir_overlap_add_group(t, pane, base + record->key, record->keylen, state);
}

/* --- cells ---------------------------------------------------------------------- */

/* A copy that may be changed in place, in the block's context. */
static char *
copy_state(OverlapTable *t, const char *state)
{
	const StateLayout *layout = &t->reader->layout;
	char *copy = palloc(Max(layout->size, 1));

	memcpy(copy, state, layout->size);
	for (int i = 0; i < layout->ndatums; i++)
	{
		AccumDatum *d = (AccumDatum *) (copy + layout->datums[i]);
		char *data;

		if (d->len == 0)
			continue;
		data = palloc(d->len);
		memcpy(data, d->data, d->len);
		d->data = data;
		d->cap = d->len;
	}
	return copy;
}

static void
combine(OverlapTable *t, Cell *cell, const char *state)
{
	if (state == NULL)
		return;
	if (cell->state == NULL)
	{
		*cell = (Cell){.state = unconstify(char *, state)};
		return;
	}
	if (!cell->owned)
		*cell = (Cell){.state = copy_state(t, cell->state), .owned = true};
	weir_accum_combine(t->reader->accums, cell->state, state, t->block);
}

/* --- one key ---------------------------------------------------------------------- */

static int
compare_items(const void *a, const void *b)
{
	int64 x = ((const Item *) a)->first;
	int64 y = ((const Item *) b)->first;

	return (x > y) - (x < y);
}

/* An item as far as it is of windows that are wanted; false: not at all. */
static bool
clip(const OverlapTable *t, Item *item)
{
	int64 step = t->window->all.step;

	item->first = Max(item->first, t->first);
	if (item->last > t->upto)
	{
		if (item->first > t->upto)
			return false;
		/* names are steps apart */
		item->last -= (item->last - t->upto + step - 1) / step * step;
	}
	return item->first <= item->last;
}

static void
take_item(OverlapTable *t, const Item *item)
{
	if (t->nown == t->own_capacity)
	{
		t->own_capacity = Max(64, t->own_capacity * 2);
		t->own = grown(t, t->own, sizeof(Item) * t->own_capacity);
	}
	t->own[t->nown++] = *item;
	t->width = Max(t->width,
				   (item->last - item->first) / t->window->all.step + 1);
}

static void
reserve_cells(OverlapTable *t)
{
	if (t->width <= t->cells)
		return;
	t->left = grown(t, t->cells ? t->left : NULL, sizeof(Cell) * t->width);
	t->right = grown(t, t->cells ? t->right : NULL, sizeof(Cell) * t->width);
	t->next = grown(t, t->cells ? t->next : NULL, sizeof(Cell) * t->width);
	t->out = grown(t, t->cells ? t->out : NULL, sizeof(Cell) * t->width);
	t->cells = t->width;
}

static void
begin_key(OverlapTable *t, uint32 key)
{
	t->nown = 0;
	t->at = 0;
	t->width = 1;
	t->reaches = false;
	for (uint32 i = t->heads[key]; i != NO_ITEM; i = t->items[i].next)
	{
		Item item = t->items[i];

		if (clip(t, &item))
			take_item(t, &item);
	}
	qsort(t->own, t->nown, sizeof(Item), compare_items);
	reserve_cells(t);
}

/* --- one block -------------------------------------------------------------------- */

/* Which of the windows after "before" it is, from 0. */
static inline int64
index_of(const OverlapTable *t, int64 name, int64 before)
{
	return (name - before) / t->window->all.step - 1;
}

/* A pane into its places. */
static void
place(OverlapTable *t, const Item *item, int64 pivot)
{
	int64 from = index_of(t, item->first, t->before);

	if (item->last < pivot)
	{
		for (int64 i = from; i <= index_of(t, item->last, t->before); i++)
			combine(t, &t->out[i], item->state);
		return;
	}
	combine(t, &t->left[from], item->state);
	if (item->last == pivot)
		return;
	combine(t, &t->next[index_of(t, item->last, pivot)], item->state);
	t->reaches = true;
}

/* Add to the windows of the block what reaches them from either side. */
static void
sum_up(OverlapTable *t)
{
	Cell sum = {0};

	for (int64 i = t->width - 1; i >= 0; i--)
	{
		combine(t, &t->right[i], sum.state);
		sum = t->right[i];
		combine(t, &t->out[i], sum.state);
	}
	sum = (Cell){0};
	for (int64 i = 0; i < t->width; i++)
	{
		combine(t, &sum, t->left[i].state);
		combine(t, &t->out[i], sum.state);
		/* what a window has now is not to change any more */
		sum.owned = sum.owned && t->out[i].state != sum.state;
	}
}

/* Make the next block of the key's windows; false: there is none. */
static bool
next_block(OverlapTable *t)
{
	int64 step = t->window->all.step;
	Cell *cells = t->right;
	MemoryContext cxt = t->spare;
	int64 pivot;

	if (t->at == t->nown && !t->reaches)
		return false;
	t->right = t->next;
	t->next = cells;
	memset(t->next, 0, sizeof(Cell) * t->width);
	memset(t->left, 0, sizeof(Cell) * t->width);
	memset(t->out, 0, sizeof(Cell) * t->width);
	/* Nothing comes from before: the next pane's first window is a pivot. */
	if (!t->reaches)
	{
		memset(t->right, 0, sizeof(Cell) * t->width);
		t->before = t->own[t->at].first - 2 * t->width * step;
	}
	t->before += t->width * step;
	pivot = t->before + t->width * step;
	t->reaches = false;
	t->spare = t->block;
	t->block = cxt;
	MemoryContextReset(t->block);
	cxt = MemoryContextSwitchTo(t->block);
	for (; t->at < t->nown && t->own[t->at].first <= pivot; t->at++)
		place(t, &t->own[t->at], pivot);
	sum_up(t);
	MemoryContextSwitchTo(cxt);
	t->shown = 0;
	return true;
}

/* --- windows ---------------------------------------------------------------------- */

void
weir_overlap_begin(OverlapTable *t, int64 first, int64 upto)
{
	t->first = first;
	t->upto = upto;
	t->key = 0;
	t->nown = t->at = 0;
	t->width = t->shown = 0;
	t->reaches = false;
}

/* The next window of the block that is not empty; false: there is none. */
static bool
next_in_block(OverlapTable *t, MergeGroup *group)
{
	while (t->shown < t->width)
	{
		Cell *c = &t->out[t->shown++];

		if (c->state == NULL)
			continue;
		*group = t->keys->groups[t->key - 1];
		group->window = t->before + t->shown * t->window->all.step;
		group->state = c->state;
		return true;
	}
	return false;
}

bool
weir_overlap_next(OverlapTable *t, MergeGroup *group)
{
	while (!next_in_block(t, group))
	{
		if (next_block(t))
			continue;
		if (t->key == t->keys->ngroups)
			return false;
		begin_key(t, t->key++);
		t->shown = t->width; /* no block yet */
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}
