/*
 * decode/decimal.c
 *		Short decimal numbers, exactly; see the header.
 *
 * Times such as 1700000000.123 s must come out to the microsecond, so no binary
 * floating point is used: 64-bit digits times the unit in 128 bits, and
 * numeric's arithmetic for what is longer than that.
 */
#include "decode/decimal.h"

#include "common/int.h"
#include "core/time.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define MAX_DIGITS 18

bool
weir_parse_decimal(const char *p, size_t len, int64 *value, int *places)
{
	const char *end = p + len;
	bool negative = false;
	int digits = 0;
	int after_point = -1;
	int64 n = 0;

	if (p < end && *p == '-')
	{
		negative = true;
		p++;
	}
	for (; p < end; p++)
	{
		if (*p >= '0' && *p <= '9')
		{
			if (++digits > MAX_DIGITS)
				return false;
			n = n * 10 + (*p - '0');
		}
		else if (*p == '.')
			after_point = digits;
		else
			return false;
	}
	*value = negative ? -n : n;
	*places = after_point < 0 ? 0 : digits - after_point;
	return true;
}

#ifdef HAVE_INT128
static bool
scale_down(int64 value, int64 num, int64 den, int places, int64 *us)
{
	int128 product = (int128) value * num;
	int128 divisor = den;
	int128 quotient;

	while (places-- > 0)
		divisor *= 10;
	quotient = product / divisor;
	if (product % divisor < 0)
		quotient--;
	*us = (int64) quotient;
	return quotient == *us;
}
#else
static bool
scale_down(int64 value, int64 num, int64 den, int places, int64 *us)
{
	return false;
}
#endif

bool
weir_decimal_time(const char *p, size_t len, int64 num, int64 den, int64 *us)
{
	int64 value;
	int places;

	if (!weir_parse_decimal(p, len, &value, &places))
		return false;
	if (places == 0)
		return wt_scale(value, num, den, us);
	return scale_down(value, num, den, places, us);
}

static Datum
int64_numeric(int64 value)
{
	return NumericGetDatum(int64_to_numeric(value));
}

/* numeric's division rounds, so what does not divide is taken off before. */
Datum
weir_numeric_scale(Datum number, int64 num, int64 den)
{
	Datum product;
	Datum rest;
	Datum quotient;

	product = DirectFunctionCall2(numeric_mul, number, int64_numeric(num));
	rest = DirectFunctionCall2(numeric_mod, product, int64_numeric(den));
	quotient = DirectFunctionCall2(numeric_sub, product, rest);
	quotient = DirectFunctionCall2(numeric_div_trunc, quotient,
								   int64_numeric(den));
	if (DatumGetBool(DirectFunctionCall2(numeric_lt, rest, int64_numeric(0))))
		quotient = DirectFunctionCall2(numeric_sub, quotient, int64_numeric(1));
	return quotient;
}

int64
weir_numeric_time(char *text, int64 num, int64 den)
{
	Datum number;
	Datum us;

	number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	us = weir_numeric_scale(number, num, den);
	if (DatumGetBool(DirectFunctionCall2(numeric_gt,
										 DirectFunctionCall1(numeric_abs, us),
										 int64_numeric(PG_INT64_MAX))))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, us));
}

bool
weir_time_in_range(int64 us)
{
	Timestamp timestamp;

	return !pg_sub_s64_overflow(us, WEIR_EPOCH_SHIFT, &timestamp) &&
		   IS_VALID_TIMESTAMP(timestamp);
}
