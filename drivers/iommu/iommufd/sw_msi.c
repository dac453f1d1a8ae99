// SPDX-License-Identifier: GPL-2.0-only
/*
 * The software MSI window of a device: where the physical doorbells appear in
 * an IOAS without any binding
 */
#include <linux/iommu-guest-msi.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

/* The window that the IOMMU driver gives to the device */
static int iommufd_sw_msi_default(struct device *dev, u64 *start, u64 *size)
{
	struct iommu_resv_region *region;
	int rc = -EOPNOTSUPP;
	LIST_HEAD(regions);

	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		if (region->type != IOMMU_RESV_SW_MSI)
			continue;
		*start = region->start;
		*size = region->length;
		rc = 0;
	}
	iommu_put_resv_regions(dev, &regions);
	return rc;
}

/**
 * iommufd_sw_msi_check() - Can a group have its window in a HWPT?
 * @igroup: Group that is about to be attached; locked
 * @hwpt_paging: HWPT that translates its MSIs
 *
 * Return: 0, or -EINVAL if the HWPT has another window, or does not reach as far
 * as the window that user space has chosen for the group.
 */
int iommufd_sw_msi_check(const struct iommufd_group *igroup,
			 const struct iommufd_hwpt_paging *hwpt_paging)
{
	const struct iommu_domain_geometry *geometry =
		&hwpt_paging->common.domain->geometry;
	u64 start = igroup->sw_msi_start;

	if (igroup->sw_msi_start == PHYS_ADDR_MAX)
		return 0;
	if (hwpt_paging->msi_cookie)
		return hwpt_paging->sw_msi_start == start ? 0 : -EINVAL;
	if (igroup->sw_msi_size &&
	    (start < geometry->aperture_start ||
	     start > geometry->aperture_end ||
	     igroup->sw_msi_size - 1 > geometry->aperture_end - start))
		return -EINVAL;
	return 0;
}

static int iommufd_sw_msi_move(struct iommufd_group *igroup, u64 start,
			       u64 size)
{
	lockdep_assert_held(&igroup->lock);

	/* 0 is no address for dma-iommu */
	if (!start || !PAGE_ALIGNED(start) || start > PHYS_ADDR_MAX - size)
		return -EINVAL;
	if (igroup->hwpt)
		return -EBUSY;
	igroup->sw_msi_start = start;
	igroup->sw_msi_size = size;
	iommu_guest_msi_move_window(igroup->group, start);
	return 0;
}

/**
 * iommufd_option_sw_msi() - IOMMU_OPTION_SW_MSI_START, IOMMU_OPTION_SW_MSI_SIZE
 * @ucmd: The user's struct iommu_option; val64 returns the value of a get
 *
 * Return: 0, -ENOENT if the object is no device, or an errno that enum
 * iommufd_option lists.
 */
int iommufd_option_sw_msi(struct iommufd_ucmd *ucmd)
{
	struct iommu_option *cmd = ucmd->cmd;
	struct iommufd_group *igroup;
	struct iommufd_device *idev;
	u64 start, size;
	int rc;

	idev = iommufd_get_device(ucmd, cmd->object_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	igroup = idev->igroup;

	rc = iommufd_sw_msi_default(idev->dev, &start, &size);
	if (rc)
		goto out_put;

	mutex_lock(&igroup->lock);
	if (igroup->sw_msi_start != PHYS_ADDR_MAX)
		start = igroup->sw_msi_start;
	if (cmd->op == IOMMU_OPTION_OP_GET)
		cmd->val64 = cmd->option_id == IOMMU_OPTION_SW_MSI_SIZE ?
				     size : start;
	else if (cmd->op == IOMMU_OPTION_OP_SET &&
		 cmd->option_id == IOMMU_OPTION_SW_MSI_START)
		rc = iommufd_sw_msi_move(igroup, cmd->val64, size);
	else
		rc = -EOPNOTSUPP;
	mutex_unlock(&igroup->lock);
out_put:
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}
