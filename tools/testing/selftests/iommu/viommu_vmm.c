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

/* The steps, each of which returns 0 or the line where it went wrong */

static int step_open(struct vmm *vmm)
{
	struct {
		__u32 size, reserved;
	} change = { .size = sizeof(change) };
	struct vm *vm = &vmm->vm;

	vm->iommufd = iommufd_open();
	if (vm->iommufd < 0)
		return __LINE__;
	if (call(vm->iommufd, CMD_IOAS_CHANGE_PROCESS, &change) >= 0)
		return __LINE__;
	if (vm_memory(vm))
		return __LINE__;
	if (ioas_alloc(vm->iommufd, &vm->ioas))
		return __LINE__;
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

	if (edu_open(&vdev->edu, nth))
		return __LINE__;
	if (call(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd))
		return __LINE__;
	dev->id = cmd.bind.out_devid;
	if (vfio_enable(dev))
		return __LINE__;
	if (vfio_map_bar0(dev))
		return __LINE__;
	return 0;
}

static int attach(struct vdev *vdev, __u32 hwpt)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = 16,
		.pt_id = hwpt,
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
	if (hw_info(vmm->vm.iommufd, vdev->edu.dev.id, info, &len) !=
	    IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return __LINE__;
	if (len != sizeof(info))
		return __LINE__;
	if (!((struct iommu_hw_info_arm_smmuv3 *)info)->idr[0])
		return __LINE__;
	if (hwpt_alloc(vmm->vm.iommufd, vdev->edu.dev.id, vmm->vm.ioas,
		       IOMMU_HWPT_ALLOC_NEST_PARENT, &vmm->vm.parent))
		return __LINE__;
	if (attach(vdev, vmm->vm.parent))
		return __LINE__;
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

	if (call(vm->iommufd, IOMMU_IOAS_IOVA_RANGES, &cmd) != -EMSGSIZE)
		return __LINE__;
	if (!cmd.num_iovas || cmd.num_iovas > 128)
		return __LINE__;
	cmd.allowed_iovas = (uintptr_t)ranges;
	if (call(vm->iommufd, IOMMU_IOAS_IOVA_RANGES, &cmd))
		return __LINE__;
	if (vm_map(vm))
		return __LINE__;
	/* A BAR is no memory, and the VMM goes on */
	if (ioas_map(vm->iommufd, vm->ioas, vmm->vdevs[0].edu.dev.bar,
		     VM_GPA + VM_SIZE, 4096) != -EFAULT)
		return __LINE__;
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

	if (call(vmm->vm.iommufd, IOMMU_GET_HW_INFO, &cmd) != -EOPNOTSUPP)
		return __LINE__;
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

	if (viommu_alloc(vmm->vm.iommufd, vdev->edu.dev.id, vmm->vm.parent,
			 &vmm->viommu))
		return __LINE__;
	if (vste(vmm, vdev, 1, 0, &vmm->abort))
		return __LINE__;
	if (vste(vmm, vdev, 9, 0, &vmm->bypass))
		return __LINE__;
	if (attach(vdev, vmm->bypass))
		return __LINE__;
	if (attach(vdev, vmm->bypass))
		return __LINE__;
	return 0;
}

static int step_interrupts(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	if (bell_window(&vmm->vm, &vdev->edu.dev, &vmm->window))
		return __LINE__;
	if (msi_init(&vdev->msi, &vdev->edu, NULL))
		return __LINE__;
	if (msi_on(&vdev->msi))
		return __LINE__;
	if (!msi_arrives(&vdev->msi))
		return __LINE__;
	return 0;
}

static int command(struct vmm *vmm, struct smmu_cmd cmd)
{
	__u32 num = 1;

	return viommu_commands(vmm->vm.iommufd, vmm->viommu, &cmd, &num);
}

static int step_first_command(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];

	if (command(vmm, cmd_make(CMD_TLBI_NSNH_ALL, 0)))
		return __LINE__;
	if (probe_edu(&vdev->probe, &vmm->vm, &vdev->edu))
		return __LINE__;
	if (probe_dma(&vdev->probe, vdev->probe.a) != AT_A)
		return __LINE__;
	return 0;
}

static int step_names(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int fd = vmm->vm.iommufd;
	struct event event;

	if (vdevice_alloc(fd, vmm->viommu, vdev->edu.dev.id, 0x10,
			  &vdev->vdevice))
		return __LINE__;
	if (veventq_alloc(fd, vmm->viommu, QUEUE_DEPTH, &vmm->queue,
			  &vmm->events))
		return __LINE__;
	if (fcntl(vmm->events, F_SETFL, O_NONBLOCK))
		return __LINE__;
	if (read(vmm->events, &event, sizeof(event)))
		return __LINE__;
	if (event_pending(vmm->events, 0))
		return __LINE__;
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
	if (translate &&
	    vste(vmm, vdev, le64toh(ste.ste[0]), le64toh(ste.ste[1]),
		 &vdev->table))
		return __LINE__;
	if (attach(vdev, translate ? vdev->table : vmm->bypass))
		return __LINE__;
	if (old && iommufd_destroy(vmm->vm.iommufd, old))
		return __LINE__;
	if (command(vmm, cmd_make(CMD_TLBI_NSNH_ALL, 0)))
		return __LINE__;
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
	if (probe_dma(&vdev->probe, GIOVA) != AT_A)
		return __LINE__;
	if (!msi_arrives(&vdev->msi))
		return __LINE__;
	return 0;
}

