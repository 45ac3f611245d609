/*
 * kafka/settings.c
 *		librdkafka's properties as options: what is allowed, where, for whom.
 *
 * An allow-list, since librdkafka's properties can do more than a database user
 * may: plugin.library.paths loads code the moment it is set, kinit.cmd is a
 * shell command, *.location reads the server's files.  So a name is looked up
 * here before librdkafka sees it.  The table also says for which kind of client
 * a property is meant: librdkafka warns about a producer's property on a
 * consumer, and one server serves both.
 *
 * Checks run in the backend that executes the DDL and raise.  Configurations
 * are built wherever a handle is opened and report failure as text.
 */
#include "base/weir.h"

#include "kafka/nearest.h"
#include "kafka/settings.h"

#include "catalog/pg_authid.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

/* Where a property may stand. */
#define AT_SERVER 1
#define AT_USER   2
#define AT_BOTH   3

/* Who may set it. */
typedef enum SettingKind
{
	SETTING_PLAIN,
	SETTING_FILE, /* a file's name: superuser or pg_read_server_files */
	SETTING_SUPERUSER
} SettingKind;

typedef struct SettingRule
{
	const char *name;
	uint8 places;
	uint8 kind;
	uint8 role;
} SettingRule;

/* Ours: a file whose content becomes sasl.password when a handle is opened. */
#define PASSWORD_FILE "sasl.password_file"

