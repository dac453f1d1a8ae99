// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sustained DMA of a disk while its translation changes all the time. Each of
 * the translations leads somewhere good, so no DMA may fault, get lost or land
 * anywhere else.
 */
#include <pthread.h>
#include <time.h>

#include "nested_env.h"

#include "../kselftest_harness.h"

#define PAGES		NVME_MAX_PAGES
#define SIZE		(PAGES * 4096ULL)
#define MIN_READS	100
#define MIN_CHANGES	100
#define MIN_DMAS	30
#define SECONDS		2	/* at least this long */
#define MAX_SECONDS	60	/* give up on the above */

struct traffic {
	struct env env;
	struct pasid_table other_pasids;
	struct s1_table other;
	__u32 other_hwpt;
	__u64 a, b;		/* GPA */
	__u32 tables[4];	/* to attach in turn */
	unsigned int nr_tables;
	bool invalidate, map;
	/* the thread that makes the changes */
	pthread_t thread;
	bool stop;
	unsigned long changes;
	int error;
	/* pages that the disk wrote to each place */
	unsigned long in_a, in_b;
};

FIXTURE(traffic)
{
	struct traffic t;
};

FIXTURE_SETUP(traffic)
{
	struct traffic *t = &self->t;
	int rc = env_init(&t->env, true, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	t->a = vm_alloc(&t->env.vm, SIZE);
	t->b = vm_alloc(&t->env.vm, SIZE);
	ASSERT_EQ(0, env_add_table(&t->env, &t->other, &t->other_pasids, 12,
				   OTHER_TAG, &t->other_hwpt));
	ASSERT_EQ(0, vfio_attach(t->env.dev, t->env.hwpt));
}

FIXTURE_TEARDOWN(traffic)
{
	env_exit(&self->t.env);
}

static int change(struct traffic *t)
{
	int rc = 0;

	if (t->nr_tables)
		rc = vfio_attach(t->env.dev, t->tables[t->changes %
						       t->nr_tables]);
	if (!rc && t->invalidate)
		rc = env_invalidate(&t->env, inv_domain(INV_ALL));
	if (!rc && t->map)
		rc = vm_map_and_unmap(&t->env.vm);
	return rc;
}

static void *keep_changing(void *arg)
{
	struct traffic *t = arg;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED) && !t->error) {
		t->error = change(t);
		t->changes++;
	}
	return NULL;
}

/* Whether @page is full of @value */
static bool all(const __u8 *page, __u8 value)
{
	return page[0] == value && !memcmp(page, page + 1, 4095);
}

/* Each page of the transfer is in one of the places, completely */
static int wrong_pages(struct traffic *t)
{
	const __u8 *a = vm_ptr(&t->env.vm, t->a);
	const __u8 *b = vm_ptr(&t->env.vm, t->b);
	int i, wrong = 0;

	for (i = 0; i < PAGES; i++, a += 4096, b += 4096) {
		if (all(a, 0) && all(b, VM_UNTOUCHED))
			t->in_a++;
		else if (all(b, 0) && all(a, VM_UNTOUCHED))
			t->in_b++;
		else
			wrong++;
	}
	return wrong;
}

static void run(struct __test_metadata *_metadata, struct traffic *t,
		__u64 giova, bool two_places)
{
	struct vm *vm = &t->env.vm;
	__u8 *free_mem = vm_ptr(vm, VM_GPA + vm->used);
	size_t free_size = VM_SIZE - vm->used, i;
	unsigned long reads = 0, changes;
	time_t start = time(NULL), now;

	memset(free_mem, VM_UNTOUCHED, free_size);
	ASSERT_EQ(0, pthread_create(&t->thread, NULL, keep_changing, t));
	do {
		memset(vm_ptr(vm, t->a), VM_UNTOUCHED, SIZE);
		memset(vm_ptr(vm, t->b), VM_UNTOUCHED, SIZE);
		ASSERT_EQ(0, nvme_read(&t->env.nvme, giova, SIZE));
		ASSERT_EQ(0, wrong_pages(t));
		reads++;
		now = time(NULL);
		changes = __atomic_load_n(&t->changes, __ATOMIC_RELAXED);
	} while (now < start + MAX_SECONDS &&
		 (now <= start + SECONDS || reads < MIN_READS ||
		  changes < MIN_CHANGES));
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	pthread_join(t->thread, NULL);

	EXPECT_EQ(0, t->error);
	EXPECT_EQ(0, faults(t->env.dev, false));
	for (i = 0; i < free_size; i++)
		ASSERT_EQ(VM_UNTOUCHED, free_mem[i]);
	EXPECT_LE(MIN_READS, reads);
	EXPECT_LE(MIN_CHANGES, t->changes);
	/* Otherwise the changes did not matter */
	EXPECT_LT(0, t->in_a);
	EXPECT_EQ(two_places, !!t->in_b);
	TH_LOG("%lu reads of %u pages during %lu changes", reads, PAGES,
	       t->changes);
}

