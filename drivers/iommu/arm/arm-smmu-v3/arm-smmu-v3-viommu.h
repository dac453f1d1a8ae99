/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's SMMU: its STEs, its commands and its events
 */
#ifndef _ARM_SMMU_V3_VIOMMU_H
#define _ARM_SMMU_V3_VIOMMU_H

#include "arm-smmu-v3-nested.h"

#ifdef CONFIG_ARM_SMMU_V3_IOMMUFD
extern const struct iommu_viommu_ops arm_smmu_viommu_ops;
#define arm_smmu_viommu_ops_ptr (&arm_smmu_viommu_ops)

int arm_smmu_viommu_cache_invalidate(struct iommu_viommu *core,
				     struct iommu_cmd_iter *iter, u32 *done);
void arm_smmu_viommu_event(struct arm_smmu_device *smmu, const u64 *evt);

#if IS_ENABLED(CONFIG_KUNIT)
int arm_smmu_viommu_parse_vste(const struct iommu_hwpt_arm_smmuv3 *vste,
			       struct iommu_hwpt_pasid_table *config,
			       u64 *attrs);
int arm_smmu_vcmd_check(const struct arm_smmu_device *smmu, const u64 *cmd);
void arm_smmu_vcmd_make(const struct arm_smmu_device *smmu, const u64 *from,
			u64 granules, struct arm_smmu_nested_cmd *cmd);
bool arm_smmu_vevent_convert(const u64 *evt, u32 vsid, u64 *event);
#endif
#else /* CONFIG_ARM_SMMU_V3_IOMMUFD */
#define arm_smmu_viommu_ops_ptr NULL

static inline void arm_smmu_viommu_event(struct arm_smmu_device *smmu,
					 const u64 *evt)
{
}
#endif /* CONFIG_ARM_SMMU_V3_IOMMUFD */
#endif
