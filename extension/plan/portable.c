/*
 * plan/portable.c
 *		Can the open windows of a view be used in another database?
 *
 * They are kept as bytes (checkpoint/state_log.c), and a dump copies the bytes.
 * So the types of keys and states must mean the same everywhere.
 */
#include "plan/plan_internal.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

/*
 * OIDs above FirstGenbkiObjectId are given out by initdb and change with the
 * version.  The reg types, aclitem and the records have OIDs in their values.
 * A domain's values are those of its base type.
 */
bool
plan_type_is_fixed(Oid type)
{
	Oid element;

	type = getBaseType(type);
	if (type >= FirstGenbkiObjectId)
		return false;
	element = get_element_type(type);
	if (OidIsValid(element))
		return plan_type_is_fixed(element);
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case ACLITEMOID:
			return false;
		default:
			return get_typtype(type) == TYPTYPE_BASE || type_is_range(type) ||
				   type_is_multirange(type);
	}
}

void
weir_plan_require_portable(const ViewPlan *plan, const char *view)
{
	bool portable = true;

	for (int k = 0; k < plan->nkeys; k++)
		portable = portable && plan->keys[k].fixed_oid;
	for (int a = 0; a < plan->naccums; a++)
		portable = portable && (!weir_accum_is_datum(plan->accums[a].kind) ||
								plan->accums[a].portable);
	if (!portable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the open windows of continuous view \"%s\" cannot be taken over",
						view),
				 errdetail(
					 "They hold values of types whose identity differs between databases, such as enums."),
				 errhint("weir.reset computes the view anew.")));
}
