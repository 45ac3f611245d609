/*
 * kafka/registry.c
 *		A schema registry: schemas by their ids, over HTTP (see registry.h).
 *
 * Called by decoders, in ingest workers and backends, when a message names a
 * schema that they have not met; they keep what they get.  libcurl resolves names
 * on a thread of its own, and PostgreSQL's signal handlers must never run there:
 * so all signals are blocked while libcurl runs, and only then, since it never
 * waits by itself but in curl_multi_poll.
 *
 * One handle per request, for they are few.  What libcurl allocates is malloc'ed;
 * nothing raises while it is there but CHECK_FOR_INTERRUPTS, which PG_FINALLY
 * follows.
 */
#include "base/weir.h"

#include "kafka/registry.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>

#include "miscadmin.h"

#define CONNECT_MS     3000
#define TIMEOUT_MS     10000
#define SLICE_MS       50
#define MAX_BODY       (4 * 1024 * 1024)
/* A schema that the registry does not know: its error code. */
#define CODE_NO_SCHEMA 40403

typedef struct Request
{
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	CURLcode result;
	long status; /* HTTP's */
	char error[CURL_ERROR_SIZE];
	char *body; /* malloc'ed */
	size_t len;
	bool too_large;
} Request;

/* --- options ---------------------------------------------------------------- */

bool
weir_registry_option(const char *name, bool server)
{
	if (server)
		return strcmp(name, "schema_registry") == 0;
	return strcmp(name, "schema_registry_username") == 0 ||
		   strcmp(name, "schema_registry_password") == 0;
}

void
weir_registry_check_option(const char *name, const char *value)
{
	CURLU *url;
	bool good;

	if (strcmp(name, "schema_registry") != 0)
		return;
	url = curl_url();
	good = (strncmp(value, "http://", 7) == 0 ||
			strncmp(value, "https://", 8) == 0) &&
		   url != NULL &&
		   curl_url_set(url, CURLUPART_URL, value, CURLU_DISALLOW_USER) ==
			   CURLUE_OK;
	curl_url_cleanup(url);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 /* Not the value: it may have a password. */
				 errmsg("invalid value for option \"%s\"", name),
				 errhint(
					 "Give the registry's address as http://host:port or https://host:port; username and password belong to the user mapping.")));
}

/* --- the request ------------------------------------------------------------ */

static size_t
take_body(char *data, size_t size, size_t n, void *arg)
{
	Request *r = arg;
	size_t more = size * n;
	char *body;

	r->too_large = r->len + more > MAX_BODY;
	if (r->too_large)
		return 0;
	body = realloc(r->body, r->len + more + 1);
	if (body == NULL)
		return 0;
	memcpy(body + r->len, data, more);
	r->body = body;
	r->len += more;
	return more;
}

static bool
set_options(Request *r, const RegistryAddress *address, const char *url)
{
	CURL *e = r->easy;
	bool ok = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK;

	ok = ok && curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok = ok && curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
								(long) CONNECT_MS) == CURLE_OK;
	ok = ok &&
		 curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long) TIMEOUT_MS) == CURLE_OK;
	ok = ok && curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error) == CURLE_OK;
	ok = ok && curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK;
	ok = ok && curl_easy_setopt(e, CURLOPT_WRITEDATA, r) == CURLE_OK;
	ok = ok && curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK;
	if (ok && address->username != NULL)
		ok = curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC) ==
				 CURLE_OK &&
			 curl_easy_setopt(e, CURLOPT_USERNAME, address->username) ==
				 CURLE_OK;
	if (ok && address->password != NULL)
		ok = curl_easy_setopt(e, CURLOPT_PASSWORD, address->password) ==
			 CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Not to wait for a name server that does not answer when time is over. */
	ok = ok && curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
	return ok;
}

static bool
begin(Request *r, const RegistryAddress *address, const char *url)
{
	static bool initialised = false;

	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	initialised = true;
	r->multi = curl_multi_init();
	r->easy = curl_easy_init();
	r->headers =
		curl_slist_append(NULL,
						  "Accept: application/vnd.schemaregistry.v1+json, application/json");
	return r->multi != NULL && r->easy != NULL && r->headers != NULL &&
		   set_options(r, address, url) &&
		   curl_multi_add_handle(r->multi, r->easy) == CURLM_OK;
}

