// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors for the translations that a guest wants dropped. References are to
 * the VT-d specification.
 */
#include <linux/bitops.h>
#include <linux/pci.h>

#include "nested-batch.h"

/* A block of addresses that one descriptor can name */
struct block {
	u64 addr;
	unsigned int order;	/* log2 of its pages */
};

/* Nothing follows the end of 64 bits */
static bool range_follows(const struct intel_nested_range *range,
			  const struct intel_nested_range *next)
{
	return range->pages && next->pages && next->addr &&
	       range->addr + (range->pages << VTD_PAGE_SHIFT) == next->addr &&
	       range->pasid == next->pasid && range->caches == next->caches &&
	       range->leaf == next->leaf;
}

/**
 * intel_nested_ranges_add() - Drop a range, too
 * @ranges: What is to be dropped already
 * @range: Range
 *
 * One that follows the last one without a gap becomes part of it. If there are
 * too many, everything goes: that is quicker, and leaves room in the queue.
 */
void intel_nested_ranges_add(struct intel_nested_ranges *ranges,
			     const struct intel_nested_range *range)
{
	struct intel_nested_range *last;

	if (!(range->caches & ~ranges->all))
		return;
	if (ranges->nr) {
		last = &ranges->range[ranges->nr - 1];
		if (range_follows(last, range)) {
			last->pages += range->pages;
			return;
		}
	}
	if (ranges->nr < INTEL_NESTED_RANGES) {
		ranges->range[ranges->nr++] = *range;
		return;
	}
	while (ranges->nr)
		ranges->all |= ranges->range[--ranges->nr].caches;
	ranges->all |= range->caches;
}

/**
 * intel_nested_batch_init() - Start to collect descriptors
 * @batch: Batch; nothing in it is kept
 * @iommu: IOMMU that they are for
 */
void intel_nested_batch_init(struct intel_nested_batch *batch,
			     struct intel_iommu *iommu)
{
	batch->iommu = iommu;
	batch->nr = 0;
	batch->error = 0;
}

/**
 * intel_nested_batch_sync() - Submit the descriptors and wait for them
 * @batch: Batch; without descriptors there is nothing to wait for
 *
 * Return: 0, or what became of this submission or one before it: -EIO if the
 * queue refused a descriptor, -ETIMEDOUT if a device does not answer.
 */
int intel_nested_batch_sync(struct intel_nested_batch *batch)
{
	int rc = 0;

	if (batch->nr)
		rc = qi_submit_sync(batch->iommu, batch->desc, batch->nr, 0);
	batch->nr = 0;
	if (rc && !batch->error)
		batch->error = rc == -ETIMEDOUT ? rc : -EIO;
	return batch->error;
}

/**
 * intel_nested_batch_next() - Get room for one more descriptor
 * @batch: Batch; goes to the hardware if it is full
 *
 * Return: the descriptor, to be filled in by the caller.
 */
struct qi_desc *intel_nested_batch_next(struct intel_nested_batch *batch)
{
	if (batch->nr == INTEL_NESTED_DESCS)
		intel_nested_batch_sync(batch);
	return &batch->desc[batch->nr++];
}

/**
 * intel_nested_batch_domain() - Drop everything of a domain ID from the IOTLB
 * @batch: Batch
 * @did: Domain ID
 */
void intel_nested_batch_domain(struct intel_nested_batch *batch, u16 did)
{
	qi_desc_iotlb(batch->iommu, did, 0, 0, DMA_TLB_DSI_FLUSH,
		      intel_nested_batch_next(batch));
}

/* The smallest block around the pages from @first to @last */
static struct block block_around(u64 first, u64 last)
{
	unsigned int order = fls64(first ^ last);

	return (struct block){
		.addr = (first >> order << order) << VTD_PAGE_SHIFT,
		.order = order,
	};
}

