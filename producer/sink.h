/*
 * sink.h
 *	  Where events go.
 */
#ifndef WEIR_PRODUCER_SINK_H
#define WEIR_PRODUCER_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "options.h"
#include "report.h"

typedef struct Sink Sink;

typedef enum SendResult
{
	SEND_OK,   /* taken */
	SEND_WAIT, /* not now: serve for a while and offer it again */
	SEND_FAIL  /* never: the reason has been reported */
} SendResult;

struct Sink
{
	/* Take event n, which is copied.  Waits for the end of a transaction only. */
	SendResult (*send)(Sink *sink, const Event *event, uint64_t n);

	/* Do what is due and sleep for us microseconds, or until a signal. */
	void (*serve)(Sink *sink, int64_t us);

	/*
	 * Deliver what was taken, as far as possible, and free the sink.  Adds to
	 * the totals how many of the events taken were lost or aborted.
	 */
	void (*close)(Sink *sink, Totals *totals);
};

/* Both report their errors on stderr and then return NULL. */
extern Sink *sink_open_print(void);
extern Sink *sink_open_kafka(const Options *options);

#endif
