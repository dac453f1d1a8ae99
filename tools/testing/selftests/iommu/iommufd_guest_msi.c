// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bindings of guest MSI doorbells on mock devices: what /dev/iommu itself does,
 * on any machine. Mock devices send no MSIs; nested_msi has real ones.
 */
#include <sys/wait.h>

#include "iommufd_mock.h"
#include "nested_racer.h"

#define NO_ID		~0U
#define LENGTH		0x10000ULL
/* Guest doorbell, and where devices see it: beyond all GPAs of the mock */
#define GPA		(MOCK_APERTURE_START + 0x1000000ULL)
#define IOVA		0x7000000000ULL
#define MAX_BINDINGS	64

static int msi_bind(int fd, __u32 dev_id, __u64 iova, __u64 gpa, __u64 length)
{
	struct iommu_guest_msi_bind cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.iova = iova,
		.gpa = gpa,
		.length = length,
	};

	return call(fd, IOMMU_GUEST_MSI_BIND, &cmd);
}

static int msi_unbind(int fd, __u32 dev_id, __u64 iova)
{
	struct iommu_guest_msi_unbind cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.iova = iova,
	};

	return call(fd, IOMMU_GUEST_MSI_UNBIND, &cmd);
}

static int option(int fd, __u16 op, __u32 option_id, __u32 object_id,
		  __u64 *value)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = option_id,
		.op = op,
		.object_id = object_id,
		.val64 = *value,
	};
	int rc = call(fd, IOMMU_OPTION, &cmd);

	*value = cmd.val64;
	return rc;
}

static int map_at(int fd, __u32 ioas_id, __u64 iova)
{
	return _test_ioctl_ioas_map(fd, ioas_id, buffer, PAGE_SIZE, &iova,
				    IOMMU_IOAS_MAP_FIXED_IOVA |
					    IOMMU_IOAS_MAP_WRITEABLE |
					    IOMMU_IOAS_MAP_READABLE) ?
		       errno :
		       0;
}

static int unmap_at(int fd, __u32 ioas_id, __u64 iova)
{
	return _test_ioctl_ioas_unmap(fd, ioas_id, iova, PAGE_SIZE, NULL) ?
		       errno :
		       0;
}

/* Whether the IOAS has the page free; it is free afterwards if it was before */
static bool is_free(int fd, __u32 ioas_id, __u64 gpa)
{
	return !map_at(fd, ioas_id, gpa) && !unmap_at(fd, ioas_id, gpa);
}

FIXTURE(guest_msi)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id[2];
	__u32 dev_id[2];
	__u32 parent_id[2];
};

/* Each device is attached to a parent of its own, both parents have one IOAS */
FIXTURE_SETUP(guest_msi)
{
	int i;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
					      MOCK_FLAGS_DEVICE_PASID |
						      MOCK_FLAGS_DEVICE_SW_MSI,
					      &self->stdev_id[i],
					      &self->dev_id[i]));
		ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id[i],
					  self->ioas_id, &self->parent_id[i]));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[i],
				     self->parent_id[i]));
	}
}

FIXTURE_TEARDOWN(guest_msi)
{
	teardown_iommufd(self->fd, _metadata);
}

TEST_F(guest_msi, bind)
{
	__u32 dev_id = self->dev_id[0];
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
		ASSERT_EQ(EEXIST,
			  msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
		ASSERT_EQ(ENOENT,
			  msi_unbind(self->fd, dev_id, IOVA + LENGTH));
		ASSERT_EQ(ENOENT, msi_unbind(self->fd, self->dev_id[1], IOVA));
		ASSERT_EQ(0, msi_unbind(self->fd, dev_id, IOVA));
		ASSERT_EQ(ENOENT, msi_unbind(self->fd, dev_id, IOVA));
	}
}

