/*
 * exec/join.c
 *		A batch of events joined with tables (see join.h, plan/join.c).
 *
 * Runs in the ingest worker.  The worker has a copy of each table, in a tuplestore,
 * and reads it anew now and then; a table that somebody has locked stays as it was
 * read last, so nothing waits for the lock.  The join's query is planned over the
 * copies, and its executor lives as long as they do, over many transactions: with
 * its hash tables, which so are built once.  It can, since nothing in it is the
 * transaction's: no relation, no snapshot, and no temporary file, as it
 * may use as much memory as it takes.  Its only input that changes is the batch.
 *
 * When an expression of the join raises, the state of the executor is torn, and it
 * is made anew.
 *
 * Memory: cxt for the join's life; of the executor run_cxt, below it; each copy is a
 * tuplestore of its own, which spills to disk beyond COPY_KB.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "base/clock.h"
#include "catalog/pg_type.h"
#include "exec/join.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"
#include "utils/tuplestore.h"

#define COPY_KB     (1024 * 1024)
#define WORK_MEM    "2000000" /* kB: never a temporary file */
#define LOCK_WAIT   "20ms"
#define LEAST_TABLE 10

struct ViewJoin
{
	const JoinPlan *plan;
	Bitmapset *columns; /* of the stream, that the view reads */
	MemoryContext cxt;
	Tuplestorestate **copies; /* by table */
	int64 next_refresh;       /* monotonic us */
	Tuplestorestate *batch;
	/* The executor; run_cxt NULL: there is none. */
	MemoryContext run_cxt;
	EState *estate;
	PlanState *root;
	int param; /* that stands for the batch */
	/* What comes of it. */
	EventBatch out;
	int64 *watermark;
	int32 *record; /* of each row */
	KafkaMessage *msgs;
	int16 *typlen; /* of columns beyond the stream's */
	bool *typbyval;
	Datum *values; /* scratch, of a row of the batch */
	bool *nulls;
};

/* --- making one ------------------------------------------------------------------- */

ViewJoin *
weir_join_new(const ViewApply *a)
{
	MemoryContext cxt = AllocSetContextCreate(a->cxt, "weir join",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	ViewJoin *j = palloc0(sizeof(ViewJoin));
	const JoinPlan *plan = a->plan->join;
	int natts = plan->desc->natts;

	j->plan = plan;
	j->columns = a->plan->columns;
	j->cxt = cxt;
	j->copies = palloc0(sizeof(Tuplestorestate *) * plan->ntables);
	j->out.cxt = cxt;
	j->out.columns = palloc0(sizeof(ColumnVector) * natts);
	j->typlen = palloc(sizeof(int16) * natts);
	j->typbyval = palloc(sizeof(bool) * natts);
	for (int i = plan->natts; i < natts; i++)
		get_typlenbyval(TupleDescAttr(plan->desc, i)->atttypid, &j->typlen[i],
						&j->typbyval[i]);
	j->values = palloc0(sizeof(Datum) * (plan->natts + 1));
	j->nulls = palloc(sizeof(bool) * (plan->natts + 1));
	memset(j->nulls, true, sizeof(bool) * (plan->natts + 1));
	MemoryContextSwitchTo(old);
	return j;
}

EventBatch *
weir_join_batch(ViewJoin *j)
{
	return &j->out;
}

int64 *
weir_join_watermarks(ViewJoin *j)
{
	return j->watermark;
}

const int32 *
weir_join_records(const ViewJoin *j)
{
	return j->record;
}

/* With the batch that it reads: a tuplestore keeps its readers for ever. */
static void
drop_executor(ViewJoin *j)
{
	if (j->batch)
		tuplestore_end(j->batch);
	if (j->run_cxt)
		MemoryContextDelete(j->run_cxt);
	j->batch = NULL;
	j->run_cxt = NULL;
	j->estate = NULL;
	j->root = NULL;
}

/* --- copies of the tables ------------------------------------------------------------ */

static const char *
table_source(const JoinTable *t)
{
	const char *name;

	if (!OidIsValid(t->relid))
		return psprintf("(%s)", pg_get_querydef(copyObject(t->subquery), false));
	name = get_rel_name(t->relid);
	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("a joined table was dropped")));
	return quote_qualified_identifier(get_namespace_name(
										  get_rel_namespace(t->relid)),
									  name);
}

/* It may have another name by now. */
static const char *
column_name(const JoinTable *t, int attno)
{
	if (OidIsValid(t->relid))
		return quote_identifier(get_attname(t->relid, attno, false));
	return quote_identifier(NameStr(TupleDescAttr(t->desc, attno - 1)->attname));
}

/* Only columns that are read: the others need no right and no memory. */
static char *
select_statement(const JoinTable *t)
{
	const char *source = table_source(t);
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < t->desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(t->desc, i);

		appendStringInfoString(&sql, i ? ", " : "SELECT ");
		if (bms_is_member(i + 1, t->columns))
			appendStringInfo(&sql, "t.%s", column_name(t, i + 1));
		else
			appendStringInfo(&sql, "NULL::%s",
							 a->attisdropped
								 ? "pg_catalog.int4"
								 : format_type_with_typemod(a->atttypid,
															a->atttypmod));
	}
	appendStringInfo(&sql, " FROM %s t", source);
	return sql.data;
}

