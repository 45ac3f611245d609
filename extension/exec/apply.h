/*
 * exec/apply.h
 *		A batch of events into the open windows of one view.
 */
#ifndef WEIR_EXEC_APPLY_H
#define WEIR_EXEC_APPLY_H

#include "base/weir.h"

#include "core/barrier.h"
#include "decode/decode.h"
#include "exec/common.h"
#include "exec/final.h"
#include "exec/letter.h"
#include "executor/executor.h"
#include "plan/plan.h"
#include "shmem/pane.h"

struct PaneMap;
struct LiveStates;

/* An expression over the stream: a column's vector, or evaluated into one. */
typedef struct InputExpr
{
	ExprState *state; /* NULL: column attno */
	AttrNumber attno;
	Datum *values; /* of the batch: by row */
	bool *nulls;
	CommonExpr *common; /* whose these are, if other views may have them, too */
} InputExpr;

/* The new value of a group's AccumDatum, until it is stored. */
typedef struct PendingDatum
{
	AccumValue value;
	uint32 len;
	uint32 cap; /* of room */
	char *room; /* in the pane, if it does not fit where the old one is */
	bool alive; /* not to be stored yet (apply_live.c) */
} PendingDatum;

/* What an ingest worker keeps of a view it feeds. */
typedef struct ViewApply
{
	ViewSlot *slot;
	Shard *shard;
	const ViewPlan *plan;
	int64 delay; /* watermark_delay of the stream */
	int64 lateness;
	int64 closed_upto; /* lateness by what was closed */
	bool keep_late;
	bool keep_dead;     /* messages that fail in the view */
	LaneWorker *worker; /* holds the letters */
	int npartitions;
	ViewPartition *parts; /* working copy, published with the batch */
	bool ends;            /* some partition is read up to an offset only */
	int64 *late;          /* per partition, of the rows being applied */
	WeEpochs epochs;      /* which groups are changed, which to be copied */
	Chunk *chunks;        /* of the barrier that is being copied */
	Chunk *chunks_tail;
	LostRange *lost; /* since the last barrier */

	AccumSet *accums;
	StateLayout layout;
	KeyCodec *codec;
	struct PaneMap *panes;
	struct SessionApply *sessions; /* NULL: the view has windows */

	ExprContext *econtext;
	TupleTableSlot *slot_in; /* the stream's row, for ExecEvalExpr */
	int nattnos;             /* columns that expressions read through it */
	AttrNumber *attnos;      /* ascending ... */
	int nown;                /* ... the first so many are the stream's own */
	ExprState *where;
	int loaded; /* the row that slot_in holds, while expressions are evaluated */
	bool needs_eval; /* some key, argument or filter is no plain column */
	InputExpr *keys;
	InputExpr *args;       /* by accumulator; state and attno 0: count(*) */
	InputExpr **more;      /* by accumulator: arguments after the first */
	InputExpr *filters;    /* values as bool in pass */
	InputExpr *out;        /* of an append view: what is shown */
	struct ViewJoin *join; /* NULL: of the stream alone */
	int64 *taken; /* watermark as weir_apply_begin leaves it, by record */
	bool **pass;  /* by accumulator: FILTER of each row, or NULL */

	Common *common;           /* what the worker's views share */
	CommonExpr *common_where; /* of where, or NULL */
	CommonKeys *common_keys;  /* of keys, or NULL */

	/* Scratch vectors, capacity of the batch. */
	MemoryContext cxt;
	MemoryContext batch_cxt;
	int64 *watermark; /* just before each record */
	int32 *rows;      /* selected */
	int32 *alive;
	int32 *passing; /* rows that a FILTER lets through */
	int64 *first;   /* of each record's windows */
	int64 *last;
	KeyBuffer key_buf;
	char **states;
	PaneGroup **row_group;
	PaneGroup **touched;
	Pane **touched_pane;
	int ntouched;
	PendingDatum *pending;   /* [datum accumulator][touched] */
	struct LiveStates *live; /* values that are not serialised, or NULL */
	int ndatums;             /* accumulators that are kept as an AccumDatum */
	int *datums;
	int capacity;
	int32 *failed; /* rows that failed, since positions were published */
	int nfailed;
	/* A batch that waits for memory. */
	int nrows;
	int next_row;        /* row mode: first row not applied, or -1 */
	int part_row;        /* record up to which part counts */
	ViewPartition *part; /* as published last */
	bool lacks_letter;   /* it is a letter that there is no room for */
	bool cut_letters;    /* large ones need not be kept whole any more */
	bool again; /* the batch is a dead letter that the view is past already */
} ViewApply;

