// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many invalidation requests in one call, and honesty about how many of them
 * are complete when one is bad.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

#define PAGES	150	/* more than the kernel takes at a time */
#define MANY	524288	/* the most that one call may bring */

FIXTURE(batch)
{
	struct env env;
	__u64 pages[PAGES];
	struct front_entry entries[PAGES];
};

/*
 * The kernel may cover more than what was asked for, in particular the page
 * behind it; and it may make one command of requests that follow each other, or
 * of more than a driver cares to carry out one by one.
 */
FIXTURE_VARIANT(batch)
{
	__u64 distance;
	bool exact;
};

FIXTURE_VARIANT_ADD(batch, apart)
{
	.distance = 8192,
	.exact = true,
};

FIXTURE_VARIANT_ADD(batch, adjacent)
{
	.distance = 4096,
};

FIXTURE_SETUP(batch)
{
	struct env *env = &self->env;
	int i, rc = env_init(env, true, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (i = 0; i < PAGES; i++) {
		self->pages[i] = GIOVA + i * variant->distance;
		self->entries[i] = front_page(self->pages[i]);
	}
}

FIXTURE_TEARDOWN(batch)
{
	env_exit(&self->env);
}

/*
 * Have every page cached at the first place while the tables lead to the
 * second. Places are of 16 pages: the same one serves several.
 */
static void make_stale(struct __test_metadata *_metadata, struct env *env,
		       const __u64 *pages)
{
	int i;

	for (i = 0; i < PAGES; i++)
		probe_map(&env->probe, &env->table, pages[i], AT_A);
	ASSERT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_A, probe_dma(&env->probe, pages[i]));
	for (i = 0; i < PAGES; i++)
		probe_map(&env->probe, &env->table, pages[i], AT_B);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_A, probe_dma(&env->probe, pages[i]));
}

/* Whether the first @nr pages are fresh, and the others are not if @exact */
static bool done(struct env *env, const __u64 *pages, int nr, bool exact)
{
	enum place place;
	int i, wrong = 0;

	exact &= nr <= S1_EXACT;
	for (i = 0; i < PAGES; i++) {
		place = probe_dma(&env->probe, pages[i]);
		if (i < nr)
			wrong += place != AT_B;
		else if (exact)
			wrong += place != AT_A;
		else
			wrong += place != AT_A && place != AT_B;
	}
	return !wrong;
}

