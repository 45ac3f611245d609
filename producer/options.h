/*
 * options.h
 *	  What weir-producer can be told.
 */
#ifndef WEIR_PRODUCER_OPTIONS_H
#define WEIR_PRODUCER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_PROPERTIES 64

/* In the order of the words of --kind. */
typedef enum EventKind
{
	KIND_LOGS,
	KIND_CLICKS,
	KIND_TRANSACTIONS,
	KIND_MIXED
} EventKind;

/* In the order of the words of --key. */
typedef enum KeyField
{
	KEY_NONE,
	KEY_USER,
	KEY_COUNTRY,
	KEY_SESSION,
	KEY_PAGE,
	KEY_TYPE
} KeyField;

/* A librdkafka property, "name=value", as given. */
typedef struct Properties
{
	int count;
	const char *text[MAX_PROPERTIES];
} Properties;

/* --hold-back GROUP[:LEAD]; group is NULL when it was not given. */
typedef struct HoldBackOption
{
	char *group;
	int64_t lead;
} HoldBackOption;

typedef struct Options
{
	/* where to */
	const char *brokers;
	const char *topic;
	int64_t partitions; /* 0: as many as the topic has */
	bool print;

	/* how many, how fast */
	double rate;     /* events/s; 0: as fast as it goes */
	int64_t count;   /* 0: no limit */
	double duration; /* seconds; 0: no limit */
	HoldBackOption hold_back;
	int64_t transaction; /* events in each; 0: no transactions */
	double abort;        /* share of the transactions */

	/* what */
	int64_t seed;
	int kind; /* EventKind */
	int64_t users;
	double skew;
	double out_of_order; /* shares, 0..1 */
	double late;
	double malformed;
	int64_t start_time; /* ms since 1970; negative: the wall clock */

	/* how */
	int key; /* KeyField */
	const char *compression;
	const char *acks; /* NULL: librdkafka's default, all */
	bool idempotence;
	double timeout; /* seconds */
	Properties properties;

	/* reports */
	const char *summary_file;
	bool quiet;
} Options;

/*
 * options_parse: the command line as Options.  Exits after --help, --version
 * and, with OPT_EXIT_USAGE and a message, when something is wrong.
 */
extern void options_parse(Options *options, int argc, char **argv);

#endif
