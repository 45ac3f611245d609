/*
 * exec/accum_calls.c
 *		Aggregates through their own functions: steps, combining, results.
 *
 * A transition value is worked on as an AccumValue and kept as an AccumDatum:
 *
 *	kind			worked on as					kept as
 *	ACCUM_DATUM		the value						its bytes
 *	ACCUM_INTERNAL	what the functions make of it	serialised, a bytea
 *	ACCUM_DISTINCT	a ValueSet						its kept form
 *
 * Functions that look whom they are called by find a stand-in for an Agg node,
 * which has the memory context that the value is in.  They may then change it in
 * place, so it is a copy of what is kept.
 *
 * Nothing here runs under a lock; all may raise.
 */
#include "exec/accum_internal.h"

#include "catalog/pg_type.h"
#include "exec/valueset.h"
#include "nodes/makefuncs.h"
#include "parser/parse_agg.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"

/* An AccumDatum without bytes: no row was taken, or the value became NULL. */
#define BECAME_NULL ((char *) 1)

/* --- compiling -------------------------------------------------------------- */

/* new_call: a call of a function of nargs arguments, none NULL. */
static FunctionCallInfo
new_call(AccumSet *set, Oid function, Expr *expr, int nargs, Oid collation,
		 bool as_agg, MemoryContext cxt)
{
	FunctionCallInfo call = MemoryContextAllocZero(cxt, SizeForFunctionCallInfo(
															nargs));
	FmgrInfo *info = MemoryContextAllocZero(cxt, sizeof(FmgrInfo));

	fmgr_info_cxt(function, info, cxt);
	fmgr_info_set_expr((Node *) expr, info);
	InitFunctionCallInfoData(*call, info, nargs, collation,
							 as_agg ? (Node *) set->agg : NULL, NULL);
	return call;
}

/* The types of an accumulator's arguments; returns how many there are. */
static int
argument_types(const AccumSpec *spec, Oid *types)
{
	if (spec->arg == NULL)
		return 0;
	types[0] = spec->arg_type;
	for (int i = 0; i < spec->nmore; i++)
		types[i + 1] = spec->more[i].type;
	return spec->nmore + 1;
}

/*
 * compile_own: look up an aggregate's functions.  Polymorphic ones ask for the
 * types of their arguments through fn_expr.
 */
static void
compile_own(AccumSet *set, AccumCalls *calls, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;
	Oid inputs[FUNC_MAX_ARGS];
	int ninputs = argument_types(spec, inputs);
	Expr *expr;

	build_aggregate_transfn_expr(inputs, ninputs, 0, spec->variadic,
								 spec->trans_type, spec->collation,
								 spec->transfn, InvalidOid, &expr, NULL);
	calls->trans = new_call(set, spec->transfn, expr, ninputs + 1,
							spec->collation, spec->as_agg, cxt);
	if (OidIsValid(spec->combinefn))
	{
		inputs[0] = spec->trans_type;
		build_aggregate_transfn_expr(inputs, 1, 0, false, spec->trans_type,
									 spec->collation, spec->combinefn,
									 InvalidOid, &expr, NULL);
		calls->combine = new_call(set, spec->combinefn, expr, 2,
								  spec->collation, spec->as_agg, cxt);
	}
	if (spec->kind == ACCUM_INTERNAL && OidIsValid(spec->serialfn))
	{
		build_aggregate_serialfn_expr(spec->serialfn, &expr);
		calls->serial = new_call(set, spec->serialfn, expr, 1, InvalidOid, true,
								 cxt);
		build_aggregate_deserialfn_expr(spec->deserialfn, &expr);
		calls->deserial = new_call(set, spec->deserialfn, expr, 2, InvalidOid,
								   true, cxt);
	}
}

void
accum_compile_calls(AccumSet *set, AccumCalls *calls, const AccumSpec *spec,
					MemoryContext cxt)
{
	calls->spec = spec;
	calls->limit = accum_limit_of(spec->transfn);
	if (spec->kind == ACCUM_DISTINCT)
		calls->codec = weir_key_codec_of(spec->keys, spec->nmore + 1, cxt);
	else
		compile_own(set, calls, cxt);
}

