/*
 * catalog/access.h
 *		Who may see and steer continuous views without owning them: the roles
 *		weir_monitor and weir_admin.
 *
 * Of the current user; a superuser may all.  A role that does not exist has no
 * members.
 */
#ifndef WEIR_CATALOG_ACCESS_H
#define WEIR_CATALOG_ACCESS_H

#include "base/weir.h"

#include "nodes/bitmapset.h"

/* May it see what goes on with all views, errors too?  weir_admin may, too. */
extern bool weir_is_monitor(void);
/* May it steer views (pause, reset ...) that it does not own? */
extern bool weir_is_admin(void);
/* May it see why something failed?  That may quote a message of the stream. */
extern bool weir_sees_errors(Oid view, Oid stream);
/* May it see how a view is doing? */
extern bool weir_sees_view(Oid view, Oid stream);

/* The views of which it sees how they are doing, for rows that have ids only. */
typedef struct VisibleViews
{
	bool all;
	Bitmapset *ids;
} VisibleViews;

extern VisibleViews weir_visible_views(void);

static inline bool
weir_is_visible(const VisibleViews *views, int32 id)
{
	return views->all || bms_is_member(id, views->ids);
}

#endif /* WEIR_CATALOG_ACCESS_H */
