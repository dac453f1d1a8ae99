// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of what a user hands in for a type of data, as long as the user says it
 * is: both may know a longer or a shorter structure than the other.
 */
#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "iommufd_private.h"
#include "user_data.h"

/**
 * iommufd_copy_user_data() - Copy a structure from the user
 * @data: Returns the structure
 * @len: Its size in bytes
 * @user_data: The user's
 *
 * Return: 0, or
 *
 * * -EINVAL: too short
 * * -E2BIG: longer than known and the tail not 0, or beyond a page
 * * -EFAULT: not readable
 */
int iommufd_copy_user_data(void *data, size_t len,
			   const struct iommu_user_data *user_data)
{
	if (user_data->len < len)
		return -EINVAL;
	/* Bounds the search for a non-zero tail */
	if (user_data->len > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(data, len, user_data->uptr,
				     user_data->len);
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
 * @src: Returns the source for the core; without entries there is nothing to do
 * @array: The user's entries
 * @type: Type that they have to have
 * @least: Size in bytes that they have at least
 *
 * Return: 0, or -EINVAL for another type or entries that are too short.
 */
int iommufd_inv_source_init(struct iommufd_inv_source *src,
			    const struct iommu_user_data_array *array,
			    u32 type, size_t least)
{
	if (array->type != type)
		return -EINVAL;
	if (array->entry_num && array->entry_len < least)
		return -EINVAL;
	src->source.left = array->entry_num;
	src->source.fetch = iommufd_inv_fetch;
	src->uptr = array->uptr;
	src->entry_len = array->entry_len;
	return 0;
}
