/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices that cannot answer their IOMMU
 */
#ifndef __LINUX_IOMMU_RESET_H
#define __LINUX_IOMMU_RESET_H

struct device;

/**
 * enum iommu_quiesce - Why a device cannot answer its IOMMU
 * @IOMMU_QUIESCE_RESET: It is being reset. Resets nest: each one that begins also
 *                       ends.
 * @IOMMU_QUIESCE_POWER: It is in another power state than D0. Does not nest: it is
 *                       a state, to be set and cleared as often as is convenient.
 */
enum iommu_quiesce {
	IOMMU_QUIESCE_RESET,
	IOMMU_QUIESCE_POWER,
};

#ifdef CONFIG_IOMMU_API
void iommu_device_quiesce(struct device *dev, enum iommu_quiesce why);
void iommu_device_was_reset(struct device *dev);
void iommu_device_resume(struct device *dev, enum iommu_quiesce why);
void iommu_device_vfs_enabled(struct device *dev);
#else
static inline void iommu_device_quiesce(struct device *dev,
					enum iommu_quiesce why)
{
}

static inline void iommu_device_was_reset(struct device *dev)
{
}

static inline void iommu_device_resume(struct device *dev,
				       enum iommu_quiesce why)
{
}

static inline void iommu_device_vfs_enabled(struct device *dev)
{
}
#endif
#endif
