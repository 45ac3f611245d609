/*
 * decode/decimal.h
 *		Short decimal numbers, exactly: what numeric columns and numeric times
 *		have in common.
 */
#ifndef WEIR_DECODE_DECIMAL_H
#define WEIR_DECODE_DECIMAL_H

#include "base/weir.h"

/*
 * The number at p, which is one by JSON's grammar, as value / 10^places.  False
 * if it has an exponent or more than 18 digits.
 */
extern bool
weir_parse_decimal(const char *p, size_t len, int64 *value, int *places);

/*
 * A numeric time: *us = floor(number * num / den).  False if the number is not
 * one for weir_parse_decimal, or the result does not fit.
 */
extern bool
weir_decimal_time(const char *p, size_t len, int64 num, int64 den, int64 *us);

/*
 * The same for any number that numeric can hold.  Raises (numeric overflow,
 * timestamp out of range); text is terminated.  Allocates in the current
 * context.
 */
extern int64 weir_numeric_time(char *text, int64 num, int64 den);

/* floor(number * num / den), exactly; a numeric, as number is. */
extern Datum weir_numeric_scale(Datum number, int64 num, int64 den);

/* Can a time of us since 1970 be a timestamp of PostgreSQL? */
extern bool weir_time_in_range(int64 us);

#endif /* WEIR_DECODE_DECIMAL_H */
