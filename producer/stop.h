/*
 * stop.h
 *	  SIGINT and SIGTERM as a state that loops ask for.
 */
#ifndef WEIR_PRODUCER_STOP_H
#define WEIR_PRODUCER_STOP_H

#include <stdbool.h>

/* stop_install: from now on both signals are counted instead of killing. */
extern void stop_install(void);

/* stop_requested: a signal came; finish what is queued and end. */
extern bool stop_requested(void);

/* stop_insisted: a second one came; give up what is queued. */
extern bool stop_insisted(void);

#endif
