// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock devices that are reset, sleep or do not answer: what the core takes off in
 * hardware, and what it puts back
 */
#include "iommufd_mock.h"

#define PASID		5
#define OTHER_PASID	6

FIXTURE(reset)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id;
	__u32 dev_id;
	__u32 rid_id[2];
	__u32 pasid_id[2];
	__u32 parent_id;
	__u32 table_id;
};

static int test_op(int fd, __u32 op, __u32 stdev_id, struct iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	cmd->op = op;
	cmd->id = stdev_id;
	return call(fd, _IOMMU_TEST_CMD(op), cmd);
}

static int reset_op(struct _test_data_reset *self, __u32 what, __u32 error)
{
	struct iommu_test_cmd cmd = {
		.reset = { .what = what, .error = error },
	};

	return test_op(self->fd, IOMMU_TEST_OP_RESET, self->stdev_id, &cmd);
}

static int attach_error(struct _test_data_reset *self, __u32 stdev_id,
			__u32 hwpt_id, __u32 error)
{
	struct iommu_test_cmd cmd = {
		.reset = {
			.what = MOCK_RESET_ERROR,
			.pt_id = hwpt_id,
			.error = error,
		},
	};

	return test_op(self->fd, IOMMU_TEST_OP_RESET, stdev_id, &cmd);
}

static int pasid_attach(struct _test_data_reset *self, __u32 pasid, __u32 pt_id)
{
	struct iommu_test_cmd cmd = {
		.pasid = { .pasid = pasid, .pt_id = pt_id },
	};

	return test_op(self->fd, IOMMU_TEST_OP_PASID_ATTACH, self->stdev_id,
		       &cmd);
}

static int pasid_detach(struct _test_data_reset *self, __u32 pasid)
{
	struct iommu_test_cmd cmd = { .pasid = { .pasid = pasid } };

	return test_op(self->fd, IOMMU_TEST_OP_PASID_DETACH, self->stdev_id,
		       &cmd);
}

static bool pasid_uses(struct _test_data_reset *self, __u32 pasid, __u32 hwpt_id)
{
	struct iommu_test_cmd cmd = {
		.pasid = { .pasid = pasid, .pt_id = hwpt_id },
	};

	return !test_op(self->fd, IOMMU_TEST_OP_PASID_QUERY, self->stdev_id,
			&cmd) &&
	       cmd.pasid.out_uses == 1;
}

/* Does the hardware have this HWPT and so many PASIDs? */
static bool works(struct _test_data_reset *self, __u32 hwpt_id, __u32 nr_pasids)
{
	struct iommu_test_cmd cmd = {
		.reset = { .what = MOCK_RESET_QUERY, .pt_id = hwpt_id },
	};

	return !test_op(self->fd, IOMMU_TEST_OP_RESET, self->stdev_id, &cmd) &&
	       !cmd.reset.out_quiet && cmd.reset.out_uses == 1 &&
	       cmd.reset.out_nr_pasids == nr_pasids;
}

/* The same, in the end */
static bool gets_to_work(struct _test_data_reset *self, __u32 hwpt_id,
			 __u32 nr_pasids)
{
	int tries = 1000;

	while (tries-- && !works(self, hwpt_id, nr_pasids))
		usleep(10000);
	return works(self, hwpt_id, nr_pasids);
}

/* Is nothing attached in hardware, this HWPT least of all, and the driver quiet? */
static bool silent(struct _test_data_reset *self, __u32 hwpt_id)
{
	struct iommu_test_cmd cmd = {
		.reset = { .what = MOCK_RESET_QUERY, .pt_id = hwpt_id },
	};

	return !test_op(self->fd, IOMMU_TEST_OP_RESET, self->stdev_id, &cmd) &&
	       cmd.reset.out_quiet == 1 && !cmd.reset.out_uses &&
	       !cmd.reset.out_nr_pasids;
}

static int pasid_hwpt_alloc(int fd, __u32 dev_id, __u32 ioas_id, __u32 *id)
{
	return _test_cmd_hwpt_alloc(fd, dev_id, ioas_id, 0,
				    IOMMU_HWPT_ALLOC_PASID, id,
				    IOMMU_HWPT_DATA_NONE, NULL, 0) ?
		       errno :
		       0;
}

