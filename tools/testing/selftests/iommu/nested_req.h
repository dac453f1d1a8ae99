/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Invalidation requests, under short names
 */
#ifndef __NESTED_REQ_H
#define __NESTED_REQ_H

#include "nested_vendor.h"

/* How the guest of a test tags its translations, where it is the guest who does */
#define TAG		0x17
/* What a request has of it */
#define ARCHID		(S1_HAS_ASIDS ? TAG : 0)

#define INV_IOTLB	IOMMU_PASID_TABLE_INV_IOTLB
#define INV_DEV_TLB	IOMMU_PASID_TABLE_INV_DEV_TLB
#define INV_PASID_CACHE	IOMMU_PASID_TABLE_INV_PASID_CACHE
#define INV_ALL		(INV_IOTLB | INV_DEV_TLB | INV_PASID_CACHE)

#define INV_LEAF	IOMMU_PASID_TABLE_INV_LEAF
#define INV_PASID	IOMMU_PASID_TABLE_INV_PASID
/* The address space that requests without a PASID use, as the vendor names it */
#define INV_TAG		S1_TAG

/* Everything of the table */
static inline struct iommu_hwpt_pasid_table_invalidate inv_domain(__u32 caches)
{
	return (struct iommu_hwpt_pasid_table_invalidate){
		.caches = caches,
		.granularity = IOMMU_PASID_TABLE_INV_DOMAIN,
	};
}

/* Everything of the guest's tag, or of one PASID */
static inline struct iommu_hwpt_pasid_table_invalidate
inv_one(__u32 flags, __u32 caches)
{
	return (struct iommu_hwpt_pasid_table_invalidate){
		.flags = flags,
		.caches = caches,
		.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID,
		.archid = flags & INV_TAG ? ARCHID : 0,
	};
}

/* A range of addresses */
static inline struct iommu_hwpt_pasid_table_invalidate
inv_addr(__u32 flags, unsigned int granule_log2, __u64 addr, __u64 nb_granules)
{
	return (struct iommu_hwpt_pasid_table_invalidate){
		.flags = flags,
		.caches = INV_IOTLB,
		.granularity = IOMMU_PASID_TABLE_INV_ADDR,
		.archid = flags & INV_TAG ? ARCHID : 0,
		.granule_log2 = granule_log2,
		.addr = addr,
		.nb_granules = nb_granules,
	};
}

#endif
