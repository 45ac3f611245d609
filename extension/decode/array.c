/*
 * decode/array.c
 *		JSON arrays to columns of array types.
 *
 * Called by slow.c in ingest workers and backends, inside the subtransaction
 * that it opened: everything here may raise.  Takes no lock.
 *
 * The rules are json_populate_record's.  Arrays nest as deep as the first value
 * in them that is no array, or the first empty one; that is the number of
 * dimensions.  What lies there are the elements, and each of them is converted
 * as a column of the element's type would be (an array or object that is an
 * element is its text, so text[] takes any).  A value above them that is no
 * array is an error, as are sub-arrays of different lengths.  A JSON string is
 * not for here: it is PostgreSQL's own notation, '{1,2}'.
 *
 * The text was checked by wj_scan and so needs no check here: each bracket and
 * quote has its counterpart, and the array's own is the last (core/json_walk.h).
 *
 * Memory: elements, and what their input functions leave behind, are in a
 * context of the column, which the next array resets; only the finished array
 * is in the current context, batch.cxt.
 */
#include "decode/decoder.h"

#include "core/json_walk.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* How the JSON arrays of a column are read; kept in the decoder's context. */
struct ArrayReader
{
	Column element; /* as if it were a column of its own */
	Oid domain;     /* the column's type, if it is a domain */
	void *domain_cache;
	MemoryContext cxt; /* for one array */
};

/* An array in the making. */
typedef struct Builder
{
	Decoder *d;
	SlowValue element;         /* the one that is being converted */
	ArrayBuildState *elements; /* in the order of the text */
	int ndims;                 /* 0: not known yet */
	int dims[MAXDIM];          /* -1: not known yet */
} Builder;

/*
 * Prepare a column whose values come as JSON; does nothing if its type is no
 * array, or a domain over one.  int2vector and oidvector look like arrays, but
 * are not the array types of their elements.
 */
void
weir_array_init(Decoder *d, Column *col)
{
	int32 typmod = col->def->typmod;
	Oid type = getBaseTypeAndTypmod(col->def->type, &typmod);
	Oid element = get_element_type(type);
	StreamColumn *def;

	if (!OidIsValid(element) || get_array_type(element) != type)
		return;
	def = palloc(sizeof(StreamColumn));
	*def = *col->def;
	def->type = element;
	def->typmod = typmod;
	def->not_null = false;

	col->array = palloc0(sizeof(ArrayReader));
	weir_column_init(d, &col->array->element, def);
	if (type != col->def->type)
		col->array->domain = col->def->type;
	col->array->cxt = AllocSetContextCreate(d->cxt, "weir array",
											ALLOCSET_SMALL_SIZES);
}

static void
bad_array(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("JSON value does not fit an array"),
					errdetail("%s", detail)));
}

/* --- building ------------------------------------------------------------ */

/* An element was found at this depth. */
static void
set_ndims(Builder *b, int depth)
{
	if (b->ndims == 0)
		b->ndims = depth;
	else if (depth < b->ndims)
		bad_array("An array is expected where another value stands.");
}

/* Elements have no unit, so that numbers are no times. */
static void
refuse_numeric_time(const Column *element, const WjValue *v)
{
	if (v->type == WJ_NUMBER && weir_is_time(element))
		ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
						errmsg("times in an array cannot be numbers")));
}

static const char *
add_element(Builder *b, const char *p)
{
	Column *element = b->element.column;
	Datum value;
	bool isnull;

	p = wj_take_value(p, &b->element.value);
	refuse_numeric_time(element, &b->element.value);
	value = weir_slow_datum(b->d, &b->element, &isnull);
	b->elements = accumArrayResult(b->elements, value, isnull,
								   element->def->type, CurrentMemoryContext);
	return p;
}

/*
 * The array at p, whose values are in dimension depth (the first is 1); the
 * result is behind it.
 */
static const char *
add_dimension(Builder *b, const char *p, int depth)
{
	int n = 0;

	if (depth > MAXDIM)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("number of array dimensions (%d) exceeds the maximum allowed (%d)",
						depth, MAXDIM)));
	for (p = wj_skip_space(p + 1); *p != ']'; n++)
	{
		if (*p == '[' && (b->ndims == 0 || depth < b->ndims))
			p = add_dimension(b, p, depth + 1);
		else
		{
			set_ndims(b, depth);
			p = add_element(b, p);
		}
		p = wj_skip_space(p);
		if (*p == ',')
			p = wj_skip_space(p + 1);
	}
	if (b->ndims == 0)
		b->ndims = depth; /* it was empty */
	if (b->dims[depth - 1] < 0)
		b->dims[depth - 1] = n;
	else if (b->dims[depth - 1] != n)
		bad_array("Sub-arrays of one dimension have different lengths.");
	return p + 1;
}

/*
 * A value that is JSON, but no string and not null, as the column's type.
 * Raises.  The result is in the current context.
 */
Datum
weir_array_datum(Decoder *d, const SlowValue *slow)
{
	ArrayReader *reader = slow->column->array;
	Builder b = {.d = d, .element = *slow};
	int lower[MAXDIM];
	int i;
	MemoryContext old;
	Datum value;

	if (slow->value.type != WJ_ARRAY)
		bad_array("It is not a JSON array.");
	for (i = 0; i < MAXDIM; i++)
	{
		b.dims[i] = -1;
		lower[i] = 1;
	}
	b.element.column = &reader->element;

	MemoryContextReset(reader->cxt);
	old = MemoryContextSwitchTo(reader->cxt);
	b.elements = initArrayResult(reader->element.def->type, reader->cxt, false);
	add_dimension(&b, slow->value.ptr, 1);
	MemoryContextSwitchTo(old);
	value = makeMdArrayResult(b.elements, b.ndims, b.dims, lower, old, false);
	if (OidIsValid(reader->domain))
		domain_check(value, false, reader->domain, &reader->domain_cache,
					 d->cxt);
	return value;
}
