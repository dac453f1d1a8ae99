// SPDX-License-Identifier: GPL-2.0-only
/*
 * HWPTs of single PASIDs on mock devices: what /dev/iommu itself does, on any
 * machine
 */
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

#include "iommufd_mock.h"
#include "nested_asleep.h"
#include "nested_racer.h"

#define NO_ID		~0U
#define NO_HWPT		0
#define PASID		5
#define LAST_PASID	((1U << MOCK_PASID_WIDTH) - 1)

static int pasid_op(int fd, __u32 op, __u32 stdev_id,
		    struct iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	cmd->op = op;
	cmd->id = stdev_id;
	return call(fd, _IOMMU_TEST_CMD(op), cmd);
}

/* The mock IOMMU fails with @error, if that is not 0 */
static int pasid_attach_fail(int fd, __u32 stdev_id, __u32 pasid, __u32 pt_id,
			     __u32 error)
{
	struct iommu_test_cmd cmd = {
		.pasid = { .pasid = pasid, .pt_id = pt_id, .error = error },
	};

	return pasid_op(fd, IOMMU_TEST_OP_PASID_ATTACH, stdev_id, &cmd);
}

static int pasid_attach(int fd, __u32 stdev_id, __u32 pasid, __u32 pt_id)
{
	return pasid_attach_fail(fd, stdev_id, pasid, pt_id, 0);
}

static int pasid_detach(int fd, __u32 stdev_id, __u32 pasid)
{
	struct iommu_test_cmd cmd = { .pasid = { .pasid = pasid } };

	return pasid_op(fd, IOMMU_TEST_OP_PASID_DETACH, stdev_id, &cmd);
}

/* Whether the PASID has this HWPT, or NO_HWPT */
static bool pasid_uses(int fd, __u32 stdev_id, __u32 pasid, __u32 hwpt_id)
{
	struct iommu_test_cmd cmd = {
		.pasid = { .pasid = pasid, .pt_id = hwpt_id },
	};

	return !pasid_op(fd, IOMMU_TEST_OP_PASID_QUERY, stdev_id, &cmd) &&
	       cmd.pasid.out_uses == 1;
}

/* The requests without a PASID; the group stays, if another device has it */
static int rid_detach(int fd, __u32 stdev_id)
{
	struct iommu_test_cmd cmd = {};

	return pasid_op(fd, IOMMU_TEST_OP_RID_DETACH, stdev_id, &cmd);
}

static int paging_alloc(int fd, __u32 dev_id, __u32 ioas_id, __u32 flags,
			__u32 *id)
{
	return _test_cmd_hwpt_alloc(fd, dev_id, ioas_id, 0, flags, id,
				    IOMMU_HWPT_DATA_NONE, NULL, 0) ?
		       errno :
		       0;
}

static int nested_alloc(int fd, __u32 dev_id, __u32 parent_id, __u32 flags,
			__u32 fault_id, __u32 *id)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };

	return _test_cmd_hwpt_alloc(fd, dev_id, parent_id, fault_id, flags, id,
				    IOMMU_HWPT_DATA_SELFTEST, &data,
				    sizeof(data)) ?
		       errno :
		       0;
}

static int guest_table_alloc(int fd, __u32 dev_id, __u32 parent_id, __u32 *id)
{
	struct iommu_hwpt_pasid_table table = {
		.format = IOMMU_PASID_TABLE_SMMUV3,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
	};

	return table_alloc(fd, dev_id, parent_id, &table, sizeof(table), id);
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

FIXTURE(pasid)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id[2];
	__u32 dev_id[2];
	__u32 rid_id;
	__u32 parent_id;
	__u32 fault_id;
	__u32 fault_fd;
	__u32 hwpt_id[2];
};

FIXTURE_VARIANT(pasid)
{
	bool nested;
	bool fault;
};

FIXTURE_VARIANT_ADD(pasid, paging)
{
};

FIXTURE_VARIANT_ADD(pasid, nested)
{
	.nested = true,
};

FIXTURE_VARIANT_ADD(pasid, nested_fault)
{
	.nested = true,
	.fault = true,
};

static int variant_alloc(int fd, __u32 dev_id, bool nested, __u32 pt_id,
			 bool fault, __u32 fault_id, __u32 *id)
{
	__u32 flags = IOMMU_HWPT_ALLOC_PASID;

	if (fault)
		flags |= IOMMU_HWPT_FAULT_ID_VALID;
	return nested ? nested_alloc(fd, dev_id, pt_id, flags, fault_id, id) :
			paging_alloc(fd, dev_id, pt_id, flags, id);
}

