// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that do not answer invalidations of their TLBs
 *
 * The hardware gives up waiting for such a function after a while, and aborts the
 * waits of all who use the invalidation queue at that moment. The function is
 * marked then, and its context entry lets nothing through any more that its TLB has
 * translated. Nothing is sent to it until a reset: what is submitted for it has an
 * invalidation of the context cache in the place of that of the TLB. The core is
 * told, and blocks the device.
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "iommu.h"
#include "../iommu-priv.h"

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

/*
 * The next context entry of a function or of its aliases after @devfn, or -1. Behind a
 * bridge that makes aliases there is no ATS, so that all are on the function's own bus.
 */
static int next_devfn(const struct device_domain_info *info, int devfn)
{
	const unsigned long *aliases = to_pci_dev(info->dev)->dma_alias_mask;

	for (devfn++; devfn <= U8_MAX; devfn++) {
		if (devfn == info->devfn || (aliases && test_bit(devfn, aliases)))
			return devfn;
	}
	return -1;
}

/*
 * Block what the function has translated by its TLB. That takes effect when the
 * context cache is flushed, which qi_submit_sync() does before the submission that
 * was not answered ends. In legacy mode the same bit is a part of TT.
 */
static void context_clear_dte(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	struct context_entry *context;
	int devfn;

	for (devfn = next_devfn(info, -1); devfn >= 0;
	     devfn = next_devfn(info, devfn)) {
		context = iommu_context_addr(iommu, info->bus, devfn, false);
		if (!context)
			continue;
		clear_bit(__ffs(CONTEXT_SM_DTE), (unsigned long *)&context->lo);
		__iommu_flush_cache(iommu, context, sizeof(*context));
	}
}

/* As nr_dev_tlb_lost is first, who sees that it changed sees what it is */
static void count_lost(struct intel_iommu *iommu, int change)
{
	lockdep_assert_held(&iommu->device_rbtree_lock);
	WRITE_ONCE(iommu->nr_dev_tlb_lost, iommu->nr_dev_tlb_lost + change);
	smp_wmb();	/* pairs with qi_submit_sync() */
	WRITE_ONCE(iommu->dev_tlb_lost_changes,
		   iommu->dev_tlb_lost_changes + 1);
}

/* Nothing is sent to the function from now on. Returns whether it was until now. */
static bool cut_off(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;

	lockdep_assert_held(&iommu->device_rbtree_lock);
	if (info->dev_tlb_lost)
		return false;
	info->dev_tlb_lost = true;
	count_lost(iommu, 1);
	context_clear_dte(info);
	return true;
}

/**
 * intel_dev_tlb_lost() - A function did not answer an invalidation of its TLB
 * @iommu: IOMMU that waited for it
 * @sid: Function; it may have left meanwhile
 *
 * Any context; takes no lock under which invalidations are submitted.
 */
void intel_dev_tlb_lost(struct intel_iommu *iommu, u16 sid)
{
	struct device_domain_info *info;
	unsigned long flags;

	/* As long as the function is in the tree it is not released */
	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	info = find_info(iommu, sid);
	if (info && cut_off(info))
		iommu_device_lost(info->dev);
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
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

	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	info = find_info(iommu, sid);
	lost = !info || info->dev_tlb_lost;
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	return lost;
}

/**
 * intel_dev_tlb_is_there() - Look for a function before its TLB is invalidated
 * @info: Function whose ATS is on
 *
 * One that does not answer configuration requests would not answer that either, but
 * may come back with what its TLB has: it is lost without being asked.
 *
 * Return: false if it was removed and nothing is to be submitted for it.
 */
bool intel_dev_tlb_is_there(struct device_domain_info *info)
{
	struct pci_dev *pdev = to_pci_dev(info->dev);

	if (pci_dev_is_disconnected(pdev))
		return false;
	if (!pci_device_is_present(pdev))
		intel_dev_tlb_lost(info->iommu,
				   PCI_DEVID(info->bus, info->devfn));
	return true;
}

/**
 * intel_dev_tlb_found() - A function can be sent invalidations again
 * @info: Function, which was reset or is released
 *
 * Return: true if it was lost.
 */
bool intel_dev_tlb_found(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;
	bool lost;

	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	lost = info->dev_tlb_lost;
	if (lost) {
		info->dev_tlb_lost = false;
		count_lost(iommu, -1);
	}
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	return lost;
}

/**
 * intel_context_set_lo() - Write the word of a context entry that has DTE
 * @info: Device of the entry
 * @context: Entry
 * @lo: New value. While the device is lost it goes without DTE, which in legacy mode
 *      is a part of TT.
 *
 * The caller flushes the context cache.
 */
void intel_context_set_lo(struct device_domain_info *info,
			  struct context_entry *context, u64 lo)
{
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	info->dte = lo & CONTEXT_SM_DTE;
	if (info->dev_tlb_lost)
		lo &= ~CONTEXT_SM_DTE;
	WRITE_ONCE(context->lo, lo);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
}

/**
 * intel_context_flip_pre() - Let page requests through, or no longer
 * @info: Device of the entry, in scalable mode
 * @context: Entry
 * @enable: Which of the two
 *
 * The caller flushes the context cache.
 */
void intel_context_flip_pre(struct device_domain_info *info,
			    struct context_entry *context, bool enable)
{
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	if (enable)
		context_set_sm_pre(context);
	else
		context_clear_sm_pre(context);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
}

/* Of one function and its aliases, which is rare enough to flush those of all */
static void context_flush(struct intel_iommu *iommu)
{
	iommu->flush.flush_context(iommu, 0, 0, 0, DMA_CCMD_GLOBAL_INVL);
}

/* In legacy mode an entry that is not there is made when something is attached */
static void context_restore_dte(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	struct context_entry *context;
	int devfn;

	if (!info->dte)
		return;
	spin_lock(&iommu->lock);
	for (devfn = next_devfn(info, -1); devfn >= 0;
	     devfn = next_devfn(info, devfn)) {
		context = iommu_context_addr(iommu, info->bus, devfn, false);
		if (context && context_present(context))
			intel_context_set_lo(info, context,
					     READ_ONCE(context->lo) |
					     CONTEXT_SM_DTE);
	}
	spin_unlock(&iommu->lock);
	context_flush(iommu);
}

/*
 * What is attached stays, and its owner may unmap: that sends nothing to the function,
 * as if it were lost, but it is no reason to report it. The flush waits for what was
 * sent before, so that no time-out of that comes when the function can answer again.
 */
static void silence(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	cut_off(info);
	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	context_flush(iommu);
}

/*
 * A device that is parked has ATS on again before anything is attached. One that is
 * silent may be attached meanwhile: intel_dev_tlb_is_used() knows of it.
 */
void intel_iommu_quiesce_dev(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	info->quiesced = true;
	if (!dev->iommu->parked)
		silence(info);
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

	info->quiesced = false;
	if (info->ats_quiesced) {
		rc = pci_enable_ats(to_pci_dev(dev), VTD_PAGE_SHIFT);
		if (rc)
			return rc;
		info->ats_enabled = 1;
		info->ats_quiesced = false;
	}
	if (intel_dev_tlb_found(info))
		context_restore_dte(info);
	return 0;
}