/* The parent is what counts, whatever is nested on it */
TEST_F(guest_msi, below_tables)
{
	static const __u32 configs[] = { IOMMU_PASID_TABLE_TRANSLATE,
					 IOMMU_PASID_TABLE_BYPASS,
					 IOMMU_PASID_TABLE_ABORT };
	struct iommu_hwpt_pasid_table table = {
		.format = IOMMU_PASID_TABLE_SMMUV3,
	};
	unsigned int i;
	__u32 table_id;

	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		table.config = configs[i];
		ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0],
					 self->parent_id[0], &table,
					 sizeof(table), &table_id));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], table_id));
		ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA,
				      LENGTH));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[0],
				     self->parent_id[0]));
		ASSERT_EQ(0, destroy(self->fd, table_id));
		ASSERT_FALSE(is_free(self->fd, self->ioas_id, GPA));
		ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[0], IOVA));
		ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
	}
}

TEST_F(guest_msi, not_nesting)
{
	__u32 hwpt_id;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->ioas_id));
	ASSERT_EQ(EINVAL,
		  msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
	test_cmd_hwpt_alloc(self->dev_id[0], self->ioas_id, 0, &hwpt_id);
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], hwpt_id));
	ASSERT_EQ(EINVAL,
		  msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
}

/* Nothing else is mapped where a doorbell is, from its first to its last byte */
TEST_F(guest_msi, reserves)
{
	struct iommu_iova_range *ranges = buffer;
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = self->ioas_id,
		.num_iovas = BUFFER_SIZE / sizeof(*ranges),
		.allowed_iovas = (uintptr_t)ranges,
	};
	__u64 last = GPA + LENGTH - PAGE_SIZE;
	__u32 dev_id = self->dev_id[0];
	struct iommu_test_cmd still_mapped = {
		.size = sizeof(still_mapped),
		.op = IOMMU_TEST_OP_MD_CHECK_MAP,
		.id = self->parent_id[0],
		.check_map = { .iova = last,
			       .length = PAGE_SIZE,
			       .uptr = (uintptr_t)buffer },
	};

	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	ASSERT_EQ(EINVAL, map_at(self->fd, self->ioas_id, GPA));
	ASSERT_EQ(EINVAL, map_at(self->fd, self->ioas_id, last));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA - PAGE_SIZE));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA + LENGTH));
	/* In front of, between and behind the doorbell and the flat window */
	ASSERT_EQ(0, call(self->fd, IOMMU_IOAS_IOVA_RANGES, &cmd));
	ASSERT_EQ(3, cmd.num_iovas);
	ASSERT_EQ(GPA - 1, ranges[0].last);
	ASSERT_EQ(GPA + LENGTH, ranges[1].start);
	ASSERT_EQ(0, msi_unbind(self->fd, dev_id, IOVA));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, last));

	/* The other way round */
	ASSERT_EQ(0, map_at(self->fd, self->ioas_id, last));
	ASSERT_EQ(EADDRINUSE, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	ASSERT_EQ(0, call(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_MD_CHECK_MAP),
			  &still_mapped));
	ASSERT_EQ(ENOENT, msi_unbind(self->fd, dev_id, IOVA));
	ASSERT_EQ(0, unmap_at(self->fd, self->ioas_id, last));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
}

TEST_F(guest_msi, allowed)
{
	struct iommu_iova_range range = { .start = GPA,
					   .last = GPA + PAGE_SIZE - 1 };
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd),
		.ioas_id = self->ioas_id,
		.num_iovas = 1,
		.allowed_iovas = (uintptr_t)&range,
	};
	__u32 dev_id = self->dev_id[0];

	ASSERT_EQ(0, call(self->fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd));
	ASSERT_EQ(EADDRINUSE, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	cmd.num_iovas = 0;
	ASSERT_EQ(0, call(self->fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	cmd.num_iovas = 1;
	ASSERT_EQ(EADDRINUSE, call(self->fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd));
}

/* One doorbell of several devices, in two parents and then in one */
TEST_F(guest_msi, shared)
{
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA,
				      LENGTH));
		ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[1],
				      IOVA + i * LENGTH, GPA, LENGTH));
		ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[0], IOVA));
		ASSERT_FALSE(is_free(self->fd, self->ioas_id, GPA));
		ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[1],
					IOVA + i * LENGTH));
		ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[1],
				     self->parent_id[0]));
	}
}