/* Two devices, whose requests without a PASID are attached to rid_id */
FIXTURE_SETUP(pasid)
{
	int i;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	test_ioctl_fault_alloc(&self->fault_id, &self->fault_fd);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, device_add(self->fd, self->ioas_id,
					&self->stdev_id[i], &self->dev_id[i]));
	ASSERT_EQ(0, paging_alloc(self->fd, self->dev_id[0], self->ioas_id,
				  IOMMU_HWPT_ALLOC_PASID, &self->rid_id));
	ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id[0], self->ioas_id,
				  &self->parent_id));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0,
			  replace(self->fd, self->stdev_id[i], self->rid_id));
		ASSERT_EQ(0, variant_alloc(self->fd, self->dev_id[0],
					   variant->nested,
					   variant->nested ? self->parent_id :
							     self->ioas_id,
					   variant->fault, self->fault_id,
					   &self->hwpt_id[i]));
	}
}

FIXTURE_TEARDOWN(pasid)
{
	close(self->fault_fd);
	teardown_iommufd(self->fd, _metadata);
}

TEST_F(pasid, life_cycle)
{
	static const __u32 pasids[] = { 1, PASID, LAST_PASID };
	__u32 stdev_id = self->stdev_id[0];
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(pasids); i++) {
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, pasids[i], NO_HWPT));
		ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, pasids[i]));
		for (j = 0; j < 3; j++) {
			ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, pasids[i],
						  self->hwpt_id[j % 2]));
			ASSERT_TRUE(pasid_uses(self->fd, stdev_id, pasids[i],
					       self->hwpt_id[j % 2]));
			ASSERT_FALSE(pasid_uses(self->fd, stdev_id, pasids[i],
						self->hwpt_id[!(j % 2)]));
			ASSERT_FALSE(pasid_uses(self->fd, stdev_id, pasids[i],
						NO_HWPT));
			ASSERT_TRUE(pasid_uses(self->fd, self->stdev_id[1],
					       pasids[i], NO_HWPT));
			ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, pasids[i]));
			ASSERT_TRUE(pasid_uses(self->fd, stdev_id, pasids[i],
					       NO_HWPT));
		}
	}
}

TEST_F(pasid, replace)
{
	__u32 stdev_id = self->stdev_id[0];
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[i % 2]));
		/* The same again is nothing the driver hears of */
		ASSERT_EQ(0, pasid_attach_fail(self->fd, stdev_id, PASID,
					       self->hwpt_id[i % 2], EIO));
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID,
				       self->hwpt_id[i % 2]));
		ASSERT_EQ(EBUSY, destroy(self->fd, self->hwpt_id[i % 2]));
	}
	/* The other one is free by now */
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[1]));
	/* What translates requests without a PASID will do as well */
	ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID, self->rid_id));
	ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID, self->rid_id));
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[0]));
}

/* Whatever fails, the PASID has what it had, and nothing else is held */
TEST_F(pasid, driver_fails)
{
	static const int errors[] = { ENOMEM, EINVAL, EBUSY, ENOSPC };
	__u32 stdev_id = self->stdev_id[0];
	unsigned int i;
	__u32 plain_id;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		ASSERT_EQ(errors[i],
			  pasid_attach_fail(self->fd, stdev_id, PASID,
					    self->hwpt_id[0], errors[i]));
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID, NO_HWPT));
	}
	/* No trace of a PASID: anything can be attached */
	ASSERT_EQ(0, paging_alloc(self->fd, self->dev_id[0], self->ioas_id, 0,
				  &plain_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, plain_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, self->rid_id));

	ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID, self->hwpt_id[0]));
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		ASSERT_EQ(errors[i],
			  pasid_attach_fail(self->fd, stdev_id, PASID,
					    self->hwpt_id[1], errors[i]));
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID,
				       self->hwpt_id[0]));
	}
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[1]));
	ASSERT_EQ(EBUSY, destroy(self->fd, self->hwpt_id[0]));
	ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, PASID));
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[0]));
}

/* A HWPT is held once for each PASID of each device, and holds its parent */
TEST_F(pasid, held)
{
	__u32 hwpt_id = self->hwpt_id[0];
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pasid_attach(self->fd, self->stdev_id[i / 2],
					  PASID + i % 2, hwpt_id));
	if (variant->nested)
		ASSERT_EQ(EBUSY, destroy(self->fd, self->parent_id));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(EBUSY, destroy(self->fd, hwpt_id));
		ASSERT_TRUE(pasid_uses(self->fd, self->stdev_id[i / 2],
				       PASID + i % 2, hwpt_id));
		ASSERT_EQ(0, pasid_detach(self->fd, self->stdev_id[i / 2],
					  PASID + i % 2));
	}
	ASSERT_EQ(0, destroy(self->fd, hwpt_id));
}

