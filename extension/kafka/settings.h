/*
 * kafka/settings.h
 *		From options to a librdkafka configuration (private to kafka/).
 */
#ifndef WEIR_KAFKA_SETTINGS_H
#define WEIR_KAFKA_SETTINGS_H

#include "kafka/kafka.h"

#include <librdkafka/rdkafka.h>

typedef enum KafkaRole
{
	KAFKA_CONSUMER = 1,
	KAFKA_PRODUCER = 2,
	KAFKA_BOTH = 3
} KafkaRole;

/*
 * A configuration for this role: our defaults, then the user's settings, then
 * what nobody may change, then forced (an array that ends with a NULL name).
 * NULL and a text in err on failure; else the caller owns it.
 */
extern rd_kafka_conf_t *
weir_kafka_conf(List *settings, KafkaRole role, const KafkaSetting *forced,
				char *err, size_t errlen);

/* Did the user set this property? */
extern bool weir_kafka_is_set(List *settings, const char *name);

#endif /* WEIR_KAFKA_SETTINGS_H */
