/*
 * catalog/lost.c
 *		weir.lost_range_log: offsets that a view has skipped (see view.h).
 *
 * Coordinators write it, in the transaction that commits the positions behind
 * what was skipped.
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
