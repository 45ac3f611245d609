/*
 * api/windows.c
 *		The windows as ordinary functions, so that the query of a continuous
 *		view runs as a batch over any table.
 *
 * No state, no allocation.  A timestamp without time zone is aligned as if it
 * were in UTC.
 */
#include "base/weir.h"

#include "core/window.h"
#include "plan/interval.h"

PG_FUNCTION_INFO_V1(weir_tumble);

/*
 * weir_tumble(ts, size, origin): the start of the window that ts is in.  For
 * timestamptz and timestamp alike.  Infinite times pass through, as in
 * date_bin.
 */
Datum
weir_tumble(PG_FUNCTION_ARGS)
{
	Timestamp ts = PG_GETARG_TIMESTAMP(0);
	Interval *size = PG_GETARG_INTERVAL_P(1);
	Timestamp origin = PG_GETARG_TIMESTAMP(2);
	int64 start;
	int64 length = weir_interval_length(size);

	if (TIMESTAMP_NOT_FINITE(origin))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a window's origin cannot be infinite"),
				 errdetail(
					 "Windows begin at the origin and at every multiple of their size from it."),
				 errhint("Use a finite timestamp, or leave the origin out.")));
	if (TIMESTAMP_NOT_FINITE(ts))
		PG_RETURN_TIMESTAMP(ts);
	if (!ww_tumble_start(ts, length, origin, &start) ||
		!IS_VALID_TIMESTAMP(start))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range"),
				 errdetail(
					 "The window would begin or end outside the range of timestamps.")));
	PG_RETURN_TIMESTAMP(start);
}
