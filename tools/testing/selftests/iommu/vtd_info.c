// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /dev/iommu tells about a VT-d, and that it is true: what the capability
 * registers offer works, what they do not is refused.
 */
#include "vtd_env.h"

#include "../kselftest_harness.h"

FIXTURE(info)
{
	struct vtd v;
};

FIXTURE_SETUP(info)
{
	ASSERT_EQ(0, vtd_init(&self->v, 0, 0));
}

FIXTURE_TEARDOWN(info)
{
	vtd_exit(&self->v);
}

TEST_F(info, layout)
{
	struct iommu_hw_info_vtd *info = &self->v.info;

	/* Others know these numbers too */
	EXPECT_EQ(1, IOMMU_HW_INFO_TYPE_INTEL_VTD);
	EXPECT_EQ(24, sizeof(*info));
	EXPECT_EQ(8, offsetof(struct iommu_hw_info_vtd, cap_reg));
	EXPECT_EQ(16, offsetof(struct iommu_hw_info_vtd, ecap_reg));
	EXPECT_EQ(32, sizeof(struct iommu_hwpt_pasid_table));
	EXPECT_EQ(24, offsetof(struct iommu_hwpt_pasid_table, vtd.rid_pasid));

	EXPECT_EQ(0, info->__reserved);
	/* It nests, so it has all of this */
	EXPECT_TRUE(info->ecap_reg & ECAP_NEST);
	EXPECT_TRUE(info->ecap_reg & ECAP_SMTS);
	EXPECT_TRUE(info->ecap_reg & ECAP_FSTS);
	EXPECT_TRUE(info->ecap_reg & ECAP_SSTS);
	EXPECT_TRUE(info->ecap_reg & ECAP_PASID);
	EXPECT_GE(20, ECAP_PSS(info->ecap_reg));
	EXPECT_LE(self->v.max_pasid_log2, ECAP_PSS(info->ecap_reg));
}

/* As many PASIDs as the IOMMU has; what the device has not is not used */
TEST_F(info, pasid_bits)
{
	struct env *env = &self->v.env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt, bits, width = ECAP_PSS(self->v.info.ecap_reg);

	config.base_addr = vm_alloc(&env->vm, 8 << 14);
	for (bits = 0; bits <= 22; bits++) {
		config.pasid_bits = bits;
		if (bits > width || bits > 20) {
			EXPECT_EQ(bits > 20 ? -EINVAL : -EOPNOTSUPP,
				  vm_table(&env->vm, env->dev, &config, &hwpt));
			continue;
		}
		ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
		EXPECT_EQ(0, vfio_attach(env->dev, hwpt));
		EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, hwpt));
	}
}

/* Ranges are rounded to what the hardware has: any granule from a page on */
TEST_F(info, granules)
{
	struct iommu_hwpt_pasid_table_invalidate req = inv_addr(0, 0, 0, 1);
	struct env *env = &self->v.env;
	__u32 log2;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (log2 = 0; log2 < 70; log2++) {
		req.granule_log2 = log2;
		EXPECT_EQ(log2 < 12 || log2 > 63 ? -EINVAL : 0,
			  env_invalidate(env, req)) {
			TH_LOG("granule_log2 %u", log2);
		}
	}
}

/* A granule covers all of its pages, wherever in it the stale one is */
TEST_F(info, granules_work)
{
	static const __u32 granules[] = { 12, 13, 16, 21, 27, 30, 39 };
	struct env *env = &self->v.env;
	__u64 mask;
	unsigned int i;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (i = 0; i < ARRAY_SIZE(granules); i++) {
		mask = (1ULL << granules[i]) - 1;
		probe_map(&env->probe, &env->table, GIOVA, AT_A);
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		probe_map(&env->probe, &env->table, GIOVA, AT_B);
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, env_invalidate(env,
					    inv_addr(INV_PASID, granules[i],
						     GIOVA & ~mask, 1)));
		EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA)) {
			TH_LOG("granule_log2 %u", granules[i]);
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Dirty pages are those of stage 2: a table has none, its parent may */
TEST_F(info, dirty_tracking)
{
	struct env *env = &self->v.env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
		.dev_id = env->dev->id,
		.pt_id = env->vm.parent,
		.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
		.data_len = sizeof(config),
		.data_uptr = (uintptr_t)&config,
	};
	__u32 parent, table;

	EXPECT_EQ(-EOPNOTSUPP, call(env->vm.iommufd, IOMMU_HWPT_ALLOC, &cmd));
	ASSERT_EQ(0, hwpt_alloc(env->vm.iommufd, env->dev->id, env->vm.ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT |
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &parent));
	ASSERT_EQ(0, hwpt_alloc_table(env->vm.iommufd, env->dev->id, parent,
				      &config, &table));
	ASSERT_EQ(0, vfio_attach(env->dev, table));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_HARNESS_MAIN
