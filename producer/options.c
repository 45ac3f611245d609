/*
 * options.c
 *	  What weir-producer can be told: a table, and the rules between options.
 */
#include "options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "optparse.h"

#define DEFAULT_LEAD 50000

static const char *set_start_time(const char *text, void *field);
static const char *set_hold_back(const char *text, void *field);
static const char *add_property(const char *text, void *field);

#define AT(field) .offset = offsetof(Options, field)
#define GROUP(title)                     \
	{                                    \
		.kind = OPT_GROUP, .name = title \
	}
#define FLAG(opt, field, text)                                 \
	{                                                          \
		.kind = OPT_FLAG, .name = opt, .help = text, AT(field) \
	}
#define STRING(opt, word, field, text)                                        \
	{                                                                         \
		.kind = OPT_STRING, .name = opt, .arg = word, .help = text, AT(field) \
	}
#define RANGE(k, opt, word, field, least, most, text)                 \
	{                                                                 \
		.kind = k, .name = opt, .arg = word, .help = text, AT(field), \
		.min = least, .max = most                                     \
	}
#define CHOICE(opt, word, field, list, text)                                   \
	{                                                                          \
		.kind = OPT_CHOICE, .name = opt, .arg = word, .help = text, AT(field), \
		.choices = list                                                        \
	}
#define CUSTOM(opt, word, field, setter, text)                                 \
	{                                                                          \
		.kind = OPT_CUSTOM, .name = opt, .arg = word, .help = text, AT(field), \
		.set = setter                                                          \
	}

/* clang-format off */
static const OptSpec producer_specs[] = {
	GROUP("Where to"),
	STRING("brokers", "LIST", brokers,
		"bootstrap servers (default localhost:9092)"),
	STRING("topic", "NAME", topic, "the topic (default events)"),
	RANGE(OPT_INT, "partitions", "N", partitions, 1, 10000,
		"create the topic with N partitions if it does not\n"
		"exist; it is an error if it exists with another number\n"
		"(default: as many as it has, or 1)"),
	FLAG("print", print,
		"write to standard output, one message a line, instead"),

	GROUP("How many, how fast"),
	RANGE(OPT_NUMBER, "rate", "R", rate, 0, 1e9,
		"events per second; 0: as fast as it goes (default 0)"),
	RANGE(OPT_INT, "count", "N", count, 0, 9e15,
		"end after N events (default 0: no limit)"),
	RANGE(OPT_NUMBER, "duration", "S", duration, 0, 1e9,
		"end after S seconds (default 0: no limit)"),
	CUSTOM("hold-back", "GROUP[:LEAD]", hold_back, set_hold_back,
		"stay within LEAD messages (default 50000), over all\n"
		"partitions, of what consumer group GROUP has committed;\n"
		"for brokers that forget, such as weir-broker"),
	RANGE(OPT_INT, "transaction", "N", transaction, 1, 9e15,
		"send in transactions of N events; the last one may have\n"
		"less.  Until then it stays open (default: none)"),
	RANGE(OPT_NUMBER, "abort", "SHARE", abort, 0, 1,
		"share of the transactions that are aborted, spread\n"
		"evenly (default 0)"),

	GROUP("What"),
	RANGE(OPT_INT, "seed", "N", seed, 0, 9e15,
		"the same seed gives the same events (default 1)"),
	CHOICE("kind", "KIND", kind, "logs|clicks|transactions|mixed",
		"logs, clicks, transactions or mixed (default mixed,\n"
		"which adds 1 % of debug events)"),
	RANGE(OPT_INT, "users", "N", users, 1, 50000000,
		"how many users there are (default 100000)"),
	RANGE(OPT_NUMBER, "skew", "S", skew, 0, 10,
		"Zipf exponent over the users; 0: uniform (default 0)"),
	RANGE(OPT_NUMBER, "out-of-order", "SHARE", out_of_order, 0, 1,
		"share of events 1 ms to 3 s before their turn"),
	RANGE(OPT_NUMBER, "late", "SHARE", late, 0, 1,
		"share of events 20 to 120 s before their turn"),
	RANGE(OPT_NUMBER, "malformed", "SHARE", malformed, 0, 1,
		"share of messages that cannot be decoded: cut off,\n"
		"trailing garbage, wrong type, bad UTF-8, empty"),
	CUSTOM("start-time", "TIME", start_time, set_start_time,
		"event time of the first event, RFC 3339 in UTC or\n"
		"milliseconds since 1970; the next ones follow 1/R apart\n"
		"(1 ms if R is 0), and runs can be repeated byte for\n"
		"byte (default: events carry the wall clock)"),

	GROUP("How"),
	CHOICE("key", "FIELD", key, "none|user|country|session|page|type",
		"the message key: none, user, country, session, page or\n"
		"type.  Without key event n goes to partition n modulo\n"
		"their number, else the key's murmur2 hash decides\n"
		"(default none)"),
	STRING("compression", "CODEC", compression,
		"none, gzip, snappy, lz4 or zstd (default none)"),
	STRING("acks", "ACKS", acks, "0, 1 or all (default all)"),
	FLAG("idempotence", idempotence,
		"let retries make no duplicates; needs --acks all"),
	RANGE(OPT_NUMBER, "timeout", "S", timeout, 0.1, 86400,
		"a message not delivered after S seconds is lost; also\n"
		"how long to wait for the broker at first (default 60)"),
	CUSTOM("property", "NAME=VALUE", properties, add_property,
		"a property of librdkafka, such as sasl.username; may be\n"
		"repeated"),

	GROUP("Reports"),
	STRING("summary-file", "FILE", summary_file,
		"write the final summary there too, as key=value lines"),
	FLAG("quiet", quiet, "no progress line and no summary on stderr"),
	{.name = NULL, .kind = OPT_FLAG}
};
/* clang-format on */

