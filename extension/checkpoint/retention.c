/*
 * checkpoint/retention.c
 *		Partitions of v_final whose windows are all older than the view keeps
 *		them are dropped.
 *
 * Runs in the coordinator, between two checkpoints, outside of a transaction and
 * never in one with a checkpoint: dropping takes ACCESS EXCLUSIVE on v_final, for
 * which a reader may have to be waited for.  Nothing of the checkpoint depends
 * on it, so it waits for a few milliseconds, gives up, and tries again later.
 * Ingest workers have nothing to do with v_final.
 *
 * One partition a transaction, and one a turn, as the view's owner in a
 * security-restricted operation.  Whatever goes wrong (somebody's view on the
 * partition, a lock) is in the log, and is tried again; the view goes on.
 *
 * A partition goes when the end of its last possible window is at or before the
 * view's closing watermark, as committed, less retention.  All of these windows
 * are closed, so none of them can come back: what is late for a window is decided
 * by the watermark, not by whether the row is there.
 */
#include "base/weir.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/clock.h"
#include "catalog/spi.h"
#include "checkpoint/checkpoint.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define LOOK_US       USECS_PER_SEC
#define FIRST_PAUSE   (USECS_PER_SEC / 4)
#define MOST_DOUBLED  5
#define FIRST_WAIT_MS 5
#define MOST_WAIT_MS  100

/*
 * The oldest partition, if it holds no window named above "last"; or InvalidOid.
 * Raises when the table is locked, to look again.
 */
static Oid
find_old(Oid final, int64 last)
{
	Relation rel;
	PartitionDesc desc;
	Oid old = InvalidOid;

	if (!ConditionalLockRelationOid(final, AccessShareLock))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("the final table of the view is locked")));
	rel = try_table_open(final, NoLock);
	if (rel == NULL)
		return InvalidOid;
	desc = RelationGetPartitionDesc(rel, true);
	for (int i = 0; desc->nparts > 0 && i < desc->boundinfo->ndatums; i++)
	{
		PartitionBoundInfo bounds = desc->boundinfo;
		int part = bounds->indexes[i]; /* that has this bound as its upper one */

		if (part < 0 || bounds->kind[i][0] != PARTITION_RANGE_DATUM_VALUE)
			continue;
		if (DatumGetInt64(bounds->datums[i][0]) - 1 <= last)
			old = desc->oids[part];
		break;
	}
	table_close(rel, AccessShareLock);
	return old;
}

static char *
qualified_name(Oid rel)
{
	char *name = get_rel_name(rel);

	return name ? quote_qualified_identifier(get_namespace_name(
												 get_rel_namespace(rel)),
											 name)
				: NULL;
}

/* As the owner.  Raises when a lock does not come within wait_ms. */
static void
drop_partition(const ViewRow *row, Oid partition, int wait_ms)
{
	char *table = qualified_name(partition);
	WeirUser before;
	char wait[16];
	int nest;

	if (table == NULL)
		return; /* somebody else has just dropped it */
	before = weir_become_owner(row->owner);
	nest = weir_plain_settings_enter();
	snprintf(wait, sizeof(wait), "%d", wait_ms);
	(void) set_config_option("lock_timeout", wait, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	/* Raises where it is none any more: what the owner detaches is his. */
	weir_spi(psprintf("ALTER TABLE %s DETACH PARTITION %s",
					  qualified_name(row->final), table),
			 0, NULL, NULL, NULL, SPI_OK_UTILITY);
	weir_spi(psprintf("DROP TABLE %s", table), 0, NULL, NULL, NULL,
			 SPI_OK_UTILITY);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(before);
}

/* Drop one partition; false: there is none to be dropped. */
static bool
drop_old(CheckpointView *v, int64 upto, int wait_ms)
{
	Oid partition;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	partition = find_old(v->row->final,
						 weir_window_closed(&v->plan->window, 0, upto));
	if (OidIsValid(partition))
		drop_partition(v->row, partition, wait_ms);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return OidIsValid(partition);
}

/* In a PG_CATCH: try again later. */
static void
put_off(CheckpointLane *c, CheckpointView *v)
{
	Retention *r = &v->retention;
	ErrorData *e;
	int doublings = Min(r->failures, MOST_DOUBLED);

	MemoryContextSwitchTo(c->cxt);
	e = CopyErrorData();
	if (ProcDiePending)
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	r->failures++;
	r->next = weir_clock_monotonic() + (FIRST_PAUSE << doublings);
	/* Once; a reader that is in the way only when it stays there. */
	if (r->failures == (weir_is_lock_error(e) ? MOST_DOUBLED : 1))
		ereport(LOG,
				(errmsg("could not drop an old partition of continuous view \"%s\": %s",
						v->row->name, e->message),
				 errhint("It is tried again.")));
}

/* One view's turn. */
static void
serve_view(CheckpointLane *c, CheckpointView *v)
{
	Retention *r = &v->retention;
	int64 upto = v->progress.closed_upto - v->row->retention;
	int wait_ms = Min(FIRST_WAIT_MS << Min(r->failures, MOST_DOUBLED),
					  MOST_WAIT_MS);

	if (upto == r->done_upto)
		return;
	PG_TRY();
	{
		if (drop_old(v, upto, wait_ms))
			r->next = 0; /* there may be more */
		else
			r->done_upto = upto;
		r->failures = 0;
	}
	PG_CATCH();
	{
		put_off(c, v);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
}

void
weir_retention_serve(CheckpointLane *c)
{
	int64 now = weir_clock_monotonic();
	int before = synchronous_commit;

	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	for (int i = 0; i < c->nviews; i++)
	{
		CheckpointView *v = c->views[i];

		if (v->gone || v->row->retention <= 0 || now < v->retention.next ||
			v->progress.closed_upto == WEIR_NO_TIME ||
			v->progress.closed_upto >= WP_END_OF_TIME)
			continue;
		v->retention.next = now + LOOK_US;
		serve_view(c, v);
	}
	synchronous_commit = before;
}
