/*
 * sim.c
 *		A deterministic simulation of Weir's protocol of barriers and recovery.
 *
 * The decisions of the protocol are in extension/core as plain functions, and
 * the extension calls them.  Here the same functions run in a simulated world:
 * brokers, ingest workers, coordinators, a database with transactions and
 * snapshots, readers and users, in one process without a clock.  One seed is one
 * world.  A random choice says who does the next step: each step is one that in
 * the extension nobody else can come between.  Workers, coordinators and the
 * server die at any step; unflushed commits are lost, as a suffix; commits fail
 * for one view, rows are locked, views are paused and reset under a checkpoint.
 *
 * Two things are compared.  At each read: every window in one place, nothing
 * missing, no more than was applied, never less than before (reader.c).  At the
 * end, when all is read and committed: final rows, open windows and counters
 * with a model made from the logs alone (model.c).  Besides, no window gets a
 * second row, what is freed is not touched, what is closed is freed, and the
 * world comes to rest.
 *
 * That the simulation would notice is tested, too: rules.h lists rules that the
 * simulated environment can break, one at a time, and each must be caught.
 *
 *		sim [--seeds FIRST-LAST]	run these; the kept ones (seeds.h) first
 *		sim SEED					run one, with a trace
 *		sim --broken NAME|all [--seeds FIRST-LAST]
 *									break a rule; it must be caught by a seed
 *		sim --broken NAME SEED		trace what comes of it
 *
 * A seed that fails prints itself.  It gives the same world on every machine.  A
 * thousand seeds count as one test.
 *
 * world.c			the world of a seed, and the scheduler
 * topic.c			logs of partitions
 * windows.c		windows that tumble, hop or cumulate, and views without
 * storage.c		transactions, snapshots, tables
 * lanes.c			launcher and scanner
 * coordinator.c	set-up, recovery, the coordinator's loop
 * checkpoint.c		the transaction of a checkpoint
 * ingest.c			ingest workers
 * reader.c user.c	backends
 * model.c			the truth
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY_SEEDS   10000
#define BLOCK_SEEDS  1000
#define BROKEN_SEEDS 10000

Broken sim_broken = BROKEN_NONE;
bool sim_tracing = false;

static const struct
{
	const char *name;
	const char *text;
} rules[] = {
	{"none", "no rule"},
#define RULE(name, text) {#name, text},
#include "rules.h"
#undef RULE
};

/* Seeds that have found something once: they are run each time. */
static const uint64_t kept_seeds[] = {
#define SEED(seed, text) seed,
#include "seeds.h"
#undef SEED
};

/* --- services of a world ---------------------------------------------------- */

void
trace(const World *w, const char *format, ...)
{
	va_list args;

	if (!sim_tracing)
		return;
	printf("%6llu  ", (unsigned long long) w->steps);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void
violation(World *w, const char *format, ...)
{
	va_list args;

	if (w->failed)
		return;
	w->failed = true;
	if (sim_broken != BROKEN_NONE && !sim_tracing)
		return;
	printf("seed %llu, step %llu: ", (unsigned long long) w->seed,
		   (unsigned long long) w->steps);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

typedef struct Block
{
	struct Block *next;
	_Alignas(16) char data[];
} Block;

void *
world_alloc(World *w, size_t size)
{
	Block *b = calloc(1, sizeof(Block) + size);

	if (b == NULL)
		abort();
	b->next = w->blocks;
	w->blocks = b;
	return b->data;
}

/* splitmix64 */
static uint64_t
next_random(World *w)
{
	uint64_t z = (w->rng += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

int
below(World *w, int n)
{
	return (int) (next_random(w) % (uint64_t) n);
}

bool
one_in(World *w, int n)
{
	return below(w, n) == 0;
}

/* --- running -------------------------------------------------------------------- */

/* True if all was as it should be. */
static bool
run_seed(uint64_t seed)
{
	static World w;
	Block *b;

	memset(&w, 0, sizeof(w));
	w.seed = w.rng = seed;
	world_run(&w);
	while ((b = w.blocks) != NULL)
	{
		w.blocks = b->next;
		free(b);
	}
	return !w.failed;
}

typedef struct Sum
{
	uint64_t passed;
	uint64_t failed;
} Sum;

static void
count(Sum *sum, bool passed)
{
	if (passed)
		sum->passed++;
	else
		sum->failed++;
}

/* Seeds that pass count as one test together, one that fails by itself. */
static void
run_block(Sum *sum, uint64_t first, uint64_t last)
{
	uint64_t failed = sum->failed;

	for (uint64_t seed = first; seed <= last && seed < first + BLOCK_SEEDS;
		 seed++)
		if (!run_seed(seed))
			sum->failed++;
	if (sum->failed == failed)
		sum->passed++;
}

static void
run_seeds(Sum *sum, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < sizeof(kept_seeds) / sizeof(kept_seeds[0]); i++)
		count(sum, run_seed(kept_seeds[i]));
	for (uint64_t seed = first; seed <= last; seed += BLOCK_SEEDS)
		run_block(sum, seed, last);
}

/* Is there a seed that notices that the rule is broken, and nothing else? */
static bool
catch_broken(int rule, uint64_t first, uint64_t last)
{
	uint64_t seed = first;
	bool caught;

	sim_broken = rule;
	while (seed <= last && run_seed(seed))
		seed++;
	sim_broken = BROKEN_NONE;
	caught = seed <= last && run_seed(seed);
	if (caught)
		printf("caught by seed %5llu: not %s\n", (unsigned long long) seed,
			   rules[rule].name);
	else
		printf("NOT CAUGHT: %s (%s)\n", rules[rule].name, rules[rule].text);
	return caught;
}

static void
run_broken(Sum *sum, const char *name, uint64_t first, uint64_t last)
{
	for (int rule = 1; rule < BROKEN_END; rule++)
		if (strcmp(name, "all") == 0 || strcmp(name, rules[rule].name) == 0)
			count(sum, catch_broken(rule, first, last));
}

static void
usage(void)
{
	fprintf(stderr,
			"usage: sim [SEED | --seeds FIRST-LAST] [--broken NAME|all]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	const char *name = NULL;
	unsigned long long first = 1;
	unsigned long long last = 0;
	Sum sum = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--broken") == 0 && i + 1 < argc)
			name = argv[++i];
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
		{
			if (sscanf(argv[++i], "%llu-%llu", &first, &last) != 2)
				usage();
		}
		else if (sscanf(argv[i], "%llu", &first) == 1)
		{
			last = first;
			sim_tracing = true;
		}
		else
			usage();
	}
	if (last == 0)
		last = name ? BROKEN_SEEDS : MANY_SEEDS;
	if (name)
		run_broken(&sum, name, first, last);
	else if (sim_tracing)
		count(&sum, run_seed(first));
	else
		run_seeds(&sum, first, last);
	printf("%llu passed, %llu failed\n", (unsigned long long) sum.passed,
		   (unsigned long long) sum.failed);
	return sum.failed > 0 || sum.passed == 0;
}
