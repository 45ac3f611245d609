/*
 * api/create_view.c
 *		weir.create_view and weir.drop_view: the relations of a continuous view.
 *
 * Backends, in the user's transaction and as the user.  Four relations: v_query,
 * a real view with the query, from whose rewrite rule the plan is made; v_final,
 * a table partitioned by the start of the window; v_open, a foreign table on the
 * open windows; v, the union of the last two.  An append view is two: v_query, and
 * v itself, a table.  All but v_query go with it, so that DROP of a stream with
 * CASCADE takes all of it.
 */
#include "base/weir.h"

#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "api/alter_view.h"
#include "api/cascade.h"
#include "api/hooks.h"
#include "api/memory_limit.h"
#include "api/place_check.h"
#include "base/fault.h"
#include "catalog/dependency.h"
#include "catalog/extension.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/place.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "plan/interval.h"
#include "plan/plan.h"
#include "shmem/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(weir_create_view);
PG_FUNCTION_INFO_V1(weir_drop_view);

#define HIDDEN_WINDOW "weir_window"

/* Settings that give a query's expressions their meaning. */
static const char *const frozen[] = {"search_path", "TimeZone", "DateStyle",
									 "IntervalStyle"};

typedef struct NewView
{
	ViewRow row;
	char *schema;
	char *name;
	ViewPlan *plan;
} NewView;

/* --- names --------------------------------------------------------------------------- */

static char *
relation_name(const NewView *v, const char *suffix)
{
	return weir_view_part_name(v->name, suffix);
}

static char *
quoted_name(const NewView *v, const char *suffix)
{
	return quote_qualified_identifier(v->schema, relation_name(v, suffix));
}

static void
resolve_name(NewView *v, text *name)
{
	RangeVar *rv = makeRangeVarFromNameList(textToQualifiedNameList(name));
	Oid nsp = RangeVarGetCreationNamespace(rv);

	static const char *const suffixes[] = {"", "_query", "_final", "_open"};

	if (isAnyTempNamespace(nsp))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("a continuous view cannot be temporary"),
						errhint("Name a schema that lasts.")));
	v->schema = get_namespace_name(nsp);
	v->name = rv->relname;
	for (int i = 0; i < (int) lengthof(suffixes); i++)
	{
		char *rel = relation_name(v, suffixes[i]);

		if (OidIsValid(get_relname_relid(rel, nsp)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation \"%s\" already exists", rel),
					 errdetail("A continuous view \"%s\" also makes \"%s_query\", \"%s_final\" and \"%s_open\".",
							   v->name, v->name, v->name, v->name),
					 errhint(
						 "Choose another name, or drop it with weir.drop_view.")));
	}
}

/* --- checks ---------------------------------------------------------------------------- */

/* The text of exactly one SELECT, without a semicolon. */
static char *
check_query(text *query)
{
	char *sql = text_to_cstring(query);
	List *parsed = pg_parse_query(sql);
	RawStmt *raw;

	if (list_length(parsed) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("the query must be exactly one SELECT")));
	raw = linitial(parsed);
	if (!IsA(raw->stmt, SelectStmt) || ((SelectStmt *) raw->stmt)->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a continuous view must be a SELECT"),
				 errhint(
					 "Write SELECT ... FROM stream GROUP BY weir.tumble(...).")));
	if (raw->stmt_len > 0)
		sql[raw->stmt_location + raw->stmt_len] = '\0';
	return sql + raw->stmt_location;
}

static int64
check_lateness(Interval *lateness)
{
	if (lateness->month != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("lateness must not have months"),
						errhint("Months have no common length; use days.")));
	if (lateness->time < 0 || lateness->day < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("lateness must not be negative")));
	if (lateness->day > 36525 ||
		lateness->time > INT64CONST(36525) * USECS_PER_DAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("lateness must not exceed 100 years")));
	if (lateness->time == 0 && lateness->day == 0)
		return 0;
	return weir_interval_length(lateness, "lateness");
}

/* What is said of windows where there are none. */
static void
check_windowless(const NewView *v)
{
	if (v->plan->window.all.kind == WW_NONE &&
		v->plan->inner.all.kind == WW_NONE && v->row.lateness != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lateness needs a window"),
				 errdetail(
					 "The query has no window, so its groups never close, and nothing is late."),
				 errhint(
					 "Leave lateness out, or add weir.tumble(event_time, size) to GROUP BY.")));
}

