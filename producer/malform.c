/*
 * malform.c
 *	  Breaks a well-formed event.
 *
 * Each sort breaks another layer of a decoder: the end of input, what follows
 * the value, the type of a declared field, the encoding, and the message as
 * such.  None contains a newline, so that printed messages stay on one line.
 */
#include "malform.h"

#include <string.h>

typedef struct Replacement
{
	const char *field;
	const char *value;
} Replacement;

/* Values that are JSON but not of the type that the field is declared with. */
static const Replacement wrong_types[] = {
	{"\"latency_ms\":", "\"abc\""},
	{"\"user_id\":", "{\"id\":1}"},
	{"\"amount\":", "\"much\""},
	{"\"ts\":", "\"not a time\""},
};

#define N_WRONG_TYPES (sizeof(wrong_types) / sizeof(wrong_types[0]))

/* malform_value: put another value in place of a field's. */
static void
malform_value(Event *event, const Replacement *wrong)
{
	char *end = event->data + event->length;
	char *from;
	char *upto;
	size_t length = strlen(wrong->value);

	*end = '\0';
	from = strstr(event->data, wrong->field) + strlen(wrong->field);
	/* no value contains a comma, and these fields are never the last */
	upto = strchr(from, ',');
	memmove(from + length, upto, (size_t) (end - upto));
	memcpy(from, wrong->value, length);
	event->length += (size_t) (from + length - upto);
}

/* malform_encoding: a byte of the page that no UTF-8 text contains. */
static void
malform_encoding(Event *event, uint32_t bits)
{
	static const char never[] = "\xff\xfe\xc0\xf8";
	char *page;

	event->data[event->length] = '\0';
	page = strstr(event->data, "\"page\":\"");
	page[strlen("\"page\":\"") + 1] = never[bits & 3];
}

void
malform(Event *event, Rng *rng)
{
	static const char garbage[] = "}, trailing";
	uint64_t bits = rng_next(rng);
	uint32_t more = (uint32_t) bits;

	event->malformed = true;
	switch (rng_below((uint32_t) (bits >> 32), 5))
	{
		case 0:
			event->length = 1 + rng_below(more, (uint32_t) event->length - 1);
			break;
		case 1:
			memcpy(event->data + event->length, garbage, sizeof(garbage) - 1);
			event->length += sizeof(garbage) - 1;
			break;
		case 2:
			malform_value(event, &wrong_types[more % N_WRONG_TYPES]);
			break;
		case 3:
			malform_encoding(event, more);
			break;
		default:
			event->length = 0;
			break;
	}
}
