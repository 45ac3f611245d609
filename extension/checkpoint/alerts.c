/*
 * checkpoint/alerts.c
 *		Alerts: conditions over rows, and what becomes of them.
 *
 * Runs in the coordinator, in the transaction of a checkpoint, between
 * SPI_connect and SPI_finish, as the view's owner and under the view's settings,
 * as checkpoint/final.c does.  So an alert is recorded, and notified, with the rows
 * that it is about, or not at all.
 *
 * Final rows are put aside while they are written (a tuplestore, since there may
 * be many).  Then each alert evaluates its condition over them, in one
 * internal subtransaction that writes nothing and so needs no id of its own:
 * a condition that raises stops its alert, with the reason, and nothing else.
 * What it says is put aside likewise, where it matters, and is then carried through the alert's state, key by key, as the extension's
 * owner: so many windows in a row fire it, and clearing resolves it.
 *
 * An alert of windows 'open' looks at rows of open windows, too (alerts_open.c).
 * Those are not complete, so they can fire it, and nothing else.  A final row
 * resolves it unless a later window has hit since: so it fires once a key and window.
 */
#include "base/weir.h"

#include "access/xact.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "checkpoint/checkpoint.h"
#include "miscadmin.h"
#include "plan/alert.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/* A NOTIFY has room for a little less than 8000 bytes. */
#define PAYLOAD_MAX   7900
/* Columns of weir_alert_prepare. */
#define VERDICT_NATTS 5

typedef struct Alert
{
	char *name;
	Datum name_text;
	char *condition;
	char *clear; /* NULL: when the condition is not true */
	char *channel;
	int windows;       /* so many in a row fire it */
	bool open;         /* of open windows, too */
	MemoryContext cxt; /* of one verdict */
} Alert;

/* What one row means for one alert. */
typedef struct Verdict
{
	bool fires;
	bool clears;
	Datum key;
	Datum row;
	Datum window; /* its name */
} Verdict;

struct AlertWriter
{
	CheckpointView *v;
	Tuplestorestate *rows; /* columns of the output, and the window's name */
	TupleDesc desc;
	bool open;     /* rows of open windows, for alerts that look at those ... */
	bool complete; /* ... which are all there is: they can resolve, too */
	int64 dead;    /* of those: what ended up to here has no row any more */
	Datum *values; /* of a row */
	bool *nulls;
};

/* --- the alerts of a view ----------------------------------------------------------- */

static char *
text_of(int row, int column, MemoryContext cxt)
{
	char *s = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						   column);

	return s ? MemoryContextStrdup(cxt, s) : NULL;
}

/* Those that run, and which. */
static List *
load_alerts(int32 view, const char *which, const char *lock)
{
	MemoryContext cxt = CurrentMemoryContext;
	WeirUser user = weir_become_system();
	Oid type = INT4OID;
	Datum value = Int32GetDatum(view);
	List *alerts = NIL;
	bool isnull;

	weir_spi(psprintf("SELECT name, condition, clear_condition, channel, for_windows, windows = 'open' "
					  "FROM weir.alert_defs WHERE view = $1 AND state = 'running' %s"
					  "ORDER BY name %s",
					  which, lock),
			 1, &type, &value, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Alert *a = MemoryContextAlloc(cxt, sizeof(Alert));
		MemoryContext old = MemoryContextSwitchTo(cxt);

		a->name = text_of((int) i, 1, cxt);
		a->name_text = CStringGetTextDatum(a->name);
		a->condition = text_of((int) i, 2, cxt);
		a->clear = text_of((int) i, 3, cxt);
		a->channel = text_of((int) i, 4, cxt);
		a->windows = DatumGetInt32(weir_spi_get((int) i, 5, &isnull));
		a->open = DatumGetBool(weir_spi_get((int) i, 6, &isnull));
		a->cxt = AllocSetContextCreate(cxt, "weir alert", ALLOCSET_SMALL_SIZES);
		alerts = lappend(alerts, a);
		MemoryContextSwitchTo(old);
	}
	weir_become_again(user);
	return alerts;
}

/*
 * Locked, so that none is dropped meanwhile.  Who is about to drop one may yet roll
 * back, and then it must have seen this window: he is waited for, until
 * lock_timeout postpones the view.
 */
static List *
load_final(int32 view)
{
	return load_alerts(view, "", "FOR UPDATE");
}

/* Nobody need be waited for: what is open now is looked at again. */
static List *
load_open(int32 view)
{
	return load_alerts(view, "AND windows = 'open' ", "FOR UPDATE SKIP LOCKED");
}