static void
read_table(ViewJoin *j, const JoinTable *t, Tuplestorestate *store)
{
	SPIExecuteOptions options = {.read_only = true};

	SPI_connect();
	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, store, j->cxt, true, NULL,
									NULL);
	if (SPI_execute_extended(select_statement(t), &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read a joined table");
	SPI_finish();
}

static Tuplestorestate *
new_copy(const ViewJoin *j)
{
	MemoryContext old = MemoryContextSwitchTo(j->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, true, COPY_KB);

	MemoryContextSwitchTo(old);
	return store;
}

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Read a table in a subtransaction.  NULL: it is locked.  Policies of row-level
 * security apply to the view's owner like to anybody.
 */
static Tuplestorestate *
try_read(ViewJoin *j, const JoinTable *t)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Tuplestorestate *volatile store = new_copy(j);
	int nest = NewGUCNestLevel();

	set_for_now("row_security", "on");
	set_for_now("lock_timeout", LOCK_WAIT);
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		read_table(j, t, store);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *e;

		MemoryContextSwitchTo(cxt);
		e = CopyErrorData();
		tuplestore_end(store);
		store = NULL;
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (e->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(e);
		FreeErrorData(e);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	AtEOXact_GUC(false, nest);
	return store;
}

void
weir_join_refresh(ViewJoin *j, int64 refresh_us)
{
	int64 now = weir_clock_monotonic();

	if (now < j->next_refresh)
		return;
	for (int i = 0; i < j->plan->ntables; i++)
	{
		const JoinTable *t = &j->plan->tables[i];
		Tuplestorestate *store = try_read(j, t);

		if (store == NULL && j->copies[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("table \"%s\" is locked, and was not read yet",
							OidIsValid(t->relid) ? get_rel_name(t->relid)
												 : t->name)));
		if (store == NULL)
			continue;
		drop_executor(j);
		if (j->copies[i])
			tuplestore_end(j->copies[i]);
		j->copies[i] = store;
	}
	j->next_refresh = weir_clock_monotonic() + refresh_us;
}

/* --- the executor -------------------------------------------------------------------- */

static void
add_named(QueryEnvironment *env, char *name, TupleDesc desc,
		  Tuplestorestate *store)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = name;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = tuplestore_tuple_count(store);
	enr->reldata = store;
	register_ENR(env, enr);
}

/* With the sizes that the copies have: the batch is what goes by the others. */
static PlannedStmt *
plan_query(const ViewJoin *j)
{
	Query *q = copyObject(j->plan->query);

	for (int i = 0; i < j->plan->ntables; i++)
		rt_fetch(j->plan->tables[i].rtindex, q->rtable)->enrtuples =
			Max(tuplestore_tuple_count(j->copies[i]), LEAST_TABLE);
	return pg_plan_query(q, "", 0, NULL);
}

/*
 * Nodes that read the batch depend on a parameter that is new with each batch, as
 * those of a recursive query do; so what they keep of the last one, such as a
 * hash table, is thrown away when they are scanned again.
 */
static bool
depend_on_batch(Plan *plan, const char *batch, int param)
{
	bool depends;

	if (plan == NULL)
		return false;
	depends = IsA(plan, NamedTuplestoreScan) &&
			  strcmp(((NamedTuplestoreScan *) plan)->enrname, batch) == 0;
	depends = depend_on_batch(outerPlan(plan), batch, param) || depends;
	depends = depend_on_batch(innerPlan(plan), batch, param) || depends;
	if (depends)
	{
		plan->extParam = bms_add_member(plan->extParam, param);
		plan->allParam = bms_add_member(plan->allParam, param);
	}
	return depends;
}

static void
start_executor(ViewJoin *j)
{
	QueryEnvironment *env;
	PlannedStmt *stmt;
	MemoryContext old;

	j->run_cxt = AllocSetContextCreate(j->cxt, "weir join run",
									   ALLOCSET_DEFAULT_SIZES);
	j->batch = new_copy(j);
	old = MemoryContextSwitchTo(j->run_cxt);
	stmt = plan_query(j);
	env = create_queryEnv();
	add_named(env, rt_fetch(j->plan->stream, stmt->rtable)->enrname,
			  j->plan->batch, j->batch);
	for (int i = 0; i < j->plan->ntables; i++)
		add_named(env, j->plan->tables[i].name, j->plan->tables[i].desc,
				  j->copies[i]);
	j->estate = CreateExecutorState();
	MemoryContextSwitchTo(j->estate->es_query_cxt);
	weir_init_plan_range_table(j->estate, stmt);
	j->estate->es_plannedstmt = stmt;
	j->param = list_length(stmt->paramExecTypes);
	(void) depend_on_batch(stmt->planTree,
						   rt_fetch(j->plan->stream, stmt->rtable)->enrname,
						   j->param);
	j->estate->es_queryEnv = env;
	if (stmt->paramExecTypes != NIL)
		j->estate->es_param_exec_vals = palloc0(
			list_length(stmt->paramExecTypes) * sizeof(ParamExecData));
	j->root = ExecInitNode(stmt->planTree, j->estate, 0);
	MemoryContextSwitchTo(old);
}

