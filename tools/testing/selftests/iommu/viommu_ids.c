// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMIDs and ASIDs of an SMMUv3 are few, and shared by all users: none can take
 * all of them
 */
#define NESTED_VIOMMU
#include <linux/const.h>
#include <signal.h>
#include <sys/wait.h>

#include "nested_env.h"

#include "../kselftest_harness.h"

#define IDR0_ASID16	_BITUL(12)
#define IDR0_VMID16	_BITUL(18)

#define USER		1000
#define CONTEXTS	3
/* How often a test tries what should be refused before */
#define TRIES		100

FIXTURE(ids)
{
	struct env env;
	struct edu peer;
	/* What one device gets */
	unsigned int vmids, asids;
	__u32 empty;
};

FIXTURE_SETUP(ids)
{
	struct iommu_hw_info_arm_smmuv3 info;
	struct env *env = &self->env;
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)&info,
	};
	int rc = env_init(env, false, 12);

	self->peer.dev.fd = -1;
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	cmd.dev_id = env->dev->id;
	ASSERT_EQ(0, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	self->vmids = info.idr[0] & IDR0_VMID16 ? 64 : 32;
	self->asids = info.idr[0] & IDR0_ASID16 ? 1024 : 32;
	ASSERT_EQ(0, ioas_alloc(env->vm.iommufd, &self->empty));
	rc = edu_open(&self->peer, 1);
	if (env_reason(rc))
		SKIP(return, "no second device");
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(ids)
{
	vfio_close(&self->peer.dev);
	env_exit(&self->env);
}

/* Three ways to take an ID */
typedef int (*take_fn)(const struct vm *vm, const struct vfio_dev *dev,
		       __u32 ioas, __u32 *id);

static int parent_alloc(const struct vm *vm, const struct vfio_dev *dev,
			__u32 ioas, __u32 *id)
{
	return hwpt_alloc(vm->iommufd, dev->id, ioas,
			  IOMMU_HWPT_ALLOC_NEST_PARENT, id);
}

static int paging_alloc(const struct vm *vm, const struct vfio_dev *dev,
			__u32 ioas, __u32 *id)
{
	return hwpt_alloc(vm->iommufd, dev->id, ioas, 0, id);
}

/* On the VM's parent */
static int another_viommu(const struct vm *vm, const struct vfio_dev *dev,
			  __u32 ioas, __u32 *id)
{
	return viommu_alloc(vm->iommufd, dev->id, vm->parent, id);
}

/* Returns how many there were, of @max */
static unsigned int take(take_fn alloc, const struct vm *vm,
			 const struct vfio_dev *dev, __u32 ioas,
			 unsigned int max, __u32 *last, int *rc)
{
	unsigned int nr = 0;
	__u32 id;

	while (nr < max) {
		*rc = alloc(vm, dev, ioas, &id);
		if (*rc)
			break;
		*last = id;
		nr++;
	}
	return nr;
}

/* Somebody else's device reaches somebody else's memory, nested as well */
static int other_goes_on(struct edu *edu)
{
	struct s1_table table;
	struct pasid_table pasids;
	struct env other = {};
	int rc;

	other.dev = &edu->dev;
	rc = vm_init(&other.vm, other.dev);
	rc = rc ?: vfio_attach(other.dev, other.vm.parent);
	rc = rc ?: probe_edu(&other.probe, &other.vm, edu);
	if (!rc && probe_dma(&other.probe, other.probe.b) != AT_B)
		rc = -EIO;
	rc = rc ?: env_add_table(&other, &table, &pasids, 12, TAG, &other.hwpt);
	if (!rc)
		probe_map(&other.probe, &table, GIOVA, AT_A);
	rc = rc ?: vfio_attach(other.dev, other.hwpt);
	if (!rc && probe_dma(&other.probe, GIOVA) != AT_A)
		rc = -EIO;
	vfio_close(other.dev);
	vm_exit(&other.vm);
	return rc;
}

/* What there is can be used, and what is given back can be had again */
static int user_goes_on(struct env *env, __u32 last)
{
	__u32 id;
	int rc = vfio_attach(env->dev, env->hwpt);

	if (!rc && probe_dma(&env->probe, GIOVA) != AT_A)
		rc = -EIO;
	rc = rc ?: iommufd_destroy(env->vm.iommufd, last);
	rc = rc ?: parent_alloc(&env->vm, env->dev, env->vm.ioas, &id);
	return rc ?: parent_alloc(&env->vm, env->dev, env->vm.ioas, &id) !=
			     -ENOSPC;
}

TEST_F_TIMEOUT(ids, parents, 240)
{
	struct env *env = &self->env;
	__u32 last = 0;
	int rc = 0;

	/* Beside the parent and the vIOMMU of the VM */
	EXPECT_EQ(self->vmids - 2, take(parent_alloc, &env->vm, env->dev,
					self->empty, TRIES * self->vmids, &last,
					&rc));
	EXPECT_EQ(-ENOSPC, rc);
	EXPECT_EQ(0, user_goes_on(env, last));
	EXPECT_EQ(0, other_goes_on(&self->peer));
}

TEST_F_TIMEOUT(ids, viommus, 240)
{
	struct env *env = &self->env;
	__u32 last = 0;
	int rc = 0;

	EXPECT_EQ(self->vmids - 2, take(another_viommu, &env->vm, env->dev,
					self->empty, TRIES * self->vmids, &last,
					&rc));
	EXPECT_EQ(-ENOSPC, rc);
	EXPECT_EQ(0, user_goes_on(env, last));
	EXPECT_EQ(0, other_goes_on(&self->peer));
}

/* Of paging HWPTs that are no parents */
TEST_F_TIMEOUT(ids, asids, 240)
{
	struct env *env = &self->env;
	__u32 hwpt, last = 0;
	int rc = 0;

	EXPECT_EQ(self->asids, take(paging_alloc, &env->vm, env->dev,
				    self->empty, 10 * self->asids, &last, &rc));
	EXPECT_EQ(-ENOSPC, rc);
	ASSERT_EQ(0, iommufd_destroy(env->vm.iommufd, last));
	EXPECT_EQ(0, paging_alloc(&env->vm, env->dev, env->vm.ioas, &hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	/* VMIDs are others */
	EXPECT_EQ(0, parent_alloc(&env->vm, env->dev, self->empty, &hwpt));
	/* The other attaches an IOAS, too */
	ASSERT_EQ(0, vfio_bind(&self->peer.dev, env->vm.iommufd));
	ASSERT_EQ(0, vfio_attach(&self->peer.dev, env->vm.ioas));
	vfio_close(&self->peer.dev);
	ASSERT_EQ(0, edu_open(&self->peer, 1));
	EXPECT_EQ(0, other_goes_on(&self->peer));
}

/* A user has no more of them with more contexts */
TEST_F_TIMEOUT(ids, contexts, 240)
{
	struct vfio_dev *dev = &self->peer.dev;
	unsigned int i, all = 0;
	struct vm vm[CONTEXTS];
	__u32 ioas, last;
	int rc = 0;

	for (i = 0; i < CONTEXTS; i++) {
		memset(&vm[i], 0, sizeof(vm[i]));
		vm[i].iommufd = iommufd_open();
		ASSERT_LE(0, vm[i].iommufd);
		ASSERT_EQ(0, ioas_alloc(vm[i].iommufd, &ioas));
		ASSERT_EQ(0, vfio_bind(dev, vm[i].iommufd));
		all += take(parent_alloc, &vm[i], dev, ioas,
			    i ? self->vmids : self->vmids / 2, &last, &rc);
		/* The context keeps what it has */
		vfio_close(dev);
		ASSERT_EQ(0, edu_open(&self->peer, 1));
	}
	EXPECT_EQ(-ENOSPC, rc);
	EXPECT_EQ(self->vmids, all);
	for (i = 0; i < CONTEXTS; i++)
		vm_exit(&vm[i]);
	EXPECT_EQ(0, other_goes_on(&self->peer));
}

/*
 * Another user, who takes all for a device and keeps it when the device is given
 * back. A byte on @ready tells that it is.
 */
static void squat(const struct vm *vm, struct vfio_dev *dev, __u32 ioas,
		  unsigned int most, int ready)
{
	unsigned int nr;
	__u32 last;
	int rc = 0;

	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		_exit(1);
	nr = take(parent_alloc, vm, dev, ioas, TRIES * most, &last, &rc);
	if (nr != most || rc != -ENOSPC)
		_exit(2);
	vfio_close(dev);
	if (write(ready, "", 1) != 1)
		_exit(3);
	pause();
	_exit(4);
}

/* What the last user of a device keeps is not missing to the next one */
TEST_F_TIMEOUT(ids, next_user, 240)
{
	struct vfio_dev *dev = &self->peer.dev;
	struct vm vm = {};
	int ready[2], status = 0;
	__u32 ioas;
	pid_t child;
	char byte;

	vm.iommufd = iommufd_open();
	ASSERT_LE(0, vm.iommufd);
	ASSERT_EQ(0, ioas_alloc(vm.iommufd, &ioas));
	ASSERT_EQ(0, vfio_bind(dev, vm.iommufd));
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(ready[0]);
		squat(&vm, dev, ioas, self->vmids, ready[1]);
	}
	close(ready[1]);
	vfio_close(dev);
	close(vm.iommufd);
	EXPECT_EQ(1, read(ready[0], &byte, 1));
	close(ready[0]);
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG)) {
		TH_LOG("status %#x", status);
	}
	ASSERT_EQ(0, edu_open(&self->peer, 1));
	EXPECT_EQ(0, other_goes_on(&self->peer));
	kill(child, SIGKILL);
	EXPECT_EQ(child, waitpid(child, &status, 0));
}

TEST_HARNESS_MAIN
