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
 * needs.
 */
extern Letter *
weir_letter_new(const KafkaMessage *m, int32 view, const char *reason);
/* A message that could not be used: new, and first of the list.  False: full. */
extern bool weir_letter_dead(Letter **list, const KafkaMessage *m, int32 view,
							 int sqlstate, const char *reason);
extern void weir_letter_add(Letter **list, Letter *l);
/* All of one list to the front of another one. */
extern void weir_letters_move(Letter **from, Letter **to);
extern void weir_letters_free(Letter **list);

#endif /* WEIR_EXEC_LETTER_H */
