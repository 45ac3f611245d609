/*
 * align.c
 *		Which partitions of a topic to hold back (see align.h).
 */
#include "core/align.h"

/* The least watermark of those that count; false: none counts. */
static bool
find_least(const WaPartition *parts, int n, int64_t *least)
{
	bool found = false;

	for (int i = 0; i < n; i++)
	{
		if (!parts[i].counts || (found && parts[i].watermark >= *least))
			continue;
		*least = parts[i].watermark;
		found = true;
	}
	return found;
}

/* Is t further than slack after least? */
static bool
is_ahead(int64_t t, int64_t least, int64_t slack)
{
	if (t <= least)
		return false;
	if (least == WA_NO_TIME)
		return true;
	return (uint64_t) t - (uint64_t) least > (uint64_t) slack;
}

bool
wa_align(WaPartition *parts, int n, int64_t slack, int pressure)
{
	int64_t least = 0;
	bool any = find_least(parts, n, &least) && pressure >= WA_RELEASE;
	bool changed = false;

	for (int i = 0; i < n; i++)
	{
		WaPartition *p = &parts[i];
		bool hold = any && p->counts && is_ahead(p->watermark, least, slack) &&
					(p->held || pressure >= WA_HOLD);

		changed = changed || hold != p->held;
		p->held = hold;
	}
	return changed;
}
