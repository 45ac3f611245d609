/*
 * checkpoint/partition.c
 *		Partitions of v_final, made when the first window in their range closes.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, as the view's
 * owner in a security-restricted operation: ATTACH evaluates constraints and
 * predicates that the owner may have added.  The partition is created apart and
 * attached, which lets readers of the parent go on.
 *
 * A range is a day, or 4096 windows if that is longer, on a grid from 2000-01-01;
 * with many partitions ranges get wider, and a range never overlaps another
 * since it is cut at its neighbours: data from far-off times cannot make
 * thousands.  With a retention a range is an eighth of it, between an hour and the
 * above.
 */
#include "base/weir.h"

#include "access/table.h"
#include "base/fault.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "checkpoint/checkpoint.h"
#include "commands/defrem.h"
#include "core/window.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define WINDOWS_A_PARTITION 4096
#define MANY_PARTITIONS     100
#define PARTITIONS_KEPT     8
#define WIDER               64

/* A view that drops what is old does so by the partition: cut it finer. */
static int64
width_to_drop(int64 width, int64 retention)
{
	int64 part = retention / PARTITIONS_KEPT;

	part -= part % USECS_PER_HOUR;
	return Min(width, Max(part, USECS_PER_HOUR));
}

static int64
range_width(int64 size, int64 retention, int npartitions)
{
	int64 width = USECS_PER_DAY;

	if (size > USECS_PER_DAY / WINDOWS_A_PARTITION)
	{
		int64 days = (size / (USECS_PER_DAY / WINDOWS_A_PARTITION)) + 1;

		width = Min(days, 36500) * USECS_PER_DAY;
	}
	if (retention > 0)
		width = width_to_drop(width, retention);
	for (; npartitions >= MANY_PARTITIONS &&
		   width < INT64CONST(36500) * USECS_PER_DAY;
		 npartitions -= MANY_PARTITIONS)
		width *= WIDER;
	return width;
}

/* Is there a partition for the window?  If not, the range for a new one. */
static bool
find_range(Relation rel, int64 window, int64 size, int64 retention,
		   int64 *lower, int64 *upper)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc desc = RelationGetPartitionDesc(rel, false);
	PartitionBoundInfo bounds = desc->boundinfo;
	int64 width = range_width(size, retention, desc->nparts);
	Datum value = Int64GetDatum(window);
	bool equal;
	int at = -1;

	if (desc->nparts > 0)
		at = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
										   bounds, 1, &value, &equal);
	if (desc->nparts > 0 && bounds->indexes[at + 1] >= 0)
		return true;
	if (!ww_tumble_start(window, width, 0, lower))
		*lower = window;
	*lower = Max(*lower, MIN_TIMESTAMP);
	*upper = Min(*lower + width, END_TIMESTAMP - 1);
	if (desc->nparts > 0 && at >= 0 &&
		bounds->kind[at][0] == PARTITION_RANGE_DATUM_VALUE)
		*lower = Max(*lower, DatumGetInt64(bounds->datums[at][0]));
	if (desc->nparts > 0 && at + 1 < bounds->ndatums &&
		bounds->kind[at + 1][0] == PARTITION_RANGE_DATUM_VALUE)
		*upper = Min(*upper, DatumGetInt64(bounds->datums[at + 1][0]));
	return false;
}

static char *
time_literal(int64 t)
{
	return quote_literal_cstr(timestamptz_to_str(t));
}

static char *
partition_name(Relation rel, int64 lower)
{
	struct pg_tm tm;
	fsec_t fsec;
	char suffix[32];
	char *name;

	if (timestamp2tm(lower, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("window out of range")));
	snprintf(suffix, sizeof(suffix), "%04d%02d%02d", tm.tm_year, tm.tm_mon,
			 tm.tm_mday);
	for (int i = 1;; i++)
	{
		name = makeObjectName(RelationGetRelationName(rel), suffix, NULL);
		if (!OidIsValid(get_relname_relid(name, RelationGetNamespace(rel))))
			return name;
		snprintf(suffix + 8, sizeof(suffix) - 8, "_%d", i);
	}
}

static void
run_ddl(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "statement failed: %s", sql);
}

void
weir_ensure_partition(Oid final, int64 window, int64 size, int64 retention)
{
	Relation rel = table_open(final, AccessShareLock);
	int64 lower;
	int64 upper;
	char *schema;
	char *parent;
	char *part;
	int nest;

	if (find_range(rel, window, size, retention, &lower, &upper))
	{
		table_close(rel, AccessShareLock);
		return;
	}
	schema = get_namespace_name(RelationGetNamespace(rel));
	parent = quote_qualified_identifier(schema, RelationGetRelationName(rel));
	part = quote_qualified_identifier(schema, partition_name(rel, lower));
	nest = weir_plain_settings_enter();
	SPI_connect();
	run_ddl(
		psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
				 part, parent));
	WEIR_FAULT("checkpoint-partition-made");
	table_close(rel, AccessShareLock);
	run_ddl(
		psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
				 parent, part, time_literal(lower), time_literal(upper)));
	SPI_finish();
	weir_settings_leave(nest);
}
