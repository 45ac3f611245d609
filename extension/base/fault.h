/*
 * base/fault.h
 *		Named fault points: places where a test makes a process die, fail or
 *		wait.  Compiled out of release builds.
 *
 * The points are armed by the file weir_faults in the data directory, read at
 * each point of a debug build: lines of "name action" with action panic (the
 * process kills itself), error (raises) or exit (proc_exit(1)).
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
