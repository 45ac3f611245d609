/*
 * exec/key.h
 *		Grouping keys as byte images (pane.h draws them): building, hashing,
 *		comparing, reading back.
 */
#ifndef WEIR_EXEC_KEY_H
#define WEIR_EXEC_KEY_H

#include "base/weir.h"

#include "plan/plan.h"

typedef struct KeyCodec
{
	int nkeys;
	const KeySpec *keys;
	FmgrInfo *hash;
	FmgrInfo *equal;
	bool bitwise;          /* all keys are */
	MemoryContext scratch; /* for values rebuilt to be compared */
} KeyCodec;

/* A buffer that images are built in, one after the other. */
typedef struct KeyBuffer
{
	char *data;
	size_t used;
	size_t size;
	MemoryContext cxt;
} KeyBuffer;

extern KeyCodec *weir_key_codec(const ViewPlan *plan, MemoryContext cxt);
extern KeyCodec *
weir_key_codec_of(const KeySpec *keys, int nkeys, MemoryContext cxt);
/* Append the image of the values; returns its length.  May raise, allocates. */
extern uint32 weir_key_build(const KeyCodec *codec, const Datum *values,
							 const bool *nulls, KeyBuffer *buf);
/* May raise (a type's own hash function). */
extern uint64
weir_key_hash(const KeyCodec *codec, const char *image, uint32 len);
/* KeyEqual of pane.h; arg is the codec.  May raise. */
extern bool weir_key_equal(void *arg, const char *a, uint32 alen, const char *b,
						   uint32 blen);
/* By-reference values are palloc'ed in the current context. */
extern void weir_key_values(const KeyCodec *codec, const char *image,
							Datum *values, bool *nulls);
/* Does the image have the shape the codec expects?  For data from disk. */
extern bool weir_key_valid(const KeyCodec *codec, const char *image, uint32 len);

#endif /* WEIR_EXEC_KEY_H */