/* Sorted by name, so that hints and lists are. */
static const SettingRule rules[] = {
	{"api.version.fallback.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"api.version.request", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"api.version.request.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"batch.num.messages", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"batch.size", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"broker.address.family", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"broker.address.ttl", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"broker.version.fallback", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"check.crcs", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"client.id", AT_BOTH, SETTING_PLAIN, KAFKA_BOTH},
	{"client.rack", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"compression.codec", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"compression.level", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"compression.type", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"connections.max.idle.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"debug", AT_SERVER, SETTING_SUPERUSER, KAFKA_BOTH},
	{"delivery.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"enable.idempotence", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"enable.ssl.certificate.verification", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"fetch.error.backoff.ms", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"fetch.max.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"fetch.message.max.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"fetch.min.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"fetch.wait.max.ms", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"isolation.level", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"linger.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"max.in.flight", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"max.in.flight.requests.per.connection", AT_SERVER, SETTING_PLAIN,
	 KAFKA_BOTH},
	{"max.partition.fetch.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"message.copy.max.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"message.max.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"message.send.max.retries", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"message.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"metadata.max.age.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"partitioner", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"queue.buffering.max.kbytes", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"queue.buffering.max.messages", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"queue.buffering.max.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"queued.max.messages.kbytes", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"queued.min.messages", AT_SERVER, SETTING_PLAIN, KAFKA_CONSUMER},
	{"receive.message.max.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"reconnect.backoff.max.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"reconnect.backoff.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"request.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"retries", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"retry.backoff.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"sasl.kerberos.service.name", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"sasl.mechanism", AT_BOTH, SETTING_PLAIN, KAFKA_BOTH},
	{"sasl.mechanisms", AT_BOTH, SETTING_PLAIN, KAFKA_BOTH},
	{"sasl.password", AT_USER, SETTING_PLAIN, KAFKA_BOTH},
	{PASSWORD_FILE, AT_USER, SETTING_FILE, KAFKA_BOTH},
	{"sasl.username", AT_USER, SETTING_PLAIN, KAFKA_BOTH},
	{"security.protocol", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.connection.setup.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.keepalive.enable", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.max.fails", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.nagle.disable", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.receive.buffer.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.send.buffer.bytes", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"socket.timeout.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.ca.location", AT_SERVER, SETTING_FILE, KAFKA_BOTH},
	{"ssl.ca.pem", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.certificate.location", AT_BOTH, SETTING_FILE, KAFKA_BOTH},
	{"ssl.certificate.pem", AT_BOTH, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.cipher.suites", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.crl.location", AT_SERVER, SETTING_FILE, KAFKA_BOTH},
	{"ssl.curves.list", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.endpoint.identification.algorithm", AT_SERVER, SETTING_PLAIN,
	 KAFKA_BOTH},
	{"ssl.key.location", AT_BOTH, SETTING_FILE, KAFKA_BOTH},
	{"ssl.key.password", AT_USER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.key.pem", AT_USER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.keystore.location", AT_BOTH, SETTING_FILE, KAFKA_BOTH},
	{"ssl.keystore.password", AT_USER, SETTING_PLAIN, KAFKA_BOTH},
	{"ssl.sigalgs.list", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
	{"sticky.partitioning.linger.ms", AT_SERVER, SETTING_PLAIN, KAFKA_PRODUCER},
	{"topic.metadata.refresh.fast.interval.ms", AT_SERVER, SETTING_PLAIN,
	 KAFKA_BOTH},
	{"topic.metadata.refresh.interval.ms", AT_SERVER, SETTING_PLAIN, KAFKA_BOTH},
};

/* Refused, and why.  A name that ends with '.' stands for all that begin so. */
typedef struct SettingRefusal
{
	const char *name;
	const char *why;
	const char *hint;
} SettingRefusal;

#define WHY_OFFSETS \
	"Weir keeps positions itself, in the transaction that keeps the results."
#define HINT_OFFSETS \
	"Choose where reading begins with the option \"start\" of the foreign table."
#define WHY_LOG   "Weir writes librdkafka's messages to the server's log."
#define HINT_LOG  "A superuser can set \"debug\" for more of them."
#define WHY_XACT  "What INSERT produces is not part of a transaction."
#define WHY_CODE  "It would run code or commands inside the server."
#define WHY_OAUTH "OAUTHBEARER is not supported."
#define HINT_SASL \
	"Use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI or TLS client certificates."
#define HINT_KINIT \
	"Keep a ticket for the server's operating system user with a tool of its own, such as k5start."

static const SettingRefusal refusals[] = {
	{"acks", "Weir always waits for all in-sync replicas.", NULL},
	{"allow.auto.create.topics",
	 "A mistyped topic must be an error when it is read.", NULL},
	{"auto.commit.", WHY_OFFSETS, HINT_OFFSETS},
	{"auto.offset.reset", WHY_OFFSETS,
	 "The options \"start\" and \"offset_reset\" of the foreign table say where reading begins, and where it goes on when the next offset no longer exists."},
	{"bootstrap.servers", "Weir has an option of its own for it.",
	 "Use bootstrap_servers."},
	{"enable.auto.commit", WHY_OFFSETS, HINT_OFFSETS},
	{"enable.auto.offset.store", WHY_OFFSETS, HINT_OFFSETS},
	{"enable.gapless.guarantee", "It can make a producer unusable.", NULL},
	{"enable.partition.eof", "Weir needs these events.", NULL},
	{"enable.sasl.oauthbearer.", WHY_OAUTH, HINT_SASL},
	{"enabled_events", "Weir chooses its events.", NULL},
	{"group.",
	 "Weir assigns partitions itself and names the group after the stream.",
	 NULL},
	{"heartbeat.interval.ms", "Weir assigns partitions itself.", NULL},
	{"internal.", WHY_CODE, NULL},
	{"log.", WHY_LOG, HINT_LOG},
	{"log_level", WHY_LOG, HINT_LOG},
	{"max.poll.interval.ms", "Weir assigns partitions itself.", NULL},
	{"metadata.broker.list", "Weir has an option of its own for it.",
	 "Use bootstrap_servers."},
	{"offset.store.", WHY_OFFSETS, HINT_OFFSETS},
	{"partition.assignment.strategy", "Weir assigns partitions itself.", NULL},
	{"plugin.library.paths", WHY_CODE, NULL},
	{"request.required.acks", "Weir always waits for all in-sync replicas.",
	 NULL},
	{"sasl.kerberos.", "Weir runs no kinit.", HINT_KINIT},
	{"sasl.oauthbearer.", WHY_OAUTH, HINT_SASL},
	{"session.timeout.ms", "Weir assigns partitions itself.", NULL},
	{"ssl.engine.", WHY_CODE, NULL},
	{"ssl.providers", WHY_CODE, NULL},
	{"statistics.interval.ms", "Weir has statistics of its own.",
	 "See weir.metrics and the setting weir.kafka_statistics_interval."},
	{"test.mock.", "It is for tests of librdkafka.", NULL},
	{"topic.blacklist", "A stream reads one topic.", NULL},
	{"transaction.timeout.ms", WHY_XACT, NULL},
	{"transactional.id", WHY_XACT, NULL},
};

/* What Weir sets before the user's settings. */
static const struct
{
	const char *name;
	const char *value;
	uint8 role;
} defaults[] =
	{
		{"client.id", "weir", KAFKA_BOTH},
		{"reconnect.backoff.max.ms", "2000", KAFKA_BOTH},
		{"topic.metadata.refresh.interval.ms", "30000", KAFKA_BOTH},
		/* larger fetches only cause page faults */
		{"fetch.message.max.bytes", "262144", KAFKA_CONSUMER},
		{"fetch.wait.max.ms", "100", KAFKA_CONSUMER},
		{"isolation.level", "read_committed", KAFKA_CONSUMER},
		{"enable.idempotence", "true", KAFKA_PRODUCER},
		{"message.timeout.ms", "30000", KAFKA_PRODUCER},
		{"queue.buffering.max.kbytes", "65536", KAFKA_PRODUCER},
},
  fixed[] = {
	  {"log.queue", "true", KAFKA_BOTH},
	  /* zero: librdkafka never runs kinit */
	  {"sasl.kerberos.min.time.before.relogin", "0", KAFKA_BOTH},
	  {"auto.offset.reset", "error", KAFKA_CONSUMER},
	  {"enable.auto.commit", "false", KAFKA_CONSUMER},
	  {"enable.auto.offset.store", "false", KAFKA_CONSUMER},
	  {"enable.partition.eof", "true", KAFKA_CONSUMER},
	  {"acks", "all", KAFKA_PRODUCER},
};

/* The rule for a name, or NULL. */
static const SettingRule *
find_rule(const char *name)
{
	int i;

	for (i = 0; i < lengthof(rules); i++)
	{
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	return NULL;
}

/* Why a name is refused, or NULL if we have never heard of it. */
static const SettingRefusal *
find_refusal(const char *name)
{
	int i;

	for (i = 0; i < lengthof(refusals); i++)
	{
		const char *r = refusals[i].name;
		size_t len = strlen(r);

		if (strcmp(r, name) == 0 ||
			(r[len - 1] == '.' && strncmp(r, name, len) == 0))
			return &refusals[i];
	}
	return NULL;
}

static uint8
place_bit(KafkaSettingPlace place)
{
	return place == KAFKA_SETTING_SERVER ? AT_SERVER : AT_USER;
}

static const char *
place_name(uint8 bit)
{
	return bit == AT_SERVER ? "server" : "user mapping";
}

/* weir_kafka_setting_known: is the property on the list for this place? */
bool
weir_kafka_setting_known(const char *name, KafkaSettingPlace place)
{
	const SettingRule *rule = find_rule(name);

	return rule != NULL && (rule->places & place_bit(place)) != 0;
}

/* weir_kafka_setting_names: the names allowed here, comma-separated. */
char *
weir_kafka_setting_names(KafkaSettingPlace place)
{
	StringInfoData buf;
	int i;

	initStringInfo(&buf);
	for (i = 0; i < lengthof(rules); i++)
	{
		if ((rules[i].places & place_bit(place)) == 0)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", rules[i].name);
	}
	return buf.data;
}

/* weir_kafka_nearest_setting: offer this place's names to a search. */
void
weir_kafka_nearest_setting(NearestName *nearest, KafkaSettingPlace place)
{
	int i;

	for (i = 0; i < lengthof(rules); i++)
	{
		if ((rules[i].places & place_bit(place)) != 0)
			weir_nearest_consider(nearest, rules[i].name);
	}
}

/* Raise for a name that is not on the list, saying why if we know. */
static void
refuse_name(const char *name, KafkaSettingPlace place)
{
	const SettingRefusal *r = find_refusal(name);
	NearestName nearest;

	if (r != NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("option \"%s\" cannot be set", name),
						errdetail("%s", r->why),
						r->hint != NULL ? errhint("%s", r->hint) : 0));

	weir_nearest_init(&nearest, name);
	weir_kafka_nearest_setting(&nearest, place);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 nearest.best != NULL
				 ? errhint("Perhaps you meant the option \"%s\".", nearest.best)
				 : 0));
}

/* Raise unless the current user may set a property of this kind. */
static void
check_privilege(const SettingRule *rule)
{
	if (rule->kind == SETTING_PLAIN || superuser())
		return;
	if (rule->kind == SETTING_FILE &&
		has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set option \"%s\"", rule->name),
			 rule->kind == SETTING_FILE
				 ? errdetail(
					   "Only superusers and members of pg_read_server_files may name files of the server.")
				 : errdetail("Only superusers may set it.")));
}

