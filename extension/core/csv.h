/*
 * csv.h
 *		Strict scanner for one record of separated values (RFC 4180, with
 *		COPY's options).
 *
 * A field is either plain, and holds no quote and no line's end, or it stands
 * between quotes as a whole; there a quote is written with the escape before
 * it.  A plain field that is the dialect's null text is null, as for COPY: a
 * quoted one never is.  All of a record is checked: it is UTF-8 without NUL, and
 * has as many fields as are expected.
 *
 * Values point into the record; nothing is copied, nothing allocated, no lock
 * taken.  Plain C11.  Called by decoders in ingest workers and backends, and by
 * tests and fuzzers.
 */
#ifndef WEIR_CORE_CSV_H
#define WEIR_CORE_CSV_H

#include "core/json.h"

typedef struct WsvDialect
{
	char delimiter;
	char quote;
	char escape; /* of a quote between quotes; may be the quote itself */
	const char *null;
	size_t null_len;
	bool special[256]; /* what ends the fast way through a field */
} WsvDialect;

typedef enum WsvStatus
{
	WSV_OK = 0,
	WSV_ERR_QUOTE, /* in a plain field, or something behind the closing one */
	WSV_ERR_END,   /* no closing quote */
	WSV_ERR_LINES, /* a further line */
	WSV_ERR_UTF8,
	WSV_ERR_NUL,
	WSV_ERR_FEW, /* fields */
	WSV_ERR_MANY,
	WSV_ERR_TOO_LONG /* 4 GB or more */
} WsvStatus;

/* All three are distinct, but for the escape, and ASCII; null lives on. */
extern void wsv_dialect(WsvDialect *d, char delimiter, char quote, char escape,
						const char *null);

/*
 * The fields of one record, which may end with one line's end.  Each is a
 * WJ_STRING, or WJ_NULL; one with escapes has escaped set: see wsv_unescape.  On
 * error *errpos is where, and fields[] undefined.
 */
extern WsvStatus wsv_scan(const WsvDialect *d, const char *buf, size_t len,
						  int nfields, WjValue *fields, size_t *errpos);

/* Room for len bytes; returns the length. */
extern size_t
wsv_unescape(const WsvDialect *d, const char *src, size_t len, char *dst);

/*
 * The end of the record that begins at p: its line's end outside quotes, or the
 * end of all.
 */
extern const char *
wsv_record_end(const WsvDialect *d, const char *p, const char *end);

/* Would a field be read as it stands, without quotes?  (len > 0: not as null.) */
extern bool wsv_is_plain(const WsvDialect *d, const char *p, size_t len);

/* Why, for a message: lower case, no full stop. */
extern const char *wsv_status_text(WsvStatus status);

#endif /* WEIR_CORE_CSV_H */
