/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of /dev/iommu that nesting needs. Every call returns 0 or a
 * negative errno, so that a test can state the errno it expects.
 */
#ifndef __NESTED_IOMMUFD_H
#define __NESTED_IOMMUFD_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommufd.h>

static inline int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

static inline int iommufd_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline int ioas_alloc(int fd, __u32 *id)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int rc = call(fd, IOMMU_IOAS_ALLOC, &cmd);

	*id = cmd.out_ioas_id;
	return rc;
}

static inline int ioas_map(int fd, __u32 ioas, void *va, __u64 iova, __u64 len)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};

	return call(fd, IOMMU_IOAS_MAP, &cmd);
}

/* Map somewhere; returns where in @iova */
static inline int ioas_map_any(int fd, __u32 ioas, void *va, __u64 len,
			       __u64 *iova)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
	};
	int rc = call(fd, IOMMU_IOAS_MAP, &cmd);

	*iova = cmd.iova;
	return rc;
}

static inline int ioas_unmap(int fd, __u32 ioas, __u64 iova, __u64 len)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};

	return call(fd, IOMMU_IOAS_UNMAP, &cmd);
}

/* Whether mappings are allowed at @iova: 1, 0, or a negative errno */
static inline int ioas_allows(int fd, __u32 ioas, __u64 iova)
{
	struct iommu_iova_range ranges[128];
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.num_iovas = 128,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int rc = call(fd, IOMMU_IOAS_IOVA_RANGES, &cmd);
	__u32 i;

	for (i = 0; !rc && i < cmd.num_iovas; i++)
		if (iova >= ranges[i].start && iova <= ranges[i].last)
			return 1;
	return rc;
}

/* Promise that mappings in this range will always be allowed */
static inline int ioas_promise(int fd, __u32 ioas, __u64 first, __u64 last)
{
	struct iommu_iova_range range = { .start = first, .last = last };
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.num_iovas = 1,
		.allowed_iovas = (uintptr_t)&range,
	};

	return call(fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd);
}

static inline int iommufd_destroy(int fd, __u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return call(fd, IOMMU_DESTROY, &cmd);
}

static inline int hwpt_alloc(int fd, __u32 dev, __u32 pt, __u32 flags,
			     __u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dev_id = dev,
		.pt_id = pt,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

static inline int hwpt_alloc_table(int fd, __u32 dev, __u32 parent,
				   const struct iommu_hwpt_pasid_table *config,
				   __u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
		.data_len = sizeof(*config),
		.data_uptr = (uintptr_t)config,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

/* @num is the number of entries, and then of those that are complete */
static inline int invalidate_entries(int fd, __u32 object, __u32 type,
				     const void *entries, __u32 len, __u32 *num)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = object,
		.data_uptr = (uintptr_t)entries,
		.data_type = type,
		.entry_len = len,
		.entry_num = *num,
	};
	int rc = call(fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*num = cmd.entry_num;
	return rc;
}

static inline int
hwpt_invalidate(int fd, __u32 hwpt,
		const struct iommu_hwpt_pasid_table_invalidate *reqs,
		__u32 *num)
{
	return invalidate_entries(fd, hwpt,
				  IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE, reqs,
				  sizeof(*reqs), num);
}

static inline int
hwpt_invalidate_one(int fd, __u32 hwpt,
		    const struct iommu_hwpt_pasid_table_invalidate *req)
{
	__u32 num = 1;
	int rc = hwpt_invalidate(fd, hwpt, req, &num);

	/* What succeeds must be counted, what fails must not */
	return num == !rc ? rc : -EPROTO;
}

/* Returns the type of information, or a negative errno */
static inline int hw_info(int fd, __u32 dev, void *data, __u32 *len)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.data_len = *len,
		.data_uptr = (uintptr_t)data,
	};
	int rc = call(fd, IOMMU_GET_HW_INFO, &cmd);

	*len = cmd.data_len;
	return rc ?: (int)cmd.out_data_type;
}

static inline int option_get(int fd, __u32 option, __u32 object, __u64 *value)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = option,
		.op = IOMMU_OPTION_OP_GET,
		.object_id = object,
	};
	int rc = call(fd, IOMMU_OPTION, &cmd);

	*value = cmd.val64;
	return rc;
}

static inline int option_set(int fd, __u32 option, __u32 object, __u64 value)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = option,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = object,
		.val64 = value,
	};

	return call(fd, IOMMU_OPTION, &cmd);
}

#endif
