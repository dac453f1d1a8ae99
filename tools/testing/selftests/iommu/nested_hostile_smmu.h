/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bad input that is so on SMMUv3
 */
#ifndef __NESTED_HOSTILE_SMMU_H
#define __NESTED_HOSTILE_SMMU_H

static const struct bad bad_vendor_table[] = {
	{ "unknown s1fmt", TABLE8(smmuv3.s1fmt), EINVAL, NUMBER, 3 },
	{ "last s1fmt", TABLE8(smmuv3.s1fmt), EINVAL, NUMBER, 255 },
	{ "unknown s1dss", TABLE8(smmuv3.s1dss), EINVAL, NUMBER, 3 },
	{ "last s1dss", TABLE8(smmuv3.s1dss), EINVAL, NUMBER, 255 },
	{ "reserved byte 0", TABLE8(smmuv3.__reserved[0]), EOPNOTSUPP, NUMBER,
	  1 },
	{ "reserved byte 1", TABLE8(smmuv3.__reserved[1]), EOPNOTSUPP, NUMBER,
	  1 },
	{ "reserved byte 2", TABLE8(smmuv3.__reserved[2]), EOPNOTSUPP, NUMBER,
	  1 },
	{ "reserved byte 3", TABLE8(smmuv3.__reserved[3]), EOPNOTSUPP, NUMBER,
	  1 },
	{ "reserved byte 4", TABLE8(smmuv3.__reserved[4]), EOPNOTSUPP, NUMBER,
	  1 },
	{ "reserved byte 5", TABLE8(smmuv3.__reserved[5]), EOPNOTSUPP, NUMBER,
	  0x80 },
};

static const struct bad bad_vendor_addr[] = {
	{ "granule of 8 KiB", REQ32(granule_log2), EINVAL, NUMBER, 13 },
};

static const struct bad bad_vendor_one_pasid[] = {
	{ "IOTLB without a tag", REQ32(flags), EINVAL, NUMBER, 2 },
	{ "PASID cache without a PASID", REQ32(caches), EINVAL, NUMBER, 4 },
	{ "device TLB without a PASID", REQ32(caches), EINVAL, NUMBER, 2 },
	{ "all caches without a PASID", REQ32(caches), EINVAL, NUMBER, 7 },
};

#endif
