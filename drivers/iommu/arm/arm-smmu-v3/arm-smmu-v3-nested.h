/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested translation: stage 1 by a guest's context descriptor table, stage 2 by
 * the host
 */
#ifndef _ARM_SMMU_V3_NESTED_H
#define _ARM_SMMU_V3_NESTED_H

#include <linux/iommu-viommu.h>
#include <linux/refcount.h>

#include "arm-smmu-v3.h"

/**
 * struct arm_smmu_vmid - A VMID below a nesting parent
 * @users: Attachments that use it, and the vIOMMU that owns it, if one does
 * @id: The VMID
 *
 * ASIDs belong to the guest. Tables that were made on one vIOMMU share a space of
 * them, and so the VMID of the vIOMMU. Each other table may use all of them: a
 * VMID of its own keeps a device from hitting the translations of another one's
 * table with the same ASID. It stays with the device when a table replaces
 * another one below the same parent, so that only S1ContextPtr of a live STE
 * changes.
 */
struct arm_smmu_vmid {
	refcount_t users;
	u16 id;
};

/**
 * struct arm_smmu_viommu - A guest's SMMU
 * @core: The part that the core knows
 * @smmu: The physical SMMU
 * @vmid: Tags the translations of all tables made on it
 * @ids: Whose @vmid is
 */
struct arm_smmu_viommu {
	struct iommu_viommu core;
	struct arm_smmu_device *smmu;
	struct arm_smmu_vmid *vmid;
	struct arm_smmu_user_ids *ids;
};

static inline struct arm_smmu_viommu *
to_arm_smmu_viommu(struct iommu_viommu *viommu)
{
	return container_of(viommu, struct arm_smmu_viommu, core);
}

/**
 * struct arm_smmu_nested_master - One device attached to one table
 * @elm: In arm_smmu_domain.nested of the table's parent. Written with nested_sem
 *       held for writing and devices_lock, read with either.
 * @master: Device
 * @table: Table that it uses
 * @vmid: Tags its translations
 * @ats: ATS is on
 */
struct arm_smmu_nested_master {
	struct list_head elm;
	struct arm_smmu_master *master;
	struct iommu_pasid_table *table;
	struct arm_smmu_vmid *vmid;
	bool ats;
};

/**
 * struct arm_smmu_nested_cmd - A command to repeat over a range of addresses
 * @data: The command, without what depends on the device (VMID or StreamID)
 * @stride: Distance of the addresses in bytes
 * @count: Number of commands
 */
struct arm_smmu_nested_cmd {
	u64 data[CMDQ_ENT_DWORDS];
	u64 stride;
	u32 count;
};

/**
 * struct arm_smmu_nested_batch - Commands of one invalidation, of a fixed number
 * @cmds: Those that are not issued yet
 * @smmu: SMMU
 * @max: Number of commands to issue at once
 * @unsynced_cfgi: A CD that a TLB could be refilled through is not invalid yet
 * @unsynced_tlbi: Something that an ATC could be refilled from is not invalid yet
 * @error: Of commands that are issued
 */
struct arm_smmu_nested_batch {
	struct arm_smmu_cmdq_batch cmds;
	struct arm_smmu_device *smmu;
	u32 max;
	bool unsynced_cfgi;
	bool unsynced_tlbi;
	int error;
};

/* What a vSTE says of the walk of its table: struct iommu_pasid_table.attrs */
#define ARM_SMMU_NESTED_WALK_ATTRS                                           \
	(STRTAB_STE_1_S1CIR | STRTAB_STE_1_S1COR | STRTAB_STE_1_S1CSH)

#ifdef CONFIG_ARM_SMMU_V3_IOMMUFD
extern const struct iommu_pasid_table_ops arm_smmu_pasid_table_ops;
#define arm_smmu_pasid_table_ops_ptr (&arm_smmu_pasid_table_ops)

int arm_smmu_nest_parent_check(struct device *dev);
void arm_smmu_nested_leave(struct arm_smmu_master *master,
			   struct arm_smmu_domain *parent, bool ats_enabled);
bool arm_smmu_nested_event(struct arm_smmu_device *smmu, const u64 *evt);
void arm_smmu_nested_iopf_off(struct arm_smmu_master *master);
struct arm_smmu_vmid *arm_smmu_vmid_alloc(struct arm_smmu_device *smmu);
void arm_smmu_vmid_put(struct arm_smmu_device *smmu,
		       struct arm_smmu_vmid *vmid);
void arm_smmu_nested_init_cmd(struct arm_smmu_nested_cmd *cmd, u8 opcode);
bool arm_smmu_nested_make_range(const struct arm_smmu_device *smmu, u64 addr,
				unsigned int size_log2, u64 nr,
				struct arm_smmu_nested_cmd *cmd);
