/*
 * api/place_check.h
 *		Ask the broker, when a view is defined, whether it can begin where it is
 *		told to.
 */
#ifndef WEIR_API_PLACE_CHECK_H
#define WEIR_API_PLACE_CHECK_H

#include "base/weir.h"

#include "catalog/stream.h"

/*
 * Raises if the place (as weir_place_normal has made it) does not fit the topic's
 * partitions.  Warns if the broker does not answer or there is no topic.
 */
extern void
weir_check_place(const StreamDef *stream, const char *what, const char *kept);

#endif /* WEIR_API_PLACE_CHECK_H */
