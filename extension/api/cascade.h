/*
 * api/cascade.h
 *		Views over views: what one takes from the view below, and what it keeps
 *		that from.
 */
#ifndef WEIR_API_CASCADE_H
#define WEIR_API_CASCADE_H

#include "base/weir.h"

#include "catalog/view.h"

/* The user has said nothing of lateness. */
#define WEIR_NO_LATENESS (-1)

/*
 * If row->query selects from a continuous view: the same query over the stream;
 * row takes upstream, lateness, settings and, if it has none, start and until from
 * that view.  NULL: it is over the stream itself, and lateness 0 if none was given.
 * Raises where the user may not read the view, or what was given does not fit it.
 */
extern char *weir_over_view(ViewRow *row);
/* Raise: the view below may be read by the user, its stream may not. */
extern void weir_refuse_stream(const ViewRow *row);
/* Raise if there are views over this one. */
extern void weir_refuse_to_drop(const ViewRow *row);

#endif /* WEIR_API_CASCADE_H */
