/*
 * api/hooks.c
 *		The end of transactions and utility statements (see hooks.h).
 *
 * Every backend.  The transaction callback only sets a latch: it must not
 * raise.  A connected worker would block DROP DATABASE, CREATE DATABASE ...
 * TEMPLATE and ALTER DATABASE ... RENAME or SET TABLESPACE: the database's
 * workers are stopped for the statement, and the launcher starts what is still
 * there afterwards.
 */
#include "base/weir.h"

#include <signal.h>

#include "access/xact.h"
#include "api/follow.h"
#include "api/hooks.h"
#include "base/fault.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "catalog/view.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "shmem/shmem.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

static ProcessUtility_hook_type prev_utility = NULL;
static bool notify = false;  /* the launcher is to look at the commit */
static bool changed = false; /* a continuous view was changed */

/* --- end of a transaction --------------------------------------------------------- */

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!notify)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (changed)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg(
							 "cannot PREPARE a transaction that has changed continuous views")));
			break;
		case XACT_EVENT_PREPARE:
			notify = false;
			break;
		case XACT_EVENT_COMMIT:
			notify = changed = false;
			WEIR_FAULT("control-committed");
			weir_notify_launcher(MyDatabaseId);
			WEIR_FAULT("control-notified");
			break;
		case XACT_EVENT_ABORT:
			notify = changed = false;
			break;
		default:
			break;
	}
}

void
weir_notify_at_commit(void)
{
	notify = changed = true;
}

/* Is this the second half of a transaction that was prepared? */
static bool
commits_prepared(Node *stmt)
{
	return IsA(stmt, TransactionStmt) &&
		   ((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/* --- statements about databases ------------------------------------------------------ */

/* The option's value as a string, "" if it is none; NULL: not given. */
static const char *
has_option(List *options, const char *name)
{
	ListCell *lc;

	foreach(lc, options)
	{
		DefElem *d = lfirst(lc);

		if (strcmp(d->defname, name) == 0)
			return d->arg && IsA(d->arg, String) ? strVal(d->arg) : "";
	}
	return NULL;
}

/* The database whose workers must be away while the statement runs, or NULL. */
static const char *
disturbed_database(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) stmt)->dbname;
		case T_AlterDatabaseStmt:
			return has_option(((AlterDatabaseStmt *) stmt)->options,
							  "tablespace")
					   ? ((AlterDatabaseStmt *) stmt)->dbname
					   : NULL;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) stmt)->subname;
			return NULL;
		case T_CreatedbStmt:
			return has_option(((CreatedbStmt *) stmt)->options, "template");
		default:
			return NULL;
	}
}

/* Tell the database's workers to end; how many processes are still there. */
static int
stop_workers(Oid dboid)
{
	int left = 0;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_lanes; i++)
	{
		Lane *lane = &weir_registry->lanes[i];

		if (lane->state == LANE_FREE || lane->dboid != dboid)
			continue;
		if (lane->coordinator != 0)
		{
			kill(lane->coordinator, SIGTERM);
			left++;
		}
		for (int w = 0; w < WEIR_MAX_WORKERS; w++)
			if (lane->workers[w].pid != 0)
				left++;
		if (lane->state != LANE_BACKOFF && lane->state != LANE_WANTED)
			left++;
	}
	if (weir_sender_stop(dboid))
		left++;
	if (weir_registry->launcher_latch)
		SetLatch(weir_registry->launcher_latch);
	LWLockRelease(&weir_registry->lock);
	return left;
}

static bool
ban(Oid dboid)
{
	bool done = false;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	if (weir_registry->nbanned < (int) lengthof(weir_registry->banned))
	{
		weir_registry->banned[weir_registry->nbanned++] = dboid;
		done = true;
	}
	LWLockRelease(&weir_registry->lock);
	return done;
}

static void
unban(Oid dboid)
{
	Registry *reg = weir_registry;

	LWLockAcquire(&reg->lock, LW_EXCLUSIVE);
	for (int i = 0; i < reg->nbanned; i++)
		if (reg->banned[i] == dboid)
		{
			reg->banned[i] = reg->banned[--reg->nbanned];
			break;
		}
	LWLockRelease(&reg->lock);
	weir_notify_launcher(dboid);
}

