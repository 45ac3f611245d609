/*
 * catalog/extension.c
 *		Version of the SQL objects of the current database (see extension.h).
 *
 * Backends and workers, in a transaction.  There is no cache for pg_extension:
 * a look-up is an index scan of a small table.
 */
#include "base/weir.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/extension.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

char *
weir_sql_version(void)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	char *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("weir"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Datum d = heap_getattr(tuple, Anum_pg_extension_extversion,
							   RelationGetDescr(rel), &isnull);

		version = isnull ? pstrdup("") : TextDatumGetCString(d);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

char *
weir_other_version(void)
{
	char *version = weir_sql_version();

	return version && strcmp(version, WEIR_SQL_VERSION) != 0 ? version : NULL;
}

void
weir_require_version(void)
{
	char *other = weir_other_version();

	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library of weir is of version %s, the extension in this database of version %s",
						WEIR_SQL_VERSION, other),
				 errhint(
					 "ALTER EXTENSION weir UPDATE, or restart the server if the library is the older one.")));
}