void
accum_compile_final(AccumSet *set, FinalCalls *calls, const AggSpec *agg,
					MemoryContext cxt)
{
	const AccumSpec *spec = agg->over ? agg->over : &set->specs[agg->accums[0]];
	Oid inputs[FUNC_MAX_ARGS];
	Expr *expr;

	if (agg->over)
	{
		accum_compile_calls(set, &calls->over, agg->over, cxt);
		accum_compile_order(calls, agg, set->specs[agg->accums[0]].keys, cxt);
	}
	if (!OidIsValid(agg->finalfn))
		return;
	(void) argument_types(spec, inputs);
	build_aggregate_finalfn_expr(inputs, agg->final_extra + 1, spec->trans_type,
								 agg->result_type, agg->collation, agg->finalfn,
								 &expr);
	calls->final = new_call(set, agg->finalfn, expr, agg->final_extra + 1,
							agg->collation,
							spec->as_agg || spec->kind == ACCUM_INTERNAL, cxt);
	for (int i = 0; i < agg->final_extra; i++)
		calls->final->args[i + 1].isnull = true;
}

/* --- calls ------------------------------------------------------------------- */

/* enter: from here on functions find cxt as the memory of the aggregate. */
static inline void
enter(AccumSet *set, MemoryContext cxt)
{
	set->agg->curaggcontext->ecxt_per_tuple_memory = cxt;
	set->agg->tmpcontext->ecxt_per_tuple_memory = CurrentMemoryContext;
}

static inline Datum
invoke(FunctionCallInfo call, bool *isnull)
{
	Datum result;

	call->isnull = false;
	result = FunctionCallInvoke(call);
	*isnull = call->isnull;
	return result;
}

/* own: value in cxt, flat and neither compressed nor out of line. */
static Datum
own(const AccumSpec *spec, Datum value, MemoryContext cxt)
{
	MemoryContext old;

	if (spec->trans_byval)
		return value;
	old = MemoryContextSwitchTo(cxt);
	if (spec->trans_len == -1 &&
		VARATT_IS_EXTENDED((struct varlena *) DatumGetPointer(value)))
		value = PointerGetDatum(
			pg_detoast_datum_copy((struct varlena *) DatumGetPointer(value)));
	else
		value = datumCopy(value, false, spec->trans_len);
	MemoryContextSwitchTo(old);
	return value;
}

/*
 * keep: a transition value that a function has returned, in cxt.  An expanded
 * object that the function made there stays as it is, as in nodeAgg.c.
 */
static Datum
keep(const AccumSpec *spec, Datum value, MemoryContext cxt)
{
	if (spec->as_agg && !spec->trans_byval && spec->trans_len == -1 &&
		VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(value)) &&
		MemoryContextGetParent(DatumGetEOHP(value)->eoh_context) == cxt)
		return value;
	return own(spec, value, cxt);
}

/* --- between the two forms -------------------------------------------------------- */

Datum
weir_accum_get_datum(const AccumSpec *spec, const AccumDatum *d, bool *isnull)
{
	Datum value;

	*isnull = d->len == 0;
	if (*isnull)
		return (Datum) 0;
	if (!spec->trans_byval)
		return PointerGetDatum(d->data);
	memcpy(&value, &d->data, Min(sizeof(value), sizeof(d->data)));
	return value;
}

uint32
weir_accum_datum_size(const AccumSpec *spec, Datum value)
{
	return (uint32) datumGetSize(value, spec->trans_byval, spec->trans_len);
}

void
weir_accum_put_null(AccumDatum *d, bool begun)
{
	d->data = begun ? BECAME_NULL : NULL;
	d->len = d->cap = 0;
}

void
weir_accum_put_byval(AccumDatum *d, Datum value)
{
	memcpy(&d->data, &value, Min(sizeof(value), sizeof(d->data)));
	d->len = sizeof(Datum);
	d->cap = 0;
}

/* put: make d hold a flat value, which is in private memory and stays there. */
static void
put(const AccumSpec *spec, AccumDatum *d, const AccumValue *v)
{
	if (v->isnull)
		weir_accum_put_null(d, v->begun);
	else if (spec->trans_byval)
		weir_accum_put_byval(d, v->value);
	else
	{
		d->data = DatumGetPointer(v->value);
		d->len = d->cap = weir_accum_datum_size(spec, v->value);
	}
}

/*
 * deserialise: what is kept of an internal value, as its functions know it.
 * Most take memory of the current context for it.
 */
static Datum
deserialise(AccumSet *set, AccumCalls *calls, Datum kept, bool *isnull,
			MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Datum value;

	enter(set, cxt);
	calls->deserial->args[0].value = kept;
	value = invoke(calls->deserial, isnull);
	MemoryContextSwitchTo(old);
	return value;
}

