/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vIOMMUs on mock devices, and what is made on them. The functions return 0 or
 * an errno.
 */
#ifndef __IOMMUFD_VIOMMU_H
#define __IOMMUFD_VIOMMU_H

#include "iommufd_mock.h"

#define NOBODY 0x7fffffff

/* Two devices behind one IOMMU, and a vIOMMU without anything on it */
struct viommu_env {
	int fd;
	__u32 ioas_id;
	__u32 stdev_id[2];
	__u32 dev_id[2];
	__u32 parent_id;
	__u32 viommu_id;
};

static int viommu_alloc(int fd, __u32 dev_id, __u32 parent_id, __u32 *id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_SELFTEST,
		.dev_id = dev_id,
		.hwpt_id = parent_id,
	};
	int rc = call(fd, IOMMU_VIOMMU_ALLOC, &cmd);

	if (!rc)
		*id = cmd.out_viommu_id;
	return rc;
}

static int vdevice_alloc(int fd, __u32 viommu_id, __u32 dev_id, __u64 virt_id,
			 __u32 *id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu_id,
		.dev_id = dev_id,
		.virt_id = virt_id,
	};
	int rc = call(fd, IOMMU_VDEVICE_ALLOC, &cmd);

	if (!rc)
		*id = cmd.out_vdevice_id;
	return rc;
}

static int veventq_alloc(int fd, __u32 viommu_id, __u32 depth, __u32 *id,
			 int *file)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu_id,
		.type = IOMMU_VEVENTQ_TYPE_SELFTEST,
		.veventq_depth = depth,
	};
	int rc = call(fd, IOMMU_VEVENTQ_ALLOC, &cmd);

	if (!rc) {
		*id = cmd.out_veventq_id;
		*file = cmd.out_veventq_fd;
	}
	return rc;
}

/* @config is IOMMU_PASID_TABLE_TRANSLATE, _BYPASS or _ABORT */
static int vtable_alloc(int fd, __u32 dev_id, __u32 viommu_id, __u32 config,
			__u32 *id)
{
	struct mock_viommu_table table = { .config = config };

	return _test_cmd_hwpt_alloc(fd, dev_id, viommu_id, 0, 0, id,
				    IOMMU_HWPT_DATA_SELFTEST_VIOMMU, &table,
				    sizeof(table)) ?
		       errno :
		       0;
}

/* Give commands; @nr returns how many are complete */
static int vcommands(int fd, __u32 viommu_id,
		     const struct mock_viommu_cmd *cmds, __u32 *nr)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = viommu_id,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
		.entry_len = sizeof(*cmds),
		.entry_num = *nr,
	};
	int rc = call(fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*nr = cmd.entry_num;
	return rc;
}

/* The device makes @count events. @reported may be NULL. */
static int events(int fd, __u32 dev_id, __u32 value, __u32 count,
		  __u32 *reported)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_VIOMMU_EVENT,
		.id = dev_id,
		.viommu_event = { .value = value, .count = count },
	};
	int rc = call(fd, IOMMU_TEST_CMD, &cmd);

	if (!rc && reported)
		*reported = cmd.viommu_event.out_reported;
	return rc;
}

/* What is left in the caches, of which device if any; then fill them */
static int vquery(int fd, __u32 viommu_id, __u32 dev_id,
		  struct iommu_test_cmd *cmd)
{
	*cmd = (struct iommu_test_cmd){
		.size = sizeof(*cmd),
		.op = IOMMU_TEST_OP_VIOMMU_QUERY,
		.id = viommu_id,
		.viommu_query = { .dev_id = dev_id, .refill = 1 },
	};
	return call(fd, IOMMU_TEST_CMD, cmd);
}

/* Whether a device uses a table, or none if @hwpt_id is 0 */
static bool uses(int fd, __u32 dev_id, __u32 hwpt_id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_PASID_TABLE_QUERY,
		.id = hwpt_id,
		.pasid_table_query = { .dev_id = dev_id },
	};

	return !call(fd, IOMMU_TEST_CMD, &cmd) &&
	       cmd.pasid_table_query.out_uses == 1;
}

static int viommu_env_init(struct viommu_env *env)
{
	int i, rc = 0;

	env->fd = open("/dev/iommu", O_RDWR);
	if (env->fd == -1)
		return errno;
	if (_test_ioctl_ioas_alloc(env->fd, &env->ioas_id))
		return errno;
	for (i = 0; i < 2; i++)
		rc = rc ?: device_add(env->fd, env->ioas_id, &env->stdev_id[i],
				      &env->dev_id[i]);
	rc = rc ?: parent_alloc(env->fd, env->dev_id[0], env->ioas_id,
				&env->parent_id);
	return rc ?: viommu_alloc(env->fd, env->dev_id[0], env->parent_id,
				  &env->viommu_id);
}

/* A command that the kernel can read and not answer */
static void *read_only(const void *cmd, size_t len)
{
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	memcpy(page, cmd, len);
	return mprotect(page, PAGE_SIZE, PROT_READ) ? NULL : page;
}

#endif
