// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk of the host's own that has a TLB, is reset and goes on. Meanwhile the host uses
 * another one of the same group, whose unmaps are for both. What the disk does not answer
 * times out when its reset is over.
 */
#include <fcntl.h>

#include "nested_racer.h"
#include "nested_trace.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define RESET_DISK	"nvme0n1"
#define OTHER_DISK	"nvme1n1"
#define READ_SIZE	(128 * 1024)
#define DISK_SIZE	(64 * 1024 * 1024)
#define TRIES		5

struct reader {
	void *buf;
	int fd;
};

FIXTURE(host)
{
	struct vtd v;
	struct vfio_dev disk;	/* its name is all that it has */
	struct reader reset, other;
};

static int read_disk(void *data, unsigned int i)
{
	struct reader *reader = data;
	ssize_t size;

	size = pread(reader->fd, reader->buf, READ_SIZE,
		     (off_t)i * READ_SIZE % DISK_SIZE);
	return size == READ_SIZE ? 0 : -EIO;
}

static int open_disk(struct reader *reader, const char *path)
{
	reader->fd = open(path, O_RDONLY | O_DIRECT);
	if (reader->fd < 0)
		return -errno;
	return -posix_memalign(&reader->buf, 4096, READ_SIZE);
}

static void close_disk(struct reader *reader)
{
	free(reader->buf);
	close(reader->fd);
}

static int disk_group(const char *name)
{
	char path[PATH_MAX], group[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/block/%s/device/device/iommu_group",
		 name);
	return realpath(path, group) ? atoi(strrchr(group, '/') + 1) : -errno;
}

FIXTURE_SETUP(host)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, vtd_init(&self->v, VTD_BITS, 0));
	ASSERT_NE(NULL, realpath("/sys/block/" RESET_DISK "/device/device", path));
	snprintf(self->disk.name, sizeof(self->disk.name), "%s",
		 strrchr(path, '/') + 1);
	ASSERT_TRUE(pci_ats_on(&self->disk));
	ASSERT_LE(0, disk_group(RESET_DISK));
	ASSERT_EQ(disk_group(RESET_DISK), disk_group(OTHER_DISK));
	ASSERT_EQ(0, open_disk(&self->reset, "/dev/" RESET_DISK));
	ASSERT_EQ(0, open_disk(&self->other, "/dev/" OTHER_DISK));
}

FIXTURE_TEARDOWN(host)
{
	close_disk(&self->reset);
	close_disk(&self->other);
	vtd_exit(&self->v);
}

TEST_F_TIMEOUT(host, reset, 120)
{
	struct racer reader = { read_disk, "the other disk", &self->other };
	int i, timeouts = log_open(), blame = log_open();
	bool stop = false;

	ASSERT_LE(0, timeouts);
	ASSERT_LE(0, blame);
	ASSERT_EQ(0, racers_start(&reader, 1, NULL, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(0, pci_write(self->disk.name, "reset", "1"));
		EXPECT_TRUE(pci_ats_on(&self->disk));
		/* Done when all that was sent to the disk is answered or given up */
		EXPECT_EQ(0, vm_map_and_unmap(&self->v.env.vm));
		EXPECT_EQ(0, read_disk(&self->reset, i));
	}
	EXPECT_EQ(0, racers_end(&reader, 1, &stop));
	EXPECT_EQ(0, log_count(timeouts, TIME_OUT));
	EXPECT_EQ(0, log_count(blame, "does not answer its IOMMU"));
	close(timeouts);
	close(blame);
}

TEST_HARNESS_MAIN
