// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings from a memfd on mock devices: IOMMU_IOAS_MAP_FILE. A HWPT of the
 * mock maps its IOAS from its allocation to its destruction, attached or not.
 */
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "iommufd_mock.h"
#include "nested_racer.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE	0x0010
#endif

#define HUGE_SIZE	(2UL << 20)
#define IOVA		MOCK_APERTURE_START
#define READ		IOMMU_IOAS_MAP_READABLE
#define WRITE		IOMMU_IOAS_MAP_WRITEABLE
#define FIXED		IOMMU_IOAS_MAP_FIXED_IOVA
#define NO_ID		~0U
#define USER		1000

static int map_file(int fd, __u32 ioas_id, int memfd, __u64 start,
		    __u64 length, __u32 flags, __u64 *iova)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.ioas_id = ioas_id,
		.fd = memfd,
		.start = start,
		.length = length,
		.iova = *iova,
	};
	int rc = call(fd, IOMMU_IOAS_MAP_FILE, &cmd);

	*iova = cmd.iova;
	return rc;
}

/* Map at IOVA, readable and writable */
static int map_at(int fd, __u32 ioas_id, int memfd, __u64 start, __u64 length)
{
	__u64 iova = IOVA;

	return map_file(fd, ioas_id, memfd, start, length, FIXED | READ | WRITE,
			&iova);
}

static int unmap(int fd, __u32 ioas_id, __u64 iova, __u64 length)
{
	return _test_ioctl_ioas_unmap(fd, ioas_id, iova, length, NULL) ?
		       errno :
		       0;
}

static int copy(int fd, __u32 dst_id, __u32 src_id, __u64 length, __u32 flags)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dst_ioas_id = dst_id,
		.src_ioas_id = src_id,
		.length = length,
		.dst_iova = IOVA,
		.src_iova = IOVA,
	};

	return call(fd, IOMMU_IOAS_COPY, &cmd);
}

/* By the CPU, as a driver does it that emulates a device */
static int access_rw(int fd, __u32 access, __u64 iova, void *data,
		     size_t length, __u32 flags)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_ACCESS_RW,
		.id = access,
		.access_rw = { .iova = iova, .length = length,
			       .uptr = (uintptr_t)data, .flags = flags },
	};

	return call(fd, IOMMU_TEST_CMD, &cmd);
}

/* Pin pages and compare them with those at @mem, unless that is NULL */
static int access_pin(int fd, __u32 access, __u64 iova, size_t length,
		      void *mem, __u32 *id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_ACCESS_PAGES,
		.id = access,
		.access_pages = { .iova = iova, .length = length,
				  .uptr = (uintptr_t)mem,
				  .flags = MOCK_FLAGS_ACCESS_WRITE },
	};
	int rc = call(fd, IOMMU_TEST_CMD, &cmd);

	*id = cmd.access_pages.out_access_pages_id;
	return rc;
}

/* Whether the HWPT maps the very pages that are at @mem */
static int check_map(int fd, __u32 hwpt_id, __u64 iova, size_t length,
		     void *mem)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MD_CHECK_MAP,
		.id = hwpt_id,
		.check_map = { .iova = iova, .length = length,
			       .uptr = (uintptr_t)mem },
	};

	return call(fd, IOMMU_TEST_CMD, &cmd);
}

/* Whether each page at @mem is pinned @refs times; nothing for large folios */
static int check_pins(int fd, void *mem, size_t length, __u32 refs)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MD_CHECK_REFS,
		.check_refs = { .length = length, .uptr = (uintptr_t)mem,
				.refs = refs },
	};

	return call(fd, IOMMU_TEST_CMD, &cmd);
}

/* A number of /proc/self/status or /proc/meminfo, or -1 */
static long proc_number(const char *path, const char *name)
{
	char line[128];
	long value = -1;
	FILE *file;

	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)) &&
		    line[strlen(name)] == ':')
			value = atol(line + strlen(name) + 1);
	if (file)
		fclose(file);
	return value;
}

static long pinned(void)
{
	return proc_number("/proc/self/status", "VmPin") * 1024;
}

static long locked(void)
{
	return proc_number("/proc/self/status", "VmLck") * 1024;
}

static long huge_pages(const char *which)
{
	char name[32];

	snprintf(name, sizeof(name), "HugePages_%s", which);
	return proc_number("/proc/meminfo", name);
}

static int file_new(unsigned int flags, size_t size)
{
	int memfd = memfd_create("map_file", MFD_ALLOW_SEALING | flags);

	if (memfd >= 0 && ftruncate(memfd, size)) {
		close(memfd);
		return -1;
	}
	return memfd;
}

static __u8 *file_view(int memfd, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
}

/* The same file by a descriptor of its own */
static int file_reopen(int memfd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	return open(path, flags);
}

/* Each byte depends on all of its offset */
static void fill(__u8 *data, size_t size, __u64 offset)
{
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = ((offset + i) * 0x9e3779b97f4a7c15ULL) >> 56;
}

static bool filled(const __u8 *data, size_t size, __u64 offset)
{
	__u8 expected[256];
	size_t i, some;

	for (i = 0; i < size; i += some) {
		some = size - i < sizeof(expected) ? size - i :
						     sizeof(expected);
		fill(expected, some, offset + i);
		if (memcmp(data + i, expected, some))
			return false;
	}
	return true;
}

/* Pages that a CPU has still at hand cannot be moved at once */
static int collapse(void *mem, size_t size)
{
	int tries = 100;

	while (madvise(mem, size, MADV_COLLAPSE)) {
		if ((errno != EAGAIN && errno != EBUSY) || !--tries)
			return errno;
		usleep(10000);
	}
	return 0;
}

static bool all_zero(const __u8 *data, size_t size)
{
	return !data[0] && !memcmp(data, data + 1, size - 1);
}

