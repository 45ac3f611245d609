/*
 * kafka.c
 *	  Makes librdkafka clients.
 *
 * All signals are blocked while a client is made, so that its threads get
 * none.  librdkafka's own log stays off: what matters comes to the error
 * callback, which is served by the main thread's polls, and is reported once
 * in a while, since librdkafka repeats it at every attempt to connect.
 */
#include "kafka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "report.h"

/* The same kind of error is not reported again for so long. */
#define REPEAT_US 30000000

static bool
kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[512];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) ==
		RD_KAFKA_CONF_OK)
		return true;
	report_problem("%s", why);
	return false;
}

/* kafka_set_property: "name=value", as the user wrote it. */
static bool
kafka_set_property(rd_kafka_conf_t *conf, const char *property)
{
	const char *equals = strchr(property, '=');
	char *name = strndup(property, (size_t) (equals - property));
	bool good = name != NULL && kafka_set(conf, name, equals + 1);

	free(name);
	return good;
}

static void
kafka_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	static int64_t reported_at[256];
	int64_t *last = &reported_at[(unsigned) err % 256];
	int64_t now = clock_mono_us();

	(void) rk;
	(void) opaque;
	if (*last == 0 || now - *last > REPEAT_US)
	{
		report_problem("%s", reason);
		*last = now;
	}
}

rd_kafka_conf_t *
kafka_conf(const Options *options, const Setting *settings)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool good = kafka_set(conf, "bootstrap.servers", options->brokers) &&
				kafka_set(conf, "client.id", "weir-producer") &&
				kafka_set(conf, "log_level", "0");

	for (; good && settings->name != NULL; settings++)
		good = kafka_set(conf, settings->name, settings->value);
	for (int i = 0; good && i < options->properties.count; i++)
		good = kafka_set_property(conf, options->properties.text[i]);
	if (!good)
	{
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_error_cb(conf, kafka_on_error);
	return conf;
}

rd_kafka_t *
kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	sigset_t all;
	sigset_t before;
	char why[512];
	rd_kafka_t *rk;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	rk = rd_kafka_new(type, conf, why, sizeof(why));
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (rk == NULL)
	{
		report_problem("%s", why);
		rd_kafka_conf_destroy(conf);
	}
	return rk;
}
