/*
 * stop.c
 *	  SIGINT and SIGTERM as a state that loops ask for.
 *
 * The handler only counts.  It is installed without SA_RESTART, so that waits
 * end early.  librdkafka's threads are started with all signals blocked (see
 * kafka.c), so the signals reach the main thread.
 */
#include "stop.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t stop_signals = 0;

static void
stop_handler(int signo)
{
	(void) signo;
	if (stop_signals < 2)
		stop_signals++;
}

void
stop_install(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = stop_handler;
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool
stop_requested(void)
{
	return stop_signals > 0;
}

bool
stop_insisted(void)
{
	return stop_signals > 1;
}