static void
set_error(const Alert *a, const char *reason)
{
	WeirUser user = weir_become_system();
	Oid types[] = {TEXTOID, TEXTOID};
	Datum values[2];

	values[0] = CStringGetTextDatum(a->name);
	values[1] = CStringGetTextDatum(reason);
	weir_spi("UPDATE weir.alert_defs SET state = 'error', reason = $2 WHERE name = $1",
			 2, types, values, NULL, SPI_OK_UPDATE);
	weir_become_again(user);
	ereport(LOG, (errmsg("alert \"%s\" stops: %s", a->name, reason)));
}

/* --- notifying ------------------------------------------------------------------------ */

static char *
payload_of(const AlertWriter *w, const Alert *a, const Verdict *verdict,
		   const char *state, bool whole)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoString(&s, "{\"alert\": ");
	escape_json(&s, a->name);
	appendStringInfoString(&s, ", \"view\": ");
	escape_json(&s, w->v->row->name);
	appendStringInfo(&s, ", \"state\": \"%s\", \"row\": %s%s%s}", state,
					 whole ? TextDatumGetCString(verdict->row) : "null",
					 whole ? "" : ", \"truncated\": true",
					 w->open ? ", \"open\": true" : "");
	return s.data;
}

static void
notify(const AlertWriter *w, const Alert *a, const Verdict *verdict,
	   const char *state)
{
	MemoryContext old = MemoryContextSwitchTo(a->cxt);
	char *payload = payload_of(w, a, verdict, state, true);

	if (strlen(payload) > PAYLOAD_MAX)
		payload = payload_of(w, a, verdict, state, false);
	if (!weir_checkpoint_notify(w->v, a->channel, payload))
		ereport(LOG,
				(errmsg("alert \"%s\" is not notified: the queue of notifications is full",
						a->name)));
	MemoryContextSwitchTo(old);
}

/* --- the state of an alert, by key ------------------------------------------------------ */

/* Run a statement about one alert and key, perhaps with a row; rows returned. */
static uint64
for_key(const char *sql, const Alert *a, const Verdict *verdict, int expected)
{
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID};
	Datum values[lengthof(types)];

	values[0] = a->name_text;
	values[1] = verdict->key;
	values[2] = verdict->row;
	values[3] = verdict->window;
	weir_spi(sql, lengthof(types), types, values, NULL, expected);
	return SPI_processed;
}

/* Another hit; no row if it is an open alert's, and this window has hit already. */
static const char hit[] =
	"INSERT INTO weir.alert_hits AS h (alert, key_hash, hits, \"window\") "
	"VALUES ($1, md5($2), 1, $4) "
	"ON CONFLICT (alert, key_hash) DO UPDATE SET hits = h.hits + 1, "
	"\"window\" = $4 RETURNING hits, firing";
static const char hit_open[] =
	"INSERT INTO weir.alert_hits AS h (alert, key_hash, hits, \"window\") "
	"SELECT $1, md5($2), 1, $4 WHERE NOT EXISTS (SELECT FROM weir.alert_hits b "
	"WHERE b.alert = $1 AND b.key_hash = md5($2) AND b.\"window\" >= $4) "
	"ON CONFLICT (alert, key_hash) DO UPDATE SET hits = h.hits + 1, "
	"\"window\" = $4 RETURNING hits, firing";

/* Returns whether it fires now. */
static bool
count_hit(const Alert *a, const Verdict *verdict)
{
	bool isnull;
	bool fires = for_key(a->open ? hit_open : hit, a, verdict,
						 SPI_OK_INSERT_RETURNING) == 1 &&
				 !DatumGetBool(weir_spi_get(0, 2, &isnull)) &&
				 DatumGetInt32(weir_spi_get(0, 1, &isnull)) >= a->windows;

	SPI_freetuptable(SPI_tuptable);
	return fires;
}

static void
take_hit(const AlertWriter *w, const Alert *a, const Verdict *verdict)
{
	if (!count_hit(a, verdict))
		return;
	(void) for_key("UPDATE weir.alert_hits SET firing = true "
				   "WHERE alert = $1 AND key_hash = md5($2)",
				   a, verdict, SPI_OK_UPDATE);
	(void) for_key("INSERT INTO weir.alert_log (alert, key, \"row\") "
				   "VALUES ($1, $2::jsonb, $3::jsonb)",
				   a, verdict, SPI_OK_INSERT);
	notify(w, a, verdict, "firing");
}

/*
 * The condition is not true: nothing in a row any more; perhaps resolved, unless a
 * later window, which is still open, has fired it.
 */
