// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested translation: who may nest, the stream table entries, and the devices
 * below a nesting parent. References are to IHI 0070, the SMMUv3 architecture.
 */
#include <linux/slab.h>
#include <kunit/visibility.h>
#include <trace/events/iommu.h>

#include "arm-smmu-v3-nested.h"

/*
 * Non-coherent DMA shows what memory held before the CPU's caches were written
 * back: data of whoever owned the page before. A guest that owns stage 1 chooses
 * the attributes, so either stage 2 overrides them or the firmware promises that
 * they make no difference.
 */
static bool arm_smmu_master_coherent(struct arm_smmu_master *master)
{
	return master->smmu->features & ARM_SMMU_FEAT_S2FWB ||
	       dev_iommu_fwspec_get(master->dev)->flags & IOMMU_FWSPEC_CANWBS;
}

/* MSIs that bypass stage 2 would bypass the guest's memory, too */
static bool arm_smmu_master_hw_msi(struct arm_smmu_master *master)
{
	struct device *dev = master->dev;
	struct iommu_resv_region *region;
	bool found = false;
	LIST_HEAD(regions);

	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list)
		found |= region->type == IOMMU_RESV_MSI;
	iommu_put_resv_regions(dev, &regions);
	return found;
}

static bool arm_smmu_master_can_nest(struct arm_smmu_master *master)
{
	/* The answer never changes; do not go through the firmware's tables twice */
	if (!READ_ONCE(master->can_nest))
		WRITE_ONCE(master->can_nest,
			   arm_smmu_master_coherent(master) &&
				   !arm_smmu_master_hw_msi(master));
	return READ_ONCE(master->can_nest);
}

/**
 * arm_smmu_nest_parent_check() - Whether a nesting parent may be made for a
 *                                device
 * @dev: Device behind the SMMU
 *
 * Return: 0, or -EOPNOTSUPP where the SMMU lacks a stage or stalls every fault,
 * where DMA of the device may be non-coherent, or where its MSIs bypass stage 2.
 */
int arm_smmu_nest_parent_check(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	if (!(master->smmu->features & ARM_SMMU_FEAT_NESTING))
		return -EOPNOTSUPP;
	if (master->smmu->features & ARM_SMMU_FEAT_STALL_FORCE)
		return -EOPNOTSUPP;
	if (!arm_smmu_master_can_nest(master))
		return -EOPNOTSUPP;
	return 0;
}

static int
arm_smmu_pasid_table_check(struct iommu_domain *domain, struct device *dev,
			   const struct iommu_hwpt_pasid_table *config)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *parent = to_smmu_domain(domain);
	struct arm_smmu_device *smmu = master->smmu;

	if (!parent->nest_parent || parent->smmu != smmu)
		return -EINVAL;
	if (!arm_smmu_master_can_nest(master))
		return -EOPNOTSUPP;

	if (memchr_inv(config->smmuv3.__reserved, 0,
		       sizeof(config->smmuv3.__reserved)))
		return -EOPNOTSUPP;
	if (config->smmuv3.s1fmt > STRTAB_STE_0_S1FMT_64K_L2 ||
	    config->smmuv3.s1dss > STRTAB_STE_1_S1DSS_SSID0 ||
	    config->base_addr & ~STRTAB_STE_0_S1CTXPTR_MASK)
		return -EINVAL;
	if (config->smmuv3.s1fmt != STRTAB_STE_0_S1FMT_LINEAR &&
	    !(smmu->features & ARM_SMMU_FEAT_2_LVL_CDTAB))
		return -EOPNOTSUPP;
	if (config->pasid_bits > master->ssid_bits)
		return -EOPNOTSUPP;
	return 0;
}

