/*
 * checkpoint/rows.c
 *		Rows of an append view, into its table.
 *
 * Runs in the ingest worker, in the transaction that also writes positions, as
 * the view's owner.  A column of the query is one of the table by its name; what
 * else the table has takes its default.
 *
 * The batch is a tuplestore, under a name that only our own statement sees
 * (an ephemeral named relation, as triggers have for transition tables), and
 * INSERT ... SELECT does the rest: triggers, rules, generated columns, row-level
 * security, partitions, casts to a type that the user has given a column since.
 *
 * Where nothing of that is in the way (rows_direct.c) rows go to the table many
 * at a time, as COPY does it.
 */
#include "base/weir.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "checkpoint/rows.h"
#include "checkpoint/rows_direct.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#define BATCH_NAME "weir_batch"

struct RowWriter
{
	const ViewRow *row;
	MemoryContext cxt;
	char *sql; /* of plan, or NULL */
	SPIPlanPtr plan;
};

RowWriter *
weir_rows_new(const ViewRow *row, MemoryContext cxt)
{
	RowWriter *w = MemoryContextAllocZero(cxt, sizeof(RowWriter));

	w->row = row;
	w->cxt = cxt;
	return w;
}

/* --- through the executor ------------------------------------------------------- */

/* The names may have changed since the last batch, and with them the text. */
static char *
insert_statement(const RowWriter *w, const ViewPlan *plan)
{
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < plan->nout; i++)
		appendStringInfo(&columns, "%s%s", i ? ", " : "",
						 quote_identifier(
							 NameStr(TupleDescAttr(plan->outdesc, i)->attname)));
	return psprintf("INSERT INTO %s (%s) SELECT %s FROM " BATCH_NAME,
					quote_qualified_identifier(get_namespace_name(
												   get_rel_namespace(
													   w->row->final)),
											   get_rel_name(w->row->final)),
					columns.data, columns.data);
}

/* The batch must be registered already. */
static void
prepare(RowWriter *w, const ViewPlan *plan)
{
	char *sql = insert_statement(w, plan);

	if (w->sql && strcmp(sql, w->sql) == 0)
		return;
	if (w->sql)
	{
		SPI_freeplan(w->plan);
		pfree(w->sql);
		w->sql = NULL;
	}
	w->plan = SPI_prepare(sql, 0, NULL);
	if (w->plan == NULL || SPI_keepplan(w->plan) != 0)
		elog(ERROR, "could not prepare: %s", sql);
	w->sql = MemoryContextStrdup(w->cxt, sql);
}

static Tuplestorestate *
store_batch(ViewApply *a, const EventBatch *b, const int32 *records, int n)
{
	const ViewPlan *plan = a->plan;
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	Datum *values = palloc(sizeof(Datum) * plan->nout);
	bool *nulls = palloc(sizeof(bool) * plan->nout);

	for (int i = 0; i < n; i++)
	{
		for (int o = 0; o < plan->nout; o++)
			values[o] = weir_append_value(a, o, b, records[i], &nulls[o]);
		tuplestore_putvalues(store, plan->outdesc, values, nulls);
	}
	return store;
}

static void
register_batch(const ViewPlan *plan, Tuplestorestate *store, int n)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = BATCH_NAME;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = plan->outdesc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = n;
	enr->reldata = store;
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the batch");
}

static void
insert_batch(RowWriter *w, ViewApply *a, const EventBatch *b,
			 const int32 *records, int n)
{
	Tuplestorestate *store;

	SPI_connect();
	/* What is deferred would raise at COMMIT, where no row is named. */
	weir_spi("SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, NULL,
			 SPI_OK_UTILITY);
	store = store_batch(a, b, records, n);
	register_batch(a->plan, store, n);
	prepare(w, a->plan);
	if (SPI_execute_plan(w->plan, NULL, NULL, false, 0) != SPI_OK_INSERT)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("a rule of \"%s\" changed what an insert does",
							   get_rel_name(w->row->final))));
	tuplestore_end(store);
	SPI_finish();
}

/* --- which way --------------------------------------------------------------------- */

void
weir_rows_write(RowWriter *w, ViewApply *a, const EventBatch *b,
				const int32 *records, int n)
{
	WeirUser user = weir_become_owner(w->row->owner);
	int nest = weir_settings_enter(w->row);
	Relation rel = try_table_open(w->row->final, RowExclusiveLock);

	if (rel == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the table of the view is gone")));
	if (!weir_rows_direct(rel, a, b, records, n))
		insert_batch(w, a, b, records, n);
	table_close(rel, NoLock);
	weir_settings_leave(nest);
	weir_become_again(user);
}
