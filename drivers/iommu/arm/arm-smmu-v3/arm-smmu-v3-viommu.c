// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's SMMU: its VMID, and the stream table entries that the guest writes.
 * References are to IHI 0070, the SMMUv3 architecture.
 */
#include <linux/slab.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3-user-ids.h"
#include "arm-smmu-v3-viommu.h"

/* What a guest may say in its STE, 5.2 */
#define ARM_SMMU_VSTE_0                                                      \
	(STRTAB_STE_0_V | STRTAB_STE_0_CFG | STRTAB_STE_0_S1FMT |            \
	 STRTAB_STE_0_S1CTXPTR_MASK | STRTAB_STE_0_S1CDMAX)
#define ARM_SMMU_VSTE_1                                                      \
	(STRTAB_STE_1_S1DSS | ARM_SMMU_NESTED_WALK_ATTRS |                   \
	 STRTAB_STE_1_S1STALLD | STRTAB_STE_1_EATS)

static struct iommu_viommu *arm_smmu_viommu_alloc(struct device *dev,
						  struct iommu_domain *domain)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *parent = to_smmu_domain(domain);
	struct arm_smmu_viommu *viommu;
	int ret;

	if (!parent->nest_parent || parent->smmu != master->smmu)
		return ERR_PTR(-EINVAL);

	viommu = kzalloc(sizeof(*viommu), GFP_KERNEL_ACCOUNT);
	if (!viommu)
		return ERR_PTR(-ENOMEM);
	viommu->ids = arm_smmu_user_ids_get(master, true);
	if (IS_ERR(viommu->ids)) {
		ret = PTR_ERR(viommu->ids);
		goto out_free;
	}
	viommu->vmid = arm_smmu_vmid_alloc(master->smmu);
	if (IS_ERR(viommu->vmid)) {
		ret = PTR_ERR(viommu->vmid);
		goto out_put;
	}
	viommu->smmu = master->smmu;
	return &viommu->core;

out_put:
	arm_smmu_user_ids_put(viommu->ids);
out_free:
	kfree(viommu);
	return ERR_PTR(ret);
}

static void arm_smmu_viommu_free(struct iommu_viommu *core)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core);

	arm_smmu_vmid_put(viommu->smmu, viommu->vmid);
	arm_smmu_user_ids_put(viommu->ids);
	kfree(viommu);
}

/**
 * arm_smmu_viommu_parse_vste() - What a guest's STE means for the host
 * @vste: The first two words of the STE that the guest has written
 * @config: Returns the table's configuration
 * @attrs: Returns the fields of word 1 that @config does not have
 *
 * An STE that is not valid aborts, whatever else it says (5.2).
 *
 * Return: 0, or -EIO for a field or a value that is not the guest's to choose.
 */
VISIBLE_IF_KUNIT
int arm_smmu_viommu_parse_vste(const struct iommu_hwpt_arm_smmuv3 *vste,
			       struct iommu_hwpt_pasid_table *config,
			       u64 *attrs)
{
	u64 ste0 = le64_to_cpu(vste->ste[0]), ste1 = le64_to_cpu(vste->ste[1]);

	config->format = IOMMU_PASID_TABLE_SMMUV3;
	config->config = IOMMU_PASID_TABLE_ABORT;
	if (!(ste0 & STRTAB_STE_0_V))
		return 0;
	if (ste0 & ~ARM_SMMU_VSTE_0 || ste1 & ~ARM_SMMU_VSTE_1)
		return -EIO;

	switch (FIELD_GET(STRTAB_STE_0_CFG, ste0)) {
	case STRTAB_STE_0_CFG_ABORT:
		break;
	case STRTAB_STE_0_CFG_BYPASS:
		config->config = IOMMU_PASID_TABLE_BYPASS;
		break;
	case STRTAB_STE_0_CFG_S1_TRANS:
		config->config = IOMMU_PASID_TABLE_TRANSLATE;
		config->pasid_bits = FIELD_GET(STRTAB_STE_0_S1CDMAX, ste0);
		/* Without substreams nobody looks at these */
		if (config->pasid_bits) {
			config->smmuv3.s1fmt =
				FIELD_GET(STRTAB_STE_0_S1FMT, ste0);
			config->smmuv3.s1dss =
				FIELD_GET(STRTAB_STE_1_S1DSS, ste1);
		}
		config->base_addr = ste0 & STRTAB_STE_0_S1CTXPTR_MASK;
		if (config->smmuv3.s1fmt > STRTAB_STE_0_S1FMT_64K_L2 ||
		    config->smmuv3.s1dss > STRTAB_STE_1_S1DSS_SSID0 ||
		    config->pasid_bits > IOMMU_PASID_TABLE_MAX_BITS)
			return -EIO;
		*attrs = ste1 & (ARM_SMMU_NESTED_WALK_ATTRS |
				 STRTAB_STE_1_S1STALLD);
		break;
	default:
		return -EIO;
	}

	switch (FIELD_GET(STRTAB_STE_1_EATS, ste1)) {
	case STRTAB_STE_1_EATS_ABT:
		return 0;
	case STRTAB_STE_1_EATS_TRANS:
		config->flags = IOMMU_PASID_TABLE_ATS;
		return 0;
	default:
		return -EIO;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_viommu_parse_vste);

static int arm_smmu_viommu_parse_table(struct iommu_viommu *viommu,
				       const void *data,
				       struct iommu_hwpt_pasid_table *config,
				       u64 *attrs)
{
	return arm_smmu_viommu_parse_vste(data, config, attrs);
}

const struct iommu_viommu_ops arm_smmu_viommu_ops = {
	.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
	.table_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
	.table_len = sizeof(struct iommu_hwpt_arm_smmuv3),
	.inv_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	.event_type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
	.event_len = sizeof(struct iommu_vevent_arm_smmuv3),
	.max_virt_id = U32_MAX,
	.alloc = arm_smmu_viommu_alloc,
	.free = arm_smmu_viommu_free,
	.parse_table = arm_smmu_viommu_parse_table,
	.cache_invalidate = arm_smmu_viommu_cache_invalidate,
};