TEST_F(pasid, every_order)
{
	static const unsigned int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 },
						  { 1, 0, 2 }, { 1, 2, 0 },
						  { 2, 0, 1 }, { 2, 1, 0 } };
	static const __u32 pasids[] = { LAST_PASID, 1, 1000 };
	__u32 stdev_id = self->stdev_id[0];
	unsigned int i, j, k, other;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < 3; j++)
			ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, pasids[j],
						  self->hwpt_id[j % 2]));
		for (j = 0; j < 3; j++) {
			ASSERT_EQ(0, pasid_detach(self->fd, stdev_id,
						  pasids[orders[i][j]]));
			for (k = j + 1; k < 3; k++) {
				other = orders[i][k];
				ASSERT_TRUE(pasid_uses(self->fd, stdev_id,
						       pasids[other],
						       self->hwpt_id[other % 2]));
			}
		}
	}
}

TEST_F(pasid, device_gone)
{
	int i;

	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, pasid_attach(self->fd, self->stdev_id[0],
					  1 + i * 7919, self->hwpt_id[i % 2]));
	ASSERT_EQ(0, pasid_attach(self->fd, self->stdev_id[1], PASID,
				  self->hwpt_id[0]));
	ASSERT_EQ(0, destroy(self->fd, self->stdev_id[0]));
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[1]));
	ASSERT_TRUE(pasid_uses(self->fd, self->stdev_id[1], PASID,
			       self->hwpt_id[0]));
	ASSERT_EQ(EBUSY, destroy(self->fd, self->hwpt_id[0]));
	ASSERT_EQ(0, destroy(self->fd, self->stdev_id[1]));
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[0]));
	ASSERT_EQ(0, destroy(self->fd, self->rid_id));
}

/* Nobody detaches anything, and the kernel does not complain */
TEST_F(pasid, killed)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 ioas_id, stdev_id, dev_id, rid_id;
		int fd = open("/dev/iommu", O_RDWR);

		if (fd < 0 || _test_ioctl_ioas_alloc(fd, &ioas_id) ||
		    device_add(fd, ioas_id, &stdev_id, &dev_id) ||
		    paging_alloc(fd, dev_id, ioas_id, IOMMU_HWPT_ALLOC_PASID,
				 &rid_id) ||
		    replace(fd, stdev_id, rid_id) ||
		    pasid_attach(fd, stdev_id, PASID, rid_id) ||
		    pasid_attach(fd, stdev_id, LAST_PASID, rid_id))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
}

/* What requests without a PASID are attached to has to be made for it too */
TEST_F(pasid, mixed)
{
	__u32 stdev_id = self->stdev_id[0];
	__u32 ids[4], plain_id;
	unsigned int i;

	ASSERT_EQ(0, paging_alloc(self->fd, self->dev_id[0], self->ioas_id, 0,
				  &plain_id));
	ids[0] = self->ioas_id;
	ids[1] = plain_id;
	ids[2] = self->parent_id;
	ASSERT_EQ(0, guest_table_alloc(self->fd, self->dev_id[0],
				       self->parent_id, &ids[3]));

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ASSERT_EQ(0, replace(self->fd, stdev_id, ids[i]));
		ASSERT_EQ(EINVAL, pasid_attach(self->fd, stdev_id, PASID,
					       self->hwpt_id[0]));
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID, NO_HWPT));

		ASSERT_EQ(0, replace(self->fd, stdev_id, self->rid_id));
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[0]));
		ASSERT_EQ(EINVAL, replace(self->fd, stdev_id, ids[i]));
		ASSERT_EQ(EINVAL, pasid_attach(self->fd, stdev_id, PASID,
					       ids[i]));
		ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID,
				       self->hwpt_id[0]));
		/* Another device has nothing to do with it */
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[1], ids[i]));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[1], self->rid_id));
		/* To one that is made for it, as often as one likes */
		ASSERT_EQ(0, replace(self->fd, stdev_id, self->hwpt_id[1]));
		ASSERT_EQ(0, replace(self->fd, stdev_id, self->rid_id));
		ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, PASID));
	}
	/* None of the refusals holds anything */
	ASSERT_EQ(0, destroy(self->fd, ids[3]));
	ASSERT_EQ(0, destroy(self->fd, plain_id));
}

