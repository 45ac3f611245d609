/*
 * base/fault.h
 *		Named fault points: places where a test makes a process die, fail or
 *		wait.  Compiled out of release builds.
 *
 * The points are armed by the file weir_faults in the data directory, read at
 * each point of a debug build: lines of "name action", or "name action n" for
 * the n-th time only that a process comes by.  Before it acts, the process
 * writes its id into the file weir_fault_reached.  The actions are
 *
 *		panic		the process kills itself, SIGKILL
 *		exit		proc_exit(1)
 *		error		ereport(ERROR)
 *		wait		until weir_fault_reached is removed
 *		postmaster	SIGKILL for the postmaster; the process goes on
 *
 * A point is outside of any lock on shared memory.  docs/development.md has the
 * table of points.
 */
#ifndef WEIR_FAULT_H
#define WEIR_FAULT_H

#ifdef WEIR_FAULTS
extern void weir_fault(const char *name);
#define WEIR_FAULT(name) weir_fault(name)
#else
#define WEIR_FAULT(name) ((void) 0)
#endif

#endif /* WEIR_FAULT_H */