/* Raise unless librdkafka takes the value. */
static void
check_value(const char *name, const char *value)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_res_t res;
	char err[256];
	size_t len;

	err[0] = '\0';
	res = rd_kafka_conf_set(conf, name, value, err, sizeof(err));
	rd_kafka_conf_destroy(conf);
	if (res == RD_KAFKA_CONF_OK)
		return;
	for (len = strlen(err); len > 0 && isspace((unsigned char) err[len - 1]);)
		err[--len] = '\0';
	ereport(ERROR,
			(errcode(res == RD_KAFKA_CONF_UNKNOWN
						 ? ERRCODE_FDW_INVALID_OPTION_NAME
						 : ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 res == RD_KAFKA_CONF_UNKNOWN
				 ? errmsg("option \"%s\" is not known to the installed librdkafka",
						  name)
				 : errmsg("invalid value for option \"%s\"", name),
			 errdetail("librdkafka says: %s.", err)));
}

/* weir_kafka_check_setting: see kafka.h. */
void
weir_kafka_check_setting(const char *name, const char *value,
						 KafkaSettingPlace place)
{
	const SettingRule *rule = find_rule(name);
	uint8 bit = place_bit(place);

	if (rule == NULL)
		refuse_name(name, place);
	if ((rule->places & bit) == 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("option \"%s\" cannot be set for a %s", name,
							   place_name(bit)),
						errhint("It is an option of the %s.",
								place_name(rule->places))));
	check_privilege(rule);
	if (strcmp(name, PASSWORD_FILE) == 0)
	{
		if (!is_absolute_path(value))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
							errmsg("invalid value for option \"%s\"", name),
							errdetail("The file's path must be absolute.")));
		return;
	}
	check_value(name, value);
	/* librdkafka knows it, but would call back for its tokens */
	if (strncmp(name, "sasl.mechanism", 14) == 0 &&
		pg_strcasecmp(value, "OAUTHBEARER") == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("invalid value for option \"%s\"", name),
						errdetail("%s", WHY_OAUTH), errhint("%s", HINT_SASL)));
}