TEST_F(pasid, refused)
{
	const struct {
		__u32 pasid, pt_id;
		int error;
	} bad[] = {
		{ 0, self->hwpt_id[0], EINVAL },
		{ LAST_PASID + 1, self->hwpt_id[0], EINVAL },
		{ 1U << 31, self->hwpt_id[0], EINVAL },
		{ ~0U, self->hwpt_id[0], EINVAL },
		{ PASID, NO_ID, ENOENT },
		{ PASID, 0, ENOENT },
		{ PASID, self->ioas_id, EINVAL },
		{ PASID, self->parent_id, EINVAL },
		{ PASID, self->dev_id[0], EINVAL },
		{ PASID, self->stdev_id[0], EINVAL },
		{ PASID, self->fault_id, EINVAL },
	};
	__u32 stdev_id = self->stdev_id[0];
	unsigned int i, attached;

	for (attached = 0; attached < 2; attached++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			ASSERT_EQ(bad[i].error,
				  pasid_attach(self->fd, stdev_id, bad[i].pasid,
					       bad[i].pt_id))
			{
				TH_LOG("pasid %x, case %u", bad[i].pasid, i);
			}
			ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID,
					       attached ? self->hwpt_id[1] :
							  NO_HWPT));
		}
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[1]));
	}
	ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[0]));
	/* Detaching what cannot be attached harms nothing */
	ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, 0));
	ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, ~0U));
	ASSERT_TRUE(pasid_uses(self->fd, stdev_id, PASID, self->hwpt_id[1]));
}

/*
 * Mappings of the IOAS are the PASID's, before and after; the MSI window of
 * requests without a PASID takes nothing away from them
 */
TEST_F(pasid, mappings)
{
	__u32 ioas_id, stdev_id, dev_id, hwpt_id, rid_id;
	struct iommu_test_cmd check = {
		.size = sizeof(check),
		.op = IOMMU_TEST_OP_MD_CHECK_MAP,
		.check_map = { .iova = MOCK_APERTURE_START,
			       .length = PAGE_SIZE,
			       .uptr = (uintptr_t)buffer },
	};

	test_ioctl_ioas_alloc(&ioas_id);
	ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
				      MOCK_FLAGS_DEVICE_PASID |
					      MOCK_FLAGS_DEVICE_SW_MSI,
				      &stdev_id, &dev_id));
	ASSERT_EQ(0, paging_alloc(self->fd, dev_id, self->ioas_id,
				  IOMMU_HWPT_ALLOC_PASID, &rid_id));
	ASSERT_EQ(0, replace(self->fd, stdev_id, rid_id));
	ASSERT_EQ(0, paging_alloc(self->fd, dev_id, ioas_id,
				  IOMMU_HWPT_ALLOC_PASID, &hwpt_id));
	ASSERT_EQ(0, map_at(self->fd, ioas_id, MOCK_MSI_START));
	ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID, hwpt_id));
	ASSERT_EQ(0, map_at(self->fd, ioas_id, MOCK_APERTURE_START));
	check.id = hwpt_id;
	ASSERT_EQ(0, call(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_MD_CHECK_MAP),
			  &check));
	check.check_map.iova = MOCK_MSI_START;
	ASSERT_EQ(0, call(self->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_MD_CHECK_MAP),
			  &check));
	ASSERT_EQ(EINVAL, map_at(self->fd, self->ioas_id, MOCK_MSI_START));

	/* The PASID comes and goes without touching the window of the others */
	ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID, rid_id));
	ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, PASID));
	ASSERT_EQ(EINVAL, map_at(self->fd, self->ioas_id, MOCK_MSI_START));
}

/* Whether the queue has a fault for a reader */
static bool fault_pending(int fault_fd)
{
	struct pollfd poll_fd = { .fd = fault_fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN;
}

static int fault_trigger(int fd, __u32 dev_id, __u32 pasid)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_TRIGGER_IOPF,
		.trigger_iopf = {
			.dev_id = dev_id,
			.pasid = pasid,
			.grpid = 2,
			.perm = IOMMU_PGFAULT_PERM_READ,
			.addr = 0xabcd0000,
		},
	};

	return call(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_TRIGGER_IOPF), &cmd);
}

static int fault_respond(int fault_fd, __u32 cookie)
{
	struct iommu_hwpt_page_response response = {
		.cookie = cookie,
		.code = IOMMUFD_PAGE_RESP_SUCCESS,
	};

	return write(fault_fd, &response, sizeof(response)) == sizeof(response) ?
		       0 :
		       errno;
}

