/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors for the translations that a guest wants dropped: ranges are
 * collected first, then turned into descriptors for each user of a first stage,
 * with one wait. References are to the VT-d specification.
 */
#ifndef __INTEL_NESTED_BATCH_H
#define __INTEL_NESTED_BATCH_H

#include "iommu.h"

/* A quarter of the queue, so that a guest leaves room for others */
#define INTEL_NESTED_DESCS	(QI_LENGTH / 4)

/* Different ranges of one call; more become an invalidation of everything */
#define INTEL_NESTED_RANGES	32

/**
 * struct intel_nested_range - Translations to drop
 * @addr: First address, a multiple of 4096
 * @pages: Number of pages of 4096 bytes, or 0 for everything of the PASID
 * @pasid: PASID that they belong to
 * @caches: Combination of enum iommu_pasid_table_inv_caches, without the PASID
 *          cache
 * @leaf: No entry above the last level has changed
 */
struct intel_nested_range {
	u64 addr;
	u64 pages;
	u32 pasid;
	u8 caches;
	bool leaf;
};

/**
 * struct intel_nested_ranges - What one call drops
 * @nr: Number of @range
 * @all: Caches to drop everything from, instead of @range
 * @range: Ranges
 */
struct intel_nested_ranges {
	u32 nr;
	u8 all;
	struct intel_nested_range range[INTEL_NESTED_RANGES];
};

/**
 * struct intel_nested_batch - Descriptors for one wait
 * @iommu: IOMMU that they are for
 * @nr: Number of @desc
 * @error: Errno of the first submission that failed, or 0
 * @desc: Descriptors
 */
struct intel_nested_batch {
	struct intel_iommu *iommu;
	u32 nr;
	int error;
	struct qi_desc desc[INTEL_NESTED_DESCS];
};

void intel_nested_ranges_add(struct intel_nested_ranges *ranges,
			     const struct intel_nested_range *range);
void intel_nested_batch_init(struct intel_nested_batch *batch,
			     struct intel_iommu *iommu);
struct qi_desc *intel_nested_batch_next(struct intel_nested_batch *batch);
int intel_nested_batch_sync(struct intel_nested_batch *batch);
void intel_nested_batch_domain(struct intel_nested_batch *batch, u16 did);
void intel_nested_batch_piotlb(struct intel_nested_batch *batch, u16 did,
			       u32 pasid,
			       const struct intel_nested_range *range);
void intel_nested_batch_devtlb(struct intel_nested_batch *batch,
			       const struct device_domain_info *info,
			       const struct intel_nested_range *range);
void intel_nested_batch_pasid_devtlb(struct intel_nested_batch *batch,
				     const struct device_domain_info *info,
				     u32 pasid,
				     const struct intel_nested_range *range);
#endif
