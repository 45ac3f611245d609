/*
 * plan/agg_catalog.c
 *		Aggregates that go through their own functions.
 *
 * Any aggregate of pg_aggregate that can be combined and, if its transition
 * value is of type internal, serialised: built in, of an extension, a user's.
 * It is one accumulator and, maybe, a final function.  Those that cannot be kept
 * are refused by name, with the reason and what to use instead.
 *
 * Runs wherever a plan is made, as the view's owner.
 */
#include "plan/plan_internal.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_agg.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

typedef struct Advice
{
	const char *name; /* built-in aggregates; a prefix if it ends in _ */
	const char *hint;
} Advice;

static const Advice advice[] = {
	{"array_agg",
	 "array_agg(DISTINCT ...) can be kept, as can a user-defined aggregate that has a combine function."},
	{"string_agg",
	 "string_agg(DISTINCT ...) can be kept, as can a user-defined aggregate that has a combine function."},
	{"percentile_",
	 "The extension tdigest has aggregates that estimate percentiles and can be kept."},
	{"mode", "weir.topk(value, 1) has the most frequent value and its count."},
};

static const char default_hint[] =
	"Use an aggregate with a combine function, or aggregate further when you read the view.";

const char *
plan_aggregate_hint(Oid aggfn)
{
	const char *name = get_func_name(aggfn);

	if (plan_is_merge(aggfn))
		return "weir.merge is for columns of a continuous view that are aggregates: select from that view.";
	for (int i = 0; aggfn < FirstGenbkiObjectId && i < lengthof(advice); i++)
	{
		size_t len = strlen(advice[i].name);

		if (strcmp(name, advice[i].name) == 0 ||
			(advice[i].name[len - 1] == '_' &&
			 strncmp(name, advice[i].name, len) == 0))
			return advice[i].hint;
	}
	return default_hint;
}

/* refuse: raise for an aggregate that cannot be kept. */
static void
refuse(const Aggref *aggref, const char *why, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("aggregate %s is not supported in a continuous view",
						   format_procedure(aggref->aggfnoid)),
					errdetail("%s", why), errhint("%s", hint)));
}

/* is_anonymous: would it keep a row made by ROW(...), maybe in an array? */
static bool
is_anonymous(const Aggref *aggref, Oid trans_type)
{
	ListCell *lc;

	if (trans_type == RECORDOID || trans_type == RECORDARRAYOID)
		return true;
	foreach(lc, aggref->aggargtypes)
		if (lfirst_oid(lc) == RECORDOID || lfirst_oid(lc) == RECORDARRAYOID)
			return true;
	return false;
}

/* check_keepable: raise unless states of the aggregate can be kept. */
static void
check_keepable(const Aggref *aggref, const FormData_pg_aggregate *form,
			   Oid trans_type)
{
	const char *hint = plan_aggregate_hint(aggref->aggfnoid);

	if (!OidIsValid(form->aggcombinefn))
		refuse(aggref,
			   "It has no combine function (COMBINEFUNC), which a view needs to put its parts together.",
			   hint);
	if (trans_type == INTERNALOID &&
		(!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn)))
		refuse(aggref,
			   "Its state is internal, and it has no functions that serialise and deserialise it (SERIALFUNC, DESERIALFUNC).",
			   hint);
	if (is_anonymous(aggref, trans_type))
		refuse(aggref,
			   "It would keep rows of no named type, whose columns are known to the process only that made them.",
			   "Create a composite type and cast to it, as in ROW(...)::my_type.");
	if (trans_type == BITOID)
		refuse(aggref,
			   "Combining bit strings of different lengths would fail when a window closes.",
			   hint);
}

/* may_call: may the role execute the function, if there is one? */
static void
check_may_call(Oid function, Oid role, ObjectType kind)
{
	AclResult result;

	if (!OidIsValid(function))
		return;
	result = weir_function_aclcheck(function, role, ACL_EXECUTE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, kind, get_func_name(function));
}

/*
 * check_privileges: as ExecInitAgg: the view's owner may call the aggregate, and
 * the aggregate's owner the functions that it is made of.
 */
static void
check_privileges(Oid aggfn, const FormData_pg_aggregate *form)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggfn));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", aggfn);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	check_may_call(aggfn, GetUserId(), OBJECT_AGGREGATE);
	check_may_call(form->aggtransfn, owner, OBJECT_FUNCTION);
	check_may_call(form->aggcombinefn, owner, OBJECT_FUNCTION);
	check_may_call(form->aggserialfn, owner, OBJECT_FUNCTION);
	check_may_call(form->aggdeserialfn, owner, OBJECT_FUNCTION);
	check_may_call(form->aggfinalfn, owner, OBJECT_FUNCTION);
}

/* runs_sql: may the function need a snapshot, being no code of the server's? */
static bool
runs_sql(Oid function)
{
	HeapTuple tuple;
	Oid language;

	if (!OidIsValid(function))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != INTERNALlanguageId && language != ClanguageId;
}