TEST_F(pasid, faults)
{
	__u32 stdev_id = self->stdev_id[0];
	struct iommu_hwpt_pgfault fault;
	int i;

	if (!variant->fault) {
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[0]));
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID));
		ASSERT_FALSE(fault_pending(self->fault_fd));
		return;
	}

	/* The second HWPT takes over in the second round */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[i]));
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID));
		ASSERT_TRUE(fault_pending(self->fault_fd));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		ASSERT_EQ(PASID, fault.pasid);
		ASSERT_EQ(self->dev_id[0], fault.dev_id);
		ASSERT_EQ(0xabcd0000, fault.addr);
		ASSERT_EQ(0, fault_respond(self->fault_fd, fault.cookie));
	}

	/* Other PASIDs have no such queue */
	ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID + 1));
	ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], 0));
	ASSERT_FALSE(fault_pending(self->fault_fd));
	/* After the PASID, nor has this one */
	ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, PASID));
	ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID));
	ASSERT_FALSE(fault_pending(self->fault_fd));
}

/* By a detach, by a replacement, by the end of the device */
static int take_away(int fd, int how, __u32 stdev_id, __u32 other_hwpt_id)
{
	switch (how) {
	case 0:
		return pasid_detach(fd, stdev_id, PASID);
	case 1:
		return pasid_attach(fd, stdev_id, PASID, other_hwpt_id);
	default:
		return destroy(fd, stdev_id);
	}
}

/* Whoever waits for a response to a fault gets one when the HWPT is taken away */
TEST_F(pasid, faults_outstanding)
{
	struct iommu_hwpt_pgfault fault;
	__u32 stdev_id = self->stdev_id[0];
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[0]));
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID + 1,
					  self->hwpt_id[0]));
		if (!variant->fault) {
			/* Nobody waits, so nobody is in the way */
			ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0],
						   PASID));
			ASSERT_EQ(0, take_away(self->fd, i, stdev_id,
					       self->hwpt_id[1]));
			continue;
		}
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0], PASID));
		ASSERT_TRUE(fault_pending(self->fault_fd));
		ASSERT_EQ(0, take_away(self->fd, i, stdev_id,
				       self->hwpt_id[1]));
		ASSERT_FALSE(fault_pending(self->fault_fd));
		ASSERT_EQ(EINVAL, fault_respond(self->fault_fd, fault.cookie));
		if (i == 2)
			break;

		/* A fault of the other PASID is not concerned */
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id[0],
					   PASID + 1));
		ASSERT_EQ(0, pasid_detach(self->fd, stdev_id, PASID));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		ASSERT_EQ(PASID + 1, fault.pasid);
		ASSERT_EQ(0, fault_respond(self->fault_fd, fault.cookie));
	}
}

struct actor {
	pthread_t thread;
	int fd, fault_fd, how, rc;
	__u32 stdev_id, dev_id, hwpt_id, cookie;
	pid_t tid;
	bool done;
};

static void *actor_respond(void *arg)
{
	struct actor *actor = arg;

	WRITE_SHARED(actor->tid, gettid());
	actor->rc = fault_respond(actor->fault_fd, actor->cookie);
	WRITE_SHARED(actor->done, true);
	return NULL;
}

static void *actor_report(void *arg)
{
	struct actor *actor = arg;

	WRITE_SHARED(actor->tid, gettid());
	actor->rc = fault_trigger(actor->fd, actor->dev_id, PASID);
	WRITE_SHARED(actor->done, true);
	return NULL;
}

static void *actor_take_away(void *arg)
{
	struct actor *actor = arg;

	WRITE_SHARED(actor->tid, gettid());
	actor->rc = take_away(actor->fd, actor->how, actor->stdev_id,
			      actor->hwpt_id);
	WRITE_SHARED(actor->done, true);
	return NULL;
}

/* Start it, until it sleeps in the kernel or has done what it should */
static int actor_start(struct actor *actor, void *(*main)(void *arg))
{
	pid_t tid;

	if (pthread_create(&actor->thread, NULL, main, actor))
		return -1;
	while (!READ_SHARED(actor->done)) {
		tid = READ_SHARED(actor->tid);
		if (tid && thread_state(tid) == 'D')
			return 0;
		sched_yield();
	}
	return 0;
}

static int pasid_hold(int fd, __u32 stdev_id, bool hold)
{
	struct iommu_test_cmd cmd = { .pasid = { .error = hold } };

	return pasid_op(fd, IOMMU_TEST_OP_PASID_HOLD, stdev_id, &cmd);
}

/* A device that is not attached replaces nothing, though its group is attached */
TEST_F(pasid, group_replace)
{
	__u32 flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_GROUP;
	__u32 stdev_id[2], dev_id[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id, flags,
					      &stdev_id[i], &dev_id[i]));
	ASSERT_EQ(0, rid_detach(self->fd, stdev_id[1]));
	ASSERT_EQ(EINVAL, replace(self->fd, stdev_id[1], self->rid_id));
	ASSERT_EQ(EINVAL, replace(self->fd, stdev_id[1], self->ioas_id));
	/* Nothing holds the HWPT, and the other device can still have it */
	ASSERT_EQ(0, replace(self->fd, stdev_id[0], self->rid_id));
	ASSERT_EQ(EINVAL, replace(self->fd, stdev_id[1], self->rid_id));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, destroy(self->fd, stdev_id[i]));
}