FIXTURE(map_file)
{
	int fd;
	__u32 ioas_id, other_ioas_id;
	__u32 stdev_id, dev_id;
	__u32 access;
	size_t size;
	int memfd;
	__u8 *mem;
	__u8 *data;
};

FIXTURE_VARIANT(map_file)
{
	unsigned int memfd_flags;
	bool collapse;
};

FIXTURE_VARIANT_ADD(map_file, pages)
{
};

FIXTURE_VARIANT_ADD(map_file, hugetlb)
{
	.memfd_flags = MFD_HUGETLB | MFD_HUGE_2MB,
};

/* Transparent huge pages */
FIXTURE_VARIANT_ADD(map_file, thp)
{
	.collapse = true,
};

/* The IOAS has no HWPT at first; the device is attached to another one */
FIXTURE_SETUP(map_file)
{
	bool huge = variant->memfd_flags || variant->collapse;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	test_ioctl_ioas_alloc(&self->other_ioas_id);
	ASSERT_EQ(0, device_add(self->fd, self->other_ioas_id, &self->stdev_id,
				&self->dev_id));
	test_cmd_create_access(self->ioas_id, &self->access, 0);

	self->size = huge ? 2 * HUGE_SIZE : 16 * PAGE_SIZE;
	self->memfd = file_new(variant->memfd_flags, self->size);
	ASSERT_NE(-1, self->memfd);
	/* Where a huge page can be mapped as one */
	self->mem = mmap(NULL, self->size + HUGE_SIZE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->mem = (void *)(((uintptr_t)self->mem + HUGE_SIZE - 1) &
			     ~(HUGE_SIZE - 1));
	ASSERT_EQ(self->mem, mmap(self->mem, self->size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->memfd, 0));
	fill(self->mem, self->size, 0);
	if (variant->collapse)
		ASSERT_EQ(0, collapse(self->mem, self->size));
	self->data = malloc(self->size);
	ASSERT_NE(NULL, self->data);
}

FIXTURE_TEARDOWN(map_file)
{
	close(self->access);
	munmap(self->mem, self->size);
	close(self->memfd);
	free(self->data);
	_test_ioctl_set_temp_memory_limit(self->fd, 65536);
	teardown_iommufd(self->fd, _metadata);
}

/* Succeeds only if nothing holds a page of the file */
static int seal(struct _test_data_map_file *self)
{
	munmap(self->mem, self->size);
	return fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE) ? errno : 0;
}

/* From now on mappings are whole pages */
static int pinning_access(struct _test_data_map_file *self)
{
	close(self->access);
	return _test_cmd_create_access(self->fd, self->ioas_id, &self->access,
				       MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
}

static int hwpt_add(struct _test_data_map_file *self, __u32 *id)
{
	return parent_alloc(self->fd, self->dev_id, self->ioas_id, id);
}

/* Neither the address, nor the descriptor, nor the file's name is left */
TEST_F(map_file, outlives_munmap_and_close)
{
	__u32 hwpt_id;
	int i;

	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(0, munmap(self->mem, self->size));
	ASSERT_EQ(0, close(self->memfd));
	for (i = 0; i < 3; i++) {
		memset(self->data, 0, self->size);
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, 0));
		ASSERT_TRUE(filled(self->data, self->size, i));
		fill(self->data, self->size, i + 1);
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, MOCK_ACCESS_RW_WRITE));
		/* Unpinned, and then by way of a HWPT, that comes and goes */
		if (i == 0)
			ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
		if (i == 1)
			ASSERT_EQ(0, destroy(self->fd, hwpt_id));
	}
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
}

/* So does the mapping of a process that ends */
TEST_F(map_file, outlives_process)
{
	__u32 hwpt_id;
	pid_t child;
	int status;

	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(map_at(self->fd, self->ioas_id, self->memfd, 0,
			     self->size));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
			       self->size, 0));
	ASSERT_TRUE(filled(self->data, self->size, 0));
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size, self->mem));
	ASSERT_EQ(0, destroy(self->fd, hwpt_id));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, seal(self));
}

/* Reads and writes end where they should, with each page offset */
TEST_F(map_file, access)
{
	__u64 offsets[] = { 0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 123,
			    self->size - 2 * PAGE_SIZE - 1 };
	size_t lengths[] = { 1, 2, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 2 };
	__u64 offset;
	size_t length;
	int i, k, n;

	for (n = 0; n < 3; n++) {
		fill(self->mem, self->size, 0);
		/* The mapping starts nowhere near a page */
		ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, n * 7,
				    self->size - n * 7 - n));
		for (i = 0; i < ARRAY_SIZE(offsets) * ARRAY_SIZE(lengths);
		     i++) {
			offset = offsets[i / ARRAY_SIZE(lengths)];
			length = lengths[i % ARRAY_SIZE(lengths)];
			ASSERT_EQ(0, access_rw(self->fd, self->access,
					       IOVA + offset, self->data,
					       length, 0));
			ASSERT_TRUE(filled(self->data, length,
					   offset + n * 7));
			memset(self->data, 0x5a, length);
			ASSERT_EQ(0, access_rw(self->fd, self->access,
					       IOVA + offset, self->data,
					       length, MOCK_ACCESS_RW_WRITE));
			for (k = 0; k < length; k++)
				ASSERT_EQ(0x5a, self->mem[offset + n * 7 + k]);
			fill(self->mem + offset + n * 7, length,
			     offset + n * 7);
			ASSERT_TRUE(filled(self->mem, self->size, 0));
		}
		ASSERT_EQ(ENOENT, access_rw(self->fd, self->access,
					    IOVA + self->size - n * 7 - n,
					    self->data, 1, 0));
		ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA,
				   self->size - n * 7 - n));
	}
	ASSERT_EQ(0, seal(self));
}

