// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that cannot answer their IOMMU
 *
 * An IOMMU waits for a device that has a TLB of its own to drop entries. A device
 * that is being reset or sleeps does not answer, and what the wait holds up is not
 * the device alone: the queue of invalidations is shared with all others. So such a
 * device is parked while it still answers, until it can answer again: iommu-park.c.
 *
 * A device of a kernel driver that uses the DMA API keeps what is attached: its driver
 * takes part in the reset, or puts it to sleep. But unmaps reach the IOMMU later than
 * they are made, and others of the group make some, so that the IOMMU driver is told
 * to send nothing. The same holds for what cannot be blocked for another reason.
 *
 * A reset of a PF takes its VFs away: VF Enable is clear until the configuration space
 * of the PF is restored, and the VFs that come back have ATS off. VFs sleep with their
 * PF, too. So the VFs of a PF are parked before both and until they are there again.
 * That holds for VFs of kernel drivers as well, because a driver of a VF takes no part
 * in it.
 *
 * The state of a device is protected by the mutex of its group, but for @lost, which
 * is set in any context. Parking the VFs of a PF and letting them go is serialized by
 * pf_mutex.
 */
#define pr_fmt(fmt) "iommu: " fmt

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-reset.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "iommu-priv.h"

/*
 * Held while the VFs of a PF are parked or not, as the state of the PF says, so that
 * they follow the last change of it. Taken before the mutex of a group. Only one group is
 * locked at a time: a PF and its VFs may be in the same one. While it is held no VF
 * leaves its group.
 *
 * Here and in all that ends a reset no allocation does I/O: it may be the reset of the
 * disk that the I/O would be for.
 */
static DEFINE_MUTEX(pf_mutex);

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

static bool is_vf(struct device *dev)
{
	return dev_is_pci(dev) && to_pci_dev(dev)->is_virtfn;
}

/**
 * iommu_vf_lock() - Before a device leaves its group
 * @dev: Device, any
 *
 * Keeps a VF in its group while somebody walks the VFs of its PF. Does nothing for other
 * devices.
 */
void iommu_vf_lock(struct device *dev)
{
	if (is_vf(dev))
		mutex_lock(&pf_mutex);
}

/**
 * iommu_vf_unlock() - After a device has left its group
 * @dev: Device of iommu_vf_lock()
 */
void iommu_vf_unlock(struct device *dev)
{
	if (is_vf(dev))
		mutex_unlock(&pf_mutex);
}

/* Whether a kernel driver does DMA through the group's default domain */
static bool group_has_kernel_dma(struct iommu_group *group)
{
	return group->owner_cnt && !group->owner;
}

