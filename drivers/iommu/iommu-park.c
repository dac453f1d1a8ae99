// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that are parked: blocked in hardware, whatever their group has
 *
 * All that is attached to such a device, its PASIDs included, is taken off in hardware,
 * and its IOMMU driver has nothing to send to it any more. The group keeps what is
 * attached, with the lifetimes that it always has. Who attaches, replaces or detaches
 * meanwhile changes what the group keeps, and gets the driver's errno: it is attached
 * for a moment, by a driver that sends nothing to the device, and taken off again.
 * Nobody waits, since a device may sleep for ever. In the end the hardware gets what
 * the group has by then.
 *
 * That may be impossible for a while: a guest's memory is busy, or there is a lack
 * of memory or of IDs. The device stays parked then, and it is tried again from a
 * work item.
 *
 * Devices that do not use ATS, and those whose IOMMU driver has no quiesce_dev op, are
 * not parked for a reset or a power state: nothing is sent to them, or nothing can be
 * kept from them. Any device is parked where the way back to what its group had fails
 * for a while: iommu_park_failed().
 *
 * Everything here is protected by the group mutex.
 */
#define pr_fmt(fmt) "iommu: " fmt

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-guest-msi.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "iommu-priv.h"

static int is_other_rid(struct pci_dev *pdev, u16 alias, void *rid)
{
	return alias != *(u16 *)rid;
}

static bool has_other_rid(struct pci_dev *pdev)
{
	u16 rid = pci_dev_id(pdev);

	return pci_for_each_dma_alias(pdev, is_other_rid, &rid);
}

/*
 * Whether the device has to be blocked, and can be without harm. Behind a bridge that
 * gives it an ID of its own making, others that still work may have the same one; a
 * TLB of its own cannot be used there. Firmware may want its memory to be accessible
 * always.
 */
static bool dev_can_park(struct device *dev)
{
	if (!dev_iommu_ops(dev)->quiesce_dev || !dev->iommu->uses_ats ||
	    dev->iommu->attach_deferred)
		return false;
	if (dev->iommu->require_direct && !iommu_dev_is_lost(dev))
		return false;
	return !dev_is_pci(dev) || !has_other_rid(to_pci_dev(dev));
}

/* Take PASIDs below @end off the device */
static void dev_block_pasids(struct iommu_group *group, struct device *dev,
			     unsigned long end)
{
	unsigned long pasid;
	void *entry;

	end = min(end, dev->iommu->max_pasids);
	xa_for_each_start(&group->pasid_array, pasid, entry,
			  IOMMU_NO_PASID + 1) {
		if (pasid >= end)
			break;
		dev_iommu_ops(dev)->remove_dev_pasid(dev, pasid,
						     iommu_pasid_entry_domain(entry));
	}
}

/**
 * iommu_dev_remove_pasids() - Take all PASIDs off a device
 * @group: Group of the device
 * @dev: Device, which leaves the group; not parked
 *
 * The group and its other devices keep them. The caller holds the group mutex.
 */
void iommu_dev_remove_pasids(struct iommu_group *group, struct device *dev)
{
	lockdep_assert_held(&group->mutex);
	dev_block_pasids(group, dev, ULONG_MAX);
}

static int dev_block(struct iommu_group *group, struct device *dev,
		     unsigned long pasid_end)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	int rc;

	dev_block_pasids(group, dev, pasid_end);
	rc = iommu_attach_domain(group->blocking_domain, dev);
	if (rc)
		dev_err_ratelimited(dev, "IOMMU cannot block its DMA: %d\n", rc);
	dev->iommu->parked = true;
	dev->iommu->silent = false;
	if (ops->quiesce_dev)
		ops->quiesce_dev(dev);
	return rc;
}

/**
 * iommu_dev_park() - Block a device that cannot answer, while it still does
 * @group: Group of the device
 * @dev: Device
 *
 * The caller holds the group mutex.
 *
 * Return: whether the device is blocked now.
 */
bool iommu_dev_park(struct iommu_group *group, struct device *dev)
{
	if (iommu_dev_is_parked(dev))
		return true;
	/* Nothing is attached yet while a device is found */
	if (!group->domain || !dev_can_park(dev) ||
	    iommu_group_alloc_blocking_domain(group))
		return false;
	return !dev_block(group, dev, ULONG_MAX);
}

