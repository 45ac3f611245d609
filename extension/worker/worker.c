/*
 * worker/worker.c
 *		What launcher, scanner, coordinator and ingest worker have in common.
 *
 * They connect as the bootstrap superuser and switch to a view's owner where
 * they evaluate its expressions.
 */
#include "base/weir.h"

#include <unistd.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/ps_status.h"
#include "worker/lane.h"

void
weir_worker_fill(BackgroundWorker *w, const char *function, const char *name,
				 Datum arg)
{
	memset(w, 0, sizeof(*w));
	w->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	w->bgw_start_time = BgWorkerStart_RecoveryFinished;
	w->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(w->bgw_library_name, "weir", sizeof(w->bgw_library_name));
	strlcpy(w->bgw_function_name, function, sizeof(w->bgw_function_name));
	strlcpy(w->bgw_name, name, BGW_MAXLEN);
	strlcpy(w->bgw_type, name, BGW_MAXLEN);
	w->bgw_main_arg = arg;
	w->bgw_notify_pid = MyProcPid;
}

/*
 * The last thing a worker does: go without the process's own exit handlers.
 * librdkafka's threads may still be running, and asking them to end can take as
 * long as a broker does not answer.
 */
static void
go(int code, Datum arg)
{
	_exit(code);
}

void
weir_worker_begin(Oid dboid)
{
	on_proc_exit(go, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);

	/*
	 * Nothing here may depend on what a database or role sets, or on objects
	 * that a user can plant; a view's own settings are put on for its
	 * expressions alone.
	 */
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET,
					PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "500ms", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("TimeZone", "UTC", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "off", PGC_SUSET, PGC_S_OVERRIDE);
}

void
weir_worker_interrupts(void)
{
	/* pg_cancel_backend ends what runs for a view; here nothing does. */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (!PostmasterIsAlive())
		proc_exit(1);
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
weir_worker_say(bool busy, const char *text)
{
	static char said[NAMEDATALEN * 4];

	if (strncmp(said, text, sizeof(said) - 1) == 0)
		return;
	strlcpy(said, text, sizeof(said));
	set_ps_display(said);
	pgstat_report_activity(busy ? STATE_RUNNING : STATE_IDLE, said);
}

int64
weir_coarse(int64 n)
{
	int64 unit = 1;

	while (n / unit >= 100)
		unit *= 10;
	return n / unit * unit;
}

int
weir_lane_number(const Lane *lane)
{
	return (int) (lane - weir_registry->lanes);
}