static void
take_miss(const AlertWriter *w, const Alert *a, const Verdict *verdict)
{
	(void) for_key("DELETE FROM weir.alert_hits WHERE alert = $1 "
				   "AND key_hash = md5($2) AND NOT firing",
				   a, verdict, SPI_OK_DELETE);
	if (!verdict->clears)
	{
		/* It goes on firing as long as the row is there. */
		if (w->complete)
			(void) for_key("UPDATE weir.alert_hits SET \"window\" = $4 WHERE alert = $1 "
						   "AND key_hash = md5($2) AND \"window\" < $4",
						   a, verdict, SPI_OK_UPDATE);
		return;
	}
	if (for_key(a->open ? "DELETE FROM weir.alert_hits WHERE alert = $1 "
						  "AND key_hash = md5($2) AND firing AND \"window\" <= $4"
						: "DELETE FROM weir.alert_hits WHERE alert = $1 "
						  "AND key_hash = md5($2) AND firing",
				a, verdict, SPI_OK_DELETE) == 0)
		return;
	(void) for_key("UPDATE weir.alert_log SET resolved_at = now(), "
				   "resolved_row = $3::jsonb "
				   "WHERE alert = $1 AND key = $2::jsonb AND resolved_at IS NULL",
				   a, verdict, SPI_OK_UPDATE);
	notify(w, a, verdict, "resolved");
}

/*
 * Totals that have died give no row which could resolve anything; of them the keys
 * are left.  Those that live have a later window by now.
 */
static void
resolve_dead(const AlertWriter *w, const Alert *a)
{
	Oid types[] = {TEXTOID, INT8OID};
	Datum values[] = {a->name_text, Int64GetDatum(w->dead)};
	SPITupleTable *dead;
	uint64 n;
	bool isnull;

	weir_spi("WITH dead AS (DELETE FROM weir.alert_hits WHERE alert = $1 AND \"window\" <= $2 "
			 "RETURNING key_hash) "
			 "UPDATE weir.alert_log l SET resolved_at = now(), resolved_row = l.key FROM dead "
			 "WHERE l.alert = $1 AND l.resolved_at IS NULL AND md5(l.key::text) = dead.key_hash "
			 "RETURNING l.key::text",
			 2, types, values, NULL, SPI_OK_UPDATE_RETURNING);
	dead = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		Verdict verdict = {
			.row = SPI_getbinval(dead->vals[i], dead->tupdesc, 1, &isnull)};

		notify(w, a, &verdict, "resolved");
		MemoryContextReset(a->cxt);
	}
	SPI_freetuptable(dead);
}

/* Has the alert anything that a row which does not fire could change? */
static bool
has_hits(const Alert *a)
{
	WeirUser user = weir_become_system();
	Oid type = TEXTOID;
	Datum value = a->name_text;
	bool found;

	weir_spi("SELECT FROM weir.alert_hits WHERE alert = $1 LIMIT 1", 1, &type,
			 &value, NULL, SPI_OK_SELECT);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	weir_become_again(user);
	return found;
}

static Verdict
read_verdict(const Alert *a, TupleTableSlot *slot)
{
	Verdict verdict;

	slot_getallattrs(slot);
	verdict.fires = DatumGetBool(slot->tts_values[0]);
	verdict.clears = a->clear == NULL || DatumGetBool(slot->tts_values[1]);
	verdict.key = slot->tts_values[2];
	verdict.row = slot->tts_values[3];
	verdict.window = slot->tts_values[4];
	return verdict;
}

static void
apply_verdicts(const AlertWriter *w, const Alert *a, Tuplestorestate *verdicts)
{
	WeirUser user = weir_become_system();
	TupleDesc desc = CreateTemplateTupleDesc(VERDICT_NATTS);
	TupleTableSlot *slot;

	TupleDescInitEntry(desc, 1, "fires", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, 2, "clears", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, 3, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 4, "row", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 5, "window", INT8OID, -1, 0);
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(verdicts, true, false, slot))
	{
		Verdict verdict = read_verdict(a, slot);

		if (verdict.fires)
			take_hit(w, a, &verdict);
		else
			take_miss(w, a, &verdict);
		MemoryContextReset(a->cxt);
	}
	ExecDropSingleTupleTableSlot(slot);
	if (w->complete && w->v->plan->window.ttl)
		resolve_dead(w, a);
	weir_become_again(user);
}

/* --- evaluating -------------------------------------------------------------------------- */

/*
 * What the statement says of one row; true: it fires.  misses: one that does not
 * fire could change something.
 */
