/*
 * exec/apply_part.c
 *		A batch that waits for memory: publish what of it is applied.
 *
 * Runs in the ingest worker.  A batch that does not fit is applied row by row
 * (exec/apply.c), up to the row for which there is no room.  Before a barrier
 * may come, positions, watermarks and counters have to say exactly that; they
 * are computed anew from those of the last time that they were published, since
 * weir_apply_begin has advanced a->parts to the end of the batch.
 */
#include "base/weir.h"

#include "exec/apply.h"
#include "exec/letter.h"

void
weir_apply_single_rows(ViewApply *a)
{
	if (a->next_row < 0)
		a->next_row = 0;
}

void
weir_apply_go_back(ViewApply *a)
{
	memcpy(a->parts, a->part, sizeof(ViewPartition) * a->npartitions);
}

static void
take_again(ViewApply *a, const EventBatch *b, int i)
{
	ViewPartition *p = &a->part[b->partition[i]];
	int64 watermark;

	if (wp_is_past_end(p, b->offset[i]))
		return;
	if (b->record == NULL)
		(void) wp_take(p, b->offset[i], weir_apply_is_usable(a, b, i),
					   b->event_time[i], a->delay, &watermark);
	else
		(void) wp_take_one_of(p, b->offset[i], b->record[i], b->last[i],
							  weir_apply_is_usable(a, b, i), b->event_time[i],
							  a->delay, &watermark);
}

void
weir_apply_publish_part(ViewApply *a, const EventBatch *b)
{
	int stop = a->rows[a->next_row];

	for (int i = a->part_row; i < stop; i++)
		take_again(a, b, i);
	for (int i = 0; i < a->nfailed; i++)
		wp_fail(&a->part[b->partition[a->failed[i]]]);
	a->nfailed = 0;
	a->part_row = stop;
	for (int p = 0; p < a->npartitions; p++)
		a->part[p].late = a->parts[p].late;
	LWLockAcquire(&a->shard->lock, LW_EXCLUSIVE);
	memcpy(a->shard->parts, a->part, sizeof(ViewPartition) * a->npartitions);
	LWLockRelease(&a->shard->lock);
	weir_letters_move(&a->worker->kept, &a->worker->letters);
	a->worker->published++;
}
