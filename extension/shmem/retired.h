/*
 * shmem/retired.h
 *		What a lane that has ended leaves to readers, until its views are as far
 *		again: retired view slots.
 *
 * A lane that starts anew restores its views as of the last checkpoint.  Readers
 * have seen more, and totals would go backwards.  So the launcher keeps the view
 * slots of the lane that has ended (worker/retire.c), without their lane, and
 * readers take these until the new slot has passed every position of the old
 * one.  What the new lane makes final meanwhile is hidden in the old slot by
 * the new one's marks.
 */
#ifndef WEIR_SHMEM_RETIRED_H
#define WEIR_SHMEM_RETIRED_H

#include "base/weir.h"

#include "shmem/shmem.h"

/* Where a view can be read; either may be NULL. */
typedef struct ViewPlaces
{
	int64 generation;
	uint64 fingerprint;
	ViewSlot *now;    /* live, in a lane */
	ViewSlot *before; /* retired */
	bool caught_up;   /* now has all that before has */
} ViewPlaces;

/*
 * Find the places of a view; of slots of this generation only, and of a retired
 * one that was filled by the same plan.
 */
extern void weir_view_places(Oid dboid, int32 view, int64 generation,
							 uint64 fingerprint, ViewPlaces *places);

/* The retired slot of a view, or NULL; registry lock held. */
extern ViewSlot *weir_retired_find(Oid dboid, int32 view);

/* Has an earlier lane of the slot's view left something?  Takes the lock. */
extern bool weir_is_retired(const ViewSlot *slot);

/* Has the live slot passed all positions of the retired one?  Registry lock held. */
extern bool weir_has_caught_up(ViewSlot *now, ViewSlot *before);

/*
 * Memory or places are short: what is kept for readers only is given up, by the
 * launcher, soon.  How many slots that concerns.
 */
extern int weir_retired_give_up(void);

/* The same for one view, which will never be there again. */
extern void weir_retired_give_up_view(Oid dboid, int32 view);

#endif /* WEIR_SHMEM_RETIRED_H */
