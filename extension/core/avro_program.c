/*
 * avro_program.c
 *		Which values of a datum are wanted: paths, and the scan (see avro.h).
 *
 * A step belongs to a place in the schema that some path goes through: it says
 * where the value goes, and what is wanted below.  A record below which something
 * is wanted has a step for each of its fields, in their order, so that the scan
 * is one walk along them.
 *
 * Adding is done by one process when a decoder meets a schema; a program is only
 * read afterwards.  Memory is the caller's WjAlloc's.
 */
#include "core/avro.h"

#include <string.h>

#define MAX_STEPS 64

/*
 * A path goes through each branch of a union that has its next field, so a schema
 * that uses types again may have more ways than there is time or memory for: so
 * many fields are looked at for one path, of which each made one counts for some.
 */
#define MAX_WORK  (1 << 20)
#define MADE_WORK 8

typedef struct Step
{
	const AvNode *node;
	int slot;           /* of the value, or -1 */
	struct Step **subs; /* by branch (0 if it is no union): the fields of a
						 * record below which something is wanted, or NULL */
} Step;

struct AvProgram
{
	Step root;
	int nslots;
	int64_t work; /* what may still be done for the path that is added */
	WjAlloc alloc;
	void *arg;
};

static const char *const no_memory = "out of memory";
static const char *const too_many = "path has too many ways through the schema";

