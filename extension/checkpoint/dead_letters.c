/*
 * checkpoint/dead_letters.c
 *		Messages that could not be used, from shared memory to
 *		weir.dead_letter_log.
 *
 * Runs in the coordinator, in the transaction of a checkpoint: what each worker
 * had when it acknowledged the barrier is the coordinator's.  Two lanes may
 * read the same records: the second one's rows are dropped by the unique index.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "checkpoint/checkpoint.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

static Datum
bytes_datum(const char *data, uint32 len)
{
	bytea *b = palloc(len + VARHDRSZ);

	SET_VARSIZE(b, len + VARHDRSZ);
	memcpy(VARDATA(b), data, len);
	return PointerGetDatum(b);
}

static void
write_letter(const DeadLetter *d, const StreamDef *stream)
{
	Oid types[] = {OIDOID,         INT4OID,  TEXTOID,  INT4OID, INT8OID,
				   TIMESTAMPTZOID, BYTEAOID, BYTEAOID, TEXTOID, TEXTOID};
	Datum values[lengthof(types)];
	char nulls[lengthof(types) + 1] = "          ";
	const char *key = d->data + d->reason_len;

	values[0] = ObjectIdGetDatum(stream->relid);
	values[1] = Int32GetDatum(d->view);
	nulls[1] = d->view == 0 ? 'n' : ' ';
	values[2] = CStringGetTextDatum(stream->topic);
	values[3] = Int32GetDatum(d->partition);
	values[4] = Int64GetDatum(d->offset);
	values[5] = TimestampTzGetDatum(d->timestamp - WEIR_EPOCH_SHIFT);
	nulls[5] = d->timestamp < 0 ||
					   !IS_VALID_TIMESTAMP(d->timestamp - WEIR_EPOCH_SHIFT)
				   ? 'n'
				   : ' ';
	values[6] = bytes_datum(key, d->key_len);
	nulls[6] = d->has_key ? ' ' : 'n';
	values[7] = bytes_datum(key + d->key_len, d->payload_len);
	nulls[7] = d->has_payload ? ' ' : 'n';
	values[8] = CStringGetTextDatum(unpack_sql_state(d->sqlstate));
	values[9] = PointerGetDatum(cstring_to_text_with_len(d->data, d->reason_len));
	weir_spi("INSERT INTO weir.dead_letter_log (stream, view, topic, partition, \"offset\", "
			 "\"timestamp\", key, payload, sqlstate, reason) "
			 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
			 lengthof(types), types, values, nulls, SPI_OK_INSERT);
}

void
weir_write_dead_letters(Lane *lane, const StreamDef *stream)
{
	WeirUser user;
	bool any = false;

	for (int w = 0; w < lane->nworkers; w++)
		any = any || lane->workers[w].dead_frozen;
	if (!any)
		return;
	user = weir_become_system();
	SPI_connect();
	for (int w = 0; w < lane->nworkers; w++)
		for (DeadLetter *d = lane->workers[w].dead_frozen; d; d = d->next)
			write_letter(d, stream);
	SPI_finish();
	weir_become_again(user);
}

void
weir_free_dead_letters(Lane *lane)
{
	for (int w = 0; w < lane->nworkers; w++)
	{
		LaneWorker *worker = &lane->workers[w];
		DeadLetter *d;

		while ((d = worker->dead_frozen) != NULL)
		{
			worker->dead_frozen = d->next;
			weir_arena_free(d, d->bytes);
		}
	}
}
