/*
 * json_number.c
 *		Numbers from their JSON text.
 *
 * Called by the decoders once per numeric value, on text that wj_scan or
 * wj_is_number has accepted.  Pure: no lock, no memory, no error but false.
 */
#include "core/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A double is decided by its first 768 significant digits and whether anything
 * but zeros follows: that is the longest exact decimal expansion of a number
 * half-way between two doubles.
 */
#define MAX_DIGITS 770

/* Beyond this every exponent means zero or overflow. */
#define MAX_EXPONENT 99999

/* A number taken apart: its value is digits * 10^exponent. */
typedef struct Decimal
{
	bool negative;
	uint64_t mantissa; /* of the significant digits, if ndigits <= 19 */
	int64_t ndigits;   /* significant ones: leading zeros don't count */
	int64_t exponent;
	const char *digits; /* the first significant digit */
	const char *end;    /* after the last digit, before the exponent */
} Decimal;

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

bool
wj_is_number(const char *p, size_t len)
{
	const char *end = p + len;

	if (p < end && *p == '-')
		p++;
	if (p == end || !is_digit(*p))
		return false;
	if (*p++ != '0')
		while (p < end && is_digit(*p))
			p++;
	if (p < end && *p == '.')
	{
		if (++p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && (*p | 0x20) == 'e')
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	return p == end;
}

bool
wj_int64(const char *p, size_t len, int64_t *out)
{
	const char *end = p + len;
	bool negative = len > 0 && *p == '-';
	uint64_t v = 0;

	p += negative;
	/* No leading zeros: 20 digits are too many, and 19 fit a uint64. */
	if (p == end || end - p > 19)
		return false;
	for (; p < end; p++)
	{
		if (!is_digit(*p))
			return false;
		v = v * 10 + (uint64_t) (*p - '0');
	}
	if (v > (uint64_t) INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t) (0 - v) : (int64_t) v;
	return true;
}

/* The exponent after e, cut off where only its size still matters. */
static int64_t
parse_exponent(const char *p, const char *end)
{
	/* Larger than any number of digits that a message could set against it. */
	const int64_t limit = INT64_C(1) << 40;
	bool negative = *p == '-';
	int64_t e = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; p < end; p++)
		if (e < limit)
			e = e * 10 + (*p - '0');
	return negative ? -e : e;
}

static inline void
take_apart(const char *p, size_t len, Decimal *d)
{
	const char *end = p + len;
	int64_t fraction = 0;
	bool seen_point = false;

	d->negative = len > 0 && *p == '-';
	d->mantissa = 0;
	d->ndigits = 0;
	d->exponent = 0;
	d->digits = end;
	p += d->negative;
	for (; p < end; p++)
	{
		unsigned digit = (unsigned char) *p - (unsigned) '0';

		if (digit > 9)
		{
			if (*p != '.')
				break;
			seen_point = true;
			continue;
		}
		fraction += seen_point;
		if (d->ndigits == 0)
		{
			if (digit == 0)
				continue;
			d->digits = p;
		}
		d->ndigits++;
		d->mantissa = d->mantissa * 10 + digit;
	}
	d->end = p;
	if (p < end)
		d->exponent = parse_exponent(p + 1, end);
	d->exponent -= fraction;
}

/*
 * The slow way: strtod of the digits written as an integer with an exponent.
 * So there is no decimal point, and the locale has no say.
 */
static double
slow_double(const Decimal *d)
{
	char buf[MAX_DIGITS + 32];
	int n = 0;
	int64_t exponent = d->exponent + d->ndigits;
	bool sticky = false;

	for (const char *p = d->digits; p < d->end; p++)
	{
		if (*p == '.')
			continue;
		if (n < MAX_DIGITS)
			buf[n++] = *p;
		else if (*p != '0')
		{
			sticky = true;
			break;
		}
	}
	if (sticky)
		buf[n++] = '1';
	exponent -= n;
	if (exponent > MAX_EXPONENT)
		exponent = MAX_EXPONENT;
	else if (exponent < -MAX_EXPONENT)
		exponent = -MAX_EXPONENT;
	snprintf(buf + n, sizeof(buf) - (size_t) n, "e%d", (int) exponent);
	return strtod(buf, NULL);
}

bool
wj_double(const char *p, size_t len, double *out)
{
	static const double power[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
									 1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
									 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
									 1e18, 1e19, 1e20, 1e21, 1e22};
	Decimal d;
	double v;

	take_apart(p, len, &d);

	/*
	 * Clinger's fast path: both the digits and the power of ten are exact in a
	 * double, so the one multiplication or division rounds correctly.
	 */
	if (d.ndigits == 0)
		v = 0;
	else if (FLT_EVAL_METHOD == 0 && d.ndigits <= 19 &&
			 d.mantissa <= UINT64_C(1) << 53 && d.exponent >= -22 &&
			 d.exponent <= 22)
	{
		v = (double) d.mantissa;
		v = d.exponent < 0 ? v / power[-d.exponent] : v * power[d.exponent];
	}
	else
	{
		v = slow_double(&d);
		if (isinf(v))
			return false;
	}
	*out = d.negative ? -v : v;
	return true;
}
