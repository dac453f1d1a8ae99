// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that cannot answer their IOMMU
 *
 * An IOMMU waits for a device that has a TLB of its own to drop entries. A device
 * that is being reset or sleeps does not answer, and what the wait holds up is not
 * the device alone: the queue of invalidations is shared with all others.
 *
 * So such a device is parked: all that is attached to it, its PASIDs included, is
 * taken off in hardware while it still answers, and its IOMMU driver has nothing
 * to send to it any more. The group keeps what is attached, with the lifetimes that
 * it always has. Who attaches, replaces or detaches meanwhile changes what the
 * group keeps, and gets the driver's errno: it is attached for a moment, by a driver
 * that sends nothing to the device, and taken off again. Nobody waits, since a device
 * may sleep for ever. When the device can answer again, the hardware gets what the
 * group has by then.
 *
 * That may be impossible for a while: a guest's memory is busy, or there is a lack
 * of memory or of IDs. The device stays parked then, and it is tried again from a
 * work item.
 *
 * Devices that do not use ATS are left attached: no invalidation is sent to them. So
 * are devices whose IOMMU driver has no quiesce_dev op.
 *
 * A device of a kernel driver that uses the DMA API keeps what is attached: its driver
 * takes part in the reset. But unmaps reach the IOMMU later than they are made, and
 * others of the group make some, so that the IOMMU driver is told to send nothing. The
 * same holds for what cannot be blocked for another reason.
 *
 * A reset of a PF takes its VFs away: VF Enable is clear until the configuration space
 * of the PF is restored, and the VFs that come back have ATS off. So the VFs of a PF
 * are parked before its reset and until they are there again. That holds for VFs of
 * kernel drivers as well, because a driver of a VF takes no part in it.
 *
 * Everything here is protected by the group mutex, and the VFs of a PF by pf_mutex
 * as well.
 */
#define pr_fmt(fmt) "iommu: " fmt

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-guest-msi.h>
#include <linux/iommu-reset.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "iommu-priv.h"

/*
 * Held while resets of a PF are counted and its VFs are parked or not by the result,
 * so that the VFs follow the last change of the count. Taken before the mutex of a
 * group. Only one group is locked at a time: a PF and its VFs may be in the same one.
 */
static DEFINE_MUTEX(pf_mutex);

/*
 * The recovery of a disk from an error may wait for the mutex: whoever has it must not
 * wait for memory that is written to that disk.
 */
static unsigned int pf_lock(void)
{
	mutex_lock(&pf_mutex);
	return memalloc_noio_save();
}

static void pf_unlock(unsigned int noio)
{
	memalloc_noio_restore(noio);
	mutex_unlock(&pf_mutex);
}

static bool dev_cannot_answer(struct device *dev)
{
	return dev->iommu->resets || dev->iommu->without_pf ||
	       dev->iommu->asleep || READ_ONCE(dev->iommu->lost);
}

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
	if (dev->iommu->require_direct && !dev->iommu->lost)
		return false;
	return !dev_is_pci(dev) || !has_other_rid(to_pci_dev(dev));
}

/* Whether a kernel driver does DMA through the group's default domain */
static bool group_has_kernel_dma(struct iommu_group *group)
{
	return group->owner_cnt && !group->owner;
}