/*
 * All memory in a child of parent.  rowdesc is the stream's.  Needs a
 * transaction; raises when the plan cannot be compiled.
 */
extern ViewApply *
weir_apply_new(ViewSlot *slot, int shard, const ViewPlan *plan,
			   TupleDesc rowdesc, int64 delay, int npartitions, int capacity,
			   MemoryContext parent);

/* Needed once, before the first batch: have what other views have, too, in common. */
extern void
weir_apply_share(ViewApply *a, Common *common, const CommonScope *scope);

/*
 * Can the view use the record?  One without an event time is in no window, and
 * is a dead letter of the stream already.
 */
static inline bool
weir_apply_is_usable(const ViewApply *a, const EventBatch *b, int i)
{
	return b->ok[i] &&
		   (b->event_time[i] != WEIR_NO_TIME || !a->plan->needs_time);
}

/*
 * Begin a batch: which records are the view's, watermarks and counters.  With
 * a->again all are, and move neither positions nor watermarks: they are late for
 * windows that are final, and for no others.
 */
extern void weir_apply_begin(ViewApply *a, const EventBatch *b);

/*
 * Apply the batch begun.  False: the arena is full; nothing or a first part was
 * applied; call again when there is room.  Rows that fail become dead letters.
 * Needs a transaction; raises only for what is no row's fault.
 */
extern bool weir_apply_run(ViewApply *a, const EventBatch *b);

/*
 * The batch does not fit (apply_part.c): go on row by row, as far as there is
 * room; and publish how far that is, with the letters so far.  Then a
 * barrier may come.
 */
extern void weir_apply_single_rows(ViewApply *a);
extern void weir_apply_publish_part(ViewApply *a, const EventBatch *b);
/* Forget the rest of the batch: it will be read again. */
extern void weir_apply_go_back(ViewApply *a);

/*
 * The batch is applied as a whole: positions and counters may be seen, and
 * committed, and so may dead letters and late events.
 */
extern void weir_apply_publish(ViewApply *a);

/* What there was is gone: go on at offset. */
extern void weir_apply_restart(ViewApply *a, int partition, int64 offset);
/* The partition was read up to offset, past records that are not ours to see. */
extern void weir_apply_advance(ViewApply *a, int partition, int64 offset);

/* --- windows (apply_window.c) ----------------------------------------------- */

/*
 * Find the windows of each row (a->first, a->last); drop rows that are in none
 * that they are not late for.  Raises when a time is out of range.  Returns how
 * many are left, or -1: no memory to keep the late ones.
 */
extern int
weir_apply_windows(ViewApply *a, const EventBatch *b, int32 *rows, int nrows);
/* A letter finds no room: that is never the view's own limit.  Returns false. */
extern bool weir_apply_lacks_letter(ViewApply *a);

/*
 * Make groups say what was applied, where values are kept alive (apply_live.c):
 * needed before a barrier.  reserved: with room that checkpoints need.  As the
 * view's owner, in a transaction; may raise.  False: no room.
 */
extern bool weir_apply_settle(ViewApply *a, bool reserved);
extern bool weir_apply_is_settled(const ViewApply *a);

/* --- the barrier (apply_barrier.c) ---------------------------------------- */

/*
 * Note positions (shard->acked) and freeze the changed groups; windows that
 * end at or before slot->closing take no further row.
 */
extern void weir_apply_freeze(ViewApply *a);
/* Copy out frozen groups for about budget_us.  1: all done, 0: more, -1: full. */
extern int weir_apply_copy(ViewApply *a, int64 budget_us);

/* --- panes by their windows (panemap.c) ----------------------------------- */
extern struct PaneMap *weir_panemap_new(MemoryContext cxt);
extern Pane *weir_panemap_get(struct PaneMap *map, int64 first, int64 last);
extern void weir_panemap_put(struct PaneMap *map, Pane *pane);
/* Forget panes whose last window is none after this. */
extern void weir_panemap_forget(struct PaneMap *map, int64 upto);
/* Visit all; *state = 0 first; NULL at the end. */
extern Pane *weir_panemap_next(struct PaneMap *map, uint32 *state);

#endif /* WEIR_EXEC_APPLY_H */
