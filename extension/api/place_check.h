/*
 * api/place_check.h
 *		Where a view begins and ends: read what users say, and ask the broker,
 *		when the view is defined, whether that can be.
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

/* Where a view is to end, as it is kept; raises if it can end nowhere there. */
extern char *weir_read_until(text *until);
/* weir_check_place of an end: only of offsets, and NULL is none. */
extern void weir_check_until(const StreamDef *stream, const char *until);

#endif /* WEIR_API_PLACE_CHECK_H */
