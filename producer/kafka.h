/*
 * kafka.h
 *	  The parts that talk to a broker.
 */
#ifndef WEIR_PRODUCER_KAFKA_H
#define WEIR_PRODUCER_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "options.h"
#include "report.h"

/* kafka.c: a librdkafka property and its value. */
typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

/*
 * kafka_conf: a configuration with the brokers, the given settings (ended by
 * one without name) and, over these, the user's properties.  Reports what is
 * wrong and returns NULL.
 */
extern rd_kafka_conf_t *
kafka_conf(const Options *options, const Setting *settings);

/*
 * kafka_new: a client.  Takes conf over in any case; reports what is wrong
 * and returns NULL.
 */
extern rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf);

/*
 * topic.c: see that the topic exists, with as many partitions as asked for.
 * Waits for the broker up to the timeout option.  Returns how many partitions
 * it has, or 0 after reporting why not.
 */
extern int topic_prepare(rd_kafka_t *rk, const Options *options);

/* transaction.c: sending in transactions; all wait for the broker's answers. */
typedef struct Transactions Transactions;

/* transactions_open: reports what is wrong and returns NULL. */
extern Transactions *transactions_open(rd_kafka_t *rk, const Options *options);

/*
 * Before and after an event is sent: open a transaction if none is, end a full
 * one.  They report what is wrong and return false.
 */
extern bool transaction_before_event(Transactions *t);
extern bool transaction_after_event(Transactions *t);

/*
 * transactions_close: end the one that is open, and add to the totals what was
 * aborted, and what was lost if it cannot be ended.
 */
extern void transactions_close(Transactions *t, Totals *totals);

/* hold_back.c: staying near what a consumer group has committed. */
typedef struct HoldBack HoldBack;

/* hold_back_open: reports what is wrong and returns NULL. */
extern HoldBack *hold_back_open(const Options *options, int partitions);
extern void hold_back_close(HoldBack *hold_back);

/*
 * hold_back_allows: whether another message may follow the sent ones.  Asks
 * the broker, which takes about a round trip, only if it was no when last
 * asked and that is a while ago.
 */
extern bool hold_back_allows(HoldBack *hold_back, uint64_t sent);

#endif
