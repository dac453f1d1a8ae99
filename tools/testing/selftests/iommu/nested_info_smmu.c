// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /dev/iommu tells about an SMMUv3, and that it is true: what the ID
 * registers offer works, what they do not is refused. Fields are those of
 * IHI 0070, section 6.3. nested_info tests the call itself.
 */
#include <linux/const.h>

#include "nested_env.h"

#include "../kselftest_harness.h"

#define IDR0_S2P	_BITUL(0)
#define IDR0_S1P	_BITUL(1)
#define IDR0_TTF_AA64	(2 << 2)
#define IDR0_ASID16	_BITUL(12)
#define IDR0_CD2L	_BITUL(19)
#define IDR1_SSIDSIZE(r)	((r) >> 6 & 0x1f)
#define IDR5_OAS(r)	((r) & 0x7)
#define IDR5_GRAN4K	_BITUL(4)
#define IDR5_GRAN16K	_BITUL(5)
#define IDR5_GRAN64K	_BITUL(6)

FIXTURE(info)
{
	struct env env;
	struct iommu_hw_info_arm_smmuv3 info;
	__u8 max_pasid_log2;
};

FIXTURE_SETUP(info)
{
	struct env *env = &self->env;
	int rc = env_init(env, true, 12);
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.data_len = sizeof(self->info),
		.data_uptr = (uintptr_t)&self->info,
	};

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	memset(&self->info, 0xff, sizeof(self->info));
	cmd.dev_id = env->dev->id;
	ASSERT_EQ(0, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	ASSERT_EQ(IOMMU_HW_INFO_TYPE_ARM_SMMUV3, cmd.out_data_type);
	ASSERT_EQ(sizeof(self->info), cmd.data_len);
	self->max_pasid_log2 = cmd.out_max_pasid_log2;
}

FIXTURE_TEARDOWN(info)
{
	env_exit(&self->env);
}

TEST_F(info, layout)
{
	struct iommu_hw_info_arm_smmuv3 *info = &self->info;

	/* Others know these numbers too */
	EXPECT_EQ(2, IOMMU_HW_INFO_TYPE_ARM_SMMUV3);
	EXPECT_EQ(40, sizeof(*info));
	EXPECT_EQ(8, offsetof(struct iommu_hw_info_arm_smmuv3, idr));
	EXPECT_EQ(36, offsetof(struct iommu_hw_info_arm_smmuv3, aidr));

	EXPECT_EQ(0, info->flags);
	EXPECT_EQ(0, info->__reserved);
	/* It nests, so it has both stages */
	EXPECT_TRUE(info->idr[0] & IDR0_S1P);
	EXPECT_TRUE(info->idr[0] & IDR0_S2P);
	EXPECT_TRUE(info->idr[0] & IDR0_TTF_AA64);
	EXPECT_LT(0, info->idr[5] & (IDR5_GRAN4K | IDR5_GRAN16K |
				     IDR5_GRAN64K));
	EXPECT_GE(20, IDR1_SSIDSIZE(info->idr[1]));
	EXPECT_LE(self->max_pasid_log2, IDR1_SSIDSIZE(info->idr[1]));
	/* SMMUv3.0 to .4 */
	EXPECT_GE(4, info->aidr);
}

/* One context descriptor is enough for any format of the table */
TEST_F(info, table_formats)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	bool two_levels = self->info.idr[0] & IDR0_CD2L;
	__u32 hwpt;

	for (config.smmuv3.s1fmt = 0; config.smmuv3.s1fmt < 3;
	     config.smmuv3.s1fmt++) {
		if (config.smmuv3.s1fmt && !two_levels) {
			EXPECT_EQ(-EOPNOTSUPP, vm_table(&env->vm, env->dev,
							&config, &hwpt));
			continue;
		}
		ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
		ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Without PASIDs it does not matter what requests without one do */
TEST_F(info, no_pasid)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt;

	for (config.smmuv3.s1dss = 0; config.smmuv3.s1dss < 3;
	     config.smmuv3.s1dss++) {
		ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
		ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_F(info, pasid_bits)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt, bits;

	for (bits = 0; bits <= 20; bits++) {
		config.pasid_bits = bits;
		if (bits > self->max_pasid_log2) {
			EXPECT_EQ(-EOPNOTSUPP, vm_table(&env->vm, env->dev,
							&config, &hwpt));
			continue;
		}
		ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
		EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, hwpt));
	}
}

/* The granules of ranges are the page and block sizes of the hardware */
TEST_F(info, granules)
{
	struct iommu_hwpt_pasid_table_invalidate req = inv_addr(0, 0, 0, 1);
	__u32 idr5 = self->info.idr[5];
	struct env *env = &self->env;
	__u64 sizes = 0;
	__u32 log2;

	if (idr5 & IDR5_GRAN4K)
		sizes |= 1ULL << 12 | 1ULL << 21 | 1ULL << 30;
	if (idr5 & IDR5_GRAN16K)
		sizes |= 1ULL << 14 | 1ULL << 25;
	if (idr5 & IDR5_GRAN64K)
		sizes |= 1ULL << 16 | 1ULL << 29;
	for (log2 = 0; log2 < 70; log2++) {
		/* 64K granules have another block where addresses are long */
		if (log2 == 42 && IDR5_OAS(idr5) > 5)
			continue;
		req.granule_log2 = log2;
		EXPECT_EQ(log2 < 64 && sizes >> log2 & 1 ? 0 : -EINVAL,
			  env_invalidate(env, req)) {
			TH_LOG("granule_log2 %u", log2);
		}
	}
}

TEST_F(info, tags)
{
	struct iommu_hwpt_pasid_table_invalidate req =
		inv_one(INV_TAG, INV_IOTLB);
	bool wide = self->info.idr[0] & IDR0_ASID16;
	struct env *env = &self->env;

	req.archid = 0xff;
	EXPECT_EQ(0, env_invalidate(env, req));
	req.archid = 0x100;
	EXPECT_EQ(wide ? 0 : -EINVAL, env_invalidate(env, req));
	req.archid = 0xffff;
	EXPECT_EQ(wide ? 0 : -EINVAL, env_invalidate(env, req));
	req.archid = 0x10000;
	EXPECT_EQ(-EINVAL, env_invalidate(env, req));
}

TEST_HARNESS_MAIN
