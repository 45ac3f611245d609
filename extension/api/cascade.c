/*
 * api/cascade.c
 *		Views over views (see cascade.h), and weir.merge.
 *
 * Backends, in the user's transaction and as the user.  A view over a view is kept
 * as a query over the stream (plan/cascade.c), so it runs, recovers and is read as
 * any other.  It is to be equal to the windows below put together: it begins where
 * they began, an event is late for it when it was late for them, and its
 * expressions mean the same, under the settings that were frozen there.
 *
 * Which view is over which is in weir.views alone, as PostgreSQL's dependencies
 * would not come back from a dump.
 */
#include "base/weir.h"

#include "api/cascade.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "plan/plan.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(weir_merge_step);

/* --- defining one ------------------------------------------------------------------- */

static char *
interval_text(int64 us)
{
	Interval interval = {.time = us};

	return DatumGetCString(
		DirectFunctionCall1(interval_out, IntervalPGetDatum(&interval)));
}

static void
take_lateness(ViewRow *row, const ViewRow *below)
{
	if (row->lateness == WEIR_NO_LATENESS)
		row->lateness = below->lateness;
	if (row->lateness == below->lateness)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("lateness must be that of view \"%s\"", below->name),
			 errdetail("It is %s; an event is late for a view over a view when it was late below.",
					   interval_text(below->lateness)),
			 errhint(
				 "Leave lateness out, or make the view below with another one.")));
}

/*
 * The expressions below call functions, whose bodies look names up by search_path.
 * Those of the query's own do so by the same one: no schemas of a stranger.
 */
static void
refuse_path(const ViewRow *below, const char *path)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("search_path must be that of view \"%s\", which another role owns",
					below->name),
			 errdetail("It is frozen as %s; functions that the query calls would find names in these schemas.",
					   path),
			 errhint(
				 "SET search_path to that if you trust all who may create objects there, or select from the stream.")));
}

/* The settings that the expressions below were written under; says so if the
 * user's own ones differ. */
static void
take_settings(ViewRow *row, const ViewRow *below)
{
	row->nsettings = below->nsettings;
	row->settings = below->settings;
	for (int i = 0; i + 1 < below->nsettings; i += 2)
	{
		const char *name = below->settings[i];
		const char *value = below->settings[i + 1];

		if (strcmp(GetConfigOption(name, false, false), value) == 0)
			continue;
		if (strcmp(name, "search_path") == 0 && below->owner != GetUserId())
			refuse_path(below, value);
		ereport(NOTICE,
				(errmsg("the query is evaluated with %s \"%s\", as view \"%s\" is",
						name, value, below->name)));
	}
}

/* The offsets where the view below began, or ends; NULL: it does not know yet. */
static char *
offsets_of(const ViewRow *below, bool ends)
{
	ProgressRow *progress = weir_progress_load(below->id);
	StringInfoData offsets;

	if (progress == NULL || progress->nparts == 0)
		return NULL;
	initStringInfo(&offsets);
	for (int p = 0; p < progress->nparts; p++)
	{
		const ViewPartition *vp = &progress->parts[p];

		if (ends && vp->end == WP_NO_END)
			return NULL;
		appendStringInfo(&offsets, "%s\"%d\": " INT64_FORMAT, p ? ", " : "{", p,
						 ends ? vp->end : vp->start);
	}
	appendStringInfoChar(&offsets, '}');
	return offsets.data;
}

/* Where it begins and ends, if the user has said nothing: as the view below. */
static void
take_places(ViewRow *row, const ViewRow *below)
{
	char *offsets = NULL;

	if (row->start == NULL)
	{
		/* What has expired since is nobody's loss. */
		if (strcmp(below->start, "earliest") != 0)
			offsets = offsets_of(below, false);
		row->start = offsets ? offsets : below->start;
	}
	if (row->until == NULL && below->until)
	{
		offsets = offsets_of(below, true);
		row->until = offsets ? offsets : below->until;
	}
}

char *
weir_over_view(ViewRow *row)
{
	Oid upstream;
	char *flat = weir_plan_flatten(row->query, &upstream);
	ViewRow *below;

	if (flat == NULL)
	{
		row->lateness = Max(row->lateness, 0);
		return NULL;
	}
	if (pg_class_aclcheck(upstream, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, get_rel_name(upstream));
	below = weir_view_require(upstream);
	row->upstream = upstream;
	take_lateness(row, below);
	take_settings(row, below);
	take_places(row, below);
	return flat;
}

void
weir_refuse_stream(const ViewRow *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for foreign table %s",
					get_rel_name(row->stream)),
			 errdetail("A continuous view over view \"%s\" is made from the events of its stream, as the new view's owner.",
					   get_rel_name(row->upstream)),
			 errhint(
				 "GRANT SELECT on the stream, or let its owner make the view and grant SELECT on that.")));
}

/* --- dropping what others are over --------------------------------------------------- */

void
weir_refuse_to_drop(const ViewRow *row)
{
	List *over = weir_views_over(row->view);
	StringInfoData detail;
	ListCell *lc;

	if (over == NIL)
		return;
	initStringInfo(&detail);
	foreach(lc, over)
		appendStringInfo(&detail,
						 "%scontinuous view %s depends on continuous view %s",
						 detail.len ? "\n" : "", ((ViewRow *) lfirst(lc))->name,
						 row->name);
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop continuous view %s because other objects depend on it",
					row->name),
			 errdetail_internal("%s", detail.data),
			 errhint(
				 "Drop these with weir.drop_view, or use DROP VIEW ... CASCADE to drop them, too.")));
}

/* --- weir.merge ------------------------------------------------------------------------- */

/* Transition and final function: it is replaced before anything is evaluated. */
Datum
weir_merge_step(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "weir.merge works in a continuous view over another one only"),
			 errdetail(
				 "It stands for the aggregate behind a column of that view, over all events of the group."),
			 errhint(
				 "Select from the continuous view itself, in the query of weir.create_view.")));
	PG_RETURN_NULL();
}
