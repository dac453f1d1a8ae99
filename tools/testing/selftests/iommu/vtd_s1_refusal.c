// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_HWPT_DATA_VTD_S1: what it must refuse is refused by the call that brings
 * it, before the device is touched, and what it accepts it carries out in full.
 */
#include "nested_vtd_s1.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

FIXTURE(s1)
{
	struct env env;
	struct iommu_hw_info_vtd info;
	__u32 hwpt;
};

FIXTURE_SETUP(s1)
{
	struct env *env = &self->env;
	struct iommu_hwpt_vtd_s1 config;
	__u8 max_pasid_log2;

	ASSERT_EQ(0, env_init(env, true, 12));
	ASSERT_EQ(0, vtd_info(env, &self->info, &max_pasid_log2));
	config = vtd_s1_config(&env->table);
	ASSERT_EQ(0, hwpt_alloc_s1(env->vm.iommufd, env->dev->id,
				   env->vm.parent, &config, &self->hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, self->hwpt));
	ASSERT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

FIXTURE_TEARDOWN(s1)
{
	env_exit(&self->env);
}

TEST_F(s1, alloc)
{
	struct env *env = &self->env;
	bool five = self->info.cap_reg & CAP_5_LEVEL;
	bool srs = self->info.ecap_reg & ECAP_SRS;
	bool eafs = self->info.ecap_reg & ECAP_EAFS;
	const struct {
		const char *what;
		__u64 flags, pgtbl_addr;
		__u32 addr_width, reserved;
		int error;
	} cases[] = {
		{ "good", 0, env->table.root, 48, 0, 0 },
		{ "write protection", IOMMU_VTD_S1_WPE, env->table.root, 48, 0,
		  0 },
		{ "supervisor", IOMMU_VTD_S1_SRE, env->table.root, 48, 0,
		  srs ? 0 : -EOPNOTSUPP },
		{ "extended accessed", IOMMU_VTD_S1_EAFE, env->table.root, 48,
		  0, eafs ? 0 : -EOPNOTSUPP },
		{ "unknown flag", 8, env->table.root, 48, 0, -EOPNOTSUPP },
		{ "flag beyond 32 bits", 1ULL << 32, env->table.root, 48, 0,
		  -EOPNOTSUPP },
		{ "last flag", 1ULL << 63, env->table.root, 48, 0,
		  -EOPNOTSUPP },
		{ "all flags", ~0ULL, env->table.root, 48, 0, -EOPNOTSUPP },
		{ "odd address", 0, env->table.root + 1, 48, 0, -EINVAL },
		{ "misaligned address", 0, env->table.root + 2048, 48, 0,
		  -EINVAL },
		{ "no width", 0, env->table.root, 0, 0, -EINVAL },
		{ "width of 3 levels", 0, env->table.root, 39, 0, -EINVAL },
		{ "width of 47 bits", 0, env->table.root, 47, 0, -EINVAL },
		{ "width of 49 bits", 0, env->table.root, 49, 0, -EINVAL },
		{ "5 levels", 0, env->table.root, 57, 0, five ? 0 : -EINVAL },
		{ "width of 58 bits", 0, env->table.root, 58, 0, -EINVAL },
		{ "width of 64 bits", 0, env->table.root, 64, 0, -EINVAL },
		{ "last width", 0, env->table.root, ~0U, 0, -EINVAL },
		{ "reserved", 0, env->table.root, 48, 1, -EOPNOTSUPP },
		{ "last reserved", 0, env->table.root, 48, 1U << 31,
		  -EOPNOTSUPP },
	};
	struct iommu_hwpt_vtd_s1 config;
	unsigned int i;
	__u32 id;
	int rc;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		config = (struct iommu_hwpt_vtd_s1){
			.flags = cases[i].flags,
			.pgtbl_addr = cases[i].pgtbl_addr,
			.addr_width = cases[i].addr_width,
			.__reserved = cases[i].reserved,
		};
		rc = hwpt_alloc_s1(env->vm.iommufd, env->dev->id,
				   env->vm.parent, &config, &id);
		EXPECT_EQ(cases[i].error, rc) {
			TH_LOG("%s", cases[i].what);
		}
		if (rc)
			continue;
		/* What can be allocated can be attached */
		EXPECT_EQ(0, vfio_attach(env->dev, id)) {
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(0, vfio_attach(env->dev, self->hwpt));
		EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, id));
		if (!__test_passed(_metadata))
			break;
	}
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* A refused attach would have blocked the device */
TEST_F(s1, device_goes_on)
{
	struct env *env = &self->env;
	struct iommu_hwpt_vtd_s1 config = vtd_s1_config(&env->table);
	__u32 id;

	config.pgtbl_addr |= 8;
	EXPECT_EQ(-EINVAL, hwpt_alloc_s1(env->vm.iommufd, env->dev->id,
					 env->vm.parent, &config, &id));
	config = vtd_s1_config(&env->table);
	config.flags = ~0ULL;
	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc_s1(env->vm.iommufd, env->dev->id,
					     env->vm.parent, &config, &id));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

