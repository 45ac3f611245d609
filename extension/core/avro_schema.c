/*
 * avro_schema.c
 *		Avro schemas from their JSON (see avro.h).
 *
 * Called when a decoder meets a schema, by one process.  jansson makes a tree of
 * the JSON, which is freed at the end; what it becomes is in the caller's
 * memory.  Names are resolved as the specification says: a name with a dot is
 * full, any other one is in the namespace around it.  Defaults, aliases and docs
 * do not matter to who reads by the writer's schema.  A logical type that does
 * not fit its type is ignored, as the specification asks.
 */
#include "core/avro.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/hash.h"

#define MAX_NODES  20000
#define NAME_LISTS 1024

/* A type that has a name. */
typedef struct Named
{
	struct Named *next;
	AvNode *node;
} Named;

typedef struct Parser
{
	WjAlloc alloc;
	void *arg;
	Named *named[NAME_LISTS]; /* by the hash of the full name */
	int nnodes;
	char *err;
	size_t errlen;
} Parser;

static AvNode *
parse_type(Parser *p, const json_t *json, const char *space, int depth);

static void *
fail(Parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void *
fail(Parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->err, p->errlen, format, args);
	va_end(args);
	return NULL;
}

static void *
get_memory(Parser *p, size_t n, size_t size)
{
	void *room = p->alloc(n * size + 1, p->arg);

	if (room == NULL)
		return fail(p, "out of memory");
	memset(room, 0, n * size + 1);
	return room;
}

static AvNode *
new_node(Parser *p, AvType type)
{
	AvNode *node;

	if (++p->nnodes > MAX_NODES)
		return fail(p, "schema is too large");
	node = get_memory(p, 1, sizeof(AvNode));
	if (node)
		node->type = type;
	return node;
}

