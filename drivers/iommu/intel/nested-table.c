// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices below a guest's PASID table: who fits, and the way of a device to the
 * directory of the table and back. References are to the VT-d specification.
 */
#include <linux/hashtable.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <trace/events/iommu.h>

#include "nested-table.h"

/* Devices whose faults are their guests' business, by source-id */
static DEFINE_HASHTABLE(nested_devs, 6);
static DEFINE_RAW_SPINLOCK(nested_devs_lock);

static u32 source_id(const struct intel_iommu *iommu, u16 sid)
{
	return iommu->segment << 16 | sid;
}

static u32 ndev_source_id(const struct intel_nested_dev *ndev)
{
	struct device_domain_info *info = ndev->info;

	return source_id(info->iommu, PCI_DEVID(info->bus, info->devfn));
}

/* PASIDs that requests of the device can carry */
static u32 dev_pasids(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	return info->pasid_enabled ? dev->iommu->max_pasids : 0;
}

static int intel_nested_check(struct iommu_domain *domain, struct device *dev,
			      const struct iommu_hwpt_pasid_table *config)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *parent = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;

	if (!parent->nested_parent)
		return -EINVAL;
	if (!nested_supported(iommu) || !info->pasid_table)
		return -EOPNOTSUPP;
	/* The second stage goes into the entries as it is */
	if (!domain_format_fits(parent, iommu))
		return -EINVAL;
	if (domain_check_snooping(parent, iommu))
		return -EINVAL;
	if (domain->dirty_ops && !ssads_supported(iommu))
		return -EINVAL;

	if (config->vtd.__reserved)
		return -EOPNOTSUPP;
	if (config->base_addr & ~VTD_PAGE_MASK)
		return -EINVAL;
	if (config->vtd.rid_pasid >> config->pasid_bits)
		return -EINVAL;
	if (config->vtd.rid_pasid && !ecap_rps(iommu->ecap))
		return -EOPNOTSUPP;
	if (config->pasid_bits &&
	    1U << config->pasid_bits > iommu->iommu.max_pasids)
		return -EOPNOTSUPP;
	return 0;
}

/* A domain ID that nothing else has: translations are found by it */
static int did_alloc(struct intel_iommu *iommu)
{
	unsigned long nr = cap_ndoms(iommu->cap);
	unsigned long did;

	spin_lock(&iommu->lock);
	did = find_first_zero_bit(iommu->domain_ids, nr);
	if (did < nr)
		__set_bit(did, iommu->domain_ids);
	spin_unlock(&iommu->lock);
	return did < nr ? did : -ENOSPC;
}

static void did_free(struct intel_iommu *iommu, u16 did)
{
	spin_lock(&iommu->lock);
	__clear_bit(did, iommu->domain_ids);
	spin_unlock(&iommu->lock);
}

static void init_stage2(struct intel_nested_dev *ndev)
{
	struct iommu_domain *domain = intel_nested_core(ndev)->parent;
	struct dmar_domain *parent = to_dmar_domain(domain);
	struct intel_nested_stage2 *s2 = &ndev->s2;

	s2->cap = ndev->info->iommu->cap;
	s2->ecap = ndev->info->iommu->ecap;
	s2->pgd = virt_to_phys(parent->pgd);
	s2->gpa_last = domain->geometry.aperture_end;
	s2->agaw = parent->agaw;
	s2->force_snoop = parent->force_snooping;
	/*
	 * Always on where it may be asked for. The bits are cleared when tracking
	 * starts, so that no entry has to change then.
	 */
	s2->track_dirty = !!domain->dirty_ops;
}

/* What the directory of a new device has; the hardware does not use it yet */
static int fill_dir(struct intel_nested_dev *ndev)
{
	int rc;

	switch (intel_nested_core(ndev)->config.config) {
	case IOMMU_PASID_TABLE_TRANSLATE:
		rc = intel_nested_read_all(ndev, false);
		break;
	case IOMMU_PASID_TABLE_BYPASS:
		rc = intel_nested_bypass(ndev);
		break;
	default:
		rc = 0;
		break;
	}
	return rc;
}

