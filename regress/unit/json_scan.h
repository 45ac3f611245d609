/*
 * json_scan.h
 *		Scans a message so that the sanitizer sees a byte read beyond it.
 */
#ifndef WEIR_UNIT_JSON_SCAN_H
#define WEIR_UNIT_JSON_SCAN_H

#include <stdlib.h>
#include <string.h>

#include "core/json.h"

/*
 * Scans a copy of its exact size; the values point into *copy,
 * which the caller frees.
 */
static inline WjStatus
scan_copy(const WjPaths *paths, const char *text, size_t len, WjValue *values,
		  size_t *errpos, char **copy)
{
	*copy = malloc(len ? len : 1);
	if (len > 0)
		memcpy(*copy, text, len);
	return wj_scan(paths, NULL, *copy, len, values, errpos);
}

#endif /* WEIR_UNIT_JSON_SCAN_H */