/* Stage 2 of @parent, with the device's own VMID: the guest skips stage 1 */
static void arm_smmu_make_nested_s2_ste(struct arm_smmu_ste *target,
					struct arm_smmu_master *master,
					struct arm_smmu_domain *parent,
					u16 vmid, bool ats_enabled)
{
	arm_smmu_make_s2_domain_ste(target, master, parent, ats_enabled);
	target->data[2] &= ~cpu_to_le64(STRTAB_STE_2_S2VMID);
	target->data[2] |= cpu_to_le64(FIELD_PREP(STRTAB_STE_2_S2VMID, vmid));
}

/*
 * Stalled faults wait for an answer, so they need a fault queue that somebody
 * answers, and a guest that has not turned them off.
 */
static bool arm_smmu_nested_stalls(struct arm_smmu_master *master,
				   const struct iommu_pasid_table *table)
{
	return table->config.config == IOMMU_PASID_TABLE_TRANSLATE &&
	       table->domain.iopf_handler && master->iopf_enabled &&
	       !(table->attrs & STRTAB_STE_1_S1STALLD);
}

/**
 * arm_smmu_make_nested_ste() - The STE of a device that uses a guest's table
 * @target: Returns the STE
 * @master: Device
 * @table: Table, checked
 * @vmid: The device's VMID below the table's parent
 * @ats_enabled: ATS is on
 *
 * Starts from the host's stage 2 and adds the stage-1 fields that the guest may
 * choose, nothing else (5.2). A fault that stalls would stop the device until
 * somebody answers; where nobody does, S1STALLD makes a CD with CD.S a bad one.
 */
VISIBLE_IF_KUNIT
void arm_smmu_make_nested_ste(struct arm_smmu_ste *target,
			      struct arm_smmu_master *master,
			      const struct iommu_pasid_table *table, u16 vmid,
			      bool ats_enabled)
{
	const struct iommu_hwpt_pasid_table *config = &table->config;
	u64 val;

	if (config->config == IOMMU_PASID_TABLE_ABORT) {
		arm_smmu_make_abort_ste(target);
		return;
	}

	arm_smmu_make_nested_s2_ste(target, master,
				    to_smmu_domain(table->parent), vmid,
				    ats_enabled);
	if (config->config == IOMMU_PASID_TABLE_BYPASS)
		return;

	val = STRTAB_STE_0_V |
	      FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_NESTED) |
	      FIELD_PREP(STRTAB_STE_0_S1FMT, config->smmuv3.s1fmt) |
	      (config->base_addr & STRTAB_STE_0_S1CTXPTR_MASK) |
	      FIELD_PREP(STRTAB_STE_0_S1CDMAX, config->pasid_bits);
	target->data[0] = cpu_to_le64(val);

	val = FIELD_PREP(STRTAB_STE_1_S1DSS, config->smmuv3.s1dss);
	if (table->viommu)
		val |= table->attrs & ARM_SMMU_NESTED_WALK_ATTRS;
	else
		val |= FIELD_PREP(STRTAB_STE_1_S1CIR,
				  STRTAB_STE_1_S1C_CACHE_WBRA) |
		       FIELD_PREP(STRTAB_STE_1_S1COR,
				  STRTAB_STE_1_S1C_CACHE_WBRA) |
		       FIELD_PREP(STRTAB_STE_1_S1CSH, ARM_SMMU_SH_ISH);
	if ((master->smmu->features & ARM_SMMU_FEAT_STALLS) &&
	    !arm_smmu_nested_stalls(master, table))
		val |= STRTAB_STE_1_S1STALLD;
	target->data[1] |= cpu_to_le64(val);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_make_nested_ste);

/**
 * arm_smmu_vmid_alloc() - Get a VMID to use below a nesting parent
 * @smmu: SMMU
 *
 * Return: the VMID with one user, ERR_PTR(-ENOMEM), or ERR_PTR(-ENOSPC) if all
 * are in use.
 */
struct arm_smmu_vmid *arm_smmu_vmid_alloc(struct arm_smmu_device *smmu)
{
	struct arm_smmu_vmid *vmid;
	int id;