/* Take PASIDs below @end off the device */
static void dev_block_pasids(struct iommu_group *group, struct device *dev,
			     unsigned long end)
{
	struct iommu_attach_handle *handle;
	unsigned long pasid;

	end = min(end, dev->iommu->max_pasids);
	xa_for_each_start(&group->pasid_array, pasid, handle,
			  IOMMU_NO_PASID + 1) {
		if (pasid >= end)
			break;
		dev_iommu_ops(dev)->remove_dev_pasid(dev, pasid,
						     handle->domain);
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

/* Returns whether the device is blocked now */
static bool dev_park(struct iommu_group *group, struct device *dev)
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
	struct iommu_attach_handle *handle;
	struct iommu_domain *domain;
	int rc;

	xa_for_each_start(&group->pasid_array, *pasid, handle,
			  IOMMU_NO_PASID + 1) {
		/* It joined the group later, and has no such PASID */
		if (*pasid >= dev->iommu->max_pasids)
			break;
		domain = handle->domain;
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

/* -EINTR is for a signal that the caller got, who is any that resets the device */
static bool may_work_later(int rc)
{
	return rc == -EAGAIN || rc == -EINTR || rc == -ENOMEM || rc == -ENOSPC;
}

/* Have what is parked attached later */
static void group_retry_later(struct iommu_group *group, struct device *dev)
{
	unsigned int ms = ATTACH_RETRY_MS << min(group->retries, 6U);

	lockdep_assert_held(&group->mutex);
	if (group->retries >= ATTACH_RETRIES) {
		dev_err_ratelimited(dev,
				    "IOMMU cannot attach it, guest memory is busy or IDs are used up; it stays blocked until something else is attached, or a reset\n");
		return;
	}
	group->retries++;
	iommu_group_ref_get(group);
	if (!queue_delayed_work(system_unbound_wq, &group->retry_work,
				msecs_to_jiffies(ms)))
		iommu_group_put(group);
}

static void dev_unpark(struct iommu_group *group, struct device *dev)
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
		group_retry_later(group, dev);
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
		if (iommu_dev_is_parked(gdev->dev) &&
		    !dev_cannot_answer(gdev->dev))
			dev_unpark(group, gdev->dev);
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
	group_retry_later(group, dev);
	return 0;
}

static void group_put_locked(struct iommu_group *group)
{
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

static void group_retry(struct work_struct *work)
{
	struct iommu_group *group = container_of(to_delayed_work(work),
						 struct iommu_group, retry_work);

	mutex_lock(&group->mutex);
	group_unpark(group);
	group_put_locked(group);
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

/* Lock the group of a device that an IOMMU translates for */
static struct iommu_group *group_get_locked(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return NULL;
	mutex_lock(&group->mutex);
	if (dev->iommu_group != group || !dev->iommu || !dev->iommu->iommu_dev) {
		mutex_unlock(&group->mutex);
		iommu_group_put(group);
		return NULL;
	}
	return group;
}

/* Nothing is sent to a device that keeps what is attached */
static void dev_silence(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (iommu_dev_is_parked(dev) || dev->iommu->silent ||
	    !ops->quiesce_dev || !dev->iommu->uses_ats)
		return;
	dev->iommu->silent = true;
	ops->quiesce_dev(dev);
}

static void dev_end_silence(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	dev->iommu->silent = false;
	if (ops->resume_dev && ops->resume_dev(dev))
		dev_err_ratelimited(dev, "IOMMU cannot use its TLB again\n");
}

static void dev_quiesce(struct device *dev, enum iommu_quiesce why)
{
	struct iommu_group *group = group_get_locked(dev);

	if (!group)
		return;
	if (why == IOMMU_QUIESCE_RESET)
		dev->iommu->resets++;
	else
		dev->iommu->asleep = true;
	/* A sleeping device does no DMA, even if kernel drivers use others of its group */
	if (why == IOMMU_QUIESCE_POWER || !group_has_kernel_dma(group) ||
	    dev->iommu->lost)
		dev_park(group, dev);
	dev_silence(dev);
	group_put_locked(group);
}

/* The last reset of a device is over */
static void dev_end_resets(struct device *dev)
{
	if (dev->iommu->resets || dev->iommu->without_pf ||
	    !dev->iommu->was_reset)
		return;
	dev->iommu->was_reset = false;
	/* The driver is silent since it found the device lost */
	if (xchg(&dev->iommu->lost, 0) && !iommu_dev_is_parked(dev))
		dev->iommu->silent = true;
}

static void dev_was_reset(struct device *dev)
{
	struct iommu_group *group = group_get_locked(dev);

	if (!group)
		return;
	if (dev->iommu->resets || dev->iommu->without_pf)
		dev->iommu->was_reset = true;
	group_put_locked(group);
}

/* A reset that failed may leave a device that answers nothing at all */
static bool dev_is_gone(struct device *dev)
{
	return dev_is_pci(dev) && !pci_device_is_present(to_pci_dev(dev));
}

/* Attach what is parked, unless there is another reason for silence */
static void dev_try_unpark(struct iommu_group *group, struct device *dev)
{
	group->retries = 0;
	if ((!iommu_dev_is_parked(dev) && !dev->iommu->silent) ||
	    dev_cannot_answer(dev))
		return;
	if (dev_is_gone(dev)) {
		WRITE_ONCE(dev->iommu->lost, IOMMU_DEV_LOST_REPORTED);
		dev_err_ratelimited(dev,
				    "does not answer; its DMA is %sblocked until a reset\n",
				    iommu_dev_is_parked(dev) ? "" : "not ");
	} else if (iommu_dev_is_parked(dev)) {
		dev_unpark(group, dev);
	} else {
		dev_end_silence(dev);
	}
}

static void dev_resume(struct device *dev, enum iommu_quiesce why)
{
	struct iommu_group *group = group_get_locked(dev);

	if (!group)
		return;
	if (why == IOMMU_QUIESCE_POWER) {
		dev->iommu->asleep = false;
	} else if (dev->iommu->resets) {
		/* None if the IOMMU appeared in the middle of the reset */
		dev->iommu->resets--;
		dev_end_resets(dev);
	}
	dev_try_unpark(group, dev);
	group_put_locked(group);
}

/* Takes a reference to the VF that it returns, and drops the one to @vf */
static struct pci_dev *next_vf(struct pci_dev *pf, struct pci_dev *vf)
{
	for_each_pci_dev(vf) {
		if (vf->is_virtfn && pci_physfn(vf) == pf)
			break;
	}
	return vf;
}

static bool pf_is_reset(struct device *pf)
{
	struct iommu_group *group = group_get_locked(pf);
	bool is_reset;

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return false;
	is_reset = pf->iommu->resets;
	group_put_locked(group);
	return is_reset;
}

/* Its configuration space may not be restored when its reset is over */
static bool pf_has_vfs(struct pci_dev *pf)
{
	u16 pos = pci_find_ext_capability(pf, PCI_EXT_CAP_ID_SRIOV);
	u16 ctrl = 0;

	if (pos)
		pci_read_config_word(pf, pos + PCI_SRIOV_CTRL, &ctrl);
	return ctrl & PCI_SRIOV_CTRL_VFE;
}

static void vf_quiesce(struct device *vf)
{
	struct iommu_group *group = group_get_locked(vf);

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return;
	vf->iommu->without_pf = true;
	dev_park(group, vf);
	dev_silence(vf);
	group_put_locked(group);
}

static void vf_resume(struct device *vf)
{
	struct iommu_group *group = group_get_locked(vf);

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return;
	if (vf->iommu->without_pf) {
		vf->iommu->without_pf = false;
		dev_end_resets(vf);
		dev_try_unpark(group, vf);
	}
	group_put_locked(group);
}

/* Its VFs can answer if it is not reset and they exist */
static void pf_resume_vfs(struct device *dev)
{
	struct pci_dev *pf = to_pci_dev(dev), *vf = NULL;

	if (pf_is_reset(dev) || !pf_has_vfs(pf))
		return;
	while ((vf = next_vf(pf, vf)))
		vf_resume(&vf->dev);
}

/**
 * iommu_vf_probed() - A VF may have appeared while its PF is reset
 * @dev: Device that was added to its group; any
 *
 * Where VFs are parked for a reset it could not be found yet. Takes the mutex of a
 * group.
 */
void iommu_vf_probed(struct device *dev)
{
	struct pci_dev *pdev;
	unsigned int noio;

	if (!dev_is_pci(dev) || !to_pci_dev(dev)->is_virtfn)
		return;
	pdev = to_pci_dev(dev);
	noio = pf_lock();
	if (pf_is_reset(&pci_physfn(pdev)->dev))
		vf_quiesce(dev);
	pf_unlock(noio);
}

/**
 * iommu_device_quiesce() - A device is about to be unable to answer
 * @dev: Device, which still answers; any, also one without an IOMMU
 * @why: What comes
 *
 * When it returns, DMA of the device is blocked, nothing is under way to it and
 * nothing will be sent to it until iommu_device_resume(). Its DMA is not blocked if it
 * uses no ATS, if a kernel driver does DMA with it, if firmware wants its memory to be
 * accessible, if others may have its requester ID, or if there is no memory for a
 * blocking domain. If the driver of its IOMMU has no quiesce_dev op nothing happens at
 * all. May sleep, takes the mutex of the device's group.
 *
 * The same holds for the VFs of a PF that is to be reset, also those of kernel drivers.
 * A PF that has VFs is not to leave D0.
 */
void iommu_device_quiesce(struct device *dev, enum iommu_quiesce why)
{
	struct pci_dev *vf = NULL;
	unsigned int noio;

	if (why != IOMMU_QUIESCE_RESET || !dev_is_pf(dev)) {
		dev_quiesce(dev, why);
		return;
	}
	noio = pf_lock();
	dev_quiesce(dev, why);
	if (pf_is_reset(dev)) {
		while ((vf = next_vf(to_pci_dev(dev), vf)))
			vf_quiesce(&vf->dev);
	}
	pf_unlock(noio);
}
EXPORT_SYMBOL_GPL(iommu_device_quiesce);

/**
 * iommu_device_was_reset() - A reset has taken place
 * @dev: Device, between iommu_device_quiesce() and iommu_device_resume() for a reset
 *
 * Its TLB is empty, and so a device that was lost is found when it is resumed. An
 * attempt to reset it that comes to nothing does not end that it is lost. The VFs of
 * a PF were reset with it. May sleep, takes the mutex of the device's group.
 */
void iommu_device_was_reset(struct device *dev)
{
	struct pci_dev *vf = NULL;

	dev_was_reset(dev);
	if (!dev_is_pf(dev))
		return;
	while ((vf = next_vf(to_pci_dev(dev), vf)))
		dev_was_reset(&vf->dev);
}
EXPORT_SYMBOL_NS_GPL(iommu_device_was_reset, IOMMUFD_INTERNAL);

/**
 * iommu_device_resume() - A device can answer again
 * @dev: Device of iommu_device_quiesce(). Whoever restores its configuration space
 *       does so first, or quiesces it once more around all of that.
 * @why: What is over
 *
 * Attaches what user space has attached by now, unless there is another reason for
 * silence. If that fails the device stays blocked, and that is reported: nobody
 * is there to take an error. A device that is lost stays so unless it was reset.
 *
 * The VFs of a PF that was reset follow if it has VF Enable set, or else when
 * iommu_device_vfs_enabled() is called.
 */
void iommu_device_resume(struct device *dev, enum iommu_quiesce why)
{
	unsigned int noio;

	if (why != IOMMU_QUIESCE_RESET || !dev_is_pf(dev)) {
		dev_resume(dev, why);
		return;
	}
	noio = pf_lock();
	dev_resume(dev, why);
	pf_resume_vfs(dev);
	pf_unlock(noio);
}
EXPORT_SYMBOL_GPL(iommu_device_resume);

/**
 * iommu_device_vfs_enabled() - The VFs of a PF that was reset are there again
 * @dev: PF that has VF Enable set again
 *
 * Resumes the VFs unless the PF is still being reset. May sleep, takes the mutexes of
 * groups.
 */
void iommu_device_vfs_enabled(struct device *dev)
{
	unsigned int noio = pf_lock();

	pf_resume_vfs(dev);
	pf_unlock(noio);
}

/* Block devices that were reported as lost */
static void group_park_lost(struct work_struct *work)
{
	struct iommu_group *group =
		container_of(work, struct iommu_group, lost_work);
	struct group_device *gdev;
	bool blocked;

	mutex_lock(&group->mutex);
	for_each_group_device(group, gdev) {
		struct device *dev = gdev->dev;

		if (!dev->iommu || !dev->iommu->iommu_dev ||
		    dev->iommu->lost != IOMMU_DEV_LOST)
			continue;
		WRITE_ONCE(dev->iommu->lost, IOMMU_DEV_LOST_REPORTED);
		blocked = dev_park(group, dev);
		dev_err_ratelimited(dev,
				    "does not answer its IOMMU; its DMA is %sblocked until a reset\n",
				    blocked ? "" : "not ");
	}
	group_put_locked(group);
}

void iommu_group_init_reset(struct iommu_group *group)
{
	INIT_WORK(&group->lost_work, group_park_lost);
	INIT_DELAYED_WORK(&group->retry_work, group_retry);
}

/**
 * iommu_device_lost() - A device does not answer though it should
 * @dev: Device that the IOMMU driver has given up waiting for
 *
 * What its TLB holds is not known, so it is blocked until a reset, kernel drivers'
 * devices too, and reported, both once. For the IOMMU driver, which must send
 * nothing to the device from this moment on until its resume_dev op is called. It
 * keeps the device from being released meanwhile. Any context.
 */
void iommu_device_lost(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	if (!group || cmpxchg(&dev->iommu->lost, 0, IOMMU_DEV_LOST))
		return;
	iommu_group_ref_get(group);
	if (!queue_work(system_unbound_wq, &group->lost_work))
		iommu_group_put(group);
}
EXPORT_SYMBOL_NS_GPL(iommu_device_lost, IOMMUFD_INTERNAL);
