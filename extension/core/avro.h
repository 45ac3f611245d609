/*
 * avro.h
 *		Avro's binary encoding: a schema, compiled into a program that takes the
 *		values of a fixed set of paths out of a datum and steps over the rest.
 *
 *		av_schema_parse -> av_program_new, av_program_add ... -> av_scan
 *
 * The writer's schema alone is used; which of its fields are wanted is said by
 * name, so schemas may evolve as they like.  A union stands for the value of its
 * branch: a path goes on through the branches that are records, and is missing
 * where another branch was written.
 *
 * av_scan checks all of the datum, wanted or not: each length and each branch,
 * that strings are UTF-8, and that the datum ends where the schema says.  What
 * it finds points into the datum; nothing is copied, allocated or locked.
 *
 * Schemas and programs are read only once they are made.  Plain C11, but for the
 * parser of schemas, which uses jansson.  Called by decoders in ingest workers
 * and backends, by tests and fuzzers.
 */
#ifndef WEIR_CORE_AVRO_H
#define WEIR_CORE_AVRO_H

#include "core/json.h"

typedef enum AvType
{
	AV_MISSING = 0, /* of a value: the datum has none */
	AV_NULL,
	AV_BOOLEAN,
	AV_INT,
	AV_LONG,
	AV_FLOAT,
	AV_DOUBLE,
	AV_BYTES,
	AV_STRING,
	AV_FIXED,
	AV_ENUM,
	AV_RECORD,
	AV_ARRAY,
	AV_MAP,
	AV_UNION
} AvType;

typedef enum AvLogical
{
	AV_PLAIN = 0,
	AV_DATE,      /* int: days since 1970 */
	AV_TIME,      /* int, long: units since midnight */
	AV_TIMESTAMP, /* long: units since 1970, UTC */
	AV_LOCAL,     /* long: the same without a zone */
	AV_DECIMAL,   /* bytes, fixed: two's complement, big-endian, / 10^scale */
	AV_UUID,      /* string, or fixed of 16 bytes */
	AV_DURATION   /* fixed: months, days, milliseconds; little-endian */
} AvLogical;

/* A type of a schema; records, enums and fixed ones may be used again below. */
typedef struct AvNode
{
	AvType type;
	AvLogical logical;
	uint32_t size;            /* bytes of a fixed */
	int per_second;           /* units of a time: 1000, 1000000 or 1000000000 */
	int scale;                /* of a decimal */
	int n;                    /* fields, symbols, branches, or the one item */
	struct AvNode **children; /* fields, branches, item; NULL for symbols */
	const char **names;       /* of fields and symbols */
	const char *name;         /* full name, or NULL */
} AvNode;

/* A value of a datum, where its type is not a union. */
typedef struct AvValue
{
	const AvNode *node; /* NULL: missing */
	const char *ptr; /* bytes, string, fixed: contents; record, array, map: all */
	uint32_t len;
	union
	{
		int64_t i; /* boolean, int, long, enum */
		double d;  /* float, double */
	};
} AvValue;

typedef enum AvStatus
{
	AV_OK = 0,
	AV_ERR_END,      /* the datum ends too early */
	AV_ERR_TRAILING, /* something follows it */
	AV_ERR_VARINT,   /* longer than its type allows */
	AV_ERR_LENGTH,   /* negative */
	AV_ERR_BRANCH,   /* a union has no such branch */
	AV_ERR_SYMBOL,   /* an enum has no such symbol */
	AV_ERR_BOOLEAN,  /* neither 0 nor 1 */
	AV_ERR_UTF8,
	AV_ERR_DEPTH,   /* nested deeper than AV_MAX_DEPTH */
	AV_ERR_ITEMS,   /* too many items that take no room */
	AV_ERR_TOO_LONG /* 4 GB or more; of text: AV_MAX_TEXT or more */
} AvStatus;

#define AV_MAX_DEPTH 64
#define AV_MAX_TEXT  (1 << 28)

/*
 * A schema from its JSON, or NULL with a reason in err.  Memory is alloc's, as
 * for wj_paths_new.
 */
extern AvNode *av_schema_parse(const char *json, size_t len, WjAlloc alloc,
							   void *arg, char *err, size_t errlen);

typedef struct AvProgram AvProgram;

/* Wants nothing yet; NULL when out of memory. */
extern AvProgram *av_program_new(const AvNode *schema, WjAlloc alloc, void *arg);

#define AV_NO_FIELD (-1) /* the schema has no such field */
#define AV_BAD_PATH (-2) /* see *err */

/*
 * Adds a path, as wj_paths_add: dots between names of fields, quotes around names
 * that have dots; but not through arrays and maps.  Returns the number of its
 * value.  literal: the whole is one name, or any name if the schema is no record.
 */
extern int av_program_add(AvProgram *program, const char *path, bool literal,
						  const char **err);
extern int av_program_count(const AvProgram *program);

/* values[] has one entry per path.  On error *errpos is where. */
extern AvStatus av_scan(const AvProgram *program, const char *buf, size_t len,
						AvValue *values, size_t *errpos);
extern const char *av_status_text(AvStatus status);

/*
 * A value that av_scan found, as text; or as JSON, which differs for strings and
 * the like by quotes and escapes.  Numbers are JSON's; bytes are \x and
 * hexadecimal digits; times are ISO 8601; a union is its value.  out may be NULL,
 * to ask for the length first.  -1: AV_MAX_TEXT or more, or a decimal of over 256
 * bytes.
 */
extern int64_t av_text(const AvValue *value, bool json, char *out);

/* --- between the files of avro*.c ------------------------------------------ */

/* Where a datum is read. */
typedef struct AvCursor
{
	const char *p;
	const char *end;
	AvStatus status;
	uint32_t spare; /* items and fields without room that may still come */
} AvCursor;

extern bool av_read_varint(AvCursor *c, int64_t *value);
/* Reads a value that is no union; a union's branch; steps over any. */
extern bool
av_read_value(AvCursor *c, const AvNode *node, AvValue *v, int depth);
extern const AvNode *
av_read_branch(AvCursor *c, const AvNode *node, int *branch);
extern bool av_skip(AvCursor *c, const AvNode *node, int depth);
/* The number of items in the next block of an array or map, 0 at its end. */
extern bool av_read_block(AvCursor *c, int64_t *n);
/* An item ends here that began at start. */
extern bool av_end_item(AvCursor *c, const char *start);

#endif /* WEIR_CORE_AVRO_H */
