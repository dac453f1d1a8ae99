/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mock driver and its part for PASID tables know of each other
 */
#ifndef __IOMMUFD_SELFTEST_PASID_TABLE_H
#define __IOMMUFD_SELFTEST_PASID_TABLE_H

#include <linux/iommu-pasid-table.h>

/**
 * struct mock_pasid_table_dev - A mock device as the mock IOMMU sees it
 * @attaches: How often a table was attached to it
 * @detaches: How often one was detached from it
 * @requests: Number of the user's invalidation requests that reached it
 * @hash: FNV-1a over all of these requests, in their order; ranges that follow
 *        each other count as one, however the core hands them over
 * @range: Range that is not in @hash yet, for the next one may continue it
 * @fail_op: What fails next, of enum mock_pasid_table_fail, or 0
 * @fail_after: Number of requests that succeed before
 * @fail_errno: Positive errno
 */
struct mock_pasid_table_dev {
	u32 attaches;
	u32 detaches;
	u32 requests;
	u64 hash;
	struct iommu_hwpt_pasid_table_invalidate range;
	u32 fail_op;
	u32 fail_after;
	u32 fail_errno;
};

struct iommufd_ucmd;

extern const struct iommu_pasid_table_ops mock_pasid_table_ops;

/* In selftest.c */
struct mock_pasid_table_dev *iommufd_test_pasid_table_dev(struct device *dev);

struct iommu_pasid_table *mock_attached_table(struct device *dev);
void iommufd_test_pasid_table_init(struct device *dev);
void iommufd_test_pasid_table_release(struct device *dev);
int iommufd_test_pasid_table(struct iommufd_ucmd *ucmd);

#endif