FIXTURE_SETUP(reset)
{
	struct iommu_hwpt_pasid_table table = {
		.format = IOMMU_PASID_TABLE_SMMUV3,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
	};
	int i;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	ASSERT_EQ(0, device_add(self->fd, self->ioas_id, &self->stdev_id,
				&self->dev_id));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pasid_hwpt_alloc(self->fd, self->dev_id,
					      self->ioas_id, &self->rid_id[i]));
		ASSERT_EQ(0, pasid_hwpt_alloc(self->fd, self->dev_id,
					      self->ioas_id,
					      &self->pasid_id[i]));
	}
	ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id, self->ioas_id,
				  &self->parent_id));
	ASSERT_EQ(0, table_alloc(self->fd, self->dev_id, self->parent_id,
				 &table, sizeof(table), &self->table_id));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->rid_id[0]));
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[0]));
	ASSERT_TRUE(works(self, self->rid_id[0], 1));
}

FIXTURE_TEARDOWN(reset)
{
	teardown_iommufd(self->fd, _metadata);
}

TEST_F(reset, restored)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(EBUSY, destroy(self->fd, self->rid_id[0]));
	ASSERT_EQ(EBUSY, destroy(self->fd, self->pasid_id[0]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 1));
	ASSERT_TRUE(pasid_uses(self, PASID, self->pasid_id[0]));
}

/* Resets nest, and one may take place in D3 */
TEST_F(reset, reasons)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 1));
	/* More ends than beginnings: the IOMMU may come in between */
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 1));
}

/* The hardware gets what is attached in the end, whenever that was */
TEST_F(reset, changed)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->rid_id[1]));
	ASSERT_EQ(0, destroy(self->fd, self->rid_id[0]));
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[1]));
	ASSERT_EQ(0, destroy(self->fd, self->pasid_id[0]));
	ASSERT_EQ(0, pasid_attach(self, OTHER_PASID, self->pasid_id[1]));
	ASSERT_TRUE(silent(self, self->rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, self->rid_id[1], 2));
	ASSERT_TRUE(pasid_uses(self, PASID, self->pasid_id[1]));
	ASSERT_TRUE(pasid_uses(self, OTHER_PASID, self->pasid_id[1]));

	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, pasid_detach(self, PASID));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->rid_id[1], 1));
	ASSERT_TRUE(pasid_uses(self, OTHER_PASID, self->pasid_id[1]));
}

TEST_F(reset, table)
{
	ASSERT_EQ(0, pasid_detach(self, PASID));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->table_id));
	ASSERT_TRUE(works(self, self->table_id, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_TRUE(silent(self, self->table_id));
	/* All PASIDs are the guest's, also while the table is not in use */
	ASSERT_EQ(EINVAL, pasid_attach(self, PASID, self->pasid_id[0]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->table_id, 0));

	/* The other way round */
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->rid_id[0]));
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[0]));
	ASSERT_EQ(EINVAL, replace(self->fd, self->stdev_id, self->table_id));
	ASSERT_EQ(0, pasid_detach(self, PASID));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->table_id));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, self->table_id, 0));
}

/* What cannot be attached again leaves the device blocked until something is */
TEST_F(reset, failed)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, EIO));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->rid_id[1]));
	ASSERT_TRUE(works(self, self->rid_id[1], 1));

	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, EIO));
	ASSERT_TRUE(silent(self, self->rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->rid_id[1], 1));
}

