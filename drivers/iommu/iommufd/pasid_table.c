// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested HWPTs of a guest's PASID table: user copies only. What the values mean
 * is checked by the core and the IOMMU driver.
 */
#include <linux/iommu-pasid-table.h>

#include "iommufd_private.h"
#include "user_data.h"

/**
 * iommufd_pasid_table_alloc() - Copy a table's configuration from the user
 * @dev: Device that the table is meant for
 * @hwpt: HWPT that it is for; has its parent
 * @user_data: The user's struct iommu_hwpt_pasid_table
 *
 * Return: the domain of the table, or an errno of iommufd_copy_user_data() or
 * iommu_pasid_table_alloc().
 */
struct iommu_domain *
iommufd_pasid_table_alloc(struct device *dev, struct iommufd_hwpt_nested *hwpt,
			  const struct iommu_user_data *user_data)
{
	struct iommu_hwpt_pasid_table config;
	int rc;

	rc = iommufd_copy_user_data(&config, sizeof(config), user_data);
	if (rc)
		return ERR_PTR(rc);
	iommufd_guest_memory_init(hwpt);
	return iommu_pasid_table_alloc(dev, hwpt->parent->common.domain,
				       &config, &hwpt->memory);
}

/**
 * iommufd_pasid_table_invalidate() - Invalidate for a HWPT of a PASID table
 * @domain: Domain of the HWPT
 * @array: The user's requests; entry_num returns how many are complete
 *
 * Return: 0 or an errno of iommufd_inv_source_init() or iommu_cache_invalidate().
 */
int iommufd_pasid_table_invalidate(struct iommu_domain *domain,
				   struct iommu_user_data_array *array)
{
	const size_t least = sizeof(struct iommu_hwpt_pasid_table_invalidate);
	struct iommufd_inv_source src;
	u32 done = 0;
	int rc;

	rc = iommufd_inv_source_init(&src, array,
				     IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
				     least);
	if (!rc && src.source.left)
		rc = iommu_cache_invalidate(domain, &src.source, &done);
	array->entry_num = done;
	return rc;
}
