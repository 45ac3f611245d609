/*
 * exec/valueset.h
 *		A set of values, or of combinations of values: what DISTINCT needs.
 *
 * Its kept form is a varlena: a uint32 number of elements, and for each of them
 * a uint32 length and a key image (pane.h), unaligned.  That is also how the
 * elements lie in memory, beside an index of hashes, which are never kept.
 */
#ifndef WEIR_EXEC_VALUESET_H
#define WEIR_EXEC_VALUESET_H

#include "base/weir.h"

#include "exec/key.h"

typedef struct ValueSet ValueSet;

/* An empty set; all memory in cxt. */
extern ValueSet *weir_valueset_new(const KeyCodec *codec, MemoryContext cxt);
/* Add a combination of values, if it is new; returns its number, from 0. */
extern uint32
weir_valueset_add(ValueSet *set, const Datum *values, const bool *nulls);
/* The same from an image. */
extern uint32
weir_valueset_add_image(ValueSet *set, const char *image, uint32 len);
/* Add the elements of a set in its kept form. */
extern void weir_valueset_unite(ValueSet *set, const struct varlena *kept);
/* The kept form; it belongs to the set, and lives until something is added. */
extern struct varlena *weir_valueset_flat(ValueSet *set);

extern void weir_valueset_free(ValueSet *set);
/* Number of elements, and the image of one of them. */
extern uint32 weir_valueset_size(const ValueSet *set);
extern const char *
weir_valueset_image(const ValueSet *set, uint32 number, uint32 *len);

/* The number of elements of a kept set. */
extern uint32 weir_valueset_count(const struct varlena *kept);
/*
 * Its elements one after the other: *at = 0 first; NULL at the end, else the
 * image and its length.
 */
extern const char *
weir_valueset_next(const struct varlena *kept, size_t *at, uint32 *len);

#endif /* WEIR_EXEC_VALUESET_H */