/*
 * A PASID is that of all devices of a group. One that leaves has it no more, or the
 * mock device warns when it is freed; the others keep it.
 */
TEST_F(pasid, group_leave)
{
	__u32 flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_GROUP;
	__u32 stdev_id[2], dev_id[2];
	int i, round;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id, flags,
					      &stdev_id[i], &dev_id[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, replace(self->fd, stdev_id[i], self->rid_id));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pasid_attach(self->fd, stdev_id[0],
						  PASID + i, self->hwpt_id[i]));
		for (i = 0; i < 4; i++)
			ASSERT_TRUE(pasid_uses(self->fd, stdev_id[i / 2],
					       PASID + i % 2,
					       self->hwpt_id[i % 2]));
		ASSERT_EQ(0, destroy(self->fd, stdev_id[1]));
		for (i = 0; i < 2; i++)
			ASSERT_TRUE(pasid_uses(self->fd, stdev_id[0], PASID + i,
					       self->hwpt_id[i]));
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id[0], PASID,
					  self->hwpt_id[1]));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pasid_detach(self->fd, stdev_id[0],
						  PASID + i));
		ASSERT_EQ(0, device_add_flags(self->fd, self->rid_id, flags,
					      &stdev_id[1], &dev_id[1]));
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, destroy(self->fd, stdev_id[i]));
}

struct race {
	int fd;
	__u32 stdev_id;
	__u32 dev_id;
	__u32 hwpt_id[2];
	__u32 rid_id;
	__u32 plain_id;
	unsigned int done[4];
};

static const int race_none[] = { 0 };
/* The other HWPT is there for requests without a PASID */
static const int race_used[] = { EINVAL, 0 };

static int race_attach(void *data, unsigned int i)
{
	struct race *race = data;

	return racer_result(&race->done[0],
			    pasid_attach(race->fd, race->stdev_id, 1 + i % 4,
					 race->hwpt_id[i / 4 % 2]), race_used);
}

static int race_detach(void *data, unsigned int i)
{
	struct race *race = data;

	return racer_result(&race->done[1],
			    pasid_detach(race->fd, race->stdev_id, 1 + i % 4),
			    race_none);
}

static int race_replace(void *data, unsigned int i)
{
	struct race *race = data;

	return racer_result(&race->done[2],
			    replace(race->fd, race->stdev_id,
				    i % 2 ? race->plain_id : race->rid_id),
			    race_used);
}

static int race_fault(void *data, unsigned int i)
{
	struct race *race = data;

	return racer_result(&race->done[3],
			    fault_trigger(race->fd, race->dev_id, 1 + i % 4),
			    race_none);
}

TEST_F_TIMEOUT(pasid, race, 120)
{
	struct racer racers[] = {
		{ race_attach, "attach" },
		{ race_detach, "detach" },
		{ race_replace, "replace" },
		{ race_fault, "faults" },
	};
	struct race race = {
		.fd = self->fd,
		.stdev_id = self->stdev_id[0],
		.dev_id = self->dev_id[0],
		.hwpt_id = { self->hwpt_id[0], self->hwpt_id[1] },
		.rid_id = self->rid_id,
	};
	unsigned int i;

	ASSERT_EQ(0, paging_alloc(self->fd, self->dev_id[0], self->ioas_id, 0,
				  &race.plain_id));
	ASSERT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), &race, 3,
				    race.done, ARRAY_SIZE(race.done), 10));
	for (i = 0; i < ARRAY_SIZE(race.done); i++)
		ASSERT_LT(10, race.done[i]);

	/* Nothing of a HWPT that was taken away meanwhile is in the queue */
	for (i = 1; i <= 4; i++) {
		ASSERT_EQ(0, pasid_detach(self->fd, self->stdev_id[0], i));
		ASSERT_TRUE(pasid_uses(self->fd, self->stdev_id[0], i, NO_HWPT));
	}
	ASSERT_FALSE(fault_pending(self->fault_fd));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, destroy(self->fd, self->hwpt_id[i]));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], race.plain_id));
}

/* HWPTs of PASIDs that report faults */
FIXTURE(pasid_fault)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id;
	__u32 dev_id;
	__u32 parent_id;
	__u32 fault_id;
	__u32 fault_fd;
	__u32 hwpt_id[2];
};

