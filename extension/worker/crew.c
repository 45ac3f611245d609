/*
 * worker/crew.c
 *		The ingest workers of a lane: how many, which partitions, are they there.
 *
 * Runs in the coordinator.  It registers the workers first and deals the
 * partitions out afterwards, among those that it got: with too few background
 * workers a lane reads with fewer, as long as there is one.  The workers wait
 * for the lane's "ready" before they look at the partitions.  Each partition
 * then belongs to one worker for as long as the lane runs, and worker w writes
 * shard w of each view.
 */
#include "base/weir.h"

#include "base/guc.h"
#include "worker/coordinator.h"

int
weir_crew_wanted(const StreamDef *stream, int npartitions)
{
	int n = stream->workers > 0 ? stream->workers : weir_settings.ingest_workers;

	return Max(1, Min(n, npartitions));
}

/* Register one worker; false: no background worker is left. */
static bool
start_worker(Coordinator *co, int w)
{
	Lane *lane = co->lane;
	uint64 barrier = pg_atomic_read_u64(&lane->barrier);
	BackgroundWorker worker;
	char name[BGW_MAXLEN];

	/* It has nothing that a barrier of an earlier lane could concern. */
	pg_atomic_write_u64(&lane->workers[w].acked, barrier);
	pg_atomic_write_u64(&lane->workers[w].copied, barrier);
	snprintf(name, sizeof(name), "weir ingest %s.%s", co->c.stream->nspname,
			 co->c.stream->relname);
	weir_worker_fill(&worker, "weir_ingest_main", name,
					 Int32GetDatum(weir_lane_number(lane) * WEIR_MAX_WORKERS +
								   w));
	memcpy(worker.bgw_extra, &lane->run, sizeof(lane->run));
	return RegisterDynamicBackgroundWorker(&worker, &co->workers[w]);
}

static void
say_fewer(Lane *lane, int wanted)
{
	snprintf(lane->error, WEIR_ERROR_LEN,
			 "%d of %d ingest workers run: raise max_worker_processes",
			 lane->nworkers, wanted);
	ereport(LOG,
			(errmsg("weir lane %d reads with %d of %d ingest workers, since no background worker is left",
					weir_lane_number(lane), lane->nworkers, wanted),
			 errhint("Raise max_worker_processes.")));
}

void
weir_crew_start(Coordinator *co)
{
	Lane *lane = co->lane;
	int wanted = lane->nworkers;
	int n = 0;

	while (n < wanted && start_worker(co, n))
		n++;
	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no background worker left to read a topic"),
						errhint("Raise max_worker_processes.")));
	lane->nworkers = n;
	if (n < wanted)
		say_fewer(lane, wanted);
	for (int p = 0; p < lane->npartitions; p++)
		lane->parts[p].worker = p % n;
	pg_write_barrier();
	pg_atomic_write_u32(&lane->ready, co->c.nviews);
	weir_crew_wake(lane);
}

void
weir_crew_check(Coordinator *co)
{
	for (int w = 0; w < co->lane->nworkers; w++)
	{
		const char *error = co->lane->workers[w].error;
		pid_t pid;

		if (GetBackgroundWorkerPid(co->workers[w], &pid) == BGWH_STOPPED)
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("an ingest worker of lane %d ended: %s",
								   weir_lane_number(co->lane),
								   error[0] ? error : "no reason known")));
	}
}

void
weir_crew_wake(Lane *lane)
{
	for (int w = 0; w < lane->nworkers; w++)
		weir_wake_worker(lane, w);
}
