/*
 * exec/letter.c
 *		Messages that are kept aside (see letter.h).
 *
 * The lists are in shared memory, in LaneWorker, so that nothing is lost of the
 * arena when a worker ends.  Each belongs to one process at a time; there is no
 * lock (shmem/README.md).  A letter is made before anything of its record is
 * applied, since only then can the batch wait for memory: it goes the way
 *
 *		tried -> kept -> letters -> frozen -> committed
 *
 * where a batch that has to wait, or raises, throws "tried" away, and "kept" is
 * published with the positions of the view.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "exec/letter.h"
#include "mb/pg_wchar.h"

/*
 * A letter is a block of up to this size, and as many parts of that size as it
 * takes: a block as large as a large message may be free nowhere.
 */
#define PART_BYTES (128 * 1024)
#define PART_ROOM  (PART_BYTES - offsetof(LetterPart, data))

/* What is kept of a message that is cut; all of it fits in one block. */
#define CUT_REASON  (8 * 1024)
#define CUT_KEY     (16 * 1024)
#define CUT_PAYLOAD (64 * 1024)

/* What becomes a letter: all of a message, or its beginning. */
typedef struct Content
{
	const char *data[3]; /* reason, key, payload */
	size_t len[3];
} Content;

/* --- room ----------------------------------------------------------------------- */

/*
 * How much has to stay free.  Even where windows fill what they may, a message
 * that cannot be used must not stop the others, so letters go a little into what
 * checkpoints need, as far as each commit frees it.  A large letter may take
 * more, as long as everything else in use could still be copied.
 */
static size_t
to_keep(size_t bytes)
{
	size_t half = weir_arena_total() / 2;

	if (bytes <= PART_BYTES)
		return half - half / 8;
	return Min(half, weir_arena_used());
}

void
weir_letter_free(Letter *l)
{
	LetterPart *p;

	while ((p = l->parts) != NULL)
	{
		l->parts = p->next;
		weir_arena_free(p, offsetof(LetterPart, data) + p->len);
	}
	weir_arena_free(l, offsetof(Letter, data) + l->len);
}

/* Room for len bytes of reason, key and payload.  NULL: there is none. */
static Letter *
make_room(size_t len)
{
	size_t keep = to_keep(offsetof(Letter, data) + len);
	size_t first = Min(len, PART_BYTES - offsetof(Letter, data));
	Letter *l = weir_arena_alloc_keeping(offsetof(Letter, data) + first, keep);

	if (l == NULL)
		return NULL;
	memset(l, 0, offsetof(Letter, data));
	l->len = (uint32) first;
	while (len > first)
	{
		size_t more = (len - first - 1) % PART_ROOM + 1;
		LetterPart *p = weir_arena_alloc_keeping(offsetof(LetterPart, data) +
													 more,
												 keep);

		if (p == NULL)
		{
			weir_letter_free(l);
			return NULL;
		}
		/* From the last one to the first, which so are full. */
		p->len = (uint32) more;
		p->next = l->parts;
		l->parts = p;
		len -= more;
	}
	return l;
}

/* Where a byte of what is kept is, and how many there are from it on. */
static const char *
locate(const Letter *l, size_t at, size_t *len)
{
	const LetterPart *p = l->parts;

	if (at < l->len)
	{
		*len = l->len - at;
		return l->data + at;
	}
	for (at -= l->len; at >= p->len; p = p->next)
		at -= p->len;
	*len = p->len - at;
	return p->data + at;
}

void
weir_letter_read(const Letter *l, size_t at, char *to, size_t len)
{
	while (len > 0)
	{
		size_t n;
		const char *from = locate(l, at, &n);

		n = Min(n, len);
		memcpy(to, from, n);
		to += n;
		at += n;
		len -= n;
	}
}

static void
write_part(Letter *l, size_t at, const char *from, size_t len)
{
	while (len > 0)
	{
		size_t n;
		char *to = unconstify(char *, locate(l, at, &n));

		n = Min(n, len);
		memcpy(to, from, n);
		from += n;
		at += n;
		len -= n;
	}
}

/* --- letters --------------------------------------------------------------------- */

static size_t
length(const Content *c)
{
	return c->len[0] + c->len[1] + c->len[2];
}