TEST_F(batch, all_good)
{
	struct env *env = &self->env;
	__u32 num = PAGES;

	make_stale(_metadata, env, self->pages);
	EXPECT_EQ(0, vm_send(&env->vm, env->hwpt, self->entries, &num));
	EXPECT_EQ(PAGES, num);
	EXPECT_TRUE(done(env, self->pages, PAGES, true));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Backwards, and every third before the others */
TEST_F(batch, any_order)
{
	struct env *env = &self->env;
	__u32 num = PAGES;
	int i;

	for (i = 0; i < PAGES; i++)
		self->entries[i] = front_page(self->pages[PAGES - 1 - i]);
	make_stale(_metadata, env, self->pages);
	EXPECT_EQ(0, vm_send(&env->vm, env->hwpt, self->entries, &num));
	EXPECT_TRUE(done(env, self->pages, PAGES, true));

	for (i = 0; i < PAGES; i++)
		self->entries[i] = front_page(self->pages[i % 50 * 3 + i / 50]);
	make_stale(_metadata, env, self->pages);
	EXPECT_EQ(0, vm_send(&env->vm, env->hwpt, self->entries, &num));
	EXPECT_EQ(PAGES, num);
	EXPECT_TRUE(done(env, self->pages, PAGES, true));
}

/*
 * Those before the bad one are done and counted. The ones after are not: the
 * caller sends them again.
 */
TEST_F_TIMEOUT(batch, bad_one, 90)
{
	static const int bad[] = {
		0, 1, 15, 16, 31, 32, 63, 64, 65, 127, PAGES - 1
	};
	struct front_entry good;
	struct env *env = &self->env;
	unsigned int i;
	int error;
	__u32 num;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		make_stale(_metadata, env, self->pages);
		good = self->entries[bad[i]];
		error = front_spoil(&self->entries[bad[i]], i);
		num = PAGES;
		EXPECT_EQ(error, vm_send(&env->vm, env->hwpt, self->entries,
					 &num));
		EXPECT_EQ(bad[i], num);
		EXPECT_TRUE(done(env, self->pages, bad[i], variant->exact));
		self->entries[bad[i]] = good;
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* The last requests are beyond the end of the caller's memory */
TEST_F(batch, unreadable_end)
{
	static const int readable[] = { 0, 1, 16, 63, 64, 70, 100 };
	size_t len = sizeof(self->entries[0]);
	struct env *env = &self->env;
	__u8 *mem, *end;
	unsigned int i;
	__u32 num;

	mem = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	end = mem + 4096;
	ASSERT_EQ(0, munmap(end, 4096));
	for (i = 0; i < ARRAY_SIZE(readable); i++) {
		make_stale(_metadata, env, self->pages);
		/* Half of the next one is there */
		memcpy(end - readable[i] * len - len / 2, self->entries,
		       readable[i] * len + len / 2);
		num = PAGES;
		EXPECT_EQ(-EFAULT,
			  vm_send(&env->vm, env->hwpt,
				  (void *)(end - readable[i] * len - len / 2),
				  &num));
		EXPECT_EQ(readable[i], num);
		EXPECT_TRUE(done(env, self->pages, readable[i],
				 variant->exact));
	}
	munmap(mem, 4096);
}

/* Without requests the call tells whether it knows their type */
TEST_F(batch, probe)
{
	struct env *env = &self->env;
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = front_object(&env->vm, env->hwpt),
		.data_type = FRONT_TYPE,
	};

	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(0, cmd.entry_num);
	cmd.data_type = FRONT_OTHER_TYPE;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	cmd.data_type = 0x101;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
}

/* A newer caller's requests are longer, with nothing new in them */
TEST_F(batch, entry_size)
{
	struct env *env = &self->env;
	struct {
		struct front_entry entry;
		__u64 newer;
	} entries[PAGES] = {};
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = front_object(&env->vm, env->hwpt),
		.data_uptr = (uintptr_t)entries,
		.data_type = FRONT_TYPE,
		.entry_len = sizeof(entries[0]),
		.entry_num = PAGES,
	};
	int i;

	for (i = 0; i < PAGES; i++)
		entries[i].entry = self->entries[i];
	make_stale(_metadata, env, self->pages);
	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(PAGES, cmd.entry_num);
	EXPECT_TRUE(done(env, self->pages, PAGES, true));

	make_stale(_metadata, env, self->pages);
	entries[20].newer = 1;
	EXPECT_EQ(-E2BIG, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(20, cmd.entry_num);
	EXPECT_TRUE(done(env, self->pages, 20, variant->exact));

	/* An older one's would be shorter, but there is none */
	cmd.entry_len = sizeof(struct front_entry) - 1;
	cmd.entry_num = 1;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(0, cmd.entry_num);
}

#ifndef NESTED_VIOMMU	/* the commands of each kind: viommu_cmd */

/* What one request covers and the next one does not, in any order */
TEST_F(batch, mixed)
{
	static const __u32 flags[] = {
		INV_TAG, INV_TAG | INV_LEAF, 0, INV_LEAF, INV_TAG | INV_PASID,
	};
	struct env *env = &self->env;
	unsigned int way;
	int i, j;
	__u32 num;

	for (way = 0; way < 3; way++) {
		for (i = 0; i < PAGES; i++) {
			j = way == 0 ? i : way == 1 ? PAGES - 1 - i :
						      i * 7 % PAGES;
			self->entries[i].req =
				inv_addr(flags[i % ARRAY_SIZE(flags)], 12,
					 self->pages[j], 1);
		}
		/* Of another tag, in the middle of the others */
		self->entries[PAGES / 2].req.flags = 0;
		self->entries[PAGES / 2].req.archid = 0;
		make_stale(_metadata, env, self->pages);
		num = PAGES;
		EXPECT_EQ(0, vm_send(&env->vm, env->hwpt, self->entries, &num));
		EXPECT_EQ(PAGES, num);
		EXPECT_TRUE(done(env, self->pages, PAGES, true));
	}
}

/* The end of 64 bits is followed by address 0 only at first sight */
TEST_F(batch, around_zero)
{
	struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		inv_addr(INV_TAG, 12, -4096ULL, 1),
		inv_addr(INV_TAG, 12, 0, 1),
		inv_addr(INV_TAG, 12, 0, 1ULL << 52),
		inv_addr(INV_TAG, 12, 0, 1ULL << 52),
	};
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u32 num;
	int i;

	for (i = 0; i < 3; i += 2) {
		probe_map(probe, &env->table, 0, AT_A);
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		EXPECT_EQ(AT_A, probe_dma(probe, 0));
		probe_map(probe, &env->table, 0, AT_B);
		EXPECT_EQ(AT_A, probe_dma(probe, 0));
		num = 2;
		EXPECT_EQ(0, hwpt_invalidate(env->vm.iommufd, env->hwpt,
					     &reqs[i], &num));
		EXPECT_EQ(2, num);
		EXPECT_EQ(AT_B, probe_dma(probe, 0));
	}
}

#endif

TEST_F_TIMEOUT(batch, as_many_as_possible, 240)
{
	struct front_entry *entries;
	struct env *env = &self->env;
	size_t size = (size_t)MANY * sizeof(*entries);
	__u32 num = MANY;
	int i;

	entries = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)entries);
	for (i = 0; i < MANY; i++)
		entries[i] = front_page(GIOVA +
					(PAGES + i) * variant->distance);
	/* The first and the last matter */
	entries[0] = front_page(self->pages[0]);
	entries[MANY - 1] = front_page(self->pages[1]);
	make_stale(_metadata, env, self->pages);
	EXPECT_EQ(0, vm_send(&env->vm, env->hwpt, entries, &num));
	EXPECT_EQ(MANY, num);
	EXPECT_EQ(AT_B, probe_dma(&env->probe, self->pages[0]));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, self->pages[1]));
	if (variant->exact && MANY <= S1_EXACT)
		EXPECT_EQ(AT_A, probe_dma(&env->probe, self->pages[2]));

	num = MANY + 1;
	EXPECT_EQ(-EINVAL, vm_send(&env->vm, env->hwpt, entries, &num));
	EXPECT_EQ(0, num);
	munmap(entries, size);
}

TEST_HARNESS_MAIN