static struct intel_nested_dev *
ndev_alloc(struct intel_nested_table *nt, struct device *dev)
{
	const struct iommu_hwpt_pasid_table *config = &nt->core.config;
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_nested_dev *ndev;
	int rc;

	ndev = kzalloc(sizeof(*ndev), GFP_KERNEL_ACCOUNT);
	if (!ndev)
		return ERR_PTR(-ENOMEM);
	ndev->table = nt;
	ndev->dev = dev;
	ndev->info = info;
	if (config->config == IOMMU_PASID_TABLE_TRANSLATE) {
		ndev->rid_pasid = config->vtd.rid_pasid;
		ndev->nr_pasids = min(1U << config->pasid_bits,
				      dev_pasids(dev));
	}
	rc = did_alloc(info->iommu);
	if (rc < 0)
		goto err_free;
	ndev->s2.did = rc;
	init_stage2(ndev);

	rc = intel_nested_dir_alloc(ndev);
	if (rc)
		goto err_did;
	rc = fill_dir(ndev);
	if (rc)
		goto err_dir;
	return ndev;

err_dir:
	intel_nested_dir_free(ndev);
err_did:
	did_free(info->iommu, ndev->s2.did);
err_free:
	kfree(ndev);
	return ERR_PTR(rc);
}

static void ndev_free(struct intel_nested_dev *ndev)
{
	intel_nested_dir_free(ndev);
	did_free(ndev->info->iommu, ndev->s2.did);
	kfree(ndev);
}

/* Changes of the second stage reach the device's domain ID from now on */
static int ndev_track(struct intel_nested_dev *ndev)
{
	struct dmar_domain *parent =
		to_dmar_domain(intel_nested_core(ndev)->parent);
	struct intel_iommu *iommu = ndev->info->iommu;
	int rc;

	rc = cache_tag_assign_nested(parent, ndev->s2.did, ndev->dev);
	if (rc)
		return rc;
	/* What is not present is cached, or waits in a write buffer (6.1, 6.8) */
	if (cap_caching_mode(iommu->cap) || cap_rwbf(iommu->cap))
		parent->iotlb_sync_map = true;
	spin_lock_irq(&parent->cache_lock);
	list_add(&ndev->s2_elm, &parent->nested_devs);
	spin_unlock_irq(&parent->cache_lock);
	raw_spin_lock_irq(&nested_devs_lock);
	hash_add(nested_devs, &ndev->node, ndev_source_id(ndev));
	raw_spin_unlock_irq(&nested_devs_lock);
	return 0;
}

static struct intel_nested_dev *ndev_add_locked(struct intel_nested_table *nt,
						struct device *dev)
{
	struct intel_nested_dev *ndev;
	int rc;

	lockdep_assert_held(&nt->lock);
	ndev = ndev_alloc(nt, dev);
	if (IS_ERR(ndev))
		return ndev;
	rc = ndev_track(ndev);
	if (rc) {
		ndev_free(ndev);
		return ERR_PTR(rc);
	}
	list_add(&ndev->elm, &nt->devs);
	return ndev;
}

/*
 * The guest's entries are kept up to date from the moment they are read. Others
 * wait for the group mutex that the caller holds, so nobody waits for the guest's
 * memory here.
 */
static struct intel_nested_dev *ndev_add(struct intel_nested_table *nt,
					 struct device *dev)
{
	bool reads = nt->core.config.config == IOMMU_PASID_TABLE_TRANSLATE;
	struct iommu_guest_memory *memory = nt->core.memory;
	struct intel_nested_dev *ndev;
	int rc;

	if (reads) {
		rc = memory->ops->lock(memory, false);
		if (rc)
			return ERR_PTR(rc);
	}
	mutex_lock(&nt->lock);
	ndev = ndev_add_locked(nt, dev);
	mutex_unlock(&nt->lock);
	if (reads)
		memory->ops->unlock(memory);
	return ndev;
}

static void ndev_untrack(struct intel_nested_dev *ndev)
{
	struct dmar_domain *parent =
		to_dmar_domain(intel_nested_core(ndev)->parent);

	raw_spin_lock_irq(&nested_devs_lock);
	hash_del(&ndev->node);
	raw_spin_unlock_irq(&nested_devs_lock);
	spin_lock_irq(&parent->cache_lock);
	list_del(&ndev->s2_elm);
	spin_unlock_irq(&parent->cache_lock);
	cache_tag_unassign_nested(parent, ndev->s2.did, ndev->dev);
}

static int intel_nested_attach(struct iommu_pasid_table *table,
			       struct device *dev)
{
	struct intel_nested_table *nt = to_intel_nested_table(table);
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	const struct iommu_hwpt_pasid_table *config = &table->config;
	bool abort = config->config == IOMMU_PASID_TABLE_ABORT;
	struct intel_nested_dev *ndev;

	/* Page requests of a guest's PASIDs have nobody who takes them */
	if (table->domain.iopf_handler)
		return -EOPNOTSUPP;
	if (context_copied(info->iommu, info->bus, info->devfn))
		return -EBUSY;

