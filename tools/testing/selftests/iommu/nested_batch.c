// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many invalidation requests in one call, and honesty about how many of them
 * are complete when one is bad.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

#define PAGES	40	/* more than the kernel takes at a time */
#define MANY	524288	/* the most that one call may bring */

FIXTURE(batch)
{
	struct env env;
	struct iommu_hwpt_pasid_table_invalidate reqs[PAGES];
};

/* Two apart: a request may cover the page behind its own too */
static __u64 page(int i)
{
	return GIOVA + (__u64)i * 8192;
}

FIXTURE_SETUP(batch)
{
	struct env *env = &self->env;
	int i, rc = env_init(env, true, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (i = 0; i < PAGES; i++)
		self->reqs[i] = inv_addr(INV_TAG, 12, page(i), 1);
}

FIXTURE_TEARDOWN(batch)
{
	env_exit(&self->env);
}

/*
 * Have every page cached at the first place while the tables lead to the
 * second. Places are of 16 pages: the same one serves several.
 */
static void make_stale(struct __test_metadata *_metadata, struct env *env)
{
	int i;

	for (i = 0; i < PAGES; i++)
		probe_map(&env->probe, &env->table, page(i), AT_A);
	ASSERT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_A, probe_dma(&env->probe, page(i)));
	for (i = 0; i < PAGES; i++)
		probe_map(&env->probe, &env->table, page(i), AT_B);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_A, probe_dma(&env->probe, page(i)));
}

TEST_F(batch, all_good)
{
	struct env *env = &self->env;
	__u32 num = PAGES;
	int i;

	make_stale(_metadata, env);
	EXPECT_EQ(0, hwpt_invalidate(env->vm.iommufd, env->hwpt, self->reqs,
				     &num));
	EXPECT_EQ(PAGES, num);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_B, probe_dma(&env->probe, page(i)));
	EXPECT_EQ(0, faults(env->dev, false));
}

/*
 * Those before the bad one are done and counted. The ones after are not: the
 * caller sends them again.
 */
TEST_F(batch, bad_one)
{
	static const int bad[] = { 0, 1, 15, 16, 17, 31, 32, PAGES - 1 };
	struct iommu_hwpt_pasid_table_invalidate good;
	struct env *env = &self->env;
	unsigned int i;
	__u32 num;
	int j;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		make_stale(_metadata, env);
		good = self->reqs[bad[i]];
		/* Half of them are found out by the core, half by the driver */
		if (i & 1)
			self->reqs[bad[i]].archid = 0x10000;
		else
			self->reqs[bad[i]].caches = 0;

		num = PAGES;
		EXPECT_EQ(-EINVAL, hwpt_invalidate(env->vm.iommufd, env->hwpt,
						   self->reqs, &num));
		EXPECT_EQ(bad[i], num);
		for (j = 0; j < PAGES; j++)
			EXPECT_EQ(j < bad[i] ? AT_B : AT_A,
				  probe_dma(&env->probe, page(j)));
		self->reqs[bad[i]] = good;
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* The last requests are beyond the end of the caller's memory */
TEST_F(batch, unreadable_end)
{
	static const int readable[] = { 0, 1, 16, 20, PAGES - 1 };
	size_t len = sizeof(self->reqs[0]);
	struct env *env = &self->env;
	__u8 *mem, *end;
	unsigned int i;
	__u32 num;
	int j;

	mem = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	end = mem + 4096;
	ASSERT_EQ(0, munmap(end, 4096));
	for (i = 0; i < ARRAY_SIZE(readable); i++) {
		make_stale(_metadata, env);
		/* Half of the next one is there */
		memcpy(end - readable[i] * len - len / 2, self->reqs,
		       readable[i] * len + len / 2);
		num = PAGES;
		EXPECT_EQ(-EFAULT,
			  hwpt_invalidate(env->vm.iommufd, env->hwpt,
					  (void *)(end - readable[i] * len -
						   len / 2), &num));
		EXPECT_EQ(readable[i], num);
		for (j = 0; j < PAGES; j++)
			EXPECT_EQ(j < readable[i] ? AT_B : AT_A,
				  probe_dma(&env->probe, page(j)));
	}
	munmap(mem, 4096);
}

/* Without requests the call tells whether it knows their type */
TEST_F(batch, probe)
{
	struct env *env = &self->env;
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = env->hwpt,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
	};

	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(0, cmd.entry_num);
	cmd.data_type++;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	EXPECT_EQ(-EINVAL, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
}

/* A newer caller's requests are longer, with nothing new in them */
TEST_F(batch, longer_requests)
{
	struct env *env = &self->env;
	struct {
		struct iommu_hwpt_pasid_table_invalidate req;
		__u64 newer;
	} reqs[PAGES] = {};
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = env->hwpt,
		.data_uptr = (uintptr_t)reqs,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = sizeof(reqs[0]),
		.entry_num = PAGES,
	};
	int i;

	for (i = 0; i < PAGES; i++)
		reqs[i].req = self->reqs[i];
	make_stale(_metadata, env);
	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(PAGES, cmd.entry_num);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(AT_B, probe_dma(&env->probe, page(i)));

	make_stale(_metadata, env);
	reqs[20].newer = 1;
	EXPECT_EQ(-E2BIG, call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd));
	EXPECT_EQ(20, cmd.entry_num);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i < 20 ? AT_B : AT_A,
			  probe_dma(&env->probe, page(i)));
}

TEST_F_TIMEOUT(batch, as_many_as_possible, 240)
{
	struct iommu_hwpt_pasid_table_invalidate *reqs;
	struct env *env = &self->env;
	size_t size = (size_t)MANY * sizeof(*reqs);
	__u32 num = MANY;
	int i;

	reqs = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)reqs);
	for (i = 0; i < MANY; i++) {
		reqs[i] = self->reqs[0];
		reqs[i].addr = page(i + PAGES);
	}
	/* The first and the last matter */
	reqs[0].addr = page(0);
	reqs[MANY - 1].addr = page(1);
	make_stale(_metadata, env);
	EXPECT_EQ(0, hwpt_invalidate(env->vm.iommufd, env->hwpt, reqs, &num));
	EXPECT_EQ(MANY, num);
	EXPECT_EQ(AT_B, probe_dma(&env->probe, page(0)));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, page(1)));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, page(2)));

	num = MANY + 1;
	EXPECT_EQ(-EINVAL, hwpt_invalidate(env->vm.iommufd, env->hwpt, reqs,
					   &num));
	EXPECT_EQ(0, num);
	munmap(reqs, size);
}

TEST_HARNESS_MAIN