static void check_hwpts(struct __test_metadata *_metadata,
			struct _test_data_map_file *self, __u64 start,
			size_t length)
{
	__u8 *mem = self->mem + start;
	long before = pinned();
	__u32 first, second;

	ASSERT_EQ(0, hwpt_add(self, &first));
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, start,
			    length));
	ASSERT_EQ(before + self->size, pinned());
	ASSERT_EQ(0, check_map(self->fd, first, IOVA, length, mem));
	ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 1));
	ASSERT_EQ(0, hwpt_add(self, &second));
	ASSERT_EQ(0, destroy(self->fd, first));
	ASSERT_EQ(0, check_map(self->fd, second, IOVA, length, mem));
	ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 1));
	ASSERT_EQ(0, destroy(self->fd, second));
	ASSERT_EQ(before, pinned());
	ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 0));
	/* A late one */
	ASSERT_EQ(0, hwpt_add(self, &first));
	ASSERT_EQ(0, check_map(self->fd, first, IOVA, length, mem));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, length));
	ASSERT_EQ(EINVAL, check_map(self->fd, first, IOVA, PAGE_SIZE, mem));
	ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 0));
	ASSERT_EQ(before, pinned());
	ASSERT_EQ(0, destroy(self->fd, first));
}

/* HWPTs before and after the mapping; pages are pinned in portions of all sizes */
TEST_F(map_file, hwpts)
{
	static const unsigned int limits[] = { 65536, 4096, 100, 16 };
	int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		test_ioctl_set_temp_memory_limit(limits[i]);
		check_hwpts(_metadata, self, 0, self->size);
		/* From the middle of a page to the middle of one */
		check_hwpts(_metadata, self, PAGE_SIZE / 2,
			    self->size - PAGE_SIZE);
	}
	ASSERT_EQ(0, seal(self));
}

TEST_F(map_file, small_pages)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = self->ioas_id,
	};

	ASSERT_EQ(0, call(self->fd, IOMMU_OPTION, &option));
	check_hwpts(_metadata, self, 0, self->size);
	ASSERT_EQ(EINVAL, map_at(self->fd, self->ioas_id, self->memfd,
				 PAGE_SIZE / 2, PAGE_SIZE));
	ASSERT_EQ(0, seal(self));
}

/* Some pages are pinned for an access when a HWPT comes, and the reverse */
TEST_F(map_file, accesses_and_hwpts)
{
	__u64 from = 3 * PAGE_SIZE;
	size_t length = 7 * PAGE_SIZE;
	__u32 hwpt_id, pins_id[2];
	long before = pinned();
	int i;

	ASSERT_EQ(0, pinning_access(self));
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, 0,
			    self->size));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, access_pin(self->fd, self->access, IOVA + from,
					length, self->mem + from, &pins_id[0]));
		ASSERT_EQ(before + length, pinned());
		ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
		ASSERT_EQ(before + self->size, pinned());
		ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size,
				       self->mem));
		/* One that overlaps, to be found in two places */
		ASSERT_EQ(0, access_pin(self->fd, self->access,
					IOVA + from + PAGE_SIZE, length,
					self->mem + from + PAGE_SIZE,
					&pins_id[1]));
		ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 1));
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, 0));
		ASSERT_TRUE(filled(self->data, self->size, 0));

		test_cmd_destroy_access_pages(self->access, pins_id[i]);
		ASSERT_EQ(0, destroy(self->fd, hwpt_id));
		ASSERT_EQ(before + length, pinned());
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, 0));
		ASSERT_TRUE(filled(self->data, self->size, 0));
		test_cmd_destroy_access_pages(self->access, pins_id[!i]);
		ASSERT_EQ(before, pinned());
		ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 0));
	}
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, seal(self));
}

/* Pins of an access end with the mapping */
TEST_F(map_file, unmap_pinned)
{
	__u32 pins_id;

	ASSERT_EQ(0, pinning_access(self));
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(0, access_pin(self->fd, self->access, IOVA, self->size,
				self->mem, &pins_id));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, seal(self));
}

TEST_F(map_file, copies)
{
	long before = pinned();
	__u32 hwpt_id;
	__u64 iova = IOVA;

	ASSERT_EQ(0, map_at(self->fd, self->other_ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, copy(self->fd, self->ioas_id, self->other_ioas_id,
			  self->size, FIXED | READ | WRITE));
	/* It is the same mapping, pinned once */
	ASSERT_EQ(before + self->size, pinned());
	ASSERT_EQ(0, check_pins(self->fd, self->mem, self->size, 1));
	ASSERT_EQ(0, unmap(self->fd, self->other_ioas_id, IOVA, self->size));
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size, self->mem));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(before, pinned());

	/* A copy gives no more than the original */
	ASSERT_EQ(0, map_file(self->fd, self->other_ioas_id, self->memfd, 0,
			      self->size, FIXED | READ, &iova));
	ASSERT_EQ(EPERM, copy(self->fd, self->ioas_id, self->other_ioas_id,
			      self->size, FIXED | READ | WRITE));
	ASSERT_EQ(0, copy(self->fd, self->ioas_id, self->other_ioas_id,
			  self->size, FIXED | READ));
	ASSERT_EQ(0, unmap(self->fd, self->other_ioas_id, IOVA, self->size));
	ASSERT_EQ(EPERM, access_rw(self->fd, self->access, IOVA, self->data, 1,
				   MOCK_ACCESS_RW_WRITE));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, seal(self));
}

