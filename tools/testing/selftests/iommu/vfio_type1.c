// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device in a VFIO container. Nobody has opened it when the container gets its
 * IOMMU, so it sleeps at that moment, and nothing is attached to it until it wakes.
 */
#include <sys/stat.h>

#include "nested_env.h"

#include "../kselftest_harness.h"

#define AREA_SIZE	4096
#define FIRST_IOVA	0x100000
#define SECOND_IOVA	0x200000

FIXTURE(type1)
{
	int container, group;
	struct edu edu;
	__u8 *first, *second;
};

/* A device that nobody has open is suspended, a little later */
static bool device_suspends(const char *name)
{
	char path[PATH_MAX], status[16];
	int tries = 5000;
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/power/runtime_status", name);
	while (tries--) {
		f = fopen(path, "r");
		if (!f)
			return false;
		if (!fgets(status, sizeof(status), f))
			status[0] = '\0';
		fclose(f);
		if (!strcmp(status, "suspended\n"))
			return true;
		usleep(1000);
	}
	return false;
}

static int open_group(const char *name)
{
	char link[PATH_MAX], path[PATH_MAX];
	ssize_t len;
	int fd;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group",
		 name);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	snprintf(link, sizeof(link), "/dev/vfio/%.16s", strrchr(path, '/') + 1);
	fd = open(link, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int map(int container, void *mem, __u64 iova)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem,
		.iova = iova,
		.size = AREA_SIZE,
	};

	return call(container, VFIO_IOMMU_MAP_DMA, &cmd);
}

static int unmap(int container, __u64 iova)
{
	struct vfio_iommu_type1_dma_unmap cmd = {
		.argsz = sizeof(cmd),
		.iova = iova,
		.size = AREA_SIZE,
	};

	return call(container, VFIO_IOMMU_UNMAP_DMA, &cmd);
}

static __u8 *area(void)
{
	__u8 *mem = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

FIXTURE_SETUP(type1)
{
	int rc = edu_open(&self->edu, 0);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->first = area();
	self->second = area();
	ASSERT_NE(NULL, self->first);
	ASSERT_NE(NULL, self->second);
	close(self->edu.dev.fd);
	ASSERT_TRUE(device_suspends(self->edu.dev.name));

	self->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->container);
	self->group = open_group(self->edu.dev.name);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, call(self->group, VFIO_GROUP_SET_CONTAINER,
			  &self->container));
	ASSERT_EQ(0, ioctl(self->container, VFIO_SET_IOMMU,
			   VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, map(self->container, self->first, FIRST_IOVA));

	self->edu.dev.fd = ioctl(self->group, VFIO_GROUP_GET_DEVICE_FD,
				 self->edu.dev.name);
	ASSERT_LE(0, self->edu.dev.fd);
	ASSERT_EQ(0, vfio_enable(&self->edu.dev));
	ASSERT_EQ(0, vfio_map_bar0(&self->edu.dev));
}

FIXTURE_TEARDOWN(type1)
{
	vfio_close(&self->edu.dev);
	close(self->group);
	close(self->container);
}

/* Have the device copy a chunk with this content from the first area to @iova */
static int copy_to(struct _test_data_type1 *self, __u8 value, __u64 iova)
{
	int rc;

	memset(self->first, value, EDU_CHUNK);
	rc = edu_begin(&self->edu, FIRST_IOVA, EDU_BUFFER, EDU_CHUNK, 0);
	rc = rc ?: edu_wait(&self->edu);
	rc = rc ?: edu_begin(&self->edu, EDU_BUFFER, iova, EDU_CHUNK,
			     EDU_CMD_TO_RAM);
	return rc ?: edu_wait(&self->edu);
}

TEST_F(type1, asleep_before_it_is_opened)
{
	ASSERT_EQ(0, copy_to(self, 0x5a, FIRST_IOVA + 2048));
	ASSERT_EQ(0, memcmp(self->first, self->first + 2048, EDU_CHUNK));
}

TEST_F(type1, mapped_while_asleep)
{
	ASSERT_EQ(0, vfio_sleep(&self->edu.dev, true));
	ASSERT_EQ(0, map(self->container, self->second, SECOND_IOVA));
	ASSERT_EQ(0, vfio_sleep(&self->edu.dev, false));
	ASSERT_EQ(0, edu_after_reset(&self->edu));

	ASSERT_EQ(0, copy_to(self, 0xa5, SECOND_IOVA));
	ASSERT_EQ(0, memcmp(self->first, self->second, EDU_CHUNK));
}

TEST_F(type1, unmapped_while_asleep)
{
	ASSERT_EQ(0, map(self->container, self->second, SECOND_IOVA));
	ASSERT_EQ(0, copy_to(self, 0x11, SECOND_IOVA));
	ASSERT_EQ(0x11, self->second[0]);

	ASSERT_EQ(0, vfio_sleep(&self->edu.dev, true));
	ASSERT_EQ(0, unmap(self->container, SECOND_IOVA));
	ASSERT_EQ(0, vfio_sleep(&self->edu.dev, false));
	ASSERT_EQ(0, edu_after_reset(&self->edu));

	ASSERT_EQ(0, copy_to(self, 0x22, SECOND_IOVA));
	ASSERT_EQ(0x11, self->second[0]);
	/* The device works, it is the address that leads nowhere */
	ASSERT_EQ(0, copy_to(self, 0x33, FIRST_IOVA + 2048));
	ASSERT_EQ(0x33, self->first[2048]);
}

TEST_HARNESS_MAIN
