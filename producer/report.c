/*
 * report.c
 *	  What the user is told on stderr: problems, progress, the summary.
 *
 * The progress line is shown only on a terminal; whatever else is written
 * there clears it first.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define PROGRESS_US 250000
#define CLEAR_LINE  "\r\033[K"

static void
report_clear(void)
{
	if (isatty(STDERR_FILENO))
		fputs(CLEAR_LINE, stderr);
}

void
report_problem(const char *format, ...)
{
	va_list args;

	report_clear();
	fputs("weir-producer: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void
report_count(Totals *totals, const Event *event)
{
	totals->events++;
	totals->bytes += event->length;
	if (event->malformed)
		totals->malformed++;
	else if (event->late)
		totals->late++;
	else if (event->out_of_order)
		totals->out_of_order++;
}

void
report_start(Report *report, bool quiet)
{
	report->progress = !quiet && isatty(STDERR_FILENO);
	report->started = clock_mono_us();
	report->shown = report->started;
	report->shown_events = 0;
}

double
report_seconds(const Report *report)
{
	return (double) (clock_mono_us() - report->started) / 1e6;
}

void
report_progress(Report *report, const Totals *totals)
{
	int64_t now;
	double rate;

	if (!report->progress)
		return;
	now = clock_mono_us();
	if (now - report->shown < PROGRESS_US)
		return;
	rate = (double) (totals->events - report->shown_events) * 1e6 /
		   (double) (now - report->shown);
	fprintf(stderr,
			CLEAR_LINE "%" PRIu64 " events, %.0f events/s, %.1f MB, %" PRIu64
					   " malformed, %" PRIu64 " late",
			totals->events, rate, (double) totals->bytes / 1e6,
			totals->malformed, totals->late);
	report->shown = now;
	report->shown_events = totals->events;
}

static double
events_per_second(const Totals *totals, double seconds)
{
	return seconds > 0 ? (double) totals->events / seconds : 0;
}

void
report_summary(const Totals *totals, double seconds, bool quiet)
{
	report_clear();
	if (quiet)
		return;
	fprintf(stderr,
			"%" PRIu64 " events, %" PRIu64 " malformed, %" PRIu64
			" late, %" PRIu64 " bytes, %.2f s, %.0f events/s, %" PRIu64
			" delivery errors\n",
			totals->events, totals->malformed, totals->late, totals->bytes,
			seconds, events_per_second(totals, seconds), totals->errors);
}

bool
report_write(const char *path, const Totals *totals, double seconds)
{
	FILE *file = fopen(path, "w");
	bool good = false;

	if (file != NULL)
	{
		fprintf(file,
				"events=%" PRIu64 "\nproduced=%" PRIu64 "\nmalformed=%" PRIu64
				"\nlate=%" PRIu64 "\nout_of_order=%" PRIu64 "\nbytes=%" PRIu64
				"\nseconds=%.3f\nrate=%.0f\nerrors=%" PRIu64
				"\naborted=%" PRIu64 "\n",
				totals->events, totals->events - totals->errors,
				totals->malformed, totals->late, totals->out_of_order,
				totals->bytes, seconds, events_per_second(totals, seconds),
				totals->errors, totals->aborted);
		good = !ferror(file);
		good = fclose(file) == 0 && good;
	}
	if (!good)
		report_problem("could not write \"%s\": %s", path, strerror(errno));
	return good;
}
