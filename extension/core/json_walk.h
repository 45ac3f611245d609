/*
 * json_walk.h
 *		Steps over JSON text that wj_scan has accepted.
 *
 * Nothing is checked again: each bracket and quote has its counterpart, so no
 * end is needed.  Plain C11, no state; called where an array is taken apart.
 */
#ifndef WEIR_CORE_JSON_WALK_H
#define WEIR_CORE_JSON_WALK_H

#include "core/json.h"

/* The first byte from p on that is no white space. */
static inline const char *
wj_skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/*
 * The value at p, an element of an array or a member of an object, as wj_scan
 * would note it; the result is behind it.
 */
extern const char *wj_take_value(const char *p, WjValue *v);

#endif /* WEIR_CORE_JSON_WALK_H */
