/*
 * worker/launcher.c
 *		The launcher: one process per server, always there.
 *
 * It looks at every database at start and at one whose catalog changed (by a
 * scanner, since a process can connect to one database only), starts a
 * coordinator for each lane that is wanted, cleans up after one that ended, and
 * starts failed lanes again after a pause that doubles up to a minute.
 *
 * It is connected to no database; all it needs of a catalog is pg_database.
 */
#include "base/weir.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/fault.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "worker/lane.h"

#define SCAN_ALL_MS       60000
#define MAX_BACKOFF_MS    60000
#define REGISTER_RETRY_MS 5000
#define SCAN_RETRY_MS     2000
#define DELAY_MS          1000
#define ADOPTION_US       (5 * USECS_PER_SEC)
#define PATIENCE          20 /* turns, of 100 ms at least */

typedef struct Launcher
{
	BackgroundWorkerHandle **coordinators; /* by lane */
	List *scans; /* OIDs of databases still to be looked at */
	BackgroundWorkerHandle *scanner; /* one at a time */
	Oid scanning;                    /* its database */
	List *failed; /* OIDs of databases whose scanner did not end well */
	TimestampTz retry_at;
	TimestampTz next_scan_all;
	TimestampTz next_scan; /* not before: a worker slot was missing */
	TimestampTz started;
	int *asked; /* by lane: times its workers were waited for */
	MemoryContext cxt;
} Launcher;

static void
leave(int code, Datum arg)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	weir_registry->launcher = 0;
	weir_registry->launcher_latch = NULL;
	LWLockRelease(&weir_registry->lock);
}

/* --- scanning ------------------------------------------------------------------- */

static void
want_scan(Launcher *l, Oid dboid)
{
	MemoryContext old = MemoryContextSwitchTo(l->cxt);

	l->scans = list_append_unique_oid(l->scans, dboid);
	MemoryContextSwitchTo(old);
}

static void
want_all_scans(Launcher *l)
{
	Relation rel;
	TableScanDesc scan;
	HeapTuple tup;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tup = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database db = (Form_pg_database) GETSTRUCT(tup);

		if (db->datallowconn && !db->datistemplate)
			want_scan(l, db->oid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
}

static void
take_changes(Launcher *l)
{
	Registry *reg = weir_registry;
	Oid changed[lengthof(reg->changed)];
	int n;
	bool all;

	LWLockAcquire(&reg->lock, LW_EXCLUSIVE);
	n = reg->nchanged;
	memcpy(changed, reg->changed, sizeof(Oid) * n);
	all = reg->changed_overflow;
	reg->nchanged = 0;
	reg->changed_overflow = false;
	LWLockRelease(&reg->lock);
	for (int i = 0; i < n; i++)
		want_scan(l, changed[i]);
	if (all)
		l->next_scan_all = 0;
}

static bool
is_banned(Oid dboid)
{
	bool banned = false;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->nbanned; i++)
		banned = banned || weir_registry->banned[i] == dboid;
	LWLockRelease(&weir_registry->lock);
	return banned;
}

/* What weir.status shows for views that are in no lane. */
static void
say_problem(const char *text)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	strlcpy(weir_registry->problem, text, sizeof(weir_registry->problem));
	LWLockRelease(&weir_registry->lock);
}

/* Does the database exist, and does it take connections? */
static bool
is_open(Oid dboid)
{
	HeapTuple tup;
	bool open = false;

	StartTransactionCommand();
	tup = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	if (HeapTupleIsValid(tup))
	{
		open = ((Form_pg_database) GETSTRUCT(tup))->datallowconn;
		ReleaseSysCache(tup);
	}
	CommitTransactionCommand();
	return open;
}

/*
 * The scanner has ended.  One that had not come to its end (it was killed, or
 * could not connect) is started again after a while: nobody else looks.
 */
static void
after_scan(Launcher *l)
{
	MemoryContext old = MemoryContextSwitchTo(l->cxt);

	pfree(l->scanner);
	l->scanner = NULL;
	if (weir_registry->scanned != l->scanning)
	{
		l->failed = list_append_unique_oid(l->failed, l->scanning);
		l->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  SCAN_RETRY_MS);
	}
	MemoryContextSwitchTo(old);
}

