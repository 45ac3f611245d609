/*
 * api/sample.h
 *		A bounded number of messages from the ends of a topic's partitions.
 */
#ifndef WEIR_API_SAMPLE_H
#define WEIR_API_SAMPLE_H

#include "base/weir.h"

#include "kafka/kafka.h"

typedef struct SampleWish
{
	List *settings; /* of KafkaSetting */
	const char *topic;
	const char *group; /* for the consumer's name; nothing is committed */
	int64 oldest;      /* so many at most, spread over the partitions ... */
	int64 newest;
	bool each; /* ... or of each partition */
} SampleWish;

/*
 * Gets the messages of a partition in the order of their offsets, each once;
 * false: enough.  The message is valid during the call.
 */
typedef bool (*SampleTake)(void *arg, const KafkaMessage *m);

/*
 * Read what there is when this is called.  Raises if the broker does not answer,
 * or there is no such topic.
 */
extern void
weir_sample_topic(const SampleWish *wish, SampleTake take, void *arg);

#endif /* WEIR_API_SAMPLE_H */