	vmid = kzalloc(sizeof(*vmid), GFP_KERNEL_ACCOUNT);
	if (!vmid)
		return ERR_PTR(-ENOMEM);
	/* VMID 0 is that of STEs without stage 2 */
	id = ida_alloc_range(&smmu->vmid_map, 1, (1 << smmu->vmid_bits) - 1,
			     GFP_KERNEL);
	if (id < 0) {
		kfree(vmid);
		return ERR_PTR(id);
	}
	refcount_set(&vmid->users, 1);
	vmid->id = id;
	return vmid;
}

/**
 * arm_smmu_vmid_put() - Drop one user of a VMID
 * @smmu: SMMU
 * @vmid: Of arm_smmu_vmid_alloc()
 */
void arm_smmu_vmid_put(struct arm_smmu_device *smmu,
		       struct arm_smmu_vmid *vmid)
{
	if (!refcount_dec_and_test(&vmid->users))
		return;
	ida_free(&smmu->vmid_map, vmid->id);
	kfree(vmid);
}

/* The oldest attachment of @master below @parent, to @table or to any */
static struct arm_smmu_nested_master *
arm_smmu_nested_find(struct arm_smmu_domain *parent,
		     struct arm_smmu_master *master,
		     const struct iommu_pasid_table *table)
{
	struct arm_smmu_nested_master *nested;

	lockdep_assert_held(&parent->nested_sem);
	list_for_each_entry_reverse(nested, &parent->nested, elm)
		if (nested->master == master &&
		    (!table || nested->table == table))
			return nested;
	return NULL;
}

/* The VMID that @nested is to use, with one user more */
static struct arm_smmu_vmid *
arm_smmu_nested_get_vmid(struct arm_smmu_domain *parent,
			 const struct arm_smmu_nested_master *nested)
{
	struct arm_smmu_nested_master *old;
	struct arm_smmu_vmid *vmid;

	if (nested->table->viommu) {
		vmid = to_arm_smmu_viommu(nested->table->viommu)->vmid;
	} else {
		old = arm_smmu_nested_find(parent, nested->master, NULL);
		if (!old || old->table->viommu)
			return arm_smmu_vmid_alloc(parent->smmu);
		vmid = old->vmid;
	}
	refcount_inc(&vmid->users);
	return vmid;
}

/*
 * Publish that @master is about to use @table: from here on changes of stage 2
 * reach its VMID.
 */
static int arm_smmu_nested_add(struct arm_smmu_nested_master *nested)
{
	struct arm_smmu_domain *parent = to_smmu_domain(nested->table->parent);
	unsigned long flags;
	int ret = 0;

	down_write(&parent->nested_sem);
	nested->vmid = arm_smmu_nested_get_vmid(parent, nested);
	if (IS_ERR(nested->vmid)) {
		ret = PTR_ERR(nested->vmid);
		goto out_unlock;
	}
	spin_lock_irqsave(&parent->devices_lock, flags);
	list_add(&nested->elm, &parent->nested);
	spin_unlock_irqrestore(&parent->devices_lock, flags);
out_unlock:
	up_write(&parent->nested_sem);
	return ret;
}

/*
 * From the parent alone to nested, EATS and the VMID change too. Change them
 * first: an STE with a difference in one of its 64-bit words is never invalid on
 * its way.
 */
static void arm_smmu_nested_enter(struct arm_smmu_master *master,
				  struct arm_smmu_domain *parent, u16 vmid,
				  bool ats_enabled)
{
	struct arm_smmu_ste ste;

	arm_smmu_make_s2_domain_ste(&ste, master, parent, ats_enabled);
	arm_smmu_install_ste_for_dev(master, &ste);
	arm_smmu_make_nested_s2_ste(&ste, master, parent, vmid, ats_enabled);
	arm_smmu_install_ste_for_dev(master, &ste);
}

