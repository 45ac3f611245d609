/*
 * api/windows.c
 *		The windows as ordinary functions, so that the query of a continuous
 *		view runs as a batch over any table.
 *
 * For timestamptz and timestamp alike; a timestamp without time zone is aligned
 * as if it were in UTC.  No state but that of a set being returned.
 */
#include "base/weir.h"

#include "core/window.h"
#include "funcapi.h"
#include "plan/interval.h"

PG_FUNCTION_INFO_V1(weir_tumble);
PG_FUNCTION_INFO_V1(weir_hop);
PG_FUNCTION_INFO_V1(weir_cumulate);

static void
out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("timestamp out of range"),
			 errdetail(
				 "The window would begin or end outside the range of timestamps.")));
}

/*
 * weir_tumble(ts, size, origin): the start of the window that ts is in.  Infinite
 * times pass through, as in date_bin.
 */
Datum
weir_tumble(PG_FUNCTION_ARGS)
{
	Timestamp ts = PG_GETARG_TIMESTAMP(0);
	WwSpec w = {.kind = WW_TUMBLE, .origin = PG_GETARG_TIMESTAMP(2)};
	int64 start;

	w.size = w.step = weir_interval_length(PG_GETARG_INTERVAL_P(1), "size");
	weir_check_window(&w);
	if (TIMESTAMP_NOT_FINITE(ts))
		PG_RETURN_TIMESTAMP(ts);
	if (!ww_tumble_start(ts, w.size, w.origin, &start) ||
		!IS_VALID_TIMESTAMP(start) || !IS_VALID_TIMESTAMP(start + w.size))
		out_of_range();
	PG_RETURN_TIMESTAMP(start);
}

/* --- windows that overlap: a set ---------------------------------------------- */

typedef struct WindowSet
{
	int64 next;
	int64 last;
	int64 step;
	bool done;
} WindowSet;

/* An infinite time is in no window but itself, as for weir_tumble. */
static void
find_windows(WindowSet *set, const WwSpec *w, Timestamp ts)
{
	WwPane pane = {.first = ts, .last = ts};

	weir_check_window(w);
	if (!TIMESTAMP_NOT_FINITE(ts) &&
		(!ww_pane(w, ts, &pane) ||
		 (pane.first <= pane.last &&
		  (!IS_VALID_TIMESTAMP(ww_start(w, pane.first)) ||
		   !IS_VALID_TIMESTAMP(ww_end(w, pane.last))))))
		out_of_range();
	set->next = pane.first;
	set->last = pane.last;
	set->step = w->step;
	set->done = pane.first > pane.last;
}

static Datum
next_window(FunctionCallInfo fcinfo)
{
	FuncCallContext *call = SRF_PERCALL_SETUP();
	WindowSet *set = call->user_fctx;
	int64 name = set->next;

	if (set->done)
		SRF_RETURN_DONE(call);
	if (set->last == name)
		set->done = true;
	else
		set->next += set->step;
	SRF_RETURN_NEXT(call, TimestampGetDatum(name));
}

static WindowSet *
begin_windows(FunctionCallInfo fcinfo)
{
	FuncCallContext *call = SRF_FIRSTCALL_INIT();

	call->user_fctx = MemoryContextAlloc(call->multi_call_memory_ctx,
										 sizeof(WindowSet));
	return call->user_fctx;
}

/* weir_hop(ts, size, slide, origin): the starts of the windows that ts is in. */
Datum
weir_hop(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		WindowSet *set = begin_windows(fcinfo);
		WwSpec w = {.kind = WW_HOP,
					.size = weir_interval_length(PG_GETARG_INTERVAL_P(1), "size"),
					.step = weir_interval_length(PG_GETARG_INTERVAL_P(2),
												 "slide"),
					.origin = PG_GETARG_TIMESTAMP(3)};

		find_windows(set, &w, PG_GETARG_TIMESTAMP(0));
	}
	return next_window(fcinfo);
}

/*
 * weir_cumulate(ts, step, size, origin): the ends of the windows that ts is in,
 * which all begin at the same time.
 */
Datum
weir_cumulate(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		WindowSet *set = begin_windows(fcinfo);
		WwSpec w = {.kind = WW_CUMULATE,
					.size = weir_interval_length(PG_GETARG_INTERVAL_P(2), "size"),
					.step = weir_interval_length(PG_GETARG_INTERVAL_P(1), "step"),
					.origin = PG_GETARG_TIMESTAMP(3)};

		find_windows(set, &w, PG_GETARG_TIMESTAMP(0));
	}
	return next_window(fcinfo);
}
