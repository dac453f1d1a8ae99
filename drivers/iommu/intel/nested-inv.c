// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidations for a guest's PASID table. References are to the VT-d
 * specification.
 */
#include <linux/pci.h>

#include "nested-table.h"

#define INV_TLBS	(IOMMU_PASID_TABLE_INV_IOTLB | \
			 IOMMU_PASID_TABLE_INV_DEV_TLB)

static const struct intel_nested_range everything;

/* What one PASID has in the device's TLB; nothing unless the table uses ATS */
static void inv_devtlb(struct intel_nested_dev *ndev, u32 pasid,
		       const struct intel_nested_range *range)
{
	struct intel_nested_batch *batch = &ndev->table->batch;

	if (!intel_nested_uses_ats(ndev))
		return;
	if (pasid == ndev->rid_pasid)
		intel_nested_batch_devtlb(batch, ndev->info, range);
	if (pasid < ndev->nr_pasids)
		intel_nested_batch_pasid_devtlb(batch, ndev->info, pasid,
						range);
}

static void inv_devtlb_all(struct intel_nested_dev *ndev)
{
	u32 pasid = 0;

	if (!intel_nested_uses_ats(ndev))
		return;
	/* Few enough, see INTEL_NESTED_ATS_PASIDS */
	while ((pasid = intel_nested_next_pasid(ndev, pasid)) != PASID_MAX)
		inv_devtlb(ndev, pasid++, &everything);
}

/*
 * Entries of the PASID cache, one or all of the domain ID. What is filled from
 * them is dropped after that: the wait with a fence sees to it (6.5.2.9).
 */
static void inv_pasid_cache(struct intel_nested_dev *ndev, u64 granularity,
			    u32 pasid)
{
	struct intel_nested_batch *batch = &ndev->table->batch;

	*intel_nested_batch_next(batch) = (struct qi_desc){
		.qw0 = QI_PC_PASID(pasid) | QI_PC_DID(ndev->s2.did) |
		       QI_PC_GRAN(granularity) | QI_PC_TYPE,
	};
	*intel_nested_batch_next(batch) = (struct qi_desc){
		.qw0 = QI_IWD_FENCE | QI_IWD_TYPE,
	};
}

/**
 * intel_nested_inv_entries() - Make the hardware forget entries
 * @ndev: Device
 * @first: PASID of the first one
 * @entries: A bit for each entry from @first on, at least one
 * @pde: The entry of the directory above them has changed, too
 *
 * As section 6.5.3.3 has it for nested and second-stage entries. Entries of the
 * directory are in the PASID cache with those of the table, and go when all of the
 * domain ID goes. The caller holds the table's lock.
 *
 * Return: 0 or an errno of intel_nested_batch_sync().
 */
int intel_nested_inv_entries(struct intel_nested_dev *ndev, u32 first,
			     u64 entries, bool pde)
{
	struct intel_nested_batch *batch = &ndev->table->batch;

	intel_nested_batch_init(batch, ndev->info->iommu);
	if (!pde && is_power_of_2(entries))
		inv_pasid_cache(ndev, QI_PC_PASID_SEL, first + __ffs64(entries));
	else
		inv_pasid_cache(ndev, QI_PC_ALL_PASIDS, 0);
	intel_nested_batch_domain(batch, ndev->s2.did);
	for (; entries; entries &= entries - 1)
		inv_devtlb(ndev, first + __ffs64(entries), &everything);
	return intel_nested_batch_sync(batch);
}

/**
 * intel_nested_inv_domain() - Make the hardware forget a device's domain ID
 * @ndev: Device, which uses another directory by now
 *
 * The device keeps ATS for whatever follows: what it has asked for before its
 * directory changed is dropped, too.
 *
 * The caller holds the table's lock.
 *
 * Return: 0 or an errno of intel_nested_batch_sync().
 */
int intel_nested_inv_domain(struct intel_nested_dev *ndev)
{
	struct intel_nested_batch *batch = &ndev->table->batch;

	intel_nested_batch_init(batch, ndev->info->iommu);
	inv_pasid_cache(ndev, QI_PC_ALL_PASIDS, 0);
	intel_nested_batch_domain(batch, ndev->s2.did);
	inv_devtlb_all(ndev);
	return intel_nested_batch_sync(batch);
}

/*
 * Read entries again, for each device that the table has. Whatever it is that a
 * guest's entry is refused for, the errno is one that nothing else has: the request
 * was well-formed, and has been done.
 */
static int inv_read_again(struct intel_nested_table *nt,
			  const struct iommu_hwpt_pasid_table_invalidate *req)
{
	struct iommu_guest_memory *memory = nt->core.memory;
	struct intel_nested_dev *ndev;
	bool any = false;
	int refused, rc, error;

	/* An attach takes the table's lock under its group's: no waiting under it */
	rc = memory->ops->lock(memory, true);
	if (rc)
		return rc;
	mutex_lock(&nt->lock);
	/* What one device does not answer is done for the others all the same */
	list_for_each_entry(ndev, &nt->devs, elm) {
		refused = 0;
		if (req->granularity == IOMMU_PASID_TABLE_INV_DOMAIN)
			error = intel_nested_read_all(ndev, true);
		else
			error = intel_nested_read_one(ndev, req->pasid, true,
						      &refused);
		any |= refused;
		rc = rc ?: error;
	}
	mutex_unlock(&nt->lock);
	memory->ops->unlock(memory);
	return rc ?: any ? -EREMOTEIO : 0;
}

