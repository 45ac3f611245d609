/*
 * catalog/place.h
 *		A place in a topic, as users write it: where a view begins, or ends.
 *
 *		earliest, latest
 *		2024-05-01 12:00+02			the first message that is not before it
 *		-1 hour, 2 days ago			the same, counted back from now
 *		{"0": 17, "1": 4}			offsets by partition
 */
#ifndef WEIR_CATALOG_PLACE_H
#define WEIR_CATALOG_PLACE_H

#include "base/weir.h"

#include "utils/timestamp.h"

/* Partitions that can be named; Kafka has never been seen with as many. */
#define PLACE_MAX_PARTITIONS 100000

typedef enum PlaceKind
{
	PLACE_EARLIEST,
	PLACE_LATEST,
	PLACE_TIME,
	PLACE_OFFSETS
} PlaceKind;

typedef struct Place
{
	PlaceKind kind;
	TimestampTz time;
	int noffsets;   /* one more than the last partition that is named */
	int64 *offsets; /* by partition; -1: not named */
} Place;

/*
 * Read what a user wrote, times by the session's settings, intervals counted
 * from the transaction's start.  Returns NULL, or a sentence that says why it is
 * none; raises where a time or JSON is malformed.
 */
extern const char *weir_place_parse(const char *text, Place *place);
/*
 * The same, as it is kept and read again by whoever and whenever: times are in
 * UTC, intervals have become times.  Raises when it is none; what: an argument's
 * name.
 */
extern char *weir_place_normal(const char *what, const char *text);
/* Read what weir_place_normal has made. */
extern void weir_place_read(const char *kept, Place *place);
/*
 * Does it say where to begin (end) in each of so many partitions, and in no
 * other?  NULL, or why not (palloc'ed).
 */
extern char *weir_place_misfit(const Place *place, int npartitions);

#endif /* WEIR_CATALOG_PLACE_H */
