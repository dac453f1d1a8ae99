/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of a device, as the kernel traces and logs them
 */
#ifndef __NESTED_FAULTS_H
#define __NESTED_FAULTS_H

#include "nested_marker.h"

/*
 * The number of faults of @dev since faults_start() at an address from @first
 * to @last. Where @some are expected, wait until there is one. Otherwise all that
 * there are of the DMA until now are counted; UINT_MAX if this cannot be told.
 */
static inline unsigned int faults_at(const struct vfio_dev *dev, __u64 first,
				     __u64 last, bool some)
{
	unsigned int count, tries = 2000;

	if (!some)
		return faults_settle(dev) ? faults_now(dev, first, last) :
					    UINT_MAX;
	do {
		count = faults_now(dev, first, last);
		if (!count)
			usleep(10000);
	} while (!count && --tries);
	return count;
}

static inline unsigned int faults(const struct vfio_dev *dev, bool some)
{
	return faults_at(dev, 0, UINT64_MAX, some);
}

/*
 * Faults that the driver blames on nobody's guest go to the kernel's log, a few
 * in five seconds. The number of them since log_open(), or since this was last
 * asked, of the DMA until now of devices that share an IOMMU with @dev; a negative
 * errno if this cannot be told.
 */
static inline int log_events(const struct vfio_dev *dev, int log)
{
	return faults_settle(dev) ? log_count(log, LOG_FAULT) : -ETIME;
}

#endif
