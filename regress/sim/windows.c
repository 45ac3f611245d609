/*
 * windows.c
 *		The windows of the simulated views: some follow each other, some overlap
 *		or leave gaps, some cumulate, and some views have none.
 *
 * Which windows hold a time is said by core/window.h, for the protocol; the model
 * has an arithmetic of its own.  A view's windows are small numbers here, so that
 * tallies are arrays.
 */
#include "sim.h"

void
windows_make(World *w, ViewDef *def)
{
	WwSpec *s = &def->window;

	switch (below(w, 6))
	{
		case 0:
			*s = (WwSpec){.kind = WW_NONE, .step = 1};
			break;
		case 1:
			*s = (WwSpec){.kind = WW_CUMULATE, .step = MIN_STEP + below(w, 12)};
			s->size = s->step * (1 + below(w, 4));
			break;
		case 2:
		case 3:
			*s = (WwSpec){.kind = WW_HOP, .step = MIN_STEP + below(w, 20)};
			s->size = 1 + below(w, 3 * (int) s->step);
			break;
		default:
			*s = (WwSpec){.kind = WW_TUMBLE, .step = MIN_SIZE + below(w, 40)};
			s->size = s->step;
			break;
	}
}

int64_t
window_close(const WwSpec *window, int64_t lateness, int64_t name)
{
	return ww_end(window, name) + lateness;
}

int64_t
window_open(const WwSpec *window, int64_t lateness, int64_t upto)
{
	if (window->kind == WW_NONE)
		return WW_ALL_TIME;
	if (upto == WP_NO_TIME)
		return INT64_MIN;
	return ww_next(window, ww_ended(window, upto - lateness));
}

int64_t
pane_close(const Slot *slot, int64_t last)
{
	return window_close(&slot->window, slot->lateness, last);
}

int64_t
window_name(const World *w, int view, int no)
{
	const WwSpec *s = &w->view[view].window;

	if (s->kind == WW_NONE)
		return WW_ALL_TIME;
	return window_open(s, 0, FIRST_TIME) + no * s->step;
}

int
window_no(const World *w, int view, int64_t name)
{
	return (int) ((name - window_name(w, view, 0)) / w->view[view].window.step);
}
