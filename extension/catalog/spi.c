/*
 * catalog/spi.c
 *		Statements over Weir's own tables (see spi.h).  Any process, in a
 *		transaction.
 */
#include "base/weir.h"

#include "catalog/spi.h"
#include "utils/snapmgr.h"

void
weir_spi(const char *sql, int nargs, Oid *types, Datum *values,
		 const char *nulls, int expected)
{
	bool read = expected == SPI_OK_SELECT && strstr(sql, "FOR UPDATE") == NULL;
	int result = SPI_execute_with_args(sql, nargs, types, values, nulls,
									   read && ActiveSnapshotSet(), 0);

	if (result != expected)
		elog(ERROR, "statement failed with %s: %s",
			 SPI_result_code_string(result), sql);
}

Datum
weir_spi_get(int row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column,
						 isnull);
}