/*
 * One or two blocks that cover a range. Both ends of a block are where the range
 * needs it or at the boundary between the two, so that less than as much again is
 * dropped without need. Returns how many blocks.
 */
static int cover(const struct intel_nested_range *range, struct block *blocks)
{
	u64 first = range->addr >> VTD_PAGE_SHIFT;
	u64 last = first + range->pages - 1;
	u64 middle;

	blocks[0] = block_around(first, last);
	if (!blocks[0].order || range->pages >> blocks[0].order)
		return 1;
	middle = last >> (blocks[0].order - 1) << (blocks[0].order - 1);
	blocks[0] = block_around(first, middle - 1);
	blocks[1] = block_around(middle, last);
	return 2;
}

/**
 * intel_nested_batch_piotlb() - Drop a range of a PASID from the IOTLB
 * @batch: Batch; takes at most two descriptors
 * @did: Domain ID
 * @pasid: PASID of the entry that the device uses
 * @range: Range; its own PASID is not looked at
 *
 * Section 6.5.2.4: page-selective where the hardware can mask that many address
 * bits, else all of the PASID.
 */
void intel_nested_batch_piotlb(struct intel_nested_batch *batch, u16 did,
			       u32 pasid,
			       const struct intel_nested_range *range)
{
	/* A block of all 64 bits is no block */
	unsigned int widest = min(cap_max_amask_val(batch->iommu->cap), 51);
	struct block blocks[2];
	int i, nr = 0;

	if (range->pages) {
		nr = cover(range, blocks);
		if (blocks[0].order > widest || blocks[nr - 1].order > widest)
			nr = 0;
	}
	for (i = 0; i < nr; i++)
		qi_desc_piotlb(did, pasid, blocks[i].addr, 1UL << blocks[i].order,
			       range->leaf, intel_nested_batch_next(batch));
	if (!nr)
		qi_desc_piotlb(did, pasid, 0, -1, false,
			       intel_nested_batch_next(batch));
}

/* What a device TLB is told is one block, at most all addresses */
static struct block devtlb_block(const struct intel_nested_range *range)
{
	struct block block = { .order = MAX_AGAW_PFN_WIDTH };
	u64 first = range->addr >> VTD_PAGE_SHIFT;

	if (range->pages)
		block = block_around(first, first + range->pages - 1);
	return block;
}

/**
 * intel_nested_batch_devtlb() - Drop a range of requests without a PASID from a
 *                               device TLB
 * @batch: Batch; takes at most two descriptors
 * @info: Device with ATS on
 * @range: Range; its PASID is not looked at
 *
 * Section 6.5.2.5.
 */
void intel_nested_batch_devtlb(struct intel_nested_batch *batch,
			       const struct device_domain_info *info,
			       const struct intel_nested_range *range)
{
	struct block block = devtlb_block(range);
	int i;

	for (i = 0; i <= info->dtlb_extra_inval; i++)
		qi_desc_dev_iotlb(PCI_DEVID(info->bus, info->devfn),
				  info->pfsid, info->ats_qdep, block.addr,
				  block.order, intel_nested_batch_next(batch));
}

/**
 * intel_nested_batch_pasid_devtlb() - Drop a range of a PASID from a device TLB
 * @batch: Batch; takes at most two descriptors
 * @info: Device with ATS and PASIDs on
 * @pasid: PASID
 * @range: Range; its own PASID is not looked at
 *
 * Section 6.5.2.6.
 */
void intel_nested_batch_pasid_devtlb(struct intel_nested_batch *batch,
				     const struct device_domain_info *info,
				     u32 pasid,
				     const struct intel_nested_range *range)
{
	struct block block = devtlb_block(range);
	int i;

	for (i = 0; i <= info->dtlb_extra_inval; i++)
		qi_desc_dev_iotlb_pasid(PCI_DEVID(info->bus, info->devfn),
					info->pfsid, pasid, info->ats_qdep,
					block.addr, block.order,
					intel_nested_batch_next(batch));
}
