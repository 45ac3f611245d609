/*
 * event.h
 *	  The generator: event n of a run.
 *
 * An event is a JSON object of about 220 bytes with the ten fields event_id,
 * event_type, user_id, session_id, page, country, amount, latency_ms, ts and
 * level, whatever its type, so that one stream definition fits all.  amount is
 * a multiple of 0.25: sums of it are exact in any order.
 */
#ifndef WEIR_PRODUCER_EVENT_H
#define WEIR_PRODUCER_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "rng.h"
#include "zipf.h"

#define EVENT_MAX_BYTES 512

/* What is kept between events; nothing in it changes what they contain. */
typedef struct EventSource
{
	const Options *options;
	Zipf *users;
	uint64_t late_below;   /* shares as bounds of 32 random bits */
	uint64_t early_below;  /* ... out of order, in the same draw as late */
	uint64_t broken_below; /* ... malformed */
	int64_t date_day;      /* the day that date holds */
	char date[11];         /* "2026-01-31T", not terminated */
} EventSource;

typedef struct Event
{
	size_t length;
	size_t key_length; /* 0: no key */
	const char *key;   /* within data or a constant */
	int64_t time;      /* event time, ms since 1970 */
	int64_t timestamp; /* of the Kafka record, ms since 1970 */
	bool late;
	bool out_of_order;
	bool malformed;
	char session[16];
	char user[20]; /* user_id in decimal */
	char data[EVENT_MAX_BYTES];
} Event;

/* event_source_init: returns false when memory is out. */
extern bool event_source_init(EventSource *source, const Options *options);
extern void event_source_close(EventSource *source);

/*
 * event_make: event n, whose turn it is at the event time turn (ms since
 * 1970).  Displaced events carry an earlier time.
 */
extern void
event_make(EventSource *source, uint64_t n, int64_t turn, Event *event);

/* event_days_of_civil: days from 1970-01-01 to a date. */
extern int64_t event_days_of_civil(int year, int month, int day);

#endif