/* set_initial: the initial transition value, if there is one. */
static void
set_initial(AccumSpec *spec, HeapTuple tuple)
{
	Oid input;
	Oid ioparam;
	Datum initial;

	initial = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
							  &spec->has_init);
	spec->has_init = !spec->has_init;
	if (!spec->has_init)
		return;
	getTypeInputInfo(spec->trans_type, &input, &ioparam);
	spec->init = OidInputFunctionCall(input, TextDatumGetCString(initial),
									  ioparam, -1);
}

/*
 * has_own_bytes: do values of the type, as bytes, hold nothing that another
 * database numbers differently?  The base types of an extension do not.
 */
static bool
has_own_bytes(Oid type)
{
	type = getBaseType(type);
	return plan_type_is_fixed(type) ||
		   (type >= FirstNormalObjectId && get_typtype(type) == TYPTYPE_BASE &&
			!OidIsValid(get_element_type(type)));
}

/*
 * is_portable: can states be taken over from another database?  A polymorphic
 * aggregate may keep the OIDs of its arguments' types.
 */
static bool
is_portable(const Aggref *aggref, Oid trans_type)
{
	Oid *declared;
	int ndeclared;
	bool portable = trans_type == INTERNALOID || has_own_bytes(trans_type);
	ListCell *lc;
	int i = 0;

	(void) get_func_signature(aggref->aggfnoid, &declared, &ndeclared);
	foreach(lc, aggref->aggargtypes)
	{
		bool polymorphic = i >= ndeclared || declared[i] == ANYOID ||
						   IsPolymorphicType(declared[i]);

		portable = portable && (polymorphic ? plan_type_is_fixed(lfirst_oid(lc))
											: has_own_bytes(lfirst_oid(lc)));
		i++;
	}
	return portable;
}

/*
 * is_plain: can the functions be called outside of an aggregate?  Built-in ones
 * over one ordinary value do not look, and values need no copy for them.
 */
static bool
is_plain(const Aggref *aggref, Oid trans_type)
{
	return aggref->aggfnoid < FirstGenbkiObjectId &&
		   list_length(aggref->args) == 1 && trans_type != INTERNALOID &&
		   !type_is_range(trans_type) && !type_is_multirange(trans_type) &&
		   !OidIsValid(get_element_type(trans_type));
}

/* set_functions: what is called, and on what type. */
static void
set_functions(AccumSpec *spec, const Aggref *aggref,
			  const FormData_pg_aggregate *form)
{
	bool internal;
	Oid inputs[FUNC_MAX_ARGS];
	int ninputs = get_aggregate_argtypes(unconstify(Aggref *, aggref), inputs);

	spec->transfn = form->aggtransfn;
	spec->combinefn = form->aggcombinefn;
	spec->serialfn = form->aggserialfn;
	spec->deserialfn = form->aggdeserialfn;
	spec->trans_type = resolve_aggregate_transtype(aggref->aggfnoid,
												   form->aggtranstype, inputs,
												   ninputs);
	internal = spec->trans_type == INTERNALOID;
	if (internal)
		spec->trans_len = -1; /* a bytea is kept */
	else
		get_typlenbyval(spec->trans_type, &spec->trans_len, &spec->trans_byval);
	spec->trans_strict = func_strict(spec->transfn);
	spec->combine_strict = OidIsValid(spec->combinefn) &&
						   func_strict(spec->combinefn);
	spec->as_agg = !is_plain(aggref, spec->trans_type);
	spec->portable = is_portable(aggref, spec->trans_type);
	spec->variadic = aggref->aggvariadic;
	spec->collation = aggref->inputcollid;
	spec->kind = internal ? ACCUM_INTERNAL : ACCUM_DATUM;
}

void
plan_set_catalog(ViewPlan *plan, AggSpec *agg, AccumSpec *spec,
				 const Aggref *aggref, bool keep)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(aggref->aggfnoid));
	Form_pg_aggregate form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	set_functions(spec, aggref, form);
	if (keep)
		check_keepable(aggref, form, spec->trans_type);
	check_privileges(aggref->aggfnoid, form);
	set_initial(spec, tuple);
	agg->finalfn = form->aggfinalfn;
	if (form->aggfinalextra)
		agg->final_extra = list_length(aggref->aggargtypes);
	if (runs_sql(form->aggtransfn) || runs_sql(form->aggcombinefn) ||
		runs_sql(form->aggserialfn) || runs_sql(form->aggdeserialfn) ||
		runs_sql(form->aggfinalfn))
		plan->needs_snapshot = true;
	ReleaseSysCache(tuple);
}

void
plan_catalog_aggregate(ViewPlan *plan, AggSpec *agg, const Aggref *aggref,
					   List *args, Expr *filter)
{
	AccumSpec spec;

	plan_init_accum(&spec, ACCUM_DATUM, args, filter);
	plan_set_catalog(plan, agg, &spec, aggref, true);
	agg->kind = FINAL_DATUM;
	agg->naccums = 1;
	agg->accums[0] = plan_add_accum(plan, &spec);
}
