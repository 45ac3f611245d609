/*
 * json_walk.c
 *		Steps over JSON text that wj_scan has accepted (see json_walk.h).
 *
 * Called by decoders on messages in their private memory; no lock, no memory.
 */
#include "core/json_walk.h"

/* p is behind the opening quote; the result is at the closing one. */
static const char *
string_end(const char *p, bool *escaped)
{
	*escaped = false;
	for (; *p != '"'; p++)
	{
		if (*p == '\\')
		{
			*escaped = true;
			p++;
		}
	}
	return p;
}

/* p is at an opening bracket; the result is behind its counterpart. */
static const char *
container_end(const char *p)
{
	int depth = 0;
	bool escaped;

	do
	{
		if (*p == '"')
			p = string_end(p + 1, &escaped);
		else if (*p == '[' || *p == '{')
			depth++;
		else if (*p == ']' || *p == '}')
			depth--;
		p++;
	} while (depth > 0);
	return p;
}

static WjType
type_of(char first)
{
	switch (first)
	{
		case '"':
			return WJ_STRING;
		case '[':
			return WJ_ARRAY;
		case '{':
			return WJ_OBJECT;
		case 'n':
			return WJ_NULL;
		case 't':
			return WJ_TRUE;
		case 'f':
			return WJ_FALSE;
		default:
			return WJ_NUMBER;
	}
}

const char *
wj_take_value(const char *p, WjValue *v)
{
	const char *end = p;

	v->ptr = p;
	v->type = type_of(*p);
	v->escaped = false;
	switch (v->type)
	{
		case WJ_STRING:
			v->ptr = p + 1;
			end = string_end(p + 1, &v->escaped);
			break;
		case WJ_ARRAY:
		case WJ_OBJECT:
			end = container_end(p);
			break;
		default:
			/* a number or a word; the container's bracket follows at last */
			while (*end != ',' && *end != ']' && *end != '}' &&
				   wj_skip_space(end) == end)
				end++;
			break;
	}
	v->len = (uint32_t) (end - v->ptr);
	return v->type == WJ_STRING ? end + 1 : end;
}