	ndev = ndev_add(nt, dev);
	if (IS_ERR(ndev))
		return PTR_ERR(ndev);

	intel_pasid_switch_table(dev, &ndev->pasids, ndev->rid_pasid,
				 ndev->nr_pasids && config->pasid_bits,
				 intel_nested_has_ats(ndev), abort);
	/* Drops the domain that the device had, unless that was a table as well */
	device_block_translation(dev);
	info->domain_attached = true;
	return 0;
}

static struct intel_nested_dev *find_ndev(struct intel_nested_table *nt,
					  struct device *dev)
{
	struct intel_nested_dev *ndev;

	lockdep_assert_held(&nt->lock);
	list_for_each_entry(ndev, &nt->devs, elm)
		if (ndev->dev == dev)
			return ndev;
	return NULL;
}

static void intel_nested_detach(struct iommu_pasid_table *table,
				struct device *dev)
{
	struct intel_nested_table *nt = to_intel_nested_table(table);
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_nested_dev *ndev;

	/* Unless another table has done so */
	if (!dev->iommu->pasid_table)
		intel_pasid_switch_table(dev, info->pasid_table, IOMMU_NO_PASID,
					 true, true, false);

	mutex_lock(&nt->lock);
	ndev = find_ndev(nt, dev);
	list_del(&ndev->elm);
	intel_nested_inv_domain(ndev);
	ndev_untrack(ndev);
	ndev_free(ndev);
	mutex_unlock(&nt->lock);
}

static void intel_nested_init(struct iommu_pasid_table *table)
{
	struct intel_nested_table *nt = to_intel_nested_table(table);

	mutex_init(&nt->lock);
	INIT_LIST_HEAD(&nt->devs);
}

/**
 * intel_nested_guest_reason() - Whether a guest can cause a fault at will
 * @reason: Fault reason, section 7.1.3
 *
 * ATS and PASIDs that are off or not there, all of the first stage, and accesses
 * that the second stage does not allow. A second-stage entry that cannot be read
 * or is malformed is the host's.
 *
 * Return: true for the guest's, false for those that only the host can cause.
 */
bool intel_nested_guest_reason(u8 reason)
{
	switch (reason) {
	case 0x44:		/* DTE is clear */
	case 0x45:		/* PASIDE is clear */
	case 0x46:		/* PASID beyond the directory */
	case 0x47:		/* PRE is clear */
	case 0x51:		/* PASID-directory entry is not present */
	case 0x59:		/* PASID-table entry is not present */
	case 0x5c ... 0x5d:	/* ERE or SRE is clear */
	case 0x70 ... 0x77:	/* first-stage entry */
	case 0x79:		/* second-stage entry does not allow it */
	case 0x80 ... 0x87:	/* address or access */
	case 0x90 ... 0x91:	/* accessed and dirty bits */
		return true;
	default:
		return false;
	}
}

/**
 * intel_nested_fault() - Take a fault that a guest can cause at will
 * @iommu: IOMMU
 * @sid: Source-id of the fault record, section 11.4.14
 * @reason: Why it faults, section 7.1.3
 * @addr: Address of the request
 * @read: It is a read
 *
 * Most faults of a device below a guest's table are the guest's doing: they are
 * traced and kept out of the log. What only the host can do wrong stays there.
 * Called from the fault interrupt.
 *
 * Return: true if the fault is the guest's.
 */
bool intel_nested_fault(struct intel_iommu *iommu, u16 sid, u8 reason, u64 addr,
			bool read)
{
	u32 key = source_id(iommu, sid);
	struct intel_nested_dev *ndev;
	unsigned long flags;
	bool taken = false;

	if (!intel_nested_guest_reason(reason))
		return false;
	raw_spin_lock_irqsave(&nested_devs_lock, flags);
	hash_for_each_possible(nested_devs, ndev, node, key) {
		if (ndev_source_id(ndev) != key)
			continue;
		trace_io_page_fault(ndev->dev, addr, read ? IOMMU_FAULT_READ :
							    IOMMU_FAULT_WRITE);
		taken = true;
		break;
	}
	raw_spin_unlock_irqrestore(&nested_devs_lock, flags);
	return taken;
}

const struct iommu_pasid_table_ops intel_nested_table_ops = {
	.format = IOMMU_PASID_TABLE_VTD,
	.size = sizeof(struct intel_nested_table),
	.init = intel_nested_init,
	.check = intel_nested_check,
	.attach = intel_nested_attach,
	.detach = intel_nested_detach,
	.cache_invalidate = intel_nested_cache_invalidate,
};
