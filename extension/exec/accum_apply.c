/*
 * exec/accum_apply.c
 *		The hot path: a batch of values into the states of their groups.
 *
 * Called by ingest workers: weir_accum_check before anything is applied,
 * weir_accum_apply under the shard's lock, where nothing may raise, allocate
 * or call into PostgreSQL.  What a value is and what is done with it is decided
 * once per batch; each combination has a loop of its own, made by a macro.
 *
 * Results are PostgreSQL's to the last bit for the same order of rows, so the
 * arithmetic follows int4_sum, float8pl, float8_accum, float8larger and the
 * like operation by operation.
 */
#include "exec/accum_internal.h"

#include <math.h>

#include "catalog/pg_type.h"

/* A call of weir_accum_apply, as the loops take it. */
typedef struct Batch
{
	uint32 offset;
	const int32 *rows;
	int nrows;
	char *const *states;
	const Datum *values;
	const bool *nulls;
	const bool *pass;
} Batch;

/*
 * Run statement for each row that has a value, with x, that value, and s, its
 * group's state.
 */
#define FOR_EACH_VALUE(batch, State, Value, get, statement)               \
	do                                                                    \
	{                                                                     \
		const Batch *b_ = (batch);                                        \
		int i_;                                                           \
                                                                          \
		for (i_ = 0; i_ < b_->nrows; i_++)                                \
		{                                                                 \
			int32 row_ = b_->rows[i_];                                    \
			Value x;                                                      \
			State *s;                                                     \
                                                                          \
			if (b_->nulls[row_] || (b_->pass != NULL && !b_->pass[row_])) \
				continue;                                                 \
			x = (Value) get(b_->values[row_]);                            \
			s = (State *) (b_->states[i_] + b_->offset);                  \
			statement;                                                    \
		}                                                                 \
	} while (0)

/* A loop for each width of integers; time types are stored as int4 or int8. */
#define FOR_EACH_INT(batch, type, State, statement)                            \
	do                                                                         \
	{                                                                          \
		switch (type)                                                          \
		{                                                                      \
			case INT2OID:                                                      \
				FOR_EACH_VALUE(batch, State, int64, DatumGetInt16, statement); \
				break;                                                         \
			case INT4OID:                                                      \
			case DATEOID:                                                      \
				FOR_EACH_VALUE(batch, State, int64, DatumGetInt32, statement); \
				break;                                                         \
			default:                                                           \
				FOR_EACH_VALUE(batch, State, int64, DatumGetInt64, statement); \
				break;                                                         \
		}                                                                      \
	} while (0)

#define FOR_EACH_FLOAT(batch, type, State, statement)                        \
	do                                                                       \
	{                                                                        \
		if ((type) == FLOAT4OID)                                             \
			FOR_EACH_VALUE(batch, State, double, DatumGetFloat4, statement); \
		else                                                                 \
			FOR_EACH_VALUE(batch, State, double, DatumGetFloat8, statement); \
	} while (0)

/* apply_count: rows, or values that are not NULL. */
static void
apply_count(const Batch *batch)
{
	int i;

	for (i = 0; i < batch->nrows; i++)
	{
		int32 row = batch->rows[i];

		if (batch->nulls != NULL && batch->nulls[row])
			continue;
		if (batch->pass != NULL && !batch->pass[row])
			continue;
		(*(int64 *) (batch->states[i] + batch->offset))++;
	}
}

static inline void
take_int(AccumInt *s, int64 x)
{
	s->n++;
	s->value = x;
}

static void
apply_sum_int(const Batch *batch, Oid type)
{
	FOR_EACH_INT(batch, type, AccumInt, take_int(s, accum_add64(s->value, x)));
}

static inline void
add_int128(AccumInt128 *s, int64 x)
{
	s->n++;
	accum_add128(&s->lo, &s->hi, (uint64) x, x < 0 ? -1 : 0);
}

static void
apply_sum_int128(const Batch *batch, Oid type)
{
	FOR_EACH_INT(batch, type, AccumInt128, add_int128(s, x));
}

/* x is an int2 or int4, so that its square fits. */
static inline void
add_square(AccumIntSquares *s, int64 x)
{
	s->n++;
	accum_add128(&s->sum_lo, &s->sum_hi, (uint64) x, x < 0 ? -1 : 0);
	accum_add128(&s->sq_lo, &s->sq_hi, (uint64) (x * x), 0);
}

static void
apply_squares(const Batch *batch, Oid type)
{
	FOR_EACH_INT(batch, type, AccumIntSquares, add_square(s, x));
}

static void
apply_min_int(const Batch *batch, Oid type)
{
	FOR_EACH_INT(batch, type, AccumInt,
				 take_int(s, s->n > 0 && s->value < x ? s->value : x));
}

static void
apply_max_int(const Batch *batch, Oid type)
{
	FOR_EACH_INT(batch, type, AccumInt,
				 take_int(s, s->n > 0 && s->value > x ? s->value : x));
}

static void
apply_bool_and(const Batch *batch)
{
	FOR_EACH_VALUE(batch, AccumInt, bool, DatumGetBool,
				   take_int(s, (s->n == 0 || s->value != 0) && x));
}

