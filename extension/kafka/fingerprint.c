/*
 * kafka/fingerprint.c
 *		A number by which a record is known again.
 *
 * Ingest workers, once per partition and batch; no lock, no memory.  It is
 * written to disk: the result must not depend on the machine.
 */
#include "base/weir.h"

#include "kafka/kafka.h"

#include "port/pg_bswap.h"
#include "port/pg_crc32c.h"

/* Add a string that may be absent, so that no two messages look the same. */
static pg_crc32c
add_bytes(pg_crc32c crc, const char *data, size_t len)
{
	uint64 head = pg_hton64(data == NULL ? 0 : (uint64) len + 1);

	COMP_CRC32C(crc, &head, sizeof(head));
	if (len > 0)
		COMP_CRC32C(crc, data, len);
	return crc;
}

/* weir_message_fingerprint: see kafka.h. */
uint32
weir_message_fingerprint(const KafkaMessage *m)
{
	uint64 time = pg_hton64((uint64) m->timestamp);
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &time, sizeof(time));
	crc = add_bytes(crc, m->key, m->key_len);
	crc = add_bytes(crc, m->payload, m->len);
	if (m->record > 0)
	{
		uint32 record = pg_hton32((uint32) m->record);

		COMP_CRC32C(crc, &record, sizeof(record));
	}
	FIN_CRC32C(crc);
	return crc;
}
