// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested HWPTs of a guest's PASID table: user copies only. What the values mean
 * is checked by the core and the IOMMU driver.
 */
#include <linux/iommu-pasid-table.h>

#include "inv_source.h"
#include "iommufd_private.h"

/**
 * iommufd_pasid_table_alloc() - Copy a table's configuration from the user
 * @dev: Device that the table is meant for
 * @hwpt: HWPT that it is for; has its parent
 * @user_data: The user's struct iommu_hwpt_pasid_table
 *
 * Return: the domain of the table, or
 *
 * * ERR_PTR(-EINVAL): too short
 * * ERR_PTR(-E2BIG): longer than known and the tail not 0, or beyond a page
 * * ERR_PTR(-EFAULT): not readable
 * * an errno of iommu_pasid_table_alloc()
 */
struct iommu_domain *
iommufd_pasid_table_alloc(struct device *dev, struct iommufd_hwpt_nested *hwpt,
			  const struct iommu_user_data *user_data)
{
	struct iommu_hwpt_pasid_table config;
	int rc;

	if (user_data->len < sizeof(config))
		return ERR_PTR(-EINVAL);
	/* Bounds the search for a non-zero tail */
	if (user_data->len > PAGE_SIZE)
		return ERR_PTR(-E2BIG);
	rc = copy_struct_from_user(&config, sizeof(config), user_data->uptr,
				   user_data->len);
	if (rc)
		return ERR_PTR(rc);
	hwpt->memory.read = iommufd_guest_memory_read;
	return iommu_pasid_table_alloc(dev, hwpt->parent->common.domain,
				       &config, &hwpt->memory);
}

static int iommufd_inv_fetch(struct iommu_inv_source *source, void *entries,
			     size_t size, u32 max)
{
	struct iommufd_inv_source *src =
		container_of(source, struct iommufd_inv_source, source);
	u32 nr = min(source->left, max);
	int rc;

	/* The entries in front of an unreadable one still count */
	if (src->entry_len != size ||
	    copy_from_user(entries, src->uptr, nr * size)) {
		rc = copy_struct_from_user(entries, size, src->uptr,
					   src->entry_len);
		if (rc)
			return rc;
		nr = 1;
	}
	src->uptr += nr * src->entry_len;
	source->left -= nr;
	return nr;
}

/**
 * iommufd_inv_source_init() - Read the entries of an invalidation
 * @src: Returns the source for the core
 * @array: The user's entries
 */
void iommufd_inv_source_init(struct iommufd_inv_source *src,
			     const struct iommu_user_data_array *array)
{
	src->source.left = array->entry_num;
	src->source.fetch = iommufd_inv_fetch;
	src->uptr = array->uptr;
	src->entry_len = array->entry_len;
}

/**
 * iommufd_pasid_table_invalidate() - Invalidate for a HWPT of a PASID table
 * @domain: Domain of the HWPT
 * @array: The user's requests; entry_num returns how many are complete
 *
 * Return: 0 or an errno of iommu_cache_invalidate().
 */
int iommufd_pasid_table_invalidate(struct iommu_domain *domain,
				   struct iommu_user_data_array *array)
{
	struct iommufd_inv_source src;
	u32 done = 0;
	int rc = 0;

	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE) {
		rc = -EINVAL;
	} else if (array->entry_num &&
		   array->entry_len <
			   sizeof(struct iommu_hwpt_pasid_table_invalidate)) {
		rc = -EINVAL;
	} else if (array->entry_num) {
		iommufd_inv_source_init(&src, array);
		rc = iommu_cache_invalidate(domain, &src.source, &done);
	}
	array->entry_num = done;
	return rc;
}
