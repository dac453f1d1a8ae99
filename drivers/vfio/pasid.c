// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach the PASIDs of a device to address spaces of its iommufd
 */
#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "vfio.h"

/**
 * vfio_iommufd_physical_pasid_attach_ioas() - vfio_device_ops.pasid_attach_ioas
 *                                             of a physical device
 * @vdev: Device, bound to an iommufd; the caller has locked its dev_set
 * @pasid: PASID
 * @pt_id: HWPT in the iommufd
 *
 * Return: 0, or an errno of iommufd_device_attach_pasid().
 */
int vfio_iommufd_physical_pasid_attach_ioas(struct vfio_device *vdev, u32 pasid,
					    u32 pt_id)
{
	lockdep_assert_held(&vdev->dev_set->lock);

	if (WARN_ON(!vdev->iommufd_device))
		return -EINVAL;
	return iommufd_device_attach_pasid(vdev->iommufd_device, pasid, pt_id);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_pasid_attach_ioas);

/**
 * vfio_iommufd_physical_pasid_detach_ioas() - vfio_device_ops.pasid_detach_ioas
 *                                             of a physical device
 * @vdev: Device, bound to an iommufd; the caller has locked its dev_set
 * @pasid: PASID, attached or not
 *
 * vfio_iommufd_physical_unbind() does it for all PASIDs.
 */
void vfio_iommufd_physical_pasid_detach_ioas(struct vfio_device *vdev,
					     u32 pasid)
{
	lockdep_assert_held(&vdev->dev_set->lock);

	if (WARN_ON(!vdev->iommufd_device))
		return;
	iommufd_device_detach_pasid(vdev->iommufd_device, pasid);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_pasid_detach_ioas);

/**
 * vfio_df_attach_pasid() - VFIO_DEVICE_ATTACH_IOMMUFD_PT with a PASID
 * @df: The opened device
 * @arg: The user's argument, nothing of which is checked
 *
 * Return: 0, or the errnos that struct vfio_device_attach_iommufd_pt lists.
 */
int vfio_df_attach_pasid(struct vfio_device_file *df,
			 struct vfio_device_attach_iommufd_pt __user *arg)
{
	struct vfio_device *device = df->device;
	struct vfio_device_attach_iommufd_pt attach;
	int ret;

	if (get_user(attach.argsz, &arg->argsz))
		return -EFAULT;
	if (attach.argsz < offsetofend(typeof(attach), pasid))
		return -EINVAL;
	if (copy_from_user(&attach, arg, offsetofend(typeof(attach), pasid)))
		return -EFAULT;
	if (attach.flags != VFIO_DEVICE_ATTACH_PASID)
		return -EINVAL;
	if (!device->ops->pasid_attach_ioas)
		return -EOPNOTSUPP;

	mutex_lock(&device->dev_set->lock);
	ret = device->ops->pasid_attach_ioas(device, attach.pasid,
					     attach.pt_id);
	mutex_unlock(&device->dev_set->lock);
	return ret;
}

/**
 * vfio_df_detach_pasid() - VFIO_DEVICE_DETACH_IOMMUFD_PT with a PASID
 * @df: The opened device
 * @arg: The user's argument, nothing of which is checked
 *
 * Return: 0, or the errnos that struct vfio_device_detach_iommufd_pt lists.
 */
int vfio_df_detach_pasid(struct vfio_device_file *df,
			 struct vfio_device_detach_iommufd_pt __user *arg)
{
	struct vfio_device *device = df->device;
	struct vfio_device_detach_iommufd_pt detach;

	if (get_user(detach.argsz, &arg->argsz))
		return -EFAULT;
	if (detach.argsz < offsetofend(typeof(detach), pasid))
		return -EINVAL;
	if (copy_from_user(&detach, arg, offsetofend(typeof(detach), pasid)))
		return -EFAULT;
	if (detach.flags != VFIO_DEVICE_DETACH_PASID)
		return -EINVAL;
	if (!device->ops->pasid_detach_ioas)
		return -EOPNOTSUPP;

	mutex_lock(&device->dev_set->lock);
	device->ops->pasid_detach_ioas(device, detach.pasid);
	mutex_unlock(&device->dev_set->lock);
	return 0;
}
