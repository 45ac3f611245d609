/*
 * base/fault.c
 *		Fault points of debug builds (see fault.h).
 *
 * Any process; takes no lock; needs no transaction.  A missing file, the usual
 * case, costs one failing open.
 */
#include "base/weir.h"

#include "base/fault.h"

#ifdef WEIR_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"

#define ARMED        "weir_faults"
#define REACHED      "weir_fault_reached"
#define MAX_LINES    16
#define WAIT_STEP_US 5000

typedef struct Fault
{
	char action[16];
	int nth; /* 0: at each passage */
} Fault;

/* How often this process came by each line's point since the file was written. */
static int passages[MAX_LINES];
static struct timespec counted;

/* Find what is armed for the point, now. */
static bool
find(FILE *f, const char *name, Fault *fault)
{
	char line[128];
	char point[64];
	struct stat st;

	if (fstat(fileno(f), &st) == 0 && (st.st_mtim.tv_sec != counted.tv_sec ||
									   st.st_mtim.tv_nsec != counted.tv_nsec))
	{
		memset(passages, 0, sizeof(passages));
		counted = st.st_mtim;
	}
	for (int i = 0; i < MAX_LINES && fgets(line, sizeof(line), f); i++)
	{
		fault->nth = 0;
		if (sscanf(line, "%63s %15s %d", point, fault->action, &fault->nth) < 2 ||
			strcmp(point, name) != 0)
			continue;
		return ++passages[i] == fault->nth || fault->nth == 0;
	}
	return false;
}

/*
 * Say who is here.  A point that is armed for its n-th passage is hit by one
 * process; false: it was another one.
 */
static bool
announce(const char *name, bool once)
{
	int fd = open(REACHED, O_WRONLY | O_CREAT | (once ? O_EXCL : O_TRUNC), 0600);

	if (fd < 0)
		return false;
	(void) dprintf(fd, "%s %d\n", name, MyProcPid);
	close(fd);
	return true;
}

/* A process that shall end while its interrupts are held goes on to where it can. */
static void
wait_here(void)
{
	while (access(REACHED, F_OK) == 0 && !ProcDiePending)
	{
		pg_usleep(WAIT_STEP_US);
		if (!PostmasterIsAlive())
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
	}
}

void
weir_fault(const char *name)
{
	FILE *f = fopen(ARMED, "r");
	Fault fault;
	bool hit;

	if (f == NULL)
		return;
	hit = find(f, name, &fault);
	fclose(f);
	if (!hit || !announce(name, fault.nth > 0))
		return;
	ereport(LOG, (errmsg("fault point \"%s\": %s", name, fault.action)));
	if (strcmp(fault.action, "panic") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(fault.action, "postmaster") == 0)
		kill(PostmasterPid, SIGKILL);
	else if (strcmp(fault.action, "wait") == 0)
		wait_here();
	else if (strcmp(fault.action, "exit") == 0)
		proc_exit(1);
	else
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("fault point \"%s\"", name)));
}

#endif /* WEIR_FAULTS */
