/*
 * main.c
 *	  weir-producer: makes JSON events and sends them to Kafka.
 *
 * One thread makes events and offers them to a sink (librdkafka has threads of
 * its own behind one of them).  The loop waits in one place, where the sink is
 * served: until the next event is due, or while the sink takes none.
 */
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "options.h"
#include "pace.h"
#include "report.h"
#include "sink.h"
#include "stop.h"

/* Sleep no less, since shorter sleeps cost more than they are exact ... */
#define MIN_SLEEP_US 1000

/* ... and no more, so that the progress line and the sink are looked after. */
#define MAX_SLEEP_US 100000

/* How long to leave the sink alone when it takes nothing. */
#define BUSY_SLEEP_US 1000

/* At full speed, clocks and progress are looked at every so many events. */
#define CHECK_EVERY 256

typedef struct Run
{
	const Options *options;
	EventSource source;
	Sink *sink;
	Pace pace;
	Report report;
	Totals totals;
} Run;

/* run_turn: the event time at which it is event n's turn. */
static int64_t
run_turn(const Options *options, uint64_t n)
{
	if (options->start_time < 0)
		return clock_wall_ms();
	if (options->rate > 0)
		return options->start_time +
			   (int64_t) ((double) n * 1000 / options->rate);
	return options->start_time + (int64_t) n;
}

/* run_over: whether the run has lasted for as long as it should. */
static bool
run_over(const Run *run)
{
	double duration = run->options->duration;

	return stop_requested() ||
		   (duration > 0 && report_seconds(&run->report) >= duration);
}

static void
run_sleep(Run *run, int64_t us)
{
	if (us < MIN_SLEEP_US)
		us = MIN_SLEEP_US;
	if (us > MAX_SLEEP_US)
		us = MAX_SLEEP_US;
	run->sink->serve(run->sink, us);
}

/* run_events: the loop.  Returns false if the sink failed. */
static bool
run_events(Run *run)
{
	uint64_t limit = run->options->count > 0 ? (uint64_t) run->options->count
											 : UINT64_MAX;
	uint64_t n = 0;
	bool waited = true;
	Event event;

	while (n < limit)
	{
		int64_t wait;

		if (waited || n % CHECK_EVERY == 0)
		{
			if (run_over(run))
				break;
			report_progress(&run->report, &run->totals);
			waited = false;
		}
		if (run->pace.rate > 0 &&
			(wait = pace_wait(&run->pace, n, clock_mono_us())) > 0)
		{
			run_sleep(run, wait);
			waited = true;
			continue;
		}
		event_make(&run->source, n, run_turn(run->options, n), &event);
		switch (run->sink->send(run->sink, &event, n))
		{
			case SEND_OK:
				report_count(&run->totals, &event);
				n++;
				break;
			case SEND_WAIT:
				run_sleep(run, BUSY_SLEEP_US);
				waited = true;
				break;
			case SEND_FAIL:
				return false;
		}
	}
	return true;
}

static Sink *
open_sink(const Options *options)
{
	return options->print ? sink_open_print() : sink_open_kafka(options);
}

/* run_all: returns whether every event was delivered. */
static bool
run_all(Run *run, const Options *options)
{
	bool good;
	double seconds;

	report_start(&run->report, options->quiet);
	run->sink = open_sink(options);
	good = run->sink != NULL;
	if (good)
	{
		/* the time that it took to find the broker does not count */
		report_start(&run->report, options->quiet);
		run->pace = (Pace){options->rate, 0, clock_mono_us()};
		good = run_events(run);
		run->sink->close(run->sink, &run->totals);
	}
	seconds = report_seconds(&run->report);
	report_summary(&run->totals, seconds, options->quiet);
	if (options->summary_file != NULL)
		good &= report_write(options->summary_file, &run->totals, seconds);
	return good && run->totals.errors == 0;
}

int
main(int argc, char **argv)
{
	Options options;
	Run run = {.options = &options};
	bool good = false;

	options_parse(&options, argc, argv);
	stop_install();
	if (event_source_init(&run.source, &options))
	{
		good = run_all(&run, &options);
		event_source_close(&run.source);
	}
	else
		report_problem("out of memory");
	free(options.hold_back.group);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
