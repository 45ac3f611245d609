/*
 * catalog/view.c
 *		weir.views and weir.home: the definitions (see view.h).
 *
 * Backends (control functions, reads) and workers.  No locks but the rows'.
 */
#include "base/weir.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"

#define PLAIN_PATH "pg_catalog, pg_temp"

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static void
plain_settings(void)
{
	set_for_now("search_path", PLAIN_PATH);
	set_for_now("TimeZone", "UTC");
	set_for_now("DateStyle", "ISO");
}

static WeirUser
become(Oid userid, int context)
{
	WeirUser before;

	GetUserIdAndSecContext(&before.userid, &before.context);
	SetUserIdAndSecContext(userid, before.context | context);
	before.nest = NewGUCNestLevel();
	return before;
}

WeirUser
weir_become_owner(Oid owner)
{
	return become(owner, SECURITY_RESTRICTED_OPERATION);
}

WeirUser
weir_become_stream_owner(Oid owner)
{
	WeirUser before = weir_become_owner(owner);

	set_for_now("search_path", PLAIN_PATH);
	return before;
}

WeirUser
weir_become_system(void)
{
	WeirUser before = become(BOOTSTRAP_SUPERUSERID,
							 SECURITY_LOCAL_USERID_CHANGE);

	plain_settings();
	return before;
}

void
weir_become_again(WeirUser user)
{
	weir_settings_leave(user.nest);
	SetUserIdAndSecContext(user.userid, user.context);
}

#define VIEW_COLUMNS                                                      \
	"v.id, v.view::oid, v.query::oid, v.final::oid, v.open::oid, "        \
	"v.stream::oid, (extract(epoch from v.lateness) * 1000000)::bigint, " \
	"v.start, v.settings, v.state, h.database, p.generation, "            \
	"v.keep_late, coalesce(v.memory_limit, 0), v.on_memory_limit, "       \
	"coalesce((extract(epoch from v.retention) * 1000000)::bigint, 0), "  \
	"v.until, v.notify, coalesce(v.upstream::oid, 0::oid), "              \
	"coalesce((extract(epoch from v.ttl) * 1000000)::bigint, 0) "         \
	"FROM weir.views v LEFT JOIN weir.home h ON h.view = v.id "           \
	"LEFT JOIN weir.progress p ON p.view = v.id "

char *
weir_view_part_name(const char *view, const char *suffix)
{
	char *name = psprintf("%s%s", view, suffix);

	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("the name \"%s\" is too long", name),
				 errhint("The name of a continuous view may have up to %d bytes.",
						 (int) (NAMEDATALEN - 1 - strlen("_final")))));
	return name;
}

Oid
weir_relation_owner(Oid relid)
{
	HeapTuple tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tup))
	{
		owner = ((Form_pg_class) GETSTRUCT(tup))->relowner;
		ReleaseSysCache(tup);
	}
	return owner;
}

static Oid
get_oid(int row, int column)
{
	bool isnull;
	Datum d = weir_spi_get(row, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(d);
}

static char *
get_text(int row, int column, MemoryContext cxt)
{
	char *s = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						   column);

	return s ? MemoryContextStrdup(cxt, s) : NULL;
}

static void
read_settings(ViewRow *v, Datum array, MemoryContext cxt)
{
	Datum *elems;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &elems, NULL, &v->nsettings);
	v->settings = MemoryContextAlloc(cxt, sizeof(char *) * (v->nsettings + 1));
	for (int i = 0; i < v->nsettings; i++)
		v->settings[i] = MemoryContextStrdup(cxt, TextDatumGetCString(elems[i]));
}

static ViewRow *
read_view(int row, MemoryContext cxt)
{
	ViewRow *v = MemoryContextAllocZero(cxt, sizeof(ViewRow));
	bool isnull;

	v->id = DatumGetInt32(weir_spi_get(row, 1, &isnull));
	v->view = get_oid(row, 2);
	v->query = get_oid(row, 3);
	v->final = get_oid(row, 4);
	v->open = get_oid(row, 5);
	v->stream = get_oid(row, 6);
	v->lateness = DatumGetInt64(weir_spi_get(row, 7, &isnull));
	v->start = get_text(row, 8, cxt);
	read_settings(v, weir_spi_get(row, 9, &isnull), cxt);
	v->state = get_text(row, 10, cxt);
	v->home = get_oid(row, 11) == MyDatabaseId;
	v->generation = DatumGetInt64(weir_spi_get(row, 12, &isnull));
	v->keep_late = DatumGetBool(weir_spi_get(row, 13, &isnull));
	v->memory_limit = DatumGetInt64(weir_spi_get(row, 14, &isnull));
	v->stops_at_limit = strcmp(get_text(row, 15, cxt), "error") == 0;
	v->retention = DatumGetInt64(weir_spi_get(row, 16, &isnull));
	v->until = get_text(row, 17, cxt);
	v->notify = get_text(row, 18, cxt);
	v->upstream = get_oid(row, 19);
	v->ttl = DatumGetInt64(weir_spi_get(row, 20, &isnull));
	v->owner = weir_relation_owner(v->query);
	v->name = get_rel_name(v->view);
	v->name = MemoryContextStrdup(cxt, v->name ? v->name : "?");
	return v;
}

