// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest whose directory is full of whatever does harm: attached again and
 * again, none of it may reach the hardware, cost memory for good, or keep a
 * process from being killed.
 */
#include <signal.h>
#include <sys/wait.h>

#include "vtd_env.h"

#include "../kselftest_harness.h"

#define ROUNDS		1000	/* with each of the directories */
#define FEW		10	/* where each leak is found */
#define WARM_UP		50	/* after them the allocators have what they keep */
#define MANY		524288	/* requests in one call */
#define MAX_BITS	20
#define MAX_TABLES	512	/* of the host, for a device */
/* A directory, and what counters may be wrong by */
#define SPARE_PAGES	512

/*
 * How much less memory there may be in the end: less than a page, or than the
 * smallest object, for each round. Counters are exact to some pages per CPU.
 */
#define LOST_KIB	2048
#define LOST_SLAB_KIB	512
#define MAX_DEATH_SECS	10
/* How long a scan may take to come to what it refuses */
#define PATIENCE_MS	20000

FIXTURE(hostile)
{
	struct vtd v;
	__u64 page, table, absent;	/* GPA, to lead to */
	__u32 hwpt;
};

/* What an entry of the directory says */
enum evil {
	ITSELF,		/* the directory, as a PASID table */
	ALL_ONES,
	UNMAPPED,
	BEYOND,
	MISALIGNED,
	NOISE,		/* PASID tables of random bits */
	ONE_TABLE,	/* all of them the same good one */
	NR_EVILS,
};

/* A table of 64 good entries, and a page of noise without a good one */
FIXTURE_SETUP(hostile)
{
	struct vtd *v = &self->v;
	struct vm *vm = &v->env.vm;
	struct pasid_table good;
	__u32 pasid, *noise;
	unsigned int i, seed = 1;

	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	self->page = vm_alloc(vm, 4096);
	noise = vm_ptr(vm, self->page);
	for (i = 0; i < 1024; i++) {
		seed = seed * 1103515245 + 12345;
		noise[i] = seed >> 3;
		/* Reserved bits in each entry, and faults are wanted */
		if (i % 16 == 15)
			noise[i] |= 1;
		if (i % 16 == 0)
			noise[i] &= ~PASID0_NO_FAULTS;
	}
	pasid_table_init_bits(&good, vm, PASID_TABLE_LOG2);
	for (pasid = 0; pasid < 1U << PASID_TABLE_LOG2; pasid++)
		pasid_table_set_pasid(&good, pasid, &v->env.table);
	self->table = *pasid_table_pde(&good, 0) & PDE_ADDR;
	/* Neither is it good nor all zero */
	self->absent = vm_alloc(vm, 4096);
	memcpy(vm_ptr(vm, self->absent), vm_ptr(vm, self->table), 4096);
	for (i = 0; i < 4096 / sizeof(__u64); i += 8)
		((__u64 *)vm_ptr(vm, self->absent))[i] ^=
			PASID0_PRESENT | PASID0_NO_FAULTS;
	self->hwpt = 0;
}

FIXTURE_TEARDOWN(hostile)
{
	vtd_exit(&self->v);
}

static __u64 evil_pde(__u64 directory, __u64 page, __u64 table, enum evil evil,
		      unsigned int i)
{
	switch (evil) {
	case ITSELF:
		return directory | PDE_PRESENT;
	case ALL_ONES:
		return ~0ULL;
	case UNMAPPED:
		return (VM_GPA + VM_SIZE + i * 4096ULL) | PDE_PRESENT;
	case BEYOND:
		return 1ULL << (48 + i % 16) | PDE_PRESENT;
	case MISALIGNED:
		return (table + 8 * (i % 512)) | PDE_PRESENT;
	case NOISE:
		return page | PDE_PRESENT;
	default:
		return table | PDE_PRESENT;
	}
}

/* A directory full of it, for 2^@bits PASIDs, and requests without one */
static int evil_table(struct vtd *v, __u64 page, __u64 table, enum evil evil,
		      unsigned int bits, __u32 *hwpt)
{
	struct pasid_table *p = &v->env.pasids;
	__u64 *directory;
	unsigned int i;

	pasid_table_init_bits(p, &v->env.vm, bits);
	directory = vm_ptr(&v->env.vm, p->base);
	for (i = 0; i < 1U << (bits - PASID_TABLE_LOG2); i++)
		directory[i] = evil_pde(p->base, page, table, evil, i);
	return env_config(&v->env, IOMMU_PASID_TABLE_TRANSLATE, hwpt);
}