static int step_guest_runs(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	struct event event;

	probe_map(&vdev->probe, &vmm->s1, GIOVA, AT_B);
	if (command(vmm, cmd_make(CMD_TLBI_NH_VA |
				  (__u64)TAG << CMD0_ASID_SHIFT,
				  GIOVA | CMD1_LEAF)))
		return __LINE__;
	if (probe_dma(&vdev->probe, GIOVA) != AT_B)
		return __LINE__;
	if (command(vmm, cmd_make(CMD_CFGI_CD_ALL | 0x10ULL << 32, 0)))
		return __LINE__;

	if (probe_dma(&vdev->probe, GIOVA + 4096) != NOWHERE)
		return __LINE__;
	if (!event_next(vmm->events, &event, EVENT_LATE_MS))
		return __LINE__;
	if (event_sid(&event) != 0x10)
		return __LINE__;
	if (event_word(&event, 2) != GIOVA + 4096)
		return __LINE__;
	if (!msi_arrives(&vdev->msi))
		return __LINE__;
	return 0;
}

/* A second device behind the same SMMU of the guest */
static int step_hot_plug(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[1];
	int rc = bind(vmm, vdev, 1);

	if (rc)
		return __LINE__;
	if (attach(vdev, vmm->vm.parent))
		return __LINE__;
	if (attach(vdev, vmm->bypass))
		return __LINE__;
	if (probe_edu(&vdev->probe, &vmm->vm, &vdev->edu))
		return __LINE__;
	if (vdevice_alloc(vmm->vm.iommufd, vmm->viommu, vdev->edu.dev.id,
			  0x11, &vdev->vdevice))
		return __LINE__;
	rc = change_ste(vmm, vdev, true);
	if (rc)
		return __LINE__;
	probe_map(&vdev->probe, &vmm->s1, GIOVA + PLACE_SIZE, AT_A);
	if (probe_dma(&vdev->probe, GIOVA + PLACE_SIZE) != AT_A)
		return __LINE__;
	return 0;
}

static int step_unplug(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[1];
	int fd = vmm->vm.iommufd;

	if (attach(vdev, vmm->vm.parent))
		return __LINE__;
	if (iommufd_destroy(fd, vdev->table))
		return __LINE__;
	vdev->table = 0;
	if (iommufd_destroy(fd, vdev->vdevice))
		return __LINE__;
	if (vfio_detach(&vdev->edu.dev))
		return __LINE__;
	vfio_close(&vdev->edu.dev);
	if (probe_dma(&vmm->vdevs[0].probe, GIOVA) != AT_B)
		return __LINE__;
	return 0;
}

/* The guest begins again: bypass until it has a new table */
static int step_reboot(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int rc = change_ste(vmm, vdev, false);

	if (rc)
		return __LINE__;
	if (msi_off(&vdev->msi))
		return __LINE__;
	if (probe_dma(&vdev->probe, vdev->probe.b) != AT_B)
		return __LINE__;
	if (msi_on(&vdev->msi))
		return __LINE__;
	rc = change_ste(vmm, vdev, true);
	if (rc)
		return __LINE__;
	if (probe_dma(&vdev->probe, GIOVA) != AT_B)
		return __LINE__;
	if (!msi_arrives(&vdev->msi))
		return __LINE__;
	return 0;
}

static int step_end(struct vmm *vmm)
{
	struct vdev *vdev = &vmm->vdevs[0];
	int fd = vmm->vm.iommufd;

	if (msi_off(&vdev->msi))
		return __LINE__;
	if (attach(vdev, vmm->vm.parent))
		return __LINE__;
	if (iommufd_destroy(fd, vdev->table))
		return __LINE__;
	if (iommufd_destroy(fd, vdev->vdevice))
		return __LINE__;
	if (close(vmm->events))
		return __LINE__;
	vmm->events = -1;
	if (iommufd_destroy(fd, vmm->queue))
		return __LINE__;
	if (iommufd_destroy(fd, vmm->bypass))
		return __LINE__;
	if (iommufd_destroy(fd, vmm->abort))
		return __LINE__;
	if (iommufd_destroy(fd, vmm->viommu))
		return __LINE__;
	if (vfio_detach(&vdev->edu.dev))
		return __LINE__;
	if (iommufd_destroy(fd, vmm->vm.parent))
		return __LINE__;
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