/* List of ViewRow for a condition with one parameter. */
static List *
load_views(const char *where, Oid type, Datum arg)
{
	MemoryContext cxt = CurrentMemoryContext;
	WeirUser user = weir_become_system();
	List *views = NIL;
	char *sql = psprintf("SELECT " VIEW_COLUMNS "WHERE %s ORDER BY v.id", where);

	SPI_connect();
	weir_spi(sql, 1, &type, &arg, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ViewRow *v = read_view((int) i, cxt);
		MemoryContext old = MemoryContextSwitchTo(cxt);

		views = lappend(views, v);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	weir_become_again(user);
	return views;
}

static ViewRow *
load_view(const char *where, Oid type, Datum arg)
{
	List *l = load_views(where, type, arg);

	return l ? linitial(l) : NULL;
}

ViewRow *
weir_view_of_open(Oid relid)
{
	return load_view("v.open = $1", OIDOID, ObjectIdGetDatum(relid));
}

ViewRow *
weir_view_of_query(Oid relid)
{
	return load_view("v.query = $1", OIDOID, ObjectIdGetDatum(relid));
}

ViewRow *
weir_view_load(int32 id)
{
	return load_view("v.id = $1", INT4OID, Int32GetDatum(id));
}

ViewRow *
weir_view_of_relation(Oid relid)
{
	return load_view("v.view = $1", OIDOID, ObjectIdGetDatum(relid));
}

ViewRow *
weir_view_of_part(Oid relid)
{
	return load_view("$1 IN (v.query, v.final, v.open)", OIDOID,
					 ObjectIdGetDatum(relid));
}

List *
weir_views_load(Oid stream)
{
	return load_views("$1 = 0::oid OR v.stream = $1", OIDOID,
					  ObjectIdGetDatum(stream));
}

List *
weir_views_over(Oid view)
{
	List *views;

	PushActiveSnapshot(GetLatestSnapshot());
	views = load_views("v.upstream = $1", OIDOID, ObjectIdGetDatum(view));
	PopActiveSnapshot();
	return views;
}

ViewRow *
weir_view_require(Oid relid)
{
	ViewRow *v = weir_view_of_relation(relid);
	char *name = get_rel_name(relid);

	if (v == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", name ? name : "?"),
				 errhint(
					 "SELECT view_name FROM weir.status lists the continuous views.")));
	return v;
}

static void
execute(const char *sql, int nargs, Oid *types, Datum *values,
		const char *nulls, int expected)
{
	WeirUser user = weir_become_system();

	SPI_connect();
	weir_spi(sql, nargs, types, values, nulls, expected);
	SPI_finish();
	weir_become_again(user);
}

static Datum
settings_array(const ViewRow *v)
{
	Datum *elems = palloc(sizeof(Datum) * (v->nsettings + 1));

	for (int i = 0; i < v->nsettings; i++)
		elems[i] = CStringGetTextDatum(v->settings[i]);
	return PointerGetDatum(
		construct_array(elems, v->nsettings, TEXTOID, -1, false, TYPALIGN_INT));
}

int32
weir_view_insert(const ViewRow *v)
{
	Oid types[] = {OIDOID,  OIDOID,  OIDOID,  OIDOID,       OIDOID,
				   INT8OID, INT8OID, TEXTOID, TEXTARRAYOID, BOOLOID,
				   TEXTOID, OIDOID,  TEXTOID, INT8OID};
	Datum values[lengthof(types)];
	WeirUser user = weir_become_system();
	bool isnull;
	int32 id;

	values[0] = ObjectIdGetDatum(v->view);
	values[1] = ObjectIdGetDatum(v->query);
	values[2] = ObjectIdGetDatum(v->final);
	values[3] = ObjectIdGetDatum(v->open);
	values[4] = ObjectIdGetDatum(v->stream);
	values[5] = Int64GetDatum(v->lateness);
	values[6] = Int64GetDatum(v->retention);
	values[7] = CStringGetTextDatum(v->start);
	values[8] = settings_array(v);
	values[9] = BoolGetDatum(v->keep_late);
	values[10] = CStringGetTextDatum(v->until ? v->until : "");
	values[11] = ObjectIdGetDatum(v->upstream);
	values[12] = CStringGetTextDatum(v->definition ? v->definition : "");
	values[13] = Int64GetDatum(v->ttl);

	SPI_connect();
	weir_spi("INSERT INTO weir.views (view, query, final, open, stream, lateness, "
			 "retention, start, settings, keep_late, until, upstream, definition, ttl) VALUES ($1, $2, $3, nullif($4, 0::oid), $5, "
			 "$6 * interval '1 microsecond', justify_hours(nullif($7, 0) * interval '1 microsecond'), "
			 "$8, $9, $10, nullif($11, ''), nullif($12, 0::oid), nullif($13, ''), "
			 "justify_hours(nullif($14, 0) * interval '1 microsecond')) RETURNING id",
			 lengthof(types), types, values, NULL, SPI_OK_INSERT_RETURNING);
	id = DatumGetInt32(weir_spi_get(0, 1, &isnull));
	SPI_finish();
	weir_become_again(user);

	values[0] = Int32GetDatum(id);
	types[0] = INT4OID;
	execute("INSERT INTO weir.progress (view) VALUES ($1)", 1, types, values,
			NULL, SPI_OK_INSERT);
	weir_view_set_home(id);
	return id;
}

