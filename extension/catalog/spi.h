/*
 * catalog/spi.h
 *		Run one statement over Weir's own tables.
 */
#ifndef WEIR_CATALOG_SPI_H
#define WEIR_CATALOG_SPI_H

#include "base/weir.h"

#include "executor/spi.h"

/*
 * Execute a statement with parameters between SPI_connect and SPI_finish;
 * nulls as SPI has it ('n').  Raises unless the result is the expected one.
 * A read uses the active snapshot, anything else a new one.
 */
extern void weir_spi(const char *sql, int nargs, Oid *types, Datum *values,
					 const char *nulls, int expected);
/* Column of a row of SPI_tuptable. */
extern Datum weir_spi_get(int row, int column, bool *isnull);

#endif /* WEIR_CATALOG_SPI_H */