/* A doorbell is in one place: it does not overlap another one in part */
TEST_F(guest_msi, overlaps)
{
	static const struct {
		__u64 gpa, length;
		int error;
	} others[] = {
		{ GPA, LENGTH, 0 },
		{ GPA, LENGTH / 2, EADDRINUSE },
		{ GPA + LENGTH / 2, LENGTH / 2, EADDRINUSE },
		{ GPA + LENGTH - 4096, 4096, EADDRINUSE },
		{ GPA, LENGTH * 2, EADDRINUSE },
		{ GPA - LENGTH, LENGTH, 0 },
		{ GPA + LENGTH, LENGTH, 0 },
		{ GPA - 4096, 4096, 0 },
		/* The flat window, which nobody uses */
		{ MOCK_MSI_START, LENGTH, 0 },
		{ MOCK_MSI_START + MOCK_MSI_LENGTH - LENGTH, LENGTH, 0 },
		{ MOCK_MSI_START, MOCK_MSI_LENGTH, 0 },
		{ MOCK_MSI_START, 2 * MOCK_MSI_LENGTH, 0 },
		{ MOCK_MSI_START + MOCK_MSI_LENGTH, LENGTH, 0 },
		{ MOCK_MSI_START - LENGTH, LENGTH, 0 },
	};
	unsigned int dev, i;

	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		for (dev = 0; dev < 2; dev++) {
			ASSERT_EQ(others[i].error,
				  msi_bind(self->fd, self->dev_id[dev],
					   2 * IOVA, others[i].gpa,
					   others[i].length))
			{
				TH_LOG("other %u, device %u", i, dev);
			}
			if (!others[i].error)
				ASSERT_EQ(0, msi_unbind(self->fd,
							self->dev_id[dev],
							2 * IOVA));
		}
	}

	/* The gIOVAs of a device do not overlap either */
	ASSERT_EQ(EEXIST, msi_bind(self->fd, self->dev_id[0], IOVA,
				   GPA + 2 * LENGTH, 2 * LENGTH));
	ASSERT_EQ(EEXIST, msi_bind(self->fd, self->dev_id[0], IOVA + LENGTH / 2,
				   GPA + 2 * LENGTH, LENGTH / 2));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA - LENGTH,
			      GPA + 2 * LENGTH, LENGTH));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA + LENGTH, GPA,
			      LENGTH));
}

/* The window and the doorbell in it come and go in any order */
TEST_F(guest_msi, in_window)
{
	struct iommu_test_cmd reserve = {
		.size = sizeof(reserve),
		.op = IOMMU_TEST_OP_ADD_RESERVED,
		.id = self->ioas_id,
		.add_reserved = { .start = GPA, .length = LENGTH },
	};
	__u64 gpa = MOCK_MSI_START + LENGTH;
	__u32 stdev_id, dev_id;
	int i;

	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, gpa, LENGTH));
	ASSERT_EQ(EADDRINUSE, msi_bind(self->fd, self->dev_id[0], 2 * IOVA,
				       MOCK_MSI_START, 2 * LENGTH));
	ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
				      MOCK_FLAGS_DEVICE_SW_MSI, &stdev_id,
				      &dev_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, self->parent_id[0]));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, gpa, LENGTH));
	ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[0], IOVA));
	ASSERT_EQ(0, msi_unbind(self->fd, dev_id, IOVA));
	ASSERT_FALSE(is_free(self->fd, self->ioas_id, gpa));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, gpa, LENGTH));

	/* The windows go with the devices, the doorbell with the last one */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, destroy(self->fd, self->stdev_id[i]));
		self->stdev_id[i] = 0;
		ASSERT_FALSE(is_free(self->fd, self->ioas_id, gpa));
	}
	ASSERT_EQ(0, destroy(self->fd, stdev_id));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, gpa));

	/* What else is reserved is no place for a doorbell */
	ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
				      MOCK_FLAGS_DEVICE_SW_MSI, &stdev_id,
				      &dev_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, self->parent_id[0]));
	ASSERT_EQ(0, call(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_ADD_RESERVED),
			  &reserve));
	ASSERT_EQ(EADDRINUSE, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, IOVA, gpa, LENGTH));
}

