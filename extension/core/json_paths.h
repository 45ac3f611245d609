/*
 * json_paths.h
 *		The trie behind WjPaths; for json.c and json_paths.c only.
 *
 * A node is a place in a message.  The root is the message itself; a node's
 * keys are the object keys below it that some path goes through, its items the
 * array elements.  A message's keys mostly match nothing, so what has to be
 * fast is to say no: slots is a hash table, a quarter full at most, over a
 * fingerprint of the key that takes a few loads and one multiplication.
 */
#ifndef WEIR_CORE_JSON_PATHS_H
#define WEIR_CORE_JSON_PATHS_H

#include "core/json.h"

#include <string.h>

typedef struct WjNode WjNode;

/*
 * A key in a few words.  For keys of up to 16 bytes, equal length, a and b
 * mean equal keys.
 */
typedef struct WjPrint
{
	uint64_t a;
	uint64_t b;
} WjPrint;

typedef struct WjKey
{
	WjPrint print;
	size_t len;
	const char *text;
	WjNode *node;
} WjKey;

typedef struct WjItem
{
	uint32_t index;
	WjNode *node;
} WjItem;

struct WjNode
{
	int path; /* the path that ends here, or -1 */
	int nkeys;
	int nitems;
	int nbelow;
	WjKey *keys;
	uint16_t *slots; /* 1 + number of a key, 0 when empty */
	uint32_t mask;   /* number of slots - 1, or 0 without slots */
	WjItem *items;   /* by index, ascending */
	int *below;      /* the paths that go through here and on */
	int key_room;    /* allocated entries of the arrays */
	int item_room;
	int below_room;
};

struct WjPaths
{
	WjNode root;
	int npaths;
	WjAlloc alloc;
	void *arg;
};

static inline WjPrint
wj_print(const char *p, size_t len)
{
	WjPrint r = {0, 0};

	if (len >= 8)
	{
		memcpy(&r.a, p, 8);
		memcpy(&r.b, p + len - 8, 8);
		if (len > 16)
		{
			uint64_t c;
			uint64_t d;

			memcpy(&c, p + 8, 8);
			memcpy(&d, p + len - 16, 8);
			r.a ^= c << 7 | c >> 57;
			r.b ^= d << 7 | d >> 57;
		}
	}
	else if (len >= 4)
	{
		uint32_t lo;
		uint32_t hi;

		memcpy(&lo, p, 4);
		memcpy(&hi, p + len - 4, 4);
		r.a = lo;
		r.b = hi;
	}
	else if (len > 0)
		r.a = (uint64_t) (unsigned char) p[0] |
			  (uint64_t) (unsigned char) p[len >> 1] << 8 |
			  (uint64_t) (unsigned char) p[len - 1] << 16;
	return r;
}

/* Where in a table of mask + 1 slots a key belongs. */
static inline uint32_t
wj_slot(WjPrint print, size_t len, uint32_t mask)
{
	uint64_t h = (print.a ^ (print.b << 29 | print.b >> 35)) + len;

	h *= UINT64_C(0x9E3779B97F4A7C15);
	h ^= h >> 32;
	return (uint32_t) (h ^ h >> 15) & mask;
}

/* The node below an object for a key without escapes, or NULL. */
static inline const WjNode *
wj_find_key(const WjNode *node, const char *p, size_t len)
{
	WjPrint print = wj_print(p, len);
	uint32_t slot = wj_slot(print, len, node->mask);

	for (; node->slots[slot] != 0; slot = (slot + 1) & node->mask)
	{
		const WjKey *key = &node->keys[node->slots[slot] - 1];

		if (key->len == len && key->print.a == print.a &&
			key->print.b == print.b &&
			(len <= 16 || memcmp(key->text, p, len) == 0))
			return key->node;
	}
	return NULL;
}

#endif /* WEIR_CORE_JSON_PATHS_H */
