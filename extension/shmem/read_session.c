/*
 * shmem/read_session.c
 *		Reading the open sessions of a running view from shared memory.
 *
 * Runs in backends; as in read.c, in slices under the shard's lock.  A session
 * that is not final has all its pieces in memory, but one that is has some of
 * them perhaps: what is hidden, or gone, is decided by the caller, once the
 * pieces of all shards are joined.  So all panes are read, those that were
 * closed, too.
 *
 * Sessions move from pane to pane, always to a later one (exec/apply_session.c).
 * So panes are read in that order, and which is the next is looked up each time:
 * a session is met where it was, or where it is by then, or in both places.
 * A pane may go whenever the lock is given back; then nothing that is not gone
 * for the reader was in it.
 */
#include "base/weir.h"

#include "miscadmin.h"
#include "shmem/read_internal.h"

/* Where a reader is in a shard. */
typedef struct Place
{
	Pane *pane;   /* being read, or NULL */
	int64 name;   /* of this one, or of the one before */
	bool started; /* there was one before */
	Position pos;
} Place;

/* The pane being read, or the one after it; NULL: none is left.  Lock held. */
static Pane *
find_pane(Shard *shard, Place *at)
{
	Pane *next = NULL;

	for (Pane *p = shard->panes; p; p = p->next)
	{
		int64 name = p->windows.last;

		if (p == at->pane && name == at->name)
			return p;
		if ((!at->started || name > at->name) &&
			(next == NULL || name < next->windows.last))
			next = p;
	}
	*at = (Place){.pane = next, .started = true};
	if (next)
		at->name = next->windows.last;
	return next;
}

static void
hand_out(Reader *r, ReadSession session, int shard, size_t from, size_t to)
{
	while (from < to)
	{
		const GroupRecord *rec = (const GroupRecord *) (r->buffer + from);

		session(r->arg, shard, rec);
		from += rec->len;
	}
}

/* False: the view went away. */
static bool
read_shard(Reader *r, ReadSession session, int number)
{
	Shard *shard = &r->slot->shards[number];
	Place at = {0};
	bool over = false;

	while (!over)
	{
		size_t from = r->used;
		size_t need = 0;
		Pane *pane = NULL;
		bool alive;

		weir_read_stand_back(shard);
		LWLockAcquire(&shard->lock, LW_SHARED);
		alive = pg_atomic_read_u64(&r->slot->life) == r->life;
		if (alive)
			pane = find_pane(shard, &at);
		if (pane && weir_read_groups(r, pane, &at.pos, &need))
			at.pane = NULL;
		LWLockRelease(&shard->lock);
		if (!alive)
			return false;
		over = pane == NULL;
		hand_out(r, session, number, from, r->used);
		if (need > 0)
			weir_read_buffer(r, need);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

ReadResult
weir_read_sessions(const ViewPlaces *places, int32 view, Snapshot snapshot,
				   const StateLayout *layout, ReadSession session, void *arg,
				   int64 *hidden, ReadGone *gone)
{
	Reader r = {.gone_later = WEIR_NO_TIME, .layout = layout, .arg = arg};
	ReadResult result = weir_read_begin(&r, places, view, snapshot);

	if (result != READ_DONE)
		return result;
	*hidden = r.hidden_upto;
	weir_read_buffer(&r, 0);
	for (int s = 0; s < r.slot->nshards; s++)
		if (!read_shard(&r, session, s))
			return READ_AGAIN;
	return weir_read_end(&r, gone);
}