void arm_smmu_nested_batch_init(struct arm_smmu_device *smmu,
				struct arm_smmu_nested_batch *batch);
void arm_smmu_nested_batch_issue(struct arm_smmu_nested_batch *batch,
				 bool sync);
void arm_smmu_nested_batch_add_tlbi(struct arm_smmu_nested_batch *batch,
				    const struct arm_smmu_nested_cmd *cmd,
				    u16 vmid);
void arm_smmu_nested_batch_add_dev(struct arm_smmu_nested_batch *batch,
				   const struct arm_smmu_nested_cmd *cmd,
				   struct arm_smmu_domain *parent,
				   const struct arm_smmu_master *master);
int arm_smmu_nested_batch_sync(struct arm_smmu_nested_batch *batch);
int arm_smmu_nested_cache_invalidate(struct iommu_pasid_table *table,
				     struct iommu_inv_iter *iter, u32 *done);
void arm_smmu_nested_inv_vmid(struct arm_smmu_device *smmu, u16 vmid);
void __arm_smmu_nested_inv_stage2(struct arm_smmu_domain *parent,
				  unsigned long ipa, size_t size);

/* Call after the nesting parent's own invalidation; @size 0 is everything */
static inline void arm_smmu_nested_inv_stage2(struct arm_smmu_domain *parent,
					      unsigned long ipa, size_t size)
{
	if (parent->nest_parent)
		__arm_smmu_nested_inv_stage2(parent, ipa, size);
}

/* Add a command that is complete */
static inline void
arm_smmu_nested_batch_push(struct arm_smmu_nested_batch *batch, u64 word0,
			   u64 word1)
{
	struct arm_smmu_cmdq_batch *cmds = &batch->cmds;
	u64 *cmd;

	/* Fewer than fit: the SMMU wants a CMD_SYNC with each batch */
	if (cmds->num == batch->max)
		arm_smmu_nested_batch_issue(batch,
					    batch->max < CMDQ_BATCH_ENTRIES);
	cmd = &cmds->cmds[cmds->num++ * CMDQ_ENT_DWORDS];
	cmd[0] = word0;
	cmd[1] = word1;
}

/* TLBIs come next: a TLB must not be refilled through what they follow */
static inline void
arm_smmu_nested_batch_begin_tlbi(struct arm_smmu_nested_batch *batch)
{
	if (batch->unsynced_cfgi)
		arm_smmu_nested_batch_issue(batch, true);
}

#if IS_ENABLED(CONFIG_KUNIT)
void arm_smmu_make_nested_ste(struct arm_smmu_ste *target,
			      struct arm_smmu_master *master,
			      const struct iommu_pasid_table *table, u16 vmid,
			      bool ats_enabled);
int arm_smmu_nested_check_inv(const struct arm_smmu_device *smmu,
			      const struct iommu_hwpt_pasid_table_invalidate *req);
void arm_smmu_nested_make_tlbi(const struct arm_smmu_device *smmu,
			       const struct iommu_hwpt_pasid_table_invalidate *req,
			       struct arm_smmu_nested_cmd *cmd);
void arm_smmu_nested_make_cfgi(const struct iommu_hwpt_pasid_table_invalidate *req,
			       struct arm_smmu_nested_cmd *cmd);
void arm_smmu_nested_make_atc(const struct iommu_hwpt_pasid_table_invalidate *req,
			      struct arm_smmu_nested_cmd *cmd);
void arm_smmu_nested_make_s2_ipa(const struct arm_smmu_domain *parent,
				 unsigned long ipa, size_t size,
				 struct arm_smmu_nested_cmd *cmd);
#endif
#else /* CONFIG_ARM_SMMU_V3_IOMMUFD */
#define arm_smmu_pasid_table_ops_ptr NULL

static inline int arm_smmu_nest_parent_check(struct device *dev)
{
	return -EOPNOTSUPP;
}

static inline void arm_smmu_nested_leave(struct arm_smmu_master *master,
					 struct arm_smmu_domain *parent,
					 bool ats_enabled)
{
}

static inline bool arm_smmu_nested_event(struct arm_smmu_device *smmu,
					 const u64 *evt)
{
	return false;
}

static inline void arm_smmu_nested_iopf_off(struct arm_smmu_master *master)
{
}

static inline void arm_smmu_nested_inv_stage2(struct arm_smmu_domain *parent,
					      unsigned long ipa, size_t size)
{
}
#endif /* CONFIG_ARM_SMMU_V3_IOMMUFD */
#endif
