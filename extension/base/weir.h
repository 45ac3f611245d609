/*
 * base/weir.h
 *		What every file of the extension that runs inside PostgreSQL includes
 *		first: the server's headers, version differences, names and limits.
 */
#ifndef WEIR_H
#define WEIR_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "core/progress.h"

#define WEIR_SCHEMA "weir"

/* Ingest workers, and so shards, of a lane at most. */
#define WEIR_MAX_WORKERS 4

/* A time that is not known: no record seen, no watermark, nothing closed. */
#define WEIR_NO_TIME WP_NO_TIME

/* Microseconds between 1970-01-01 (Kafka, core/) and 2000-01-01 (PostgreSQL). */
#define WEIR_EPOCH_SHIFT \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

#endif /* WEIR_H */