static void
apply_bool_or(const Batch *batch)
{
	FOR_EACH_VALUE(batch, AccumInt, bool, DatumGetBool,
				   take_int(s, s->value != 0 || x));
}

static inline void
take_float(AccumFloat *s, double x)
{
	s->n++;
	s->value = x;
}

/* The first value is taken as it is: 0 + -0 would be 0. */
static void
apply_sum_float8(const Batch *batch, Oid type)
{
	FOR_EACH_FLOAT(batch, type, AccumFloat,
				   take_float(s, s->n == 0 ? x : s->value + x));
}

static void
apply_sum_float4(const Batch *batch)
{
	FOR_EACH_VALUE(batch, AccumFloat, float4, DatumGetFloat4,
				   take_float(s, s->n == 0 ? x : (float4) s->value + x));
}

/* Of equal values, such as 0 and -0, the last one stays, as in float8smaller. */
static void
apply_min_float(const Batch *batch, Oid type)
{
	FOR_EACH_FLOAT(batch, type, AccumFloat,
				   take_float(s, s->n > 0 && accum_float_less(s->value, x)
									 ? s->value
									 : x));
}

static void
apply_max_float(const Batch *batch, Oid type)
{
	FOR_EACH_FLOAT(batch, type, AccumFloat,
				   take_float(s, s->n > 0 && accum_float_less(x, s->value)
									 ? s->value
									 : x));
}

/* As float8_accum; an infinite value makes the variance NaN. */
static inline void
add_variance(AccumFloatSquares *s, double x)
{
	double before = s->n;
	double tmp;

	s->n += 1.0;
	s->sx += x;
	if (before > 0.0)
	{
		tmp = x * s->n - s->sx;
		s->sxx += tmp * tmp / (s->n * before);
		if (isinf(s->sx) || isinf(s->sxx))
			s->sxx = NAN;
	}
	else if (isnan(x) || isinf(x))
		s->sxx = NAN;
}

static void
apply_variance(const Batch *batch, Oid type)
{
	FOR_EACH_FLOAT(batch, type, AccumFloatSquares, add_variance(s, x));
}

void
weir_accum_apply(const AccumSpec *spec, const int32 *rows, int nrows,
				 char *const *states, const Datum *values, const bool *nulls,
				 const bool *pass)
{
	Batch batch;

	batch.offset = spec->offset;
	batch.rows = rows;
	batch.nrows = nrows;
	batch.states = states;
	batch.values = values;
	batch.nulls = nulls;
	batch.pass = pass;
	switch (spec->kind)
	{
		case ACCUM_COUNT:
			apply_count(&batch);
			break;
		case ACCUM_SUM_INT:
			apply_sum_int(&batch, spec->arg_type);
			break;
		case ACCUM_SUM_INT128:
			apply_sum_int128(&batch, spec->arg_type);
			break;
		case ACCUM_SUMSQ_INT128:
			apply_squares(&batch, spec->arg_type);
			break;
		case ACCUM_SUM_FLOAT8:
			apply_sum_float8(&batch, spec->arg_type);
			break;
		case ACCUM_SUM_FLOAT4:
			apply_sum_float4(&batch);
			break;
		case ACCUM_VAR_FLOAT8:
			apply_variance(&batch, spec->arg_type);
			break;
		case ACCUM_MIN_INT:
			apply_min_int(&batch, spec->arg_type);
			break;
		case ACCUM_MAX_INT:
			apply_max_int(&batch, spec->arg_type);
			break;
		case ACCUM_MIN_FLOAT8:
			apply_min_float(&batch, spec->arg_type);
			break;
		case ACCUM_MAX_FLOAT8:
			apply_max_float(&batch, spec->arg_type);
			break;
		case ACCUM_BOOL_AND:
			apply_bool_and(&batch);
			break;
		case ACCUM_BOOL_OR:
			apply_bool_or(&batch);
			break;
		case ACCUM_DATUM:
		case ACCUM_INTERNAL:
		case ACCUM_DISTINCT:
			Assert(false);
			break;
	}
}

/* limit_of: the greatest finite magnitude that spec can take, or 0: any. */
static double
limit_of(const AccumSpec *spec)
{
	if (spec->kind == ACCUM_SUM_FLOAT4)
		return BOUND_FLOAT4;
	if (spec->arg_type != FLOAT8OID)
		return 0;
	if (spec->kind == ACCUM_SUM_FLOAT8)
		return BOUND_FLOAT8;
	if (spec->kind == ACCUM_VAR_FLOAT8)
		return BOUND_SQUARE;
	return 0;
}

int
weir_accum_check(const AccumSpec *spec, const int32 *rows, int nrows,
				 const Datum *values, const bool *nulls, const char **reason)
{
	double limit = limit_of(spec);
	bool is_float4 = spec->arg_type == FLOAT4OID;
	int i;

	if (limit == 0)
		return -1;
	for (i = 0; i < nrows; i++)
	{
		Datum value = values[rows[i]];
		double x;

		if (nulls[rows[i]])
			continue;
		x = fabs(is_float4 ? (double) DatumGetFloat4(value)
						   : DatumGetFloat8(value));
		if (x > limit && !isinf(x))
		{
			*reason = "value out of range: overflow";
			return i;
		}
	}
	return -1;
}
