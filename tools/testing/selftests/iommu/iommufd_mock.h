/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mock devices, nesting parents and PASID tables on them
 */
#ifndef __IOMMUFD_MOCK_H
#define __IOMMUFD_MOCK_H

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define __EXPORTED_HEADERS__

#include "iommufd_utils.h"

static __attribute__((constructor)) void setup_buffer(void)
{
	PAGE_SIZE = sysconf(_SC_PAGE_SIZE);
	BUFFER_SIZE = 16 * PAGE_SIZE;
	buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* 0, or the errno */
static int call(int fd, unsigned long op, void *cmd)
{
	return ioctl(fd, op, cmd) ? errno : 0;
}

static int table_alloc(int fd, __u32 dev_id, __u32 parent_id,
		       const void *config, size_t len, __u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.pt_id = parent_id,
		.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
		.data_len = len,
		.data_uptr = (uintptr_t)config,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!rc && id)
		*id = cmd.out_hwpt_id;
	return rc;
}

/* A device of MOCK_FLAGS_DEVICE_*, attached to a IOAS or HWPT */
static int device_add_flags(int fd, __u32 pt_id, __u32 flags, __u32 *stdev_id,
			    __u32 *dev_id)
{
	return _test_cmd_mock_domain_flags(fd, pt_id, flags, stdev_id, NULL,
					   dev_id) ?
		       errno :
		       0;
}

static int device_add(int fd, __u32 pt_id, __u32 *stdev_id, __u32 *dev_id)
{
	return device_add_flags(fd, pt_id, MOCK_FLAGS_DEVICE_PASID, stdev_id,
				dev_id);
}

static int parent_alloc(int fd, __u32 dev_id, __u32 ioas_id, __u32 *id)
{
	return _test_cmd_hwpt_alloc(fd, dev_id, ioas_id, 0,
				    IOMMU_HWPT_ALLOC_NEST_PARENT, id,
				    IOMMU_HWPT_DATA_NONE, NULL, 0) ?
		       errno :
		       0;
}

/* The child of a fork() says that it is ready to be killed */
static void say_ready(const int pipe[2])
{
	if (write(pipe[1], "", 1) != 1)
		_exit(3);
}

/* ... and its parent waits for that. False if it ends without saying so. */
static bool gets_ready(const int pipe[2])
{
	bool ready;
	char byte;

	close(pipe[1]);
	ready = read(pipe[0], &byte, 1) == 1;
	close(pipe[0]);
	return ready;
}

static int destroy(int fd, __u32 id)
{
	return _test_ioctl_destroy(fd, id) ? errno : 0;
}

static int replace(int fd, __u32 stdev_id, __u32 pt_id)
{
	return _test_cmd_mock_domain_replace(fd, stdev_id, pt_id, NULL) ?
		       errno :
		       0;
}

#endif
