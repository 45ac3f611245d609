/*
 * exec/key.c
 *		Grouping keys as byte images (see key.h).
 *
 * Ingest workers build and look up; coordinator and readers merge and read
 * back.  Keys whose equality is not that of their bytes (floats, numeric,
 * nondeterministic collations ...) are hashed and compared by their type's own
 * functions, with the view's collation.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "core/hash.h"
#include "exec/key.h"
#include "utils/memutils.h"

KeyCodec *
weir_key_codec_of(const KeySpec *keys, int nkeys, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	KeyCodec *c = palloc0(sizeof(KeyCodec));

	c->nkeys = nkeys;
	c->keys = keys;
	c->hash = palloc0(sizeof(FmgrInfo) * Max(nkeys, 1));
	c->equal = palloc0(sizeof(FmgrInfo) * Max(nkeys, 1));
	c->bitwise = true;
	c->scratch = AllocSetContextCreate(cxt, "weir keys", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < nkeys; i++)
	{
		if (keys[i].bitwise)
			continue;
		c->bitwise = false;
		fmgr_info_cxt(keys[i].hash_proc, &c->hash[i], cxt);
		fmgr_info_cxt(keys[i].eq_proc, &c->equal[i], cxt);
	}
	MemoryContextSwitchTo(old);
	return c;
}

KeyCodec *
weir_key_codec(const ViewPlan *plan, MemoryContext cxt)
{
	return weir_key_codec_of(plan->keys, plan->nkeys, cxt);
}

static inline char *
buffer_room(KeyBuffer *buf, size_t need)
{
	if (buf->size - buf->used < need)
	{
		buf->size = Max(buf->size * 2, buf->used + need + 1024);
		buf->data = buf->data ? repalloc_huge(buf->data, buf->size)
							  : MemoryContextAllocHuge(buf->cxt, buf->size);
	}
	return buf->data + buf->used;
}

static uint32
append_varlena(Datum value, KeyBuffer *buf)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(value);
	uint32 len = VARSIZE_ANY_EXHDR(v);
	char *p = buffer_room(buf, len + 5);

	*p = 0;
	memcpy(p + 1, &len, 4);
	memcpy(p + 5, VARDATA_ANY(v), len);
	buf->used += len + 5;
	return len + 5;
}

uint32
weir_key_build(const KeyCodec *codec, const Datum *values, const bool *nulls,
			   KeyBuffer *buf)
{
	uint32 total = 0;

	for (int i = 0; i < codec->nkeys; i++)
	{
		const KeySpec *k = &codec->keys[i];
		char *p;
		uint32 len;

		if (!nulls[i] && k->typlen == -1)
		{
			total += append_varlena(values[i], buf);
			continue;
		}
		if (nulls[i])
			len = 0;
		else if (k->typbyval)
			len = sizeof(Datum);
		else if (k->typlen == -2)
			len = strlen(DatumGetCString(values[i])) + 1;
		else
			len = k->typlen;
		p = buffer_room(buf, len + 1);
		*p = nulls[i];
		if (len > 0)
			memcpy(p + 1,
				   k->typbyval ? (const void *) &values[i]
							   : DatumGetPointer(values[i]),
				   len);
		buf->used += len + 1;
		total += len + 1;
	}
	return total;
}

/* Bytes of one key's part of an image, its NULL byte included. */
static uint32
part_len(const KeySpec *k, const char *p)
{
	uint32 len;

	if (*p)
		return 1;
	if (k->typlen == -1)
	{
		memcpy(&len, p + 1, 4);
		return len + 5;
	}
	if (k->typbyval)
		return 1 + sizeof(Datum);
	return 1 + (k->typlen == -2 ? strlen(p + 1) + 1 : k->typlen);
}

static Datum
part_value(const KeySpec *k, const char *p)
{
	Datum value;
	uint32 len;
	char *copy;

	if (k->typbyval)
	{
		memcpy(&value, p + 1, sizeof(Datum));
		return value;
	}
	if (k->typlen == -1)
	{
		memcpy(&len, p + 1, 4);
		copy = palloc(len + VARHDRSZ);
		SET_VARSIZE(copy, len + VARHDRSZ);
		memcpy(VARDATA(copy), p + 5, len);
		return PointerGetDatum(copy);
	}
	len = part_len(k, p) - 1;
	copy = palloc(len);
	memcpy(copy, p + 1, len);
	return PointerGetDatum(copy);
}

uint64
weir_key_hash(const KeyCodec *codec, const char *image, uint32 len)
{
	const char *p = image;
	uint64 h = 0;
	MemoryContext old;

	if (codec->bitwise)
		return wh_hash(image, len, 0);

	old = MemoryContextSwitchTo(codec->scratch);
	for (int i = 0; i < codec->nkeys; i++)
	{
		const KeySpec *k = &codec->keys[i];
		uint32 n = part_len(k, p);

		if (*p || k->bitwise)
			h = wh_hash(p, n, h);
		else
		{
			Datum v = FunctionCall1Coll(&codec->hash[i], k->collation,
										part_value(k, p));

			h = wh_mix(h ^ UINT64CONST(0x9E3779B97F4A7C15),
					   (uint64) v | (UINT64CONST(1) << 63));
		}
		p += n;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(codec->scratch);
	return h;
}

bool
weir_key_equal(void *arg, const char *a, uint32 alen, const char *b, uint32 blen)
{
	const KeyCodec *codec = arg;
	bool equal = true;
	MemoryContext old;

	if (codec->bitwise)
		return alen == blen && memcmp(a, b, alen) == 0;

	old = MemoryContextSwitchTo(codec->scratch);
	for (int i = 0; i < codec->nkeys && equal; i++)
	{
		const KeySpec *k = &codec->keys[i];
		uint32 an = part_len(k, a);
		uint32 bn = part_len(k, b);

		if (*a || *b || k->bitwise)
			equal = an == bn && memcmp(a, b, an) == 0;
		else
			equal = DatumGetBool(
				FunctionCall2Coll(&codec->equal[i], k->collation,
								  part_value(k, a), part_value(k, b)));
		a += an;
		b += bn;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(codec->scratch);
	return equal;
}

void
weir_key_values(const KeyCodec *codec, const char *image, Datum *values,
				bool *nulls)
{
	for (int i = 0; i < codec->nkeys; i++)
	{
		const KeySpec *k = &codec->keys[i];

		nulls[i] = *image;
		values[i] = nulls[i] ? (Datum) 0 : part_value(k, image);
		image += part_len(k, image);
	}
}

bool
weir_key_valid(const KeyCodec *codec, const char *image, uint32 len)
{
	uint32 at = 0;

	for (int i = 0; i < codec->nkeys; i++)
	{
		const KeySpec *k = &codec->keys[i];
		uint32 need;

		if (at >= len)
			return false;
		if (image[at])
			need = 1;
		else if (k->typlen == -1)
			need = 5;
		else if (k->typlen == -2)
			return memchr(image + at, 0, len - at) != NULL;
		else
			need = 1 + (k->typbyval ? sizeof(Datum) : k->typlen);
		if (len - at < need || len - at < part_len(k, image + at))
			return false;
		at += part_len(k, image + at);
	}
	return at == len;
}
