/*
 * malform.h
 *	  Breaks a well-formed event.
 */
#ifndef WEIR_PRODUCER_MALFORM_H
#define WEIR_PRODUCER_MALFORM_H

#include "event.h"
#include "rng.h"

/* malform: make event->data something no decoder may accept. */
extern void malform(Event *event, Rng *rng);

#endif
