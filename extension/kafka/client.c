/*
 * kafka/client.c
 *		Questions about a topic: partitions, offsets, offsets by time.
 *
 * Backends ask before a scan, flush, or when a view is defined; workers when
 * they start and for new partitions, never in the ingest loop.  librdkafka's
 * calls block and know no latch, so each is asked for a slice of time, again and
 * again until it answers, with CHECK_FOR_INTERRUPTS between.  The first slice is
 * 100 ms; they double to a second, since an answer that takes longer than its
 * slice is lost and a distant broker would never be heard.
 *
 * Nothing of librdkafka's is held across CHECK_FOR_INTERRUPTS except the handle.
 */
#include "base/weir.h"

#include "kafka/handle.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#define FIRST_SLICE_MS 100
#define LAST_SLICE_MS  1000
#define PAUSE_MS       50
/* No broker answers at all: a second address of its name may yet. */
#define UNREACHABLE_MS 2000

/* One question: what to ask and where the answer goes. */
typedef struct Question
{
	KafkaClient *client;
	rd_kafka_topic_t *topic;
	int n;
	const int32 *partitions;
	int64 when; /* ms, or RD_KAFKA_OFFSET_BEGINNING, _END */
	int64 *offsets;
	int npartitions;
	List *topics; /* of names */
} Question;

typedef rd_kafka_resp_err_t (*AskFunction)(Question *q, int slice_ms);

static KafkaClient *
open_client(List *settings, const KafkaSetting *forced, char *err, size_t errlen)
{
	KafkaClient *c = calloc(1, sizeof(KafkaClient));
	rd_kafka_conf_t *conf;

	if (c == NULL)
	{
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	conf = weir_kafka_conf(settings, KAFKA_CONSUMER, forced, err, errlen);
	if (conf != NULL &&
		weir_handle_open(&c->handle, RD_KAFKA_CONSUMER, conf, err, errlen))
		return c;
	free(c);
	return NULL;
}

/* weir_client_open: see kafka.h. */
KafkaClient *
weir_client_open(List *settings, char *err, size_t errlen)
{
	return open_client(settings, NULL, err, errlen);
}

/* weir_client_open_uncommitted: see kafka.h. */
KafkaClient *
weir_client_open_uncommitted(List *settings, char *err, size_t errlen)
{
	static const KafkaSetting forced[] = {{"isolation.level", "read_uncommitted"},
										  {NULL, NULL}};

	return open_client(settings, forced, err, errlen);
}

/* weir_client_close: end it. */
void
weir_client_close(KafkaClient *c)
{
	weir_handle_close(&c->handle);
	free(c);
}

/* weir_client_sqlstate: the SQLSTATE of the last failure. */
int
weir_client_sqlstate(const KafkaClient *c)
{
	return c->sqlstate != 0 ? c->sqlstate : ERRCODE_FDW_ERROR;
}

/* Is it worth asking again? */
static bool
is_transient(rd_kafka_resp_err_t res)
{
	switch (res)
	{
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__WAIT_CACHE:
		case RD_KAFKA_RESP_ERR__WAIT_COORD:
		case RD_KAFKA_RESP_ERR__RETRY:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
			return true;
		default:
			return false;
	}
}

/* Does the client say that asking on is useless? */
static bool
is_refused(const KafkaHandle *h)
{
	return h->error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
		   h->error == RD_KAFKA_RESP_ERR__SSL;
}

static int
elapsed_ms(instr_time start)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return (int) INSTR_TIME_GET_MILLISEC(now);
}

/* Say in err why there was no answer. */
static bool
fail(KafkaClient *c, rd_kafka_resp_err_t res, char *err, size_t errlen)
{
	KafkaHandle *h = &c->handle;

	if (is_transient(res) && h->error_text[0] != '\0')
	{
		c->sqlstate = weir_kafka_sqlstate(h->error);
		snprintf(err, errlen, "%s", h->error_text);
	}
	else
	{
		c->sqlstate = weir_kafka_sqlstate(res);
		snprintf(err, errlen, "%s", rd_kafka_err2str(res));
	}
	return false;
}