void
accum_load(AccumSet *set, AccumCalls *calls, const AccumDatum *d,
		   AccumValue *value, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;

	value->value = weir_accum_get_datum(spec, d, &value->isnull);
	value->begun = !value->isnull || d->data == BECAME_NULL;
	if (value->isnull)
		return;
	if (spec->kind == ACCUM_INTERNAL)
		value->value = deserialise(set, calls, value->value, &value->isnull,
								   cxt);
	else if (spec->kind == ACCUM_DISTINCT)
	{
		ValueSet *values = weir_valueset_new(calls->codec, cxt);

		weir_valueset_unite(values, (const struct varlena *) d->data);
		value->value = PointerGetDatum(values);
	}
	else if (spec->as_agg)
		value->value = own(spec, value->value, cxt);
}

/* flat: the kept form of a value; it may be a part of the value itself. */
static void
flat(AccumSet *set, AccumCalls *calls, AccumValue *value, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;

	if (value->isnull || spec->trans_byval)
		return;
	switch (spec->kind)
	{
		case ACCUM_INTERNAL:
			enter(set, cxt);
			calls->serial->args[0].value = value->value;
			value->value = invoke(calls->serial, &value->isnull);
			if (!value->isnull)
				value->value = PointerGetDatum(PG_DETOAST_DATUM(value->value));
			break;
		case ACCUM_DISTINCT:
			value->value = PointerGetDatum(
				weir_valueset_flat((ValueSet *) DatumGetPointer(value->value)));
			break;
		default:
			if (spec->trans_len == -1 &&
				VARATT_IS_EXTENDED(DatumGetPointer(value->value)))
				value->value = own(spec, value->value, cxt);
			break;
	}
}

/* --- steps -------------------------------------------------------------------------- */

/* step_set: the arguments become an element. */
static void
step_set(AccumCalls *calls, AccumValue *value, const NullableDatum *args,
		 MemoryContext cxt)
{
	int n = calls->codec->nkeys;
	Datum values[FUNC_MAX_ARGS];
	bool nulls[FUNC_MAX_ARGS];

	for (int i = 0; i < n; i++)
	{
		if (args[i].isnull && calls->spec->trans_strict)
			return;
		values[i] = args[i].value;
		nulls[i] = args[i].isnull;
	}
	if (value->isnull)
		value->value = PointerGetDatum(weir_valueset_new(calls->codec, cxt));
	value->isnull = false;
	value->begun = true;
	weir_valueset_add((ValueSet *) DatumGetPointer(value->value), values, nulls);
}

/* any_null: is an argument NULL? */
static inline bool
any_null(const NullableDatum *args, int n)
{
	for (int i = 0; i < n; i++)
		if (args[i].isnull)
			return true;
	return false;
}

/*
 * begin: the value before the first step.  True: the first argument becomes the
 * value, as it does where a strict function has none to begin with.
 */
static bool
begin(const AccumSpec *spec, AccumValue *value, MemoryContext cxt)
{
	value->begun = true;
	if (spec->has_init)
	{
		value->value = own(spec, spec->init, cxt);
		value->isnull = false;
		return false;
	}
	return spec->trans_strict;
}

/* forget: what a step has replaced, as nodeAgg.c does. */
static void
forget(const AccumSpec *spec, const NullableDatum *before)
{
	/* what is not ours is in shared memory, or an argument */
	if (!spec->as_agg || spec->trans_byval || before->isnull)
		return;
	if (spec->trans_len == -1 &&
		VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(before->value)))
		DeleteExpandedObject(before->value);
	else
		pfree(DatumGetPointer(before->value));
}

/* step_own: by the aggregate's transition function, as nodeAgg.c does it. */
static void
step_own(AccumSet *set, AccumCalls *calls, AccumValue *value,
		 const NullableDatum *args, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;
	FunctionCallInfo call = calls->trans;
	NullableDatum before;
	Datum result;

	if (spec->trans_strict && any_null(args, call->nargs - 1))
		return;
	if (!value->begun && begin(spec, value, cxt))
	{
		accum_check_sum(set, calls->limit, args[0].value);
		value->value = own(spec, args[0].value, cxt);
		value->isnull = false;
		return;
	}
	if (value->isnull && spec->trans_strict)
		return;
	before.value = value->value;
	before.isnull = value->isnull;
	call->args[0] = before;
	memcpy(&call->args[1], args, sizeof(NullableDatum) * (call->nargs - 1));
	enter(set, cxt);
	result = invoke(call, &value->isnull);
	if (value->isnull)
		return;
	accum_check_sum(set, calls->limit, result);
	if (spec->kind == ACCUM_INTERNAL)
		value->value = result;
	else if (spec->trans_byval || before.isnull || result != before.value)
	{
		value->value = keep(spec, result, cxt);
		forget(spec, &before);
	}
}

