/*
 * transaction.c
 *	  Sending in transactions, some of which are aborted.
 *
 * A transaction is opened by its first event and ends after as many as were
 * asked for, or with the run.  So a producer that waits for its next event, or
 * is killed, leaves one open.  Which ones are aborted is fixed: the share asked
 * for, spread evenly.
 *
 * Aborting purges what librdkafka has not delivered yet; it is delivered first,
 * so that aborted events are in the topic's log, as a reader will meet them.
 */
#include "kafka.h"

#include <stdlib.h>

#include "stop.h"

/* How long one attempt waits; a second signal is noticed in between. */
#define SLICE_MS 500

struct Transactions
{
	rd_kafka_t *rk;
	uint64_t size;    /* events in each */
	double share;     /* of those to abort */
	uint64_t ended;   /* transactions */
	uint64_t events;  /* in the open one; 0: none is open */
	uint64_t aborted; /* events */
};

/*
 * transaction_failed: report an error, and forget it.  NULL is none: returns
 * whether there was one.
 */
static bool
transaction_failed(const char *what, rd_kafka_error_t *error)
{
	if (error == NULL)
		return false;
	report_problem("could not %s: %s", what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return true;
}

Transactions *
transactions_open(rd_kafka_t *rk, const Options *options)
{
	Transactions *t = calloc(1, sizeof(Transactions));

	if (t == NULL)
	{
		report_problem("out of memory");
		return NULL;
	}
	t->rk = rk;
	t->size = (uint64_t) options->transaction;
	t->share = options->abort;
	if (transaction_failed("begin transactions",
						   rd_kafka_init_transactions(rk, (int) (options->timeout *
																 1000))))
	{
		free(t);
		return NULL;
	}
	return t;
}

/* transaction_aborts: is it the open one's lot? */
static bool
transaction_aborts(const Transactions *t)
{
	return (uint64_t) ((double) (t->ended + 1) * t->share) >
		   (uint64_t) ((double) t->ended * t->share);
}

/* transaction_deliver: false if the user insists on the end. */
static bool
transaction_deliver(const Transactions *t)
{
	while (rd_kafka_flush(t->rk, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		if (stop_insisted())
			return false;
	return true;
}

/* transaction_end: commit or abort the open one, if there is one. */
static bool
transaction_end(Transactions *t)
{
	bool aborts = transaction_aborts(t);
	rd_kafka_error_t *error = NULL;

	if (t->events == 0)
		return true;
	if (!transaction_deliver(t))
		return false;
	do
	{
		if (error != NULL)
			rd_kafka_error_destroy(error);
		error = aborts ? rd_kafka_abort_transaction(t->rk, SLICE_MS)
					   : rd_kafka_commit_transaction(t->rk, SLICE_MS);
	} while (error != NULL && rd_kafka_error_is_retriable(error) &&
			 !stop_insisted());
	if (transaction_failed(aborts ? "abort a transaction"
								  : "commit a transaction",
						   error))
		return false;
	if (aborts)
		t->aborted += t->events;
	t->ended++;
	t->events = 0;
	return true;
}

bool
transaction_before_event(Transactions *t)
{
	return t->events > 0 ||
		   !transaction_failed("begin a transaction",
							   rd_kafka_begin_transaction(t->rk));
}

bool
transaction_after_event(Transactions *t)
{
	return ++t->events < t->size || transaction_end(t);
}

void
transactions_close(Transactions *t, Totals *totals)
{
	if (!transaction_end(t))
		totals->errors += t->events;
	totals->aborted += t->aborted;
	free(t);
}