TEST_F(guest_msi, limit)
{
	unsigned int i;

	for (i = 0; i < MAX_BINDINGS; i++)
		ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0],
				      IOVA + i * LENGTH, GPA + i * LENGTH,
				      LENGTH));
	ASSERT_EQ(ENOSPC,
		  msi_bind(self->fd, self->dev_id[0], IOVA + i * LENGTH,
			   GPA + i * LENGTH, LENGTH));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA + i * LENGTH));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[1], IOVA,
			      GPA + i * LENGTH, LENGTH));
	ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[0], IOVA));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
}

#define BAD_BIND(_error, field, value)                             \
	{                                                          \
#field " = " #value, _error,                               \
		{                                                  \
			.size = sizeof(struct iommu_guest_msi_bind), \
			.iova = IOVA, .gpa = GPA, .length = LENGTH, \
			.field = value                             \
		}                                                  \
	}

static const struct {
	const char *what;
	int error;
	struct iommu_guest_msi_bind cmd;
} bad_binds[] = {
	BAD_BIND(EINVAL, size, 0),
	BAD_BIND(EINVAL, size, sizeof(struct iommu_guest_msi_bind) - 8),
	BAD_BIND(EOPNOTSUPP, flags, 1),
	BAD_BIND(EOPNOTSUPP, flags, 1U << 31),
	BAD_BIND(EOPNOTSUPP, __reserved, 1),
	BAD_BIND(EOPNOTSUPP, __reserved, ~0U),
	BAD_BIND(EINVAL, length, 0),
	BAD_BIND(EINVAL, length, 1),
	BAD_BIND(EINVAL, length, 512),
	BAD_BIND(EINVAL, length, LENGTH + 1),
	BAD_BIND(EINVAL, length, LENGTH + 4096),
	BAD_BIND(EINVAL, length, 1ULL << 63),
	BAD_BIND(EINVAL, length, ~0ULL),
	BAD_BIND(EINVAL, iova, IOVA + 1),
	BAD_BIND(EINVAL, iova, IOVA + LENGTH / 2),
	BAD_BIND(EINVAL, iova, ~0ULL),
	BAD_BIND(EINVAL, gpa, GPA + 1),
	BAD_BIND(EINVAL, gpa, GPA + LENGTH / 2),
	BAD_BIND(EINVAL, gpa, 0),
	BAD_BIND(EINVAL, gpa, MOCK_APERTURE_START - LENGTH),
	BAD_BIND(EINVAL, gpa, MOCK_APERTURE_LAST + 1ULL),
	BAD_BIND(EINVAL, gpa, ~0ULL - LENGTH + 1),
	BAD_BIND(EINVAL, gpa, ~0ULL),
};