static int go_round(struct env *env, __u32 hwpt, unsigned int rounds)
{
	int rc = 0;

	while (!rc && rounds--) {
		rc = vfio_attach(env->dev, hwpt);
		rc = rc ?: env_invalidate(env, inv_domain(INV_ALL));
		rc = rc ?: vfio_attach(env->dev, env->vm.parent);
	}
	return rc;
}

/* The sum of the numbers behind @name in a file of /proc */
static long proc_sum(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256], *at;
	long sum = 0, value;

	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, name);
		if (at && sscanf(at + strlen(name), "%ld", &value) == 1)
			sum += value;
	}
	if (file)
		fclose(file);
	return sum;
}

struct memory {
	long free, slab;	/* KiB */
};

/* Pages that a CPU has at hand do not count as free, but are */
static struct memory memory_read(void)
{
	long page_kib = sysconf(_SC_PAGESIZE) / 1024;

	return (struct memory){
		.free = proc_sum("/proc/meminfo", "MemFree:") +
			proc_sum("/proc/zoneinfo", " count:") * page_kib,
		.slab = proc_sum("/proc/meminfo", "SUnreclaim:"),
	};
}

static bool memory_agrees(const struct memory *a, const struct memory *b)
{
	return labs(a->free - b->free) < LOST_KIB / 8 &&
	       labs(a->slab - b->slab) < LOST_SLAB_KIB / 8;
}

/* When what is freed after a grace period, or by a worker, is free */
static struct memory memory_now(void)
{
	struct memory last, now = memory_read();
	int tries = 50;

	do {
		last = now;
		usleep(200000);
		now = memory_read();
	} while (!memory_agrees(&last, &now) && --tries);
	return now;
}

/*
 * A kernel that finds each leak by itself does so in fewer rounds. It also keeps
 * what is freed for a while, to catch who still uses it.
 */
static bool finds_leaks(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

static bool lost_slab(const struct memory *before, const struct memory *after)
{
	return !finds_leaks() && after->slab >= before->slab + LOST_SLAB_KIB;
}

static const char * const evils[] = {
	"itself", "all ones", "unmapped", "beyond", "misaligned", "noise",
	"one table",
};

TEST_F_TIMEOUT(hostile, directories, 900)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct memory before, after;
	__u32 hwpt = env->hwpt;
	enum evil evil;

	for (evil = 0; evil < NR_EVILS; evil++) {
		ASSERT_EQ(0, evil_table(v, self->page, self->table, evil,
					VTD_BITS, &env->hwpt));
		ASSERT_EQ(0, go_round(env, env->hwpt,
				      finds_leaks() ? FEW : WARM_UP));
		before = memory_now();
		ASSERT_EQ(0, go_round(env, env->hwpt,
				      finds_leaks() ? FEW : ROUNDS));
		after = memory_now();
		EXPECT_FALSE(lost_slab(&before, &after));
		EXPECT_LT(before.free - LOST_KIB, after.free);
		TH_LOG("%s: %ld KiB free before, %ld after; slab %ld, %ld",
		       evils[evil], before.free, after.free, before.slab,
		       after.slab);
		ASSERT_EQ(0, iommufd_destroy(env->vm.iommufd, env->hwpt));
	}

	/* And the good table is as good as ever */
	env->hwpt = hwpt;
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* None of it translates; what is good beside it does */
TEST_F_TIMEOUT(hostile, blocked, 120)
{
	static const __u32 pasids[] = { 0, 1, 63, 64, 1023 };
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	unsigned int i;
	enum evil evil;
	bool good;

	for (evil = 0; evil < NR_EVILS; evil++) {
		ASSERT_EQ(0, evil_table(v, self->page, self->table, evil,
					VTD_BITS, &env->hwpt));
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
		for (i = 0; i < ARRAY_SIZE(pasids); i++) {
			/* The first one is aligned */
			good = evil == ONE_TABLE ||
			       (evil == MISALIGNED && pasids[i] < 64);
			EXPECT_EQ(good, vtd_dma(v, pasids[i], GIOVA) == AT_A);
			EXPECT_EQ(!good, vtd_blocked(v, pasids[i], GIOVA)) {
				TH_LOG("%s, PASID %u", evils[evil], pasids[i]);
			}
		}
		ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
		EXPECT_EQ(AT_B, probe_dma(&env->probe, env->probe.b));
	}
}

/*
 * As many PASIDs as there can be, from one page of the guest: what the host has for
 * them is bounded, and nothing for those that are not present
 */
TEST_F_TIMEOUT(hostile, maximum_size, 300)
{
	const struct {
		enum evil evil;
		__u64 table;
		unsigned int tables;
	} cases[] = {
		{ ITSELF },
		{ ONE_TABLE, self->absent },
		{ ONE_TABLE, self->table, MAX_TABLES },
	};
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	__u32 last = MAX_TABLES << PASID_TABLE_LOG2;
	struct memory before, after;
	long pages;
	int i;

	ASSERT_LT(last, 1U << v->max_pasid_log2);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_EQ(0, evil_table(v, self->page, cases[i].table,
					cases[i].evil, MAX_BITS, &env->hwpt));
		before = memory_now();
		ASSERT_EQ(0, go_round(env, env->hwpt, 3));
		after = memory_now();
		EXPECT_FALSE(lost_slab(&before, &after));
		EXPECT_LT(before.free - LOST_KIB, after.free);
		pages = proc_sum("/proc/vmstat", "nr_iommu_pages ");
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
		pages = proc_sum("/proc/vmstat", "nr_iommu_pages ") - pages;
		TH_LOG("%ld KiB free before, %ld after, %ld pages while attached",
		       before.free, after.free, pages);
		EXPECT_GT(cases[i].tables + SPARE_PAGES, pages);
		if (cases[i].tables) {
			EXPECT_EQ(AT_A, vtd_dma(v, last - 1, GIOVA));
			EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
			EXPECT_TRUE(vtd_refused(v, last, -ENOSPC));
			EXPECT_TRUE(vtd_blocked(v, last, GIOVA));
		} else {
			EXPECT_TRUE(vtd_blocked(v, 1, GIOVA));
		}
		ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	}
}

