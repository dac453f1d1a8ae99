/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the entries of IOMMU_HWPT_INVALIDATE come from
 */
#ifndef __IOMMUFD_INV_SOURCE_H
#define __IOMMUFD_INV_SOURCE_H

#include <linux/iommu-pasid-table.h>

/**
 * struct iommufd_inv_source - Entries of an invalidation in the user's memory
 * @source: For the core
 * @uptr: The next entry
 * @entry_len: Size of the user's entries in bytes
 */
struct iommufd_inv_source {
	struct iommu_inv_source source;
	void __user *uptr;
	size_t entry_len;
};

void iommufd_inv_source_init(struct iommufd_inv_source *src,
			     const struct iommu_user_data_array *array);

#endif