static int dev_attach_pasids(struct iommu_group *group, struct device *dev,
			     unsigned long *pasid)
{
	struct iommu_domain *domain;
	void *entry;
	int rc;

	xa_for_each_start(&group->pasid_array, *pasid, entry,
			  IOMMU_NO_PASID + 1) {
		/* It joined the group later, and has no such PASID */
		if (*pasid >= dev->iommu->max_pasids)
			break;
		domain = iommu_pasid_entry_domain(entry);
		rc = domain->ops->set_dev_pasid(domain, dev, *pasid, NULL);
		if (rc)
			return rc;
	}
	return 0;
}

/*
 * Give the hardware @domain and the PASIDs of the group: all of it, or nothing. The
 * device is parked before and after.
 */
static int dev_attach_all(struct iommu_group *group, struct device *dev,
			  struct iommu_domain *domain)
{
	unsigned long pasid = 0;
	int rc = 0;

	if (domain != group->blocking_domain)
		rc = iommu_attach_domain(domain, dev);
	if (!rc)
		rc = dev_attach_pasids(group, dev, &pasid);
	if (rc)
		dev_block(group, dev, pasid);
	return rc;
}

/*
 * Attempts to attach what cannot be attached now, each less than a second after the
 * one before. Nobody tells when guest memory is not busy any more, or when there are
 * memory and IDs again, and that may last for ever: after some two minutes it is left
 * to whoever attaches something.
 */
#define ATTACH_RETRIES	200
#define ATTACH_RETRY_MS	10

/* -EINTR: whoever resets the device was killed; that says nothing about the domain */
static bool may_work_later(int rc)
{
	return rc == -EAGAIN || rc == -EINTR || rc == -ENOMEM || rc == -ENOSPC;
}

/**
 * iommu_group_retry_later() - Have what is parked or silent looked at again
 * @group: Group
 *
 * The caller holds the group mutex.
 *
 * Return: false if that was done often enough.
 */
bool iommu_group_retry_later(struct iommu_group *group)
{
	unsigned int ms = ATTACH_RETRY_MS << min(group->retries, 6U);

	lockdep_assert_held(&group->mutex);
	if (group->retries >= ATTACH_RETRIES)
		return false;
	iommu_group_ref_get(group);
	/* One attempt is for all devices of the group */
	if (queue_delayed_work(system_unbound_wq, &group->retry_work,
			       msecs_to_jiffies(ms)))
		group->retries++;
	else
		iommu_group_put(group);
	return true;
}

static void dev_retry_later(struct iommu_group *group, struct device *dev)
{
	if (!iommu_group_retry_later(group))
		dev_err_ratelimited(dev,
				    "IOMMU cannot attach it for lack of memory or IDs, or guest memory is busy; it stays blocked until something else is attached\n");
}

/**
 * iommu_dev_unpark() - Give a parked device what its group has
 * @group: Group of the device
 * @dev: Device, which can answer again
 *
 * If that fails it is tried again later, or reported. The caller holds the group mutex.
 */
void iommu_dev_unpark(struct iommu_group *group, struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	int rc = 0;

	if (ops->resume_dev)
		rc = ops->resume_dev(dev);
	if (!rc)
		rc = dev_attach_all(group, dev, group->domain);
	if (!rc)
		dev->iommu->parked = false;
	else if (may_work_later(rc))
		dev_retry_later(group, dev);
	else
		dev_err_ratelimited(dev,
				    "IOMMU cannot attach it as before: %d; it stays blocked until something else is attached, or a reset\n",
				    rc);
}

static void group_unpark(struct iommu_group *group)
{
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);
	for_each_group_device(group, gdev) {
		if (gdev->dev->iommu && gdev->dev->iommu->iommu_dev)
			iommu_dev_try_unpark(group, gdev->dev);
	}
}

/**
 * iommu_group_unpark() - Try again what failed
 * @group: Group that something was attached to or detached from
 *
 * A device for which the hardware did not take what the group had at the end of a
 * reset is still parked. The caller holds the group mutex.
 */
void iommu_group_unpark(struct iommu_group *group)
{
	lockdep_assert_held(&group->mutex);
	group->retries = 0;
	group_unpark(group);
}

