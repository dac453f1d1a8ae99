// SPDX-License-Identifier: GPL-2.0-only
/*
 * How /dev/iommu tells about an IOMMU, whichever it is, and what a VMM may ask
 * for without looking. What the information says is for a program of each
 * vendor to check.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

/* More than any IOMMU has to tell */
#define MAX_SIZE	96

FIXTURE(info)
{
	struct env env;
	__u8 info[MAX_SIZE];
	__u32 size;
};

FIXTURE_SETUP(info)
{
	struct env *env = &self->env;
	int rc = env_init(env, true, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->size = sizeof(self->info);
	ASSERT_EQ(S1_INFO_TYPE, hw_info(env->vm.iommufd, env->dev->id,
					self->info, &self->size));
	ASSERT_GT(MAX_SIZE, self->size);
	ASSERT_LT(12, self->size);
}

FIXTURE_TEARDOWN(info)
{
	env_exit(&self->env);
}

/* The kernel says how much it has, and writes as much as fits */
TEST_F(info, lengths)
{
	const __u32 size = self->size;
	const __u32 lengths[] = {
		0, 4, 12, size - 1, size, size + 1, 100, 4096,
	};
	size_t j, written;
	struct env *env = &self->env;
	__u8 buffer[8192];
	unsigned int i;
	__u32 len;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(buffer, 0xa5, sizeof(buffer));
		len = lengths[i];
		EXPECT_EQ(S1_INFO_TYPE,
			  hw_info(env->vm.iommufd, env->dev->id, buffer, &len));
		EXPECT_EQ(size, len);
		written = lengths[i] < size ? lengths[i] : size;
		EXPECT_EQ(0, memcmp(buffer, self->info, written));
		for (j = written; j < sizeof(buffer); j++)
			ASSERT_EQ(j < lengths[i] ? 0 : 0xa5, buffer[j]);
	}
}

/* A caller that knows one type gets that one or nothing */
TEST_F(info, asked_for)
{
	static const struct {
		__u32 type;
		int error;
	} cases[] = {
		{ IOMMU_HW_INFO_TYPE_DEFAULT, 0 },
		{ S1_INFO_TYPE, 0 },
		{ OTHER_INFO_TYPE, EOPNOTSUPP },
		{ IOMMU_HW_INFO_TYPE_ARM_SMMUV3 + 1, EOPNOTSUPP },
		{ ~0U, EOPNOTSUPP },
	};
	struct env *env = &self->env;
	struct iommu_hw_info cmd;
	__u8 info[MAX_SIZE];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(info, 0xa5, sizeof(info));
		cmd = (struct iommu_hw_info){
			.size = sizeof(cmd),
			.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
			.dev_id = env->dev->id,
			.data_len = sizeof(info),
			.data_uptr = (uintptr_t)info,
			.in_data_type = cases[i].type,
		};
		EXPECT_EQ(-cases[i].error,
			  call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd)) {
			TH_LOG("type %u", cases[i].type);
		}
		if (cases[i].error) {
			EXPECT_EQ(0xa5, info[8]);
			continue;
		}
		EXPECT_EQ(S1_INFO_TYPE, cmd.out_data_type);
		EXPECT_EQ(0, memcmp(info, self->info, self->size));
	}

	/* Without the flag the wish is not one */
	cmd.flags = 0;
	cmd.in_data_type = OTHER_INFO_TYPE;
	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(S1_INFO_TYPE, cmd.out_data_type);
}

/* Asked for by the guest, used where it is there: no harm where it is not */
TEST_F(info, ats)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt;

	config.flags = IOMMU_PASID_TABLE_ATS;
	ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, vm_invalidate(&env->vm, hwpt, inv_domain(INV_DEV_TLB)));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_HARNESS_MAIN