void
weir_view_delete(int32 id)
{
	Oid type = INT4OID;
	Datum value = Int32GetDatum(id);

	/* As a checkpoint does: it would wait for the rest with this row locked. */
	execute("SELECT FROM weir.progress WHERE view = $1 FOR UPDATE", 1, &type,
			&value, NULL, SPI_OK_SELECT);
	execute("DELETE FROM weir.state WHERE view = $1", 1, &type, &value, NULL,
			SPI_OK_DELETE);
	execute("DELETE FROM weir.dead_letter_log WHERE view = $1", 1, &type,
			&value, NULL, SPI_OK_DELETE);
	execute("DELETE FROM weir.late_event_log WHERE view = $1", 1, &type, &value,
			NULL, SPI_OK_DELETE);
	execute("DELETE FROM weir.outbox WHERE view = $1", 1, &type, &value, NULL,
			SPI_OK_DELETE);
	execute("DELETE FROM weir.views WHERE id = $1", 1, &type, &value, NULL,
			SPI_OK_DELETE);
}

void
weir_view_begin_anew(int32 id)
{
	Oid type = INT4OID;
	Datum value = Int32GetDatum(id);

	execute("UPDATE weir.progress SET generation = generation + 1 WHERE view = $1",
			1, &type, &value, NULL, SPI_OK_UPDATE);
}

void
weir_view_set_state(int32 id, const char *state, const char *reason)
{
	Oid types[] = {INT4OID, TEXTOID, TEXTOID};
	Datum values[3];

	values[0] = Int32GetDatum(id);
	values[1] = CStringGetTextDatum(state);
	values[2] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	execute("UPDATE weir.views SET state = $2, reason = $3, state_since = clock_timestamp() "
			"WHERE id = $1",
			3, types, values, reason ? "   " : "  n", SPI_OK_UPDATE);
	weir_view_begin_anew(id);
}

void
weir_view_set_places(const ViewRow *row)
{
	Oid types[] = {INT4OID, TEXTOID, TEXTOID};
	Datum values[lengthof(types)];

	values[0] = Int32GetDatum(row->id);
	values[1] = CStringGetTextDatum(row->start);
	values[2] = CStringGetTextDatum(row->until ? row->until : "");
	execute("UPDATE weir.views SET start = $2, until = nullif($3, '') WHERE id = $1",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

void
weir_view_set_home(int32 id)
{
	Oid types[] = {INT4OID, OIDOID};
	Datum values[2];

	values[0] = Int32GetDatum(id);
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	execute("INSERT INTO weir.home VALUES ($1, $2) "
			"ON CONFLICT (view) DO UPDATE SET database = excluded.database",
			2, types, values, NULL, SPI_OK_INSERT);
}

void
weir_view_set_options(const ViewRow *row)
{
	Oid types[] = {INT4OID, INT8OID, TEXTOID, INT8OID, BOOLOID, TEXTOID};
	Datum values[lengthof(types)];

	values[0] = Int32GetDatum(row->id);
	values[1] = Int64GetDatum(row->memory_limit);
	values[2] = CStringGetTextDatum(row->stops_at_limit ? "error" : "wait");
	values[3] = Int64GetDatum(row->retention);
	values[4] = BoolGetDatum(row->keep_late);
	values[5] = CStringGetTextDatum(row->notify ? row->notify : "");
	execute("UPDATE weir.views SET memory_limit = nullif($2, 0), "
			"on_memory_limit = $3, "
			"retention = justify_hours(nullif($4, 0) * interval '1 microsecond'), "
			"keep_late = $5, notify = nullif($6, '') WHERE id = $1",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

int
weir_settings_enter(const ViewRow *row)
{
	int nest = NewGUCNestLevel();

	for (int i = 0; i + 1 < row->nsettings; i += 2)
		set_for_now(row->settings[i], row->settings[i + 1]);
	return nest;
}

int
weir_plain_settings_enter(void)
{
	int nest = NewGUCNestLevel();

	plain_settings();
	return nest;
}

/* As if it had failed, since what users' code has set would remain else. */
void
weir_settings_leave(int nest)
{
	AtEOXact_GUC(false, nest);
}

ViewRow *
weir_view_lock(int32 id)
{
	Oid type = INT4OID;
	Datum value = Int32GetDatum(id);
	ViewRow *row;

	execute("SELECT 1 FROM weir.views WHERE id = $1 FOR UPDATE", 1, &type,
			&value, NULL, SPI_OK_SELECT);
	PushActiveSnapshot(GetLatestSnapshot());
	row = weir_view_load(id);
	PopActiveSnapshot();
	return row;
}
