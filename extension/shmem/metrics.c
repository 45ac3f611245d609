/*
 * shmem/metrics.c
 *		Adding up what weir.metrics shows (see metrics.h).
 *
 * Any process; no locks but where said.  Work is done per batch or checkpoint,
 * never per record.
 */
#include "base/weir.h"

#include "shmem/metrics.h"
#include "shmem/shmem.h"

#define MS INT64CONST(1000)
#define S  INT64CONST(1000000)

const int64 weir_latency_ends[WEIR_LATENCY_CLASSES - 1] =
	{1 * MS,   2500,     5 * MS,   10 * MS, 25 * MS,   50 * MS,
	 100 * MS, 250 * MS, 500 * MS, 1 * S,   2500 * MS, 5 * S,
	 10 * S,   30 * S,   60 * S,   300 * S, 900 * S,   3600 * S};

const char *const weir_stage_names[WORKER_STAGES] = {"fetch", "decode",
													 "apply", "publish",
													 "copy",  "wait"};

void
weir_latency_count(LatencyCount *c, int64 us, uint64 n)
{
	int class = 0;

	us = Max(us, 0); /* the broker's clock may be ahead */
	while (class < WEIR_LATENCY_CLASSES - 1 && us > weir_latency_ends[class])
		class ++;
	c->n[class] += n;
	c->total += n;
	c->sum += (uint64) us * n;
}

/*
 * By cumulative shares, so that the classes add up to just as many messages as
 * are to be added.
 */
void
weir_latency_add(LatencyHistogram *h, const LatencyCount *c, uint64 messages)
{
	double share = c->total > 0 ? (double) messages / c->total : 0;
	uint64 seen = 0;
	uint64 added = 0;

	if (share == 0)
		return;
	for (int i = 0; i < WEIR_LATENCY_CLASSES; i++)
	{
		uint64 upto;

		if (c->n[i] == 0)
			continue;
		seen += c->n[i];
		upto = seen == c->total ? messages : (uint64) (seen * share);
		pg_atomic_fetch_add_u64(&h->n[i], upto - added);
		added = upto;
	}
	pg_atomic_fetch_add_u64(&h->sum, (uint64) (c->sum * share));
}

void
weir_latency_read(LatencyCount *c, LatencyHistogram *h)
{
	memset(c, 0, sizeof(*c));
	for (int i = 0; i < WEIR_LATENCY_CLASSES; i++)
	{
		c->n[i] = pg_atomic_read_u64(&h->n[i]);
		c->total += c->n[i];
	}
	c->sum = pg_atomic_read_u64(&h->sum);
}

static LatencyCell
united(LatencyCell a, LatencyCell b)
{
	uint64 n = a.n + b.n;

	return (LatencyCell){a.time + (int64) ((double) (b.time - a.time) * b.n / n),
						 n};
}

void
weir_cells_add(LatencyCells *c, int64 time, uint64 n)
{
	if (c->n == WEIR_LATENCY_CELLS)
	{
		for (int i = 0; i < WEIR_LATENCY_CELLS / 2; i++)
			c->cells[i] = united(c->cells[2 * i], c->cells[2 * i + 1]);
		c->n = WEIR_LATENCY_CELLS / 2;
	}
	c->cells[c->n++] = (LatencyCell){time, n};
}

void
weir_cells_move(LatencyCells *from, LatencyCells *to)
{
	for (int i = 0; i < from->n; i++)
		weir_cells_add(to, from->cells[i].time, from->cells[i].n);
	from->n = 0;
}

/* --- places of views ----------------------------------------------------------- */

static bool
is_in_use(const ViewMetrics *m)
{
	for (int i = 0; i < weir_registry->max_views; i++)
		if (weir_registry->views[i].used && weir_registry->views[i].metrics == m)
			return true;
	return false;
}

static void
clear_histogram(LatencyHistogram *h)
{
	for (int i = 0; i < WEIR_LATENCY_CLASSES; i++)
		pg_atomic_write_u64(&h->n[i], 0);
	pg_atomic_write_u64(&h->sum, 0);
}

ViewMetrics *
weir_view_metrics(Oid dboid, Oid view)
{
	for (int i = 0; i < weir_registry->max_views; i++)
	{
		ViewMetrics *m = &weir_registry->metrics[i];

		if (m->dboid == dboid && m->view == view)
			return m;
	}
	return NULL;
}

/*
 * There are as many places as slots, and the one that asks is not used yet: so one
 * is free or of a view that has no slot.  A free one comes first: a view that is
 * paused goes on where it was.
 */
ViewMetrics *
weir_view_metrics_claim(Oid dboid, Oid view)
{
	ViewMetrics *m = weir_view_metrics(dboid, view);

	if (m == NULL)
		m = weir_view_metrics(InvalidOid, InvalidOid);
	for (int i = 0; m == NULL && i < weir_registry->max_views; i++)
		if (!is_in_use(&weir_registry->metrics[i]))
			m = &weir_registry->metrics[i];
	Assert(m != NULL);
	if (m->dboid != dboid || m->view != view)
	{
		clear_histogram(&m->freshness);
		clear_histogram(&m->commit);
	}
	m->dboid = dboid;
	m->view = view;
	return m;
}