static void group_put_locked(struct iommu_group *group)
{
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

/*
 * Whether resets and power states of a device can matter to an IOMMU: it may use ATS, or
 * a VF of it may. Of others no lock is taken: who holds the mutex of their group may wait
 * for memory that is to be written to just that disk.
 */
static bool dev_matters(struct device *dev)
{
	if (!dev_is_pci(dev))
		return true;
	return pci_ats_supported(to_pci_dev(dev)) || to_pci_dev(dev)->is_physfn;
}

/* Lock the group of a device that matters and that an IOMMU translates for */
static struct iommu_group *group_get_locked(struct device *dev)
{
	struct iommu_group *group;

	if (!dev_matters(dev))
		return NULL;
	group = iommu_group_get(dev);
	if (!group)
		return NULL;
	mutex_lock(&group->mutex);
	if (dev->iommu_group != group || !dev->iommu || !dev->iommu->iommu_dev) {
		group_put_locked(group);
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

	if (ops->resume_dev && ops->resume_dev(dev))
		dev_err_ratelimited(dev, "IOMMU cannot use its TLB again\n");
	dev->iommu->silent = false;
}

/* Returns whether it has VFs that take part in its resets */
static bool dev_quiesce(struct device *dev, enum iommu_quiesce why)
{
	struct iommu_group *group = group_get_locked(dev);
	bool has_vfs;

	if (!group)
		return false;
	if (why == IOMMU_QUIESCE_RESET)
		dev->iommu->resets++;
	else
		dev->iommu->asleep = true;
	if (!group_has_kernel_dma(group) || iommu_dev_is_lost(dev))
		iommu_dev_park(group, dev);
	dev_silence(dev);
	has_vfs = dev->iommu->has_vfs;
	group_put_locked(group);
	return has_vfs;
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

/* Returns whether it has VFs that take part in its resets */
static bool dev_was_reset(struct device *dev)
{
	struct iommu_group *group = group_get_locked(dev);
	bool has_vfs;

	if (!group)
		return false;
	if (dev->iommu->resets || dev->iommu->without_pf)
		dev->iommu->was_reset = true;
	has_vfs = dev->iommu->has_vfs;
	group_put_locked(group);
	return has_vfs;
}

/*
 * After a reset a device may take a while to answer: behind a switch until somebody
 * restores the switch. After one that failed it may never do.
 */
static bool dev_is_gone(struct device *dev)
{
	return dev_is_pci(dev) && !pci_device_is_present(to_pci_dev(dev));
}

/**
 * iommu_dev_try_unpark() - Have a device as it was, unless it cannot answer
 * @group: Group of the device
 * @dev: Device, which may be parked or silent
 *
 * A device that is not there yet is looked for again later. The caller holds the
 * group mutex.
 */
void iommu_dev_try_unpark(struct iommu_group *group, struct device *dev)
{
	bool parked = iommu_dev_is_parked(dev), absent;

	if (!parked && !dev->iommu->silent)
		return;
	absent = cmpxchg(&dev->iommu->lost, IOMMU_DEV_LOST_ABSENT, 0) ==
		 IOMMU_DEV_LOST_ABSENT;
	if (iommu_dev_cannot_answer(dev))
		return;
	if (!dev_is_gone(dev)) {
		/* Before they are attached. Nobody could while it was not there. */
		if (dev_is_pci(dev))
			pci_restore_pasid_state(to_pci_dev(dev));
		if (parked)
			iommu_dev_unpark(group, dev);
		else
			dev_end_silence(dev);
		return;
	}
	if (!cmpxchg(&dev->iommu->lost, 0, IOMMU_DEV_LOST_ABSENT) && !absent)
		dev_err_ratelimited(dev,
				    "does not answer; its %s until it does\n",
				    parked ? "DMA is blocked" :
					     "TLB is not used");
	if (!iommu_group_retry_later(group))
		dev_err_ratelimited(dev,
				    "is not looked for any longer until something is attached, or a reset\n");
}

/* Returns whether it has VFs that take part in its resets */
static bool dev_resume(struct device *dev, enum iommu_quiesce why)
{
	struct iommu_group *group = group_get_locked(dev);
	bool has_vfs;

	if (!group)
		return false;
	if (why == IOMMU_QUIESCE_POWER) {
		dev->iommu->asleep = false;
	} else if (dev->iommu->resets) {
		/* None if the IOMMU appeared in the middle of the reset */
		dev->iommu->resets--;
		dev_end_resets(dev);
	}
	group->retries = 0;
	iommu_dev_try_unpark(group, dev);
	has_vfs = dev->iommu->has_vfs;
	group_put_locked(group);
	return has_vfs;
}

/* Takes a reference to the VF that it returns, and drops the one to @vf */
static struct pci_dev *next_vf(struct pci_dev *pf, struct pci_dev *vf)
{
	lockdep_assert_held(&pf_mutex);
	for_each_pci_dev(vf) {
		if (vf->is_virtfn && pci_physfn(vf) == pf)
			break;
	}
	return vf;
}

/* Whether VFs cannot answer because their PF cannot. The caller holds its group's mutex. */
static bool pf_has_vfs_away(struct device *pf)
{
	return pf->iommu->resets || pf->iommu->asleep;
}

static bool pf_is_away(struct device *pf)
{
	struct iommu_group *group = group_get_locked(pf);
	bool is_away;

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return false;
	is_away = pf_has_vfs_away(pf);
	group_put_locked(group);
	return is_away;
}

/* Its configuration space may not be restored when its reset is over */
static bool pf_enables_vfs(struct pci_dev *pf)
{
	u16 pos = pci_find_ext_capability(pf, PCI_EXT_CAP_ID_SRIOV);
	u16 ctrl = 0;

	if (pos)
		pci_read_config_word(pf, pos + PCI_SRIOV_CTRL, &ctrl);
	return ctrl & PCI_SRIOV_CTRL_VFE;
}

static bool dev_has_vfs(struct device *dev)
{
	struct iommu_group *group = group_get_locked(dev);
	bool has_vfs;

	if (!group)
		return false;
	has_vfs = dev->iommu->has_vfs;
	group_put_locked(group);
	return has_vfs;
}

static void vf_quiesce(struct device *vf)
{
	struct iommu_group *group = group_get_locked(vf);

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return;
	vf->iommu->without_pf = true;
	iommu_dev_park(group, vf);
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
		group->retries = 0;
		iommu_dev_try_unpark(group, vf);
	}
	group_put_locked(group);
}

/* Its VFs can answer if it can and they exist */
static void pf_resume_vfs(struct device *dev)
{
	struct pci_dev *pf = to_pci_dev(dev), *vf = NULL;

	if (pf_is_away(dev) || !pf_enables_vfs(pf))
		return;
	while ((vf = next_vf(pf, vf)))
		vf_resume(&vf->dev);
}

/* From now on the PF takes a VF along. Returns whether it cannot answer now. */
static bool pf_gets_vf(struct device *pf)
{
	struct iommu_group *group = group_get_locked(pf);
	bool is_away;

	lockdep_assert_held(&pf_mutex);
	if (!group)
		return false;
	pf->iommu->has_vfs = true;
	is_away = pf_has_vfs_away(pf);
	group_put_locked(group);
	return is_away;
}

/**
 * iommu_vf_probed() - A VF may have appeared while its PF is reset
 * @dev: Device that was added to its group; any
 *
 * Where VFs are parked for a reset it could not be found yet. May sleep, takes
 * pf_mutex, and the mutexes of the PF's and the VF's group, one after the other.
 */
void iommu_vf_probed(struct device *dev)
{
	unsigned int noio;

	if (!is_vf(dev) || !dev->iommu->uses_ats)
		return;
	noio = pf_lock();
	if (pf_gets_vf(&pci_physfn(to_pci_dev(dev))->dev))
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
 * accessible, if others may have its requester ID, if it has not been attached to
 * anything since a kdump kernel took over, or if there is no memory for a blocking
 * domain. If the driver of its IOMMU has no quiesce_dev op nothing happens at all. May
 * sleep, takes the mutex of the device's group, and for a PF the locks that
 * iommu_device_vfs_enabled() takes.
 *
 * The same holds for the VFs of a PF, also those of kernel drivers.
 */
void iommu_device_quiesce(struct device *dev, enum iommu_quiesce why)
{
	unsigned int noio = memalloc_noio_save();
	bool has_vfs = dev_quiesce(dev, why);
	struct pci_dev *vf = NULL;

	memalloc_noio_restore(noio);
	if (!has_vfs)
		return;
	noio = pf_lock();
	if (pf_is_away(dev)) {
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
 * a PF were reset with it. May sleep, takes the same locks as iommu_device_quiesce().
 */
void iommu_device_was_reset(struct device *dev)
{
	struct pci_dev *vf = NULL;
	unsigned int noio;

	if (!dev_was_reset(dev))
		return;
	noio = pf_lock();
	while ((vf = next_vf(to_pci_dev(dev), vf)))
		dev_was_reset(&vf->dev);
	pf_unlock(noio);
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
 * A device that does not answer yet is looked for again for some two minutes.
 *
 * The VFs of a PF follow if it has VF Enable set, or else when
 * iommu_device_vfs_enabled() is called. May sleep, takes the same locks as
 * iommu_device_quiesce().
 */
void iommu_device_resume(struct device *dev, enum iommu_quiesce why)
{
	unsigned int noio = memalloc_noio_save();
	bool has_vfs = dev_resume(dev, why);

	memalloc_noio_restore(noio);
	if (has_vfs)
		iommu_device_vfs_enabled(dev);
}
EXPORT_SYMBOL_GPL(iommu_device_resume);

/**
 * iommu_device_vfs_enabled() - The VFs of a PF are there again
 * @dev: PF that has VF Enable set
 *
 * Resumes the VFs unless the PF is still being reset or asleep. May sleep, takes the mutex of
 * the PF's group, and if it has VFs that use ATS pf_mutex and those of their groups,
 * one after the other.
 */
void iommu_device_vfs_enabled(struct device *dev)
{
	unsigned int noio;

	if (!dev_has_vfs(dev))
		return;
	noio = pf_lock();
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
		blocked = iommu_dev_park(group, dev);
		dev_err_ratelimited(dev,
				    "does not answer its IOMMU; its DMA is %sblocked until a reset\n",
				    blocked ? "" : "not ");
	}
	group_put_locked(group);
}

void iommu_group_init_reset(struct iommu_group *group)
{
	INIT_WORK(&group->lost_work, group_park_lost);
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