TEST_F(s1, bad_invalidations)
{
	static const struct {
		const char *what;
		struct iommu_hwpt_vtd_s1_invalidate req;
		int error;
	} cases[] = {
		{ "unknown flag", { GIOVA, 1, 2 }, -EOPNOTSUPP },
		{ "last flag", { GIOVA, 1, 1U << 31 }, -EOPNOTSUPP },
		{ "reserved", { GIOVA, 1, 0, 1 }, -EOPNOTSUPP },
		{ "misaligned", { GIOVA + 8, 1 }, -EINVAL },
		{ "no pages", { GIOVA, 0 }, -EINVAL },
		{ "no pages at 0", { 0, 0 }, -EINVAL },
		{ "beyond 64 bits", { GIOVA, 1ULL << 52 }, -EINVAL },
		{ "far beyond 64 bits", { GIOVA, UINT64_MAX }, -EINVAL },
		{ "last page and one more", { ~0xfffULL, 2 }, -EINVAL },
		{ "one byte more than all", { 0, (1ULL << 52) + 1 }, -EINVAL },
		{ "all but one", { 0, UINT64_MAX - 1 }, -EINVAL },
	};
	struct env *env = &self->env;
	struct iommu_hwpt_vtd_s1_invalidate reqs[3] = {
		{ GIOVA, 1 },
		{ },
		{ GIOVA + PLACE_SIZE, 1 },
	};
	unsigned int i;
	__u32 num;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* The one before is done, the one after is not */
		probe_map(&env->probe, &env->table, GIOVA, AT_A);
		probe_map(&env->probe, &env->table, GIOVA + PLACE_SIZE, AT_A);
		ASSERT_EQ(0, hwpt_invalidate_s1_one(env->vm.iommufd,
						    self->hwpt, 0, UINT64_MAX, 0));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA + PLACE_SIZE));
		probe_map(&env->probe, &env->table, GIOVA, AT_B);
		probe_map(&env->probe, &env->table, GIOVA + PLACE_SIZE, AT_B);
		reqs[1] = cases[i].req;
		num = 3;
		EXPECT_EQ(cases[i].error,
			  hwpt_invalidate_s1(env->vm.iommufd, self->hwpt, reqs,
					     &num)) {
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(1, num);
		EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA + PLACE_SIZE));
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* However many pages it names, what was stale is fresh after it */
TEST_F(s1, ranges)
{
	static const struct {
		__u64 addr, npages;
	} ranges[] = {
		{ GIOVA, 1 },
		{ GIOVA - 7 * 4096ULL, 8 },
		{ GIOVA, 511 },
		{ GIOVA - 100000 * 4096ULL, 100001 },
		{ GIOVA, 1ULL << 30 },
		{ 0, 1ULL << 51 },
		{ 0, (1ULL << 51) + 1 },
		{ 0, 1ULL << 52 },
		{ 4096, (1ULL << 52) - 1 },
		{ 0, UINT64_MAX },
	};
	struct env *env = &self->env;
	unsigned int i, flags;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (flags = 0; flags < 2; flags++) {
			probe_map(&env->probe, &env->table, GIOVA, AT_A);
			ASSERT_EQ(0, hwpt_invalidate_s1_one(env->vm.iommufd,
							    self->hwpt, 0,
							    UINT64_MAX, 0));
			EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
			probe_map(&env->probe, &env->table, GIOVA, AT_B);
			EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
			EXPECT_EQ(0, hwpt_invalidate_s1_one(env->vm.iommufd,
							    self->hwpt,
							    ranges[i].addr,
							    ranges[i].npages,
							    flags));
			EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA)) {
				TH_LOG("range %u, flags %u", i, flags);
			}
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Beside the table of all PASIDs, on the same parent: from one to the other */
TEST_F(s1, and_pasid_table)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	const __u32 tour[] = {
		env->hwpt, self->hwpt, env->vm.parent, self->hwpt, env->hwpt,
		env->vm.parent, env->hwpt, self->hwpt,
	};
	unsigned int i;
	__u64 iova;

	for (i = 0; i < ARRAY_SIZE(tour); i++) {
		ASSERT_EQ(0, vfio_attach(env->dev, tour[i]));
		iova = tour[i] == env->vm.parent ? probe->a : GIOVA;
		EXPECT_EQ(AT_A, probe_dma(probe, iova)) {
			TH_LOG("place %u of the tour", i);
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_HARNESS_MAIN
