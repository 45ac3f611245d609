/*
 * catalog/sink.c
 *		weir.sink_state, weir.sink_sent and weir.outbox (see sink.h).
 *
 * Backends that make and drop sinks, coordinators that close windows, and the
 * sender.  The row of a sink is locked by whoever gives numbers, so that they
 * are in the order of commits.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/sink.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* The system user, and SPI; each function here works between these two. */
static WeirUser
begin(void)
{
	WeirUser user = weir_become_system();

	SPI_connect();
	return user;
}

static void
end(WeirUser user)
{
	SPI_finish();
	weir_become_again(user);
}

/* --- sinks ------------------------------------------------------------------------ */

static void
read_key(SinkRow *sink, Datum array, MemoryContext cxt)
{
	Datum *values;

	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, 4, true, TYPALIGN_INT,
					  &values, NULL, &sink->nkey);
	sink->key = MemoryContextAlloc(cxt, sizeof(int) * Max(sink->nkey, 1));
	for (int i = 0; i < sink->nkey; i++)
		sink->key[i] = DatumGetInt32(values[i]) - 1;
}

/* A row of SPI_tuptable: view, relation, stream, topic, key, sent, failed. */
static SinkRow *
read_sink(int row, MemoryContext cxt)
{
	SinkRow *sink = MemoryContextAllocZero(cxt, sizeof(SinkRow));
	bool isnull;

	sink->view = DatumGetInt32(weir_spi_get(row, 1, &isnull));
	sink->relation = DatumGetObjectId(weir_spi_get(row, 2, &isnull));
	sink->stream = DatumGetObjectId(weir_spi_get(row, 3, &isnull));
	sink->topic = MemoryContextStrdup(cxt, TextDatumGetCString(
											   weir_spi_get(row, 4, &isnull)));
	read_key(sink, weir_spi_get(row, 5, &isnull), cxt);
	sink->sent = DatumGetInt64(weir_spi_get(row, 6, &isnull));
	sink->failed = DatumGetBool(weir_spi_get(row, 7, &isnull));
	return sink;
}

#define SINK_COLUMNS                                                        \
	"s.view, v.view, v.stream, s.topic, s.key, p.sent, p.error IS NOT NULL" \
	" FROM weir.sink_state s JOIN weir.sink_sent p ON p.view = s.view"      \
	" JOIN weir.views v ON v.id = s.view"

SinkRow *
weir_sink_lock(int32 view)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(view)};
	WeirUser user = begin();
	SinkRow *sink = NULL;

	weir_spi("SELECT " SINK_COLUMNS " WHERE s.view = $1 FOR UPDATE OF s", 1,
			 types, values, NULL, SPI_OK_SELECT);
	if (SPI_processed > 0)
		sink = read_sink(0, cxt);
	end(user);
	return sink;
}

bool
weir_sink_exists(int32 view)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(view)};
	WeirUser user = begin();
	bool exists;

	weir_spi("SELECT FROM weir.sink_state WHERE view = $1", 1, types, values,
			 NULL, SPI_OK_SELECT);
	exists = SPI_processed > 0;
	end(user);
	return exists;
}

void
weir_sink_insert(int32 view, const char *topic, int nkey, const int *key)
{
	Oid types[] = {INT4OID, TEXTOID, INT4ARRAYOID};
	Datum values[lengthof(types)];
	Datum *columns = palloc(sizeof(Datum) * Max(nkey, 1));
	WeirUser user;

	for (int i = 0; i < nkey; i++)
		columns[i] = Int32GetDatum(key[i] + 1);
	values[0] = Int32GetDatum(view);
	values[1] = CStringGetTextDatum(topic);
	values[2] = PointerGetDatum(
		construct_array(columns, nkey, INT4OID, 4, true, TYPALIGN_INT));
	user = begin();
	weir_spi("WITH s AS (INSERT INTO weir.sink_state (view, topic, key, first, numbered)"
			 " SELECT $1, $2, $3, n, n FROM (VALUES"
			 " ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) t(n)"
			 " RETURNING view, first)"
			 " INSERT INTO weir.sink_sent (view, sent) SELECT view, first FROM s",
			 lengthof(types), types, values, NULL, SPI_OK_INSERT);
	end(user);
}

bool
weir_sink_delete(int32 view)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(view)};
	WeirUser user = begin();
	bool found;

	weir_spi("DELETE FROM weir.sink_state WHERE view = $1", 1, types, values,
			 NULL, SPI_OK_DELETE);
	found = SPI_processed > 0;
	weir_spi("DELETE FROM weir.outbox WHERE view = $1", 1, types, values, NULL,
			 SPI_OK_DELETE);
	end(user);
	return found;
}

