/*
 * checkpoint/alerts_open.c
 *		Alerts on windows that are open.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, after its final
 * rows.  Reads the open windows as a backend does (open_groups.c): what has been
 * applied by now, which may be more than the barrier has.  After a crash the same
 * events are read again, so what fired by them is true.  Windows that this
 * checkpoint makes final are left out: their final rows have been looked at.
 *
 * A row whose expressions raise stops these alerts, as their own conditions do,
 * and not the view.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_groups.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

static void
add_rows(CheckpointView *v, AlertWriter *w, int64 closed)
{
	OpenGroups *groups = weir_open_groups_read(v->row, v->reader,
											   GetActiveSnapshot());
	Datum *values = palloc(sizeof(Datum) * v->plan->nout);
	bool *nulls = palloc(sizeof(bool) * v->plan->nout);
	MergeGroup g;

	while (weir_open_groups_next(groups, &g))
		if (g.window > closed &&
			weir_final_row(v->reader, g.window, g.key, g.state, values, nulls))
			weir_alerts_add(w, g.window, values, nulls);
}

/* False, with an error that is not the server's or a lock's: no rows. */
static ErrorData *
try_add_rows(CheckpointView *v, AlertWriter *w, int64 closed)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext rows = AllocSetContextCreate(cxt, "weir open rows",
											   ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(rows);
	PG_TRY();
	{
		add_rows(v, w, closed);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	MemoryContextDelete(rows);
	CurrentResourceOwner = owner;
	if (error && (ProcDiePending || weir_is_lock_error(error) ||
				  weir_is_server_error(error)))
		ReThrowError(error);
	return error;
}

void
weir_alerts_open(CheckpointView *v)
{
	WeirUser user = weir_become_owner(v->row->owner);
	int nest = weir_settings_enter(v->row);
	int64 closed = weir_window_closed(&v->plan->window, v->row->lateness,
									  v->next.closed_upto);
	AlertWriter *w;
	ErrorData *error;

	SPI_connect();
	/* A view without a window has no rows but these. */
	w = weir_alerts_begin_open(v, !weir_windows_close(&v->plan->window), closed);
	error = try_add_rows(v, w, closed);
	if (error)
		weir_alerts_fail(w, error->message);
	else
		weir_alerts_end(w);
	SPI_finish();
	weir_settings_leave(nest);
	weir_become_again(user);
}
