/*
 * catalog/progress.c
 *		weir.progress: how far each view is (see view.h).
 *
 * Coordinators write it in the transaction of a checkpoint; backends and
 * coordinators read it.  The row's lock and its generation are what keeps a
 * checkpoint from overtaking a pause, reset or drop.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Arrays of the row, by the offset of their field in ViewPartition. */
static const struct
{
	const char *column;
	size_t offset;
} part_columns[] = {
	{"starts", offsetof(ViewPartition, start)},
	{"positions", offsetof(ViewPartition, position)},
	{"watermarks", offsetof(ViewPartition, watermark)},
	{"events", offsetof(ViewPartition, events)},
	{"late", offsetof(ViewPartition, late)},
	{"dead", offsetof(ViewPartition, dead)},
	{"lost", offsetof(ViewPartition, lost)},
	{"last_offsets", offsetof(ViewPartition, last)},
	{"last_prints", offsetof(ViewPartition, last_print)},
	{"ends", offsetof(ViewPartition, end)},
	{"records", offsetof(ViewPartition, record)},
};

#define PART_COLUMNS      lengthof(part_columns)
#define FIRST_PART_COLUMN 9
#define SCALARS           7 /* parameters before those of the arrays */

static inline int64 *
part_field(ViewPartition *p, int column)
{
	return (int64 *) ((char *) p + part_columns[column].offset);
}

static void
read_parts(ProgressRow *p, int column, MemoryContext cxt)
{
	bool isnull;
	Datum array = weir_spi_get(0, FIRST_PART_COLUMN + column, &isnull);
	Datum *elems;
	bool *nulls;
	int n;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, 8, true,
					  TYPALIGN_DOUBLE, &elems, &nulls, &n);
	if (p->parts == NULL)
	{
		p->nparts = n;
		p->parts = MemoryContextAllocZero(cxt,
										  sizeof(ViewPartition) * Max(n, 1));
	}
	if (n != p->nparts)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("arrays of weir.progress differ in length")));
	for (int i = 0; i < n; i++)
		*part_field(&p->parts[i], column) = nulls[i] ? WEIR_NO_TIME
													 : DatumGetInt64(elems[i]);
}

static int64
get_time(int column)
{
	bool isnull;
	Datum d = weir_spi_get(0, column, &isnull);

	return isnull ? WEIR_NO_TIME : DatumGetInt64(d);
}

/* how: what follows the condition. */
static ProgressRow *
load(int32 view, const char *how)
{
	MemoryContext cxt = CurrentMemoryContext;
	WeirUser user = weir_become_system();
	Oid type = INT4OID;
	Datum arg = Int32GetDatum(view);
	ProgressRow *p = NULL;
	bool isnull;

	SPI_connect();
	weir_spi(psprintf("SELECT generation, incarnation, closed_upto, advance, windows_final, "
					  "chunks, topic, rows_final, starts, positions, watermarks, events, late, dead, lost, "
					  "last_offsets, last_prints, ends, records "
					  "FROM weir.progress WHERE view = $1%s",
					  how),
			 1, &type, &arg, NULL, SPI_OK_SELECT);
	if (SPI_processed == 1)
	{
		p = MemoryContextAllocZero(cxt, sizeof(ProgressRow));
		p->generation = DatumGetInt64(weir_spi_get(0, 1, &isnull));
		p->incarnation = DatumGetInt32(weir_spi_get(0, 2, &isnull));
		p->closed_upto = get_time(3);
		p->advance = get_time(4);
		p->windows_final = DatumGetInt64(weir_spi_get(0, 5, &isnull));
		p->chunks = DatumGetInt64(weir_spi_get(0, 6, &isnull));
		p->topic = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7);
		if (p->topic)
			p->topic = MemoryContextStrdup(cxt, p->topic);
		p->rows_final = DatumGetInt64(weir_spi_get(0, 8, &isnull));
		for (int c = 0; c < (int) PART_COLUMNS; c++)
			read_parts(p, c, cxt);
	}
	SPI_finish();
	weir_become_again(user);
	return p;
}

