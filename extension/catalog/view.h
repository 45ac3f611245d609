/*
 * catalog/view.h
 *		The catalog of continuous views: weir.views and weir.progress.
 *
 * All functions need a transaction and work as the extension's owner, whoever
 * calls: users have no rights on these tables.
 */
#ifndef WEIR_CATALOG_VIEW_H
#define WEIR_CATALOG_VIEW_H

#include "base/weir.h"

#include "nodes/pg_list.h"
#include "shmem/shmem.h"

typedef struct ViewRow
{
	int32 id;
	char *name; /* of the view, as of loading */
	Oid view;
	Oid query;
	Oid final;
	Oid open; /* InvalidOid: an append view, and final is the view itself */
	Oid stream;
	Oid upstream;     /* the view that it is over; InvalidOid: the stream */
	char *definition; /* as written, over upstream; only when inserted */
	Oid owner;        /* of the view */
	int64 lateness;   /* us */
	int64 ttl; /* us of silence that end a running total; 0: nothing does */
	int64 retention;    /* us that final windows are kept; 0: for ever */
	int64 memory_limit; /* bytes; 0: none of its own */
	bool stops_at_limit;
	bool keep_late; /* late events go to weir.late_events */
	char *start;    /* as weir_place_normal has made it */
	char *until;    /* the same: where the view ends; NULL: nowhere */
	char *notify;   /* the channel that closings are notified on, or NULL */
	int nsettings;  /* names and values, alternating */
	char **settings;
	char *state;
	bool home;        /* belongs to this database */
	int64 generation; /* of weir.progress */
} ViewRow;

typedef struct ProgressRow
{
	int64 generation;
	int32 incarnation;
	int64 closed_upto; /* or WEIR_NO_TIME */
	int64 advance;     /* wanted by weir.advance_watermark, or WEIR_NO_TIME */
	bool has_alerts;   /* of weir_progress_lock: some run ... */
	bool watches_open; /* ... and some look at open windows, too */
	int64 windows_final;
	int64 rows_final;
	int64 chunks;
	char *topic; /* of the positions; NULL: there are none */
	int nparts;
	ViewPartition *parts;
} ProgressRow;

/* Are rows of the stream written as they come, without windows? */
static inline bool
weir_is_append(const ViewRow *row)
{
	return !OidIsValid(row->open);
}

/* NULL when there is none.  Results in the current context. */
extern ViewRow *weir_view_load(int32 id);
extern ViewRow *weir_view_of_relation(Oid relid);
/* By the foreign table of its open windows. */
extern ViewRow *weir_view_of_open(Oid relid);
/* By the view that holds its query. */
extern ViewRow *weir_view_of_query(Oid relid);
/*
 * Those that are defined over this view, and only the direct ones: as of now, for
 * callers that have waited for a lock which defining one takes.
 */
extern List *weir_views_over(Oid view);
/* By any of the relations that belong to it: query, final, open. */
extern ViewRow *weir_view_of_part(Oid relid);
/* All views, or those of one stream; List of ViewRow. */
extern List *weir_views_load(Oid stream);
/*
 * Lock the view's row until the transaction ends and load it as it is then;
 * NULL: it is gone.
 */
extern ViewRow *weir_view_lock(int32 id);
/* The name of a relation that belongs to a view; raises if it is too long. */
extern char *weir_view_part_name(const char *view, const char *suffix);
/* Owner of a relation, or InvalidOid. */
extern Oid weir_relation_owner(Oid relid);
/* The view, or a clear error: no view of that name. */
extern ViewRow *weir_view_require(Oid relid);

extern int32 weir_view_insert(const ViewRow *row);
extern void weir_view_delete(int32 id);
/* state and reason (NULL: none); raises the generation. */
extern void weir_view_set_state(int32 id, const char *state, const char *reason);
/* Raise the generation: lanes that run it let go of it, and it starts again. */
extern void weir_view_begin_anew(int32 id);
/* start and until as the row says. */
extern void weir_view_set_places(const ViewRow *row);
extern void weir_view_set_home(int32 id);
/* retention, memory_limit, stops_at_limit, keep_late and notify as the row says. */
extern void weir_view_set_options(const ViewRow *row);

/* Latest committed as of the active snapshot, or NULL. */
extern ProgressRow *weir_progress_load(int32 view);
/*
 * Lock the row for a checkpoint.  False: it is locked by somebody else just
 * now, or gone, of another generation than p, or restored from a dump (*stale).
 * p->advance is then what the row says, and p->has_alerts and watches_open
 * which alerts run.
 */
extern bool weir_progress_lock(int32 view, ProgressRow *p, bool *stale);
/* All of it but generation and advance, which belong to backends. */
extern void weir_progress_store(int32 view, const ProgressRow *p);
/*
 * Want windows closed up to this time.  False: they are, or that is wanted
 * already.
 */
extern bool weir_progress_advance(int32 view, int64 upto);
/*
 * The same by one of the workers that write an append view, in its partitions
 * (mine, by partition); the others' are as they have been committed.  Waits for
 * the row, and adds what p has of rows_final.  False: there is none, or it is of
 * another generation.
 */
extern bool
weir_progress_merge(int32 view, const ProgressRow *p, const bool *mine);
/* Has weir.skip said that nothing stops at this message (lost.c)? */
extern bool weir_letter_is_skipped(Oid stream, int32 partition, int64 offset);
/* Write down what the view skips (lost.c); with the positions, or not at all. */
extern void
weir_lost_store(int32 view, const char *topic, const LostRange *list);
/* Forget everything: no positions, no state, no dead letters of the view. */
extern void weir_progress_reset(int32 view);

/*
 * Become the bootstrap superuser, for catalog access, under a search_path that
 * nobody can plant operators in.
 * weir_become_again restores both; so does the end of a failed (sub)transaction.
 */
typedef struct WeirUser
{
	Oid userid;
	int context;
	int nest; /* of settings */
} WeirUser;
extern WeirUser weir_become_system(void);
/*
 * For the expressions of a view or stream: its owner, security-restricted.  What
 * these set ends with weir_become_again, however they set it.
 */
extern WeirUser weir_become_owner(Oid owner);
/*
 * For the code of a stream's types.  It has no frozen settings, and the search_path
 * here may be that of somebody who would like to be the owner.
 */
extern WeirUser weir_become_stream_owner(Oid owner);
extern void weir_become_again(WeirUser user);

/*
 * Work under the settings that create_view froze (search_path, TimeZone ...);
 * leave takes what enter returned.  An error leaves by itself.
 */
extern int weir_settings_enter(const ViewRow *row);
/* The same for DDL of our own: no user's schemas, UTC, ISO dates. */
extern int weir_plain_settings_enter(void);
extern void weir_settings_leave(int nest);

#endif /* WEIR_CATALOG_VIEW_H */
