/*
 * event.c
 *	  The generator: event n of a run.
 *
 * What an event contains, other than its time, is a function of the options
 * and n alone (rng.h).  It is formatted by hand, since at a million events a
 * second snprintf would take most of the time; the order of draws is part of
 * what "same seed, same bytes" promises, and must not change lightly.
 */
#include "event.h"

#include <string.h>

#include "malform.h"

#define MS_PER_DAY INT64_C(86400000)

/* A constant text of known length. */
typedef struct Text
{
	const char *text;
	size_t length;
} Text;

#define TEXT(s)          \
	{                    \
		s, sizeof(s) - 1 \
	}

typedef enum EventType
{
	TYPE_LOG,
	TYPE_CLICK,
	TYPE_TRANSACTION,
	TYPE_DEBUG
} EventType;

static const Text type_names[] = {TEXT("log"), TEXT("click"),
								  TEXT("transaction"), TEXT("debug")};

/* Amounts by type, in quarters: at least 1, less than 1 + this. */
static const uint32_t type_quarters[] = {40, 400, 4000, 4};

static const Text countries[] = {TEXT("DE"), TEXT("US"), TEXT("FR"),
								 TEXT("GB"), TEXT("IN"), TEXT("BR"),
								 TEXT("ES"), TEXT("IT"), TEXT("NL"),
								 TEXT("PL"), TEXT("SE"), TEXT("CH"),
								 TEXT("AT"), TEXT("BE"), TEXT("CA"),
								 TEXT("JP"), TEXT("AU"), TEXT("MX"),
								 TEXT("TR"), TEXT("PT")};

static const Text pages[] = {TEXT("/home"),     TEXT("/search"),
							 TEXT("/product"),  TEXT("/cart"),
							 TEXT("/checkout"), TEXT("/login"),
							 TEXT("/account"),  TEXT("/help")};

static const Text levels[] = {TEXT("INFO"), TEXT("WARN"), TEXT("ERROR"),
							  TEXT("DEBUG")};

static const char hex_digits[] = "0123456789abcdef";

#define PUT(p, literal) put_bytes(p, literal, sizeof(literal) - 1)

static inline char *
put_bytes(char *p, const char *bytes, size_t length)
{
	memcpy(p, bytes, length);
	return p + length;
}

static inline char *
put_text(char *p, Text text)
{
	return put_bytes(p, text.text, text.length);
}

static inline char *
put_2_digits(char *p, uint32_t value)
{
	*p++ = (char) ('0' + value / 10);
	*p++ = (char) ('0' + value % 10);
	return p;
}

static char *
put_number(char *p, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
	{
		digits[--at] = (char) ('0' + value % 10);
		value /= 10;
	} while (value != 0);
	return put_bytes(p, digits + at, sizeof(digits) - at);
}

/* put_hex: the n lowest hexadecimal digits of bits, lowest first. */
static inline char *
put_hex(char *p, uint64_t bits, int n)
{
	for (int i = 0; i < n; i++, bits >>= 4)
		*p++ = hex_digits[bits & 15];
	return p;
}

/* put_uuid: a version 4 UUID of 122 of the random bits given. */
static char *
put_uuid(char *p, uint64_t high, uint64_t low)
{
	p = put_hex(p, high, 8);
	*p++ = '-';
	p = put_hex(p, high >> 32, 4);
	p = PUT(p, "-4");
	p = put_hex(p, high >> 48, 3);
	*p++ = '-';
	*p++ = hex_digits[8 | (low & 3)];
	p = put_hex(p, low >> 2, 3);
	*p++ = '-';
	return put_hex(p, low >> 16, 12);
}

int64_t
event_days_of_civil(int year, int month, int day)
{
	/* years from March, so that the leap day is the last of its year */
	int64_t y = year - (month <= 2);
	int64_t era = y / 400;
	int64_t year_of_era = y % 400;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 -
		   year_of_era / 100 + day_of_year - 719468;
}

/* source_set_date: the inverse, for a day since 1970-01-01, as text. */
static void
source_set_date(EventSource *source, int64_t day)
{
	int64_t since = day + 719468;
	int64_t era = since / 146097;
	int64_t day_of_era = since % 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
						   day_of_era / 146096) /
						  365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 -
										year_of_era / 100);
	int64_t from_march = (5 * day_of_year + 2) / 153;
	int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;
	int64_t year = era * 400 + year_of_era + (month <= 2);
	char *p = source->date;

	source->date_day = day;
	p = put_2_digits(p, (uint32_t) (year / 100));
	p = put_2_digits(p, (uint32_t) (year % 100));
	*p++ = '-';
	p = put_2_digits(p, (uint32_t) month);
	*p++ = '-';
	p = put_2_digits(p,
					 (uint32_t) (day_of_year - (153 * from_march + 2) / 5 + 1));
	*p = 'T';
}

/* put_time: RFC 3339 in UTC with milliseconds; ms is not negative. */
static char *
put_time(EventSource *source, char *p, int64_t ms)
{
	int64_t day = ms / MS_PER_DAY;
	uint32_t of_day = (uint32_t) (ms % MS_PER_DAY);
	uint32_t seconds = of_day / 1000;

	if (day != source->date_day)
		source_set_date(source, day);
	p = put_bytes(p, source->date, sizeof(source->date));
	p = put_2_digits(p, seconds / 3600);
	*p++ = ':';
	p = put_2_digits(p, seconds / 60 % 60);
	*p++ = ':';
	p = put_2_digits(p, seconds % 60);
	*p++ = '.';
	*p++ = (char) ('0' + of_day % 1000 / 100);
	p = put_2_digits(p, of_day % 100);
	*p++ = 'Z';
	return p;
}

