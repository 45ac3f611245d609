/*
 * exec/common.c
 *		What several views make of the same batch, made once (see common.h).
 *
 * Runs in the ingest worker: places are given out when views are taken up, in a
 * transaction, and used while a batch is applied.  Each place has a memory context
 * of its own, a child of the worker's, which goes with the context of its last user.
 */
#include "exec/common.h"

#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

struct Common
{
	MemoryContext cxt;
	int capacity;
	List *exprs;
	List *keys;
	GroupScratch scratch;
};

Common *
weir_common_new(int capacity, MemoryContext cxt)
{
	Common *common = MemoryContextAllocZero(cxt, sizeof(Common));

	common->cxt = cxt;
	common->capacity = capacity;
	return common;
}

/* --- users ----------------------------------------------------------------------- */

/* A context that has a place; it counts as long as it lives. */
typedef struct Use
{
	MemoryContextCallback callback;
	Common *common;
	CommonExpr *expr; /* or */
	CommonKeys *keys;
} Use;

static void
leave(void *arg)
{
	Use *use = arg;
	Common *common = use->common;

	if (use->expr && --use->expr->users == 0)
	{
		common->exprs = list_delete_ptr(common->exprs, use->expr);
		MemoryContextDelete(use->expr->cxt);
	}
	if (use->keys && --use->keys->users == 0)
	{
		common->keys = list_delete_ptr(common->keys, use->keys);
		MemoryContextDelete(use->keys->cxt);
	}
}

static void
add_use(Common *common, CommonExpr *expr, CommonKeys *keys, MemoryContext user)
{
	Use *use = MemoryContextAllocZero(user, sizeof(Use));

	use->common = common;
	use->expr = expr;
	use->keys = keys;
	use->callback.func = leave;
	use->callback.arg = use;
	MemoryContextRegisterResetCallback(user, &use->callback);
	if (expr)
		expr->users++;
	if (keys)
		keys->users++;
}

/* --- scopes ------------------------------------------------------------------------ */

static bool
is_same_scope(const CommonScope *a, const CommonScope *b)
{
	if (a->owner != b->owner || a->nsettings != b->nsettings)
		return false;
	for (int i = 0; i < a->nsettings; i++)
		if (strcmp(a->settings[i], b->settings[i]) != 0)
			return false;
	return true;
}

static CommonScope
copy_scope(const CommonScope *from)
{
	CommonScope to = *from;

	to.settings = palloc(sizeof(char *) * (from->nsettings + 1));
	for (int i = 0; i < from->nsettings; i++)
		to.settings[i] = pstrdup(from->settings[i]);
	return to;
}

/* --- expressions --------------------------------------------------------------------- */