/* Lay the records out for the executor, numbered as in the batch. */
static void
fill_batch(ViewJoin *j, const EventBatch *b, const int32 *records, int n)
{
	const JoinPlan *plan = j->plan;

	tuplestore_clear(j->batch);
	j->nulls[plan->natts] = false;
	for (int i = 0; i < n; i++)
	{
		int c = -1;

		while ((c = bms_next_member(plan->columns, c)) >= 0)
		{
			j->values[c - 1] = b->columns[c - 1].values[records[i]];
			j->nulls[c - 1] = b->columns[c - 1].nulls[records[i]];
		}
		j->values[plan->natts] = Int32GetDatum(records[i]);
		tuplestore_putvalues(j->batch, plan->batch, j->values, j->nulls);
	}
}

/* --- what comes of it -------------------------------------------------------------------- */

#define GROW(array, n)                                            \
	((array) = (array)                                            \
				   ? repalloc_huge(array, sizeof(*(array)) * (n)) \
				   : palloc_extended(sizeof(*(array)) * (n), MCXT_ALLOC_HUGE))

static void
reserve(ViewJoin *j, int n)
{
	EventBatch *o = &j->out;
	MemoryContext old;

	if (n <= o->capacity)
		return;
	n = Max(n, Max(1024, o->capacity * 2));
	old = MemoryContextSwitchTo(j->cxt);
	GROW(o->partition, n);
	GROW(o->offset, n);
	GROW(o->event_time, n);
	GROW(o->ok, n);
	GROW(j->watermark, n);
	GROW(j->record, n);
	GROW(j->msgs, n);
	o->msgs = j->msgs;
	for (int c = 0; c < j->plan->desc->natts; c++)
		if (c >= j->plan->natts || bms_is_member(c + 1, j->columns))
		{
			GROW(o->columns[c].values, n);
			GROW(o->columns[c].nulls, n);
		}
	o->capacity = n;
	MemoryContextSwitchTo(old);
}

static void
take_row(ViewJoin *j, const EventBatch *b, const int64 *watermark,
		 TupleTableSlot *slot, int row, MemoryContext cxt)
{
	EventBatch *o = &j->out;
	int record;
	int c = -1;
	MemoryContext old = MemoryContextSwitchTo(cxt);

	slot_getallattrs(slot);
	record = DatumGetInt32(slot->tts_values[0]);
	o->partition[row] = b->partition[record];
	o->offset[row] = b->offset[record];
	o->event_time[row] = b->event_time[record];
	o->ok[row] = true;
	j->watermark[row] = watermark[record];
	j->record[row] = record;
	j->msgs[row] = b->msgs[record];
	while ((c = bms_next_member(j->columns, c)) >= 0)
	{
		o->columns[c - 1].values[row] = b->columns[c - 1].values[record];
		o->columns[c - 1].nulls[row] = b->columns[c - 1].nulls[record];
	}
	for (int i = j->plan->natts; i < j->plan->desc->natts; i++)
	{
		int from = i - j->plan->natts + 1;
		bool isnull = slot->tts_isnull[from];

		o->columns[i].nulls[row] = isnull;
		o->columns[i].values[row] = isnull ? (Datum) 0
										   : datumCopy(slot->tts_values[from],
													   j->typbyval[i],
													   j->typlen[i]);
	}
	MemoryContextSwitchTo(old);
}

/* At most one row more than "most". */
static int
run(ViewJoin *j, const EventBatch *b, const int64 *watermark, int at, int most,
	MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(j->estate->es_query_cxt);
	int row = at;

	j->root->chgParam = bms_add_member(j->root->chgParam, j->param);
	ExecReScan(j->root);
	while (row - at <= most)
	{
		TupleTableSlot *slot = ExecProcNode(j->root);

		if (TupIsNull(slot))
			break;
		reserve(j, row + 1);
		take_row(j, b, watermark, slot, row++, cxt);
		ResetPerTupleExprContext(j->estate);
	}
	MemoryContextSwitchTo(old);
	j->out.n = row;
	return row - at;
}

int
weir_join_rows(ViewJoin *j, const EventBatch *b, const int64 *watermark,
			   const int32 *records, int n, int at, int most, MemoryContext cxt)
{
	volatile int rows = 0;
	int nest;

	reserve(j, at + n);
	nest = NewGUCNestLevel();
	set_for_now("work_mem", WORK_MEM);
	set_for_now("enable_mergejoin", "off");
	PG_TRY();
	{
		if (j->run_cxt == NULL)
			start_executor(j);
		fill_batch(j, b, records, n);
		rows = run(j, b, watermark, at, most, cxt);
	}
	PG_CATCH();
	{
		drop_executor(j);
		PG_RE_THROW();
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest);
	return rows;
}