/* Do one request, or put it among @ranges for later */
static int inv_one(struct intel_nested_table *nt,
		   const struct iommu_hwpt_pasid_table_invalidate *req,
		   struct intel_nested_ranges *ranges)
{
	struct intel_nested_range range = {
		.pasid = req->pasid,
		.caches = req->caches & INV_TLBS,
		.leaf = req->flags & IOMMU_PASID_TABLE_INV_LEAF,
	};

	/* The guest's domain IDs are not among what the hardware has */
	if (req->flags & IOMMU_PASID_TABLE_INV_ARCHID)
		return -EOPNOTSUPP;
	/* Nothing comes from the memory of a table that does not translate */
	if (nt->core.config.config != IOMMU_PASID_TABLE_TRANSLATE)
		return 0;

	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR) {
		range.addr = req->addr;
		range.pages = req->nb_granules <<
			      (req->granule_log2 - VTD_PAGE_SHIFT);
	}
	/* No descriptor names addresses of all PASIDs */
	if (req->flags & IOMMU_PASID_TABLE_INV_PASID)
		intel_nested_ranges_add(ranges, &range);
	else
		ranges->all |= range.caches;
	if (req->caches & IOMMU_PASID_TABLE_INV_PASID_CACHE)
		return inv_read_again(nt, req);
	return 0;
}

/* The device TLB is filled from the IOTLB, so it comes second (6.5.2.5) */
static int inv_ranges(struct intel_nested_dev *ndev,
		      const struct intel_nested_ranges *ranges)
{
	struct intel_nested_batch *batch = &ndev->table->batch;
	const struct intel_nested_range *range;
	const struct intel_nested_range *end = ranges->range + ranges->nr;

	intel_nested_batch_init(batch, ndev->info->iommu);
	if (ranges->all & IOMMU_PASID_TABLE_INV_IOTLB)
		intel_nested_batch_domain(batch, ndev->s2.did);
	for (range = ranges->range; range < end; range++)
		if (range->caches & ~ranges->all & IOMMU_PASID_TABLE_INV_IOTLB)
			intel_nested_batch_piotlb(batch, ndev->s2.did,
						  range->pasid, range);
	if (ranges->all & IOMMU_PASID_TABLE_INV_DEV_TLB)
		inv_devtlb_all(ndev);
	for (range = ranges->range; range < end; range++)
		if (range->caches & ~ranges->all & IOMMU_PASID_TABLE_INV_DEV_TLB)
			inv_devtlb(ndev, range->pasid, range);
	return intel_nested_batch_sync(batch);
}

static int inv_finish(struct intel_nested_table *nt,
		      const struct intel_nested_ranges *ranges)
{
	struct intel_nested_dev *ndev;
	int error, rc = 0;

	if (!ranges->nr && !ranges->all)
		return 0;
	mutex_lock(&nt->lock);
	list_for_each_entry(ndev, &nt->devs, elm) {
		error = inv_ranges(ndev, ranges);
		rc = rc ?: error;
	}
	mutex_unlock(&nt->lock);
	return rc;
}

/* What one PASID has, or with @rid what requests without a PASID have */
static void flush_devtlb(const struct device_domain_info *info, u32 pasid,
			 bool rid)
{
	u16 sid = PCI_DEVID(info->bus, info->devfn);
	int i;

	for (i = 0; i <= info->dtlb_extra_inval; i++) {
		if (rid)
			qi_flush_dev_iotlb(info->iommu, sid, info->pfsid,
					   info->ats_qdep, 0,
					   MAX_AGAW_PFN_WIDTH);
		else
			qi_flush_dev_iotlb_pasid(info->iommu, sid, info->pfsid,
						 pasid, info->ats_qdep, 0,
						 MAX_AGAW_PFN_WIDTH);
	}
}

/**
 * intel_nested_stage2_changed() - Drop what device TLBs have of a second stage
 * @parent: Nesting parent that has changed, with its cache_lock held
 *
 * A device TLB holds the result of both stages and cannot tell which part of it
 * a change of the second one is for.
 */
void intel_nested_stage2_changed(struct dmar_domain *parent)
{
	struct intel_nested_dev *ndev;
	u32 pasid;

	lockdep_assert_held(&parent->cache_lock);

	list_for_each_entry(ndev, &parent->nested_devs, s2_elm) {
		if (!intel_nested_uses_ats(ndev))
			continue;
		flush_devtlb(ndev->info, 0, true);
		for (pasid = intel_nested_next_pasid(ndev, 0);
		     pasid < ndev->nr_pasids;
		     pasid = intel_nested_next_pasid(ndev, pasid + 1))
			flush_devtlb(ndev->info, pasid, false);
	}
}

/**
 * intel_nested_cache_invalidate() - The cache_invalidate op
 * @table: Table
 * @iter: Requests
 * @done: Returns how many are complete
 *
 * Requests for the PASID cache are done when they come: entries change in steps
 * that wait for the hardware. All others go into one submission for each device,
 * with one wait.
 *
 * Return: 0 or an errno of struct iommu_hwpt_pasid_table_invalidate.
 */
int intel_nested_cache_invalidate(struct iommu_pasid_table *table,
				  struct iommu_inv_iter *iter, u32 *done)
{
	struct intel_nested_table *nt = to_intel_nested_table(table);
	struct intel_nested_ranges ranges __uninitialized;
	int i, nr, rc = 0, error;
	u32 added = 0;

	ranges.nr = 0;
	ranges.all = 0;
	while (!rc && (nr = iommu_inv_next(iter)) > 0) {
		for (i = 0; i < nr; i++) {
			rc = inv_one(nt, &iter->reqs[i], &ranges);
			if (rc)
				break;
			added += iter->merged[i];
		}
	}

	error = inv_finish(nt, &ranges);
	if (error)
		return error;
	*done = added;
	return rc ?: nr;
}
