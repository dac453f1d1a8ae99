/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mock driver and its part for vIOMMUs know of each other
 */
#ifndef __IOMMUFD_SELFTEST_VIOMMU_H
#define __IOMMUFD_SELFTEST_VIOMMU_H

#include <linux/iommu-viommu.h>

/**
 * struct mock_viommu_dev - A mock device as the mock IOMMU sees it
 * @cache: A bit for each entry that the device has cached
 */
struct mock_viommu_dev {
	u64 cache;
};

struct iommufd_ucmd;

extern const struct iommu_viommu_ops mock_viommu_ops;

/* In selftest.c */
struct mock_viommu_dev *iommufd_test_viommu_dev(struct device *dev);

int iommufd_test_viommu(struct iommufd_ucmd *ucmd);

#endif