static void
retry_scans(Launcher *l)
{
	if (l->failed == NIL || GetCurrentTimestamp() < l->retry_at)
		return;
	while (l->failed != NIL)
	{
		want_scan(l, linitial_oid(l->failed));
		l->failed = list_delete_first(l->failed);
	}
}

/* Start the next scanner, when the last one has ended. */
static void
run_scans(Launcher *l)
{
	BackgroundWorker worker;
	MemoryContext old;
	pid_t pid;

	if (l->scanner && GetBackgroundWorkerPid(l->scanner, &pid) != BGWH_STOPPED)
		return;
	if (l->scanner)
		after_scan(l);
	retry_scans(l);
	while (l->scans != NIL && (is_banned(linitial_oid(l->scans)) ||
							   !is_open(linitial_oid(l->scans))))
		l->scans = list_delete_first(l->scans);
	if (l->scans == NIL || GetCurrentTimestamp() < l->next_scan)
		return;
	weir_worker_fill(&worker, "weir_scanner_main", "weir scanner",
					 ObjectIdGetDatum(linitial_oid(l->scans)));
	old = MemoryContextSwitchTo(l->cxt);
	l->scanning = linitial_oid(l->scans);
	weir_registry->scanned = InvalidOid;
	if (RegisterDynamicBackgroundWorker(&worker, &l->scanner))
	{
		l->scans = list_delete_first(l->scans);
		say_problem("");
	}
	else
	{
		say_problem("no background worker left: raise max_worker_processes");
		l->next_scan = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   REGISTER_RETRY_MS);
		ereport(LOG,
				(errmsg("no background worker left to look for continuous views"),
				 errhint("Raise max_worker_processes.")));
	}
	MemoryContextSwitchTo(old);
}

/* --- lanes ------------------------------------------------------------------------- */

static void
start_coordinator(Launcher *l, int i)
{
	Lane *lane = &weir_registry->lanes[i];
	BackgroundWorker worker;
	MemoryContext old = MemoryContextSwitchTo(l->cxt);
	char name[BGW_MAXLEN];

	snprintf(name, sizeof(name), "weir coordinator %d", i);
	weir_worker_fill(&worker, "weir_coordinator_main", name, Int32GetDatum(i));
	lane->state = LANE_STARTING;
	lane->run++;
	memcpy(worker.bgw_extra, &lane->run, sizeof(lane->run));
	if (!RegisterDynamicBackgroundWorker(&worker, &l->coordinators[i]))
	{
		lane->state = LANE_WANTED;
		lane->restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   REGISTER_RETRY_MS);
		strlcpy(lane->error,
				"no background worker left: raise max_worker_processes",
				WEIR_ERROR_LEN);
	}
	MemoryContextSwitchTo(old);
	WEIR_FAULT("launcher-coordinator-registered");
}

static bool
coordinator_is_gone(const Launcher *l, int i)
{
	pid_t pid;

	/* Of a launcher before this one: all that is known is the process id. */
	if (l->coordinators[i] == NULL)
		return weir_registry->lanes[i].coordinator == 0 &&
			   GetCurrentTimestamp() > l->started + ADOPTION_US;
	return GetBackgroundWorkerPid(l->coordinators[i], &pid) == BGWH_STOPPED;
}

/*
 * Wait for a lane's workers, which end by themselves when their coordinator has
 * gone; one that does not gets a signal after a while.  True: none is left.
 */
static bool
workers_are_gone(Launcher *l, int i)
{
	Lane *lane = &weir_registry->lanes[i];
	bool signal = ++l->asked[i] % PATIENCE == 0;
	bool gone = true;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int w = 0; w < WEIR_MAX_WORKERS; w++)
		if (lane->workers[w].pid != 0)
		{
			if (signal)
				kill(lane->workers[w].pid, SIGTERM);
			gone = false;
		}
	LWLockRelease(&weir_registry->lock);
	if (gone)
		l->asked[i] = 0;
	return gone;
}

