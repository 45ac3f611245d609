/*
 * catalog/lost.c
 *		weir.lost_range_log: offsets that a view has skipped, and weir.skip_log:
 *		messages that somebody lets it pass (see view.h).
 *
 * Coordinators write the former, in the transaction that commits the positions
 * behind what was skipped.  Ingest workers read the latter, before they stop at a
 * message.
 */
#include "base/weir.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "catalog/view.h"
#include "utils/builtins.h"

/* In the order of LostReason. */
static const char *const reasons[] = {
	"the broker no longer has them",
	"the topic was recreated",
	"the topic was recreated, and offset_reset skips what it holds",
};

static void
write_range(int32 view, const char *topic, const LostRange *l)
{
	Oid types[] = {INT4OID, TEXTOID, INT4OID, INT8OID, INT8OID, TEXTOID};
	Datum values[lengthof(types)];
	char nulls[lengthof(types) + 1] = "      ";

	values[0] = Int32GetDatum(view);
	values[1] = CStringGetTextDatum(topic);
	values[2] = Int32GetDatum(l->partition);
	values[3] = Int64GetDatum(l->from);
	values[4] = Int64GetDatum(l->upto);
	nulls[4] = l->upto < 0 ? 'n' : ' ';
	values[5] = CStringGetTextDatum(reasons[l->reason]);
	weir_spi("INSERT INTO weir.lost_range_log (view, topic, partition, "
			 "from_offset, upto_offset, reason) VALUES ($1, $2, $3, $4, $5, $6)",
			 lengthof(types), types, values, nulls, SPI_OK_INSERT);
}

void
weir_lost_store(int32 view, const char *topic, const LostRange *list)
{
	WeirUser user;

	if (list == NULL)
		return;
	user = weir_become_system();
	SPI_connect();
	for (; list; list = list->next)
		write_range(view, topic, list);
	SPI_finish();
	weir_become_again(user);
}

bool
weir_letter_is_skipped(Oid stream, int32 partition, int64 offset)
{
	Oid types[] = {OIDOID, INT4OID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(stream), Int32GetDatum(partition),
					  Int64GetDatum(offset)};
	WeirUser user = weir_become_system();
	bool skipped;

	SPI_connect();
	weir_spi("SELECT FROM weir.skip_log "
			 "WHERE stream = $1 AND partition = $2 AND \"offset\" = $3",
			 lengthof(types), types, values, NULL, SPI_OK_SELECT);
	skipped = SPI_processed > 0;
	SPI_finish();
	weir_become_again(user);
	return skipped;
}
