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
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(weir_session);
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

/* --- windows that do not overlap ----------------------------------------------- */

/* The windows of the last call, and the one that it found. */
typedef struct TumbleCache
{
	WindowSpec window;
	Interval size;
	bool has_origin;
	Timestamp origin;
	text *zone; /* NULL: none */
	WwPane pane;
} TumbleCache;

static bool
is_cached(const TumbleCache *cache, const Interval *size, bool has_origin,
		  Timestamp origin, const text *zone)
{
	return memcmp(&cache->size, size, sizeof(Interval)) == 0 &&
		   cache->has_origin == has_origin && cache->origin == origin &&
		   (cache->zone == NULL) == (zone == NULL) &&
		   (zone == NULL || (VARSIZE_ANY(zone) == VARSIZE_ANY(cache->zone) &&
							 memcmp(zone, cache->zone, VARSIZE_ANY(zone)) == 0));
}

static TumbleCache *
tumble_cache(FmgrInfo *flinfo, const Interval *size, bool has_origin,
			 Timestamp origin, const text *zone)
{
	TumbleCache *cache = flinfo->fn_extra;
	MemoryContext old;

	if (cache && is_cached(cache, size, has_origin, origin, zone))
		return cache;
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	cache = palloc0(sizeof(TumbleCache));
	cache->size = *size;
	cache->has_origin = has_origin;
	cache->origin = origin;
	if (zone)
	{
		cache->zone = palloc(VARSIZE_ANY(zone));
		memcpy(cache->zone, zone, VARSIZE_ANY(zone));
	}
	weir_tumble_spec(&cache->window, size, has_origin ? &origin : NULL,
					 zone ? text_to_cstring(zone) : NULL);
	MemoryContextSwitchTo(old);
	return flinfo->fn_extra = cache;
}

/*
 * weir_tumble(ts, size, origin, timezone): the start of the window that ts is in.
 * Not strict, since origin and timezone may be NULL.  Infinite times pass through,
 * as in date_bin.
 */
Datum
weir_tumble(PG_FUNCTION_ARGS)
{
	bool has_origin = PG_NARGS() > 2 && !PG_ARGISNULL(2);
	bool has_zone = PG_NARGS() > 3 && !PG_ARGISNULL(3);
	Timestamp ts;
	TumbleCache *cache;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	ts = PG_GETARG_TIMESTAMP(0);
	cache = tumble_cache(fcinfo->flinfo, PG_GETARG_INTERVAL_P(1), has_origin,
						 has_origin ? PG_GETARG_TIMESTAMP(2) : 0,
						 has_zone ? PG_GETARG_TEXT_PP(3) : NULL);
	if (TIMESTAMP_NOT_FINITE(ts))
		PG_RETURN_TIMESTAMP(ts);
	if ((ts < cache->pane.from || ts >= cache->pane.upto) &&
		!weir_window_pane(&cache->window, ts, &cache->pane))
		out_of_range();
	PG_RETURN_TIMESTAMP(cache->pane.first);
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

/*
 * weir_session(ts, gap): stands in the query of a continuous view, and is not
 * called there.
 */
Datum
weir_session(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("weir.session works in continuous views only"),
			 errdetail(
				 "Which session an event is in depends on other events, and no ordinary function sees these."),
			 errhint(
				 "In a batch, number the sessions with window functions over lag(ts): docs/reference.md has an example.")));
	PG_RETURN_NULL();
}