/* Two mappings of a file have nothing to do with each other */
TEST_F(map_file, twice)
{
	long before = pinned();
	__u64 iova[2] = {};
	__u32 hwpt_id;

	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, map_file(self->fd, self->ioas_id, self->memfd, 0,
			      self->size, READ | WRITE, &iova[0]));
	ASSERT_EQ(0, map_file(self->fd, self->ioas_id, self->memfd, PAGE_SIZE,
			      self->size - PAGE_SIZE, READ | WRITE, &iova[1]));
	ASSERT_EQ(before + 2 * self->size - PAGE_SIZE, pinned());
	ASSERT_EQ(0, check_pins(self->fd, self->mem, PAGE_SIZE, 1));
	ASSERT_EQ(0, check_pins(self->fd, self->mem + PAGE_SIZE,
				self->size - PAGE_SIZE, 2));
	/* As aligned as the offset in the file, for large pages */
	ASSERT_EQ(0, iova[0] % (self->size < HUGE_SIZE ? self->size :
							 HUGE_SIZE));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, iova[0], self->size));
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, iova[1],
			       self->size - PAGE_SIZE, self->mem + PAGE_SIZE));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, iova[1],
			   self->size - PAGE_SIZE));
	ASSERT_EQ(before, pinned());
	ASSERT_EQ(0, seal(self));
}

static int free_at(struct _test_data_map_file *self)
{
	return map_at(self->fd, self->ioas_id, self->memfd, 0, self->size) ?:
		       unmap(self->fd, self->ioas_id, IOVA, self->size);
}

TEST_F(map_file, refusals)
{
	const struct iommu_ioas_map_file good = {
		.size = sizeof(good),
		.flags = FIXED | READ | WRITE,
		.ioas_id = self->ioas_id,
		.fd = self->memfd,
		.length = self->size,
		.iova = IOVA,
	};
	int path = file_reopen(self->memfd, O_PATH);
	int reader = file_reopen(self->memfd, O_RDONLY);
	int writer = file_reopen(self->memfd, O_WRONLY);
	int other = open("/proc/self/status", O_RDONLY);
	struct iommu_ioas_map_file cmds[40];
	int errnos[ARRAY_SIZE(cmds)], i, n = 0;
	uint64_t all = 0;
	__u32 hwpt_id;
	long before;

#define BAD(_errno, _field, _value) do {				\
		cmds[n] = good;						\
		cmds[n]._field = _value;				\
		errnos[n++] = _errno;					\
	} while (0)

	ASSERT_NE(-1, path);
	ASSERT_NE(-1, reader);
	ASSERT_NE(-1, writer);
	ASSERT_NE(-1, other);
	BAD(EINVAL, size, sizeof(good) - 8);
	BAD(EINVAL, flags, 0);
	BAD(EINVAL, flags, FIXED);
	BAD(EOPNOTSUPP, flags, FIXED | READ | 1 << 3);
	BAD(EOPNOTSUPP, flags, FIXED | READ | 1U << 31);
	BAD(ENOENT, ioas_id, 0);
	BAD(ENOENT, ioas_id, NO_ID);
	BAD(ENOENT, ioas_id, self->dev_id);
	BAD(EBADF, fd, -1);
	BAD(EBADF, fd, 1000000);
	BAD(EBADF, fd, INT32_MIN);
	BAD(EBADF, fd, path);
	BAD(EOPNOTSUPP, fd, self->fd);
	BAD(EOPNOTSUPP, fd, self->access);
	BAD(EOPNOTSUPP, fd, other);
	BAD(EACCES, fd, reader);
	BAD(EACCES, fd, writer);
	BAD(EINVAL, length, 0);
	BAD(EINVAL, length, 1);
	BAD(EINVAL, length, self->size - 1);
	BAD(EFAULT, length, self->size + PAGE_SIZE);
	BAD(EFAULT, length, 1ULL << 62);
	BAD(EOVERFLOW, length, 1ULL << 63);
	BAD(EOVERFLOW, length, ~0ULL);
	BAD(EFAULT, start, PAGE_SIZE);
	BAD(EFAULT, start, self->size);
	BAD(EFAULT, start, 1ULL << 62);
	BAD(EOVERFLOW, start, (1ULL << 63) - self->size);
	BAD(EOVERFLOW, start, 0ULL - self->size);
	BAD(EOVERFLOW, start, ~0ULL);
	BAD(EINVAL, iova, IOVA + 1);
	BAD(EINVAL, iova, 0);
	BAD(EINVAL, iova, MOCK_APERTURE_LAST + 1ULL);
	BAD(EOVERFLOW, iova, 0ULL - PAGE_SIZE);
	BAD(EOVERFLOW, iova, ~0ULL);
	BAD(EACCES, fd, writer);
	cmds[n - 1].flags = FIXED | WRITE;
	BAD(EINVAL, start, 1);
	cmds[n - 1].length = PAGE_SIZE;

	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	before = pinned();
	for (i = 0; i < n; i++) {
		EXPECT_EQ(errnos[i], call(self->fd, IOMMU_IOAS_MAP_FILE,
					  &cmds[i]))
		{
			TH_LOG("request %d", i);
		}
		ASSERT_EQ(before, pinned());
	}
	/* Nothing of it has left anything behind */
	ASSERT_EQ(0, free_at(self));
	cmds[0] = good;
	cmds[0].fd = reader;
	cmds[0].flags = FIXED | READ;
	ASSERT_EQ(0, call(self->fd, IOMMU_IOAS_MAP_FILE, &cmds[0]));
	ASSERT_EQ(EEXIST, map_at(self->fd, self->ioas_id, self->memfd, 0,
				 PAGE_SIZE));
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size, self->mem));
	ASSERT_EQ(0, _test_ioctl_ioas_unmap(self->fd, self->ioas_id, 0,
					    UINT64_MAX, &all));
	ASSERT_EQ(self->size, all);
	close(path);
	close(reader);
	close(writer);
	close(other);
	ASSERT_EQ(0, seal(self));
}

