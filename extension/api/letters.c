/*
 * api/letters.c
 *		weir.replay_dead_letters, weir.purge_dead_letters and weir.skip.
 *
 * Backends, in the user's transaction.  A condition is the caller's own text, and
 * is run as the caller, over the view of the letters that it may read; what it
 * chooses is taken only as far as it is of the stream.  The rest is done as the
 * system user.  Lanes see what is to be replayed when the transaction has committed
 * (worker/replay.c).
 */
#include "base/weir.h"

#include "access/xlog.h"
#include "api/hooks.h"
#include "catalog/access.h"
#include "catalog/extension.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(weir_replay_dead_letters);
PG_FUNCTION_INFO_V1(weir_purge_dead_letters);
PG_FUNCTION_INFO_V1(weir_skip);

/* The stream, which the caller must own, or be of weir_admin. */
static void
require_stream(Oid stream)
{
	weir_require_version();
	PreventCommandDuringRecovery("a change of dead letters");
	PreventCommandIfReadOnly("a change of dead letters");
	if (!weir_is_stream(stream))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream",
						get_rel_name(stream) ? get_rel_name(stream) : "?")));
	if (!has_privs_of_role(GetUserId(), weir_relation_owner(stream)) &&
		!weir_is_admin())
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE,
					   get_rel_name(stream));
}

/* --- which letters --------------------------------------------------------------- */

typedef struct Chosen
{
	Oid stream;
	bool all;      /* no condition: by the time alone */
	Datum ids;     /* else these (int8[]) */
	Datum before;  /* timestamptz; recorded before then */
	char nulls[4]; /* of stream, ids, before */
} Chosen;

/* As the caller, and what it may read. */
static Datum
choose(Oid stream, const char *where)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(stream);
	MemoryContext old;
	Datum *ids;
	Datum result;
	bool isnull;
	int n;

	if (pg_class_aclcheck(stream, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE,
					   get_rel_name(stream));
	SPI_connect();
	weir_spi(psprintf("SELECT id FROM weir.dead_letters "
					  "WHERE stream OPERATOR(pg_catalog.=) $1 AND (\n%s\n)",
					  where),
			 1, &type, &value, NULL, SPI_OK_SELECT);
	n = (int) SPI_processed;
	ids = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		ids[i] = weir_spi_get(i, 1, &isnull);
	old = MemoryContextSwitchTo(cxt);
	result = PointerGetDatum(
		construct_array(ids, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
	MemoryContextSwitchTo(old);
	SPI_finish();
	return result;
}

static Chosen
choose_letters(FunctionCallInfo fcinfo, int where, int before)
{
	Chosen c = {.nulls = " nn"};

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("stream must not be NULL")));
	c.stream = PG_GETARG_OID(0);
	require_stream(c.stream);
	if (!PG_ARGISNULL(where))
	{
		c.ids = choose(c.stream, text_to_cstring(PG_GETARG_TEXT_PP(where)));
		c.nulls[1] = ' ';
	}
	if (before >= 0 && !PG_ARGISNULL(before))
	{
		c.before = PG_GETARG_DATUM(before);
		c.nulls[2] = ' ';
	}
	return c;
}

#define CHOSEN                                                              \
	"d.stream = $1 AND ($2 IS NULL OR d.id IN (SELECT * FROM unnest($2))) " \
	"AND ($3 IS NULL OR d.recorded_at < $3)"

/* Run as the system; returns how many rows it was. */
static int64
execute(const Chosen *c, const char *sql, int expected)
{
	Oid types[] = {OIDOID, INT8ARRAYOID, TIMESTAMPTZOID};
	Datum values[] = {ObjectIdGetDatum(c->stream), c->ids, c->before};
	WeirUser user = weir_become_system();
	int64 n;

	SPI_connect();
	weir_spi(sql, lengthof(types), types, values, c->nulls, expected);
	n = (int64) SPI_processed;
	SPI_finish();
	weir_become_again(user);
	return n;
}

/* --- the functions ---------------------------------------------------------------- */

Datum
weir_replay_dead_letters(PG_FUNCTION_ARGS)
{
	Chosen c = choose_letters(fcinfo, 1, -1);
	int64 n;

	weir_require_preload();
	n = execute(&c,
				"INSERT INTO weir.replay_queue (view, letter) "
				"SELECT v.id, d.id FROM weir.dead_letter_log d "
				"JOIN weir.views v ON v.id = ANY (d.views) "
				"WHERE d.whole AND " CHOSEN " ON CONFLICT DO NOTHING",
				SPI_OK_INSERT);
	if (n > 0)
		weir_notify_at_commit();
	PG_RETURN_INT64(n);
}

Datum
weir_purge_dead_letters(PG_FUNCTION_ARGS)
{
	Chosen c = choose_letters(fcinfo, 2, 1);

	PG_RETURN_INT64(execute(&c,
							"DELETE FROM weir.dead_letter_log d WHERE " CHOSEN,
							SPI_OK_DELETE));
}

Datum
weir_skip(PG_FUNCTION_ARGS)
{
	Oid target = PG_GETARG_OID(0);
	ViewRow *view = weir_view_of_relation(target);
	Oid types[] = {OIDOID, INT4OID, INT8OID};
	Datum values[] = {0, PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Oid stream = view ? view->stream : target;
	WeirUser user;

	require_stream(stream);
	if (PG_GETARG_INT32(1) < 0 || PG_GETARG_INT64(2) < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("partition and offset must not be negative")));
	values[0] = ObjectIdGetDatum(stream);
	user = weir_become_system();
	SPI_connect();
	weir_spi("INSERT INTO weir.skip_log (stream, partition, \"offset\") "
			 "VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			 lengthof(types), types, values, NULL, SPI_OK_INSERT);
	SPI_finish();
	weir_become_again(user);
	PG_RETURN_VOID();
}
