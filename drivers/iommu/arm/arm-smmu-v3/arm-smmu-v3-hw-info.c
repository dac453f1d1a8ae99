// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM has to know of the SMMU before it makes a virtual one
 */
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"

/**
 * arm_smmu_hw_info() - The hw_info op: the ID registers as they are
 * @dev: Device behind the SMMU
 * @length: Returns the size in bytes
 * @type: Returns IOMMU_HW_INFO_TYPE_ARM_SMMUV3
 *
 * Return: struct iommu_hw_info_arm_smmuv3, for the caller to kfree(), or
 * ERR_PTR(-ENOMEM).
 */
void *arm_smmu_hw_info(struct device *dev, u32 *length, u32 *type)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct iommu_hw_info_arm_smmuv3 *info;
	void __iomem *base = master->smmu->base;
	unsigned int i;

	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < ARRAY_SIZE(info->idr); i++)
		info->idr[i] = readl_relaxed(base + ARM_SMMU_IDR0 + 4 * i);
	info->iidr = readl_relaxed(base + ARM_SMMU_IIDR);
	info->aidr = readl_relaxed(base + ARM_SMMU_AIDR);

	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	return info;
}
