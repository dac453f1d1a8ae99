// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs that are attached to HWPTs of their own, beside requests without a PASID
 * that come, change and go as they like. No order of them leaves a translation
 * usable that was unmapped, in the IOMMU or in a TLB of the device.
 */
#include "nested_vtd_s1.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PASID		5
#define SECOND		6
/* As many PASIDs of a device are attached at a time */
#define MOST		512

#define TRACE_QUEUE	TRACING "events/intel_iommu/qi_submit/enable"

FIXTURE(hwpt_pasids)
{
	struct edu edu;
	struct edu peer;	/* fd -1 unless a test opens it */
	struct vm vm;
	struct probe probe;
	__u32 paging;		/* all of the IOAS, for PASIDs and others */
	__u32 s1;		/* GIOVA leads to A */
	struct s1_table table;
};

static int hwpt_alloc_s1_pasid(int fd, __u32 dev, __u32 parent,
			       const struct s1_table *t, __u32 *id)
{
	struct iommu_hwpt_vtd_s1 config = vtd_s1_config(t);
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_ALLOC_PASID,
		.dev_id = dev,
		.pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(config),
		.data_uptr = (uintptr_t)&config,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

/* Nothing is attached, each place is mapped by itself, the edu has its pattern */
FIXTURE_SETUP(hwpt_pasids)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;

	self->peer.dev.fd = -1;
	ASSERT_EQ(0, edu_open(edu, 0));
	ASSERT_EQ(0, vm_init(vm, &edu->dev));
	/* The one of vm_init() is not for PASIDs */
	ASSERT_EQ(0, iommufd_destroy(vm->iommufd, vm->parent));
	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, edu->dev.id, vm->ioas,
				IOMMU_HWPT_ALLOC_PASID |
				IOMMU_HWPT_ALLOC_NEST_PARENT, &vm->parent));
	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, edu->dev.id, vm->ioas,
				IOMMU_HWPT_ALLOC_PASID, &self->paging));
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->paging));
	ASSERT_EQ(0, probe_edu(&self->probe, vm, edu));
	ASSERT_EQ(0, probe_map_apart(&self->probe));
	s1_init(&self->table, vm, 12, 0);
	probe_map(&self->probe, &self->table, GIOVA, AT_A);
	ASSERT_EQ(0, hwpt_alloc_s1_pasid(vm->iommufd, edu->dev.id, vm->parent,
					 &self->table, &self->s1));
	ASSERT_EQ(0, vfio_detach(&edu->dev));
}

FIXTURE_TEARDOWN(hwpt_pasids)
{
	if (self->edu.dev.bar_size)
		edu_no_pasid(&self->edu);
	vfio_close(&self->edu.dev);
	vfio_close(&self->peer.dev);
	vm_exit(&self->vm);
}

static enum place dma(struct probe *probe, __u32 pasid, __u64 iova)
{
	enum place place;

	if (pasid)
		edu_pasid(probe->edu, pasid);
	place = probe_dma(probe, iova);
	edu_no_pasid(probe->edu);
	return place;
}

/* The PASID is there before the RID is attached, and is used afterwards */
TEST_F(hwpt_pasids, pasid_first)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;

	ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->paging));
	EXPECT_EQ(NOWHERE, dma(probe, 0, probe->a));
	ASSERT_EQ(0, vfio_attach(dev, self->paging));
	EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
	EXPECT_EQ(AT_A, dma(probe, 0, probe->a));
	ASSERT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, dma(probe, PASID, probe->a));
	EXPECT_EQ(NOWHERE, dma(probe, 0, probe->a));
	ASSERT_EQ(0, probe_map_a(probe));
	EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
}

/* The RID is never attached, and what was not mapped is mapped */
TEST_F(hwpt_pasids, pasid_alone)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	const __u32 hwpts[] = { self->paging, self->s1, self->vm.parent };
	unsigned int i;
	__u64 iova;

	for (i = 0; i < ARRAY_SIZE(hwpts); i++) {
		iova = hwpts[i] == self->s1 ? GIOVA : probe->a;
		ASSERT_EQ(0, probe_unmap_a(probe));
		ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, hwpts[i]));
		EXPECT_EQ(NOWHERE, dma(probe, PASID, iova));
		ASSERT_EQ(0, probe_map_a(probe));
		EXPECT_EQ(AT_A, dma(probe, PASID, iova)) {
			TH_LOG("HWPT %u", i);
		}
		ASSERT_EQ(0, vfio_detach_pasid(dev, PASID));
	}
}

