/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where IOMMUs differ, for tests that are the same for all of them. A case that
 * has no meaning on an IOMMU is left out of the build there.
 *
 *   S1_SUPPORTED	whether there is a header for its tables
 *   S1_GRANULES	sizes of a guest's pages, as a mask
 *   S1_BIG_GRANULE_LOG2	the largest of them
 *   S1_LAST		the last gIOVA that a table can map
 *   S1_TAG		the flag by which a request names an address space
 *   S1_HAS_ASIDS	whether it does so by an ID that the guest chose
 *   S1_EXACT		how many scattered requests of a call are certain to
 *			leave everything else in the cache
 *   S1_FORMAT		whose tables they are, to the kernel
 *   S1_INFO_TYPE	what IOMMU_GET_HW_INFO tells
 *   S1_USES_ATS		whether the guest uses ATS where its device has it; all that
 *			is dropped from the IOTLB then goes from the device TLB too
 *   EDU_PASIDS		defined if edu devices have PASIDs there
 *   S2_READ_ONLY	defined if a nesting parent may hold read-only mappings
 *   LOG_FAULT		in a line of the kernel log about a fault that is the
 *			host's business
 *   s1_spoil(req)	make a good request bad so that only the driver can see;
 *			returns the errno that is due
 *   OTHER_...		the same of an IOMMU that is none of the machine's
 */
#ifndef __NESTED_VENDOR_H
#define __NESTED_VENDOR_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include <linux/iommufd.h>

#if defined(__x86_64__) && !defined(NESTED_VIOMMU)	/* VT-d */

#define S1_SUPPORTED		1
#define S1_GRANULES		0x1000
#define S1_BIG_GRANULE_LOG2	12
/* Addresses are canonical */
#define S1_LAST			(~0ULL)
#define S1_TAG			IOMMU_PASID_TABLE_INV_PASID
#define S1_HAS_ASIDS		false
#define S1_USES_ATS		true
#define S1_EXACT		16
#define S1_FORMAT		IOMMU_PASID_TABLE_VTD
#define S1_INFO_TYPE		IOMMU_HW_INFO_TYPE_INTEL_VTD
#define EDU_PASIDS
#define LOG_FAULT		"] Request device ["
#define OTHER_FORMAT		IOMMU_PASID_TABLE_SMMUV3
#define OTHER_INFO_TYPE		IOMMU_HW_INFO_TYPE_ARM_SMMUV3
#define OTHER_DATA_TYPE		IOMMU_HWPT_DATA_ARM_SMMUV3

static inline int s1_spoil(struct iommu_hwpt_pasid_table_invalidate *req)
{
	req->flags |= IOMMU_PASID_TABLE_INV_ARCHID;
	return -EOPNOTSUPP;
}

#else	/* SMMUv3, or not supported */

#ifdef __aarch64__
#define S1_SUPPORTED		1
#else
#define S1_SUPPORTED		0
#endif
#define S1_GRANULES		0x15000
#define S1_BIG_GRANULE_LOG2	16
#define S1_LAST			0xffffffffffffULL
#define S1_TAG			IOMMU_PASID_TABLE_INV_ARCHID
#define S1_HAS_ASIDS		true
#define S1_USES_ATS		false
#define S1_EXACT		INT_MAX
#define S1_FORMAT		IOMMU_PASID_TABLE_SMMUV3
#define S1_INFO_TYPE		IOMMU_HW_INFO_TYPE_ARM_SMMUV3
#define S2_READ_ONLY
#define LOG_FAULT		": event 0x"
#define OTHER_FORMAT		IOMMU_PASID_TABLE_VTD
#define OTHER_INFO_TYPE		IOMMU_HW_INFO_TYPE_INTEL_VTD
#define OTHER_DATA_TYPE		IOMMU_HWPT_DATA_VTD_S1

static inline int s1_spoil(struct iommu_hwpt_pasid_table_invalidate *req)
{
	req->archid = 0x10000;
	return -EINVAL;
}

#endif

#endif