FIXTURE_SETUP(pasid_fault)
{
	__u32 rid_id;
	int i;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	test_ioctl_fault_alloc(&self->fault_id, &self->fault_fd);
	ASSERT_EQ(0, device_add(self->fd, self->ioas_id, &self->stdev_id,
				&self->dev_id));
	ASSERT_EQ(0, paging_alloc(self->fd, self->dev_id, self->ioas_id,
				  IOMMU_HWPT_ALLOC_PASID, &rid_id));
	ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id, self->ioas_id,
				  &self->parent_id));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, rid_id));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, variant_alloc(self->fd, self->dev_id, true,
					   self->parent_id, true,
					   self->fault_id, &self->hwpt_id[i]));
}

FIXTURE_TEARDOWN(pasid_fault)
{
	close(self->fault_fd);
	teardown_iommufd(self->fd, _metadata);
}

/*
 * A fault whose HWPT was looked up comes late to its queue, since the device is
 * busy with a response. Meanwhile the HWPT is taken away from the PASID.
 */
TEST_F(pasid_fault, report_in_flight)
{
	struct actor respond = { .fd = self->fd }, report, take;
	__u32 stdev_id = self->stdev_id;
	__u32 fault_id, fault_fd, hwpt_id;
	struct iommu_hwpt_pgfault fault;
	int how;

	/* A queue of its own, so that the queue of the other is not busy */
	test_ioctl_fault_alloc(&fault_id, &fault_fd);
	ASSERT_EQ(0, variant_alloc(self->fd, self->dev_id, true,
				   self->parent_id, true, fault_id, &hwpt_id));
	ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID + 1, hwpt_id));

	for (how = 0; how < 2; how++) {
		ASSERT_EQ(0, pasid_attach(self->fd, stdev_id, PASID,
					  self->hwpt_id[0]));
		ASSERT_EQ(0, fault_trigger(self->fd, self->dev_id,
					   PASID + 1));
		ASSERT_EQ(sizeof(fault), read(fault_fd, &fault, sizeof(fault)));

		ASSERT_EQ(0, pasid_hold(self->fd, stdev_id, true));
		respond = (struct actor){ .fault_fd = fault_fd,
					  .cookie = fault.cookie };
		report = (struct actor){ .fd = self->fd,
					 .dev_id = self->dev_id };
		take = (struct actor){ .fd = self->fd, .how = how,
				       .stdev_id = stdev_id,
				       .hwpt_id = self->hwpt_id[1] };
		ASSERT_EQ(0, actor_start(&respond, actor_respond));
		ASSERT_EQ(0, actor_start(&report, actor_report));
		ASSERT_EQ(0, actor_start(&take, actor_take_away));
		ASSERT_EQ(0, pasid_hold(self->fd, stdev_id, false));

		pthread_join(respond.thread, NULL);
		pthread_join(report.thread, NULL);
		pthread_join(take.thread, NULL);
		ASSERT_EQ(0, respond.rc);
		ASSERT_EQ(0, report.rc);
		ASSERT_EQ(0, take.rc);
		/* It was answered, or nobody was there to take it */
		ASSERT_FALSE(fault_pending(self->fault_fd));
	}
	close(fault_fd);
}

/*
 * Two devices of one group: each one's faults are reported by its own name, for
 * as long as it is attached, whichever of them has attached the HWPT
 */
TEST_F(pasid_fault, group_faults)
{
	__u32 flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_GROUP;
	__u32 stdev_id[2], dev_id[2], hwpt_id;
	struct iommu_hwpt_pgfault fault;
	int first, i, j;

	for (first = 0; first < 2; first++) {
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
						      flags, &stdev_id[i],
						      &dev_id[i]));
		ASSERT_EQ(0, nested_alloc(self->fd, dev_id[0], self->parent_id,
					  IOMMU_HWPT_FAULT_ID_VALID,
					  self->fault_id, &hwpt_id));
		ASSERT_EQ(0, replace(self->fd, stdev_id[first], hwpt_id));
		/* The group has moved, so this is nothing new */
		ASSERT_EQ(0, replace(self->fd, stdev_id[!first], hwpt_id));

		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, fault_trigger(self->fd, dev_id[i], 0));
			ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault,
						      sizeof(fault)));
			ASSERT_EQ(dev_id[i], fault.dev_id);
			ASSERT_EQ(0, fault_respond(self->fault_fd,
						   fault.cookie));
		}
		/* What the one that goes has reported goes with it */
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, fault_trigger(self->fd, dev_id[i], 0));
		ASSERT_EQ(0, destroy(self->fd, stdev_id[first]));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		ASSERT_EQ(dev_id[!first], fault.dev_id);
		ASSERT_FALSE(fault_pending(self->fault_fd));
		/* The one that stays goes on */
		for (j = 0; j < 2; j++)
			ASSERT_EQ(0, fault_trigger(self->fd, dev_id[!first], 0));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		ASSERT_EQ(dev_id[!first], fault.dev_id);
		ASSERT_EQ(0, destroy(self->fd, stdev_id[!first]));
		ASSERT_FALSE(fault_pending(self->fault_fd));
		ASSERT_EQ(EINVAL, fault_respond(self->fault_fd, fault.cookie));
		ASSERT_EQ(0, destroy(self->fd, hwpt_id));
	}
}

