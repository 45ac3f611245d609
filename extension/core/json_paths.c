/*
 * json_paths.c
 *		Compiles paths into the trie that wj_scan reads, see json_paths.h.
 *
 * Called when a stream's decoder is set up, by one process or thread at a
 * time.  All memory comes from the caller's WjAlloc and is left to it: an array
 * that grows leaves its old self behind.  An addition first parses, then gets
 * all the memory it needs, then changes: when it fails, the set is as it was,
 * but for nodes that no path ends at, which do nothing.
 */
#include "core/json_paths.h"

/* One step of a path that is being added. */
typedef struct Step
{
	const char *text; /* of a key; NULL for an array element */
	size_t len;
	uint32_t index;
} Step;

static const char *const no_memory = "out of memory";

WjPaths *
wj_paths_new(WjAlloc alloc, void *arg)
{
	WjPaths *paths = alloc(sizeof(WjPaths), arg);

	if (paths == NULL)
		return NULL;
	memset(paths, 0, sizeof(*paths));
	paths->root.path = -1;
	paths->alloc = alloc;
	paths->arg = arg;
	return paths;
}

int
wj_paths_count(const WjPaths *paths)
{
	return paths->npaths;
}

/* A key in quotes, decoded in place; *pp is at the opening quote. */
static const char *
parse_quoted(char **pp, Step *step)
{
	char *p = *pp + 1;
	char *dst = p;

	step->text = p;
	for (; *p != '"'; p++)
	{
		if (*p == '\0')
			return "quote without an end";
		if (*p == '\\')
		{
			p++;
			if (*p != '"' && *p != '\\')
				return "unknown escape between quotes";
		}
		*dst++ = *p;
	}
	step->len = (size_t) (dst - step->text);
	*pp = p + 1;
	return NULL;
}

/* An element in brackets; *pp is at the opening bracket. */
static const char *
parse_index(char **pp, Step *step)
{
	char *p = *pp + 1;
	uint64_t index = 0;

	if (*p < '0' || *p > '9')
		return "array index expected";
	for (; *p >= '0' && *p <= '9'; p++)
	{
		index = index * 10 + (uint64_t) (*p - '0');
		if (index >= UINT32_MAX)
			return "array index is too large";
	}
	if (*p != ']')
		return "closing bracket expected";
	step->text = NULL;
	step->index = (uint32_t) index;
	*pp = p + 1;
	return NULL;
}

/* A key, with or without quotes, at *pp. */
static const char *
parse_key(char **pp, Step *step)
{
	if (**pp == '"')
		return parse_quoted(pp, step);
	step->text = *pp;
	step->len = strcspn(*pp, ".[]\"");
	*pp += step->len;
	return step->len == 0 ? "key expected" : NULL;
}

/*
 * Splits a path, which it overwrites, into steps.  Returns NULL, or what is
 * wrong.
 */
static const char *
parse_path(char *path, Step *steps, int *nsteps)
{
	char *p = path;
	int n = 0;

	do
	{
		const char *err;

		if (n == WJ_MAX_STEPS)
			return "path has too many steps";
		if (*p == '[')
			err = parse_index(&p, &steps[n]);
		else
		{
			if (n > 0 && *p++ != '.')
				return "dot or bracket expected";
			err = parse_key(&p, &steps[n]);
		}
		if (err)
			return err;
		n++;
	} while (*p != '\0');
	*nsteps = n;
	return NULL;
}

/*
 * Makes room for one more entry in an array of n, which may move.  False when
 * out of memory.
 */
static bool
reserve(WjPaths *paths, void **array, int n, int *room, size_t size)
{
	int more = n == 0 ? 4 : n * 2;
	void *bigger;

	if (n < *room)
		return true;
	bigger = paths->alloc((size_t) more * size, paths->arg);
	if (bigger == NULL)
		return false;
	if (n > 0)
		memcpy(bigger, *array, (size_t) n * size);
	*array = bigger;
	*room = more;
	return true;
}

static WjNode *
new_node(WjPaths *paths)
{
	WjNode *node = paths->alloc(sizeof(WjNode), paths->arg);

	if (node == NULL)
		return NULL;
	memset(node, 0, sizeof(*node));
	node->path = -1;
	return node;
}

