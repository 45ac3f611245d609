/*
 * report.h
 *	  What the user is told on stderr: problems, progress, the summary.
 */
#ifndef WEIR_PRODUCER_REPORT_H
#define WEIR_PRODUCER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

/* Counts of one run. */
typedef struct Totals
{
	uint64_t events; /* taken by the sink, malformed ones included */
	uint64_t malformed;
	uint64_t late; /* well-formed ones only; out_of_order too */
	uint64_t out_of_order;
	uint64_t bytes;   /* of message values */
	uint64_t errors;  /* lost after they were taken */
	uint64_t aborted; /* delivered in transactions that were then aborted */
} Totals;

typedef struct Report
{
	bool progress; /* show the progress line */
	int64_t started;
	int64_t shown;         /* when the line was last written */
	uint64_t shown_events; /* and what it said */
} Report;

/* report_problem: one message on stderr, printf-like. */
extern void
report_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* report_count: add an event that was taken. */
extern void report_count(Totals *totals, const Event *event);

extern void report_start(Report *report, bool quiet);

/* report_seconds: since report_start. */
extern double report_seconds(const Report *report);

/* report_progress: refresh the progress line if that is due. */
extern void report_progress(Report *report, const Totals *totals);

/* report_summary: end the progress line and print the totals. */
extern void report_summary(const Totals *totals, double seconds, bool quiet);

/* report_write: the totals as key=value lines; returns false on errors. */
extern bool report_write(const char *path, const Totals *totals, double seconds);

#endif
