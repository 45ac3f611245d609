/*
 * json.h
 *		Strict RFC 8259 scanner that projects a fixed set of paths out of a
 *		message without building a tree.
 *
 * A set of paths is compiled once (wj_paths_new, wj_paths_add) and is only
 * read afterwards, so any number of threads or processes may scan with it.
 * wj_scan then goes over each message once: it checks ALL of it, used or not,
 * and notes where the values of the paths lie.  Values point into the message;
 * nothing is copied, nothing is allocated and no lock is taken.
 *
 * Plain C11.  Called by the decoder in ingest workers and in backends, and by
 * the tests and fuzzers.
 */
#ifndef WEIR_CORE_JSON_H
#define WEIR_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Containers may nest this deep; one more is WJ_ERR_DEPTH. */
#define WJ_MAX_DEPTH 512

/* A path may have this many steps, and a set this many paths. */
#define WJ_MAX_STEPS 64
#define WJ_MAX_PATHS 32767

typedef enum WjType
{
	WJ_MISSING = 0,
	WJ_NULL,
	WJ_TRUE,
	WJ_FALSE,
	WJ_NUMBER,
	WJ_STRING,
	WJ_OBJECT,
	WJ_ARRAY
} WjType;

/*
 * Where a value lies in the message.  ptr is the text of a number or literal,
 * the contents of a string without its quotes, or the whole text of an object
 * or array with its brackets.  Undefined ptr and len when WJ_MISSING.
 */
typedef struct WjValue
{
	const char *ptr;
	uint32_t len; /* bytes */
	uint8_t type; /* WjType */
	bool escaped; /* string with at least one backslash: wj_unescape */
} WjValue;

typedef enum WjStatus
{
	WJ_OK = 0,
	WJ_ERR_EMPTY,     /* nothing, or only white space */
	WJ_ERR_SYNTAX,    /* a character that may not stand here */
	WJ_ERR_END,       /* the message ends too early */
	WJ_ERR_NUMBER,    /* 01, 1., .5, 1e, -, +1 ... */
	WJ_ERR_CONTROL,   /* raw control character in a string */
	WJ_ERR_ESCAPE,    /* \x, \u12 ... */
	WJ_ERR_SURROGATE, /* half of a surrogate pair */
	WJ_ERR_UTF8,      /* overlong, surrogate, cut, above U+10FFFF */
	WJ_ERR_DEPTH,     /* nested deeper than WJ_MAX_DEPTH */
	WJ_ERR_TRAILING,  /* something follows the value */
	WJ_ERR_TOO_LONG   /* 4 GB or more */
} WjStatus;

/* A compiled set of paths: a trie. */
typedef struct WjPaths WjPaths;

/* What the keys of the next message will be, learned from those before it. */
typedef struct WjGuess WjGuess;

/*
 * Gets size bytes, aligned for any type, or returns NULL (or does not return,
 * as palloc).  What it hands out is never freed piecemeal: use a memory
 * context or an arena that is dropped as a whole, after the last scan.
 */
typedef void *(*WjAlloc)(size_t size, void *arg);

/* An empty set, or NULL when out of memory. */
extern WjPaths *wj_paths_new(WjAlloc alloc, void *arg);

/*
 * Adds a path, a NUL-terminated string in UTF-8, and returns its number: 0 for
 * the first and so on.  A path that is there already keeps its number.
 *
 * literal: the whole string is one key of the top-level object.  Otherwise
 * steps are separated by dots: user.address.city, items[0].price,
 * a."key.with.dot" (in quotes, \" and \\ stand for " and \), and [0].x for a
 * message that is an array.
 *
 * Returns -1 when the path is malformed, or a limit is reached, or memory is
 * out, with a reason in *err (static, lower case, no full stop); the set is
 * then still good, without that path.
 */
extern int
wj_paths_add(WjPaths *paths, const char *path, bool literal, const char **err);

/* The number of distinct paths, which is the length of values[] below. */
extern int wj_paths_count(const WjPaths *paths);

/*
 * A guess to scan with, or NULL when out of memory.  It belongs to this set,
 * with all its paths added, and to one thread.
 */
extern WjGuess *wj_guess_new(const WjPaths *paths);

/*
 * Scans one message of len bytes; no terminator is needed and no byte beyond
 * is read.  values[] has one entry per path, WJ_MISSING where absent.
 *
 * Of duplicate keys the last wins, as in jsonb; it also resets the paths below
 * it.  The top level may be any JSON value.  A key written with escapes is the
 * same key.  Lone surrogates are an error; \u0000 is not (see wj_unescape).
 *
 * guess, which may be NULL, makes it faster where messages are alike, and never
 * changes what it finds.
 *
 * On error *errpos is the byte offset of the offending character (or len, if
 * the message ends early) and values[] is undefined.  errpos may be NULL.
 */
extern WjStatus wj_scan(const WjPaths *paths, WjGuess *guess, const char *buf,
						size_t len, WjValue *values, size_t *errpos);

/* Why, for a message: lower case, no full stop. */
extern const char *wj_status_text(WjStatus status);

/*
 * Decodes the escapes of a string that wj_scan has accepted.  dst has room for
 * len bytes and does not overlap src; nothing is terminated.  Returns the
 * length, or -1 when the text contains \u0000, which PostgreSQL's text cannot
 * hold.
 */
extern int64_t wj_unescape(const char *src, size_t len, char *dst);

/*
 * Parsers for the text of a number that wj_scan has accepted (a WJ_NUMBER).
 * For any other text, such as a string's contents, ask wj_is_number first.
 *
 * wj_int64: false when there is a fraction or an exponent (even 1.0 and 1e2)
 * or the value is out of range; the caller then goes the slow way.
 *
 * wj_double: always correctly rounded, false only when the value is too large
 * for a double.  What is too small becomes a denormal or zero (float8in raises
 * an error there: the caller may want to look at *out == 0).  -0 is -0.0.
 */
extern bool wj_int64(const char *p, size_t len, int64_t *out);
extern bool wj_double(const char *p, size_t len, double *out);

/* Whether all of the text is one number by JSON's grammar. */
extern bool wj_is_number(const char *p, size_t len);

#endif /* WEIR_CORE_JSON_H */