/* Only the beginning of each, and of the reason that it is so. */
static void
cut_short(const KafkaMessage *m, Content *c)
{
	char *reason;

	c->len[1] = Min(c->len[1], CUT_KEY);
	reason = psprintf("%.*s (too large to be kept whole in weir.memory_limit: "
					  "%zu of %zu bytes of the payload are kept)",
					  pg_mbcliplen(c->data[0], (int) c->len[0], CUT_REASON),
					  c->data[0], Min(c->len[2], (size_t) CUT_PAYLOAD),
					  c->len[2]);
	c->len[2] = Min(c->len[2], CUT_PAYLOAD);
	c->data[0] = reason;
	c->len[0] = strlen(reason);
	ereport(LOG, (errmsg("message at partition %d, offset " INT64_FORMAT
						 " is too large to be kept whole in weir.memory_limit",
						 m->partition, m->offset)));
}

static void
fill(Letter *l, const KafkaMessage *m, int32 view, const Content *c)
{
	size_t at = 0;

	for (int i = 0; i < 3; i++)
	{
		write_part(l, at, c->data[i], c->len[i]);
		at += c->len[i];
	}
	l->view = view;
	l->partition = m->partition;
	l->offset = m->offset;
	l->timestamp = m->timestamp;
	l->fingerprint = weir_message_fingerprint(m);
	l->record = m->record;
	l->part = m->part;
	l->cut = m->key_cut;
	l->reason_len = (uint32) c->len[0];
	l->key_len = (uint32) c->len[1];
	l->payload_len = (uint32) c->len[2];
	l->has_key = m->key != NULL;
	l->has_payload = m->payload != NULL;
}

static Content
content(const KafkaMessage *m, const char *reason)
{
	return (Content){{reason, m->key, m->payload},
					 {strlen(reason), m->key_len, m->len}};
}

Letter *
weir_letter_new(const KafkaMessage *m, int32 view, const char *reason, bool cut)
{
	Content c = content(m, reason);
	size_t bytes = offsetof(Letter, data) + length(&c);
	Letter *l;

	cut = bytes > weir_arena_total() || (cut && bytes > PART_BYTES);
	if (cut)
		cut_short(m, &c);
	l = make_room(length(&c));
	if (l == NULL)
		return NULL;
	fill(l, m, view, &c);
	l->cut = l->cut || cut;
	return l;
}

/* Of a dead letter that has not all of its key. */
static const char *
with_cut(const KafkaMessage *m, const char *reason)
{
	if (!m->key_cut)
		return reason;
	return psprintf("%s (of the key, %zu bytes are kept)", reason, m->key_len);
}

Letter *
weir_letter_private(const KafkaMessage *m, int32 view, int sqlstate,
					const char *reason)
{
	Content c = content(m, with_cut(m, reason));
	size_t len = length(&c);
	Letter *l = palloc_extended(offsetof(Letter, data) + len, MCXT_ALLOC_HUGE);

	memset(l, 0, offsetof(Letter, data));
	l->len = (uint32) len;
	fill(l, m, view, &c);
	l->kind = LETTER_DEAD;
	l->dead.sqlstate = sqlstate;
	return l;
}

bool
weir_letter_is_wanted(LaneWorker *w)
{
	int64 second;

	if (w->letters_full)
		return false;
	if (w->letter_rate == 0)
		return true;
	second = weir_clock_monotonic() / USECS_PER_SEC;
	if (second != w->letter_second)
		w->letters_in_second = 0;
	w->letter_second = second;
	return w->letters_in_second++ < w->letter_rate;
}

bool
weir_letter_dead(Letter **list, const KafkaMessage *m, int32 view, int sqlstate,
				 const char *reason, bool cut)
{
	Letter *l = weir_letter_new(m, view, with_cut(m, reason), cut);

	if (l == NULL)
		return false;
	l->kind = LETTER_DEAD;
	l->dead.sqlstate = sqlstate;
	weir_letter_add(list, l);
	return true;
}

void
weir_letter_add(Letter **list, Letter *l)
{
	l->next = *list;
	*list = l;
}

Letter *
weir_letter_take(Letter **list)
{
	Letter *l = *list;

	*list = l->next;
	return l;
}

void
weir_letters_move(Letter **from, Letter **to)
{
	Letter **end = from;

	while (*end)
		end = &(*end)->next;
	*end = *to;
	*to = *from;
	*from = NULL;
}

void
weir_letters_free(Letter **list)
{
	Letter *l;

	while ((l = *list) != NULL)
	{
		*list = l->next;
		weir_letter_free(l);
	}
}
