/*
 * catalog/access.c
 *		Who may see and steer continuous views (see access.h).
 *
 * Backends, in functions that users call and in views over Weir's tables.  The
 * extension script makes the roles if they are missing; they belong to the
 * cluster, and stay when the extension goes.  So they are looked for by name.
 */
#include "base/weir.h"

#include "catalog/access.h"
#include "catalog/pg_class.h"
#include "catalog/view.h"
#include "miscadmin.h"
#include "utils/acl.h"

PG_FUNCTION_INFO_V1(weir_sees);
PG_FUNCTION_INFO_V1(weir_sees_reason);
PG_FUNCTION_INFO_V1(weir_role_monitor);

static bool
is_member(const char *name)
{
	Oid role = get_role_oid(name, true);

	return superuser() ||
		   (OidIsValid(role) && has_privs_of_role(GetUserId(), role));
}

bool
weir_is_admin(void)
{
	return is_member("weir_admin");
}

bool
weir_is_monitor(void)
{
	return is_member("weir_monitor") || weir_is_admin();
}

/* Relations may be dropped meanwhile. */
static bool
may_read(Oid relid)
{
	bool missing = false;

	return pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &missing) ==
			   ACLCHECK_OK &&
		   !missing;
}

bool
weir_sees_errors(Oid view, Oid stream)
{
	Oid owner = weir_relation_owner(view);

	return weir_is_monitor() || may_read(stream) ||
		   (OidIsValid(owner) && has_privs_of_role(GetUserId(), owner));
}

bool
weir_sees_view(Oid view, Oid stream)
{
	return weir_sees_errors(view, stream) || may_read(view);
}

VisibleViews
weir_visible_views(void)
{
	VisibleViews visible = {.all = weir_is_monitor()};
	ListCell *lc;

	if (visible.all)
		return visible;
	foreach(lc, weir_views_load(InvalidOid))
	{
		ViewRow *row = lfirst(lc);

		if (weir_sees_view(row->view, row->stream))
			visible.ids = bms_add_member(visible.ids, row->id);
	}
	return visible;
}

Datum
weir_sees(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(weir_sees_view(PG_GETARG_OID(0), PG_GETARG_OID(1)));
}

Datum
weir_sees_reason(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(weir_sees_errors(PG_GETARG_OID(0), PG_GETARG_OID(1)));
}

Datum
weir_role_monitor(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(weir_is_monitor());
}
