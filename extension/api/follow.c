/*
 * api/follow.c
 *		What else has to change when a relation of Weir's is altered.
 *
 * Backends, before and after a utility statement (hooks.c), in its transaction.
 * Owner, name and schema of a continuous view are those of the view that users
 * read: v_query, v_final with its partitions, and v_open go with it.  A column of
 * a stream that is renamed keeps the field of the message that it reads.
 *
 * The statement itself has checked what the user may do with v.  The relations
 * that follow belonged to the same owner, so nothing more is allowed than a
 * statement for each of them would be.
 */
#include "base/weir.h"

#include "access/relation.h"
#include "access/xact.h"
#include "api/fdw.h"
#include "api/follow.h"
#include "api/hooks.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "catalog/view.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* --- before ---------------------------------------------------------------------- */

static bool
changes_owner(const AlterTableStmt *stmt)
{
	ListCell *lc;

	foreach(lc, stmt->cmds)
		if (lfirst_node(AlterTableCmd, lc)->subtype == AT_ChangeOwner)
			return true;
	return false;
}

/* The relation whose owner, name, schema or column name the statement changes. */
static RangeVar *
altered_relation(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return changes_owner((AlterTableStmt *) stmt)
					   ? ((AlterTableStmt *) stmt)->relation
					   : NULL;
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->relation;
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) stmt)->relation;
		default:
			return NULL;
	}
}

static bool
names_role(List *roles, Oid role)
{
	ListCell *lc;

	foreach(lc, roles)
		if (get_rolespec_oid(lfirst_node(RoleSpec, lc), true) == role)
			return true;
	return false;
}

void
weir_before_alter(Node *stmt, Altered *a)
{
	RangeVar *rv = altered_relation(stmt);
	ListCell *lc;

	memset(a, 0, sizeof(*a));
	if ((rv == NULL && !IsA(stmt, ReassignOwnedStmt)) || IsBinaryUpgrade ||
		!OidIsValid(get_extension_oid("weir", true)))
		return;
	if (rv)
	{
		a->relid = RangeVarGetRelid(rv, NoLock, true);
		a->name = get_rel_name(a->relid);
		a->nsp = get_rel_namespace(a->relid);
		a->owner = weir_relation_owner(a->relid);
		return;
	}
	foreach(lc, weir_views_load(InvalidOid))
		if (names_role(((ReassignOwnedStmt *) stmt)->roles,
					   ((ViewRow *) lfirst(lc))->owner))
			a->reassigned = lappend(a->reassigned, lfirst(lc));
}

/* --- the owner of a view -------------------------------------------------------------- */

/* Whoever owns the view reads the stream; running lanes begin anew with the new owner. */
static void
begin_with_owner(const ViewRow *row, Oid owner)
{
	if (pg_class_aclcheck(row->stream, owner, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own continuous view \"%s\"",
						GetUserNameFromId(owner, false), get_rel_name(row->view)),
				 errdetail("It has no right to SELECT from stream \"%s\".",
						   get_rel_name(row->stream)),
				 errhint("GRANT SELECT on the stream to the new owner first.")));
	weir_view_begin_anew(row->id);
}

static void
give(Oid relid, Oid from, Oid to)
{
	if (weir_relation_owner(relid) == from)
		ATExecChangeOwner(relid, to, true, AccessExclusiveLock);
}

static void
owner_changed(const Altered *a)
{
	Oid owner = weir_relation_owner(a->relid);
	ViewRow *row = weir_view_of_relation(a->relid);
	ListCell *lc;

	if (row == NULL)
	{
		row = weir_view_of_part(a->relid);
		if (row && owner != weir_relation_owner(row->view))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("\"%s\" belongs to continuous view \"%s\" and cannot have another owner",
							a->name, get_rel_name(row->view)),
					 errhint("ALTER %s %s OWNER TO ... changes the owner of all that belongs to it.",
							 weir_is_append(row) ? "TABLE" : "VIEW",
							 quote_identifier(get_rel_name(row->view)))));
		return;
	}
	begin_with_owner(row, owner);
	give(row->query, a->owner, owner);
	if (OidIsValid(row->open))
		give(row->open, a->owner, owner);
	foreach(lc, find_all_inheritors(row->final, AccessExclusiveLock, NULL))
		give(lfirst_oid(lc), a->owner, owner);
}

static void
owners_changed(const Altered *a)
{
	ListCell *lc;

	foreach(lc, a->reassigned)
	{
		const ViewRow *row = lfirst(lc);

		begin_with_owner(row, weir_relation_owner(row->view));
	}
}

/* --- its name and schema ----------------------------------------------------------------- */

/* Does the relation still have the name that create_view gave it? */
static bool
has_name(Oid relid, const Altered *a, const char *suffix)
{
	const char *name = get_rel_name(relid);

	return name && get_rel_namespace(relid) == a->nsp &&
		   strcmp(name, psprintf("%s%s", a->name, suffix)) == 0;
}

static void
rename_part(Oid relid, const Altered *a, const char *suffix)
{
	if (has_name(relid, a, suffix))
		RenameRelationInternal(relid,
							   weir_view_part_name(get_rel_name(a->relid),
												   suffix),
							   false, false);
}

static void
name_changed(const Altered *a)
{
	ViewRow *row = weir_view_of_relation(a->relid);

	if (row == NULL)
		return;
	rename_part(row->query, a, "_query");
	if (weir_is_append(row))
		return;
	rename_part(row->final, a, "_final");
	rename_part(row->open, a, "_open");
}

