// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's share of a physical IOMMU: the part that does not depend on the
 * vendor
 */
#include <linux/iommu-viommu.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "iommu-priv.h"

/**
 * iommu_viommu_alloc() - Make a vIOMMU
 * @dev: A device of the guest behind the physical IOMMU
 * @parent: Nesting parent; the caller keeps it alive for as long as the vIOMMU
 * @type: enum iommu_viommu_type
 *
 * The memory is charged to the caller.
 *
 * Return: the vIOMMU, for iommu_viommu_free(), or
 *
 * * ERR_PTR(-EOPNOTSUPP): the driver or the hardware has no such vIOMMU
 * * ERR_PTR(-EINVAL): @parent is no nesting parent of the IOMMU behind @dev
 * * ERR_PTR(-ENOMEM), ERR_PTR(-ENOSPC): out of memory, or of hardware tags that
 *   are left or that a user may have
 */
struct iommu_viommu *iommu_viommu_alloc(struct device *dev,
					struct iommu_domain *parent, u32 type)
{
	const struct iommu_viommu_ops *ops = parent->ops->viommu_ops;
	struct iommu_viommu *viommu;

	if (!ops || ops->type != type)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->owner != dev_iommu_ops(dev))
		return ERR_PTR(-EINVAL);

	viommu = ops->alloc(dev, parent);
	if (IS_ERR(viommu))
		return viommu;
	viommu->ops = ops;
	viommu->parent = parent;
	viommu->iommu_dev = dev->iommu->iommu_dev;
	init_rwsem(&viommu->vdevs_sem);
	xa_init_flags(&viommu->vdevs, XA_FLAGS_ACCOUNT);
	return viommu;
}
EXPORT_SYMBOL_NS_GPL(iommu_viommu_alloc, IOMMUFD_INTERNAL);

/**
 * iommu_viommu_free() - Undo iommu_viommu_alloc()
 * @viommu: vIOMMU without tables and without connected devices
 */
void iommu_viommu_free(struct iommu_viommu *viommu)
{
	WARN_ON(!xa_empty(&viommu->vdevs));
	viommu->ops->free(viommu);
}
EXPORT_SYMBOL_NS_GPL(iommu_viommu_free, IOMMUFD_INTERNAL);

/**
 * iommu_vdevice_connect() - Let a guest know a device by a name
 * @vdev: Filled by the caller, who keeps it and the vIOMMU alive and the device
 *        bound until iommu_vdevice_disconnect()
 *
 * Return: 0, or
 *
 * * -EINVAL: the device is not behind the IOMMU of the vIOMMU, or its name is
 *   beyond what the vIOMMU has
 * * -EEXIST: the name is taken, or the device has one
 * * -ENOMEM
 */
int iommu_vdevice_connect(struct iommu_vdevice *vdev)
{
	struct iommu_viommu *viommu = vdev->viommu;
	struct dev_iommu *param = vdev->dev->iommu;
	int rc;

	if (param->iommu_dev != viommu->iommu_dev)
		return -EINVAL;
	if (vdev->virt_id > viommu->ops->max_virt_id ||
	    vdev->virt_id > ULONG_MAX)
		return -EINVAL;

	down_write(&viommu->vdevs_sem);
	/* Memory first: whoever reports an event waits for param->lock */
	rc = xa_insert(&viommu->vdevs, vdev->virt_id, vdev,
		       GFP_KERNEL_ACCOUNT);
	if (rc) {
		rc = rc == -EBUSY ? -EEXIST : rc;
		goto out_unlock;
	}
	mutex_lock(&param->lock);
	if (param->vdevice)
		rc = -EEXIST;
	else
		param->vdevice = vdev;
	mutex_unlock(&param->lock);
	if (rc)
		xa_erase(&viommu->vdevs, vdev->virt_id);
out_unlock:
	up_write(&viommu->vdevs_sem);
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommu_vdevice_connect, IOMMUFD_INTERNAL);

/**
 * iommu_vdevice_disconnect() - Undo iommu_vdevice_connect()
 * @vdev: Connected
 *
 * When it returns nobody looks at @vdev any more. The device goes on with the
 * table that it has.
 */
void iommu_vdevice_disconnect(struct iommu_vdevice *vdev)
{
	struct iommu_viommu *viommu = vdev->viommu;
	struct dev_iommu *param = vdev->dev->iommu;

	down_write(&viommu->vdevs_sem);
	mutex_lock(&param->lock);
	param->vdevice = NULL;
	mutex_unlock(&param->lock);
	xa_erase(&viommu->vdevs, vdev->virt_id);
	up_write(&viommu->vdevs_sem);
}
EXPORT_SYMBOL_NS_GPL(iommu_vdevice_disconnect, IOMMUFD_INTERNAL);

/**
 * iommu_viommu_find_dev() - The device that a guest means
 * @viommu: vIOMMU, with vdevs_sem held
 * @virt_id: The guest's name for it
 *
 * Return: the device, bound until the caller lets vdevs_sem go, or NULL.
 */
struct device *iommu_viommu_find_dev(struct iommu_viommu *viommu, u64 virt_id)
{
	struct iommu_vdevice *vdev;

	lockdep_assert_held(&viommu->vdevs_sem);

	vdev = xa_load(&viommu->vdevs, virt_id);
	return vdev ? vdev->dev : NULL;
}
EXPORT_SYMBOL_GPL(iommu_viommu_find_dev);

/**
 * iommu_viommu_may_attach() - Whether a device may be attached to a table
 * @domain: Any domain
 * @dev: Bound device
 *
 * For the owner of the table to ask before it attaches. Not for the attach_dev op
 * of the domain: when the core goes back to the table that a device had, that has
 * to work, whatever became of the guest's name for the device.
 *
 * Return: 0, or -ENOENT if @domain translates and was made on a vIOMMU that @dev
 * is not connected to.
 */