static void
fill_slot(WjNode *node, int key)
{
	const WjKey *k = &node->keys[key];
	uint32_t slot = wj_slot(k->print, k->len, node->mask);

	while (node->slots[slot] != 0)
		slot = (slot + 1) & node->mask;
	node->slots[slot] = (uint16_t) (key + 1);
}

/* Keeps the slots at most a quarter full with one key more. */
static bool
reserve_slots(WjPaths *paths, WjNode *node)
{
	uint32_t n = node->mask + 1;
	uint16_t *slots;

	if (node->slots && (uint32_t) node->nkeys + 1 <= n / 4)
		return true;
	n = node->slots ? n * 2 : 16;
	slots = paths->alloc(n * sizeof(*slots), paths->arg);
	if (slots == NULL)
		return false;
	memset(slots, 0, n * sizeof(*slots));
	node->slots = slots;
	node->mask = n - 1;
	for (int i = 0; i < node->nkeys; i++)
		fill_slot(node, i);
	return true;
}

/* The node below for a key, made if it is not there; NULL: out of memory. */
static WjNode *
get_key(WjPaths *paths, WjNode *node, const Step *step)
{
	WjNode *child;
	WjKey *key;

	if (node->slots)
	{
		child = (WjNode *) wj_find_key(node, step->text, step->len);
		if (child)
			return child;
	}
	if (!reserve(paths, (void **) &node->keys, node->nkeys, &node->key_room,
				 sizeof(WjKey)) ||
		!reserve_slots(paths, node))
		return NULL;
	child = new_node(paths);
	if (child == NULL)
		return NULL;
	key = &node->keys[node->nkeys];
	key->text = step->text;
	key->len = step->len;
	key->print = wj_print(step->text, step->len);
	key->node = child;
	fill_slot(node, node->nkeys++);
	return child;
}

/* The same for an array element. */
static WjNode *
get_item(WjPaths *paths, WjNode *node, uint32_t index)
{
	WjNode *child;
	int i = 0;

	while (i < node->nitems && node->items[i].index < index)
		i++;
	if (i < node->nitems && node->items[i].index == index)
		return node->items[i].node;
	if (!reserve(paths, (void **) &node->items, node->nitems, &node->item_room,
				 sizeof(WjItem)))
		return NULL;
	child = new_node(paths);
	if (child == NULL)
		return NULL;
	memmove(&node->items[i + 1], &node->items[i],
			(size_t) (node->nitems - i) * sizeof(WjItem));
	node->items[i].index = index;
	node->items[i].node = child;
	node->nitems++;
	return child;
}

/* Adds what has been parsed; the steps' texts live on. */
static int
add_steps(WjPaths *paths, const Step *steps, int nsteps, const char **err)
{
	WjNode *way[WJ_MAX_STEPS + 1];
	WjNode *end;

	way[0] = &paths->root;
	for (int i = 0; i < nsteps; i++)
	{
		WjNode *node = way[i];

		node = steps[i].text ? get_key(paths, node, &steps[i])
							 : get_item(paths, node, steps[i].index);
		if (node == NULL)
		{
			*err = no_memory;
			return -1;
		}
		way[i + 1] = node;
	}
	end = way[nsteps];
	if (end->path >= 0)
		return end->path;
	for (int i = 0; i < nsteps; i++)
		if (!reserve(paths, (void **) &way[i]->below, way[i]->nbelow,
					 &way[i]->below_room, sizeof(int)))
		{
			*err = no_memory;
			return -1;
		}
	for (int i = 0; i < nsteps; i++)
		way[i]->below[way[i]->nbelow++] = paths->npaths;
	end->path = paths->npaths;
	return paths->npaths++;
}

int
wj_paths_add(WjPaths *paths, const char *path, bool literal, const char **err)
{
	size_t len = strlen(path);
	Step steps[WJ_MAX_STEPS];
	int nsteps = 1;
	char *copy;

	*err = NULL;
	if (paths->npaths == WJ_MAX_PATHS)
	{
		*err = "too many paths";
		return -1;
	}
	copy = paths->alloc(len + 1, paths->arg);
	if (copy == NULL)
	{
		*err = no_memory;
		return -1;
	}
	memcpy(copy, path, len + 1);
	if (literal)
	{
		steps[0].text = copy;
		steps[0].len = len;
	}
	else
	{
		*err = parse_path(copy, steps, &nsteps);
		if (*err)
			return -1;
	}
	return add_steps(paths, steps, nsteps, err);
}
