/*
 * progress.c
 *		How far windows may close (see progress.h).
 *
 * Called by the coordinator, once per view and checkpoint.  No lock, no memory.
 */
#include "core/progress.h"

void
wp_closing_begin(WpClosing *c)
{
	c->least = INT64_MAX;
	c->greatest = WP_NO_TIME;
	c->active = false;
}

void
wp_closing_add(WpClosing *c, int64_t watermark, bool active)
{
	if (watermark > c->greatest)
		c->greatest = watermark;
	if (!active)
		return;
	c->active = true;
	if (watermark < c->least)
		c->least = watermark;
}

int64_t
wp_closing_watermark(const WpClosing *c, int64_t before)
{
	int64_t upto = c->active ? c->least : c->greatest;

	return upto > before ? upto : before;
}