ProgressRow *
weir_progress_load(int32 view)
{
	return load(view, "");
}

bool
weir_progress_lock(int32 view, ProgressRow *p, bool *stale)
{
	static const char of_ours[] =
		"FROM weir.progress p WHERE p.view = $1 AND EXISTS ("
		"SELECT FROM weir.home h WHERE h.view = p.view AND h.database = $2)";
	WeirUser user = weir_become_system();
	Oid types[] = {INT4OID, OIDOID};
	Datum args[] = {Int32GetDatum(view), ObjectIdGetDatum(MyDatabaseId)};
	const char *windows;
	bool isnull;
	bool locked;

	SPI_connect();
	/* of the alerts' windows 'open' is the greatest */
	weir_spi(psprintf("SELECT p.generation, p.advance, (SELECT max(a.windows) FROM weir.alert_defs a "
					  "WHERE a.view = p.view AND a.state = 'running') "
					  "%s FOR UPDATE OF p SKIP LOCKED",
					  of_ours),
			 2, types, args, NULL, SPI_OK_SELECT);
	locked = SPI_processed == 1;
	*stale = locked &&
			 DatumGetInt64(weir_spi_get(0, 1, &isnull)) != p->generation;
	if (locked && !*stale)
	{
		p->advance = get_time(2);
		windows = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
		p->has_alerts = windows != NULL;
		p->watches_open = windows && strcmp(windows, "open") == 0;
	}
	if (!locked)
	{
		weir_spi(psprintf("SELECT 1 %s", of_ours), 2, types, args, NULL,
				 SPI_OK_SELECT);
		*stale = SPI_processed == 0;
	}
	SPI_finish();
	weir_become_again(user);
	return locked && !*stale;
}

bool
weir_progress_advance(int32 view, int64 upto)
{
	WeirUser user = weir_become_system();
	Oid types[] = {INT4OID, INT8OID};
	Datum values[] = {Int32GetDatum(view), Int64GetDatum(upto)};
	bool advanced;

	SPI_connect();
	weir_spi("UPDATE weir.progress SET advance = $2 WHERE view = $1 "
			 "AND coalesce(greatest(advance, closed_upto) < $2, true)",
			 lengthof(types), types, values, NULL, SPI_OK_UPDATE);
	advanced = SPI_processed == 1;
	SPI_finish();
	weir_become_again(user);
	return advanced;
}

static Datum
parts_array(const ProgressRow *p, int column)
{
	Datum *elems = palloc(sizeof(Datum) * Max(p->nparts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(p->nparts, 1));
	int lbound = 1;
	int n = p->nparts;

	for (int i = 0; i < n; i++)
	{
		int64 v = *part_field(&p->parts[i], column);

		elems[i] = Int64GetDatum(v);
		nulls[i] = v == WEIR_NO_TIME;
	}
	if (n == 0)
		return PointerGetDatum(construct_empty_array(INT8OID));
	return PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lbound,
											  INT8OID, 8, true, TYPALIGN_DOUBLE));
}