/* For iommu_guest_msi_attach(): the device is blocked in place of being attached */
static int block_instead(struct iommu_domain *domain, struct device *dev)
{
	if (iommu_dev_is_parked(dev))
		return 0;
	return dev_block(dev->iommu_group, dev, ULONG_MAX);
}

/**
 * iommu_park_failed() - Park a device that cannot have its group's domain now
 * @group: Group
 * @dev: Device of the group
 * @rc: Why it failed to attach the group's domain
 *
 * For where there is nothing else to attach and nobody to take an error. The MSIs of
 * the device are for the group's domain as before. The caller holds the group mutex.
 *
 * Return: 0 with the device blocked for the time being, @rc if another attempt is of
 * no use, or an errno if the device cannot be blocked.
 */
int iommu_park_failed(struct iommu_group *group, struct device *dev, int rc)
{
	lockdep_assert_held(&group->mutex);
	if (!may_work_later(rc))
		return rc;
	rc = iommu_group_alloc_blocking_domain(group);
	if (!rc)
		rc = iommu_guest_msi_attach(group->domain, dev, block_instead);
	if (rc)
		return rc;
	group->retries = 0;
	dev_retry_later(group, dev);
	return 0;
}

static void group_retry(struct work_struct *work)
{
	struct iommu_group *group = container_of(to_delayed_work(work),
						 struct iommu_group, retry_work);
	unsigned int noio = memalloc_noio_save();

	/* What cannot be attached may be the disk that memory is to be written to */
	mutex_lock(&group->mutex);
	group_unpark(group);
	mutex_unlock(&group->mutex);
	memalloc_noio_restore(noio);
	iommu_group_put(group);
}

/**
 * iommu_group_init_park() - A new group, of which no device is parked
 * @group: Group
 */
void iommu_group_init_park(struct iommu_group *group)
{
	INIT_DELAYED_WORK(&group->retry_work, group_retry);
}

/**
 * iommu_attach_parked() - Attach a domain to a device that may be parked
 * @domain: Domain that the group is to have
 * @dev: Device of the group
 *
 * Does what the driver's attach_dev op does. If the device is parked, that is tried
 * together with the PASIDs of the group, and the device is parked as before. The
 * caller holds the group mutex.
 *
 * Return: 0 or an errno of iommu_domain_ops.attach_dev or set_dev_pasid.
 */
int iommu_attach_parked(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;
	int rc;

	if (!iommu_dev_is_parked(dev))
		return iommu_attach_domain(domain, dev);
	/*
	 * Back to what it had: that was not touched. And nothing is needed to be
	 * blocked, which must not fail.
	 */
	if (domain == group->domain || domain == group->blocking_domain)
		return 0;
	rc = dev_attach_all(group, dev, domain);
	if (!rc)
		dev_block(group, dev, ULONG_MAX);
	return rc;
}

/**
 * iommu_set_parked_pasid() - Attach a PASID of a device that may be parked
 * @domain: Domain that the group is to have for @pasid
 * @dev: Device of the group
 * @pasid: PASID
 * @old: Domain that the group has for it, or NULL
 *
 * Does what the set_dev_pasid op does. If the device is parked, that is tried together
 * with the group's own domain, and the device is parked as before. The caller holds
 * the group mutex.
 *
 * Return: 0 or an errno of iommu_domain_ops.set_dev_pasid.
 */
int iommu_set_parked_pasid(struct iommu_domain *domain, struct device *dev,
			   ioasid_t pasid, struct iommu_domain *old)
{
	struct iommu_group *group = dev->iommu_group;
	int rc = 0;

	if (!iommu_dev_is_parked(dev))
		return domain->ops->set_dev_pasid(domain, dev, pasid, old);
	if (group->domain != group->blocking_domain)
		rc = iommu_attach_domain(group->domain, dev);
	/* If it may work later the PASID is tried beside a blocked RID */
	if (!rc || may_work_later(rc)) {
		rc = domain->ops->set_dev_pasid(domain, dev, pasid, NULL);
		if (!rc)
			dev_iommu_ops(dev)->remove_dev_pasid(dev, pasid,
							     domain);
	}
	dev_block(group, dev, 0);
	return rc;
}
