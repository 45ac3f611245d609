/*
 * checkpoint/sink.c
 *		Rows of windows that become final, as messages for the view's sink.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, as the view's
 * owner and between SPI_connect and SPI_finish, as checkpoint/final.c does.  The
 * JSON is PostgreSQL's own, since it calls output functions of any type.  What
 * is in the outbox is sent by worker/sender.c when the commit is durable.
 *
 * Memory: rows wait, up to ROWS_AT_ONCE, in a context of their own.
 */
#include "base/weir.h"

#include "catalog/sink.h"
#include "catalog/spi.h"
#include "checkpoint/checkpoint.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define ROWS_AT_ONCE 1000

struct SinkWriter
{
	CheckpointView *v;
	SinkRow *sink;
	SPIPlanPtr plan; /* a final row to key and value */
	char *spi_nulls;
	int nrows;
	OutboxRow rows[ROWS_AT_ONCE];
	MemoryContext cxt; /* of the rows */
};

static void
add_column(StringInfo sql, const ViewPlan *plan, int column, bool first)
{
	const char *name = NameStr(TupleDescAttr(plan->outdesc, column)->attname);

	appendStringInfo(sql, "%s$%d AS %s", first ? "" : ", ", column + 1,
					 quote_identifier(name));
}

/* One statement makes both objects; the parameters are the row's columns. */
static SPIPlanPtr
prepare(const ViewPlan *plan, const SinkRow *sink)
{
	Oid *types = palloc(sizeof(Oid) * plan->nout);
	StringInfoData sql;
	SPIPlanPtr result;

	for (int i = 0; i < plan->nout; i++)
		types[i] = TupleDescAttr(plan->outdesc, i)->atttypid;
	initStringInfo(&sql);
	if (sink->nkey > 0)
	{
		appendStringInfoString(
			&sql,
			"SELECT (SELECT pg_catalog.row_to_json(r)::pg_catalog.text FROM (SELECT ");
		for (int i = 0; i < sink->nkey; i++)
			add_column(&sql, plan, sink->key[i], i == 0);
		appendStringInfoString(&sql, ") r), ");
	}
	else
		appendStringInfoString(&sql, "SELECT NULL::pg_catalog.text, ");
	appendStringInfoString(&sql,
						   "(SELECT pg_catalog.row_to_json(r)::pg_catalog.text FROM (SELECT ");
	for (int i = 0; i < plan->nout; i++)
		add_column(&sql, plan, i, i == 0);
	appendStringInfoString(&sql, ") r)");
	result = SPI_prepare(sql.data, plan->nout, types);
	if (result == NULL)
		elog(ERROR, "could not prepare: %s", sql.data);
	return result;
}

SinkWriter *
weir_sink_begin(CheckpointView *v)
{
	SinkRow *sink = weir_sink_lock(v->row->id);
	SinkWriter *w;

	if (sink == NULL)
		return NULL;
	w = palloc0(sizeof(SinkWriter));
	w->v = v;
	w->sink = sink;
	w->plan = prepare(v->plan, sink);
	w->spi_nulls = palloc(v->plan->nout);
	w->cxt = AllocSetContextCreate(CurrentMemoryContext, "weir sink",
								   ALLOCSET_DEFAULT_SIZES);
	return w;
}

static void
store(SinkWriter *w)
{
	weir_outbox_append(w->sink->view, w->nrows, w->rows);
	w->nrows = 0;
	MemoryContextReset(w->cxt);
}

/* A column of the only row of the last statement, in the writer's context. */
static char *
result_text(SinkWriter *w, int column)
{
	bool isnull;
	Datum d = weir_spi_get(0, column, &isnull);

	return isnull ? NULL : MemoryContextStrdup(w->cxt, TextDatumGetCString(d));
}

void
weir_sink_add(SinkWriter *w, Datum *values, const bool *nulls)
{
	OutboxRow *row;

	if (w == NULL)
		return;
	if (w->nrows == ROWS_AT_ONCE)
		store(w);
	for (int i = 0; i < w->v->plan->nout; i++)
		w->spi_nulls[i] = nulls[i] ? 'n' : ' ';
	if (SPI_execute_plan(w->plan, values, w->spi_nulls, true, 0) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not make a message of a final row");
	row = &w->rows[w->nrows++];
	row->key = result_text(w, 1);
	row->value = result_text(w, 2);
	SPI_freetuptable(SPI_tuptable);
	w->v->to_send = true;
}

void
weir_sink_end(SinkWriter *w)
{
	if (w == NULL)
		return;
	store(w);
	MemoryContextDelete(w->cxt);
}
