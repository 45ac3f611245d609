/*
 * base/guc.h
 *		Weir's settings.  The table in guc.c is where they are declared, with
 *		unit, range and default; docs/reference.md lists them.
 */
#ifndef WEIR_GUC_H
#define WEIR_GUC_H

typedef struct WeirSettings
{
	int memory_limit_mb; /* arena of all views, reserved at start */
	int max_lanes;
	int max_views;
	int checkpoint_interval_ms;
	int queue_limit_kb;      /* librdkafka's buffers, of all lanes */
	int queue_kb;            /* of one lane */
	int aggregate_cache_kb;  /* states that are not serialised, of a worker */
	int batch_size;          /* records a batch, at most */
	int ingest_workers;      /* of a lane, unless the stream says */
	int join_refresh_ms;     /* age of what was read of a joined table */
	int kafka_statistics_ms; /* between librdkafka's statistics; 0: none */
	int broker_timeout_ms;   /* DDL's and flush's questions to a broker */
#ifdef WEIR_FAULTS
	int test_clock; /* wall clock, seconds since 2000; 0: the real one */
#endif
} WeirSettings;

extern WeirSettings weir_settings;

extern void weir_guc_init(void);

#endif /* WEIR_GUC_H */
