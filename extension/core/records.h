/*
 * records.h
 *		Where the records of a message lie that holds several of them.
 *
 * Records are lines, or the elements of a JSON array.  Lines are taken as they
 * come, so that a bad one does no harm to others; blank ones are none.  An array
 * is checked as a whole before it is taken apart.
 *
 *		ws_begin -> ws_next, while ws_more
 *
 * Plain C11; no memory, no lock.
 */
#ifndef WEIR_CORE_RECORDS_H
#define WEIR_CORE_RECORDS_H

#include "core/csv.h"
#include "core/json.h"

typedef struct WsRecords
{
	const char *p; /* the next record, or end */
	const char *end;
	const WsvDialect *csv; /* lines may go on between quotes; or NULL */
	bool array;
} WsRecords;

/* The lines of a message. */
extern void
ws_begin_lines(WsRecords *r, const WsvDialect *csv, const char *buf, size_t len);
/* The elements of a message that wj_scan has accepted, and that is an array. */
extern void ws_begin_array(WsRecords *r, const char *buf, size_t len);

/* Is there a further record? */
static inline bool
ws_more(const WsRecords *r)
{
	return r->p < r->end;
}

/* The next record, of which there is one; *len is its length. */
extern const char *ws_next(WsRecords *r, size_t *len);

#endif /* WEIR_CORE_RECORDS_H */
