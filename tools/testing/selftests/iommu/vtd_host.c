// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk of the host's own that has a TLB, is reset and goes on. Its unmaps reach the
 * IOMMU later than they are made, in the middle of the reset (iommu.strict=0), where
 * it could not answer. What is not answered times out when the reset is over.
 */
#include <fcntl.h>

#include "nested_trace.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define DISK		"/dev/nvme0n1"
#define DISK_DEVICE	"/sys/block/nvme0n1/device/device"
#define READ_SIZE	(128 * 1024)
#define READS		64
#define TRIES		5

FIXTURE(host)
{
	struct vtd v;
	struct vfio_dev disk;	/* its name is all that it has */
	void *buf;
	int fd;
};

static int read_disk(struct _test_data_host *self)
{
	int i;

	for (i = 0; i < READS; i++)
		if (pread(self->fd, self->buf, READ_SIZE, i * READ_SIZE) !=
		    READ_SIZE)
			return -EIO;
	return 0;
}

FIXTURE_SETUP(host)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, vtd_init(&self->v, VTD_BITS, 0));
	ASSERT_NE(NULL, realpath(DISK_DEVICE, path));
	snprintf(self->disk.name, sizeof(self->disk.name), "%s",
		 strrchr(path, '/') + 1);
	ASSERT_TRUE(vtd_ats_on(&self->disk));
	self->fd = open(DISK, O_RDONLY | O_DIRECT);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, posix_memalign(&self->buf, 4096, READ_SIZE));
}

FIXTURE_TEARDOWN(host)
{
	free(self->buf);
	close(self->fd);
	vtd_exit(&self->v);
}

TEST_F_TIMEOUT(host, reset, 120)
{
	int i, timeouts = log_open(), blame = log_open();

	for (i = 0; i < TRIES; i++) {
		ASSERT_EQ(0, read_disk(self));
		ASSERT_EQ(0, pci_write(self->disk.name, "reset", "1"));
		EXPECT_TRUE(vtd_ats_on(&self->disk));
		/* Done when all that was sent to the disk is answered or given up */
		ASSERT_EQ(0, vm_map_and_unmap(&self->v.env.vm));
	}
	EXPECT_EQ(0, read_disk(self));
	EXPECT_EQ(0, log_count(timeouts, "Invalidation Time-out Error"));
	EXPECT_EQ(0, log_count(blame, "does not answer its IOMMU"));
	close(timeouts);
	close(blame);
}

TEST_HARNESS_MAIN
