/*
 * exec/append.h
 *		A batch of events as rows of an append view.
 */
#ifndef WEIR_EXEC_APPEND_H
#define WEIR_EXEC_APPEND_H

#include "base/weir.h"

#include "exec/apply_internal.h"

/* A record that is to be a dead letter of the view, or (view 0) of the stream. */
typedef struct AppendLetter
{
	const KafkaMessage *msg;
	int32 view;
	int sqlstate;
	char *reason;
} AppendLetter;

typedef struct AppendLetters
{
	int n;
	int capacity;
	AppendLetter *list;
	MemoryContext cxt; /* of the list */
} AppendLetters;

/* The reason is taken as it is. */
extern void weir_append_letter(AppendLetters *letters, const KafkaMessage *msg,
							   int32 view, int sqlstate, char *reason);

/*
 * Evaluate the batch: a->rows[0 .. nrows) are the rows that are to be written, of
 * the batch that is returned (this one, or that of joined rows), a->out has
 * their values, and a->parts is advanced to the batch's end.
 * Records that fail become letters.  Needs a transaction; raises only for
 * what is no row's fault.  Values and reasons are there until the next batch.
 */
extern const EventBatch *
weir_append_evaluate(ViewApply *a, const EventBatch *b, AppendLetters *letters);

/* Column o of the row of a record. */
static inline Datum
weir_append_value(const ViewApply *a, int o, const EventBatch *b, int record,
				  bool *isnull)
{
	return apply_value(&a->out[o], b, record, isnull);
}

#endif /* WEIR_EXEC_APPEND_H */
