// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translations of requests with a PASID
 *
 * What a PASID is attached to belongs to the device that attached it, until it
 * is detached or the device is gone. Devices of one group share their PASIDs, as
 * the core attaches groups: a PASID that one of them has is busy for the others.
 *
 * The reserved regions of a device are those of its requests without a PASID, so
 * an IOAS that only PASIDs use keeps them free for mappings.
 */
#include <linux/iommufd.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

/*
 * PASIDs of a group that are attached at a time. Each may have an address space
 * of its own, whose ID in the IOMMU (a domain ID, an ASID) is one of some ten
 * thousand that all users share, and each is looked at when its address space
 * changes.
 */
#define IOMMUFD_GROUP_PASIDS	512

/*
 * An attached PASID; holds a users reference on the HWPT. Faults find it through
 * to_iommufd_handle().
 */
struct iommufd_pasid {
	struct iommufd_attach_handle handle;
	struct iommufd_device *idev;
	struct iommufd_hw_pagetable *hwpt;
};

/**
 * iommufd_device_has_pasids() - Whether requests of a device can have PASIDs
 * @idev: Device
 *
 * A PCI device may have a PASID capability that could not be turned on, where
 * the fabric could take such a request for one without a PASID.
 *
 * Return: true if PASIDs below dev->iommu->max_pasids can be attached.
 */
bool iommufd_device_has_pasids(const struct iommufd_device *idev)
{
	struct device *dev = idev->dev;

	if (!dev->iommu->max_pasids)
		return false;
	if (!dev_is_pci(dev))
		return true;
#ifdef CONFIG_PCI_PASID
	/* Not what the device says: during a reset it says something else */
	return pci_physfn(to_pci_dev(dev))->pasid_enabled;
#else
	return false;
#endif
}

/**
 * iommufd_pasid_check_flags() - Whether an HWPT for PASIDs may be made
 * @idev: Device that it is made for
 * @flags: Of enum iommufd_hwpt_alloc_flags
 *
 * Return: 0, or -EOPNOTSUPP if @flags ask for PASIDs that the device lacks.
 */
int iommufd_pasid_check_flags(const struct iommufd_device *idev, u32 flags)
{
	if ((flags & IOMMU_HWPT_ALLOC_PASID) &&
	    !iommufd_device_has_pasids(idev))
		return -EOPNOTSUPP;
	return 0;
}

/**
 * iommufd_pasid_check_rid() - Whether requests without a PASID can be attached
 * @igroup: Group that they come from, locked
 * @hwpt: What they are about to be attached to
 *
 * Return: 0, or -EINVAL if PASIDs are attached that @hwpt is not made to go with.
 */
int iommufd_pasid_check_rid(const struct iommufd_group *igroup,
			    const struct iommufd_hw_pagetable *hwpt)
{
	lockdep_assert_held(&igroup->lock);

	return igroup->nr_pasids && !hwpt->pasid_compat ? -EINVAL : 0;
}

/**
 * iommufd_pasid_answer_faults() - Answer what a device reported for PASIDs
 * @idev: Device whose page faults are off by now. Those before came to the HWPTs
 *        that its group has on PASIDs, whichever of its devices attached them.
 */
void iommufd_pasid_answer_faults(struct iommufd_device *idev)
{
	struct iommufd_pasid *attached;
	struct iommufd_device *cur;
	unsigned long pasid;

	lockdep_assert_held(&idev->igroup->lock);

	list_for_each_entry(cur, &idev->igroup->iopf_list, iopf_item)
		xa_for_each(&cur->pasids, pasid, attached)
			if (attached->hwpt->fault)
				iommufd_fault_answer(attached->hwpt->fault,
						     &attached->handle,
						     idev->dev);
}

static struct iommufd_pasid *
iommufd_pasid_alloc(struct iommufd_device *idev,
		    struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_pasid *attached;
	int rc;

	attached = kzalloc(sizeof(*attached), GFP_KERNEL_ACCOUNT);
	if (!attached)
		return ERR_PTR(-ENOMEM);
	if (hwpt->fault) {
		rc = iommufd_fault_iopf_enable(idev);
		if (rc) {
			kfree(attached);
			return ERR_PTR(rc);
		}
	}
	attached->handle.igroup = idev->igroup;
	attached->idev = idev;
	attached->hwpt = hwpt;
	refcount_inc(&hwpt->obj.users);
	return attached;
}

/* Nothing translates through @attached any more, or not yet */
static void iommufd_pasid_free(struct iommufd_pasid *attached)
{
	struct iommufd_device *idev = attached->idev;
	struct iommufd_hw_pagetable *hwpt = attached->hwpt;

	iommufd_auto_response_faults(hwpt, &attached->handle);
	if (hwpt->fault)
		iommufd_fault_iopf_disable(idev);
	iommufd_hw_pagetable_put(idev->ictx, hwpt);
	kfree(attached);
}

static int iommufd_pasid_attach(struct iommufd_device *idev, ioasid_t pasid,
				struct iommufd_pasid *new)
{
	int rc;

	if (idev->igroup->nr_pasids >= IOMMUFD_GROUP_PASIDS)
		return -ENOSPC;
	rc = xa_reserve(&idev->pasids, pasid, GFP_KERNEL_ACCOUNT);
	if (rc)
		return rc;
	rc = iommu_attach_device_pasid(new->hwpt->domain, idev->dev, pasid,
				       &new->handle.handle);
	if (rc) {
		xa_release(&idev->pasids, pasid);
		return rc;
	}
	idev->igroup->nr_pasids++;
	return 0;
}