void
accum_step(AccumSet *set, AccumCalls *calls, AccumValue *value,
		   const NullableDatum *args, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;

	if (calls->limit != LIMIT_NONE && spec->arg)
		for (int i = 0; i <= spec->nmore; i++)
			if (!args[i].isnull)
				accum_check_argument(set, calls->limit, args[i].value);
	if (spec->kind == ACCUM_DISTINCT)
		step_set(calls, value, args, cxt);
	else
		step_own(set, calls, value, args, cxt);
}

void
weir_accum_load(AccumSet *set, int accum, const AccumDatum *d,
				AccumValue *value, MemoryContext cxt)
{
	accum_load(set, &set->calls[accum], d, value, cxt);
}

void
weir_accum_step(AccumSet *set, int accum, AccumValue *value,
				const NullableDatum *args, MemoryContext cxt)
{
	accum_step(set, &set->calls[accum], value, args, cxt);
}

void
weir_accum_flat(AccumSet *set, int accum, AccumValue *value, MemoryContext cxt)
{
	flat(set, &set->calls[accum], value, cxt);
}

/* --- combining and results ------------------------------------------------------------ */

/* combine_values: both worked on, in cxt; the result is in *a. */
static void
combine_values(AccumSet *set, AccumCalls *calls, AccumValue *a, AccumValue *b,
			   const struct varlena *kept, MemoryContext cxt)
{
	FunctionCallInfo call = calls->combine;
	Datum result;
	bool isnull;

	if (calls->spec->kind == ACCUM_DISTINCT)
	{
		weir_valueset_unite((ValueSet *) DatumGetPointer(a->value), kept);
		return;
	}
	enter(set, cxt);
	call->args[0].value = a->value;
	call->args[0].isnull = a->isnull;
	call->args[1].value = b->value;
	call->args[1].isnull = b->isnull;
	result = invoke(call, &isnull);
	if (!isnull && calls->spec->kind != ACCUM_INTERNAL &&
		(a->isnull || result != a->value))
		result = keep(calls->spec, result, cxt);
	a->value = result;
	a->isnull = isnull;
}

/* combine_both: of two that have taken rows, neither being NULL if it matters. */
static void
combine_both(AccumSet *set, AccumCalls *calls, AccumDatum *dst,
			 const AccumDatum *src, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;
	MemoryContext work = cxt;
	AccumValue a;
	AccumValue b;

	if (spec->as_agg || spec->kind != ACCUM_DATUM)
		work = AllocSetContextCreate(cxt, "weir combine",
									 ALLOCSET_DEFAULT_SIZES);
	accum_load(set, calls, dst, &a, work);
	if (spec->kind != ACCUM_DISTINCT)
		accum_load(set, calls, src, &b, work);
	combine_values(set, calls, &a, &b, (const struct varlena *) src->data, work);
	flat(set, calls, &a, work);
	if (work != cxt)
	{
		if (!a.isnull)
			a.value = own(spec, a.value, cxt);
		MemoryContextDelete(work);
	}
	a.begun = true;
	put(spec, dst, &a);
}

void
accum_combine_datum(AccumSet *set, AccumCalls *calls, AccumDatum *dst,
					const AccumDatum *src, MemoryContext cxt)
{
	const AccumSpec *spec = calls->spec;
	bool strict = spec->combine_strict || spec->kind == ACCUM_DISTINCT;
	AccumValue b;

	b.value = weir_accum_get_datum(spec, src, &b.isnull);
	b.begun = !b.isnull || src->data == BECAME_NULL;
	if (!b.begun || (b.isnull && strict))
		return;
	if (dst->len == 0 && (strict || dst->data != BECAME_NULL))
	{
		b.value = b.isnull ? b.value : own(spec, b.value, cxt);
		put(spec, dst, &b);
		return;
	}
	combine_both(set, calls, dst, src, cxt);
}

Datum
accum_finish(AccumSet *set, FinalCalls *calls, const AccumCalls *over,
			 const AccumValue *value, MemoryContext cxt, bool *isnull)
{
	FunctionCallInfo call = calls->final;
	Datum initial = value->value;

	*isnull = value->isnull;
	if (!value->begun && over->spec->has_init)
	{
		initial = own(over->spec, over->spec->init, cxt);
		*isnull = false;
	}
	if (call == NULL)
		return *isnull ? (Datum) 0 : initial;
	if (call->flinfo->fn_strict && (*isnull || call->nargs > 1))
	{
		*isnull = true;
		return (Datum) 0;
	}
	enter(set, cxt);
	call->args[0].value = initial;
	call->args[0].isnull = *isnull;
	return invoke(call, isnull);
}
