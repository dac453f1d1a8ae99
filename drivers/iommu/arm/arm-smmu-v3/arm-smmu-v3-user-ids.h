/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many ASIDs and VMIDs user space may have
 */
#ifndef _ARM_SMMU_V3_USER_IDS_H
#define _ARM_SMMU_V3_USER_IDS_H

#include "arm-smmu-v3.h"

struct arm_smmu_user_ids;

#ifdef CONFIG_ARM_SMMU_V3_IOMMUFD
struct arm_smmu_user_ids *arm_smmu_user_ids_get(struct arm_smmu_master *master,
						bool stage2);
void arm_smmu_user_ids_put(struct arm_smmu_user_ids *ids);
#else
static inline struct arm_smmu_user_ids *
arm_smmu_user_ids_get(struct arm_smmu_master *master, bool stage2)
{
	return NULL;
}

static inline void arm_smmu_user_ids_put(struct arm_smmu_user_ids *ids)
{
}
#endif
#endif
