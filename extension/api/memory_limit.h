/*
 * api/memory_limit.h
 *		memory_limit and on_memory_limit, as create_view and set_memory_limit
 *		take them.
 */
#ifndef WEIR_API_MEMORY_LIMIT_H
#define WEIR_API_MEMORY_LIMIT_H

#include "base/weir.h"

#include "catalog/view.h"

/* Arguments first (NULL: no limit) and first + 1 (NULL: as it is) into the row. */
extern void weir_read_limit(ViewRow *row, FunctionCallInfo fcinfo, int first);

#endif /* WEIR_API_MEMORY_LIMIT_H */
