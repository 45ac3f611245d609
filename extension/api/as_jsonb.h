/*
 * api/as_jsonb.h
 *		Text of others as jsonb, which may not be able to hold it (late_events.c).
 */
#ifndef WEIR_API_AS_JSONB_H
#define WEIR_API_AS_JSONB_H

#include "base/weir.h"

/*
 * False: it is no JSON, or none that jsonb can hold.  In the current memory context;
 * opens a subtransaction.
 */
extern bool
weir_as_jsonb(const char *bytes, size_t len, int encoding, Datum *jsonb);

#endif /* WEIR_API_AS_JSONB_H */
