/*
 * json_text.h
 *		Escapes in JSON strings and keys; for json.c and json_text.c only.
 */
#ifndef WEIR_CORE_JSON_TEXT_H
#define WEIR_CORE_JSON_TEXT_H

#include "core/json_paths.h"

/*
 * The value of the four hexadecimal digits at p; -1 if they are not, -2 if the
 * end comes before.
 */
extern int32_t wj_hex4(const char *p, const char *end);

/* wj_find_key for a key from p to end, already checked, with escapes. */
extern const WjNode *
wj_find_escaped(const WjNode *node, const char *p, const char *end);

#endif /* WEIR_CORE_JSON_TEXT_H */