/* Ask until there is an answer, an error that stays, or no time. */
static bool
ask(Question *q, AskFunction once, int timeout_ms, char *err, size_t errlen)
{
	KafkaHandle *h = &q->client->handle;
	int slice = FIRST_SLICE_MS;
	instr_time start;

	INSTR_TIME_SET_CURRENT(start);
	h->all_down = false;
	h->error = RD_KAFKA_RESP_ERR_NO_ERROR;
	h->error_text[0] = '\0';
	for (;;)
	{
		int spent = elapsed_ms(start);
		rd_kafka_resp_err_t res;

		res = once(q, Max(1, Min(slice, timeout_ms - spent)));
		weir_handle_serve(h);
		if (res == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			h->failing = false;
			return true;
		}

		spent = elapsed_ms(start);
		if (!is_transient(res) || is_refused(h) || spent >= timeout_ms ||
			(h->all_down && spent >= UNREACHABLE_MS))
			return fail(q->client, res, err, errlen);

		CHECK_FOR_INTERRUPTS();
		if (res != RD_KAFKA_RESP_ERR__TIMED_OUT)
			(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE_MS,
							 PG_WAIT_EXTENSION);
		slice = Min(2 * slice, LAST_SLICE_MS);
	}
}

/* AskFunction: how many partitions has the topic? */
static rd_kafka_resp_err_t
ask_metadata(Question *q, int slice_ms)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t res;

	res = rd_kafka_metadata(q->client->handle.rk, 0, q->topic, &md, slice_ms);
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR)
		return res;
	q->npartitions = 0;
	if (md->topic_cnt == 1)
	{
		res = md->topics[0].err;
		q->npartitions = md->topics[0].partition_cnt;
	}
	rd_kafka_metadata_destroy(md);

	if (res == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		res == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
	{
		q->npartitions = 0;
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	/* Some partition without a leader: their number is known all the same. */
	if (res == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE && q->npartitions > 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	return res;
}

/* weir_client_partitions: see kafka.h. */
bool
weir_client_partitions(KafkaClient *c, const char *topic, int timeout_ms,
					   int *npartitions, char *err, size_t errlen)
{
	Question q = {.client = c};

	q.topic = weir_handle_topic(&c->handle, topic, err, errlen);
	if (q.topic == NULL)
	{
		c->sqlstate = ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE;
		return false;
	}
	if (!ask(&q, ask_metadata, timeout_ms, err, errlen))
		return false;
	*npartitions = q.npartitions;
	return true;
}

/* AskFunction: which topics are there? */
static rd_kafka_resp_err_t
ask_topics(Question *q, int slice_ms)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t res;

	res = rd_kafka_metadata(q->client->handle.rk, 1, NULL, &md, slice_ms);
	if (res != RD_KAFKA_RESP_ERR_NO_ERROR)
		return res;
	q->topics = NIL;
	for (int i = 0; i < md->topic_cnt; i++)
		q->topics = lappend(q->topics, pstrdup(md->topics[i].topic));
	rd_kafka_metadata_destroy(md);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* weir_client_topics: see kafka.h. */
bool
weir_client_topics(KafkaClient *c, int timeout_ms, List **topics, char *err,
				   size_t errlen)
{
	Question q = {.client = c};

	if (!ask(&q, ask_topics, timeout_ms, err, errlen))
		return false;
	list_sort(q.topics, compare_names);
	*topics = q.topics;
	return true;
}

/*
 * AskFunction: offsets by time, or the first or last.  librdkafka passes the
 * logical offsets on as the protocol's special times, with the isolation level,
 * so that END is the last stable offset.
 */
static rd_kafka_resp_err_t
ask_offsets(Question *q, int slice_ms)
{
	const char *topic = rd_kafka_topic_name(q->topic);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(
		q->n);
	rd_kafka_resp_err_t res;
	int i;

	for (i = 0; i < q->n; i++)
		rd_kafka_topic_partition_list_add(list, topic, q->partitions[i])->offset =
			q->when;
	res = rd_kafka_offsets_for_times(q->client->handle.rk, list, slice_ms);
	for (i = 0; i < q->n && res == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		const rd_kafka_topic_partition_t *p =
			rd_kafka_topic_partition_list_find(list, topic, q->partitions[i]);

		res = p->err;
		q->offsets[i] = p->offset;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return res;
}

/* weir_client_bounds: see kafka.h. */
bool
weir_client_bounds(KafkaClient *c, const char *topic, int n,
				   const int32 *partitions, int64 *low, int64 *high,
				   int timeout_ms, char *err, size_t errlen)
{
	Question q = {.client = c, .n = n, .partitions = partitions};

	if (n == 0)
		return true;
	q.topic = weir_handle_topic(&c->handle, topic, err, errlen);
	if (q.topic == NULL)
		return false;
	/* The end first: what expires in between must not end before it begins. */
	q.when = RD_KAFKA_OFFSET_END;
	q.offsets = high;
	if (!ask(&q, ask_offsets, timeout_ms, err, errlen))
		return false;
	q.when = RD_KAFKA_OFFSET_BEGINNING;
	q.offsets = low;
	return ask(&q, ask_offsets, timeout_ms, err, errlen);
}

/*
 * weir_client_ends: see kafka.h.  In one slice: a distant broker's answer would
 * be lost with the first ones.
 */
bool
weir_client_ends(KafkaClient *c, const char *topic, int n,
				 const int32 *partitions, int64 *ends, int timeout_ms)
{
	Question q = {.client = c, .n = n, .partitions = partitions};
	rd_kafka_resp_err_t res;
	char err[256];

	q.topic = weir_handle_topic(&c->handle, topic, err, sizeof(err));
	if (q.topic == NULL)
		return false;
	q.when = RD_KAFKA_OFFSET_END;
	q.offsets = ends;
	res = ask_offsets(&q, timeout_ms);
	weir_handle_serve(&c->handle);
	for (int i = 0; i < n && res == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		if (ends[i] < 0)
			res = RD_KAFKA_RESP_ERR__TIMED_OUT;
	return res == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* weir_client_offsets: see kafka.h. */
bool
weir_client_offsets(KafkaClient *c, const char *topic, int32 partition,
					int timeout_ms, int64 *low, int64 *high, char *err,
					size_t errlen)
{
	return weir_client_bounds(c, topic, 1, &partition, low, high, timeout_ms,
							  err, errlen);
}

/*
 * Replace "no such record" by the end of the partition.  A broker without an
 * index by time answers so to every question; if even time zero finds nothing
 * in a partition that holds records, the answer means nothing.
 */
static bool
resolve_ends(Question *q, int64 *offsets, int timeout_ms, char *err,
			 size_t errlen)
{
	int64 *low = palloc(q->n * sizeof(int64));
	int64 *high = palloc(q->n * sizeof(int64));
	int64 *any = palloc(q->n * sizeof(int64));
	int i;

	if (!weir_client_bounds(q->client, rd_kafka_topic_name(q->topic), q->n,
							q->partitions, low, high, timeout_ms, err, errlen))
		return false;
	q->when = 0;
	q->offsets = any;
	if (!ask(q, ask_offsets, timeout_ms, err, errlen))
		return false;
	for (i = 0; i < q->n; i++)
	{
		if (offsets[i] >= 0)
			continue;
		if (any[i] < 0 && low[i] < high[i])
		{
			snprintf(err, errlen, "the broker finds no offsets by time");
			q->client->sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
			return false;
		}
		offsets[i] = high[i];
	}
	pfree(low);
	pfree(high);
	pfree(any);
	return true;
}

/* weir_client_offsets_for_time: see kafka.h. */
bool
weir_client_offsets_for_time(KafkaClient *c, const char *topic, int n,
							 const int32 *partitions, int64 time_us,
							 int64 *offsets, int timeout_ms, char *err,
							 size_t errlen)
{
	Question q = {.client = c, .n = n, .partitions = partitions};
	int i;

	if (n == 0)
		return true;
	q.topic = weir_handle_topic(&c->handle, topic, err, errlen);
	if (q.topic == NULL)
		return false;
	/* Kafka counts milliseconds: the first that is not before time_us. */
	q.when = time_us <= 0 ? 0 : (time_us + 999) / 1000;
	q.offsets = offsets;
	if (!ask(&q, ask_offsets, timeout_ms, err, errlen))
		return false;
	for (i = 0; i < n; i++)
	{
		if (offsets[i] < 0)
			return resolve_ends(&q, offsets, timeout_ms, err, errlen);
	}
	return true;
}
