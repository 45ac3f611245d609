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

#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/ipc.h"

void
weir_fault(const char *name)
{
	FILE *f = fopen("weir_faults", "r");
	char point[64];
	char action[16];
	bool hit = false;

	if (f == NULL)
		return;
	while (!hit && fscanf(f, "%63s %15s", point, action) == 2)
		hit = strcmp(point, name) == 0;
	fclose(f);
	if (!hit)
		return;
	if (strcmp(action, "panic") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(action, "exit") == 0)
		proc_exit(1);
	else
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("fault point \"%s\"", name)));
}

#endif /* WEIR_FAULTS */