static CommonExpr *
new_expr(Common *common, const CommonScope *scope, Node *expr)
{
	MemoryContext cxt = AllocSetContextCreate(common->cxt, "weir expression",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CommonExpr *e = palloc0(sizeof(CommonExpr));

	e->cxt = cxt;
	e->scope = copy_scope(scope);
	e->expr = copyObject(expr);
	e->known = palloc0(sizeof(bool) * common->capacity);
	e->values = palloc(sizeof(Datum) * common->capacity);
	e->nulls = palloc(sizeof(bool) * common->capacity);
	MemoryContextSwitchTo(common->cxt);
	common->exprs = lappend(common->exprs, e);
	MemoryContextSwitchTo(old);
	return e;
}

CommonExpr *
weir_common_expr(Common *common, const CommonScope *scope, Node *expr,
				 MemoryContext user)
{
	CommonExpr *found = NULL;
	ListCell *lc;

	foreach(lc, common->exprs)
	{
		CommonExpr *e = lfirst(lc);

		if (equal(e->expr, expr) && is_same_scope(&e->scope, scope))
			found = e;
	}
	if (found == NULL)
		found = new_expr(common, scope, expr);
	add_use(common, found, NULL, user);
	return found;
}

/* --- keys ------------------------------------------------------------------------------ */

static void
clear_table(CommonKeys *k)
{
	for (int i = 0; i < k->nimages; i++)
		k->table[k->of[i].slot] = -1;
	k->nimages = 0;
	k->images.used = 0;
}

/* What numbers them is made when the second user comes: one alone reads none. */
static void
add_numbers(const Common *common, CommonKeys *k)
{
	uint32 size = 64;

	while (size < 2 * (uint32) common->capacity)
		size *= 2;
	k->of = MemoryContextAlloc(k->cxt, sizeof(CommonImage) * common->capacity);
	k->mask = size - 1;
	k->table = MemoryContextAlloc(k->cxt, sizeof(int32) * size);
	memset(k->table, 0xff, sizeof(int32) * size);
	k->codes = MemoryContextAlloc(k->cxt, sizeof(int32) * common->capacity);
	memset(k->codes, 0xff, sizeof(int32) * common->capacity);
}

static CommonKeys *
new_keys(Common *common, const CommonScope *scope, const CommonKey *keys,
		 int nkeys)
{
	MemoryContext cxt = AllocSetContextCreate(common->cxt, "weir keys",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CommonKeys *k = palloc0(sizeof(CommonKeys));

	k->cxt = cxt;
	k->scope = copy_scope(scope);
	k->nkeys = nkeys;
	k->keys = palloc(sizeof(CommonKey) * nkeys);
	k->specs = palloc(sizeof(KeySpec) * nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		k->specs[i] = *keys[i].spec;
		k->keys[i] = keys[i];
		k->keys[i].spec = &k->specs[i];
	}
	k->images.cxt = cxt;
	MemoryContextSwitchTo(common->cxt);
	common->keys = lappend(common->keys, k);
	MemoryContextSwitchTo(old);
	return k;
}

static bool
is_same_key(const CommonKey *a, const CommonKey *b)
{
	return a->attno == b->attno && a->expr == b->expr &&
		   a->spec->type == b->spec->type &&
		   a->spec->collation == b->spec->collation &&
		   a->spec->eq_proc == b->spec->eq_proc &&
		   a->spec->hash_proc == b->spec->hash_proc &&
		   a->spec->bitwise == b->spec->bitwise;
}

static bool
are_same_keys(const CommonKeys *k, const CommonKey *keys, int nkeys)
{
	if (k->nkeys != nkeys)
		return false;
	for (int i = 0; i < nkeys; i++)
		if (!is_same_key(&k->keys[i], &keys[i]))
			return false;
	return true;
}

CommonKeys *
weir_common_keys(Common *common, const CommonScope *scope,
				 const CommonKey *keys, int nkeys, MemoryContext user)
{
	CommonKeys *found = NULL;
	ListCell *lc;

	foreach(lc, common->keys)
	{
		CommonKeys *k = lfirst(lc);

		if (are_same_keys(k, keys, nkeys) && is_same_scope(&k->scope, scope))
			found = k;
	}
	if (found == NULL)
		found = new_keys(common, scope, keys, nkeys);
	else if (found->codes == NULL)
		add_numbers(common, found);
	add_use(common, NULL, found, user);
	return found;
}

int32
weir_common_code(CommonKeys *keys, size_t at, uint32 len, uint64 hash)
{
	const char *image = keys->images.data + at;
	uint32 slot = (uint32) hash & keys->mask;
	CommonImage *new;

	for (; keys->table[slot] >= 0; slot = (slot + 1) & keys->mask)
	{
		const CommonImage *c = &keys->of[keys->table[slot]];

		if (c->hash != hash || c->len != len ||
			memcmp(keys->images.data + c->at, image, len) != 0)
			continue;
		keys->images.used = at;
		return keys->table[slot];
	}
	new = &keys->of[keys->nimages];
	new->at = at;
	new->len = len;
	new->slot = slot;
	new->hash = hash;
	keys->table[slot] = keys->nimages;
	return keys->nimages++;
}

/* --- a batch ----------------------------------------------------------------------------- */

void
weir_common_begin(Common *common, int n)
{
	ListCell *lc;

	foreach(lc, common->exprs)
		memset(((CommonExpr *) lfirst(lc))->known, 0, sizeof(bool) * n);
	foreach(lc, common->keys)
	{
		CommonKeys *k = lfirst(lc);

		if (k->codes == NULL)
			continue;
		memset(k->codes, 0xff, sizeof(int32) * n);
		clear_table(k);
	}
}

GroupScratch *
weir_common_scratch(Common *common, int n)
{
	GroupScratch *s = &common->scratch;

	if (n <= s->capacity)
		return s;
	if (s->capacity > 0)
	{
		pfree(s->probes);
		pfree(s->code_pane);
		pfree(s->code_group);
		s->capacity = 0;
	}
	n = Max(n, common->capacity);
	s->probes = MemoryContextAlloc(common->cxt, sizeof(GroupProbe) * n);
	s->code_pane = MemoryContextAlloc(common->cxt, sizeof(Pane *) * n);
	s->code_group = MemoryContextAlloc(common->cxt, sizeof(PaneGroup *) * n);
	s->capacity = n;
	return s;
}