/* The structure may be larger than the kernel knows, and cannot be written to */
TEST_F(map_file, structure)
{
	struct {
		struct iommu_ioas_map_file cmd;
		__u64 tail;
	} *args = buffer;
	__u32 hwpt_id;

	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	memset(args, 0, sizeof(*args));
	args->cmd = (struct iommu_ioas_map_file){
		.size = sizeof(*args),
		.flags = FIXED | READ,
		.ioas_id = self->ioas_id,
		.fd = self->memfd,
		.length = self->size,
		.iova = IOVA,
	};
	args->tail = 1;
	ASSERT_EQ(E2BIG, call(self->fd, IOMMU_IOAS_MAP_FILE, args));
	ASSERT_EQ(0, free_at(self));
	args->tail = 0;
	ASSERT_EQ(0, call(self->fd, IOMMU_IOAS_MAP_FILE, args));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, mprotect(buffer, PAGE_SIZE, PROT_READ));
	ASSERT_EQ(EFAULT, call(self->fd, IOMMU_IOAS_MAP_FILE, args));
	ASSERT_EQ(0, mprotect(buffer, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, free_at(self));
	ASSERT_EQ(0, seal(self));
}

/* Nobody writes to a file that is sealed against it */
TEST_F(map_file, sealed)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };
	__u32 hwpt_id;
	__u64 iova;
	int i, memfd;

	for (i = 0; i < ARRAY_SIZE(seals); i++) {
		memfd = file_new(variant->memfd_flags, self->size);
		ASSERT_NE(-1, memfd);
		ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, seals[i]));
		iova = IOVA;
		ASSERT_EQ(EPERM, map_file(self->fd, self->ioas_id, memfd, 0,
					  self->size, FIXED | READ | WRITE,
					  &iova));
		ASSERT_EQ(EPERM, map_file(self->fd, self->ioas_id, memfd, 0,
					  self->size, FIXED | WRITE, &iova));
		ASSERT_EQ(0, map_file(self->fd, self->ioas_id, memfd, 0,
				      self->size, FIXED | READ, &iova));
		ASSERT_EQ(EPERM, access_rw(self->fd, self->access, IOVA,
					   self->data, self->size,
					   MOCK_ACCESS_RW_WRITE));
		ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, 0));
		ASSERT_TRUE(all_zero(self->data, self->size));
		ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
		ASSERT_EQ(0, destroy(self->fd, hwpt_id));
		close(memfd);
	}
}

/* A seal waits for a mapping as it does for an mmap(), pinned or not */
TEST_F(map_file, sealing)
{
	__u64 iova = IOVA;
	__u32 hwpt_id;

	munmap(self->mem, self->size);
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(-1, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_EQ(0, copy(self->fd, self->other_ioas_id, self->ioas_id,
			  self->size, FIXED | READ));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(-1, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_EQ(0, unmap(self->fd, self->other_ioas_id, IOVA, self->size));

	/* Pages that a HWPT reads are not counted as written, but are pinned */
	ASSERT_EQ(0, map_file(self->fd, self->ioas_id, self->memfd, 0,
			      self->size, FIXED | READ, &iova));
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(-1, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_EQ(0, destroy(self->fd, hwpt_id));

	/* Who may write already goes on to, with the weaker seal */
	ASSERT_EQ(0, map_at(self->fd, self->other_ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, copy(self->fd, self->ioas_id, self->other_ioas_id,
			  self->size, FIXED | READ | WRITE));
	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data, 1,
			       MOCK_ACCESS_RW_WRITE));
	ASSERT_EQ(0, unmap(self->fd, self->other_ioas_id, IOVA, self->size));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EPERM, map_at(self->fd, self->ioas_id, self->memfd, 0,
				self->size));
}

/* What a device finds where the file has no pages yet */
TEST_F(map_file, holes)
{
	int memfd = file_new(variant->memfd_flags, self->size);
	long available = huge_pages("Free");
	long reserved = huge_pages("Rsvd");
	__u32 hwpt_id;
	__u8 *view;

	ASSERT_NE(-1, memfd);
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, memfd, 0, self->size));
	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
			       self->size, 0));
	ASSERT_TRUE(all_zero(self->data, self->size));
	view = file_view(memfd, self->size);
	ASSERT_NE(MAP_FAILED, view);
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size, view));
	ASSERT_EQ(reserved, huge_pages("Rsvd"));
	if (variant->memfd_flags)
		ASSERT_EQ(available - self->size / HUGE_SIZE,
			  huge_pages("Free"));
	munmap(view, self->size);
	close(memfd);
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	/* The mapping was the last that held the file */
	ASSERT_EQ(available, huge_pages("Free"));
	ASSERT_EQ(reserved, huge_pages("Rsvd"));
}

/* Pages that fallocate() has added hold nothing of other processes */
TEST_F(map_file, fallocated)
{
	size_t dirty = 128UL << 20;
	__u32 hwpt_id;
	__u8 *secret;
	int memfd, i;

	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	for (i = 0; i < 4; i++) {
		secret = mmap(NULL, dirty, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, secret);
		memset(secret, 0xa5, dirty);
		munmap(secret, dirty);

		memfd = file_new(variant->memfd_flags, self->size);
		ASSERT_NE(-1, memfd);
		ASSERT_EQ(0, fallocate(memfd, 0, 0, self->size));
		ASSERT_EQ(0, map_at(self->fd, self->ioas_id, memfd, 0,
				    self->size));
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, 0));
		ASSERT_TRUE(all_zero(self->data, self->size));
		/* And what is in there now stays */
		fill(self->data, self->size, 0);
		ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
				       self->size, MOCK_ACCESS_RW_WRITE));
		secret = file_view(memfd, self->size);
		ASSERT_NE(MAP_FAILED, secret);
		ASSERT_TRUE(filled(secret, self->size, 0));
		munmap(secret, self->size);
		ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
		close(memfd);
	}
}