/* weir_kafka_is_set: did the user set this property? */
bool
weir_kafka_is_set(List *settings, const char *name)
{
	ListCell *lc;

	foreach(lc, settings)
	{
		if (strcmp(((KafkaSetting *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/* Set sasl.password to what the file holds, less line ends. */
static bool
set_password_from(rd_kafka_conf_t *conf, const char *path, char *err,
				  size_t errlen)
{
	char buf[1024];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
	{
		n = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	if (n < 0)
	{
		snprintf(err, errlen, "could not read file \"%s\": %m", path);
		return false;
	}
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		n--;
	buf[n] = '\0';
	return rd_kafka_conf_set(conf, "sasl.password", buf, err, errlen) ==
		   RD_KAFKA_CONF_OK;
}

/* Put one of the user's settings into conf, if it is for this role. */
static bool
apply_setting(rd_kafka_conf_t *conf, const KafkaSetting *s, KafkaRole role,
			  char *err, size_t errlen)
{
	const SettingRule *rule = find_rule(s->name);

	if (rule != NULL && (rule->role & role) == 0)
		return true;
	if (strcmp(s->name, PASSWORD_FILE) == 0)
		return set_password_from(conf, s->value, err, errlen);
	/* Defence in depth: options are checked when they are set. */
	if (rule == NULL && strcmp(s->name, "bootstrap.servers") != 0)
	{
		snprintf(err, errlen, "option \"%s\" cannot be set", s->name);
		return false;
	}
	return rd_kafka_conf_set(conf, s->name, s->value, err, errlen) ==
		   RD_KAFKA_CONF_OK;
}

/* The parts of weir_kafka_conf, in order; false and err on failure. */
static bool
fill_conf(rd_kafka_conf_t *conf, List *settings, KafkaRole role,
		  const KafkaSetting *forced, char *err, size_t errlen)
{
	ListCell *lc;
	int i;

	for (i = 0; i < lengthof(defaults); i++)
	{
		if ((defaults[i].role & role) != 0 &&
			rd_kafka_conf_set(conf, defaults[i].name, defaults[i].value, err,
							  errlen) != RD_KAFKA_CONF_OK)
			return false;
	}
	foreach(lc, settings)
	{
		if (!apply_setting(conf, (KafkaSetting *) lfirst(lc), role, err, errlen))
			return false;
	}
	for (i = 0; i < lengthof(fixed); i++)
	{
		if ((fixed[i].role & role) != 0 &&
			rd_kafka_conf_set(conf, fixed[i].name, fixed[i].value, err,
							  errlen) != RD_KAFKA_CONF_OK)
			return false;
	}
	for (i = 0; forced != NULL && forced[i].name != NULL; i++)
	{
		if (rd_kafka_conf_set(conf, forced[i].name, forced[i].value, err,
							  errlen) != RD_KAFKA_CONF_OK)
			return false;
	}
	return true;
}

/* weir_kafka_conf: see settings.h. */
rd_kafka_conf_t *
weir_kafka_conf(List *settings, KafkaRole role, const KafkaSetting *forced,
				char *err, size_t errlen)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (fill_conf(conf, settings, role, forced, err, errlen))
		return conf;
	rd_kafka_conf_destroy(conf);
	return NULL;
}