static const OptProgram producer_program =
	{.name = "weir-producer",
	 .intro = "weir-producer makes JSON events and sends them to Kafka.",
	 .outro =
		 "SIGINT and SIGTERM end it after what is queued has been delivered; a\n"
		 "second one gives that up.  Exit status: 0 if every message was\n"
		 "delivered, 1 if not or if something else failed, 2 for wrong options.",
	 .specs = producer_specs};

/* read_digits: exactly n digits at *at as a number, or -1. */
static int
read_digits(const char **at, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++)
	{
		if (!isdigit((unsigned char) **at))
			return -1;
		value = value * 10 + (*(*at)++ - '0');
	}
	return value;
}

/* read_fraction: an optional ".123" of a second, in ms; -1 if it is wrong. */
static int
read_fraction(const char **at)
{
	int ms = 0;
	int unit = 100;

	if (**at != '.')
		return 0;
	(*at)++;
	if (!isdigit((unsigned char) **at))
		return -1;
	for (; isdigit((unsigned char) **at); (*at)++, unit /= 10)
		ms += (**at - '0') * unit;
	return ms;
}

/*
 * read_rfc3339: "2026-01-31T12:00:00[.5]Z" as ms since 1970.  Returns whether
 * text is that, and a date that exists.
 */
static bool
read_rfc3339(const char *text, int64_t *ms)
{
	static const char separators[] = "--T::";
	static const int widths[] = {4, 2, 2, 2, 2, 2};
	static const int most[] = {9999, 12, 31, 23, 59, 59};
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int part[6];
	int fraction;
	bool leap;

	for (int i = 0; i < 6; i++)
	{
		part[i] = read_digits(&text, widths[i]);
		if (part[i] < 0 || part[i] > most[i])
			return false;
		if (i < 5 && *text++ != separators[i])
			return false;
	}
	fraction = read_fraction(&text);
	if (fraction < 0 || strcmp(text, "Z") != 0 || part[1] < 1 || part[2] < 1)
		return false;
	leap = part[0] % 4 == 0 && (part[0] % 100 != 0 || part[0] % 400 == 0);
	if (part[2] > days[part[1] - 1] + (part[1] == 2 && leap))
		return false;
	*ms = event_days_of_civil(part[0], part[1], part[2]) * INT64_C(86400000) +
		  ((part[3] * 60 + part[4]) * 60 + part[5]) * INT64_C(1000) + fraction;
	return true;
}

static const char *
set_start_time(const char *text, void *field)
{
	/* the earliest leaves room for late events, whose time is before it */
	const int64_t earliest = INT64_C(86400000);
	const int64_t latest = INT64_C(253370764800000);
	int64_t ms;
	char *end;

	if (!read_rfc3339(text, &ms))
	{
		ms = strtoll(text, &end, 10);
		if (end == text || *end != '\0')
			ms = -1;
	}
	if (ms < earliest || ms > latest)
		return "a time such as 2026-01-31T12:00:00Z, or milliseconds, from 1970-01-02 to 9998";
	*(int64_t *) field = ms;
	return NULL;
}

static const char *
set_hold_back(const char *text, void *field)
{
	HoldBackOption *hold_back = field;
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t) (colon - text) : strlen(text);
	char *end;

	hold_back->lead = DEFAULT_LEAD;
	if (colon != NULL)
	{
		hold_back->lead = strtoll(colon + 1, &end, 10);
		if (end == colon + 1 || *end != '\0' || hold_back->lead < 1)
			length = 0;
	}
	if (length == 0)
		return "GROUP or GROUP:LEAD, with a LEAD of at least 1";
	free(hold_back->group);
	hold_back->group = strndup(text, length);
	return NULL;
}

static const char *
add_property(const char *text, void *field)
{
	Properties *properties = field;
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return "of the form NAME=VALUE";
	if (properties->count >= MAX_PROPERTIES)
		return "given at most 64 times";
	properties->text[properties->count++] = text;
	return NULL;
}

/* check_together: what no single option can know. */
static void
check_together(const Options *options)
{
	const OptProgram *program = &producer_program;
	const char *acks = options->acks ? options->acks : "all";

	if (options->late + options->out_of_order > 1)
		opt_fail(program,
				 "--late and --out-of-order must not exceed 1 together");
	if (opt_choice("none|gzip|snappy|lz4|zstd", options->compression) < 0)
		opt_fail(program,
				 "--compression must be one of none|gzip|snappy|lz4|zstd, not \"%s\"",
				 options->compression);
	if (opt_choice("0|1|all|-1", acks) < 0)
		opt_fail(program, "--acks must be 0, 1 or all, not \"%s\"", acks);
	if (options->idempotence && opt_choice("all|-1", acks) < 0)
		opt_fail(program, "--idempotence needs --acks all");
	if (options->abort > 0 && options->transaction == 0)
		opt_fail(program, "--abort needs --transaction");
	if (options->transaction > 0 && opt_choice("all|-1", acks) < 0)
		opt_fail(program, "--transaction needs --acks all");
	if (options->print && options->transaction > 0)
		opt_fail(program,
				 "--transaction needs a broker and cannot go with --print");
	if (options->print && options->hold_back.group != NULL)
		opt_fail(program,
				 "--hold-back needs a broker and cannot go with --print");
}

void
options_parse(Options *options, int argc, char **argv)
{
	*options = (Options){.brokers = "localhost:9092",
						 .topic = "events",
						 .seed = 1,
						 .kind = KIND_MIXED,
						 .users = 100000,
						 .start_time = -1,
						 .key = KEY_NONE,
						 .compression = "none",
						 .timeout = 60};
	opt_parse(&producer_program, argc, argv, options);
	check_together(options);
}
