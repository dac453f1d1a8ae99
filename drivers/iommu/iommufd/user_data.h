/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Structures and arrays of them that a user hands in for a type of data
 */
#ifndef __IOMMUFD_USER_DATA_H
#define __IOMMUFD_USER_DATA_H

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

int iommufd_copy_user_data(void *data, size_t len,
			   const struct iommu_user_data *user_data);
int iommufd_inv_source_init(struct iommufd_inv_source *src,
			    const struct iommu_user_data_array *array,
			    u32 type, size_t least);

#endif