static void
check_state(void)
{
	weir_require_preload();
	weir_require_version();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("continuous views cannot be changed on a standby"),
				 errhint("Run this on the primary server.")));
	PreventCommandIfReadOnly("a change of continuous views");
}

/* Whoever owns the view reads the stream, one over another view, too. */
static void
check_stream_access(const NewView *v)
{
	Oid stream = v->row.stream;

	if (pg_class_aclcheck(stream, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return;
	if (OidIsValid(v->row.upstream))
		weir_refuse_stream(&v->row);
	aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(stream));
}

/* --- relations ------------------------------------------------------------------------- */

static void
run_ddl(const char *sql)
{
	int result;

	SPI_connect();
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "statement failed with %s: %s",
			 SPI_result_code_string(result), sql);
	SPI_finish();
}

static Oid
made(const NewView *v, const char *suffix)
{
	CommandCounterIncrement();
	return get_relname_relid(relation_name(v, suffix),
							 get_namespace_oid(v->schema, false));
}

/* The column of the output that v_final is partitioned by. */
static const char *
window_column(const NewView *v)
{
	if (v->plan->window_out < 0)
		return HIDDEN_WINDOW;
	return quote_identifier(
		NameStr(TupleDescAttr(v->plan->outdesc, v->plan->window_out)->attname));
}

static void
make_final(NewView *v)
{
	char *final = quoted_name(v, "_final");
	char *hidden = "";

	if (v->plan->window_out < 0)
		hidden = psprintf(", " HIDDEN_WINDOW " %s NOT NULL",
						  format_type_be(v->plan->window.type));
	run_ddl(psprintf("CREATE TABLE %s (LIKE %s%s) PARTITION BY RANGE (%s)",
					 final, quoted_name(v, "_query"), hidden, window_column(v)));
	run_ddl(psprintf("CREATE INDEX ON %s (%s)", final, window_column(v)));
	v->row.final = made(v, "_final");
}

static char *
quoted_collation(Oid collation)
{
	ObjectAddress a;

	ObjectAddressSet(a, CollationRelationId, collation);
	return getObjectIdentity(&a, false);
}

/* A comma-separated list of the output: names, with types if asked. */
static char *
column_list(const NewView *v, bool types)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < v->plan->outdesc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(v->plan->outdesc, i);

		appendStringInfo(&s, "%s%s", i ? ", " : "",
						 quote_identifier(NameStr(a->attname)));
		if (!types)
			continue;
		appendStringInfo(&s, " %s",
						 format_type_with_typemod(a->atttypid, a->atttypmod));
		if (OidIsValid(a->attcollation) &&
			a->attcollation != get_typcollation(a->atttypid))
			appendStringInfo(&s, " COLLATE %s",
							 quoted_collation(a->attcollation));
	}
	return s.data;
}

static void
make_open(NewView *v)
{
	char *columns = column_list(v, false);

	run_ddl(psprintf("CREATE FOREIGN TABLE %s (%s) SERVER weir_open",
					 quoted_name(v, "_open"), column_list(v, true)));
	v->row.open = made(v, "_open");
	run_ddl(
		psprintf("CREATE VIEW %s AS SELECT %s FROM %s UNION ALL SELECT %s FROM %s",
				 quoted_name(v, ""), columns, quoted_name(v, "_final"), columns,
				 quoted_name(v, "_open")));
	v->row.view = made(v, "");
}

/* An append view: a table, which is the user's but for its columns. */
static void
make_table(NewView *v)
{
	run_ddl(psprintf("CREATE TABLE %s (LIKE %s)", quoted_name(v, ""),
					 quoted_name(v, "_query")));
	v->row.view = v->row.final = made(v, "");
}

static void
depend(Oid dependent, Oid on)
{
	ObjectAddress a;
	ObjectAddress b;

	ObjectAddressSet(a, RelationRelationId, dependent);
	ObjectAddressSet(b, RelationRelationId, on);
	recordDependencyOn(&a, &b, DEPENDENCY_AUTO);
}

