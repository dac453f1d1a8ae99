// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that do not answer invalidations of their TLBs
 *
 * The hardware gives up waiting for such a function after a while, and aborts the
 * waits of all who use the invalidation queue at that moment. The function is
 * marked then. Nothing is sent to it until a reset: what is submitted for it has a
 * descriptor without effect in the place of the invalidation. The core is told,
 * and blocks the device.
 */
#include <linux/iommu-reset.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "iommu.h"

/* Whether a descriptor is for a function's TLB, and whose */
bool intel_desc_is_dev_tlb(const struct qi_desc *desc, u16 *sid)
{
	switch (desc->qw0 & GENMASK_ULL(3, 0)) {
	case QI_DIOTLB_TYPE:
		*sid = desc->qw0 >> 32;
		return true;
	case QI_DEIOTLB_TYPE:
		*sid = desc->qw0 >> 16;
		return true;
	default:
		return false;
	}
}

static int info_cmp(const void *key, const struct rb_node *node)
{
	const struct device_domain_info *info =
		rb_entry(node, struct device_domain_info, node);

	return *(const u16 *)key - (int)PCI_DEVID(info->bus, info->devfn);
}

static struct device_domain_info *find_info(struct intel_iommu *iommu, u16 sid)
{
	struct rb_node *node;

	lockdep_assert_held(&iommu->device_rbtree_lock);
	node = rb_find(&sid, &iommu->device_rbtree, info_cmp);
	return node ? rb_entry(node, struct device_domain_info, node) : NULL;
}

/**
 * intel_dev_tlb_lost() - A function did not answer an invalidation of its TLB
 * @iommu: IOMMU that waited for it
 * @sid: Function; it may have left meanwhile
 *
 * Any context.
 */
void intel_dev_tlb_lost(struct intel_iommu *iommu, u16 sid)
{
	struct device_domain_info *info;
	unsigned long flags;

	/* As long as the function is in the tree it is not released */
	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	info = find_info(iommu, sid);
	if (info && !info->dev_tlb_lost) {
		info->dev_tlb_lost = true;
		WRITE_ONCE(iommu->nr_dev_tlb_lost, iommu->nr_dev_tlb_lost + 1);
		iommu_device_lost(info->dev);
	}
	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
}

/**
 * intel_dev_tlb_is_lost() - Whether nothing must be sent to a function
 * @iommu: IOMMU of the function
 * @sid: Function
 *
 * Return: true for one that did not answer, and for one that is not there.
 */
bool intel_dev_tlb_is_lost(struct intel_iommu *iommu, u16 sid)
{
	struct device_domain_info *info;
	unsigned long flags;
	bool lost;

	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	info = find_info(iommu, sid);
	lost = !info || info->dev_tlb_lost;
	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	return lost;
}

/**
 * intel_dev_tlb_found() - A function can be sent invalidations again
 * @info: Function, which was reset or is released
 */
void intel_dev_tlb_found(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	if (info->dev_tlb_lost) {
		info->dev_tlb_lost = false;
		WRITE_ONCE(iommu->nr_dev_tlb_lost, iommu->nr_dev_tlb_lost - 1);
	}
	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
}

/* ATS is on again before anything is attached: ats_enabled is what the device has */
void intel_iommu_quiesce_dev(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info->ats_enabled)
		return;
	pci_disable_ats(to_pci_dev(dev));
	info->ats_enabled = 0;
	info->ats_quiesced = true;
}

int intel_iommu_resume_dev(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	int rc;

	if (info->ats_quiesced) {
		rc = pci_enable_ats(to_pci_dev(dev), VTD_PAGE_SHIFT);
		if (rc)
			return rc;
		info->ats_enabled = 1;
		info->ats_quiesced = false;
	}
	intel_dev_tlb_found(info);
	return 0;
}