static EventType
pick_type(EventKind kind, uint32_t percent)
{
	switch (kind)
	{
		case KIND_LOGS:
			return TYPE_LOG;
		case KIND_CLICKS:
			return TYPE_CLICK;
		case KIND_TRANSACTIONS:
			return TYPE_TRANSACTION;
		case KIND_MIXED:
			break;
	}
	if (percent < 1)
		return TYPE_DEBUG;
	if (percent < 50)
		return TYPE_LOG;
	return percent < 85 ? TYPE_CLICK : TYPE_TRANSACTION;
}

static Text
pick_level(EventType type, uint32_t percent)
{
	if (type == TYPE_DEBUG)
		return levels[3];
	return levels[percent < 85 ? 0 : percent < 96 ? 1 : 2];
}

/* pick_country: the lesser of two draws, so that some are far more common. */
static Text
pick_country(uint64_t bits)
{
	uint32_t a = rng_below((uint32_t) bits, 20);
	uint32_t b = rng_below((uint32_t) (bits >> 32), 20);

	return countries[a < b ? a : b];
}

/* pick_latency: 1 to 200 ms, and twenty times that for one in 128. */
static uint32_t
pick_latency(uint64_t bits)
{
	uint32_t latency = 1 + rng_below((uint32_t) bits, 200);

	return (bits >> 32 & 127) == 0 ? latency * 20 : latency;
}

/* put_amount: quarters, with two decimals. */
static char *
put_amount(char *p, uint32_t quarters)
{
	p = put_number(p, quarters / 4);
	*p++ = '.';
	return put_2_digits(p, quarters % 4 * 25);
}

static void
pick_key(KeyField field, Event *event, Text page, Text country, Text type)
{
	Text none = {NULL, 0};
	Text user = {event->user, event->key_length};
	Text session = {event->session, sizeof(event->session)};
	const Text *choices[] = {&none, &user, &country, &session, &page, &type};

	event->key = choices[field]->text;
	event->key_length = choices[field]->length;
}

/* displace: decide whether the event comes late or out of order. */
static void
displace(const EventSource *source, Event *event, uint64_t bits)
{
	uint32_t share = (uint32_t) (bits >> 32);

	event->late = share < source->late_below;
	event->out_of_order = !event->late && share < source->early_below;
	if (event->late)
		event->time -= 20000 + rng_below((uint32_t) bits, 100001);
	else if (event->out_of_order)
		event->time -= 1 + rng_below((uint32_t) bits, 3000);
}

/* share_bound: a share as an exclusive bound of 32 random bits. */
static uint64_t
share_bound(double share)
{
	return (uint64_t) (share * 4294967296.0);
}

bool
event_source_init(EventSource *source, const Options *options)
{
	source->options = options;
	source->late_below = share_bound(options->late);
	source->early_below = share_bound(options->late + options->out_of_order);
	source->broken_below = share_bound(options->malformed);
	source_set_date(source, 0);
	source->users = zipf_new((uint32_t) options->users, options->skew);
	return source->users != NULL;
}

void
event_source_close(EventSource *source)
{
	zipf_free(source->users);
}

void
event_make(EventSource *source, uint64_t n, int64_t turn, Event *event)
{
	const Options *options = source->options;
	Rng rng = rng_at((uint64_t) options->seed, n);
	uint64_t bits = rng_next(&rng);
	EventType type = pick_type(options->kind, rng_below((uint32_t) bits, 100));
	Text page = pages[bits >> 32 & 7];
	Text level = pick_level(type, rng_below((uint32_t) (bits >> 32), 100));
	Text country = pick_country(rng_next(&rng));
	uint64_t user = 1 + (uint64_t) zipf_draw(source->users, rng_next(&rng));
	uint64_t measures = rng_next(&rng);
	uint64_t high = rng_next(&rng);
	uint64_t low = rng_next(&rng);
	uint32_t broken;
	char *p = event->data;

	event->time = turn;
	event->malformed = false;
	displace(source, event, rng_next(&rng));
	event->timestamp = options->start_time < 0 ? turn : event->time;

	/* a user's session lasts for 65536 events of the whole run */
	put_hex(event->session, rng_mix(user * RNG_GOLDEN + (n >> 16)), 16);
	event->key_length = (size_t) (put_number(event->user, user) - event->user);

	p = PUT(p, "{\"event_id\":\"");
	p = put_uuid(p, high, low);
	p = PUT(p, "\",\"event_type\":\"");
	p = put_text(p, type_names[type]);
	p = PUT(p, "\",\"user_id\":");
	p = put_bytes(p, event->user, event->key_length);
	p = PUT(p, ",\"session_id\":\"");
	p = put_bytes(p, event->session, sizeof(event->session));
	p = PUT(p, "\",\"page\":\"");
	p = put_text(p, page);
	p = PUT(p, "\",\"country\":\"");
	p = put_text(p, country);
	p = PUT(p, "\",\"amount\":");
	p = put_amount(p, 1 + rng_below((uint32_t) measures, type_quarters[type]));
	p = PUT(p, ",\"latency_ms\":");
	p = put_number(p, pick_latency(high ^ measures >> 20));
	p = PUT(p, ",\"ts\":\"");
	p = put_time(source, p, event->time);
	p = PUT(p, "\",\"level\":\"");
	p = put_text(p, level);
	p = PUT(p, "\"}");
	event->length = (size_t) (p - event->data);
	pick_key(options->key, event, page, country, type_names[type]);

	broken = (uint32_t) (rng_next(&rng) >> 32);
	if (broken < source->broken_below)
		malform(event, &rng);
}