static int iommufd_pasid_set(struct iommufd_device *idev, ioasid_t pasid,
			     struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_pasid *old, *new;
	int rc;

	lockdep_assert_held(&igroup->lock);

	if (igroup->hwpt && !igroup->hwpt->pasid_compat)
		return -EINVAL;
	old = xa_load(&idev->pasids, pasid);
	if (old && old->hwpt == hwpt)
		return 0;

	new = iommufd_pasid_alloc(idev, hwpt);
	if (IS_ERR(new))
		return PTR_ERR(new);
	if (old)
		rc = iommu_replace_device_pasid(hwpt->domain, idev->dev, pasid,
						&new->handle.handle);
	else
		rc = iommufd_pasid_attach(idev, pasid, new);
	if (rc) {
		iommufd_pasid_free(new);
		return rc;
	}
	/* Takes no memory: the entry exists */
	WARN_ON(xa_is_err(xa_store(&idev->pasids, pasid, new, GFP_KERNEL)));
	if (old)
		iommufd_pasid_free(old);
	return 0;
}

static int iommufd_pasid_set_object(struct iommufd_device *idev, ioasid_t pasid,
				    struct iommufd_object *obj)
{
	struct iommufd_hw_pagetable *hwpt;
	int rc;

	if (obj->type != IOMMUFD_OBJ_HWPT_PAGING &&
	    obj->type != IOMMUFD_OBJ_HWPT_NESTED)
		return -EINVAL;
	hwpt = container_of(obj, struct iommufd_hw_pagetable, obj);
	if (!hwpt->pasid_compat)
		return -EINVAL;

	mutex_lock(&idev->igroup->lock);
	rc = iommufd_pasid_set(idev, pasid, hwpt);
	mutex_unlock(&idev->igroup->lock);
	return rc;
}

/**
 * iommufd_device_attach_pasid() - Translate requests that have a PASID
 * @idev: Device; its requests without a PASID may be attached or not
 * @pasid: 1 up to the width that IOMMU_GET_HW_INFO reports
 * @pt_id: HWPT with IOMMU_HWPT_ALLOC_PASID, of this or another device behind the
 *         same IOMMU. An IOAS is refused: there is no telling which of its
 *         HWPTs would do.
 *
 * Replaces what the PASID is attached to, if anything. Undone by
 * iommufd_device_detach_pasid() or iommufd_device_unbind().
 *
 * Return: 0, or an errno after which the PASID is attached to what it was:
 *
 * * -EOPNOTSUPP: the device has no PASIDs
 * * -EINVAL: @pasid is 0 or beyond the device's width; @pt_id is not such an
 *   HWPT, or does not fit the device; requests without a PASID are attached to
 *   an HWPT that has not the flag
 * * -ENOENT: there is no object @pt_id
 * * -EBUSY: another device of the group has attached the PASID
 * * -ENOSPC: 512 PASIDs of the group are attached, or the IOMMU has no ID left
 * * -ENOMEM, or another errno of the driver
 */
int iommufd_device_attach_pasid(struct iommufd_device *idev, u32 pasid,
				u32 pt_id)
{
	struct iommufd_object *obj;
	int rc;

	if (!iommufd_device_has_pasids(idev))
		return -EOPNOTSUPP;
	if (pasid == IOMMU_NO_PASID || pasid >= idev->dev->iommu->max_pasids)
		return -EINVAL;

	obj = iommufd_get_object(idev->ictx, pt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	rc = iommufd_pasid_set_object(idev, pasid, obj);
	iommufd_put_object(idev->ictx, obj);
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_attach_pasid, IOMMUFD);

/**
 * iommufd_device_detach_pasid() - Block requests that have a PASID
 * @idev: Device
 * @pasid: PASID; nothing happens unless the device has attached it
 *
 * Page faults of the PASID that wait for a response get one: invalid.
 */
void iommufd_device_detach_pasid(struct iommufd_device *idev, u32 pasid)
{
	struct iommufd_pasid *attached;

	mutex_lock(&idev->igroup->lock);
	attached = xa_erase(&idev->pasids, pasid);
	if (attached) {
		iommu_detach_device_pasid(attached->hwpt->domain, idev->dev,
					  pasid);
		idev->igroup->nr_pasids--;
		iommufd_pasid_free(attached);
	}
	mutex_unlock(&idev->igroup->lock);
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_detach_pasid, IOMMUFD);

/**
 * iommufd_device_detach_pasids() - Detach all PASIDs of a device
 * @idev: Device; nobody attaches PASIDs meanwhile
 *
 * For a device that is about to go: before its requests without a PASID are
 * detached.
 */
void iommufd_device_detach_pasids(struct iommufd_device *idev)
{
	struct iommufd_pasid *attached;
	unsigned long pasid;

	xa_for_each(&idev->pasids, pasid, attached)
		iommufd_device_detach_pasid(idev, pasid);
}
EXPORT_SYMBOL_NS_GPL(iommufd_device_detach_pasids, IOMMUFD);

/**
 * iommufd_pasid_release_device() - Detach all PASIDs of a device
 * @idev: Device that is being destroyed; nobody else has it
 */
void iommufd_pasid_release_device(struct iommufd_device *idev)
{
	iommufd_device_detach_pasids(idev);
	WARN_ON(!xa_empty(&idev->pasids));
}
