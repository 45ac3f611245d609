/*
 * shmem/read.c
 *		Reading the open windows of a running view (see read.h).
 *
 * Runs in backends.  Which windows: those whose closing the snapshot does not
 * see.  A closing is marked with its transaction before that commits, and its
 * panes are freed when no snapshot can need them, or when they cost too much;
 * then gone_upto is raised before they are unlinked under the lock.  The whole
 * view's going away changes "life".  Both are looked at whenever a lock was
 * taken, before a pane is touched.  What went meanwhile is told to the caller.
 *
 * Groups are flattened under the shard's lock into a buffer that was allocated
 * before; after about 100 us, a full buffer, or when the writer waits, the lock
 * is given back.  Slots only ever get appended, so a slice goes on where the
 * last one stopped.
 */
#include "base/weir.h"

#include "access/transam.h"
#include "base/clock.h"
#include "base/fault.h"
#include "core/closing.h"
#include "miscadmin.h"
#include "shmem/read_internal.h"
#include "utils/snapmgr.h"

#define SLICE_US     100
#define CLOCK_EVERY  32
#define BUFFER_BYTES (256 * 1024)

static bool
sees(void *snapshot, uint32 xid)
{
	return !XidInMVCCSnapshot(xid, snapshot) && TransactionIdDidCommit(xid);
}

/* What the snapshot sees as closed.  False: it is older than the slot. */
static bool
find_hidden(ViewSlot *slot, Snapshot snapshot, int64 *hidden, int64 *gone)
{
	WmMarks marks;

	LWLockAcquire(&slot->marks_lock, LW_SHARED);
	wm_copy(&marks, &slot->marks);
	LWLockRelease(&slot->marks_lock);
	if (!wm_look(&marks, sees, snapshot, hidden))
		return false;
	*gone = marks.gone_upto;
	return true;
}

static uint64
life_of(ViewSlot *slot)
{
	return slot ? pg_atomic_read_u64(&slot->life) : 0;
}

static void
read_from(Reader *r, ViewSlot *slot, uint64 life, int64 hidden)
{
	r->slot = slot;
	r->life = life;
	r->hidden_upto = hidden;
}

/*
 * Choose the slot to read: the retired one as long as the live one has not all
 * of it, or is too young for the snapshot.  What the live one has closed is
 * hidden in the retired one, and what it has no more is taken for gone: its marks
 * may be spared.  Marks move between the two only when the live one goes, so its
 * life is looked at last.
 */
ReadResult
weir_read_begin(Reader *r, const ViewPlaces *places, int32 view,
				Snapshot snapshot)
{
	uint64 life_now = life_of(places->now);
	uint64 life_before = life_of(places->before);
	int64 hidden_now = WEIR_NO_TIME;
	int64 gone_now = WEIR_NO_TIME;
	int64 hidden;
	int64 gone;
	bool sees_now;
	ViewPlaces again;

	weir_view_places(MyDatabaseId, view, places->generation,
					 places->fingerprint, &again);
	if (again.now != places->now || again.before != places->before)
		return READ_AGAIN;
	sees_now = again.now &&
			   find_hidden(again.now, snapshot, &hidden_now, &gone_now);
	if (again.before && !(sees_now && again.caught_up) &&
		find_hidden(again.before, snapshot, &hidden, &gone))
	{
		read_from(r, again.before, life_before, Max(hidden, hidden_now));
		r->gone_later = gone_now;
	}
	else if (sees_now)
		read_from(r, again.now, life_now, hidden_now);
	else
		return READ_TOO_OLD;
	return life_of(again.now) == life_now ? READ_DONE : READ_AGAIN;
}

static inline int64
gone_upto(const Reader *r)
{
	return Max(r->gone_later, *(volatile int64 *) &r->slot->marks.gone_upto);
}

/*
 * Is the pane in memory no more, its last window being gone?  A lock is held under
 * which it would go.
 */
static inline bool
is_gone(const Reader *r, const PaneWindows *w)
{
	return wc_is_closed(w->end + r->lateness, gone_upto(r));
}

static inline bool
is_hidden(const Reader *r, const PaneWindows *w)
{
	return wc_is_closed(w->end + r->lateness, r->hidden_upto);
}

void
weir_read_buffer(Reader *r, size_t need)
{
	r->size = Max(BUFFER_BYTES, need);
	r->buffer = palloc_extended(r->size, MCXT_ALLOC_HUGE);
	r->used = 0;
}

static void
hand_out(Reader *r, const PaneWindows *windows, size_t from, size_t to)
{
	while (from < to)
	{
		const GroupRecord *rec = (const GroupRecord *) (r->buffer + from);

		r->group(r->arg, windows, rec);
		from += rec->len;
	}
}

void
weir_read_stand_back(Shard *shard)
{
	for (int i = 0; i < 100 && pg_atomic_read_u32(&shard->writer_waiting); i++)
		pg_usleep(10);
}