void
weir_progress_store(int32 view, const ProgressRow *p)
{
	Oid types[SCALARS + PART_COLUMNS];
	Datum values[SCALARS + PART_COLUMNS];
	char nulls[SCALARS + 1 + PART_COLUMNS];
	WeirUser user = weir_become_system();

	memset(nulls, ' ', sizeof(nulls));
	nulls[SCALARS + PART_COLUMNS] = '\0';
	types[0] = INT4OID;
	values[0] = Int32GetDatum(view);
	types[1] = INT4OID;
	values[1] = Int32GetDatum(p->incarnation);
	types[2] = INT8OID;
	values[2] = Int64GetDatum(p->closed_upto);
	if (p->closed_upto == WEIR_NO_TIME)
		nulls[2] = 'n';
	types[3] = INT8OID;
	values[3] = Int64GetDatum(p->windows_final);
	types[4] = INT8OID;
	values[4] = Int64GetDatum(p->chunks);
	types[5] = TEXTOID;
	if (p->topic)
		values[5] = CStringGetTextDatum(p->topic);
	else
		nulls[5] = 'n';
	types[6] = INT8OID;
	values[6] = Int64GetDatum(p->rows_final);
	for (int c = 0; c < (int) PART_COLUMNS; c++)
	{
		types[SCALARS + c] = INT8ARRAYOID;
		values[SCALARS + c] = parts_array(p, c);
	}
	SPI_connect();
	/* What seldom changes keeps its place in TOAST when it has not. */
	weir_spi("UPDATE weir.progress SET incarnation = $2, closed_upto = $3, "
			 "windows_final = $4, chunks = $5, topic = $6, rows_final = $7, "
			 "starts = CASE WHEN starts = $8 THEN starts ELSE $8 END, "
			 "positions = $9, watermarks = $10, events = $11, "
			 "late = CASE WHEN late = $12 THEN late ELSE $12 END, "
			 "dead = CASE WHEN dead = $13 THEN dead ELSE $13 END, "
			 "lost = CASE WHEN lost = $14 THEN lost ELSE $14 END, "
			 "last_offsets = $15, last_prints = $16, "
			 "ends = CASE WHEN ends = $17 THEN ends ELSE $17 END, "
			 "records = CASE WHEN records = $18 THEN records ELSE $18 END "
			 "WHERE view = $1",
			 lengthof(types), types, values, nulls, SPI_OK_UPDATE);
	SPI_finish();
	weir_become_again(user);
}

bool
weir_progress_merge(int32 view, const ProgressRow *p, const bool *mine)
{
	ProgressRow *now = load(view, " FOR UPDATE");

	if (now == NULL || now->generation != p->generation ||
		now->nparts != p->nparts)
		return false;
	for (int i = 0; i < now->nparts; i++)
		if (mine[i])
			now->parts[i] = p->parts[i];
	now->rows_final += p->rows_final;
	weir_progress_store(view, now);
	return true;
}

void
weir_progress_reset(int32 view)
{
	WeirUser user = weir_become_system();
	Oid type = INT4OID;
	Datum arg = Int32GetDatum(view);

	SPI_connect();
	weir_spi("UPDATE weir.progress SET generation = generation + 1, "
			 "closed_upto = NULL, advance = NULL, windows_final = 0, rows_final = 0, chunks = 0, topic = NULL, "
			 "starts = '{}', positions = '{}', watermarks = '{}', events = '{}', "
			 "late = '{}', dead = '{}', lost = '{}', last_offsets = '{}', "
			 "last_prints = '{}', ends = '{}', records = '{}' WHERE view = $1",
			 1, &type, &arg, NULL, SPI_OK_UPDATE);
	weir_spi("DELETE FROM weir.state WHERE view = $1", 1, &type, &arg, NULL,
			 SPI_OK_DELETE);
	weir_spi("DELETE FROM weir.dead_letter_log WHERE view = $1", 1, &type, &arg,
			 NULL, SPI_OK_DELETE);
	weir_spi("UPDATE weir.dead_letter_log SET views = array_remove(views, $1) "
			 "WHERE views @> ARRAY[$1]",
			 1, &type, &arg, NULL, SPI_OK_UPDATE);
	weir_spi("DELETE FROM weir.replay_queue WHERE view = $1", 1, &type, &arg,
			 NULL, SPI_OK_DELETE);
	weir_spi("DELETE FROM weir.late_event_log WHERE view = $1", 1, &type, &arg,
			 NULL, SPI_OK_DELETE);
	weir_spi("DELETE FROM weir.alert_hits h USING weir.alert_defs a "
			 "WHERE h.alert = a.name AND a.view = $1",
			 1, &type, &arg, NULL, SPI_OK_DELETE);
	weir_spi("DELETE FROM weir.alert_log l USING weir.alert_defs a "
			 "WHERE l.alert = a.name AND a.view = $1",
			 1, &type, &arg, NULL, SPI_OK_DELETE);
	weir_spi("DELETE FROM weir.lost_range_log WHERE view = $1", 1, &type, &arg,
			 NULL, SPI_OK_DELETE);
	SPI_finish();
	weir_become_again(user);
}