List *
weir_sinks_load(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(MyDatabaseId)};
	WeirUser user = begin();
	List *sinks = NIL;

	weir_spi("SELECT " SINK_COLUMNS
			 " JOIN weir.home h ON h.view = s.view AND h.database = $1"
			 " ORDER BY s.view",
			 1, types, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);

		sinks = lappend(sinks, read_sink(i, cxt));
		MemoryContextSwitchTo(old);
	}
	end(user);
	return sinks;
}

void
weir_sink_note(int32 view, const char *error)
{
	Oid types[] = {INT4OID, TEXTOID};
	Datum values[] = {Int32GetDatum(view), (Datum) 0};
	WeirUser user;

	if (error)
		values[1] = CStringGetTextDatum(error);
	user = begin();
	weir_spi("UPDATE weir.sink_sent SET error = $2, error_since ="
			 " CASE WHEN $2 IS NOT NULL THEN coalesce(error_since, now()) END"
			 " WHERE view = $1 AND error IS DISTINCT FROM $2",
			 lengthof(types), types, values, error ? NULL : " n", SPI_OK_UPDATE);
	end(user);
}

/* --- the outbox --------------------------------------------------------------------- */

static ArrayType *
texts_of(int n, const OutboxRow *rows, bool keys)
{
	Datum *values = palloc(sizeof(Datum) * n);
	bool *nulls = palloc(sizeof(bool) * n);
	int lower = 1;

	for (int i = 0; i < n; i++)
	{
		const char *s = keys ? rows[i].key : rows[i].value;

		nulls[i] = s == NULL;
		values[i] = s ? CStringGetTextDatum(s) : (Datum) 0;
	}
	return construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1, false,
							  TYPALIGN_INT);
}

void
weir_outbox_append(int32 view, int n, const OutboxRow *rows)
{
	Oid types[] = {INT4OID, TEXTARRAYOID, TEXTARRAYOID};
	Datum values[lengthof(types)];
	WeirUser user;

	if (n == 0)
		return;
	values[0] = Int32GetDatum(view);
	values[1] = PointerGetDatum(texts_of(n, rows, true));
	values[2] = PointerGetDatum(texts_of(n, rows, false));
	user = begin();
	weir_spi("INSERT INTO weir.outbox (view, number, key, value)"
			 " SELECT s.view, s.numbered + t.n, t.key, t.value"
			 " FROM weir.sink_state s,"
			 " unnest($2, $3) WITH ORDINALITY t(key, value, n)"
			 " WHERE s.view = $1",
			 lengthof(types), types, values, NULL, SPI_OK_INSERT);
	values[1] = Int64GetDatum(n);
	types[1] = INT8OID;
	weir_spi("UPDATE weir.sink_state SET numbered = numbered + $2 WHERE view = $1",
			 2, types, values, NULL, SPI_OK_UPDATE);
	end(user);
}

static OutboxRow *
read_outbox(MemoryContext cxt)
{
	OutboxRow *rows;

	rows = MemoryContextAllocZero(cxt,
								  sizeof(OutboxRow) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum key;

		rows[i].number = DatumGetInt64(weir_spi_get(i, 1, &isnull));
		rows[i].value = MemoryContextStrdup(cxt,
											TextDatumGetCString(
												weir_spi_get(i, 3, &isnull)));
		key = weir_spi_get(i, 2, &isnull);
		if (!isnull)
			rows[i].key = MemoryContextStrdup(cxt, TextDatumGetCString(key));
	}
	return rows;
}

OutboxRow *
weir_outbox_next(int32 view, int64 sent, int max, int *nrows)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid types[] = {INT4OID, INT8OID, INT4OID};
	Datum values[] = {Int32GetDatum(view), Int64GetDatum(sent),
					  Int32GetDatum(max)};
	WeirUser user = begin();
	OutboxRow *rows;

	weir_spi("DELETE FROM weir.outbox WHERE view = $1 AND number <= $2", 2,
			 types, values, NULL, SPI_OK_DELETE);
	weir_spi("UPDATE weir.sink_sent SET sent = $2, error = NULL,"
			 " error_since = NULL WHERE view = $1",
			 2, types, values, NULL, SPI_OK_UPDATE);
	weir_spi("SELECT number, key, value FROM weir.outbox"
			 " WHERE view = $1 AND number > $2 ORDER BY number LIMIT $3",
			 3, types, values, NULL, SPI_OK_SELECT);
	rows = read_outbox(cxt);
	*nrows = (int) SPI_processed;
	end(user);
	return rows;
}
