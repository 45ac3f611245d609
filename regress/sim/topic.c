/*
 * topic.c
 *		The simulated broker: what the partitions hold, and how much of it is
 *		there by now.
 *
 * Event times move forward in disorder, some far behind.  Some records cannot be
 * used or have no time, some fail in single views.  Between records offsets may
 * be missing (control records, aborted messages), at a partition's end too.  A
 * partition may stay empty, or be slow: silent for long, and its time behind
 * that of the others.
 */
#include "sim.h"

static int64_t
next_time(World *w, const Log *log, int64_t *clock)
{
	*clock += below(w, log->slow ? 3 : 8);
	if (one_in(w, 8))
		return *clock - below(w, 60);
	return *clock - below(w, 10);
}

static void
make_record(World *w, const Log *log, Record *r, int64_t offset, int64_t *clock)
{
	r->offset = offset;
	r->usable = !one_in(w, 12);
	r->time = one_in(w, 16) ? WP_NO_TIME : next_time(w, log, clock);
	r->weight = (uint32_t) below(w, INT32_MAX);
	r->key = below(w, KEYS);
	r->poison = one_in(w, 12) ? (unsigned) below(w, 1 << VIEWS) : 0;
}

void
topic_make(World *w)
{
	for (int p = 0; p < w->allparts; p++)
	{
		Log *log = &w->log[p];
		int64_t clock = below(w, 30);
		int64_t offset = below(w, 3);

		log->slow = one_in(w, 3);
		log->n = one_in(w, 16) ? 0 : 8 + below(w, RECORDS - 7);
		for (int i = 0; i < log->n; i++)
		{
			make_record(w, log, &log->r[i], offset, &clock);
			offset += one_in(w, 6) ? 1 + below(w, 4) : 1;
		}
		log->end = log->n > 0 ? 0 : offset;
	}
}

/* Some more records of some partition; now and then the end moves alone. */
void
topic_produce(World *w)
{
	Log *log = &w->log[below(w, w->nparts)];
	int n = 1 + below(w, 6);

	if (log->slow && !w->calm && !one_in(w, 5))
		return;
	while (n-- > 0 && log->produced < log->n)
		log->end = log->r[log->produced++].offset + 1;
	if (log->produced < log->n)
	{
		int64_t room = log->r[log->produced].offset - log->end;

		if (room > 0)
			log->end += below(w, (int) room + 1);
	}
	else if (one_in(w, 4))
		log->end += below(w, 2);
}

bool
topic_is_complete(const World *w)
{
	for (int p = 0; p < w->allparts; p++)
		if (w->log[p].produced < w->log[p].n)
			return false;
	return w->nparts == w->allparts;
}

const Record *
topic_next(const World *w, int part, int64_t offset)
{
	const Log *log = &w->log[part];

	for (int i = 0; i < log->produced; i++)
		if (log->r[i].offset >= offset)
			return &log->r[i];
	return NULL;
}
