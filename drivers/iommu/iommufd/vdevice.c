// SPDX-License-Identifier: GPL-2.0-only
/*
 * vDEVICE objects: what a guest calls a device behind its vIOMMU.
 *
 * The name lasts until it is destroyed or the device is unbound, whichever comes
 * first. It does not hold the device: a VMM that is killed unbinds it while the
 * name still exists. What is left then is an ID that stands for nothing.
 */
#include <linux/iommu-viommu.h>

#include "iommufd_private.h"
#include "viommu.h"

int iommufd_vdevice_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_vdevice_alloc *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
	struct iommufd_vdevice *vdev;
	int rc;

	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	/* Keeps the device bound until the name is complete */
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev)) {
		rc = PTR_ERR(idev);
		goto out_put_viommu;
	}

	vdev = iommufd_object_alloc(ictx, vdev, IOMMUFD_OBJ_VDEVICE);
	if (IS_ERR(vdev)) {
		rc = PTR_ERR(vdev);
		goto out_put_idev;
	}
	vdev->ictx = ictx;
	vdev->core.viommu = viommu->core;
	vdev->core.dev = idev->dev;
	vdev->core.virt_id = cmd->virt_id;
	rc = iommu_vdevice_connect(&vdev->core);
	if (rc) {
		iommufd_object_abort(ictx, &vdev->obj);
		goto out_put_idev;
	}
	refcount_inc(&viommu->obj.users);
	mutex_lock(&ictx->vdevice_lock);
	vdev->viommu = viommu;
	vdev->idev = idev;
	idev->vdev = vdev;
	mutex_unlock(&ictx->vdevice_lock);

	cmd->out_vdevice_id = vdev->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_object_abort_and_destroy(ictx, &vdev->obj);
	else
		iommufd_object_finalize(ictx, &vdev->obj);

out_put_idev:
	iommufd_put_object(ictx, &idev->obj);
out_put_viommu:
	iommufd_put_object(ictx, &viommu->obj);
	return rc;
}

static void iommufd_vdevice_disconnect(struct iommufd_vdevice *vdev)
{
	lockdep_assert_held(&vdev->ictx->vdevice_lock);

	iommu_vdevice_disconnect(&vdev->core);
	vdev->idev->vdev = NULL;
	vdev->idev = NULL;
	refcount_dec(&vdev->viommu->obj.users);
}

void iommufd_vdevice_destroy(struct iommufd_object *obj)
{
	struct iommufd_vdevice *vdev =
		container_of(obj, struct iommufd_vdevice, obj);

	mutex_lock(&vdev->ictx->vdevice_lock);
	if (vdev->idev)
		iommufd_vdevice_disconnect(vdev);
	mutex_unlock(&vdev->ictx->vdevice_lock);
}

/**
 * iommufd_vdevice_check_attach() - Whether a device may be attached to a HWPT
 * @idev: Device
 * @hwpt: Any HWPT that the device is not attached to
 *
 * Return: 0, or -ENOENT if the device needs a name that it does not have.
 */
int iommufd_vdevice_check_attach(struct iommufd_device *idev,
				 struct iommufd_hw_pagetable *hwpt)
{
	return iommu_viommu_may_attach(hwpt->domain, idev->dev);
}

/**
 * iommufd_vdevice_unbind() - A device is about to be unbound
 * @idev: Device that no ioctl uses any more
 */
void iommufd_vdevice_unbind(struct iommufd_device *idev)
{
	mutex_lock(&idev->ictx->vdevice_lock);
	if (idev->vdev)
		iommufd_vdevice_disconnect(idev->vdev);
	mutex_unlock(&idev->ictx->vdevice_lock);
}