/* As the first one, where the PASID has a first stage of the guest's */
TEST_F(hwpt_pasids, pasid_first_nested)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	int fd = self->vm.iommufd;

	ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->s1));
	ASSERT_EQ(0, vfio_attach(dev, self->paging));
	EXPECT_EQ(AT_A, dma(probe, PASID, GIOVA));
	probe_map(probe, &self->table, GIOVA, AT_B);
	EXPECT_EQ(0, hwpt_invalidate_s1_one(fd, self->s1, GIOVA, 1, 0));
	EXPECT_EQ(AT_B, dma(probe, PASID, GIOVA));
	probe_map(probe, &self->table, GIOVA, AT_A);
	EXPECT_EQ(0, hwpt_invalidate_s1_one(fd, self->s1, 0, UINT64_MAX, 0));
	EXPECT_EQ(AT_A, dma(probe, PASID, GIOVA));
	ASSERT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, dma(probe, PASID, GIOVA));
}

/* The RID comes, changes and goes; the PASID does not notice */
TEST_F(hwpt_pasids, rid_changes)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	const __u32 rids[] = { self->paging, self->s1, self->vm.parent, 0 };
	unsigned int i;
	__u32 rid;

	ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->paging));
	ASSERT_EQ(0, vfio_attach_pasid(dev, SECOND, self->s1));
	for (i = 0; i < 2 * ARRAY_SIZE(rids); i++) {
		EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
		EXPECT_EQ(AT_A, dma(probe, SECOND, GIOVA));
		rid = rids[i % ARRAY_SIZE(rids)];
		ASSERT_EQ(0, rid ? vfio_attach(dev, rid) : vfio_detach(dev));
		EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
		EXPECT_EQ(AT_A, dma(probe, SECOND, GIOVA));
		ASSERT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, dma(probe, PASID, probe->a)) {
			TH_LOG("step %u", i);
		}
		EXPECT_EQ(NOWHERE, dma(probe, SECOND, GIOVA)) {
			TH_LOG("step %u", i);
		}
		ASSERT_EQ(0, probe_map_a(probe));
	}
}

/* A PASID is detached, or gets another HWPT: the others keep theirs */
TEST_F(hwpt_pasids, pasid_changes)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	int i;

	ASSERT_EQ(0, vfio_attach(dev, self->paging));
	ASSERT_EQ(0, vfio_attach_pasid(dev, SECOND, self->paging));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->paging));
		EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
		EXPECT_EQ(NOWHERE, dma(probe, PASID, GIOVA));
		ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->s1));
		EXPECT_EQ(NOWHERE, dma(probe, PASID, probe->a));
		EXPECT_EQ(AT_A, dma(probe, PASID, GIOVA));
		ASSERT_EQ(0, vfio_detach_pasid(dev, PASID));
		EXPECT_EQ(NOWHERE, dma(probe, PASID, GIOVA));
		EXPECT_EQ(AT_A, dma(probe, SECOND, probe->a));
		EXPECT_EQ(AT_A, dma(probe, 0, probe->a));
		ASSERT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, dma(probe, SECOND, probe->a));
		EXPECT_EQ(NOWHERE, dma(probe, 0, probe->a));
		ASSERT_EQ(0, probe_map_a(probe));
	}
}

static int peer_init(struct edu *peer, struct vm *vm)
{
	int rc = edu_open(peer, 1);

	return rc ?: vfio_bind(&peer->dev, vm->iommufd);
}

/*
 * A device is closed with its PASIDs attached and leaves the machine. What it
 * shared a HWPT with goes on, and nobody looks for the one that is gone.
 */
TEST_F(hwpt_pasids, close_and_remove)
{
	struct probe *probe = &self->probe, other;
	struct vfio_dev *dev = &self->edu.dev;
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, peer_init(&self->peer, vm));
	ASSERT_EQ(0, vfio_attach(&self->peer.dev, self->paging));
	ASSERT_EQ(0, probe_edu(&other, vm, &self->peer));
	other.a = probe->a;
	other.b = probe->b;

	ASSERT_EQ(0, vfio_attach(dev, self->paging));
	ASSERT_EQ(0, vfio_attach_pasid(dev, PASID, self->paging));
	ASSERT_EQ(0, vfio_attach_pasid(dev, SECOND, self->s1));
	EXPECT_EQ(AT_A, dma(probe, PASID, probe->a));
	EXPECT_EQ(AT_A, dma(probe, SECOND, GIOVA));
	EXPECT_EQ(AT_A, dma(&other, 0, probe->a));
	vfio_close(dev);

	ASSERT_EQ(0, pci_write(dev->name, "remove", "1"));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, dma(&other, 0, probe->a));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_EQ(AT_A, dma(&other, 0, probe->a));
	EXPECT_EQ(0, hwpt_invalidate_s1_one(vm->iommufd, self->s1, 0,
					    UINT64_MAX, 0));

	ASSERT_EQ(0, pci_give_back(dev));
}