/* What is busy at the end of a reset is attached when it is not busy any more */
TEST_F(reset, busy)
{
	static const int errors[] = { EAGAIN, EINTR, ENOMEM, ENOSPC };
	const __u32 *rid_id = self->rid_id;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		ASSERT_EQ(0, attach_error(self, self->stdev_id, rid_id[0],
					  errors[i]));
		ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
		ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
		ASSERT_TRUE(silent(self, rid_id[0]));
		ASSERT_EQ(0, attach_error(self, self->stdev_id, rid_id[0], 0));
		ASSERT_TRUE(gets_to_work(self, rid_id[0], 1));
		ASSERT_TRUE(pasid_uses(self, PASID, self->pasid_id[0]));
	}

	/* Something else comes first, or another reset, or the end of all */
	ASSERT_EQ(0, attach_error(self, self->stdev_id, rid_id[0], EAGAIN));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(silent(self, rid_id[0]));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, rid_id[1]));
	ASSERT_TRUE(works(self, rid_id[1], 1));
	ASSERT_EQ(0, attach_error(self, self->stdev_id, rid_id[1], EAGAIN));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(silent(self, rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_TRUE(silent(self, rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(silent(self, rid_id[1]));
}

/* Who attaches something meanwhile hears what the driver says of it */
TEST_F(reset, refused)
{
	ASSERT_EQ(0, attach_error(self, self->stdev_id, self->rid_id[1], EINVAL));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_EQ(EINVAL, replace(self->fd, self->stdev_id, self->rid_id[1]));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, destroy(self->fd, self->rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 1));
}

/* A failed replace goes back to a domain that is busy */
TEST_F(reset, busy_group)
{
	__u32 flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_GROUP;
	__u32 stdev_id[2], dev_id[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id, flags,
					      &stdev_id[i], &dev_id[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, replace(self->fd, stdev_id[i], self->rid_id[0]));
	ASSERT_EQ(0, attach_error(self, stdev_id[0], self->rid_id[0], EAGAIN));
	ASSERT_EQ(0, attach_error(self, stdev_id[1], self->rid_id[1], ENOSPC));
	ASSERT_EQ(ENOSPC, replace(self->fd, stdev_id[0], self->rid_id[1]));
	self->stdev_id = stdev_id[1];
	ASSERT_TRUE(works(self, self->rid_id[0], 0));
	self->stdev_id = stdev_id[0];
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, attach_error(self, stdev_id[0], self->rid_id[0], 0));
	ASSERT_TRUE(gets_to_work(self, self->rid_id[0], 0));
}

/* One that joins its group has no PASIDs, and may be too narrow for them */
TEST_F(reset, narrow_joiner)
{
	__u32 flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_GROUP;
	const __u32 *rid_id = self->rid_id;
	__u32 first, joiner, dev_id;

	ASSERT_EQ(0, device_add_flags(self->fd, rid_id[0], flags, &first,
				      &dev_id));
	self->stdev_id = first;
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[0]));
	ASSERT_EQ(0, device_add_flags(self->fd, rid_id[0],
				      flags | MOCK_FLAGS_DEVICE_NARROW, &joiner,
				      &dev_id));

	self->stdev_id = joiner;
	ASSERT_TRUE(works(self, rid_id[0], 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	/* It is no obstacle to the other one, asleep or awake */
	self->stdev_id = first;
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[1]));
	ASSERT_TRUE(works(self, rid_id[0], 1));
	self->stdev_id = joiner;
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, rid_id[0], 0));
	self->stdev_id = first;
	ASSERT_EQ(0, pasid_attach(self, PASID, self->pasid_id[0]));
	ASSERT_TRUE(pasid_uses(self, PASID, self->pasid_id[0]));
	ASSERT_EQ(0, pasid_detach(self, PASID));
	ASSERT_TRUE(works(self, rid_id[0], 0));
}

/* One that uses no ATS is never waited for */
TEST_F(reset, without_ats)
{
	__u32 dev_id;

	ASSERT_EQ(0, device_add_flags(self->fd, self->rid_id[0],
				      MOCK_FLAGS_DEVICE_NO_ATS, &self->stdev_id,
				      &dev_id));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_TRUE(works(self, self->rid_id[0], 0));
}

/* A device that does not answer is cut off until a reset, and for no less */
TEST_F(reset, lost)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_LOST, 0));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_LOST, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_SLEEP, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_WAKE, 0));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, self->rid_id[1]));
	ASSERT_TRUE(silent(self, self->rid_id[1]));
	/* A reset that comes to nothing, in one that works and by itself */
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_GIVE_UP, 0));
	ASSERT_TRUE(silent(self, self->rid_id[1]));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_LOST, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_GIVE_UP, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_END, 0));
	ASSERT_TRUE(works(self, self->rid_id[1], 1));
	ASSERT_TRUE(pasid_uses(self, PASID, self->pasid_id[0]));
}

/* All is released in the middle of it */
TEST_F(reset, closed)
{
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_BEGIN, 0));
	ASSERT_EQ(0, reset_op(self, MOCK_RESET_LOST, 0));
	ASSERT_TRUE(silent(self, self->rid_id[0]));
}

TEST_HARNESS_MAIN