/* Wait until the workers are gone; after ten seconds the statement decides. */
static void
wait_for_workers(Oid dboid)
{
	for (int i = 0; i < 1000 && stop_workers(dboid) > 0; i++)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Does anything of Weir run for this database? */
static bool
has_lanes(void)
{
	bool found = false;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	for (int i = 0; i < weir_registry->max_lanes; i++)
		found = found || (weir_registry->lanes[i].state != LANE_FREE &&
						  weir_registry->lanes[i].dboid == MyDatabaseId);
	LWLockRelease(&weir_registry->lock);
	return found;
}

static void
run(PlannedStmt *pstmt, const char *query, bool read_only,
	ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
	DestReceiver *dest, QueryCompletion *qc)
{
	(prev_utility ? prev_utility
				  : standard_ProcessUtility)(pstmt, query, read_only, context,
											 params, env, dest, qc);
}

static void
unban_at_exit(int code, Datum dboid)
{
	unban(DatumGetObjectId(dboid));
}

/* Run the statement while the database's workers are away. */
static void
run_alone(Oid dboid, PlannedStmt *pstmt, const char *query, bool read_only,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	PG_ENSURE_ERROR_CLEANUP(unban_at_exit, ObjectIdGetDatum(dboid));
	{
		wait_for_workers(dboid);
		run(pstmt, query, read_only, context, params, env, dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(unban_at_exit, ObjectIdGetDatum(dboid));
	unban(dboid);
}

/* Statements after which what runs may differ from what should run. */
static bool
changes_streams(NodeTag tag)
{
	return tag == T_DropStmt || tag == T_DropOwnedStmt ||
		   tag == T_ReassignOwnedStmt || tag == T_AlterTableStmt ||
		   tag == T_RenameStmt || tag == T_GrantStmt ||
		   tag == T_GrantRoleStmt || tag == T_AlterExtensionStmt ||
		   tag == T_AlterForeignServerStmt || tag == T_CreateUserMappingStmt ||
		   tag == T_AlterUserMappingStmt || tag == T_DropUserMappingStmt;
}

/* The query of a continuous view is fixed: workers run by its plan. */
static void
refuse_new_query(Oid relid)
{
	if (OidIsValid(relid) && OidIsValid(get_extension_oid("weir", true)) &&
		weir_view_of_query(relid) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("\"%s\" is the query of a continuous view and cannot be replaced",
						get_rel_name(relid)),
				 errhint(
					 "Drop the view with weir.drop_view and create it again.")));
}

/* The relation whose query the statement replaces, or InvalidOid. */
static Oid
replaced_query(Node *stmt)
{
	RangeVar *rv;

	if (IsA(stmt, RuleStmt))
		return RangeVarGetRelid(((RuleStmt *) stmt)->relation, NoLock, true);
	if (!IsA(stmt, ViewStmt) || !((ViewStmt *) stmt)->replace)
		return InvalidOid;
	rv = copyObject(((ViewStmt *) stmt)->view);
	return get_relname_relid(rv->relname, RangeVarGetCreationNamespace(rv));
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node *stmt = pstmt->utilityStmt;
	const char *dbname = disturbed_database(stmt);
	Oid dboid = dbname ? get_database_oid(dbname, true) : InvalidOid;
	NodeTag tag = nodeTag(stmt);
	Altered altered;

	weir_before_alter(stmt, &altered);
	if (tag == T_ViewStmt || tag == T_RuleStmt)
		refuse_new_query(replaced_query(stmt));
	/* Of its own database a session can only make a copy. */
	if (OidIsValid(dboid) && (dboid != MyDatabaseId || tag == T_CreatedbStmt) &&
		weir_owns_database(dboid, GetUserId()) && ban(dboid))
		run_alone(dboid, pstmt, query, read_only, context, params, env, dest,
				  qc);
	else
		run(pstmt, query, read_only, context, params, env, dest, qc);
	weir_after_alter(stmt, &altered);
	if (changes_streams(tag) && has_lanes())
		notify = true;
	/* What it changed is not known any more; looking costs little. */
	if (commits_prepared(stmt) && has_lanes())
		weir_notify_launcher(MyDatabaseId);
}

void
weir_hooks_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	prev_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