/* Every field of both structures; nothing has changed afterwards */
TEST_F(guest_msi, bad_input)
{
	struct {
		struct iommu_guest_msi_bind cmd;
		__u64 tail;
	} tailed;
	struct iommu_guest_msi_unbind unbind = {
		.size = sizeof(unbind),
		.dev_id = self->dev_id[0],
		.iova = IOVA,
	};
	struct iommu_guest_msi_bind cmd;
	__u32 not_devices[] = { 0, NO_ID, self->ioas_id, self->parent_id[0],
				self->stdev_id[0] };
	__u64 iova;
	unsigned int i;
	int other;

	for (i = 0; i < ARRAY_SIZE(bad_binds); i++) {
		cmd = bad_binds[i].cmd;
		cmd.dev_id = self->dev_id[0];
		ASSERT_EQ(bad_binds[i].error,
			  call(self->fd, IOMMU_GUEST_MSI_BIND, &cmd))
		{
			TH_LOG("%s", bad_binds[i].what);
		}
		ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
	}
	for (i = 0; i < ARRAY_SIZE(not_devices); i++) {
		ASSERT_EQ(ENOENT, msi_bind(self->fd, not_devices[i], IOVA, GPA,
					   LENGTH));
		ASSERT_EQ(ENOENT, msi_unbind(self->fd, not_devices[i], IOVA));
	}
	ASSERT_EQ(EFAULT, call(self->fd, IOMMU_GUEST_MSI_BIND, NULL));
	tailed.cmd = bad_binds[0].cmd;
	tailed.cmd.size = sizeof(tailed);
	tailed.cmd.dev_id = self->dev_id[0];
	tailed.tail = 1;
	ASSERT_EQ(E2BIG, call(self->fd, IOMMU_GUEST_MSI_BIND, &tailed));
	tailed.tail = 0;
	ASSERT_EQ(0, call(self->fd, IOMMU_GUEST_MSI_BIND, &tailed));

	unbind.flags = 1;
	ASSERT_EQ(EOPNOTSUPP, call(self->fd, IOMMU_GUEST_MSI_UNBIND, &unbind));
	unbind.flags = 0;
	unbind.__reserved = 1;
	ASSERT_EQ(EOPNOTSUPP, call(self->fd, IOMMU_GUEST_MSI_UNBIND, &unbind));
	unbind.__reserved = 0;
	unbind.size = sizeof(unbind) - 8;
	ASSERT_EQ(EINVAL, call(self->fd, IOMMU_GUEST_MSI_UNBIND, &unbind));
	unbind.size = sizeof(unbind);
	for (iova = 1; iova; iova <<= 1)
		ASSERT_EQ(ENOENT,
			  msi_unbind(self->fd, self->dev_id[0], IOVA ^ iova));

	/* IDs of another file mean nothing here */
	other = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, other);
	ASSERT_EQ(ENOENT, msi_unbind(other, self->dev_id[0], IOVA));
	ASSERT_EQ(0, close(other));

	ASSERT_EQ(0, call(self->fd, IOMMU_GUEST_MSI_UNBIND, &unbind));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
}

TEST_F(guest_msi, device_goes)
{
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[1], IOVA, GPA, LENGTH));
	ASSERT_EQ(0, destroy(self->fd, self->stdev_id[0]));
	ASSERT_FALSE(is_free(self->fd, self->ioas_id, GPA));
	ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[1], IOVA));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
	self->stdev_id[0] = 0;
}

/* The bindings stay with the parent while the device is elsewhere */
TEST_F(guest_msi, parent_goes)
{
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[i], IOVA, GPA,
				      LENGTH));
	ASSERT_EQ(EBUSY, destroy(self->fd, self->parent_id[0]));
	ASSERT_EQ(0,
		  replace(self->fd, self->stdev_id[0], self->parent_id[1]));
	ASSERT_EQ(EEXIST, msi_bind(self->fd, self->dev_id[0], IOVA,
				   GPA + LENGTH, LENGTH));
	ASSERT_EQ(0, destroy(self->fd, self->parent_id[0]));
	ASSERT_FALSE(is_free(self->fd, self->ioas_id, GPA));
	ASSERT_EQ(ENOENT, msi_unbind(self->fd, self->dev_id[0], IOVA));
	ASSERT_EQ(0, msi_bind(self->fd, self->dev_id[0], IOVA, GPA, LENGTH));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, msi_unbind(self->fd, self->dev_id[i], IOVA));
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
}

/* The file goes while bindings are made, or just so */
TEST_F(guest_msi, close)
{
	int i, status, ready[2];
	pid_t pid;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_NE(-1, pid);
		if (!pid) {
			__u32 ioas_id, stdev_id, dev_id, parent_id = 0;
			int fd = open("/dev/iommu", O_RDWR);

			if (fd < 0 || _test_ioctl_ioas_alloc(fd, &ioas_id) ||
			    device_add_flags(fd, ioas_id,
					     MOCK_FLAGS_DEVICE_SW_MSI,
					     &stdev_id, &dev_id) ||
			    parent_alloc(fd, dev_id, ioas_id, &parent_id) ||
			    replace(fd, stdev_id, parent_id) ||
			    msi_bind(fd, dev_id, IOVA, GPA, LENGTH))
				_exit(1);
			if (i % 2)
				_exit(0);
			say_ready(ready);
			while (!msi_unbind(fd, dev_id, IOVA) &&
			       !msi_bind(fd, dev_id, IOVA, GPA, LENGTH))
				;
			_exit(2);
		}
		EXPECT_EQ(i % 2 == 0, gets_ready(ready));
		if (i % 2 == 0) {
			usleep(1000 * i);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(i % 2 ? 0 : SIGKILL, status);
	}
}

