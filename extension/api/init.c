/*
 * api/init.c
 *		Where the library begins.
 *
 * In the postmaster (shared_preload_libraries) it reserves shared memory and
 * registers the launcher.  Loaded later, by CREATE EXTENSION or a function
 * call, it can read and write streams, but continuous views need the preload.
 */
#include "base/weir.h"

#include "api/hooks.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "shmem/shmem.h"
#include "worker/lane.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	weir_guc_init();
	if (!process_shared_preload_libraries_in_progress)
		return;
	weir_shmem_init();
	weir_hooks_init();
	if (!IsBinaryUpgrade)
		weir_launcher_register();
}
