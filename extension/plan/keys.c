/*
 * plan/keys.c
 *		Grouping keys: how to hash and compare them, and what may be assumed of
 *		their bytes.
 */
#include "plan/plan_internal.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/*
 * Are two values of the type equal iff their bytes are?  (Of a varlena: the
 * bytes after the header, detoasted.)  Blanks at the end of a bpchar, zeroes
 * at the end of a numeric, the two zeroes of a float and nondeterministic
 * collations are why not.
 */
static bool
is_bitwise(Oid type, Oid collation)
{
	type = getBaseType(type);
	switch (type)
	{
		case BOOLOID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
		case BYTEAOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
			return get_collation_isdeterministic(collation);
		default:
			return type_is_enum(type);
	}
}

/* refuse_key: raise for a key of a type that has no hash function. */
static void
refuse_key(Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot group a continuous view by type %s",
					format_type_be(type)),
			 errdetail("The type has no hash function."),
			 errhint(
				 "Cast the key to a type that can be hashed, such as text or numeric.")));
}

/*
 * plan_key: fill *key but for expr, which is as written, and attno.  The parser
 * has seen to it that a key of a collatable type has a collation.
 */
void
plan_key(KeySpec *key, Expr *expr, Oid eq_opr, bool hashable)
{
	RegProcedure left;
	RegProcedure right;

	key->type = exprType((Node *) expr);
	key->typmod = exprTypmod((Node *) expr);
	key->collation = exprCollation((Node *) expr);
	key->eq_opr = eq_opr;
	get_typlenbyvalalign(key->type, &key->typlen, &key->typbyval,
						 &key->typalign);
	if (!hashable || !get_op_hash_functions(eq_opr, &left, &right))
		refuse_key(key->type);
	key->eq_proc = get_opcode(eq_opr);
	key->hash_proc = left;
	key->bitwise = is_bitwise(key->type, key->collation);
	key->fixed_oid = plan_type_is_fixed(key->type);
}