/* The hardware's own range is bound without an effect, and nothing else is */
TEST_F(guest_msi, hardware)
{
	static const struct {
		__u64 iova, gpa, length;
	} outside[] = {
		{ IOVA, GPA, LENGTH },
		{ IOVA, MOCK_MSI_START, LENGTH },
		{ MOCK_MSI_START, GPA, LENGTH },
		{ MOCK_MSI_START - LENGTH, MOCK_MSI_START - LENGTH, LENGTH },
		{ MOCK_MSI_START + MOCK_MSI_LENGTH,
		  MOCK_MSI_START + MOCK_MSI_LENGTH, LENGTH },
		{ MOCK_MSI_START, MOCK_MSI_START, 2 * MOCK_MSI_LENGTH },
	};
	__u64 last = MOCK_MSI_START + MOCK_MSI_LENGTH - LENGTH;
	__u32 stdev_id, dev_id, parent_id = 0;
	unsigned int i;

	ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
				      MOCK_FLAGS_DEVICE_HW_MSI, &stdev_id,
				      &dev_id));
	ASSERT_EQ(0,
		  parent_alloc(self->fd, dev_id, self->ioas_id, &parent_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, parent_id));
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		ASSERT_EQ(EINVAL,
			  msi_bind(self->fd, dev_id, outside[i].iova,
				   outside[i].gpa, outside[i].length))
		{
			TH_LOG("%u", i);
		}
	}
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, MOCK_MSI_START, MOCK_MSI_START,
			      LENGTH));
	ASSERT_EQ(0, msi_bind(self->fd, dev_id, last, MOCK_MSI_START, LENGTH));
	ASSERT_EQ(EEXIST, msi_bind(self->fd, dev_id, MOCK_MSI_START,
				   MOCK_MSI_START, LENGTH));
	ASSERT_EQ(0, msi_unbind(self->fd, dev_id, MOCK_MSI_START));
	ASSERT_EQ(ENOENT, msi_unbind(self->fd, dev_id, MOCK_MSI_START));
	ASSERT_EQ(0, destroy(self->fd, stdev_id));
}

/* A device whose MSIs the mock IOMMU does not know of */
TEST_F(guest_msi, no_msi)
{
	__u32 stdev_id, dev_id, parent_id = 0;
	__u64 value = 0;

	ASSERT_EQ(0, device_add(self->fd, self->ioas_id, &stdev_id, &dev_id));
	ASSERT_EQ(0,
		  parent_alloc(self->fd, dev_id, self->ioas_id, &parent_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, parent_id));
	ASSERT_EQ(EOPNOTSUPP, msi_bind(self->fd, dev_id, IOVA, GPA, LENGTH));
	ASSERT_EQ(EOPNOTSUPP, option(self->fd, IOMMU_OPTION_OP_GET,
				     IOMMU_OPTION_SW_MSI_START, dev_id,
				     &value));
	ASSERT_EQ(EOPNOTSUPP, option(self->fd, IOMMU_OPTION_OP_SET,
				     IOMMU_OPTION_SW_MSI_START, dev_id,
				     &value));
}

