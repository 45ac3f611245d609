/*
 * shmem/sender.c
 *		The places of senders in the registry (see shmem.h).
 *
 * The scanner claims a place and starts the process, which takes it and gives it
 * back when it ends.  All under the registry lock.
 */
#include "base/weir.h"

#include <signal.h>

#include "shmem/shmem.h"
#include "utils/timestamp.h"

/* One that has not come up by then never will. */
#define START_MS 30000

static bool
is_taken(const Sender *s)
{
	return s->pid != 0 ||
		   (s->claimed != 0 &&
			!TimestampDifferenceExceeds(s->claimed, GetCurrentTimestamp(),
										START_MS));
}

/* The place that the database has, or had last. */
static Sender *
find(Oid dboid)
{
	for (int i = 0; i < WEIR_MAX_SENDERS; i++)
		if (weir_registry->senders[i].dboid == dboid)
			return &weir_registry->senders[i];
	return NULL;
}

static Sender *
find_free(void)
{
	for (int i = 0; i < WEIR_MAX_SENDERS; i++)
		if (!is_taken(&weir_registry->senders[i]))
			return &weir_registry->senders[i];
	return NULL;
}

static void
tell(Sender *s)
{
	s->recheck = true;
	if (s->latch)
		SetLatch(s->latch);
}

static bool
is_banned(Oid dboid)
{
	for (int i = 0; i < weir_registry->nbanned; i++)
		if (weir_registry->banned[i] == dboid)
			return true;
	return false;
}

int
weir_sender_claim(Oid dboid)
{
	Sender *s;
	int place = -1;

	LWLockAcquire(&weir_registry->lock, LW_EXCLUSIVE);
	s = is_banned(dboid) ? NULL : find(dboid);
	if (s == NULL && !is_banned(dboid) && (s = find_free()) != NULL)
	{
		memset(s, 0, sizeof(*s));
		s->dboid = dboid;
	}
	if (s && is_taken(s))
		tell(s);
	else if (s)
	{
		s->claimed = GetCurrentTimestamp();
		place = (int) (s - weir_registry->senders);
	}
	LWLockRelease(&weir_registry->lock);
	return place;
}

void
weir_wake_sender(Oid dboid)
{
	Sender *s;

	LWLockAcquire(&weir_registry->lock, LW_SHARED);
	s = find(dboid);
	if (s && s->latch)
		SetLatch(s->latch);
	LWLockRelease(&weir_registry->lock);
}

bool
weir_sender_stop(Oid dboid)
{
	Sender *s = find(dboid);

	if (s == NULL || !is_taken(s))
		return false;
	if (s->pid != 0)
		kill(s->pid, SIGTERM);
	return true;
}
