/*
 * api/fdw_options.c
 *		The validator of the wrapper weir: every option is known, stands where it
 *		belongs, and has a value that can be; or the DDL fails with a hint.
 *
 * Called by CREATE and ALTER of wrapper, server, user mapping, foreign table and
 * column, in the backend that executes them, with all the options of the object
 * as they will be.  Nothing is sent to a broker.
 */
#include "api/fdw.h"

#include "kafka/nearest.h"
#include "kafka/registry.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"

PG_FUNCTION_INFO_V1(weir_fdw_validator);

#define BOOTSTRAP "bootstrap_servers"

/* Where options can stand, and what to call the place. */
static const struct
{
	Oid catalog;
	const char *name;
	const char *required; /* or NULL */
} places[] = {
	{ForeignServerRelationId, "server", BOOTSTRAP},
	{UserMappingRelationId, "user mapping", NULL},
	{ForeignTableRelationId, "foreign table", "topic"},
	{AttributeRelationId, "column", NULL},
};

/* Offer the options of a catalog to a search. */
static void
consider_options(Oid catalog, NearestName *nearest)
{
	if (catalog == ForeignServerRelationId)
	{
		weir_nearest_consider(nearest, BOOTSTRAP);
		weir_nearest_consider(nearest, "schema_registry");
		weir_kafka_nearest_setting(nearest, KAFKA_SETTING_SERVER);
	}
	else if (catalog == UserMappingRelationId)
	{
		weir_nearest_consider(nearest, "schema_registry_username");
		weir_nearest_consider(nearest, "schema_registry_password");
		weir_kafka_nearest_setting(nearest, KAFKA_SETTING_USER);
	}
	else
		weir_stream_nearest_option(catalog, nearest);
}

/* Raise for an option that does not exist here: misplaced, or misspelt. */
static void
unknown_option(Oid catalog, const char *name)
{
	NearestName nearest;
	int i;

	for (i = 0; i < lengthof(places); i++)
	{
		weir_nearest_init(&nearest, name);
		consider_options(places[i].catalog, &nearest);
		if (nearest.best != NULL && strcmp(nearest.best, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", name),
					 errhint("It is an option of the %s.", places[i].name)));
	}
	weir_nearest_init(&nearest, name);
	consider_options(catalog, &nearest);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 nearest.best != NULL
				 ? errhint("Perhaps you meant the option \"%s\".", nearest.best)
				 : 0));
}

static void
bad_servers(const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", BOOTSTRAP, value),
			 errhint(
				 "Give one or more brokers as host:port, separated by commas.")));
}

/* One broker: something, then perhaps a colon and a port. */
static bool
is_broker(const char *p, size_t len)
{
	const char *colon;
	long port;
	char *end;
	char digits[8];

	if (len == 0 || memchr(p, ' ', len) != NULL)
		return false;
	for (colon = p + len - 1; colon > p && *colon != ':' && *colon != ']';
		 colon--)
		;
	if (*colon != ':')
		return true;
	len -= colon + 1 - p;
	if (colon == p || len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, colon + 1, len);
	digits[len] = '\0';
	port = strtol(digits, &end, 10);
	return *end == '\0' && port > 0 && port <= 65535;
}

/* Check a list of brokers. */
static void
check_servers(const char *value)
{
	const char *p = value;

	for (;;)
	{
		size_t len = strcspn(p, ",");
		size_t skip = strspn(p, " ");
		size_t end = len;

		while (end > skip && p[end - 1] == ' ')
			end--;
		if (skip >= len || !is_broker(p + skip, end - skip))
			bad_servers(value);
		if (p[len] == '\0')
			return;
		p += len + 1;
	}
}

/* Check an option of a server or user mapping. */
static void
check_setting(Oid catalog, const char *name, const char *value)
{
	KafkaSettingPlace place = catalog == ForeignServerRelationId
								  ? KAFKA_SETTING_SERVER
								  : KAFKA_SETTING_USER;
	NearestName nearest;

	if (place == KAFKA_SETTING_SERVER && strcmp(name, BOOTSTRAP) == 0)
	{
		check_servers(value);
		return;
	}
	/* Ours but misspelt or misplaced, which kafka/ cannot know. */
	if (weir_registry_option(name, place == KAFKA_SETTING_SERVER))
	{
		weir_registry_check_option(name, value);
		return;
	}
	if (!weir_kafka_setting_known(name, place))
	{
		weir_nearest_init(&nearest, name);
		consider_options(ForeignTableRelationId, &nearest);
		consider_options(AttributeRelationId, &nearest);
		weir_nearest_consider(&nearest, BOOTSTRAP);
		if (nearest.distance == 0 ||
			(nearest.best != NULL && strchr(name, '.') == NULL))
			unknown_option(catalog, name);
	}
	weir_kafka_check_setting(name, value, place);
}

static void
check_option(Oid catalog, const char *name, const char *value)
{
	if (catalog == ForeignServerRelationId || catalog == UserMappingRelationId)
		check_setting(catalog, name, value);
	else if (!weir_stream_check_option(catalog, name, value))
		unknown_option(catalog, name);
}

bool
weir_has_option(List *options, const char *name)
{
	ListCell *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	}
	return false;
}

/* weir_fdw_validator(options text[], catalog oid) */
Datum
weir_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	ListCell *lc;
	int i;

	foreach(lc, options)
	{
		DefElem *opt = lfirst_node(DefElem, lc);

		check_option(catalog, opt->defname, defGetString(opt));
	}
	for (i = 0; i < lengthof(places); i++)
	{
		if (places[i].catalog != catalog || places[i].required == NULL ||
			weir_has_option(options, places[i].required))
			continue;
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("option \"%s\" is required for a %s",
							   places[i].required, places[i].name)));
	}
	PG_RETURN_VOID();
}