static char *
copy_text(Parser *p, const char *text)
{
	size_t len = strlen(text);
	char *copy = get_memory(p, len + 1, 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

/* --- names ------------------------------------------------------------------ */

/* The full name of what is called name where the namespace is space. */
static char *
full_name(Parser *p, const char *name, const char *space)
{
	char *full;
	size_t a = strlen(space);

	if (a == 0 || strchr(name, '.') != NULL)
		return copy_text(p, name);
	full = get_memory(p, a + strlen(name) + 2, 1);
	if (full)
	{
		memcpy(full, space, a);
		full[a] = '.';
		memcpy(full + a + 1, name, strlen(name));
	}
	return full;
}

/* The namespace that a full name is in. */
static char *
space_of(Parser *p, const char *full)
{
	char *space = copy_text(p, full);
	char *dot = space ? strrchr(space, '.') : NULL;

	if (dot)
		*dot = '\0';
	else if (space)
		*space = '\0';
	return space;
}

static Named **
names_like(Parser *p, const char *full)
{
	return &p->named[wh_hash(full, strlen(full), 0) % NAME_LISTS];
}

static AvNode *
look_up(Parser *p, const char *full)
{
	for (Named *n = *names_like(p, full); n; n = n->next)
		if (strcmp(n->node->name, full) == 0)
			return n->node;
	return NULL;
}

/* Give a node the name that its definition has.  False: it has none, or bad. */
static bool
name_node(Parser *p, AvNode *node, const json_t *json, const char *space)
{
	const char *name = json_string_value(json_object_get(json, "name"));
	const char *own = json_string_value(json_object_get(json, "namespace"));
	Named *named;

	if (name == NULL || *name == '\0')
		return fail(p, "a record, enum or fixed has no name") != NULL;
	node->name = full_name(p, name, own ? own : space);
	if (node->name == NULL)
		return false;
	if (look_up(p, node->name) != NULL)
		return fail(p, "\"%.200s\" is defined twice", node->name) != NULL;
	named = get_memory(p, 1, sizeof(Named));
	if (named == NULL)
		return false;
	named->node = node;
	named->next = *names_like(p, node->name);
	*names_like(p, node->name) = named;
	return true;
}

static const struct
{
	const char *name;
	AvType type;
} primitives[] = {
	{"null", AV_NULL},   {"boolean", AV_BOOLEAN}, {"int", AV_INT},
	{"long", AV_LONG},   {"float", AV_FLOAT},     {"double", AV_DOUBLE},
	{"bytes", AV_BYTES}, {"string", AV_STRING},
};

static AvNode *
find_named(Parser *p, const char *name, const char *space)
{
	char *full = full_name(p, name, space);
	AvNode *node;

	if (full == NULL)
		return NULL;
	node = look_up(p, full);
	if (node == NULL)
		node = look_up(p, name);
	return node ? node : fail(p, "unknown type \"%.200s\"", name);
}

static AvNode *
parse_name(Parser *p, const char *name, const char *space)
{
	for (size_t i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++)
		if (strcmp(primitives[i].name, name) == 0)
			return new_node(p, primitives[i].type);
	return find_named(p, name, space);
}

/* --- logical types ---------------------------------------------------------- */

static const struct
{
	const char *name;
	AvType type;
	AvLogical logical;
	int per_second;
} logicals[] = {
	{"date", AV_INT, AV_DATE, 0},
	{"time-millis", AV_INT, AV_TIME, 1000},
	{"time-micros", AV_LONG, AV_TIME, 1000000},
	{"timestamp-millis", AV_LONG, AV_TIMESTAMP, 1000},
	{"timestamp-micros", AV_LONG, AV_TIMESTAMP, 1000000},
	{"timestamp-nanos", AV_LONG, AV_TIMESTAMP, 1000000000},
	{"local-timestamp-millis", AV_LONG, AV_LOCAL, 1000},
	{"local-timestamp-micros", AV_LONG, AV_LOCAL, 1000000},
	{"local-timestamp-nanos", AV_LONG, AV_LOCAL, 1000000000},
	{"decimal", AV_BYTES, AV_DECIMAL, 0},
	{"decimal", AV_FIXED, AV_DECIMAL, 0},
	{"uuid", AV_STRING, AV_UUID, 0},
	{"uuid", AV_FIXED, AV_UUID, 0},
	{"duration", AV_FIXED, AV_DURATION, 0},
};

static bool
fits(const AvNode *node)
{
	if (node->logical == AV_UUID && node->type == AV_FIXED)
		return node->size == 16;
	if (node->logical == AV_DURATION)
		return node->size == 12;
	return node->scale >= 0 && node->scale <= 10000;
}

static void
set_logical(AvNode *node, const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "logicalType"));
	json_int_t scale = json_integer_value(json_object_get(json, "scale"));

	for (size_t i = 0; name && i < sizeof(logicals) / sizeof(logicals[0]); i++)
	{
		if (strcmp(logicals[i].name, name) != 0 ||
			logicals[i].type != node->type)
			continue;
		node->logical = logicals[i].logical;
		node->per_second = logicals[i].per_second;
		node->scale = scale >= 0 && scale <= 10000 ? (int) scale : -1;
		if (!fits(node))
			node->logical = AV_PLAIN;
	}
}

/* --- composite types -------------------------------------------------------- */

static bool
set_room(Parser *p, AvNode *node, size_t n, bool children, bool names)
{
	node->n = (int) n;
	if (children)
		node->children = get_memory(p, n, sizeof(AvNode *));
	if (names)
		node->names = get_memory(p, n, sizeof(char *));
	return (!children || node->children) && (!names || node->names);
}

static AvNode *
parse_record(Parser *p, const json_t *json, const char *space, int depth)
{
	AvNode *node = new_node(p, AV_RECORD);
	const json_t *fields = json_object_get(json, "fields");

	if (node == NULL || !name_node(p, node, json, space))
		return NULL;
	if (!json_is_array(fields))
		return fail(p, "record \"%.200s\" has no fields", node->name);
	space = space_of(p, node->name);
	if (space == NULL || !set_room(p, node, json_array_size(fields), true, true))
		return NULL;
	for (int i = 0; i < node->n; i++)
	{
		const json_t *field = json_array_get(fields, (size_t) i);
		const char *name = json_string_value(json_object_get(field, "name"));

		if (name == NULL)
			return fail(p, "a field of record \"%.200s\" has no name",
						node->name);
		node->names[i] = copy_text(p, name);
		node->children[i] = parse_type(p, json_object_get(field, "type"), space,
									   depth + 1);
		if (node->names[i] == NULL || node->children[i] == NULL)
			return NULL;
	}
	return node;
}