/* --- one pane --------------------------------------------------------------------- */

bool
weir_read_groups(Reader *r, const Pane *pane, Position *pos, size_t *need)
{
	int64 stop = weir_clock_monotonic() + SLICE_US;
	uint32 done = 0;

	*need = 0;
	if (pos->seg == NULL)
		pos->seg = pane->segments;
	while (pos->n < pane->ngroups)
	{
		PaneGroup *g;

		if (pos->i == pos->seg->capacity)
		{
			pos->seg = pos->seg->next;
			pos->i = 0;
		}
		g = (PaneGroup *) (pos->seg->groups + (size_t) pos->i * pane->group_size);
		if (g->live)
		{
			uint32 size = weir_record_size(g, r->layout);

			if (r->size - r->used < size)
			{
				*need = size;
				return false;
			}
			weir_record_write(g, r->layout, r->buffer + r->used, size);
			r->used += size;
		}
		pos->i++;
		pos->n++;
		if (++done % CLOCK_EVERY == 0 && weir_clock_monotonic() > stop)
			return pos->n == pane->ngroups;
	}
	return true;
}

typedef struct Listed
{
	Pane *pane;
	PaneWindows windows;
} Listed;

/* False: the view went away. */
static bool
read_pane(Reader *r, Shard *shard, const Listed *l)
{
	Position pos = {0};
	bool done = false;

	while (!done)
	{
		size_t from = r->used;
		size_t need = 0;
		bool alive;

		weir_read_stand_back(shard);
		LWLockAcquire(&shard->lock, LW_SHARED);
		alive = pg_atomic_read_u64(&r->slot->life) == r->life;
		done = is_gone(r, &l->windows);
		if (alive && !done)
			done = weir_read_groups(r, l->pane, &pos, &need);
		LWLockRelease(&shard->lock);
		WEIR_FAULT("read-slice-copied");
		if (!alive)
			return false;
		hand_out(r, &l->windows, from, r->used);
		if (need > 0)
			weir_read_buffer(r, need);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* --- lists ---------------------------------------------------------------------------- */

typedef struct PaneList
{
	Listed *items;
	int n; /* that there are; beyond capacity they are not kept; -1: no view */
	int capacity;
} PaneList;

static void
list_one(const Reader *r, PaneList *list, Pane *pane)
{
	if (is_hidden(r, &pane->windows) || is_gone(r, &pane->windows))
		return;
	if (list->n < list->capacity)
		list->items[list->n] = (Listed){.pane = pane, .windows = pane->windows};
	list->n++;
}

/* The shard's panes that are open for the snapshot. */
static PaneList
list_panes(Reader *r, Shard *shard)
{
	PaneList list = {.capacity = 64};

	for (;;)
	{
		list.n = 0;
		list.items = palloc_extended(sizeof(Listed) * list.capacity,
									 MCXT_ALLOC_HUGE);
		LWLockAcquire(&shard->lock, LW_SHARED);
		if (pg_atomic_read_u64(&r->slot->life) != r->life)
			list.n = -1;
		else
			for (Pane *p = shard->panes; p; p = p->next)
				list_one(r, &list, p);
		LWLockRelease(&shard->lock);
		if (list.n <= list.capacity)
			return list;
		list.capacity = list.n * 2;
		pfree(list.items);
	}
}

static bool
read_shard(Reader *r, Shard *shard)
{
	PaneList list = list_panes(r, shard);

	for (int i = 0; i < list.n; i++)
		if (!read_pane(r, shard, &list.items[i]))
			return false;
	pfree(list.items);
	return list.n >= 0;
}

ReadResult
weir_read_end(Reader *r, ReadGone *gone)
{
	LWLockAcquire(&r->slot->marks_lock, LW_SHARED);
	gone->from = r->hidden_upto;
	gone->upto = gone_upto(r);
	LWLockRelease(&r->slot->marks_lock);
	return life_of(r->slot) == r->life ? READ_DONE : READ_AGAIN;
}

ReadResult
weir_read_view(const ViewPlaces *places, int32 view, Snapshot snapshot,
			   const StateLayout *layout, int64 lateness, ReadGroup group,
			   void *arg, int64 *hidden, ReadGone *gone)
{
	Reader r = {.gone_later = WEIR_NO_TIME,
				.layout = layout,
				.lateness = lateness,
				.group = group,
				.arg = arg};
	ReadResult result = weir_read_begin(&r, places, view, snapshot);

	if (result != READ_DONE)
		return result;
	*hidden = r.hidden_upto;
	weir_read_buffer(&r, 0);
	for (int s = 0; s < r.slot->nshards; s++)
		if (!read_shard(&r, &r.slot->shards[s]))
			return READ_AGAIN;
	return weir_read_end(&r, gone);
}