static void
after_end(Launcher *l, Lane *lane)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	lane->state = LANE_ENDING;
	LWLockRelease(&weir_registry->lock);
	WEIR_FAULT("launcher-lane-ended");
	weir_lane_release(lane);
	WEIR_FAULT("launcher-lane-released");
	if (lane->ended && lane->delayed)
	{
		lane->restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   DELAY_MS);
		lane->state = LANE_BACKOFF;
		return;
	}
	if (lane->ended)
	{
		lane->failures = 0;
		lane->state = LANE_FREE;
		want_scan(l, lane->dboid);
		return;
	}
	lane->restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   Min(MAX_BACKOFF_MS,
													   250 << Min(lane->failures,
																  8)));
	lane->failures++;
	lane->metrics.failures++;
	lane->state = LANE_BACKOFF;
	(void) weir_lane_note_condition(lane);
}

static void
serve_lane(Launcher *l, int i)
{
	Lane *lane = &weir_registry->lanes[i];
	TimestampTz now = GetCurrentTimestamp();

	switch (lane->state)
	{
		case LANE_FREE:
			break;
		case LANE_ENDING: /* a launcher before this one did not come to the end */
			after_end(l, lane);
			break;
		case LANE_WANTED:
			if (now >= lane->restart_at && !is_banned(lane->dboid))
				start_coordinator(l, i);
			break;
		case LANE_STARTING:
		case LANE_RUNNING:
			if (!coordinator_is_gone(l, i) || !workers_are_gone(l, i))
				break;
			if (l->coordinators[i])
				pfree(l->coordinators[i]);
			l->coordinators[i] = NULL;
			after_end(l, lane);
			break;
		case LANE_BACKOFF:
			if (now < lane->restart_at)
				break;
			lane->state = LANE_FREE;
			want_scan(l, lane->dboid);
			break;
	}
}

/* Milliseconds until something is due; soon: it is looked for at short notice. */
static long
next_due(bool soon)
{
	TimestampTz now = GetCurrentTimestamp();
	long ms = soon ? 100 : 10000;

	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *lane = &weir_registry->lanes[i];

		if (lane->state == LANE_WANTED || lane->state == LANE_BACKOFF)
			ms = Min(ms, Max(1, (lane->restart_at - now) / 1000 + 1));
		if ((lane->state == LANE_RUNNING || lane->state == LANE_STARTING) &&
			lane->coordinator == 0)
			ms = Min(ms, 100);
	}
	return ms;
}

static void
attach(void)
{
	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	weir_registry->launcher = MyProcPid;
	weir_registry->launcher_latch = MyLatch;
	LWLockRelease(&weir_registry->lock);
	before_shmem_exit(leave, (Datum) 0);
}

void
weir_launcher_main(Datum arg)
{
	Launcher launcher = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	attach();
	launcher.started = GetCurrentTimestamp();
	launcher.cxt = AllocSetContextCreate(TopMemoryContext, "weir launcher",
										 ALLOCSET_DEFAULT_SIZES);
	launcher.coordinators =
		MemoryContextAllocZero(launcher.cxt,
							   weir_registry->max_lanes *
								   sizeof(BackgroundWorkerHandle *));
	launcher.asked = MemoryContextAllocZero(launcher.cxt,
											weir_registry->max_lanes *
												sizeof(int));
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		int retired;

		weir_worker_interrupts();
		take_changes(&launcher);
		if (now >= launcher.next_scan_all)
		{
			want_all_scans(&launcher);
			launcher.next_scan_all = TimestampTzPlusMilliseconds(now,
																 SCAN_ALL_MS);
		}
		for (int i = 0; i < weir_registry->max_lanes; i++)
			serve_lane(&launcher, i);
		/* First: a scan may be wanted for the places that this frees. */
		retired = weir_retired_serve();
		run_scans(&launcher);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 next_due(retired > 0 || launcher.scans ||
								  launcher.scanner || launcher.failed),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
weir_launcher_register(void)
{
	BackgroundWorker worker;

	weir_worker_fill(&worker, "weir_launcher_main", "weir launcher", (Datum) 0);
	worker.bgw_restart_time = 1;
	worker.bgw_notify_pid = 0;
	RegisterBackgroundWorker(&worker);
}
