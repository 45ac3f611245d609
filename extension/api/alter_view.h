/*
 * api/alter_view.h
 *		Options of a view that can be changed while it runs.
 */
#ifndef WEIR_API_ALTER_VIEW_H
#define WEIR_API_ALTER_VIEW_H

#include "base/weir.h"

#include "catalog/view.h"
#include "plan/plan.h"
#include "utils/timestamp.h"

/* How long final windows are kept, in us; raises if it is no such length. */
extern int64 weir_read_retention(const Interval *interval);

/* After how long a silence a total begins anew, likewise. */
extern int64 weir_read_ttl(const Interval *interval);

/* Raise if the row has what only views with groups can have, and is none. */
extern void weir_check_append(const ViewRow *row);

/* A channel to notify on; raises if it cannot be one. */
extern char *weir_read_channel(text *channel);
/* The same for the closings of a view, where "none" means none: NULL. */
extern char *weir_read_notify(text *channel);

/* Raise if the row has what needs windows that become final, and has none. */
extern void weir_check_final(const ViewRow *row, const ViewPlan *plan);

#endif /* WEIR_API_ALTER_VIEW_H */