static void *
get_zeroed(AvProgram *program, size_t size)
{
	void *p = program->alloc(size, program->arg);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

AvProgram *
av_program_new(const AvNode *schema, WjAlloc alloc, void *arg)
{
	AvProgram *program = alloc(sizeof(AvProgram), arg);

	if (program == NULL)
		return NULL;
	*program = (AvProgram){.root = {.node = schema, .slot = -1},
						   .alloc = alloc,
						   .arg = arg};
	return program;
}

int
av_program_count(const AvProgram *program)
{
	return program->nslots;
}

/* --- paths ------------------------------------------------------------------ */

/* A name in quotes, decoded in place; *pp is at the opening quote. */
static const char *
parse_quoted(char **pp, char **name)
{
	char *p = *pp + 1;
	char *dst = p;

	*name = p;
	for (; *p != '"'; p++)
	{
		if (*p == '\0')
			return "quote without an end";
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		*dst++ = *p;
	}
	*pp = p + 1;
	*dst = '\0';
	return NULL;
}

/* Splits a path, which it overwrites, into names.  Returns what is wrong. */
static const char *
parse_path(char *p, char **names, int *n)
{
	const char *err = NULL;

	for (*n = 0; err == NULL; (*n)++)
	{
		char end;

		if (*n == MAX_STEPS)
			return "path has too many steps";
		if (*p == '"')
			err = parse_quoted(&p, &names[*n]);
		else
		{
			names[*n] = p;
			p += strcspn(p, ".[]\"");
			if (p == names[*n])
				return "name expected";
		}
		end = *p;
		if (err == NULL && end == '[')
			return "path through an array";
		if (err == NULL && end != '\0' && end != '.')
			return "dot expected";
		if (err != NULL || end == '\0')
			break;
		*p++ = '\0';
	}
	(*n)++;
	return err;
}

static int
find_field(const AvNode *record, const char *name)
{
	for (int i = 0; i < record->n; i++)
		if (strcmp(record->names[i], name) == 0)
			return i;
	return -1;
}

static int
nbranches(const AvNode *node)
{
	return node->type == AV_UNION ? node->n : 1;
}

static const AvNode *
branch_node(const AvNode *node, int branch)
{
	return node->type == AV_UNION ? node->children[branch] : node;
}

/* The steps of a record's fields below a step; NULL: out of memory. */
static Step *
get_fields(AvProgram *program, Step *step, int branch)
{
	const AvNode *record = branch_node(step->node, branch);
	Step *fields;

	if (step->subs == NULL)
		step->subs = get_zeroed(program, sizeof(Step *) *
											 (size_t) nbranches(step->node));
	if (step->subs == NULL || step->subs[branch] != NULL)
		return step->subs ? step->subs[branch] : NULL;
	program->work -= (int64_t) record->n * MADE_WORK;
	fields = get_zeroed(program, sizeof(Step) * (size_t) (record->n + 1));
	for (int i = 0; fields != NULL && i < record->n; i++)
	{
		fields[i].node = record->children[i];
		fields[i].slot = -1;
	}
	step->subs[branch] = fields;
	return fields;
}

/* Does the schema have this path?  Perhaps not all is looked at, see MAX_WORK. */
static bool
has_path(AvProgram *program, const AvNode *node, char **names, int n)
{
	if (n == 0)
		return true;
	for (int b = 0; b < nbranches(node) && program->work > 0; b++)
	{
		const AvNode *record = branch_node(node, b);
		int i = -1;

		program->work -= record->n + 1;
		if (record->type == AV_RECORD)
			i = find_field(record, names[0]);
		if (i >= 0 && has_path(program, record->children[i], names + 1, n - 1))
			return true;
	}
	return false;
}

/*
 * Want the value at a path that there is, in this slot if it has none.  Returns
 * its slot, or AV_BAD_PATH when out of memory, or of work.
 */
static int
want(AvProgram *program, Step *step, char **names, int n, int slot)
{
	if (n == 0)
	{
		if (step->slot < 0)
			step->slot = slot;
		return step->slot;
	}
	for (int b = 0; b < nbranches(step->node); b++)
	{
		const AvNode *record = branch_node(step->node, b);
		int i = record->type == AV_RECORD ? find_field(record, names[0]) : -1;
		Step *fields;

		if (i < 0 || !has_path(program, record->children[i], names + 1, n - 1))
			continue;
		fields = get_fields(program, step, b);
		if (fields == NULL || program->work <= 0)
			return AV_BAD_PATH;
		slot = want(program, &fields[i], names + 1, n - 1, slot);
		if (slot < 0)
			return slot;
	}
	return slot;
}

/* Is the schema a record, or a union with one? */
static bool
has_fields(const AvNode *node)
{
	for (int b = 0; b < nbranches(node); b++)
		if (branch_node(node, b)->type == AV_RECORD)
			return true;
	return false;
}

int
av_program_add(AvProgram *program, const char *path, bool literal,
			   const char **err)
{
	char *names[MAX_STEPS];
	size_t len = strlen(path);
	char *copy = program->alloc(len + 1, program->arg);
	int n = 1;
	int slot;

	*err = no_memory;
	if (copy == NULL)
		return AV_BAD_PATH;
	memcpy(copy, path, len + 1);
	names[0] = copy;
	if (!literal)
	{
		*err = parse_path(copy, names, &n);
		if (*err != NULL)
			return AV_BAD_PATH;
	}
	else if (!has_fields(program->root.node))
		n = 0;
	program->work = MAX_WORK;
	*err = too_many;
	if (!has_path(program, program->root.node, names, n))
		return program->work > 0 ? AV_NO_FIELD : AV_BAD_PATH;
	slot = want(program, &program->root, names, n, program->nslots);
	if (slot < 0 && program->work > 0)
		*err = no_memory;
	if (slot == program->nslots)
		program->nslots++;
	return slot;
}

/* --- the scan --------------------------------------------------------------- */

static bool run(AvCursor *c, const Step *step, AvValue *values, int depth);

static bool
run_fields(AvCursor *c, const AvNode *record, const Step *fields,
		   AvValue *values, int depth)
{
	for (int i = 0; i < record->n; i++)
		if (!run(c, &fields[i], values, depth + 1))
			return false;
	return true;
}

static bool
run(AvCursor *c, const Step *step, AvValue *values, int depth)
{
	const AvNode *node = step->node;
	const char *start;
	AvValue ignored;
	int branch = 0;

	if (node->type == AV_UNION)
	{
		node = av_read_branch(c, node, &branch);
		if (node == NULL)
			return false;
	}
	if (step->subs == NULL || step->subs[branch] == NULL)
		return av_read_value(c, node,
							 step->slot >= 0 ? &values[step->slot] : &ignored,
							 depth);
	start = c->p;
	if (!run_fields(c, node, step->subs[branch], values, depth))
		return false;
	if (step->slot >= 0)
	{
		values[step->slot].node = node;
		values[step->slot].ptr = start;
		values[step->slot].len = (uint32_t) (c->p - start);
	}
	return true;
}

AvStatus
av_scan(const AvProgram *program, const char *buf, size_t len, AvValue *values,
		size_t *errpos)
{
	AvCursor c = {.p = buf, .end = buf, .status = AV_OK, .spare = 65536};

	for (int i = 0; i < program->nslots; i++)
		values[i].node = NULL;
	if (len > 0)
		c.end += len;
	if (len > UINT32_MAX)
		c.status = AV_ERR_TOO_LONG;
	else if (run(&c, &program->root, values, 0) && c.p != c.end)
		c.status = AV_ERR_TRAILING;
	if (errpos)
		*errpos = (size_t) (c.p - buf);
	return c.status;
}