static AvNode *
parse_enum(Parser *p, const json_t *json, const char *space)
{
	AvNode *node = new_node(p, AV_ENUM);
	const json_t *symbols = json_object_get(json, "symbols");

	if (node == NULL || !name_node(p, node, json, space))
		return NULL;
	if (!json_is_array(symbols))
		return fail(p, "enum \"%.200s\" has no symbols", node->name);
	if (!set_room(p, node, json_array_size(symbols), false, true))
		return NULL;
	for (int i = 0; i < node->n; i++)
	{
		const char *symbol = json_string_value(
			json_array_get(symbols, (size_t) i));

		if (symbol == NULL)
			return fail(p, "a symbol of enum \"%.200s\" is no string",
						node->name);
		node->names[i] = copy_text(p, symbol);
		if (node->names[i] == NULL)
			return NULL;
	}
	return node;
}

static AvNode *
parse_fixed(Parser *p, const json_t *json, const char *space)
{
	AvNode *node = new_node(p, AV_FIXED);
	const json_t *size = json_object_get(json, "size");
	json_int_t bytes = json_integer_value(size);

	if (node == NULL || !name_node(p, node, json, space))
		return NULL;
	if (!json_is_integer(size) || bytes < 0 || bytes > INT32_MAX)
		return fail(p, "fixed \"%.200s\" has no size", node->name);
	node->size = (uint32_t) bytes;
	return node;
}

/* An array or a map. */
static AvNode *
parse_items(Parser *p, AvType type, const json_t *items, const char *space,
			int depth)
{
	AvNode *node = new_node(p, type);

	if (node == NULL || !set_room(p, node, 1, true, false))
		return NULL;
	node->children[0] = parse_type(p, items, space, depth + 1);
	return node->children[0] ? node : NULL;
}

static AvNode *
parse_union(Parser *p, const json_t *json, const char *space, int depth)
{
	AvNode *node = new_node(p, AV_UNION);

	if (node == NULL || !set_room(p, node, json_array_size(json), true, false))
		return NULL;
	for (int i = 0; i < node->n; i++)
	{
		AvNode *branch = parse_type(p, json_array_get(json, (size_t) i), space,
									depth + 1);

		if (branch == NULL)
			return NULL;
		if (branch->type == AV_UNION)
			return fail(p, "a union is a branch of a union");
		node->children[i] = branch;
	}
	return node;
}

static AvNode *
parse_object(Parser *p, const json_t *json, const char *space, int depth)
{
	const json_t *type = json_object_get(json, "type");
	const char *name = json_string_value(type);

	if (name == NULL)
		return parse_type(p, type, space, depth + 1);
	if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0)
		return parse_record(p, json, space, depth);
	if (strcmp(name, "enum") == 0)
		return parse_enum(p, json, space);
	if (strcmp(name, "fixed") == 0)
		return parse_fixed(p, json, space);
	if (strcmp(name, "array") == 0)
		return parse_items(p, AV_ARRAY, json_object_get(json, "items"), space,
						   depth);
	if (strcmp(name, "map") == 0)
		return parse_items(p, AV_MAP, json_object_get(json, "values"), space,
						   depth);
	return parse_name(p, name, space);
}

static AvNode *
parse_type(Parser *p, const json_t *json, const char *space, int depth)
{
	AvNode *node;
	int before = p->nnodes;

	if (depth > AV_MAX_DEPTH)
		return fail(p, "schema is nested too deeply");
	if (json_is_string(json))
		return parse_name(p, json_string_value(json), space);
	if (json_is_array(json))
		return parse_union(p, json, space, depth);
	if (!json_is_object(json))
		return fail(p, "a type is missing");
	node = parse_object(p, json, space, depth);
	/* Not of a type that was defined elsewhere. */
	if (node != NULL && p->nnodes > before)
		set_logical(node, json);
	return node;
}

AvNode *
av_schema_parse(const char *json, size_t len, WjAlloc alloc, void *arg,
				char *err, size_t errlen)
{
	Parser p = {.alloc = alloc, .arg = arg, .err = err, .errlen = errlen};
	json_error_t error;
	json_t *root;
	AvNode *node;

	root = json_loadb(json, len, JSON_DECODE_ANY, &error);
	if (root == NULL)
		return fail(&p, "malformed JSON at byte %d: %s", error.position,
					error.text);
	node = parse_type(&p, root, "", 0);
	json_decref(root);
	return node;
}
