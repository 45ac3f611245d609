/*
 * exec/apply_live.h
 *		What apply_live.c and apply_settle.c share: values that are kept alive.
 */
#ifndef WEIR_EXEC_APPLY_LIVE_H
#define WEIR_EXEC_APPLY_LIVE_H

#include "exec/apply_internal.h"

typedef struct LiveGroup
{
	PaneGroup *group; /* NULL: dropped */
	Pane *pane;
	MemoryContext cxt;
	Size memory;
	bool loaded;
	bool dirty;  /* not settled */
	bool torn;   /* to be made anew */
	bool recent; /* touched since the last barrier but one */
} LiveGroup;

/* A row that a group has taken since it was settled. */
typedef struct JournalRow
{
	uint32 live; /* group */
	uint32 kept; /* accumulator */
	uint32 args; /* first of its arguments */
} JournalRow;

typedef struct ArgType
{
	int16 len;
	bool byval;
} ArgType;

/* An accumulator whose values are kept alive. */
typedef struct KeptAccum
{
	int accum;
	int datum; /* its number among those that are an AccumDatum */
	int nargs;
	ArgType *types;
} KeptAccum;

struct LiveStates
{
	MemoryContext cxt;
	int nkept;
	KeptAccum *kept;
	LiveGroup *groups;
	AccumValue *values; /* [group][kept accumulator] */
	uint32 ngroups;     /* dropped ones included */
	uint32 capacity;
	uint32 *index; /* number of the group + 1, by its address */
	uint32 mask;
	Size memory;
	uint32 *touched; /* by the batch, while it may still fail */
	uint32 ntouched;
	bool torn;                 /* some group is */
	bool behind;               /* readers may look at what a lane has left */
	bool starved;              /* settling found no room */
	MemoryContext journal_cxt; /* arguments by reference */
	JournalRow *journal;
	uint32 njournal;
	uint32 nnoted; /* of these, of batches that are applied */
	uint32 nnoted_args;
	uint32 journal_capacity;
	NullableDatum *args;
	uint32 nargs;
	uint32 args_capacity;
	int32 *order;  /* rows of the batch, by group */
	int32 *starts; /* where a group's begin there */
	int64 settled; /* monotonic us */
	int64 took;
};

/* A group's values, by kept accumulator. */
static inline AccumValue *
live_values(const struct LiveStates *live, const LiveGroup *l)
{
	return &live->values[(Size) (l - live->groups) * live->nkept];
}

/* Is there memory for more, over all views of this worker? */
extern bool live_has_room(void);
/* Is three quarters of it in use? */
extern bool live_is_short(void);
/* Look at the memory of a group again. */
extern void live_count_memory(struct LiveStates *live, LiveGroup *l);
/* Its number stays in use. */
extern void live_drop(struct LiveStates *live, LiveGroup *l);
extern void live_index_put(struct LiveStates *live, uint32 number);
/* Make torn groups anew: what was settled, and the rows since then. */
extern void live_mend(ViewApply *a);
extern void live_reset_journal(struct LiveStates *live);

#endif /* WEIR_EXEC_APPLY_LIVE_H */
