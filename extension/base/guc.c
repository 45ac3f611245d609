/*
 * base/guc.c
 *		The table of Weir's settings.
 *
 * Every process of the server runs weir_guc_init once, from _PG_init in the
 * postmaster.  The values are plain ints, read without locks.
 */
#include "base/weir.h"

#include <limits.h>

#include "base/guc.h"
#include "miscadmin.h"
#include "utils/guc.h"

WeirSettings weir_settings;

typedef struct IntSetting
{
	const char *name;
	const char *description;
	int *value;
	int boot;
	int min;
	int max;
	GucContext context;
	int flags;
} IntSetting;

/* Sorted by name. */
static const IntSetting int_settings[] = {
	{"weir.aggregate_cache",
	 "Memory of an ingest worker for states of aggregates that are not serialised.",
	 &weir_settings.aggregate_cache_kb, 256 * 1024, 64, INT_MAX, PGC_SIGHUP,
	 GUC_UNIT_KB},
	{"weir.batch_size",
	 "Records that are decoded and aggregated together, at most.",
	 &weir_settings.batch_size, 4000, 1, 100000, PGC_SIGHUP, 0},
	{"weir.broker_timeout",
	 "How long DDL and weir.flush wait for an answer of a broker.",
	 &weir_settings.broker_timeout_ms, 5000, 100, 600000, PGC_USERSET,
	 GUC_UNIT_MS},
	{"weir.checkpoint_interval", "Time between two checkpoints of a lane.",
	 &weir_settings.checkpoint_interval_ms, 1000, 10, 3600000, PGC_SIGHUP,
	 GUC_UNIT_MS},
	{"weir.ingest_workers",
	 "Processes that read a stream's topic, unless the stream's option workers says.",
	 &weir_settings.ingest_workers, 1, 1, WEIR_MAX_WORKERS, PGC_SIGHUP, 0},
	{"weir.join_refresh", "How long what was read of a joined table is used.",
	 &weir_settings.join_refresh_ms, 1000, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"weir.kafka_statistics_interval",
	 "Time between two statistics of librdkafka, for weir.metrics; 0: none.",
	 &weir_settings.kafka_statistics_ms, 10000, 0, 3600000, PGC_SIGHUP,
	 GUC_UNIT_MS},
	{"weir.max_lanes", "Lanes that can run at a time, over all databases.",
	 &weir_settings.max_lanes, 32, 1, 1024, PGC_POSTMASTER, 0},
	{"weir.max_views",
	 "Continuous views that can run at a time, over all databases.",
	 &weir_settings.max_views, 512, 1, 16384, PGC_POSTMASTER, 0},
	{"weir.memory_limit", "Shared memory for the open windows of all views.",
	 &weir_settings.memory_limit_mb, 512, 16, 1024 * 1024, PGC_POSTMASTER,
	 GUC_UNIT_MB},
	{"weir.queue_limit",
	 "Memory for messages that were fetched and not yet read, of all lanes.",
	 &weir_settings.queue_limit_kb, 1024 * 1024, 1024, INT_MAX, PGC_SIGHUP,
	 GUC_UNIT_KB},
	{"weir.queue_size",
	 "Memory for messages that were fetched and not yet read, per lane.",
	 &weir_settings.queue_kb, 384 * 1024, 1024, INT_MAX / 1024, PGC_SIGHUP,
	 GUC_UNIT_KB},
#ifdef WEIR_FAULTS
	{"weir.test_clock",
	 "What the wall clock shows, in seconds since 2000; 0: the time.",
	 &weir_settings.test_clock, 0, 0, INT_MAX, PGC_SIGHUP, 0},
#endif
};

void
weir_guc_init(void)
{
	for (int i = 0; i < (int) lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		/* Loaded by a session: what the postmaster sizes does not exist. */
		*s->value = s->boot;
		if (s->context == PGC_POSTMASTER &&
			!process_shared_preload_libraries_in_progress)
			continue;
		DefineCustomIntVariable(s->name, s->description, NULL, s->value,
								s->boot, s->min, s->max, s->context, s->flags,
								NULL, NULL, NULL);
	}
	MarkGUCPrefixReserved("weir");
}
