/*
 * hold_back.c
 *	  Staying near what a consumer group has committed.
 *
 * For brokers that forget: weir-broker drops the oldest messages of a
 * partition when it is full, whether they have been consumed or not.
 *
 * The lead is what is in the topic (its ends when the producer began, plus
 * what was sent since) less what the group has committed, summed over the
 * partitions.  A partition in which the group has committed nothing counts
 * from its beginning, and so does one whose commits are older than that.
 * Other producers of the same topic are not seen.
 *
 * Offsets are asked for with a consumer handle that never joins the group.
 */
#include "kafka.h"

#include <stdlib.h>

#include "clock.h"
#include "report.h"

#define ASK_EVERY_US   20000
#define ASK_TIMEOUT_MS 2000

struct HoldBack
{
	rd_kafka_t *rk;
	rd_kafka_topic_partition_list_t *offsets;
	int64_t *begins;  /* per partition, when the producer began */
	int64_t ends;     /* the sum, when the producer began */
	int64_t lead;     /* at most */
	int64_t allowed;  /* to be sent in all, by the last answer */
	int64_t asked_at; /* of the monotonic clock */
	bool failing;     /* the last question had no answer */
};

/* hold_back_begin: note where the partitions begin and end. */
static bool
hold_back_begin(HoldBack *hold_back, const Options *options, int partitions)
{
	for (int32_t p = 0; p < partitions; p++)
	{
		int64_t end;
		rd_kafka_resp_err_t err =
			rd_kafka_query_watermark_offsets(hold_back->rk, options->topic, p,
											 &hold_back->begins[p], &end,
											 (int) (options->timeout * 1000));

		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			report_problem("could not read the offsets of partition %d: %s", p,
						   rd_kafka_err2str(err));
			return false;
		}
		hold_back->ends += end;
		rd_kafka_topic_partition_list_add(hold_back->offsets, options->topic, p);
	}
	return true;
}

static rd_kafka_t *
hold_back_connect(const Options *options)
{
	const Setting settings[] = {{"group.id", options->hold_back.group},
								{"enable.auto.commit", "false"},
								{NULL, NULL}};
	rd_kafka_conf_t *conf = kafka_conf(options, settings);

	return conf ? kafka_new(RD_KAFKA_CONSUMER, conf) : NULL;
}

HoldBack *
hold_back_open(const Options *options, int partitions)
{
	HoldBack *hold_back = calloc(1, sizeof(HoldBack));

	if (hold_back != NULL)
		hold_back->begins = calloc((size_t) partitions, sizeof(int64_t));
	if (hold_back == NULL || hold_back->begins == NULL)
	{
		report_problem("out of memory");
		free(hold_back);
		return NULL;
	}
	hold_back->lead = options->hold_back.lead;
	hold_back->offsets = rd_kafka_topic_partition_list_new(partitions);
	hold_back->rk = hold_back_connect(options);
	if (hold_back->rk == NULL ||
		!hold_back_begin(hold_back, options, partitions))
	{
		hold_back_close(hold_back);
		return NULL;
	}
	return hold_back;
}

void
hold_back_close(HoldBack *hold_back)
{
	if (hold_back->rk != NULL)
		rd_kafka_destroy(hold_back->rk);
	rd_kafka_topic_partition_list_destroy(hold_back->offsets);
	free(hold_back->begins);
	free(hold_back);
}

/* hold_back_ask: renew what is allowed; keeps it if there is no answer. */
static void
hold_back_ask(HoldBack *hold_back)
{
	rd_kafka_resp_err_t err = rd_kafka_committed(hold_back->rk,
												 hold_back->offsets,
												 ASK_TIMEOUT_MS);
	int64_t committed = 0;

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (!hold_back->failing)
			report_problem("could not read the group's offsets: %s",
						   rd_kafka_err2str(err));
		hold_back->failing = true;
		return;
	}
	hold_back->failing = false;
	for (int i = 0; i < hold_back->offsets->cnt; i++)
	{
		int64_t offset = hold_back->offsets->elems[i].offset;
		int64_t begin = hold_back->begins[i];

		/* offsets below zero say that there is none */
		committed += offset > begin ? offset : begin;
	}
	hold_back->allowed = hold_back->lead + committed - hold_back->ends;
}

bool
hold_back_allows(HoldBack *hold_back, uint64_t sent)
{
	if ((int64_t) sent >= hold_back->allowed &&
		clock_mono_us() - hold_back->asked_at >= ASK_EVERY_US)
	{
		hold_back_ask(hold_back);
		hold_back->asked_at = clock_mono_us();
	}
	return (int64_t) sent < hold_back->allowed;
}
