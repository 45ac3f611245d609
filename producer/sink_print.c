/*
 * sink_print.c
 *	  Writes events to standard output, one a line.
 *
 * Output is buffered and flushed whenever the producer waits, so a live run
 * can be watched through a pipe.  A failed write ends the run; every event of
 * the buffer that failed counts as lost.
 */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "report.h"
#include "stop.h"

#define BUFFER_BYTES (64 * 1024)

typedef struct PrintSink
{
	Sink sink;
	uint64_t buffered; /* events in the buffer */
	uint64_t lost;
	size_t used;
	char buffer[BUFFER_BYTES];
} PrintSink;

/* print_flush: returns whether all was written. */
static bool
print_flush(PrintSink *print)
{
	size_t done = 0;

	while (done < print->used)
	{
		ssize_t n = write(STDOUT_FILENO, print->buffer + done,
						  print->used - done);

		if (n < 0 && errno == EINTR && !stop_insisted())
			continue;
		if (n < 0)
		{
			report_problem("could not write to standard output: %s",
						   strerror(errno));
			print->lost += print->buffered;
			break;
		}
		done += (size_t) n;
	}
	done = print->used - done;
	print->used = 0;
	print->buffered = 0;
	return done == 0;
}

static SendResult
print_send(Sink *sink, const Event *event, uint64_t n)
{
	PrintSink *print = (PrintSink *) sink;

	(void) n;
	if (print->used + event->length + 1 > BUFFER_BYTES && !print_flush(print))
		return SEND_FAIL;
	memcpy(print->buffer + print->used, event->data, event->length);
	print->used += event->length;
	print->buffer[print->used++] = '\n';
	print->buffered++;
	return SEND_OK;
}

static void
print_serve(Sink *sink, int64_t us)
{
	print_flush((PrintSink *) sink);
	clock_sleep_us(us);
}

static void
print_close(Sink *sink, Totals *totals)
{
	PrintSink *print = (PrintSink *) sink;

	print_flush(print);
	totals->errors += print->lost;
	free(print);
}

Sink *
sink_open_print(void)
{
	PrintSink *print = malloc(sizeof(PrintSink));

	if (print == NULL)
	{
		report_problem("out of memory");
		return NULL;
	}
	print->sink = (Sink){print_send, print_serve, print_close};
	print->buffered = 0;
	print->lost = 0;
	print->used = 0;
	return &print->sink;
}
