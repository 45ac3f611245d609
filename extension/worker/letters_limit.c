/*
 * worker/letters_limit.c
 *		A stream's dead letters do not fill the disk: its options
 *		dead_letters_limit and dead_letters_full.
 *
 * Runs in the coordinator, between two checkpoints.  What the letters of the stream
 * take is looked at now and then, as long as some come, and as long as there are too
 * many; so the limit is one by about what comes in that time.  Beyond it the oldest
 * go, or the workers are told by a flag: they only count, or stop the stream
 * (exec/letter.h, ingest_batch.c).
 *
 * Looking costs in proportion to the number of letters, so the pause grows with it.
 */
#include "base/weir.h"

#include "base/clock.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "worker/coordinator.h"

#define LEAST_PAUSE_US (2 * USECS_PER_SEC)
#define PAUSE_FACTOR   20

#define BYTES                                                             \
	"coalesce(octet_length(payload), 0)::bigint + coalesce(octet_length(" \
	"key), 0) + 200"

/* Messages that could not be used so far, as committed. */
static int64
count_dead(const Coordinator *co)
{
	int64 sum = 0;

	for (int i = 0; i < co->c.nviews; i++)
		for (int p = 0; p < co->c.views[i]->progress.nparts; p++)
			sum += co->c.views[i]->progress.parts[p].dead;
	return sum;
}

static void
tell_workers(Coordinator *co, bool full)
{
	if (full != co->letters_full)
		ereport(LOG,
				(errmsg(full ? "dead letters of stream \"%s\" are as many as dead_letters_limit allows"
							 : "dead letters of stream \"%s\" have room again",
						co->c.stream->relname)));
	co->letters_full = full;
	for (int w = 0; w < co->lane->nworkers; w++)
		co->lane->workers[w].letters_full = full;
}

static void
drop_oldest(const Coordinator *co)
{
	Oid types[] = {OIDOID, INT8OID};
	int64 left = co->c.stream->letters_limit - co->c.stream->letters_limit / 10;
	Datum values[] = {ObjectIdGetDatum(co->lane->stream), Int64GetDatum(left)};

	weir_spi("DELETE FROM weir.dead_letter_log WHERE id IN (SELECT id FROM "
			 "(SELECT id, sum(" BYTES ") OVER (ORDER BY id DESC) AS upto "
			 "FROM weir.dead_letter_log WHERE stream = $1) l WHERE upto > $2)",
			 lengthof(types), types, values, NULL, SPI_OK_DELETE);
}

static bool
look(Coordinator *co)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(co->lane->stream);
	bool isnull;
	bool full;

	weir_spi("SELECT coalesce(sum(" BYTES "), 0)::bigint "
			 "FROM weir.dead_letter_log WHERE stream = $1",
			 1, &type, &value, NULL, SPI_OK_SELECT);
	full = DatumGetInt64(weir_spi_get(0, 1, &isnull)) >=
		   co->c.stream->letters_limit;
	if (full && co->c.stream->letters_full == STREAM_FULL_DROP_OLDEST)
		drop_oldest(co);
	else
		tell_workers(co, full);
	return true;
}

void
weir_letters_limit_serve(Coordinator *co)
{
	int64 now = weir_clock_monotonic();
	int64 dead;

	if (co->c.stream->letters_limit == 0 || now < co->next_letters)
		return;
	dead = count_dead(co);
	if (dead == co->letters_seen && !co->letters_full)
		return;
	co->letters_seen = dead;
	(void) weir_coordinator_try(co, look);
	co->next_letters = weir_clock_monotonic();
	co->next_letters += Max(LEAST_PAUSE_US,
							PAUSE_FACTOR * (co->next_letters - now));
}
