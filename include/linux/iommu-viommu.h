/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's share of a physical IOMMU (vIOMMU), and its names for devices
 *
 * A guest sees an IOMMU of its own: with stream IDs that it has chosen, commands
 * in the hardware's format, and one space of address-space tags for all devices
 * behind it. The core keeps the names and the lifetimes; what the formats mean
 * is the driver's business, through struct iommu_viommu_ops.
 */
#ifndef __LINUX_IOMMU_VIOMMU_H
#define __LINUX_IOMMU_VIOMMU_H

#include <linux/iommu-pasid-table.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

/* Of the formats that drivers have, in bytes */
#define IOMMU_VIOMMU_MAX_TABLE_LEN	16
#define IOMMU_VIOMMU_MAX_EVENT_LEN	32

/* Guest commands, of 16 bytes; the array lives on the stack */
#define IOMMU_VIOMMU_CHUNK		64

/**
 * struct iommu_viommu - A guest's share of a physical IOMMU
 * @ops: The driver's
 * @parent: Nesting parent: stage 2 of everything behind this vIOMMU. The owner
 *          of the vIOMMU keeps it alive.
 * @iommu_dev: The physical IOMMU. A device of the guest keeps it alive.
 * @vdevs_sem: Guards @vdevs, and keeps its devices bound while held
 * @vdevs: The guest's devices, struct iommu_vdevice by virt_id
 * @report: The owner takes an event for the guest, in the format of @ops. May
 *          sleep; keeps nothing of it. Set by the owner before the first
 *          iommu_vdevice_connect().
 * @owner: For @report
 */
struct iommu_viommu {
	const struct iommu_viommu_ops *ops;
	struct iommu_domain *parent;
	struct iommu_device *iommu_dev;
	struct rw_semaphore vdevs_sem;
	struct xarray vdevs;
	void (*report)(struct iommu_viommu *viommu, const void *event);
	void *owner;
};

/**
 * struct iommu_vdevice - A device under the name that the guest gives it
 * @viommu: The guest's IOMMU that the guest sees it behind
 * @dev: The physical device, bound for as long as it is connected
 * @virt_id: The guest's name, on SMMUv3 the StreamID
 */
struct iommu_vdevice {
	struct iommu_viommu *viommu;
	struct device *dev;
	u64 virt_id;
};

/**
 * struct iommu_cmd_iter - Guest commands, chunk by chunk
 * @cmds: The commands that iommu_cmd_next() returned: two little-endian 64-bit
 *        words each, in the guest's own words
 * @source: Where they come from
 */
struct iommu_cmd_iter {
	__le64 cmds[IOMMU_VIOMMU_CHUNK * 2];
	struct iommu_inv_source *source;
};

/**
 * struct iommu_viommu_ops - What a driver does for vIOMMUs
 * @type: enum iommu_viommu_type
 * @table_type: enum iommu_hwpt_data_type of its tables
 * @table_len: Size of that in bytes, IOMMU_VIOMMU_MAX_TABLE_LEN at most
 * @inv_type: enum iommu_hwpt_invalidate_data_type of its commands, which have 16
 *            bytes
 * @event_type: enum iommu_veventq_type of its events, 0 if it reports none
 * @event_len: Size of an event in bytes, IOMMU_VIOMMU_MAX_EVENT_LEN at most
 * @max_virt_id: The largest name that a device can have
 * @alloc: Make a vIOMMU of the IOMMU behind @dev, on @parent of the same driver.
 *         EINVAL if the two do not fit. The core fills struct iommu_viommu.
 * @free: Undo @alloc. No table and no device uses it any more.
 * @parse_table: Turn the guest's description of a table, @table_len bytes of
 *               untrusted data, into @config and the driver's own @attrs. EIO for
 *               what the guest may not say.
 * @cache_invalidate: Do the commands of @iter in their order and wait for them
 *                    once. @done returns how many are complete. EIO for a command
 *                    that may not pass. Devices come and go meanwhile.
 */
struct iommu_viommu_ops {
	u32 type;
	u32 table_type;
	u32 table_len;
	u32 inv_type;
	u32 event_type;
	u32 event_len;
	u64 max_virt_id;
	struct iommu_viommu *(*alloc)(struct device *dev,
				      struct iommu_domain *parent);
	void (*free)(struct iommu_viommu *viommu);
	int (*parse_table)(struct iommu_viommu *viommu, const void *data,
			   struct iommu_hwpt_pasid_table *config, u64 *attrs);
	int (*cache_invalidate)(struct iommu_viommu *viommu,
				struct iommu_cmd_iter *iter, u32 *done);
};

#ifdef CONFIG_IOMMU_PASID_TABLE
struct iommu_viommu *iommu_viommu_alloc(struct device *dev,
					struct iommu_domain *parent, u32 type);
void iommu_viommu_free(struct iommu_viommu *viommu);
int iommu_vdevice_connect(struct iommu_vdevice *vdev);
void iommu_vdevice_disconnect(struct iommu_vdevice *vdev);
int iommu_viommu_may_attach(struct iommu_domain *domain, struct device *dev);
struct device *iommu_viommu_find_dev(struct iommu_viommu *viommu, u64 virt_id);
struct iommu_domain *iommu_viommu_alloc_table(struct iommu_viommu *viommu,
					      struct device *dev,
					      const void *data);
int iommu_viommu_invalidate(struct iommu_viommu *viommu,
			    struct iommu_inv_source *source, u32 *done);
int iommu_cmd_next(struct iommu_cmd_iter *iter);
bool iommu_vdevice_report(struct device *dev,
			  const struct iommu_viommu_ops *ops,
			  bool (*convert)(const void *from, u64 virt_id,
					  void *event),
			  const void *from);
#endif
#endif