static bool
keep_verdict(Tuplestorestate *verdicts, bool misses)
{
	bool nulls[VERDICT_NATTS];
	bool fires;

	if (SPI_processed != 1 || SPI_tuptable->tupdesc->natts != VERDICT_NATTS)
		elog(ERROR, "could not evaluate the condition of an alert");
	fires = DatumGetBool(weir_spi_get(0, 1, &nulls[0]));
	for (int i = 1; i < VERDICT_NATTS; i++)
		(void) weir_spi_get(0, i + 1, &nulls[i]);
	if (nulls[0] || nulls[1] || nulls[2] || nulls[3] || nulls[4])
		elog(ERROR, "the condition of an alert gives no row");
	if (fires || misses)
		tuplestore_puttuple(verdicts, SPI_tuptable->vals[0]);
	SPI_freetuptable(SPI_tuptable);
	return fires;
}

/*
 * All rows, in the order in which they were written.  Kept is what fires, and what
 * could change something: without hits a row that does not fire says nothing, and
 * nor does one of a window that still fills.
 */
static void
evaluate(AlertWriter *w, const Alert *a, bool hits, Tuplestorestate *verdicts)
{
	const ViewPlan *plan = w->v->plan;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(w->desc,
													&TTSOpsMinimalTuple);
	char *nulls = palloc(w->desc->natts);
	bool partial = w->open && !w->complete;
	SPIPlanPtr query = weir_alert_prepare(plan, a->condition, a->clear);

	tuplestore_rescan(w->rows);
	while (tuplestore_gettupleslot(w->rows, true, false, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < w->desc->natts; i++)
			nulls[i] = slot->tts_isnull[i] ? 'n' : ' ';
		if (SPI_execute_plan(query, slot->tts_values, nulls, true, 0) !=
			SPI_OK_SELECT)
			elog(ERROR, "could not evaluate the condition of an alert");
		hits = keep_verdict(verdicts, hits && !partial) || hits;
	}
	ExecDropSingleTupleTableSlot(slot);
	SPI_freeplan(query);
}

static void
run_alert(AlertWriter *w, const Alert *a)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	/* Begun here, so that it outlives the subtransaction. */
	Tuplestorestate *verdicts = tuplestore_begin_heap(false, false, work_mem);
	ErrorData *volatile error = NULL;
	bool hits = has_hits(a);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		evaluate(w, a, hits, verdicts);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (error == NULL)
		apply_verdicts(w, a, verdicts);
	else if (ProcDiePending || weir_is_lock_error(error) ||
			 weir_is_server_error(error))
		ReThrowError(error);
	else
		set_error(a, error->message);
	tuplestore_end(verdicts);
}

/* Room for rows, which are those of the output and a window. */
static AlertWriter *
new_writer(CheckpointView *v)
{
	AlertWriter *w = palloc0(sizeof(AlertWriter));
	TupleDesc out = v->plan->outdesc;

	w->v = v;
	w->desc = CreateTemplateTupleDesc(out->natts + 1);
	for (int i = 1; i <= out->natts; i++)
		TupleDescCopyEntry(w->desc, i, out, i);
	TupleDescInitEntry(w->desc, out->natts + 1, "window", INT8OID, -1, 0);
	w->values = palloc(sizeof(Datum) * w->desc->natts);
	w->nulls = palloc(sizeof(bool) * w->desc->natts);
	w->rows = tuplestore_begin_heap(false, false, work_mem);
	return w;
}

AlertWriter *
weir_alerts_begin(CheckpointView *v)
{
	return v->progress.has_alerts ? new_writer(v) : NULL;
}

AlertWriter *
weir_alerts_begin_open(CheckpointView *v, bool complete, int64 closed)
{
	AlertWriter *w = new_writer(v);

	w->open = true;
	w->complete = complete;
	w->dead = closed;
	return w;
}

void
weir_alerts_add(AlertWriter *w, int64 window, const Datum *values,
				const bool *nulls)
{
	int n;

	if (w == NULL)
		return;
	n = w->desc->natts - 1;
	memcpy(w->values, values, sizeof(Datum) * n);
	memcpy(w->nulls, nulls, sizeof(bool) * n);
	w->values[n] = Int64GetDatum(window);
	w->nulls[n] = false;
	tuplestore_putvalues(w->rows, w->desc, w->values, w->nulls);
}

void
weir_alerts_end(AlertWriter *w)
{
	ListCell *lc;

	if (w == NULL)
		return;
	foreach(lc, w->open ? load_open(w->v->row->id) : load_final(w->v->row->id))
		run_alert(w, lfirst(lc));
	tuplestore_end(w->rows);
}

void
weir_alerts_fail(AlertWriter *w, const char *reason)
{
	ListCell *lc;

	foreach(lc, load_open(w->v->row->id))
		set_error(lfirst(lc), reason);
	tuplestore_end(w->rows);
}