/* The file becomes shorter, or gets a hole, than what is mapped */
TEST_F(map_file, truncated)
{
	size_t half = self->size / 2;
	__u32 hwpt_id, pins_id;
	long before = pinned();

	ASSERT_EQ(0, pinning_access(self));
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, self->memfd, 0,
			    self->size));
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, ftruncate(self->memfd, half));
	/* What the HWPT has it keeps */
	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
			       self->size, 0));
	ASSERT_TRUE(filled(self->data, self->size, 0));
	ASSERT_EQ(0, destroy(self->fd, hwpt_id));

	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data, half,
			       0));
	ASSERT_EQ(EFAULT, access_rw(self->fd, self->access, IOVA, self->data,
				    self->size, 0));
	ASSERT_EQ(EFAULT, access_rw(self->fd, self->access, IOVA + half,
				    self->data, 1, 0));
	ASSERT_EQ(EFAULT, access_pin(self->fd, self->access, IOVA, self->size,
				     NULL, &pins_id));
	ASSERT_EQ(EFAULT, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(before, pinned());

	ASSERT_EQ(0, ftruncate(self->memfd, self->size));
	ASSERT_EQ(0, fallocate(self->memfd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       half));
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, access_rw(self->fd, self->access, IOVA, self->data,
			       self->size, 0));
	ASSERT_TRUE(all_zero(self->data, self->size));
	ASSERT_EQ(0, check_map(self->fd, hwpt_id, IOVA, self->size, self->mem));
	ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->size));
	ASSERT_EQ(before, pinned());
	ASSERT_EQ(0, seal(self));
}

#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define SMALL_INDEX 5	/* of the page that is not part of a huge one */

/* Whether memfds get huge pages from now on */
static int shmem_huge(const char *how)
{
	int file = open(SHMEM_ENABLED, O_WRONLY), rc = 0;

	if (file < 0)
		return errno;
	if (write(file, how, strlen(how)) < 0)
		rc = errno;
	close(file);
	return rc;
}

struct puncher {
	pthread_t thread;
	int memfd;
	bool stop;
	int error;
};

static void *puncher_main(void *arg)
{
	struct puncher *puncher = arg;

	while (!READ_SHARED(puncher->stop)) {
		/* A file that is done with is sealed */
		if (fallocate(puncher->memfd,
			      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      SMALL_INDEX * PAGE_SIZE, PAGE_SIZE) &&
		    errno != EPERM)
			puncher->error = errno;
		sched_yield();
	}
	return NULL;
}

#define PUNCHED_PAGES 64

FIXTURE(punched)
{
	__u8 *content;	/* of the file from SMALL_INDEX on */
	__u8 *data;	/* what is mapped there */
	size_t length;
};

FIXTURE_SETUP(punched)
{
	self->length = PUNCHED_PAGES * PAGE_SIZE;
	self->content = malloc(self->length);
	self->data = malloc(self->length);
	ASSERT_NE(NULL, self->content);
	ASSERT_NE(NULL, self->data);
	fill(self->content, self->length, SMALL_INDEX * PAGE_SIZE);
}

FIXTURE_TEARDOWN(punched)
{
	free(self->content);
	free(self->data);
}

/* Write small pages: the first one, with holes around, or all that is mapped */
static int small_pages(struct _test_data_punched *self, int memfd, bool all)
{
	ssize_t length = all ? self->length : PAGE_SIZE;
	int rc;

	rc = shmem_huge("never");
	if (rc)
		return rc;
	if (pwrite(memfd, self->content, length, SMALL_INDEX * PAGE_SIZE) !=
	    length)
		return errno;
	return shmem_huge("always");
}

/*
 * Whether each page that is mapped holds what the file has at its place, or zeroes.
 * The first one may be in the middle of being punched out.
 */
static bool in_place(struct _test_data_punched *self)
{
	size_t i, at;

	for (i = 0; i < PAGE_SIZE; i++)
		if (self->data[i] && self->data[i] != self->content[i])
			return false;
	for (at = PAGE_SIZE; at < self->length; at += PAGE_SIZE)
		if (memcmp(self->data + at, self->content + at, PAGE_SIZE) &&
		    !all_zero(self->data + at, PAGE_SIZE))
			return false;
	return true;
}

/*
 * A page is punched out of a file while what begins with it is mapped: a huge page
 * may take its place, and the places in front of it. What is mapped is what the file
 * has there, or what it had: a hole takes all of a huge page that has not been
 * written to. Each pin is given back.
 */
TEST_F_TIMEOUT(punched, map_file, 240)
{
	__u32 ioas_id, stdev_id, dev_id, hwpt_id, access;
	struct puncher puncher = {};
	size_t length = self->length;
	unsigned int mapped = 0, written = 0, i;
	int fd, memfd, rc;

	rc = shmem_huge("always");
	if (rc)
		SKIP(return, "no huge pages in tmpfs");
	fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas_id));
	ASSERT_EQ(0, device_add(fd, ioas_id, &stdev_id, &dev_id));
	ASSERT_EQ(0, parent_alloc(fd, dev_id, ioas_id, &hwpt_id));
	ASSERT_EQ(0, _test_cmd_create_access(fd, ioas_id, &access, 0));
	puncher.memfd = file_new(0, HUGE_SIZE);
	ASSERT_NE(-1, puncher.memfd);
	ASSERT_EQ(0, pthread_create(&puncher.thread, NULL, puncher_main,
				    &puncher));
	for (i = 0; i < 1000; i++) {
		memfd = file_new(0, HUGE_SIZE);
		ASSERT_NE(-1, memfd);
		ASSERT_EQ(puncher.memfd, dup2(memfd, puncher.memfd));
		ASSERT_EQ(0, small_pages(self, memfd, i % 4 == 3));
		rc = map_at(fd, ioas_id, memfd, SMALL_INDEX * PAGE_SIZE,
			    length);
		if (!rc) {
			mapped++;
			ASSERT_EQ(0, access_rw(fd, access, IOVA, self->data,
					       length, 0));
			ASSERT_TRUE(in_place(self));
			/* Where the file has the pages, they change with it */
			ASSERT_EQ(length, pwrite(memfd, self->content, length,
						 SMALL_INDEX * PAGE_SIZE));
			ASSERT_EQ(0, access_rw(fd, access, IOVA, self->data,
					       length, 0));
			ASSERT_TRUE(in_place(self));
			written += i % 4 != 3 &&
				   !all_zero(self->data + PAGE_SIZE,
					     length - PAGE_SIZE);
			ASSERT_EQ(0, unmap(fd, ioas_id, IOVA, length));
		} else {
			ASSERT_EQ(EFAULT, rc);
		}
		/* Refused if a page has a pin left */
		ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
		close(memfd);
	}
	WRITE_SHARED(puncher.stop, true);
	pthread_join(puncher.thread, NULL);
	ASSERT_EQ(0, puncher.error);
	ASSERT_LT(0, mapped);
	ASSERT_LT(0, written);
	ASSERT_EQ(0, shmem_huge("never"));
	close(puncher.memfd);
	close(access);
	close(fd);
}

