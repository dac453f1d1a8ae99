// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of a VMM that was written for mainline, in its order, over the life
 * of a virtual machine; and its sudden death after each of them.
 */
#define NESTED_VIOMMU
#include <signal.h>
#include <sys/wait.h>

#include "nested_event.h"
#include "nested_msi.h"

#include "../kselftest_harness.h"

/* A call that mainline has and this kernel does not */
#define CMD_IOAS_CHANGE_PROCESS	_IO(IOMMUFD_TYPE, 0x92)
#define QUEUE_DEPTH		131072

/* One device as the VMM sees it */
struct vdev {
	struct edu edu;
	struct probe probe;
	struct msi msi;
	__u32 vdevice;
	__u32 table;	/* what the guest's STE stands for, or 0 */
};

struct vmm {
	struct vm vm;
	struct vdev vdevs[2];
	__u32 viommu, bypass, abort, queue;
	int events;
	struct s1_table s1;
	struct pasid_table pasids;
	struct doorbell window;
};

/* The steps, each of which returns 0 or says where it went wrong */

#define CHECK(_condition)		\
	do {				\
		if (!(_condition))	\
			return __LINE__;	\
	} while (0)

static int step_open(struct vmm *vmm)
{
	struct {
		__u32 size, reserved;
	} change = { .size = sizeof(change) };
	struct vm *vm = &vmm->vm;

	vm->iommufd = iommufd_open();
	CHECK(vm->iommufd >= 0);
	CHECK(call(vm->iommufd, CMD_IOAS_CHANGE_PROCESS, &change) < 0);
	CHECK(!vm_memory(vm));
	CHECK(!ioas_alloc(vm->iommufd, &vm->ioas));
	return 0;
}