/* Two tables, which lead to different places */
static void replace_tables(struct __test_metadata *_metadata,
			   struct traffic *t)
{
	s1_map_range(&t->env.table, GIOVA, t->a, SIZE);
	s1_map_range(&t->other, GIOVA, t->b, SIZE);
	t->tables[0] = t->env.hwpt;
	t->tables[1] = t->other_hwpt;
	t->nr_tables = 2;
}

TEST_F_TIMEOUT(traffic, two_tables, 90)
{
	struct traffic *t = &self->t;

	replace_tables(_metadata, t);
	run(_metadata, t, GIOVA, true);
}

/* The guest's table, no table, the other table lead to the same place */
TEST_F_TIMEOUT(traffic, every_state, 90)
{
	struct traffic *t = &self->t;

	s1_map_range(&t->env.table, t->a, t->a, SIZE);
	s1_map_range(&t->other, t->a, t->a, SIZE);
	t->tables[0] = t->env.hwpt;
	t->tables[1] = t->env.vm.parent;
	t->tables[2] = t->other_hwpt;
	ASSERT_EQ(0, env_config(&t->env, IOMMU_PASID_TABLE_BYPASS,
				&t->tables[3]));
	t->nr_tables = 4;
	run(_metadata, t, t->a, false);
}

TEST_F_TIMEOUT(traffic, bypass_and_parent, 90)
{
	struct traffic *t = &self->t;

	s1_map_range(&t->env.table, t->a, t->a, SIZE);
	t->tables[0] = t->env.hwpt;
	ASSERT_EQ(0, env_config(&t->env, IOMMU_PASID_TABLE_BYPASS,
				&t->tables[1]));
	t->tables[2] = t->env.vm.parent;
	t->nr_tables = 3;
	run(_metadata, t, t->a, false);
}

/* Nothing is replaced; the guest invalidates and the host maps other memory */
TEST_F_TIMEOUT(traffic, invalidations, 90)
{
	struct traffic *t = &self->t;

	s1_map_range(&t->env.table, GIOVA, t->a, SIZE);
	t->invalidate = true;
	t->map = true;
	run(_metadata, t, GIOVA, false);
}

TEST_F_TIMEOUT(traffic, all_at_once, 90)
{
	struct traffic *t = &self->t;

	replace_tables(_metadata, t);
	t->invalidate = true;
	t->map = true;
	run(_metadata, t, GIOVA, true);
}

/* With abort in between DMA gets through or not, and never faults */
FIXTURE(edu)
{
	struct traffic t;
};

FIXTURE_SETUP(edu)
{
	struct traffic *t = &self->t;
	int rc = env_init(&t->env, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(edu)
{
	env_exit(&self->t.env);
}

TEST_F_TIMEOUT(edu, abort, 90)
{
	struct traffic *t = &self->t;
	struct probe *probe = &t->env.probe;
	time_t end = time(NULL) + MAX_SECONDS;
	enum place place;
	int i, log = log_open();

	ASSERT_LE(0, log);
	t->tables[0] = t->env.hwpt;
	ASSERT_EQ(0, env_config(&t->env, IOMMU_PASID_TABLE_ABORT,
				&t->tables[1]));
	t->nr_tables = 2;
	ASSERT_EQ(0, vfio_attach(t->env.dev, t->env.hwpt));
	ASSERT_EQ(0, pthread_create(&t->thread, NULL, keep_changing, t));
	for (i = 0; time(NULL) < end &&
	     (i < MIN_DMAS ||
	      __atomic_load_n(&t->changes, __ATOMIC_RELAXED) < MIN_CHANGES);
	     i++) {
		place = probe_dma(probe, GIOVA);
		EXPECT_TRUE(place == AT_A || place == NOWHERE);
	}
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	pthread_join(t->thread, NULL);
	EXPECT_EQ(0, t->error);
	EXPECT_LE(MIN_DMAS, i);
	EXPECT_LE(MIN_CHANGES, t->changes);
	EXPECT_EQ(0, faults(t->env.dev, false));
	EXPECT_EQ(0, log_events(t->env.dev, log));
	close(log);
	ASSERT_EQ(0, vfio_attach(t->env.dev, t->env.hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
}

TEST_HARNESS_MAIN
