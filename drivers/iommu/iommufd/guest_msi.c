// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bindings of guest MSI doorbells: which device and which nesting parent they
 * belong to, and the range of the IOAS that they reserve
 */
#include <linux/iommu-guest-msi.h>

#include "iommufd_private.h"

/**
 * struct iommufd_guest_msi - What IOMMU_GUEST_MSI_BIND made
 * @item: In the guest_msis of the context
 * @idev: Device; releases its bindings when it is destroyed
 * @parent: Nesting parent; does the same
 * @msi: Binding of the core, or NULL where the hardware takes MSIs
 * @iova: gIOVA, which names the binding
 */
struct iommufd_guest_msi {
	struct list_head item;
	struct iommufd_device *idev;
	struct iommufd_hwpt_paging *parent;
	struct iommu_guest_msi *msi;
	u64 iova;
};

/**
 * iommufd_guest_msi_claim() - Let the core look after the MSIs of a device
 * @igroup: Group of the device: its lock is held while something is attached
 * @dev: Device that is being bound
 *
 * Return: 0 or -ENOMEM
 */
int iommufd_guest_msi_claim(struct iommufd_group *igroup, struct device *dev)
{
	int rc;

	mutex_lock(&igroup->lock);
	rc = iommu_guest_msi_claim(dev);
	/* User space has moved it already, by another device of the group */
	if (!rc && igroup->sw_msi_size)
		iommu_guest_msi_move_window(igroup->group,
					    igroup->sw_msi_start);
	mutex_unlock(&igroup->lock);
	return rc;
}

/**
 * iommufd_guest_msi_unclaim() - Undo iommufd_guest_msi_claim()
 * @igroup: Group of the device
 * @dev: Device that is being unbound; without bindings
 */
void iommufd_guest_msi_unclaim(struct iommufd_group *igroup, struct device *dev)
{
	mutex_lock(&igroup->lock);
	iommu_guest_msi_unclaim(dev);
	mutex_unlock(&igroup->lock);
}

static struct iommufd_guest_msi *
iommufd_guest_msi_find(const struct iommufd_device *idev, u64 iova)
{
	struct iommufd_guest_msi *guest_msi;

	lockdep_assert_held(&idev->ictx->guest_msi_lock);

	list_for_each_entry(guest_msi, &idev->ictx->guest_msis, item)
		if (guest_msi->idev == idev && guest_msi->iova == iova)
			return guest_msi;
	return NULL;
}

static int iommufd_guest_msi_add(struct iommufd_device *idev,
				 struct iommufd_hwpt_paging *parent,
				 const struct iommu_guest_msi_window *window)
{
	struct iommu_domain *domain = parent->common.domain;
	struct iommufd_guest_msi *guest_msi;
	int kind, rc;

	kind = iommu_guest_msi_kind(domain, idev->dev, window);
	if (kind < 0)
		return kind;
	if (iommufd_guest_msi_find(idev, window->iova))
		return -EEXIST;

	guest_msi = kzalloc(sizeof(*guest_msi), GFP_KERNEL_ACCOUNT);
	if (!guest_msi)
		return -ENOMEM;
	guest_msi->idev = idev;
	guest_msi->parent = parent;
	guest_msi->iova = window->iova;

	if (kind == IOMMU_GUEST_MSI_MAPPED) {
		rc = iopt_reserve_guest_msi(&parent->ioas->iopt, window->gpa,
					    window->gpa + window->length - 1,
					    guest_msi);
		if (rc)
			goto out_free;
		guest_msi->msi = iommu_bind_guest_msi(domain, idev->dev, window);
		if (IS_ERR(guest_msi->msi)) {
			rc = PTR_ERR(guest_msi->msi);
			goto out_unreserve;
		}
	}
	list_add(&guest_msi->item, &idev->ictx->guest_msis);
	return 0;

out_unreserve:
	iopt_remove_reserved_iova(&parent->ioas->iopt, guest_msi);
out_free:
	kfree(guest_msi);
	return rc;
}

