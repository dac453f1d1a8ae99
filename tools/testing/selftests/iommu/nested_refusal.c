// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine whose IOMMU must not nest: it has one stage only, or nothing
 * promises that DMA is coherent whatever attributes a guest chooses. Everything
 * else works there as before. Not for machines that nest: there it fails.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

FIXTURE(refusal)
{
	struct edu edu;
	struct vm vm;
};

FIXTURE_SETUP(refusal)
{
	struct vm *vm = &self->vm;
	int rc;

	vm->iommufd = -1;
	rc = edu_open(&self->edu, 0);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	vm->iommufd = iommufd_open();
	ASSERT_LE(0, vm->iommufd);
	ASSERT_EQ(0, vm_memory(vm));
	ASSERT_EQ(0, ioas_alloc(vm->iommufd, &vm->ioas));
	ASSERT_EQ(0, vm_map(vm));
	ASSERT_EQ(0, vfio_bind(&self->edu.dev, vm->iommufd));
}

FIXTURE_TEARDOWN(refusal)
{
	vfio_close(&self->edu.dev);
	vm_exit(&self->vm);
}

TEST_F(refusal, nesting_parent)
{
	struct vm *vm = &self->vm;
	__u32 id;

	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(vm->iommufd, self->edu.dev.id,
					  vm->ioas,
					  IOMMU_HWPT_ALLOC_NEST_PARENT, &id));
}

/* Not by the back door either */
TEST_F(refusal, table)
{
	static const __u32 configs[] = {
		IOMMU_PASID_TABLE_TRANSLATE,
		IOMMU_PASID_TABLE_BYPASS,
		IOMMU_PASID_TABLE_ABORT,
	};
	struct iommu_hwpt_pasid_table config = {
		.format = S1_FORMAT,
		.base_addr = VM_GPA,
	};
	struct vm *vm = &self->vm;
	__u32 plain, id;
	unsigned int i;

	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, self->edu.dev.id, vm->ioas, 0,
				&plain));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		config.config = configs[i];
		EXPECT_EQ(-EINVAL, hwpt_alloc_table(vm->iommufd,
						    self->edu.dev.id, plain,
						    &config, &id));
		EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc_table(vm->iommufd,
							self->edu.dev.id,
							vm->ioas, &config,
							&id));
	}
}

/* The VMM can see why, and does without */
TEST_F(refusal, the_rest_works)
{
	union {
		struct iommu_hw_info_arm_smmuv3 smmu;
		struct iommu_hw_info_vtd vtd;
	} info = {};
	struct vm *vm = &self->vm;
	__u32 len = sizeof(info), plain;
	struct probe probe;

	EXPECT_EQ(S1_INFO_TYPE,
		  hw_info(vm->iommufd, self->edu.dev.id, &info, &len));
	EXPECT_GE(sizeof(info), len);
	if (S1_INFO_TYPE == IOMMU_HW_INFO_TYPE_ARM_SMMUV3) {
		EXPECT_LT(0, info.smmu.idr[0] & 3);
		TH_LOG("stage 1: %u, stage 2: %u", info.smmu.idr[0] >> 1 & 1,
		       info.smmu.idr[0] & 1);
	} else {
		/* NEST */
		EXPECT_EQ(0, info.vtd.ecap_reg >> 26 & 1);
	}

	ASSERT_EQ(0, vfio_attach(&self->edu.dev, vm->ioas));
	ASSERT_EQ(0, probe_edu(&probe, vm, &self->edu));
	EXPECT_EQ(AT_A, probe_dma(&probe, probe.a));
	EXPECT_EQ(NOWHERE, probe_dma(&probe, VM_GPA + VM_SIZE));
	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, self->edu.dev.id, vm->ioas, 0,
				&plain));
	ASSERT_EQ(0, vfio_attach(&self->edu.dev, plain));
	EXPECT_EQ(AT_B, probe_dma(&probe, probe.b));
}

TEST_HARNESS_MAIN
