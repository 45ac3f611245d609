/*
 * api/alter_view.h
 *		Options of a view that can be changed while it runs.
 */
#ifndef WEIR_API_ALTER_VIEW_H
#define WEIR_API_ALTER_VIEW_H

#include "base/weir.h"

#include "catalog/view.h"
#include "utils/timestamp.h"

/* How long final windows are kept, in us; raises if it is no such length. */
extern int64 weir_read_retention(const Interval *interval);

/* Raise if the row has what only views with groups can have, and is none. */
extern void weir_check_append(const ViewRow *row);

#endif /* WEIR_API_ALTER_VIEW_H */