struct race {
	int fd, memfd;
	__u32 ioas_id;
	size_t size;
	unsigned int mapped;
};

static int race_map(void *data, unsigned int i)
{
	static const int expected[] = { EFAULT, 0 };
	struct race *race = data;
	__u64 iova = 0;
	int rc;

	rc = map_file(race->fd, race->ioas_id, race->memfd, 0, race->size,
		      READ | WRITE, &iova);
	if (rc)
		return racer_result(&race->mapped, rc, expected);
	return unmap(race->fd, race->ioas_id, iova, race->size) ?:
	       racer_result(&race->mapped, 0, expected);
}

static int race_punch(void *data, unsigned int i)
{
	struct race *race = data;
	unsigned int seed = i;

	if (rand_r(&seed) % 4)
		fallocate(race->memfd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  rand_r(&seed) % 2 * race->size / 2, race->size / 2);
	else
		ftruncate(race->memfd, rand_r(&seed) % 2 * race->size);
	return 0;
}

/* Pages leave the file while they are pinned */
TEST_F_TIMEOUT(map_file, race, 120)
{
	struct racer racers[] = {
		{ race_map, "mappings" },
		{ race_map, "mappings too" },
		{ race_punch, "holes" },
	};
	long available = huge_pages("Free"), reserved = huge_pages("Rsvd");
	struct race race = {
		.fd = self->fd,
		.ioas_id = self->ioas_id,
		.size = self->size,
	};
	long before = pinned();
	bool stop = false;
	__u32 hwpt_id;
	int i;

	race.memfd = file_new(variant->memfd_flags, self->size);
	ASSERT_NE(-1, race.memfd);
	ASSERT_EQ(0, hwpt_add(self, &hwpt_id));
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), &race, &stop));
	/* Two seconds, or as long as a slow machine takes to get anywhere */
	for (i = 0; i < 600 && (i < 20 || READ_SHARED(race.mapped) < 20); i++)
		usleep(100000);
	ASSERT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	ASSERT_EQ(0, ftruncate(race.memfd, race.size));
	ASSERT_LT(10, race.mapped);
	ASSERT_EQ(before, pinned());
	ASSERT_EQ(0, fcntl(race.memfd, F_ADD_SEALS, F_SEAL_WRITE));
	close(race.memfd);
	ASSERT_EQ(available, huge_pages("Free"));
	ASSERT_EQ(reserved, huge_pages("Rsvd"));
}

/* A file that ends in the middle of a page is mapped to its last byte */
TEST(odd_size)
{
	size_t size = 3 * PAGE_SIZE + PAGE_SIZE / 2;
	__u32 ioas_id, other_id, stdev_id, dev_id, hwpt_id, access;
	__u8 data[4096];
	int fd, memfd;
	__u8 *view;

	fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas_id));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &other_id));
	ASSERT_EQ(0, device_add(fd, other_id, &stdev_id, &dev_id));
	ASSERT_EQ(0, parent_alloc(fd, dev_id, ioas_id, &hwpt_id));
	ASSERT_EQ(0, _test_cmd_create_access(fd, ioas_id, &access, 0));
	memfd = file_new(0, size);
	ASSERT_NE(-1, memfd);
	view = file_view(memfd, size);
	ASSERT_NE(MAP_FAILED, view);
	fill(view, size, 0);
	ASSERT_EQ(EFAULT, map_at(fd, ioas_id, memfd, 0, 4 * PAGE_SIZE));
	ASSERT_EQ(0, map_at(fd, ioas_id, memfd, 0, size));
	ASSERT_EQ(0, check_map(fd, hwpt_id, IOVA, size, view));
	ASSERT_EQ(0, access_rw(fd, access, IOVA + size - 100, data, 100, 0));
	ASSERT_TRUE(filled(data, 100, size - 100));
	ASSERT_EQ(0, unmap(fd, ioas_id, IOVA, size));
	munmap(view, size);
	ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	close(memfd);
	close(access);
	close(fd);
}

