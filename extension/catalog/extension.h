/*
 * catalog/extension.h
 *		Are the SQL objects of this database those that the library knows?
 *
 * After an upgrade of the files an old library may still be preloaded, and
 * after a restart the objects of a database may still be old.
 */
#ifndef WEIR_CATALOG_EXTENSION_H
#define WEIR_CATALOG_EXTENSION_H

#include "base/weir.h"

/* Version of the SQL objects that the library was made for. */
#define WEIR_SQL_VERSION "0.1"

/* As pg_extension has it, in the current context; NULL: there is none. */
extern char *weir_sql_version(void);
/* The version as above if it is another than the library's, else NULL. */
extern char *weir_other_version(void);
/* Raises, with a hint, when it is another one. */
extern void weir_require_version(void);

#endif /* WEIR_CATALOG_EXTENSION_H */
