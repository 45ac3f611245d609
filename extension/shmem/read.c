/*
 * shmem/read.c
 *		Reading the open windows of a running view (see read.h).
 *
 * Runs in backends.  Which windows: those whose closing the snapshot does not
 * see.  A closing is marked with its transaction before that commits, and its
 * panes are freed only when no snapshot can need them, so a pane that this
 * snapshot shows stays where it is while the snapshot lives; the one exception,
 * the whole view going away, changes "life", which is looked at whenever a lock
 * was taken.
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
#include "shmem/read.h"
#include "utils/snapmgr.h"

#define SLICE_US     100
#define CLOCK_EVERY  32
#define BUFFER_BYTES (256 * 1024)

typedef struct Reader
{
	ViewSlot *slot;
	uint64 life;
	const StateLayout *layout;
	int64 span;
	int64 hidden_upto; /* windows that close up to here are in v_final */
	char *buffer;
	size_t size;
	size_t used;
	ReadGroup group;
	void *arg;
} Reader;

static bool
sees(void *snapshot, uint32 xid)
{
	return !XidInMVCCSnapshot(xid, snapshot) && TransactionIdDidCommit(xid);
}

/* What the snapshot sees as closed.  False: it is older than the lane. */
static bool
find_hidden(Reader *r, Snapshot snapshot)
{
	WmMarks marks;

	LWLockAcquire(&r->slot->marks_lock, LW_SHARED);
	wm_copy(&marks, &r->slot->marks);
	LWLockRelease(&r->slot->marks_lock);
	return wm_look(&marks, sees, snapshot, &r->hidden_upto);
}

static inline bool
is_hidden(const Reader *r, int64 start)
{
	return wc_is_closed(start + r->span, r->hidden_upto);
}

/* A new buffer with room for at least this much; records keep the old one. */
static void
new_buffer(Reader *r, size_t need)
{
	r->size = Max(BUFFER_BYTES, need);
	r->buffer = palloc_extended(r->size, MCXT_ALLOC_HUGE);
	r->used = 0;
}

static void
hand_out(Reader *r, int64 window, size_t from, size_t to)
{
	while (from < to)
	{
		const GroupRecord *rec = (const GroupRecord *) (r->buffer + from);

		r->group(r->arg, window, rec);
		from += rec->len;
	}
}

static void
stand_back(Shard *shard)
{
	for (int i = 0; i < 100 && pg_atomic_read_u32(&shard->writer_waiting); i++)
		pg_usleep(10);
}

/* --- one pane --------------------------------------------------------------------- */

typedef struct Position
{
	GroupSegment *seg;
	uint32 i; /* in seg */
	uint32 n; /* in the pane */
} Position;

/*
 * Flatten groups from pos on until time or room is over.  Lock held.  Returns
 * true at the end of the pane; *need: room that the next record wants.
 */
static bool
copy_groups(Reader *r, const Pane *pane, Position *pos, size_t *need)
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

/* False: the view went away. */
static bool
read_pane(Reader *r, Shard *shard, Pane *pane)
{
	Position pos = {0};
	bool done = false;

	while (!done)
	{
		size_t from = r->used;
		size_t need = 0;
		int64 start = 0;
		bool alive;

		stand_back(shard);
		LWLockAcquire(&shard->lock, LW_SHARED);
		alive = pg_atomic_read_u64(&r->slot->life) == r->life;
		if (alive)
		{
			start = pane->start;
			done = copy_groups(r, pane, &pos, &need);
		}
		LWLockRelease(&shard->lock);
		WEIR_FAULT("read-slice-copied");
		if (!alive)
			return false;
		hand_out(r, start, from, r->used);
		if (need > 0)
			new_buffer(r, need);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* --- a shard ------------------------------------------------------------------------ */

/* The shard's panes that are open for the snapshot; *n: how many there are. */
static Pane **
list_panes(Reader *r, Shard *shard, int *n)
{
	int capacity = 64;
	Pane **panes = palloc(sizeof(Pane *) * capacity);

	for (;;)
	{
		*n = 0;
		LWLockAcquire(&shard->lock, LW_SHARED);
		if (pg_atomic_read_u64(&r->slot->life) != r->life)
			*n = -1;
		else
			for (Pane *p = shard->panes; p; p = p->next)
			{
				if (is_hidden(r, p->start))
					continue;
				if (*n < capacity)
					panes[*n] = p;
				(*n)++;
			}
		LWLockRelease(&shard->lock);
		if (*n <= capacity)
			return panes;
		capacity = *n * 2;
		panes = repalloc(panes, sizeof(Pane *) * capacity);
	}
}

static bool
read_shard(Reader *r, Shard *shard)
{
	int n;
	Pane **panes = list_panes(r, shard, &n);

	for (int i = 0; i < n; i++)
		if (!read_pane(r, shard, panes[i]))
			return false;
	pfree(panes);
	return n >= 0;
}

ReadResult
weir_read_view(ViewSlot *slot, int32 view, Snapshot snapshot,
			   const StateLayout *layout, int64 span, ReadGroup group, void *arg)
{
	Reader r = {.slot = slot,
				.layout = layout,
				.span = span,
				.group = group,
				.arg = arg};

	r.life = pg_atomic_read_u64(&slot->life);
	if (weir_view_find(MyDatabaseId, view) != slot)
		return READ_AGAIN;
	if (!find_hidden(&r, snapshot))
		return READ_TOO_OLD;
	new_buffer(&r, 0);
	for (int s = 0; s < slot->nshards; s++)
		if (!read_shard(&r, &slot->shards[s]))
			return READ_AGAIN;
	return READ_DONE;
}
