/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of vIOMMUs, for SMMUv3. Every call returns 0 or a negative errno.
 */
#ifndef __NESTED_VIOMMU_H
#define __NESTED_VIOMMU_H

#include "nested_vfio.h"

static inline int viommu_alloc(int fd, __u32 dev, __u32 parent, __u32 *id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = dev,
		.hwpt_id = parent,
	};
	int rc = call(fd, IOMMU_VIOMMU_ALLOC, &cmd);

	*id = cmd.out_viommu_id;
	return rc;
}

static inline int vdevice_alloc(int fd, __u32 viommu, __u32 dev, __u64 virt_id,
				__u32 *id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.dev_id = dev,
		.virt_id = virt_id,
	};
	int rc = call(fd, IOMMU_VDEVICE_ALLOC, &cmd);

	*id = cmd.out_vdevice_id;
	return rc;
}

static inline int veventq_alloc(int fd, __u32 viommu, __u32 depth, __u32 *id,
				int *file)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int rc = call(fd, IOMMU_VEVENTQ_ALLOC, &cmd);

	*id = cmd.out_veventq_id;
	*file = rc ? -1 : (int)cmd.out_veventq_fd;
	return rc;
}

static inline int hwpt_alloc_vste(int fd, __u32 dev, __u32 viommu,
				  const struct iommu_hwpt_arm_smmuv3 *vste,
				  __u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.pt_id = viommu,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(*vste),
		.data_uptr = (uintptr_t)vste,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

/* @num is the number of commands, and then of those that are complete */
static inline int viommu_commands(int fd, __u32 viommu, const void *cmds,
				  __u32 *num)
{
	return invalidate_entries(fd, viommu,
				  IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3, cmds,
				  sizeof(struct iommu_viommu_arm_smmuv3_invalidate),
				  num);
}

#endif