/*
 * IDs of the IOMMU that tag translations are shared by all users: one device
 * cannot take them all
 */
TEST_F_TIMEOUT(hwpt_pasids, most, 240)
{
	struct vfio_dev *dev = &self->edu.dev;
	struct probe other_probe;
	__u32 pasid, hwpt, ioas;
	struct vm other;
	int rc = 0;

	ASSERT_EQ(0, ioas_alloc(self->vm.iommufd, &ioas));
	for (pasid = 1; pasid < 2 * MOST; pasid++) {
		ASSERT_EQ(0, hwpt_alloc(self->vm.iommufd, dev->id, ioas,
					IOMMU_HWPT_ALLOC_PASID, &hwpt));
		rc = vfio_attach_pasid(dev, pasid, hwpt);
		if (rc)
			break;
	}
	EXPECT_EQ(-ENOSPC, rc);
	EXPECT_EQ(MOST + 1, pasid);
	/* The device's other requests, and changes of what there is */
	EXPECT_EQ(0, vfio_attach(dev, self->paging));
	EXPECT_EQ(AT_A, dma(&self->probe, 0, self->probe.a));
	EXPECT_EQ(0, vfio_attach_pasid(dev, MOST, hwpt));
	EXPECT_EQ(-ENOSPC, vfio_attach_pasid(dev, pasid, hwpt));
	EXPECT_EQ(0, vfio_detach_pasid(dev, 1));
	EXPECT_EQ(0, vfio_attach_pasid(dev, pasid, self->paging));
	EXPECT_EQ(AT_A, dma(&self->probe, pasid, self->probe.a));

	/* Somebody else */
	ASSERT_EQ(0, edu_open(&self->peer, 1));
	ASSERT_EQ(0, vm_init(&other, &self->peer.dev));
	EXPECT_EQ(0, vfio_attach(&self->peer.dev, other.parent));
	EXPECT_EQ(0, probe_edu(&other_probe, &other, &self->peer));
	EXPECT_EQ(AT_B, probe_dma(&other_probe, other_probe.b));
	ASSERT_EQ(0, hwpt_alloc(other.iommufd, self->peer.dev.id, other.ioas,
				IOMMU_HWPT_ALLOC_PASID, &hwpt));
	EXPECT_EQ(0, vfio_attach(&self->peer.dev, hwpt));
	EXPECT_EQ(0, vfio_attach_pasid(&self->peer.dev, PASID, hwpt));
	EXPECT_EQ(AT_B, dma(&other_probe, PASID, other_probe.b));
	vfio_close(&self->peer.dev);
	vm_exit(&other);
}

/* The number of descriptors that the IOMMU's queue got since faults_start() */
static unsigned int descriptors(void)
{
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned int count = 0;
	char line[256];

	while (trace && fgets(line, sizeof(line), trace))
		count += !!strstr(line, "qi_submit:");
	if (trace)
		fclose(trace);
	return count;
}

/*
 * As many PASIDs as there can be share one HWPT: what is unmapped is gone for each
 * of them, and takes as many descriptors as there are PASIDs and kinds of caches
 */
TEST_F_TIMEOUT(hwpt_pasids, one_hwpt, 240)
{
	struct vfio_dev *dev = &self->edu.dev;
	struct probe *probe = &self->probe;
	unsigned int count;
	__u32 pasid;

	for (pasid = 1; pasid <= MOST; pasid++)
		ASSERT_EQ(0, vfio_attach_pasid(dev, pasid, self->paging));
	EXPECT_EQ(-ENOSPC, vfio_attach_pasid(dev, pasid, self->paging));
	for (pasid = 1; pasid <= MOST; pasid++)
		ASSERT_EQ(AT_A, dma(probe, pasid, probe->a));

	ASSERT_EQ(0, faults_start());
	ASSERT_EQ(0, file_write(TRACE_QUEUE, "1", 0));
	EXPECT_EQ(0, probe_unmap_a(probe));
	ASSERT_EQ(0, file_write(TRACE_QUEUE, "0", 0));
	count = descriptors();
	TH_LOG("%u descriptors", count);
	/* An IOTLB and a device TLB, and a wait for each 16 or so */
	EXPECT_LE(MOST, count);
	EXPECT_GE(3 * MOST, count);
	for (pasid = 1; pasid <= MOST; pasid++)
		ASSERT_EQ(NOWHERE, dma(probe, pasid, probe->a)) {
			TH_LOG("PASID %u", pasid);
		}
	ASSERT_EQ(0, probe_map_a(probe));
	EXPECT_EQ(AT_A, dma(probe, MOST, probe->a));
	EXPECT_EQ(AT_A, dma(probe, 1, probe->a));
}

TEST_HARNESS_MAIN