/**
 * arm_smmu_nested_leave() - The way back of arm_smmu_nested_enter()
 * @master: Device, about to be attached to @parent
 * @parent: Domain with a stage 2
 * @ats_enabled: ATS will be on
 *
 * Does nothing unless the device uses a table below @parent. The caller holds
 * the group mutex.
 */
void arm_smmu_nested_leave(struct arm_smmu_master *master,
			   struct arm_smmu_domain *parent, bool ats_enabled)
{
	struct iommu_pasid_table *table = master->dev->iommu->pasid_table;
	struct arm_smmu_nested_master *nested;
	struct arm_smmu_ste ste;
	bool old_ats;
	u16 vmid;

	iommu_group_mutex_assert(master->dev);

	if (!table || table->parent != &parent->domain ||
	    table->config.config == IOMMU_PASID_TABLE_ABORT)
		return;

	down_read(&parent->nested_sem);
	nested = arm_smmu_nested_find(parent, master, table);
	vmid = nested->vmid->id;
	old_ats = nested->ats;
	up_read(&parent->nested_sem);

	arm_smmu_make_nested_s2_ste(&ste, master, parent, vmid, old_ats);
	arm_smmu_install_ste_for_dev(master, &ste);
	arm_smmu_make_nested_s2_ste(&ste, master, parent, vmid, ats_enabled);
	arm_smmu_install_ste_for_dev(master, &ste);
}

static bool arm_smmu_nested_uses_vmid(struct arm_smmu_domain *parent,
				      const struct arm_smmu_vmid *vmid)
{
	struct arm_smmu_nested_master *nested;

	list_for_each_entry(nested, &parent->nested, elm)
		if (nested->vmid == vmid)
			return true;
	return false;
}

static void arm_smmu_nested_remove(struct arm_smmu_nested_master *nested)
{
	struct arm_smmu_domain *parent = to_smmu_domain(nested->table->parent);
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_TLBI_S12_VMALL,
		.tlbi.vmid = nested->vmid->id,
	};
	unsigned long flags;

	lockdep_assert_held_write(&parent->nested_sem);

	spin_lock_irqsave(&parent->devices_lock, flags);
	list_del(&nested->elm);
	spin_unlock_irqrestore(&parent->devices_lock, flags);
	/*
	 * Changes of stage 2 do not reach it any more, and the next owner must
	 * not find translations of this one.
	 */
	if (!arm_smmu_nested_uses_vmid(parent, nested->vmid))
		arm_smmu_cmdq_issue_cmd_with_sync(parent->smmu, &cmd);
	arm_smmu_vmid_put(parent->smmu, nested->vmid);
	kfree(nested);
}

/* Let the device's faults wait for an answer */
static int arm_smmu_nested_iopf_on(struct arm_smmu_master *master)
{
	int ret;

	iommu_group_mutex_assert(master->dev);

	if (master->nested_iopf)
		return 0;
	if (!master->smmu->evtq.iopf)
		return -EOPNOTSUPP;
	ret = iopf_queue_add_device(master->smmu->evtq.iopf, master->dev);
	if (!ret)
		master->nested_iopf = true;
	return ret;
}

/**
 * arm_smmu_nested_iopf_off() - Nobody answers the device's faults any more
 * @master: Device, with nothing attached that has a fault queue
 *
 * Faults that are on their way until now still find their queue.
 */
void arm_smmu_nested_iopf_off(struct arm_smmu_master *master)
{
	if (!master->nested_iopf)
		return;
	iopf_queue_remove_device(master->smmu->evtq.iopf, master->dev);
	master->nested_iopf = false;
}