FIXTURE(pasid_alloc)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id;
	__u32 dev_id;
	__u32 parent_id;
};

FIXTURE_VARIANT(pasid_alloc)
{
	__u32 dev_flags;
};

FIXTURE_VARIANT_ADD(pasid_alloc, has_pasids)
{
	.dev_flags = MOCK_FLAGS_DEVICE_PASID,
};

FIXTURE_VARIANT_ADD(pasid_alloc, has_none)
{
};

FIXTURE_SETUP(pasid_alloc)
{
	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	ASSERT_EQ(0, device_add_flags(self->fd, self->ioas_id,
				      variant->dev_flags, &self->stdev_id,
				      &self->dev_id));
	ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id, self->ioas_id,
				  &self->parent_id));
}

FIXTURE_TEARDOWN(pasid_alloc)
{
	teardown_iommufd(self->fd, _metadata);
}

TEST_F(pasid_alloc, flags)
{
	int expected = variant->dev_flags ? 0 : EOPNOTSUPP;
	__u32 flag = IOMMU_HWPT_ALLOC_PASID, id;
	struct iommu_hwpt_pasid_table table = {
		.format = IOMMU_PASID_TABLE_SMMUV3,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
	};

	ASSERT_EQ(expected, paging_alloc(self->fd, self->dev_id, self->ioas_id,
					 flag, &id));
	ASSERT_EQ(expected, paging_alloc(self->fd, self->dev_id, self->ioas_id,
					 flag | IOMMU_HWPT_ALLOC_NEST_PARENT,
					 &id));
	ASSERT_EQ(expected, paging_alloc(self->fd, self->dev_id, self->ioas_id,
					 flag | IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
					 &id));
	ASSERT_EQ(expected, nested_alloc(self->fd, self->dev_id,
					 self->parent_id, flag, 0, &id));
	/* The next one is still to be taken */
	ASSERT_EQ(EOPNOTSUPP, paging_alloc(self->fd, self->dev_id,
					   self->ioas_id, flag << 1, &id));
	ASSERT_EQ(EOPNOTSUPP, nested_alloc(self->fd, self->dev_id,
					   self->parent_id, flag << 1, 0, &id));
	/* A guest's table has all PASIDs, and is no HWPT for one of them */
	ASSERT_EQ(EOPNOTSUPP,
		  _test_cmd_hwpt_alloc(self->fd, self->dev_id, self->parent_id,
				       0, flag, &id,
				       IOMMU_HWPT_DATA_PASID_TABLE, &table,
				       sizeof(table)) ? errno : 0);
}

TEST_F(pasid_alloc, width)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = self->dev_id,
	};

	ASSERT_EQ(0, call(self->fd, IOMMU_GET_HW_INFO, &cmd));
	ASSERT_EQ(variant->dev_flags ? MOCK_PASID_WIDTH : 0,
		  cmd.out_max_pasid_log2);
	/* Not on PCI */
	ASSERT_EQ(0, cmd.out_capabilities & (IOMMU_HW_CAP_PCI_PASID_EXEC |
					     IOMMU_HW_CAP_PCI_PASID_PRIV));
}

/* The HWPT may have been made for a device that has PASIDs; this one decides */
TEST_F(pasid_alloc, attach)
{
	__u32 stdev_id, dev_id, hwpt_id;

	ASSERT_EQ(0, device_add(self->fd, self->ioas_id, &stdev_id, &dev_id));
	ASSERT_EQ(0, paging_alloc(self->fd, dev_id, self->ioas_id,
				  IOMMU_HWPT_ALLOC_PASID, &hwpt_id));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id, hwpt_id));
	ASSERT_EQ(variant->dev_flags ? 0 : EOPNOTSUPP,
		  pasid_attach(self->fd, self->stdev_id, PASID, hwpt_id));
	ASSERT_TRUE(pasid_uses(self->fd, self->stdev_id, PASID,
			       variant->dev_flags ? hwpt_id : NO_HWPT));
	ASSERT_EQ(0, pasid_detach(self->fd, self->stdev_id, PASID));
}

TEST_HARNESS_MAIN