/* Holes of hugetlbfs are never filled with what others have reserved */
TEST(reserved_huge_pages)
{
	__u32 ioas_id, access;
	__u64 iova = IOVA;
	int fd, memfd, reader;
	long available;
	__u8 *others;
	__u8 data;

	fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas_id));
	ASSERT_EQ(0, _test_cmd_create_access(fd, ioas_id, &access, 0));
	memfd = file_new(MFD_HUGETLB | MFD_HUGE_2MB, HUGE_SIZE);
	ASSERT_NE(-1, memfd);
	available = huge_pages("Free");
	ASSERT_LT(0, available);
	ASSERT_EQ(0, huge_pages("Rsvd"));

	others = mmap(NULL, available * HUGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, others);
	ASSERT_EQ(available, huge_pages("Rsvd"));
	ASSERT_EQ(0, map_at(fd, ioas_id, memfd, 0, HUGE_SIZE));
	ASSERT_EQ(ENOMEM, access_rw(fd, access, IOVA, &data, 1, 0));
	ASSERT_EQ(available, huge_pages("Free"));
	ASSERT_EQ(available, huge_pages("Rsvd"));
	ASSERT_EQ(0, unmap(fd, ioas_id, IOVA, HUGE_SIZE));
	munmap(others, available * HUGE_SIZE);

	/* Nor by those who may not write */
	reader = file_reopen(memfd, O_RDONLY);
	ASSERT_NE(-1, reader);
	ASSERT_EQ(0, map_file(fd, ioas_id, reader, 0, HUGE_SIZE, FIXED | READ,
			      &iova));
	ASSERT_EQ(EFAULT, access_rw(fd, access, IOVA, &data, 1, 0));
	ASSERT_EQ(available, huge_pages("Free"));
	ASSERT_EQ(0, fallocate(memfd, 0, 0, HUGE_SIZE));
	ASSERT_EQ(0, access_rw(fd, access, IOVA, &data, 1, 0));
	ASSERT_EQ(0, unmap(fd, ioas_id, IOVA, HUGE_SIZE));
	close(reader);
	close(memfd);
	close(access);
	close(fd);
	ASSERT_EQ(available, huge_pages("Free"));
	ASSERT_EQ(0, huge_pages("Rsvd"));
}

/* Whether pages count against the user, or the process as with VFIO */
FIXTURE(map_file_limit)
{
	int fd, memfd;
	__u32 ioas_id, hwpt_id, other_ioas_id, stdev_id, dev_id, access;
	size_t limit;
};

FIXTURE_VARIANT(map_file_limit)
{
	__u64 mode;
};

FIXTURE_VARIANT_ADD(map_file_limit, user)
{
	.mode = 0,
};

FIXTURE_VARIANT_ADD(map_file_limit, process)
{
	.mode = 1,
};

FIXTURE_SETUP(map_file_limit)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_SET,
		.val64 = variant->mode,
	};

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	ASSERT_EQ(0, call(self->fd, IOMMU_OPTION, &option));
	test_ioctl_ioas_alloc(&self->ioas_id);
	test_ioctl_ioas_alloc(&self->other_ioas_id);
	ASSERT_EQ(0, device_add(self->fd, self->other_ioas_id, &self->stdev_id,
				&self->dev_id));
	ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id, self->ioas_id,
				  &self->hwpt_id));
	test_cmd_create_access(self->ioas_id, &self->access, 0);
	self->limit = 8 * PAGE_SIZE;
	self->memfd = file_new(0, 2 * self->limit);
	ASSERT_NE(-1, self->memfd);
}

FIXTURE_TEARDOWN(map_file_limit)
{
	close(self->access);
	close(self->memfd);
	teardown_iommufd(self->fd, _metadata);
}

/* Be someone who may not lock all the memory that there is */
static int limited(size_t limit)
{
	struct rlimit rlimit = { .rlim_cur = limit, .rlim_max = limit };

	return setrlimit(RLIMIT_MEMLOCK, &rlimit) ?: setresuid(USER, USER, USER);
}

/* Exactly the limit, again and again: what is unmapped is given back */
static int stay_in_limit(struct _test_data_map_file_limit *self, __u64 mode)
{
	size_t limit = self->limit;
	__u64 iova = IOVA + limit;
	int i;

	if (limited(limit) || pinned() || locked())
		return 1;
	for (i = 0; i < 3; i++) {
		if (map_at(self->fd, self->ioas_id, self->memfd, 0, limit))
			return 2;
		if (pinned() != limit || locked() != (mode ? limit : 0))
			return 3;
		if (map_file(self->fd, self->ioas_id, self->memfd, limit,
			     PAGE_SIZE, FIXED | READ, &iova) != ENOMEM)
			return 4;
		if (pinned() != limit || locked() != (mode ? limit : 0))
			return 5;
		if (unmap(self->fd, self->ioas_id, IOVA, limit))
			return 6;
		if (pinned() || locked())
			return 7;
		if (map_at(self->fd, self->ioas_id, self->memfd, 0,
			   limit + PAGE_SIZE) != ENOMEM)
			return 8;
		if (pinned() || locked())
			return 9;
	}
	return 0;
}

TEST_F(map_file_limit, stay)
{
	int status, i;
	pid_t child;

	/* The user's count goes beyond the process */
	for (i = 0; i < 2; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			_exit(stay_in_limit(self, variant->mode));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
	}
}

static int map_and_go(struct _test_data_map_file_limit *self, void *mem)
{
	__u64 iova = IOVA;

	if (limited(self->limit))
		return 1;
	if (mem)
		return _test_ioctl_ioas_map(self->fd, self->ioas_id, mem,
					    self->limit, &iova,
					    FIXED | READ | WRITE) ?
			       2 :
			       0;
	return map_at(self->fd, self->ioas_id, self->memfd, 0, self->limit) ?
		       3 :
		       0;
}

/* Who pays is gone while the mapping is there, of a file or of memory */
TEST_F(map_file_limit, process_gone)
{
	int status, late, file;
	pid_t child;
	__u8 data;

	for (file = 0; file < 2; file++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			_exit(map_and_go(self, file ? NULL : buffer));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);

		ASSERT_EQ(0, destroy(self->fd, self->hwpt_id));
		/* Memory is gone; of a file there is a user who pays, or none */
		late = parent_alloc(self->fd, self->dev_id, self->ioas_id,
				    &self->hwpt_id);
		ASSERT_EQ(!file ? EFAULT : variant->mode ? ENOMEM : 0, late);
		ASSERT_EQ(file ? 0 : EFAULT,
			  access_rw(self->fd, self->access, IOVA, &data, 1, 0));
		ASSERT_EQ(0, unmap(self->fd, self->ioas_id, IOVA, self->limit));
		if (late)
			ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id,
						  self->ioas_id,
						  &self->hwpt_id));
	}
}

TEST_HARNESS_MAIN