static int arm_smmu_attach_pasid_table(struct iommu_pasid_table *table,
				       struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *parent = to_smmu_domain(table->parent);
	bool stage2 = table->config.config != IOMMU_PASID_TABLE_ABORT;
	struct arm_smmu_attach_state state = {
		.old_domain = iommu_get_attached_domain(dev),
		.master = master,
		.cd_needs_ats = stage2 &&
				(table->config.flags & IOMMU_PASID_TABLE_ATS),
		.ssid = IOMMU_NO_PASID,
	};
	struct arm_smmu_nested_master *nested;
	struct arm_smmu_ste ste;
	int ret;

	/* PASIDs of the host and of the guest cannot share a table */
	if (arm_smmu_ssids_in_use(&master->cd_table))
		return -EBUSY;
	if (arm_smmu_nested_stalls(master, table)) {
		ret = arm_smmu_nested_iopf_on(master);
		if (ret)
			return ret;
	}

	nested = kzalloc(sizeof(*nested), GFP_KERNEL_ACCOUNT);
	if (!nested)
		return -ENOMEM;
	nested->master = master;
	nested->table = table;
	ret = arm_smmu_nested_add(nested);
	if (ret)
		goto err_free;

	mutex_lock(&arm_smmu_asid_lock);
	ret = arm_smmu_attach_prepare(&state, &table->domain);
	if (ret)
		goto err_unlock;
	WRITE_ONCE(nested->ats, state.ats_enabled);

	if (stage2 && state.old_domain == table->parent)
		arm_smmu_nested_enter(master, parent, nested->vmid->id,
				      state.ats_enabled);
	arm_smmu_make_nested_ste(&ste, master, table, nested->vmid->id,
				 state.ats_enabled);
	arm_smmu_install_ste_for_dev(master, &ste);
	/*
	 * Translations of the table that this one replaces have the same VMID.
	 * Behind a vIOMMU the guest knows, as it would on an SMMU of its own.
	 */
	if (!table->viommu)
		arm_smmu_nested_inv_vmid(parent->smmu, nested->vmid->id);
	arm_smmu_attach_commit(&state);
	arm_smmu_clear_cd(master, IOMMU_NO_PASID);
	mutex_unlock(&arm_smmu_asid_lock);
	return 0;

err_unlock:
	mutex_unlock(&arm_smmu_asid_lock);
	down_write(&parent->nested_sem);
	arm_smmu_nested_remove(nested);
	up_write(&parent->nested_sem);
	return ret;
err_free:
	kfree(nested);
	return ret;
}

static void arm_smmu_detach_pasid_table(struct iommu_pasid_table *table,
					struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *parent = to_smmu_domain(table->parent);
	struct arm_smmu_nested_master *nested;

	down_write(&parent->nested_sem);
	nested = arm_smmu_nested_find(parent, master, table);
	arm_smmu_nested_remove(nested);
	up_write(&parent->nested_sem);
}

/**
 * arm_smmu_nested_event() - Take an event that a guest can cause at will
 * @smmu: SMMU
 * @evt: The event record that nobody else handled, section 7.3
 *
 * Faults of a device below a guest's table are the guest's doing: they are
 * traced and kept out of the log.
 *
 * Return: true if the event is such a one.
 */
bool arm_smmu_nested_event(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct arm_smmu_master *master;
	bool taken = false;

	mutex_lock(&smmu->streams_mutex);
	master = arm_smmu_find_master(smmu, FIELD_GET(EVTQ_0_SID, evt[0]));
	if (master && READ_ONCE(master->dev->iommu->pasid_table)) {
		trace_io_page_fault(master->dev, evt[2],
				    evt[1] & EVTQ_1_RnW ? IOMMU_FAULT_READ :
							  IOMMU_FAULT_WRITE);
		taken = true;
	}
	mutex_unlock(&smmu->streams_mutex);
	/* The thread goes on for as long as the guest has events for it */
	cond_resched();
	return taken;
}

const struct iommu_pasid_table_ops arm_smmu_pasid_table_ops = {
	.format = IOMMU_PASID_TABLE_SMMUV3,
	.check = arm_smmu_pasid_table_check,
	.attach = arm_smmu_attach_pasid_table,
	.detach = arm_smmu_detach_pasid_table,
	.cache_invalidate = arm_smmu_nested_cache_invalidate,
};