TEST_F(guest_msi, window_options)
{
	static const struct {
		__u16 op;
		__u32 option_id;
		__u64 value;
		int error;
	} bad[] = {
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START, 0, EINVAL },
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START, 1, EINVAL },
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START, 512, EINVAL },
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START,
		  0ULL - MOCK_MSI_LENGTH / 2, EINVAL },
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START, ~0ULL,
		  EINVAL },
		/* The device is attached */
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_START, GPA, EBUSY },
		{ IOMMU_OPTION_OP_SET, IOMMU_OPTION_SW_MSI_SIZE, 4096,
		  EOPNOTSUPP },
		{ 2, IOMMU_OPTION_SW_MSI_START, 0, EOPNOTSUPP },
		{ 2, IOMMU_OPTION_SW_MSI_SIZE, 0, EOPNOTSUPP },
		{ IOMMU_OPTION_OP_GET, IOMMU_OPTION_SW_MSI_START - 1, 0,
		  EOPNOTSUPP },
		{ IOMMU_OPTION_OP_GET, IOMMU_OPTION_SW_MSI_SIZE + 1, 0,
		  EOPNOTSUPP },
	};
	__u32 not_devices[] = { 0, NO_ID, self->ioas_id, self->parent_id[0] };
	unsigned int i;
	__u64 value;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		value = bad[i].value;
		ASSERT_EQ(bad[i].error, option(self->fd, bad[i].op,
					       bad[i].option_id,
					       self->dev_id[0], &value))
		{
			TH_LOG("option %u", i);
		}
		ASSERT_EQ(0, option(self->fd, IOMMU_OPTION_OP_GET,
				    IOMMU_OPTION_SW_MSI_START, self->dev_id[0],
				    &value));
		ASSERT_EQ(MOCK_MSI_START, value);
		ASSERT_EQ(0, option(self->fd, IOMMU_OPTION_OP_GET,
				    IOMMU_OPTION_SW_MSI_SIZE, self->dev_id[0],
				    &value));
		ASSERT_EQ(MOCK_MSI_LENGTH, value);
	}
	for (i = 0; i < ARRAY_SIZE(not_devices); i++)
		ASSERT_EQ(ENOENT, option(self->fd, IOMMU_OPTION_OP_GET,
					 IOMMU_OPTION_SW_MSI_START,
					 not_devices[i], &value));
}

struct race {
	int fd;
	__u32 stdev_id[2], dev_id[2], parent_id[2];
	unsigned int done[2];
};

static int race_bind(void *data, unsigned int i)
{
	static const int expected[] = { ENOENT, EEXIST, 0 };
	struct race *race = data;
	unsigned int seed = i;
	__u64 iova;
	__u32 dev;
	int rc;

	dev = race->dev_id[rand_r(&seed) % 2];
	iova = IOVA + rand_r(&seed) % 4 * LENGTH;
	if (rand_r(&seed) % 2)
		rc = msi_bind(race->fd, dev, iova, GPA, LENGTH);
	else
		rc = msi_unbind(race->fd, dev, iova);
	return racer_result(&race->done[0], rc, expected);
}

static int race_replace(void *data, unsigned int i)
{
	static const int expected[] = { 0 };
	struct race *race = data;
	unsigned int dev, seed = i;

	dev = rand_r(&seed) % 2;
	return racer_result(&race->done[1],
			    replace(race->fd, race->stdev_id[dev],
				    race->parent_id[rand_r(&seed) % 2]),
			    expected);
}

/* Bindings come and go while their devices move between the parents */
TEST_F_TIMEOUT(guest_msi, race, 120)
{
	struct racer racers[] = {
		{ race_bind, "bindings" },
		{ race_bind, "bindings too" },
		{ race_replace, "replace" },
	};
	struct race race = { .fd = self->fd };
	unsigned int i, k;

	memcpy(race.stdev_id, self->stdev_id, sizeof(race.stdev_id));
	memcpy(race.dev_id, self->dev_id, sizeof(race.dev_id));
	memcpy(race.parent_id, self->parent_id, sizeof(race.parent_id));
	ASSERT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), &race, 2,
				    race.done, ARRAY_SIZE(race.done), 10));
	ASSERT_LT(10, race.done[0]);
	ASSERT_LT(10, race.done[1]);

	for (i = 0; i < 2; i++)
		for (k = 0; k < 4; k++)
			msi_unbind(self->fd, self->dev_id[i],
				   IOVA + k * LENGTH);
	ASSERT_TRUE(is_free(self->fd, self->ioas_id, GPA));
}

TEST_HARNESS_MAIN
