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

#include "exec/letter.h"

Letter *
weir_letter_new(const KafkaMessage *m, int32 view, const char *reason)
{
	size_t reason_len = strlen(reason);
	size_t bytes = offsetof(Letter, data) + reason_len + m->key_len + m->len;
	Letter *l = weir_arena_alloc(bytes);
	char *p;

	if (l == NULL)
		return NULL;
	memset(l, 0, offsetof(Letter, data));
	l->bytes = bytes;
	l->view = view;
	l->partition = m->partition;
	l->offset = m->offset;
	l->timestamp = m->timestamp;
	l->fingerprint = weir_message_fingerprint(m);
	l->reason_len = (uint32) reason_len;
	l->key_len = (uint32) m->key_len;
	l->payload_len = (uint32) m->len;
	l->has_key = m->key != NULL;
	l->has_payload = m->payload != NULL;
	p = l->data;
	memcpy(p, reason, reason_len);
	p += reason_len;
	if (m->key_len > 0)
		memcpy(p, m->key, m->key_len);
	p += m->key_len;
	if (m->len > 0)
		memcpy(p, m->payload, m->len);
	return l;
}

bool
weir_letter_dead(Letter **list, const KafkaMessage *m, int32 view, int sqlstate,
				 const char *reason)
{
	Letter *l = weir_letter_new(m, view, reason);

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
		weir_arena_free(l, l->bytes);
	}
}
