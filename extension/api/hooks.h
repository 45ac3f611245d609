/*
 * api/hooks.h
 *		What Weir hangs into the server: the end of transactions, and utility
 *		statements that workers would block.
 */
#ifndef WEIR_API_HOOKS_H
#define WEIR_API_HOOKS_H

extern void weir_hooks_init(void);

/* When the current transaction commits, have the launcher look at this database. */
extern void weir_notify_at_commit(void);

#endif /* WEIR_API_HOOKS_H */