int iommu_viommu_may_attach(struct iommu_domain *domain, struct device *dev)
{
	struct dev_iommu *param = dev->iommu;
	struct iommu_pasid_table *table;
	bool has;

	if (!iommu_domain_is_pasid_table(domain))
		return 0;
	table = to_iommu_pasid_table(domain);
	if (!table->viommu ||
	    table->config.config != IOMMU_PASID_TABLE_TRANSLATE)
		return 0;

	mutex_lock(&param->lock);
	has = param->vdevice && param->vdevice->viommu == table->viommu;
	mutex_unlock(&param->lock);
	return has ? 0 : -ENOENT;
}
EXPORT_SYMBOL_NS_GPL(iommu_viommu_may_attach, IOMMUFD_INTERNAL);

/**
 * iommu_viommu_alloc_table() - Make a domain of a table that a guest describes in
 *                              the hardware's own format
 * @viommu: vIOMMU; the caller keeps it alive for as long as the table
 * @dev: Device that the table is meant for
 * @data: What the guest says, viommu->ops->table_len bytes; untrusted, read once
 *
 * The domain is one of iommu_pasid_table_alloc() in every other respect. Before it
 * is attached the caller asks iommu_viommu_may_attach().
 *
 * Return: the domain, ERR_PTR(-EIO) for what a guest may not say, or an errno of
 * iommu_pasid_table_alloc().
 */
struct iommu_domain *iommu_viommu_alloc_table(struct iommu_viommu *viommu,
					      struct device *dev,
					      const void *data)
{
	struct iommu_hwpt_pasid_table config = {};
	struct iommu_domain *domain;
	struct iommu_pasid_table *table;
	u64 attrs = 0;
	int rc;

	if (dev->iommu->iommu_dev != viommu->iommu_dev)
		return ERR_PTR(-EINVAL);
	rc = viommu->ops->parse_table(viommu, data, &config, &attrs);
	if (rc)
		return ERR_PTR(rc);
	domain = iommu_pasid_table_alloc(dev, viommu->parent, &config, NULL);
	if (IS_ERR(domain))
		return domain;
	table = to_iommu_pasid_table(domain);
	table->viommu = viommu;
	table->attrs = attrs;
	return domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_viommu_alloc_table, IOMMUFD_INTERNAL);

/**
 * iommu_cmd_next() - Get the next commands of a guest
 * @iter: From the driver's cache_invalidate op
 *
 * The commands are copies, and otherwise unchecked. May sleep.
 *
 * Return: the number of commands in @iter->cmds, 0 after the last one, or the
 * errno of the next command.
 */
int iommu_cmd_next(struct iommu_cmd_iter *iter)
{
	struct iommu_inv_source *source = iter->source;
	int nr;

	if (!source->left)
		return 0;
	if (fatal_signal_pending(current))
		return -EINTR;

	nr = source->fetch(source, iter->cmds, 2 * sizeof(__le64),
			   IOMMU_VIOMMU_CHUNK);
	if (source->left)
		cond_resched();
	return nr;
}
EXPORT_SYMBOL_GPL(iommu_cmd_next);

/**
 * iommu_viommu_invalidate() - Do a guest's invalidation commands
 * @viommu: vIOMMU, kept alive by the caller
 * @source: Where the commands come from; untrusted
 * @done: Returns the number of commands that are complete, from the first on.
 *        The command after them is the cause of an error.
 *
 * The commands reach what the guest owns behind this vIOMMU: tables made on it,
 * and connected devices. Waits for the hardware once. May sleep.
 *
 * Return: 0 if all are complete, or
 *
 * * -EIO: a command that a guest may not give
 * * -ETIMEDOUT: the hardware did not answer; @done is 0
 * * -EINTR: a fatal signal
 * * an errno of reading the command
 */
int iommu_viommu_invalidate(struct iommu_viommu *viommu,
			    struct iommu_inv_source *source, u32 *done)
{
	/* The chunk is written before it is read */
	struct iommu_cmd_iter iter __uninitialized;

	iter.source = source;
	*done = 0;
	return viommu->ops->cache_invalidate(viommu, &iter, done);
}
EXPORT_SYMBOL_NS_GPL(iommu_viommu_invalidate, IOMMUFD_INTERNAL);

/**
 * iommu_vdevice_report() - Report an event to the guest that owns a device
 * @dev: Device that the hardware reports
 * @ops: Of the vIOMMUs whose format @convert writes
 * @convert: Write the event as the guest is to see it, with its own name for the
 *           device; false if it is not the guest's business
 * @from: For @convert
 *
 * Goes to the vIOMMU that @dev is connected to, if any. May sleep.
 *
 * Return: true if it was reported.
 */
bool iommu_vdevice_report(struct device *dev,
			  const struct iommu_viommu_ops *ops,
			  bool (*convert)(const void *from, u64 virt_id,
					  void *event),
			  const void *from)
{
	u64 event[IOMMU_VIOMMU_MAX_EVENT_LEN / sizeof(u64)] = {};
	struct iommu_vdevice *vdev;
	bool reported = false;

	/* Held throughout: it keeps the vIOMMU and its queues where they are */
	mutex_lock(&dev->iommu->lock);
	vdev = dev->iommu->vdevice;
	if (vdev && vdev->viommu->ops == ops &&
	    convert(from, vdev->virt_id, event)) {
		vdev->viommu->report(vdev->viommu, event);
		reported = true;
	}
	mutex_unlock(&dev->iommu->lock);
	return reported;
}
EXPORT_SYMBOL_GPL(iommu_vdevice_report);
