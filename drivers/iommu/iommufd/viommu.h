/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects of a guest's IOMMU
 */
#ifndef __IOMMUFD_VIOMMU_H
#define __IOMMUFD_VIOMMU_H

#include <linux/iommu-viommu.h>

#include "iommufd_private.h"

struct iommufd_veventq;

/**
 * struct iommufd_viommu - vIOMMU
 * @obj: Held by nested HWPTs, connected vDEVICEs and event queues
 * @core: What the core knows of it
 * @hwpt: Nesting parent, held
 * @veventq_sem: Guards @veventq
 * @veventq: Takes the events of its devices, or NULL
 */
struct iommufd_viommu {
	struct iommufd_object obj;
	struct iommu_viommu *core;
	struct iommufd_hwpt_paging *hwpt;
	struct rw_semaphore veventq_sem;
	struct iommufd_veventq *veventq;
};

/**
 * struct iommufd_vdevice - vDEVICE
 * @obj: Nobody holds it
 * @ictx: Context
 * @core: What the core knows of it
 * @viommu: vIOMMU, held while @idev is set
 * @idev: Device, NULL once it is unbound. Guarded by ictx->vdevice_lock.
 */
struct iommufd_vdevice {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommu_vdevice core;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
};

/**
 * struct iommufd_veventq - Event queue
 * @obj: Held by the file
 * @ictx: Context, held by the file
 * @viommu: vIOMMU, held
 * @filep: What the VMM reads from
 * @event_len: Size of an event in bytes
 * @depth: Number of records in @ring
 * @read_mutex: One reader at a time; only a reader takes records out
 * @lock: Guards the rest
 * @wait_queue: Of readers and of poll()
 * @ring: Records of sizeof(header) + @event_len bytes
 * @first: The oldest record
 * @count: Number of records
 * @sequence: Of the next event
 * @lost: The last event did not fit, and none came since
 */
struct iommufd_veventq {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_viommu *viommu;
	struct file *filep;
	u32 event_len;
	u32 depth;
	/* Held while records are copied to the user */
	struct mutex read_mutex;
	/* Guards what follows */
	spinlock_t lock;
	struct wait_queue_head wait_queue;
	void *ring;
	u32 first;
	u32 count;
	u32 sequence;
	bool lost;
};

void iommufd_veventq_report(struct iommu_viommu *core, const void *event);

static inline struct iommufd_viommu *
to_iommufd_viommu(struct iommufd_object *obj)
{
	return container_of(obj, struct iommufd_viommu, obj);
}

static inline struct iommufd_viommu *
iommufd_get_viommu(struct iommufd_ucmd *ucmd, u32 id)
{
	return to_iommufd_viommu(iommufd_get_object(ucmd->ictx, id,
						    IOMMUFD_OBJ_VIOMMU));
}

#endif
