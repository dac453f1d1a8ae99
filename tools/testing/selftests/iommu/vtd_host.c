// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk of the host's own that has a TLB, is reset and goes on. Its unmaps reach the
 * IOMMU later than they are made, in the middle of the reset (iommu.strict=0), where
 * it could not answer. What is not answered times out when the reset is over.
 */
#include <fcntl.h>

#include "nested_racer.h"
#include "nested_trace.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define DISK		"/dev/nvme0n1"
#define DISK_DEVICE	"/sys/block/nvme0n1/device/device"
#define READ_SIZE	(128 * 1024)
#define DISK_SIZE	(64 * 1024 * 1024)
#define READERS		4
#define TRIES		20

struct reader {
	void *buf;
	int fd;
};

FIXTURE(host)
{
	struct vtd v;
	struct vfio_dev disk;	/* its name is all that it has */
	struct reader readers[READERS];
};

/* What is under way when the reset begins is cancelled, unmapped and done again */
static int read_disk(void *data, unsigned int i)
{
	struct reader *reader = data;
	ssize_t size;

	size = pread(reader->fd, reader->buf, READ_SIZE,
		     (off_t)i * READ_SIZE % DISK_SIZE);
	return size == READ_SIZE ? 0 : -EIO;
}

FIXTURE_SETUP(host)
{
	struct reader *reader;
	char path[PATH_MAX];

	ASSERT_EQ(0, vtd_init(&self->v, VTD_BITS, 0));
	ASSERT_NE(NULL, realpath(DISK_DEVICE, path));
	snprintf(self->disk.name, sizeof(self->disk.name), "%s",
		 strrchr(path, '/') + 1);
	ASSERT_TRUE(vtd_ats_on(&self->disk));
	for (reader = self->readers; reader < self->readers + READERS; reader++) {
		reader->fd = open(DISK, O_RDONLY | O_DIRECT);
		ASSERT_GE(reader->fd, 0);
		ASSERT_EQ(0, posix_memalign(&reader->buf, 4096, READ_SIZE));
	}
}

FIXTURE_TEARDOWN(host)
{
	int i;

	for (i = 0; i < READERS; i++) {
		free(self->readers[i].buf);
		close(self->readers[i].fd);
	}
	vtd_exit(&self->v);
}

TEST_F_TIMEOUT(host, reset, 120)
{
	int i, timeouts = log_open(), blame = log_open();
	struct racer racers[READERS];
	bool stop = false;

	for (i = 0; i < READERS; i++)
		racers[i] = (struct racer){ read_disk, "a reader",
					    &self->readers[i] };
	ASSERT_EQ(0, racers_start(racers, READERS, NULL, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(0, pci_write(self->disk.name, "reset", "1"));
		EXPECT_TRUE(vtd_ats_on(&self->disk));
		/* Done when all that was sent to the disk is answered or given up */
		EXPECT_EQ(0, vm_map_and_unmap(&self->v.env.vm));
	}
	EXPECT_EQ(0, racers_end(racers, READERS, &stop));
	EXPECT_EQ(0, log_count(timeouts, "Invalidation Time-out Error"));
	EXPECT_EQ(0, log_count(blame, "does not answer its IOMMU"));
	close(timeouts);
	close(blame);
}

TEST_HARNESS_MAIN
