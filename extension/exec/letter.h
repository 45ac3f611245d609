/*
 * exec/letter.h
 *		Messages that are kept aside: dead letters and late events, on their way
 *		from the ingest worker to the checkpoint that commits them.
 */
#ifndef WEIR_EXEC_LETTER_H
#define WEIR_EXEC_LETTER_H

#include "base/weir.h"

#include "kafka/kafka.h"
#include "shmem/shmem.h"

/*
 * A copy of the message, in no list; view 0: of the whole stream.  The caller
 * fills what its kind has.  NULL: the arena is full, but for what a checkpoint
 * needs.  cut: keep only the beginning of a large message, and say so in the
 * reason; this is also done with what could not fit in an empty arena.
 */
extern Letter *
weir_letter_new(const KafkaMessage *m, int32 view, const char *reason, bool cut);
/*
 * Is a dead letter to be kept, as far as the stream's limits go?  Asked once for
 * each.
 */
extern bool weir_letter_is_wanted(LaneWorker *w);
/* A message that could not be used: new, and first of the list.  False: full. */
extern bool weir_letter_dead(Letter **list, const KafkaMessage *m, int32 view,
							 int sqlstate, const char *reason, bool cut);
/*
 * A dead letter in private memory, for one that writes it itself: it can be
 * neither freed nor added to a list.
 */
extern Letter *weir_letter_private(const KafkaMessage *m, int32 view,
								   int sqlstate, const char *reason);
/* Copy out of what it holds, which is the reason, the key, the payload. */
extern void weir_letter_read(const Letter *l, size_t at, char *to, size_t len);
extern void weir_letter_free(Letter *l);
extern void weir_letter_add(Letter **list, Letter *l);
/* Off the list, the first, of which there is one. */
extern Letter *weir_letter_take(Letter **list);
/* All of one list to the front of another one. */
extern void weir_letters_move(Letter **from, Letter **to);
extern void weir_letters_free(Letter **list);

#endif /* WEIR_EXEC_LETTER_H */
