/*
 * test_buddy.c
 *		The buddy allocator against a shadow model: a plain map of which min
 *		blocks are in use.  Every block is filled, so that one that overlaps
 *		another, or the allocator's own data, shows.
 */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buddy.h"

#define MAX_BLOCKS 2000

typedef struct Held
{
	unsigned char *p;
	size_t size; /* as asked for */
	size_t rounded;
	unsigned char fill;
} Held;

static void *
map_region(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static size_t
round_up(size_t size, size_t min_block)
{
	size_t r = min_block;

	while (r < size)
		r *= 2;
	return r;
}

/* A block is full of its owner's byte. */
static void
mark(const Held *h)
{
	memset(h->p, h->fill, h->rounded);
}

static bool
is_marked(const Held *h)
{
	return h->p[0] == h->fill && memcmp(h->p, h->p + 1, h->rounded - 1) == 0;
}

static bool
overlaps(const Held *held, int n, const Held *h)
{
	for (int i = 0; i < n; i++)
		if (h->p < held[i].p + held[i].rounded && held[i].p < h->p + h->rounded)
			return true;
	return false;
}

/* Frees held[i] and closes the gap. */
static void
give_back(WbArena *arena, Held *held, int *n, int i)
{
	size_t before = wb_free_bytes(arena);

	CHECK(is_marked(&held[i]));
	wb_free(arena, held[i].p, held[i].size);
	CHECK(wb_free_bytes(arena) == before + held[i].rounded);
	held[i] = held[--*n];
}

/* The largest block that can be had is what it was when nothing was in use. */
static void
check_merged(WbArena *arena, size_t min_block)
{
	size_t total = wb_total_bytes(arena);
	Held held[64];
	int n = 0;

	CHECK(wb_free_bytes(arena) == total);

	/* Each power of two of the total is a block of its own. */
	for (size_t size = (size_t) 1 << 62; size >= min_block; size /= 2)
		if (total & size)
		{
			held[n].size = size;
			held[n].p = wb_alloc(arena, size);
			CHECK_MSG(held[n].p != NULL, "%zu of %zu", size, total);
			n++;
		}
	CHECK(wb_free_bytes(arena) == 0);
	CHECK(wb_alloc(arena, 1) == NULL);
	while (n-- > 0)
		if (held[n].p)
			wb_free(arena, held[n].p, held[n].size);
	CHECK(wb_free_bytes(arena) == total);
}

/* Many random calls on one region. */
static void
exercise(size_t region_size, size_t min_block, size_t shift)
{
	static Held held[MAX_BLOCKS];
	char *region = map_region(region_size + 4096);
	WbArena *arena = wb_init(region + shift, region_size, min_block);
	size_t in_use = 0;
	int n = 0;

	CHECK(arena != NULL);
	if (arena == NULL)
		return;
	CHECK(wb_total_bytes(arena) <= region_size);
	CHECK(wb_total_bytes(arena) + wb_overhead(region_size) + min_block >=
		  region_size);
	check_merged(arena, min_block);
	for (int i = 0; i < 20000; i++)
	{
		/* Fill up and empty out in turn. */
		bool grow = rnd_below(10) < (i / 2000 % 2 ? 3 : 7);

		if (grow && n < MAX_BLOCKS)
		{
			Held *h = &held[n];

			h->size = 1 + rnd() % (min_block << rnd_below(6));
			h->rounded = round_up(h->size, min_block);

			/* Like the allocator's own tags, should it look there for one. */
			h->fill = (unsigned char) (0x80 | rnd_below(12));
			if (h->rounded <= region_size)
				CHECK(wb_rounded(arena, h->size) == h->rounded ||
					  wb_rounded(arena, h->size) == SIZE_MAX);
			h->p = wb_alloc(arena, h->size);
			if (h->p == NULL)
				continue;
			CHECK((char *) h->p >= region + shift + sizeof(void *) &&
				  (char *) h->p + h->rounded <= region + shift + region_size);
			CHECK((uintptr_t) h->p % (h->rounded < 4096 ? h->rounded : 4096) ==
				  0);
			CHECK(!overlaps(held, n, h));
			mark(h);
			in_use += h->rounded;
			n++;
		}
		else if (n > 0)
		{
			int k = (int) rnd_below((uint64_t) n);

			in_use -= held[k].rounded;
			give_back(arena, held, &n, k);
		}
		CHECK(wb_free_bytes(arena) + in_use == wb_total_bytes(arena));
	}
	while (n > 0)
		give_back(arena, held, &n, n - 1);
	check_merged(arena, min_block);
	munmap(region, region_size + 4096);
}

static void
random_calls(void)
{
	exercise(1 << 20, 256, 0);
	exercise(1 << 22, 1024, 0);
	exercise((1 << 20) + 12345, 512, 0);
	exercise(3 * 1000 * 1000, 1024, 8);
	exercise(100 * 1000, 256, 100);
	exercise(64 * 1024, 1024, 1);
	exercise(20 * 1024, 4096, 0);
	for (int i = 0; i < 10; i++)
		exercise(20000 + rnd_below(1 << 21), (size_t) 256 << rnd_below(5),
				 rnd_below(4096));
}

/* What does not fit is refused, whatever the free bytes. */
static void
limits(void)
{
	size_t size = 1 << 20;
	void *region = map_region(size);
	WbArena *arena = wb_init(region, size, 1024);
	size_t total = wb_total_bytes(arena);
	void *a;
	void *b;

	CHECK(wb_rounded(arena, 0) == 1024 && wb_rounded(arena, 1) == 1024);
	CHECK(wb_rounded(arena, 1024) == 1024 && wb_rounded(arena, 1025) == 2048);
	CHECK(wb_rounded(arena, total + 1) == SIZE_MAX);
	CHECK(wb_rounded(arena, SIZE_MAX) == SIZE_MAX);
	CHECK(wb_alloc(arena, SIZE_MAX) == NULL);
	CHECK(wb_alloc(arena, total * 2) == NULL);
	CHECK(wb_alloc(arena, (size_t) 1 << 63) == NULL);
	a = wb_alloc(arena, 0);
	b = wb_alloc(arena, 0);
	CHECK(a != NULL && b != NULL && a != b);
	wb_free(arena, a, 0);
	wb_free(arena, b, 1024);
	CHECK(wb_free_bytes(arena) == total);

	CHECK(wb_init(NULL, size, 1024) == NULL);
	CHECK(wb_init(region, 100, 1024) == NULL);
	CHECK(wb_init(region, 0, 1024) == NULL);
	CHECK(wb_init(region, size, 1000) == NULL);
	CHECK(wb_init(region, size, 128) == NULL);
	CHECK(wb_init(region, size, 0) == NULL);
	CHECK(wb_init(region, size, 1 << 20) == NULL);
	munmap(region, size);
}

/* 64 GB are reserved, and hardly touched; blocks are still found. */
static void
untouched(void)
{
	size_t size = (size_t) 64 << 30;
	char *region = map_region(size);
	WbArena *arena = wb_init(region, size, 1024);
	size_t resident = 0;
	FILE *f;
	char line[200];
	bool found = false;
	void *blocks[100];

	CHECK(arena != NULL);
	CHECK(wb_overhead(size) < size / 200);
	for (int i = 0; i < 100; i++)
	{
		blocks[i] = wb_alloc(arena, 1024);
		CHECK(blocks[i] != NULL);
	}
	f = fopen("/proc/self/smaps", "r");
	while (f && fgets(line, sizeof(line), f))
	{
		unsigned long from;
		unsigned long to;
		size_t kb;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			found = from <= (uintptr_t) region && (uintptr_t) region < to;
		else if (found && sscanf(line, "Rss: %zu kB", &kb) == 1)
			resident = kb;
	}
	if (f)
		fclose(f);

	/* Transparent huge pages make 2 MB of each page that is touched. */
	CHECK_MSG(resident > 0 && resident < 256 * 1024, "%zu kB resident",
			  resident);
	for (int i = 0; i < 100; i++)
		wb_free(arena, blocks[i], 1024);
	check_merged(arena, 1024);
	munmap(region, size);
}

/* Whether doing this to an arena aborts. */
static bool
aborts(void (*misuse)(WbArena *arena))
{
	size_t size = 1 << 18;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		close(2);
		misuse(wb_init(map_region(size), size, 1024));
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
free_twice(WbArena *arena)
{
	void *p = wb_alloc(arena, 1024);

	wb_free(arena, p, 1024);
	wb_free(arena, p, 1024);
}

static void
free_twice_unmerged(WbArena *arena)
{
	void *p = wb_alloc(arena, 1024);
	void *q = wb_alloc(arena, 1024);

	wb_free(arena, q, 1024);
	wb_free(arena, q, 1024);
	wb_free(arena, p, 1024);
}

static void
free_wrong_size(WbArena *arena)
{
	wb_free(arena, wb_alloc(arena, 1024), 2048);
}

static void
free_inside(WbArena *arena)
{
	wb_free(arena, (char *) wb_alloc(arena, 4096) + 1024, 1024);
}

static void
free_unaligned(WbArena *arena)
{
	wb_free(arena, (char *) wb_alloc(arena, 1024) + 8, 1024);
}

static void
free_right(WbArena *arena)
{
	wb_free(arena, wb_alloc(arena, 1024), 1000);
}

static void
misuse_is_seen(void)
{
	CHECK(aborts(free_twice));
	CHECK(aborts(free_twice_unmerged));
	CHECK(aborts(free_wrong_size));
	CHECK(aborts(free_inside));
	CHECK(aborts(free_unaligned));
	CHECK(!aborts(free_right));
}

int
main(void)
{
	RUN(limits);
	RUN(random_calls);
	RUN(untouched);
	RUN(misuse_is_seen);
	return done();
}
