/*
 * progress.h
 *		How far a view is in each partition, what is late, and how far windows
 *		may close.
 *
 * A WpPartition belongs to a view and a partition.  It is carried from record
 * to record by the ingest worker, noted at each barrier, committed by the
 * checkpoint, and is what a recovery goes on from.  The order of things for a
 * record is wp_take (position and watermark, before WHERE), then for each of
 * its windows wp_is_late.
 *
 * Times are microseconds, of whatever epoch the caller has.  Plain C11, no
 * state of its own.  What runs per record is inline.
 */
#ifndef WEIR_CORE_PROGRESS_H
#define WEIR_CORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A time that is not known: no record seen, no watermark, nothing closed.  It
 * is less than every time, so comparisons need no case of their own for it.
 */
#define WP_NO_TIME INT64_MIN

typedef struct WpPartition
{
	int64_t start;     /* first offset that counts for the view */
	int64_t position;  /* next offset to apply */
	int64_t watermark; /* greatest event time less the delay, or WP_NO_TIME */
	int64_t events;    /* well-formed records applied or filtered out */
	int64_t late;      /* (record, window) pairs dropped as late */
	int64_t dead;      /* records that could not be used */
	int64_t lost;      /* offsets that were skipped: nobody has them any more */
	int64_t last;      /* offset of the last record read, or WP_NO_RECORD */
	int64_t last_print; /* its fingerprint */
	int64_t reach;      /* of a batch that is applied, but not noted yet */
	int64_t end;        /* first offset that no longer counts, or WP_NO_END */
	int64_t record;     /* of the message at position: its first ones that were
						 * taken; 0 where a message is one record */
} WpPartition;

#define WP_NO_RECORD (-1)
#define WP_NO_END    INT64_MIN

/*
 * Later than any window closes: how far a view is closed that has read all it
 * was to read.  Sums with offsets of windows still fit.
 */
#define WP_END_OF_TIME INT64_C(9200000000000000000)

/* The view has read nothing here; it begins at this offset. */
static inline void
wp_begin(WpPartition *p, int64_t offset)
{
	*p = (WpPartition){.start = offset,
					   .position = offset,
					   .watermark = WP_NO_TIME,
					   .last = WP_NO_RECORD,
					   .end = WP_NO_END};
}

/* Has the view read all of the partition that it was to read? */
static inline bool
wp_is_done(const WpPartition *p)
{
	return p->end != WP_NO_END && p->position >= p->end;
}

/*
 * Does a record come after what the view was to read?  Then it has read that: a
 * tail of control records, or one that was compacted away, is behind it.
 */
static inline bool
wp_is_past_end(WpPartition *p, int64_t offset)
{
	if (p->end == WP_NO_END || offset < p->end)
		return false;
	if (p->position < p->end)
	{
		p->position = p->end;
		p->record = 0;
	}
	return true;
}

/*
 * Has the view had nothing of the partition, so that nothing is lost if it
 * begins elsewhere?  That it is where it began does not say so: it may have been
 * restarted there.
 */
static inline bool
wp_is_new(const WpPartition *p)
{
	return p->position == p->start && p->events == 0 && p->dead == 0 &&
		   p->lost == 0;
}

/*
 * What there was up to here is gone, and perhaps all else, too: go on at this
 * offset, which may be a lesser one.  What was counted and closed stays.
 */
static inline void
wp_restart(WpPartition *p, int64_t offset)
{
	p->start = p->position = offset;
	p->record = 0;
	p->last = WP_NO_RECORD;
	p->last_print = 0;
}

/* The first offset of which nothing was taken. */
static inline int64_t
wp_untouched(const WpPartition *p)
{
	return p->position + (p->record > 0);
}

/* Count a record that is the view's, see wp_take. */
static inline bool
wp_count(WpPartition *p, bool usable, int64_t time, int64_t delay,
		 int64_t *watermark)
{
	if (!usable)
	{
		p->dead++;
		return false;
	}
	*watermark = p->watermark;
	if (time != WP_NO_TIME &&
		(p->watermark == WP_NO_TIME || time - delay > p->watermark))
		p->watermark = time - delay;
	p->events++;
	return true;
}

/*
 * The next record of the partition.  False: it is not the view's (it was read
 * before), or it is a dead letter: not usable, which a record without a time is
 * for a view that has windows.  *watermark: as it was just before the record.
 */
static inline bool
wp_take(WpPartition *p, int64_t offset, bool usable, int64_t time,
		int64_t delay, int64_t *watermark)
{
	if (offset < p->position)
		return false;
	p->position = offset + 1;
	p->record = 0; /* the message may have been several records once */
	return wp_count(p, usable, time, delay, watermark);
}

/*
 * The same where a message holds several records, counted from 0.  The position
 * passes the message with its last one, so that a view may stop between two.
 */
static inline bool
wp_take_one_of(WpPartition *p, int64_t offset, int64_t record, bool last,
			   bool usable, int64_t time, int64_t delay, int64_t *watermark)
{
	if (offset < p->position || (offset == p->position && record < p->record))
		return false;
	p->position = last ? offset + 1 : offset;
	p->record = last ? 0 : record + 1;
	return wp_count(p, usable, time, delay, watermark);
}

/* A record that was taken cannot be used by the view after all. */
static inline void
wp_fail(WpPartition *p)
{
	p->dead++;
	p->events--;
}

/*
 * The partition was read up to offset, past what is not ours to see (aborted
 * messages, control records).  False: that is nothing new.
 */
static inline bool
wp_advance(WpPartition *p, int64_t offset)
{
	if (p->end != WP_NO_END && offset > p->end)
		offset = p->end;
	if (offset <= p->position)
		return false;
	p->position = offset;
	p->record = 0;
	return true;
}

/*
 * Is a record late for the window that closes (end + lateness) here?  By the
 * watermark of its own partition before it, or because a barrier has closed
 * the window.
 */
static inline bool
wp_is_late(int64_t close, int64_t watermark, int64_t closed_upto)
{
	return close <= watermark || close <= closed_upto;
}

/*
 * Does an idle partition not count for the view's closing watermark?  A view
 * that joins a lane may still have records to read that the lane is past.
 */
static inline bool
wp_rests(const WpPartition *p, bool idle, int64_t lane_position, int64_t high)
{
	return idle && p->position >= lane_position && p->position >= high;
}

/* --- the closing watermark (progress.c) ----------------------------------- */

typedef struct WpClosing
{
	int64_t least;    /* of the active partitions */
	int64_t greatest; /* of all */
	bool active;
} WpClosing;

extern void wp_closing_begin(WpClosing *c);
extern void wp_closing_add(WpClosing *c, int64_t watermark, bool active);
/*
 * The least watermark of the active partitions, the greatest of all when none
 * is active; never less than before.
 */
extern int64_t wp_closing_watermark(const WpClosing *c, int64_t before);

#endif /* WEIR_CORE_PROGRESS_H */
