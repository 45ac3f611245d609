/*
 * test_align.c
 *		Which partitions are held back: the rules on their own, and a drain of
 *		uneven partitions, simulated, whose memory must stay bounded.
 */
#include "harness.h"

#include "core/align.h"

#define NONE WA_NO_TIME

static void
rules(void)
{
	WaPartition p[4] = {{100, true, false},
						{500, true, false},
						{120, true, false},
						{900, false, false}};

	CHECK(!wa_align(p, 4, 50, WA_HOLD - 1));
	CHECK(!p[1].held);
	CHECK(wa_align(p, 4, 50, WA_HOLD));
	CHECK(!p[0].held && p[1].held && !p[2].held);
	CHECK_MSG(!p[3].held, "nothing is to be read of the last one");
	/* held until the least one is near, whatever the pressure in between */
	CHECK(!wa_align(p, 4, 50, WA_RELEASE));
	p[0].watermark = 460;
	CHECK_MSG(wa_align(p, 4, 50, WA_HOLD) && p[0].held && p[1].held,
			  "another one has the least watermark now");
	p[2].watermark = 450;
	CHECK(wa_align(p, 4, 50, 1000) && !p[0].held && !p[1].held);
	p[1].watermark = 2000;
	CHECK(wa_align(p, 4, 50, WA_HOLD) && p[1].held);
	CHECK(wa_align(p, 4, 50, WA_RELEASE - 1) && !p[1].held);
	/* the two that are behind have come to their end */
	CHECK(wa_align(p, 4, 50, WA_HOLD) && p[1].held);
	p[0].counts = p[2].counts = false;
	CHECK(wa_align(p, 4, 50, 1000) && !p[1].held);
}

static void
no_watermark(void)
{
	WaPartition p[2] = {{NONE, true, false}, {INT64_MAX, true, false}};

	CHECK(wa_align(p, 2, INT64_MAX, 1000) && p[1].held && !p[0].held);
	p[0].watermark = INT64_MIN + 1;
	CHECK(!wa_align(p, 2, INT64_MAX, 1000) && p[1].held);
	p[0].watermark = 1;
	CHECK(wa_align(p, 2, INT64_MAX, 1000) && !p[1].held);
	p[0].counts = p[1].counts = false;
	CHECK(!wa_align(p, 2, 0, 1000));
}

/*
 * Each turn reads one record of a partition that is not held, chosen at random
 * with very different odds; a record is a window of its own, closed when all
 * have passed it.  Without alignment the fastest would be far ahead.
 */
static void
drain(void)
{
	enum
	{
		PARTS = 12,
		RECORDS = 2000,
		BUDGET = 400
	};
	WaPartition p[PARTS];
	int turns = 0;
	int most = 0;
	int left = PARTS;

	for (int i = 0; i < PARTS; i++)
		p[i] = (WaPartition){NONE, true, false};
	while (left > 0 && turns < PARTS * RECORDS * 100)
	{
		int64_t least = RECORDS;
		int used = 0;
		int i = (int) rnd_below(PARTS * PARTS);

		turns++;
		i = i < PARTS ? i : i % 3; /* the first three come by far more often */
		if (p[i].held || !p[i].counts)
			continue;
		p[i].watermark = p[i].watermark == NONE ? 0 : p[i].watermark + 1;
		p[i].counts = p[i].watermark < RECORDS;
		left -= !p[i].counts;
		for (int k = 0; k < PARTS; k++)
			if (p[k].counts && p[k].watermark < least)
				least = p[k].watermark;
		for (int k = 0; k < PARTS; k++)
			used += (int) (p[k].watermark == NONE
							   ? 0
							   : p[k].watermark - (least == NONE ? 0 : least));
		most = used > most ? used : most;
		wa_align(p, PARTS, 5, used * 1000 / BUDGET);
	}
	CHECK_MSG(left == 0, "%d partitions were not read to their end", left);
	CHECK_MSG(most <= BUDGET, "%d windows were open at a time", most);
}

int
main(void)
{
	RUN(rules);
	RUN(no_watermark);
	RUN(drain);
	return done();
}