/* With the structure of a newer VMM, whose last field says nothing */
static int bind(struct vmm *vmm, struct vdev *vdev, unsigned int nth)
{
	struct {
		struct vfio_device_bind_iommufd bind;
		__u64 newer;
	} cmd = {
		.bind.argsz = 24,
		.bind.iommufd = vmm->vm.iommufd,
	};
	struct vfio_dev *dev = &vdev->edu.dev;

	CHECK(!edu_open(&vdev->edu, nth));
	CHECK(!call(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	dev->id = cmd.bind.out_devid;
	CHECK(!vfio_enable(dev));
	CHECK(!vfio_map_bar0(dev));
	return 0;
}

static int attach(struct vdev *vdev, __u32 hwpt)
{
	struct {
		struct vfio_device_attach_iommufd_pt attach;
		__u32 newer;
	} cmd = {
		.attach.argsz = 16,
		.attach.pt_id = hwpt,
	};

	return call(vdev->edu.dev.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static int step_device(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	__u8 info[40];
	__u32 len = sizeof(info);
	int rc = bind(vmm, vdev, 0);

	if (rc)
		return rc;
	CHECK(hw_info(vmm->vm.iommufd, vdev->edu.dev.id, info, &len) ==
	      IOMMU_HW_INFO_TYPE_ARM_SMMUV3);
	CHECK(len == sizeof(info));
	CHECK(((struct iommu_hw_info_arm_smmuv3 *)info)->idr[0]);
	CHECK(!hwpt_alloc(vmm->vm.iommufd, vdev->edu.dev.id, vmm->vm.ioas,
			  IOMMU_HWPT_ALLOC_NEST_PARENT, &vmm->vm.parent));
	CHECK(!attach(vdev, vmm->vm.parent));
	return 0;
}

static int step_memory(struct vmm *vmm)
{
	struct iommu_iova_range ranges[128];
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = vmm->vm.ioas,
	};
	struct vm *vm = &vmm->vm;

	CHECK(call(vm->iommufd, IOMMU_IOAS_IOVA_RANGES, &cmd) == -EMSGSIZE);
	CHECK(cmd.num_iovas && cmd.num_iovas <= 128);
	cmd.allowed_iovas = (uintptr_t)ranges;
	CHECK(!call(vm->iommufd, IOMMU_IOAS_IOVA_RANGES, &cmd));
	CHECK(!vm_map(vm));
	/* A BAR is no memory, and the VMM goes on */
	CHECK(ioas_map(vm->iommufd, vm->ioas, vmm->vdevs[0].edu.dev.bar,
		       VM_GPA + VM_SIZE, 4096) == -EFAULT);
	return 0;
}

static int step_other_info(struct vmm *vmm)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
		.dev_id = vmm->vdevs[0].edu.dev.id,
		.in_data_type = 3,
	};

	CHECK(call(vmm->vm.iommufd, IOMMU_GET_HW_INFO, &cmd) == -EOPNOTSUPP);
	return 0;
}

static int vste(struct vmm *vmm, struct vdev *vdev, __u64 ste0, __u64 ste1,
		__u32 *hwpt)
{
	struct iommu_hwpt_arm_smmuv3 ste = {
		.ste = { htole64(ste0), htole64(ste1) },
	};

	return hwpt_alloc_vste(vmm->vm.iommufd, vdev->edu.dev.id, vmm->viommu,
			       &ste, hwpt);
}

static int step_viommu(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	CHECK(!viommu_alloc(vmm->vm.iommufd, vdev->edu.dev.id, vmm->vm.parent,
			    &vmm->viommu));
	CHECK(!vste(vmm, vdev, 1, 0, &vmm->abort));
	CHECK(!vste(vmm, vdev, 9, 0, &vmm->bypass));
	CHECK(!attach(vdev, vmm->bypass));
	CHECK(!attach(vdev, vmm->bypass));
	return 0;
}

static int step_interrupts(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	CHECK(!bell_window(&vmm->vm, &vdev->edu.dev, &vmm->window));
	CHECK(!msi_init(&vdev->msi, &vdev->edu, NULL));
	CHECK(!msi_on(&vdev->msi));
	CHECK(msi_arrives(&vdev->msi));
	return 0;
}

static int command(struct vmm *vmm, smmu_cmd cmd)
{
	__u32 num = 1;

	return viommu_commands(vmm->vm.iommufd, vmm->viommu, &cmd, &num);
}

static int step_first_command(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	CHECK(!command(vmm, cmd_make(CMD_TLBI_NSNH_ALL, 0)));
	CHECK(!probe_edu(&vdev->probe, &vmm->vm, &vdev->edu));
	CHECK(probe_dma(&vdev->probe, vdev->probe.a) == AT_A);
	return 0;
}

static int step_names(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int fd = vmm->vm.iommufd;
	struct event event;

	CHECK(!vdevice_alloc(fd, vmm->viommu, vdev->edu.dev.id, 0x10,
			     &vdev->vdevice));
	CHECK(!veventq_alloc(fd, vmm->viommu, QUEUE_DEPTH, &vmm->queue,
			     &vmm->events));
	CHECK(!fcntl(vmm->events, F_SETFL, O_NONBLOCK));
	CHECK(!read(vmm->events, &event, sizeof(event)));
	CHECK(!event_pending(vmm->events, 0));
	return 0;
}

/* The guest's driver: its table, and what it writes into its STE */
static int step_guest_boots(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	s1_init(&vmm->s1, &vmm->vm, 12, TAG);
	pasid_table_init(&vmm->pasids, &vmm->vm);
	pasid_table_set(&vmm->pasids, &vmm->s1);
	probe_map(&vdev->probe, &vmm->s1, GIOVA, AT_A);
	bell_map(&vmm->s1, &vmm->window);
	return 0;
}

static int change_ste(struct vmm *vmm, struct vdev *vdev, bool translate)
{
	struct iommu_hwpt_pasid_table config = pasid_table_config(&vmm->pasids);
	struct iommu_hwpt_arm_smmuv3 ste = vste_make(&config);
	__u32 old = vdev->table;

	vdev->table = 0;
	if (translate)
		CHECK(!vste(vmm, vdev, ste.ste[0], ste.ste[1], &vdev->table));
	CHECK(!attach(vdev, translate ? vdev->table : vmm->bypass));
	if (old)
		CHECK(!iommufd_destroy(vmm->vm.iommufd, old));
	CHECK(!command(vmm, cmd_make(CMD_TLBI_NSNH_ALL, 0)));
	return 0;
}

static int step_translate(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int rc, i;

	for (i = 0; i < 3; i++) {
		rc = change_ste(vmm, vdev, true);
		rc = rc ?: change_ste(vmm, vdev, false);
		rc = rc ?: change_ste(vmm, vdev, true);
		if (rc)
			return rc;
	}
	CHECK(probe_dma(&vdev->probe, GIOVA) == AT_A);
	CHECK(msi_arrives(&vdev->msi));
	return 0;
}

static int step_guest_runs(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	struct event event;

	probe_map(&vdev->probe, &vmm->s1, GIOVA, AT_B);
	CHECK(!command(vmm, cmd_make(CMD_TLBI_NH_VA |
				     (__u64)TAG << CMD0_ASID_SHIFT,
				     GIOVA | CMD1_LEAF)));
	CHECK(probe_dma(&vdev->probe, GIOVA) == AT_B);
	CHECK(!command(vmm, cmd_make(CMD_CFGI_CD_ALL | 0x10ULL << 32, 0)));

	CHECK(probe_dma(&vdev->probe, GIOVA + 4096) == NOWHERE);
	CHECK(event_next(vmm->events, &event, EVENT_LATE_MS));
	CHECK(event_sid(&event) == 0x10);
	CHECK(event_word(&event, 2) == GIOVA + 4096);
	CHECK(msi_arrives(&vdev->msi));
	return 0;
}

/* A second device behind the same SMMU of the guest */
static int step_hot_plug(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[1];
	int rc = bind(vmm, vdev, 1);

	CHECK(!rc);
	CHECK(!attach(vdev, vmm->vm.parent));
	CHECK(!attach(vdev, vmm->bypass));
	CHECK(!probe_edu(&vdev->probe, &vmm->vm, &vdev->edu));
	CHECK(!vdevice_alloc(vmm->vm.iommufd, vmm->viommu, vdev->edu.dev.id,
			     0x11, &vdev->vdevice));
	rc = change_ste(vmm, vdev, true);
	CHECK(!rc);
	probe_map(&vdev->probe, &vmm->s1, GIOVA + PLACE_SIZE, AT_A);
	CHECK(probe_dma(&vdev->probe, GIOVA + PLACE_SIZE) == AT_A);
	return 0;
}

static int step_unplug(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[1];
	int fd = vmm->vm.iommufd;

	CHECK(!attach(vdev, vmm->vm.parent));
	CHECK(!iommufd_destroy(fd, vdev->table));
	vdev->table = 0;
	CHECK(!iommufd_destroy(fd, vdev->vdevice));
	CHECK(!vfio_detach(&vdev->edu.dev));
	vfio_close(&vdev->edu.dev);
	CHECK(probe_dma(&vmm->vdevs[0].probe, GIOVA) == AT_B);
	return 0;
}

/* The guest begins again: bypass until it has a new table */
static int step_reboot(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int rc = change_ste(vmm, vdev, false);

	CHECK(!rc);
	CHECK(!msi_off(&vdev->msi));
	CHECK(probe_dma(&vdev->probe, vdev->probe.b) == AT_B);
	CHECK(!msi_on(&vdev->msi));
	rc = change_ste(vmm, vdev, true);
	CHECK(!rc);
	CHECK(probe_dma(&vdev->probe, GIOVA) == AT_B);
	CHECK(msi_arrives(&vdev->msi));
	return 0;
}

static int step_end(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int fd = vmm->vm.iommufd;

	CHECK(!msi_off(&vdev->msi));
	CHECK(!attach(vdev, vmm->vm.parent));
	CHECK(!iommufd_destroy(fd, vdev->table));
	CHECK(!iommufd_destroy(fd, vdev->vdevice));
	CHECK(!close(vmm->events));
	vmm->events = -1;
	CHECK(!iommufd_destroy(fd, vmm->queue));
	CHECK(!iommufd_destroy(fd, vmm->bypass));
	CHECK(!iommufd_destroy(fd, vmm->abort));
	CHECK(!iommufd_destroy(fd, vmm->viommu));
	CHECK(!vfio_detach(&vdev->edu.dev));
	CHECK(!iommufd_destroy(fd, vmm->vm.parent));
	return 0;
}

static int (*const steps[])(struct vmm *vmm) = {
	step_open, step_device, step_memory, step_other_info, step_viommu,
	step_interrupts, step_first_command, step_names, step_guest_boots,
	step_translate, step_guest_runs, step_hot_plug, step_unplug,
	step_hot_plug, step_unplug, step_reboot, step_hot_plug, step_unplug,
	step_end,
};

static void vmm_init(struct vmm *vmm)
{
	memset(vmm, 0, sizeof(*vmm));
	vmm->vm.iommufd = -1;
	vmm->events = -1;
	vmm->vdevs[0].edu.dev.fd = -1;
	vmm->vdevs[1].edu.dev.fd = -1;
}

/* Returns the number of steps that worked; @line is that of the one after */
static unsigned int vmm_run(struct vmm *vmm, unsigned int nr, int *line)
{
	unsigned int i;

	vmm_init(vmm);
	*line = 0;
	for (i = 0; i < nr && !*line; i++)
		*line = steps[i](vmm);
	return i - !!*line;
}

static void vmm_exit(struct vmm *vmm)
{
	if (vmm->events >= 0)
		close(vmm->events);
	msi_exit(&vmm->vdevs[0].msi);
	vfio_close(&vmm->vdevs[0].edu.dev);
	vfio_close(&vmm->vdevs[1].edu.dev);
	vm_exit(&vmm->vm);
}

FIXTURE(vmm)
{
	struct vmm vmm;
};

FIXTURE_SETUP(vmm)
{
	struct env env;
	int rc = env_init(&env, false, 12);

	env_exit(&env);
	vmm_init(&self->vmm);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(vmm)
{
	vmm_exit(&self->vmm);
}

TEST_F_TIMEOUT(vmm, life, 60)
{
	int line;

	EXPECT_EQ(ARRAY_SIZE(steps),
		  vmm_run(&self->vmm, ARRAY_SIZE(steps), &line)) {
		TH_LOG("line %d", line);
	}
}

/* It is killed after each step: the kernel picks up everything */
TEST_F_TIMEOUT(vmm, killed, 300)
{
	unsigned int nr;
	pid_t child;
	int rc, line;

	for (nr = 1; nr <= ARRAY_SIZE(steps); nr++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			vmm_run(&self->vmm, nr, &line);
			if (line)
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(child, waitpid(child, &rc, 0));
		EXPECT_EQ(SIGKILL, rc) {
			TH_LOG("step %u", nr);
		}
	}
	EXPECT_EQ(ARRAY_SIZE(steps),
		  vmm_run(&self->vmm, ARRAY_SIZE(steps), &line)) {
		TH_LOG("line %d", line);
	}
}

/* It just ends, and whatever it has open is closed in the order of numbers */
TEST_F_TIMEOUT(vmm, exits, 60)
{
	unsigned int i;
	pid_t child;
	int rc, line;

	for (i = 0; i < 4; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			/* With one device, and in the middle of the second */
			vmm_run(&self->vmm, i & 1 ? 11 : 12, &line);
			if (!line && i & 2)
				close(self->vmm.vm.iommufd);
			_exit(!!line);
		}
		ASSERT_EQ(child, waitpid(child, &rc, 0));
		EXPECT_EQ(0, rc);
	}
}

TEST_HARNESS_MAIN