static void
move(Oid relid, const Altered *a, Oid to, ObjectAddresses *moved)
{
	Relation rel = relation_open(relid, AccessExclusiveLock);

	if (RelationGetNamespace(rel) == a->nsp && rel->rd_rel->relowner == a->owner)
		AlterTableNamespaceInternal(rel, a->nsp, to, moved);
	relation_close(rel, NoLock);
}

static void
schema_changed(const Altered *a)
{
	Oid to = get_rel_namespace(a->relid);
	ObjectAddresses *moved = new_object_addresses();
	ViewRow *row = weir_view_of_relation(a->relid);
	Oid final = row ? row->final : a->relid;
	ListCell *lc;

	if (row)
	{
		move(row->query, a, to, moved);
		if (OidIsValid(row->open))
			move(row->open, a, to, moved);
	}
	else if ((row = weir_view_of_part(a->relid)) == NULL ||
			 row->final != a->relid)
		return;
	foreach(lc, find_all_inheritors(final, AccessExclusiveLock, NULL))
		move(lfirst_oid(lc), a, to, moved);
	free_object_addresses(moved);
}

/* --- columns of a stream ------------------------------------------------------------------- */

/* A path that is one key, whatever is in it. */
static char *
path_of_key(const char *key)
{
	StringInfoData path;

	if (key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0')
		return pstrdup(key);
	initStringInfo(&path);
	appendStringInfoChar(&path, '"');
	for (; *key; key++)
	{
		if (*key == '"' || *key == '\\')
			appendStringInfoChar(&path, '\\');
		appendStringInfoChar(&path, *key);
	}
	appendStringInfoChar(&path, '"');
	return path.data;
}

static void
alter_stream(Oid relid, const char *change)
{
	char *sql = psprintf("ALTER FOREIGN TABLE %s %s",
						 quote_qualified_identifier(get_namespace_name(
														get_rel_namespace(relid)),
													get_rel_name(relid)),
						 change);

	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "statement failed: %s", sql);
}

/* The column still reads the field that it read before. */
static void
keep_field(Oid relid, const char *before, const char *after)
{
	ForeignTable *table = GetForeignTable(relid);
	List *options = GetForeignColumnOptions(relid, get_attnum(relid, after));
	ListCell *lc;
	bool json = true;

	foreach(lc, table->options)
	{
		DefElem *d = lfirst_node(DefElem, lc);

		if (strcmp(d->defname, "format") == 0)
			json = strcmp(defGetString(d), "json") == 0;
		if (strcmp(d->defname, "event_time") == 0 &&
			strcmp(defGetString(d), before) == 0)
			alter_stream(relid, psprintf("OPTIONS (SET event_time %s)",
										 quote_literal_cstr(after)));
	}
	if (!json || weir_has_option(options, "path") ||
		weir_has_option(options, "metadata"))
		return;
	alter_stream(relid, psprintf("ALTER COLUMN %s OPTIONS (ADD path %s)",
								 quote_identifier(after),
								 quote_literal_cstr(path_of_key(before))));
	ereport(NOTICE,
			(errmsg("column \"%s\" of stream \"%s\" still reads the field \"%s\"",
					after, get_rel_name(relid), before),
			 errhint(
				 "ALTER FOREIGN TABLE ... ALTER COLUMN ... OPTIONS (DROP path) to read the field of its new name.")));
}

/*
 * The column of an append view is the query's of the same name: it is renamed in
 * the query, too.
 */
static void
rename_in_query(const ViewRow *row, const RenameStmt *stmt)
{
	char *query = quote_qualified_identifier(get_namespace_name(
												 get_rel_namespace(row->query)),
											 get_rel_name(row->query));

	if (get_attnum(row->query, stmt->subname) == InvalidAttrNumber)
		return;
	weir_spi(psprintf("ALTER VIEW %s RENAME COLUMN %s TO %s", query,
					  quote_identifier(stmt->subname),
					  quote_identifier(stmt->newname)),
			 0, NULL, NULL, NULL, SPI_OK_UTILITY);
	weir_view_begin_anew(row->id);
	weir_notify_at_commit();
}

static void
column_renamed(const RenameStmt *stmt, const Altered *a)
{
	ViewRow *row = NULL;
	ListCell *lc;

	/* A table of Weir's own is no view, and may be about to be repaired. */
	if (get_rel_namespace(a->relid) != get_namespace_oid(WEIR_SCHEMA, true))
		row = weir_view_of_relation(a->relid);
	SPI_connect();
	if (row && weir_is_append(row))
		rename_in_query(row, stmt);
	foreach(lc, find_all_inheritors(a->relid, NoLock, NULL))
		if (weir_is_stream(lfirst_oid(lc)))
			keep_field(lfirst_oid(lc), stmt->subname, stmt->newname);
	SPI_finish();
}

/* --- after -------------------------------------------------------------------------------------- */

void
weir_after_alter(Node *stmt, const Altered *a)
{
	if (!OidIsValid(a->relid) && a->reassigned == NIL)
		return;
	CommandCounterIncrement();
	if (a->reassigned)
		owners_changed(a);
	else if (weir_relation_owner(a->relid) != a->owner)
		owner_changed(a);
	else if (IsA(stmt, RenameStmt) &&
			 ((RenameStmt *) stmt)->renameType == OBJECT_COLUMN)
		column_renamed((RenameStmt *) stmt, a);
	else if (get_rel_namespace(a->relid) != a->nsp)
		schema_changed(a);
	else if (strcmp(get_rel_name(a->relid), a->name) != 0)
		name_changed(a);
}
