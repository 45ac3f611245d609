/*
 * exec/valueset.c
 *		A set of values (see valueset.h).
 *
 * Ingest workers add to it, coordinators and backends unite such sets and read
 * them.  Private memory; no locks; may raise, also by the types' own functions
 * for hash and equality.
 */
#include "exec/valueset.h"

#include "utils/memutils.h"

#define FIRST_ELEMENTS 16
/*
 * So much may be added to by steps, each of which can be refused; and so much united
 * from that, of the shards of a group and of the panes of a window.
 */
#define MAX_SET        (64 * 1024 * 1024)
#define MAX_UNITED     (512 * 1024 * 1024)
#define HEADER         (VARHDRSZ + sizeof(uint32))

/* An entry of the index; open addressing. */
typedef struct Slot
{
	uint32 hash;   /* lower half */
	uint32 number; /* of the element + 1; 0: free */
} Slot;

struct ValueSet
{
	const KeyCodec *codec;
	MemoryContext cxt;
	KeyBuffer image; /* of the element that is added */
	char *kept;      /* the kept form but for its header */
	size_t used;
	size_t size;
	uint32 *at; /* where each element's length is in the kept form */
	uint32 n;
	uint32 capacity;
	Slot *index;
	uint32 mask;
};

ValueSet *
weir_valueset_new(const KeyCodec *codec, MemoryContext cxt)
{
	ValueSet *set = MemoryContextAllocZero(cxt, sizeof(ValueSet));

	set->codec = codec;
	set->cxt = cxt;
	set->image.cxt = cxt;
	set->size = 128;
	set->kept = MemoryContextAlloc(cxt, set->size);
	set->used = HEADER;
	set->capacity = FIRST_ELEMENTS;
	set->at = MemoryContextAlloc(cxt, sizeof(uint32) * set->capacity);
	set->mask = FIRST_ELEMENTS * 2 - 1;
	set->index = MemoryContextAllocZero(cxt, sizeof(Slot) * (set->mask + 1));
	return set;
}

void
weir_valueset_free(ValueSet *set)
{
	if (set->image.data)
		pfree(set->image.data);
	pfree(set->kept);
	pfree(set->at);
	pfree(set->index);
	pfree(set);
}

static inline uint32
length_at(const char *kept, size_t at)
{
	uint32 len;

	memcpy(&len, kept + at, sizeof(len));
	return len;
}

static void
index_put(ValueSet *set, uint32 hash, uint32 number)
{
	uint32 i = hash & set->mask;

	while (set->index[i].number != 0)
		i = (i + 1) & set->mask;
	set->index[i].hash = hash;
	set->index[i].number = number;
}

static void
grow(ValueSet *set)
{
	Slot *old = set->index;
	uint32 size = set->mask + 1;

	set->capacity *= 2;
	set->at = repalloc_huge(set->at, sizeof(uint32) * (Size) set->capacity);
	set->mask = set->capacity * 2 - 1;
	set->index = MemoryContextAllocExtended(set->cxt,
											sizeof(Slot) * ((Size) set->mask + 1),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < size; i++)
		if (old[i].number != 0)
			index_put(set, old[i].hash, old[i].number);
	pfree(old);
}

/* The number of the element + 1, or 0. */
static uint32
find(const ValueSet *set, uint32 hash, const char *image, uint32 len)
{
	uint32 i = hash & set->mask;

	for (; set->index[i].number != 0; i = (i + 1) & set->mask)
	{
		const Slot *slot = &set->index[i];
		size_t at = set->at[slot->number - 1];

		if (slot->hash == hash &&
			weir_key_equal(unconstify(KeyCodec *, set->codec),
						   set->kept + at + sizeof(uint32),
						   length_at(set->kept, at), image, len))
			return slot->number;
	}
	return 0;
}

/* A set is kept as one value, and copied as a whole. */
static void
check_size(const ValueSet *set, uint32 len, size_t max)
{
	if (set->used + len > max)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg(
					 "a group of a continuous view has too many different values"),
				 errdetail("Their set would take more than %d MB.",
						   (int) (max / 1024 / 1024)),
				 errhint(
					 "Create the view anew, grouped by more keys or by smaller windows, or with an aggregate that estimates, such as hll's.")));
}

static uint32
add(ValueSet *set, const char *image, uint32 len, size_t max)
{
	uint32 hash = (uint32) weir_key_hash(set->codec, image, len);
	uint32 found = find(set, hash, image, len);

	if (found > 0)
		return found - 1;
	check_size(set, len, max);
	if (set->n == set->capacity)
		grow(set);
	if (set->size - set->used < len + sizeof(len))
	{
		set->size = Max(set->size * 2, set->used + len + sizeof(len));
		set->kept = repalloc_huge(set->kept, set->size);
	}
	set->at[set->n] = (uint32) set->used;
	memcpy(set->kept + set->used, &len, sizeof(len));
	memcpy(set->kept + set->used + sizeof(len), image, len);
	set->used += sizeof(len) + len;
	index_put(set, hash, ++set->n);
	return set->n - 1;
}

uint32
weir_valueset_add_image(ValueSet *set, const char *image, uint32 len)
{
	return add(set, image, len, MAX_SET);
}

uint32
weir_valueset_add(ValueSet *set, const Datum *values, const bool *nulls)
{
	uint32 len;

	set->image.used = 0;
	len = weir_key_build(set->codec, values, nulls, &set->image);
	return weir_valueset_add_image(set, set->image.data, len);
}

void
weir_valueset_unite(ValueSet *set, const struct varlena *kept)
{
	const char *image;
	size_t at = 0;
	uint32 len;

	while ((image = weir_valueset_next(kept, &at, &len)) != NULL)
		(void) add(set, image, len, MAX_UNITED);
}

uint32
weir_valueset_size(const ValueSet *set)
{
	return set->n;
}

const char *
weir_valueset_image(const ValueSet *set, uint32 number, uint32 *len)
{
	size_t at = set->at[number];

	*len = length_at(set->kept, at);
	return set->kept + at + sizeof(uint32);
}

struct varlena *
weir_valueset_flat(ValueSet *set)
{
	SET_VARSIZE(set->kept, set->used);
	memcpy(set->kept + VARHDRSZ, &set->n, sizeof(set->n));
	return (struct varlena *) set->kept;
}

uint32
weir_valueset_count(const struct varlena *kept)
{
	return length_at((const char *) kept, VARHDRSZ);
}

const char *
weir_valueset_next(const struct varlena *kept, size_t *at, uint32 *len)
{
	const char *base = (const char *) kept;
	const char *image;

	if (*at == 0)
		*at = HEADER;
	if (*at >= VARSIZE(kept))
		return NULL;
	*len = length_at(base, *at);
	image = base + *at + sizeof(uint32);
	*at += sizeof(uint32) + *len;
	return image;
}