/* More attaches than there are domain IDs: none is lost by any of them */
TEST_F_TIMEOUT(hostile, domain_ids, 900)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	unsigned long i, ids = 1UL << CAP_ND(v->info.cap_reg);
	__u32 first = env->hwpt, second;
	int rc = 0;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_TRANSLATE, &second));
	for (i = 0; !rc && i <= ids / 2; i++) {
		rc = vfio_attach(env->dev, first);
		rc = rc ?: vfio_attach(env->dev, second);
	}
	EXPECT_EQ(0, rc) {
		TH_LOG("%lu of %lu", 2 * i, ids);
	}
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Requests for all of the largest table, more than anybody could wait for */
static void scan(struct env *env)
{
	struct iommu_hwpt_pasid_table_invalidate *reqs;
	__u32 i, num = MANY;

	reqs = calloc(MANY, sizeof(*reqs));
	if (!reqs)
		_exit(1);
	for (i = 0; i < MANY; i++)
		reqs[i] = inv_domain(INV_PASID_CACHE);
	hwpt_invalidate(env->vm.iommufd, env->hwpt, reqs, &num);
	_exit(num == MANY ? 2 : 3);
}

/* Whether the scan gets to an entry for which there is no room: each time it says so */
static bool scan_begins(const struct vfio_dev *dev)
{
	int ms;

	for (ms = 0; ms < PATIENCE_MS; ms++) {
		if (traced("nested_entry_refused:", dev->name))
			return true;
		usleep(1000);
	}
	return false;
}

TEST_F_TIMEOUT(hostile, killed, 120)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	time_t start;
	int status;
	pid_t child;

	ASSERT_EQ(0, evil_table(v, self->page, self->table, ONE_TABLE, MAX_BITS,
				&env->hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, faults_start());
	ASSERT_EQ(0, file_write(TRACE_REFUSED, "1", 0));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		scan(env);
	EXPECT_TRUE(scan_begins(env->dev));
	EXPECT_EQ(0, file_write(TRACE_REFUSED, "0", 0));
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	start = time(NULL);
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	EXPECT_GE(MAX_DEATH_SECS, time(NULL) - start);
	EXPECT_EQ(AT_A, vtd_dma(v, 1, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_HARNESS_MAIN