static void
make_relations(NewView *v, const char *sql)
{
	char *flat;

	run_ddl(psprintf("CREATE VIEW %s AS %s", quoted_name(v, "_query"), sql));
	v->row.query = made(v, "_query");
	if (get_rel_persistence(v->row.query) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a continuous view cannot use temporary objects")));
	flat = weir_over_view(&v->row);
	if (flat)
	{
		v->row.definition = unconstify(char *, sql);
		run_ddl(psprintf("CREATE OR REPLACE VIEW %s AS %s",
						 quoted_name(v, "_query"), flat));
		CommandCounterIncrement();
	}
	v->plan = weir_plan_view(v->row.query, v->row.ttl);
	check_windowless(v);
	v->row.stream = v->plan->stream;
	check_stream_access(v);
	if (v->plan->append)
		make_table(v);
	else
	{
		make_final(v);
		make_open(v);
	}
	depend(v->row.final, v->row.query);
	if (OidIsValid(v->row.open))
		depend(v->row.open, v->row.query);
}

static void
freeze_settings(NewView *v)
{
	v->row.nsettings = lengthof(frozen) * 2;
	v->row.settings = palloc(sizeof(char *) * v->row.nsettings);
	for (int i = 0; i < (int) lengthof(frozen); i++)
	{
		v->row.settings[i * 2] = pstrdup(frozen[i]);
		v->row.settings[i * 2 + 1] = pstrdup(
			GetConfigOption(frozen[i], false, false));
	}
}

Datum
weir_create_view(PG_FUNCTION_ARGS)
{
	NewView v = {0};
	StreamDef *stream;
	char *sql;

	check_state();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(5))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name, query and keep_late must not be NULL")));
	sql = check_query(PG_GETARG_TEXT_PP(1));
	v.row.lateness = PG_ARGISNULL(3) ? WEIR_NO_LATENESS
									 : check_lateness(PG_GETARG_INTERVAL_P(3));
	if (!PG_ARGISNULL(4))
		v.row.retention = weir_read_retention(PG_GETARG_INTERVAL_P(4));
	v.row.keep_late = PG_GETARG_BOOL(5);
	weir_read_limit(&v.row, fcinfo, 6);
	if (!PG_ARGISNULL(2))
		v.row.start = weir_place_normal("start",
										text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!PG_ARGISNULL(8))
		v.row.until = weir_read_until(PG_GETARG_TEXT_PP(8));
	if (!PG_ARGISNULL(9))
		v.row.notify = weir_read_notify(PG_GETARG_TEXT_PP(9));
	if (!PG_ARGISNULL(10))
		v.row.ttl = weir_read_ttl(PG_GETARG_INTERVAL_P(10));
	resolve_name(&v, PG_GETARG_TEXT_PP(0));
	make_relations(&v, sql);
	weir_check_append(&v.row);
	weir_check_final(&v.row, v.plan);
	stream = weir_stream_load(v.row.stream, weir_relation_owner(v.row.stream));
	if (v.row.start == NULL)
		v.row.start = weir_place_normal("start", stream->start);
	if (v.row.settings == NULL)
		freeze_settings(&v);
	v.row.id = weir_view_insert(&v.row);
	weir_view_set_options(&v.row);
	WEIR_FAULT("create-view-stored");
	weir_notify_at_commit();
	weir_check_place(stream, "start", v.row.start);
	weir_check_until(stream, v.row.until);
	PG_RETURN_OID(v.row.view);
}

Datum
weir_drop_view(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	ViewRow *row;
	char *query;

	check_state();
	row = weir_view_require(relid);
	weir_refuse_to_drop(row);
	query = quote_qualified_identifier(get_namespace_name(
										   get_rel_namespace(row->query)),
									   get_rel_name(row->query));
	run_ddl(psprintf("DROP %s %s", weir_is_append(row) ? "TABLE" : "VIEW",
					 quote_qualified_identifier(get_namespace_name(
													get_rel_namespace(relid)),
												get_rel_name(relid))));
	WEIR_FAULT("drop-view-half");
	if (OidIsValid(get_rel_namespace(row->query)))
		run_ddl(psprintf("DROP VIEW %s", query));
	weir_notify_at_commit();
	PG_RETURN_VOID();
}
