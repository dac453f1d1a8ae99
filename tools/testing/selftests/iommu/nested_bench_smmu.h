/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SMMUv3's other way into the kernel, which is mainline's: a vIOMMU, with STEs
 * and commands in the format of the hardware
 */
#ifndef __NESTED_BENCH_SMMU_H
#define __NESTED_BENCH_SMMU_H

#include "nested_cmd.h"

/* A doorbell of a guest: gIOVA, GPA, length */
#define BENCH_BELL	{ 0x7000000000ULL, 0x0a000000ULL, 0x10000 }

static inline int viommu_make(const struct door *door, struct env *env,
			      const struct pasid_table *pasids, __u32 *hwpt)
{
	struct iommu_hwpt_pasid_table config = pasid_table_config(pasids);
	struct iommu_hwpt_arm_smmuv3 vste = vste_make(&config);

	return hwpt_alloc_vste(env->vm.iommufd, env->dev->id, door->id, &vste,
			       hwpt);
}

static inline int viommu_open(struct door *door, struct env *env)
{
	int fd = env->vm.iommufd;
	__u32 vdevice;
	int rc;

	rc = viommu_alloc(fd, env->dev->id, env->vm.parent, &door->id);
	rc = rc ?: vdevice_alloc(fd, door->id, env->dev->id, 1, &vdevice);
	return rc ?: viommu_make(door, env, &env->pasids, &door->table);
}

static inline void viommu_page(void *entry, __u64 giova)
{
	*(struct smmu_cmd *)entry = cmd_make(CMD_TLBI_NH_VA |
				      (__u64)TAG << CMD0_ASID_SHIFT,
				      giova | CMD1_LEAF);
}

#define VENDOR_DOOR { \
	.name = "viommu", \
	.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3, \
	.entry_len = sizeof(struct smmu_cmd), \
	.open = viommu_open, \
	.config = viommu_make, \
	.page = viommu_page, \
}

#endif
