/*
 * api/fdw_headers.c
 *		A jsonb value as the headers of a message.
 *
 * Called by INSERT, once per row, in its memory context.  Two forms are taken:
 * the array of {"key", "value"} that a stream's headers column shows, in which
 * names may repeat, and a plain object.  Values are strings or null.
 */
#include "api/fdw.h"

#include "mb/pg_wchar.h"

/* Raise because the value has neither form. */
static void
bad_headers(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid message headers"),
			 errdetail(
				 "Headers are an object of strings, or an array of objects with the strings \"key\" and \"value\"; a value may be null.")));
}

/* A jsonb string in UTF-8, with its terminator. */
static char *
header_text(const JsonbValue *v)
{
	return pg_server_to_any(pnstrdup(v->val.string.val, v->val.string.len),
							v->val.string.len, PG_UTF8);
}

static List *
add_header(List *headers, const JsonbValue *key, const JsonbValue *value)
{
	KafkaSetting *h = palloc(sizeof(KafkaSetting));

	if (key == NULL || key->type != jbvString || value == NULL ||
		(value->type != jbvString && value->type != jbvNull))
		bad_headers();
	h->name = header_text(key);
	h->value = value->type == jbvNull ? NULL : header_text(value);
	return lappend(headers, h);
}

/* The member of an object, or NULL. */
static JsonbValue *
member(JsonbContainer *object, const char *name)
{
	JsonbValue key;

	key.type = jbvString;
	key.val.string.val = (char *) name;
	key.val.string.len = strlen(name);
	return findJsonbValueFromContainer(object, JB_FOBJECT, &key);
}

/* An array of {"key", "value"}. */
static List *
headers_of_array(Jsonb *jb)
{
	List *headers = NIL;
	uint32 i;

	for (i = 0; i < JB_ROOT_COUNT(jb); i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(&jb->root, i);

		if (v == NULL || v->type != jbvBinary ||
			!JsonContainerIsObject(v->val.binary.data))
			bad_headers();
		headers = add_header(headers, member(v->val.binary.data, "key"),
							 member(v->val.binary.data, "value"));
	}
	return headers;
}

/* An object. */
static List *
headers_of_object(Jsonb *jb)
{
	List *headers = NIL;
	JsonbIterator *it = JsonbIteratorInit(&jb->root);
	JsonbIteratorToken token;
	JsonbValue v;
	JsonbValue key = {0};

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = v;
		else if (token == WJB_VALUE)
			headers = add_header(headers, &key, &v);
	}
	return headers;
}

/* weir_fdw_headers: see fdw.h. */
List *
weir_fdw_headers(Jsonb *jb)
{
	if (JB_ROOT_IS_OBJECT(jb))
		return headers_of_object(jb);
	if (!JB_ROOT_IS_ARRAY(jb) || JB_ROOT_IS_SCALAR(jb))
		bad_headers();
	return headers_of_array(jb);
}
