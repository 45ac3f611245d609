/*
 * exec/common.h
 *		What several views make of the same batch, made once.
 *
 * Views of a lane often have a WHERE, an expression or their keys in common.  The
 * ingest worker keeps what the first of them has computed of the batch at hand,
 * record by record, for those that come after it.  Expressions are the same if
 * they are equal as trees, for the same owner under the same settings; only values
 * that are passed by value are kept.  What raises is not kept, so that it raises in
 * each view that needs it.
 *
 * All of it is private memory of one worker.
 */
#ifndef WEIR_EXEC_COMMON_H
#define WEIR_EXEC_COMMON_H

#include "base/weir.h"

#include "exec/key.h"
#include "shmem/pane.h"

typedef struct Common Common;

/* As whom, and under which settings, something is computed. */
typedef struct CommonScope
{
	Oid owner;
	int nsettings; /* names and values, alternating */
	char **settings;
} CommonScope;

/* Values of an expression, by record of the batch, as far as they are known. */
typedef struct CommonExpr
{
	MemoryContext cxt; /* all that it has */
	CommonScope scope;
	Node *expr;
	int users;
	bool *known;
	Datum *values;
	bool *nulls;
} CommonExpr;

/* A key: a column or an expression, and how its values are compared. */
typedef struct CommonKey
{
	AttrNumber attno;
	const CommonExpr *expr;
	const KeySpec *spec; /* the caller's */
} CommonKey;

/* The image of keys that some record has. */
typedef struct CommonImage
{
	size_t at; /* in images */
	uint32 len;
	uint32 slot; /* of the table */
	uint64 hash;
} CommonImage;

/* Keys of records, numbered as they come: equal images have the same number. */
typedef struct CommonKeys
{
	MemoryContext cxt; /* all that it has */
	CommonScope scope;
	int nkeys;
	CommonKey *keys;
	KeySpec *specs; /* of them */
	int users;
	/* NULL as long as there was one user only. */
	int32 *codes; /* by record; -1: not known */
	int nimages;
	CommonImage *of; /* by number */
	KeyBuffer images;
	int32 *table; /* numbers, by hash; -1: free */
	uint32 mask;
} CommonKeys;

/* Where a row's group is looked for. */
typedef struct GroupProbe
{
	size_t key; /* offset of the image */
	uint32 len;
	int32 code; /* in the view's CommonKeys */
	uint64 hash;
	Pane *pane;
} GroupProbe;

/* Room to look for the groups of a batch in; nothing is kept in it. */
typedef struct GroupScratch
{
	int capacity;
	GroupProbe *probes;     /* by row, in order */
	Pane **code_pane;       /* by code: where it was last found ... */
	PaneGroup **code_group; /* ... and which group it is there */
} GroupScratch;

/* capacity: records of a batch, at most. */
extern Common *weir_common_new(int capacity, MemoryContext cxt);
/* A batch of n records begins: nothing is known of it. */
extern void weir_common_begin(Common *common, int n);

/*
 * The place of an expression, or of keys, which is the caller's as long as the
 * context user lives.  What is given is copied; the expressions of keys have places
 * themselves.
 */
extern CommonExpr *weir_common_expr(Common *common, const CommonScope *scope,
									Node *expr, MemoryContext user);
extern CommonKeys *
weir_common_keys(Common *common, const CommonScope *scope,
				 const CommonKey *keys, int nkeys, MemoryContext user);

/*
 * The number of an image that was built at the end of keys->images; the image goes
 * again if it is there already.
 */
extern int32
weir_common_code(CommonKeys *keys, size_t at, uint32 len, uint64 hash);

/* Room for n rows. */
extern GroupScratch *weir_common_scratch(Common *common, int n);

#endif /* WEIR_EXEC_COMMON_H */
