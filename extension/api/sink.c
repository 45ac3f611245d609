/*
 * api/sink.c
 *		weir.create_sink and weir.drop_sink: final windows into a topic.
 *
 * Backends, in the user's transaction.  The first checkpoint after the commit
 * that closes windows writes them into the outbox; the sender
 * (worker/sender.c) starts when the transaction commits.
 */
#include "base/weir.h"

#include "api/control.h"
#include "api/hooks.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "catalog/sink.h"
#include "catalog/stream.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "plan/plan.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(weir_create_sink);
PG_FUNCTION_INFO_V1(weir_drop_sink);

#define MAX_TOPIC_LEN 249 /* Kafka's */

static void
check_topic(const char *topic, const StreamDef *stream)
{
	size_t len = strlen(topic);

	if (len == 0 || len > MAX_TOPIC_LEN || strcmp(topic, ".") == 0 ||
		strcmp(topic, "..") == 0 ||
		strspn(topic,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be the name of a topic", topic),
				 errhint(
					 "A topic's name has 1 to 249 letters, digits, dots, underscores and hyphens.")));
	if (strcmp(topic, stream->topic) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the view itself reads topic \"%s\"", topic),
						errhint("Name another topic for its windows.")));
}

/* The view's owner writes there, with credentials of its own. */
static void
check_privilege(const ViewRow *row, const StreamDef *stream)
{
	if (weir_server_aclcheck(stream->serverid, row->owner, ACL_USAGE) !=
		ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s",
						GetForeignServer(stream->serverid)->servername),
				 errdetail("A sink writes to a topic of this server as \"%s\", the owner of the view.",
						   GetUserNameFromId(row->owner, false)),
				 errhint("GRANT USAGE ON FOREIGN SERVER ... TO it.")));
}

/* Output columns that are keys of the GROUP BY, from 0; returns how many. */
static int
grouping_columns(const ViewPlan *plan, int *key)
{
	int n = 0;

	for (int i = 0; i < plan->nout; i++)
	{
		Var *var = (Var *) plan->out[i];

		if (IsA(var, Var) && var->varattno >= 2 &&
			var->varattno < plan->nkeys + 2)
			key[n++] = i;
	}
	return n;
}

static int
find_column(const ViewPlan *plan, const char *name, const char *view)
{
	for (int i = 0; i < plan->nout; i++)
		if (strcmp(NameStr(TupleDescAttr(plan->outdesc, i)->attname), name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("continuous view \"%s\" has no column \"%s\"", view, name)));
}

static int
named_columns(const ViewPlan *plan, ArrayType *names, const char *view, int *key)
{
	Datum *values;
	bool *nulls;
	int n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls,
					  &n);
	if (n > plan->nout)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("key names more columns than the view has")));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("a column of the key must not be NULL")));
		key[i] = find_column(plan, TextDatumGetCString(values[i]), view);
	}
	return n;
}

static void
no_final_rows(const ViewRow *row, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("continuous view \"%s\" cannot have a sink",
						   get_rel_name(row->view)),
					errdetail("%s", why),
					errhint("Group by a window, such as weir.tumble.")));
}

static ViewPlan *
plan_of(const ViewRow *row)
{
	ViewPlan *plan;

	if (weir_is_append(row))
		no_final_rows(row,
					  "It has no windows; its rows come from single messages.");
	plan = weir_plan_of(row);
	if (!weir_windows_close(&plan->window))
		no_final_rows(row,
					  "It has no window, so that no row of it is ever final.");
	return plan;
}

Datum
weir_create_sink(PG_FUNCTION_ARGS)
{
	ViewRow *row;
	StreamDef *stream;
	ViewPlan *plan;
	char *topic;
	int *key;
	int nkey;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("view and topic must not be NULL")));
	row = weir_owned_view(PG_GETARG_OID(0));
	topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	stream = weir_stream_load(row->stream, row->owner);
	check_topic(topic, stream);
	check_privilege(row, stream);
	if (weir_sink_exists(row->id))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("continuous view \"%s\" has a sink already",
							   get_rel_name(row->view)),
						errhint("weir.drop_sink ends it.")));
	plan = plan_of(row);
	key = palloc(sizeof(int) * Max(plan->nout, 1));
	nkey = PG_ARGISNULL(2) ? grouping_columns(plan, key)
						   : named_columns(plan, PG_GETARG_ARRAYTYPE_P(2),
										   get_rel_name(row->view), key);
	weir_sink_insert(row->id, topic, nkey, key);
	weir_notify_at_commit();
	PG_RETURN_VOID();
}

Datum
weir_drop_sink(PG_FUNCTION_ARGS)
{
	ViewRow *row = weir_owned_view(PG_GETARG_OID(0));

	if (!weir_sink_delete(row->id))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("continuous view \"%s\" has no sink",
							   get_rel_name(row->view))));
	weir_notify_at_commit();
	PG_RETURN_VOID();
}