/* The core's part is gone already */
static void iommufd_guest_msi_free(struct iommufd_guest_msi *guest_msi)
{
	iopt_remove_reserved_iova(&guest_msi->parent->ioas->iopt, guest_msi);
	list_del(&guest_msi->item);
	kfree(guest_msi);
}

/**
 * iommufd_guest_msi_bind() - ioctl(IOMMU_GUEST_MSI_BIND)
 * @ucmd: The user's struct iommu_guest_msi_bind
 *
 * Return: 0 or an errno that the structure lists.
 */
int iommufd_guest_msi_bind(struct iommufd_ucmd *ucmd)
{
	struct iommu_guest_msi_bind *cmd = ucmd->cmd;
	struct iommu_guest_msi_window window = {
		.iova = cmd->iova,
		.gpa = cmd->gpa,
		.length = cmd->length,
	};
	struct iommufd_hwpt_paging *parent = NULL;
	struct iommufd_device *idev;
	int rc;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;

	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	/* What is attached keeps the parent, and stays while the group is locked */
	mutex_lock(&idev->igroup->lock);
	if (idev->igroup->hwpt)
		parent = find_hwpt_paging(idev->igroup->hwpt);
	if (parent && parent->nest_parent) {
		mutex_lock(&ucmd->ictx->guest_msi_lock);
		rc = iommufd_guest_msi_add(idev, parent, &window);
		mutex_unlock(&ucmd->ictx->guest_msi_lock);
	} else {
		rc = -EINVAL;
	}
	mutex_unlock(&idev->igroup->lock);

	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

/**
 * iommufd_guest_msi_unbind() - ioctl(IOMMU_GUEST_MSI_UNBIND)
 * @ucmd: The user's struct iommu_guest_msi_unbind
 *
 * Return: 0 or an errno that the structure lists.
 */
int iommufd_guest_msi_unbind(struct iommufd_ucmd *ucmd)
{
	struct iommu_guest_msi_unbind *cmd = ucmd->cmd;
	struct iommufd_guest_msi *guest_msi;
	struct iommufd_device *idev;
	int rc = 0;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;

	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	mutex_lock(&ucmd->ictx->guest_msi_lock);
	guest_msi = iommufd_guest_msi_find(idev, cmd->iova);
	if (!guest_msi)
		rc = -ENOENT;
	else if (guest_msi->msi)
		rc = iommu_unbind_guest_msi(guest_msi->msi);
	if (!rc)
		iommufd_guest_msi_free(guest_msi);
	mutex_unlock(&ucmd->ictx->guest_msi_lock);

	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

static void iommufd_guest_msi_release(struct iommufd_ctx *ictx,
				      const struct iommufd_device *idev,
				      const struct iommufd_hwpt_paging *parent)
{
	struct iommufd_guest_msi *guest_msi, *next;

	mutex_lock(&ictx->guest_msi_lock);
	list_for_each_entry_safe(guest_msi, next, &ictx->guest_msis, item) {
		if (guest_msi->idev != idev && guest_msi->parent != parent)
			continue;
		if (guest_msi->msi)
			iommu_release_guest_msi(guest_msi->msi);
		iommufd_guest_msi_free(guest_msi);
	}
	mutex_unlock(&ictx->guest_msi_lock);
}

/**
 * iommufd_guest_msi_release_device() - End the bindings of a device
 * @idev: Device that is being destroyed
 */
void iommufd_guest_msi_release_device(struct iommufd_device *idev)
{
	iommufd_guest_msi_release(idev->ictx, idev, NULL);
}

/**
 * iommufd_guest_msi_release_parent() - End the bindings in a nesting parent
 * @parent: HWPT that is being destroyed
 */
void iommufd_guest_msi_release_parent(struct iommufd_hwpt_paging *parent)
{
	iommufd_guest_msi_release(parent->ictx, NULL, parent);
}