static void
end(Request *r)
{
	if (r->easy != NULL)
	{
		if (r->multi != NULL)
			(void) curl_multi_remove_handle(r->multi, r->easy);
		curl_easy_cleanup(r->easy);
	}
	if (r->multi != NULL)
		(void) curl_multi_cleanup(r->multi);
	curl_slist_free_all(r->headers);
	free(r->body);
}

/* Go on with it, waiting for nothing.  False: it is over. */
static bool
step(Request *r)
{
	sigset_t all;
	sigset_t old;
	int running = 0;
	int left;
	CURLMcode code;
	CURLMsg *msg;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = curl_multi_perform(r->multi, &running);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (code != CURLM_OK)
		return false;
	while ((msg = curl_multi_info_read(r->multi, &left)) != NULL)
	{
		if (msg->msg == CURLMSG_DONE)
			r->result = msg->data.result;
	}
	return running > 0;
}

static void
perform(Request *r)
{
	while (step(r))
	{
		CHECK_FOR_INTERRUPTS();
		if (curl_multi_poll(r->multi, NULL, 0, SLICE_MS, NULL) != CURLM_OK)
			break;
	}
	(void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->status);
}

/* --- the answer ------------------------------------------------------------- */

/* What the registry says in an answer that is no schema. */
static RegistryAnswer
refusal(const Request *r, const json_t *json, uint32 id, char **text)
{
	json_int_t code = json_integer_value(json_object_get(json, "error_code"));
	const char *message = json_string_value(json_object_get(json, "message"));

	if (r->status == 404 && code == CODE_NO_SCHEMA)
	{
		*text = psprintf("schema %u is not in the registry", id);
		return REGISTRY_UNKNOWN;
	}
	*text = psprintf("the registry answers with status %ld%s%.200s", r->status,
					 message != NULL ? ": " : "",
					 message != NULL ? message : "");
	return REGISTRY_FAILED;
}

static RegistryAnswer
read_schema(const json_t *json, uint32 id, char **text)
{
	const char *schema = json_string_value(json_object_get(json, "schema"));
	const char *type = json_string_value(json_object_get(json, "schemaType"));

	if (schema == NULL)
	{
		*text = pstrdup("the registry's answer has no schema");
		return REGISTRY_FAILED;
	}
	if (type != NULL && strcmp(type, "AVRO") != 0)
		*text = psprintf("schema %u is of type %.50s, not Avro's", id, type);
	else if (json_array_size(json_object_get(json, "references")) > 0)
		*text = psprintf("schema %u refers to other schemas", id);
	else
	{
		*text = pstrdup(schema);
		return REGISTRY_SCHEMA;
	}
	return REGISTRY_UNKNOWN;
}

static RegistryAnswer
read_answer(const Request *r, uint32 id, char **text)
{
	RegistryAnswer answer;
	json_t *json;

	if (r->too_large && r->status == 200)
	{
		*text = psprintf("schema %u is larger than %d bytes", id, MAX_BODY);
		return REGISTRY_UNKNOWN;
	}
	if (r->result != CURLE_OK)
	{
		*text = psprintf("no answer from the registry: %s",
						 r->error[0] != '\0' ? r->error
											 : curl_easy_strerror(r->result));
		return REGISTRY_FAILED;
	}
	json = json_loadb(r->body != NULL ? r->body : "", r->len, 0, NULL);
	if (r->status != 200)
		answer = refusal(r, json, id, text);
	else
		answer = read_schema(json, id, text);
	json_decref(json);
	return answer;
}

RegistryAnswer
weir_registry_schema(const RegistryAddress *address, uint32 id, char **text)
{
	Request r = {.result = CURLE_FAILED_INIT};
	RegistryAnswer answer = REGISTRY_FAILED;
	size_t len = strlen(address->url);
	char *url;

	while (len > 0 && address->url[len - 1] == '/')
		len--;
	url = psprintf("%.*s/schemas/ids/%u", (int) len, address->url, id);
	PG_TRY();
	{
		if (begin(&r, address, url))
			perform(&r);
		answer = read_answer(&r, id, text);
	}
	PG_FINALLY();
	{
		end(&r);
	}
	PG_END_TRY();
	pfree(url);
	return answer;
}
