// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a guest's IOMMU ends: objects destroyed and files closed in any order,
 * with a device in the middle of DMA and of faults.
 */
#define NESTED_VIOMMU
#include <sys/wait.h>

#include "nested_env.h"
#include "nested_event.h"
#include "nested_order.h"

#include "../kselftest_harness.h"

#define ORDERS		400

/* What can be taken away */
enum step {
	CLOSE_DEVICE,
	DESTROY_TABLE,
	DESTROY_VDEVICE,
	CLOSE_EVENTS,
	DESTROY_QUEUE,
	DESTROY_VIOMMU,
	DESTROY_PARENT,
	NR_STEPS,
};

struct life {
	struct env env;
	__u32 queue;
	int events;
	bool gone[NR_STEPS];
};

FIXTURE(life)
{
	struct life life;
};

FIXTURE_SETUP(life)
{
	int rc = env_init(&self->life.env, false, 12);

	self->life.events = -1;
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

static void life_end(struct life *life)
{
	if (life->events >= 0)
		close(life->events);
	env_exit(&life->env);
}

FIXTURE_TEARDOWN(life)
{
	life_end(&self->life);
}

/* A VM whose device uses its table; without the time that edu's DMA takes */
static int life_begin(struct life *life)
{
	struct env *env = &life->env;
	int rc;

	memset(life, 0, sizeof(*life));
	life->events = -1;
	env->dev = &env->edu.dev;
	rc = edu_open(&env->edu, 0);
	rc = rc ?: vm_init(&env->vm, env->dev);
	rc = rc ?: env_add_table(env, &env->table, &env->pasids, 12, TAG,
				 &env->hwpt);
	rc = rc ?: veventq_alloc(env->vm.iommufd, env->vm.viommu, 4,
				 &life->queue, &life->events);
	return rc ?: vfio_attach(env->dev, env->hwpt);
}

static int life_destroy(struct life *life, __u32 id, bool busy)
{
	return iommufd_destroy(life->env.vm.iommufd, id) != (busy ? -EBUSY : 0);
}

/* Returns 0 if it worked out as it should; what is busy is left for later */
static int life_step(struct life *life, enum step step)
{
	const bool *gone = life->gone;
	struct env *env = &life->env;
	bool busy = false;
	int rc = 0;

	switch (step) {
	case CLOSE_DEVICE:
		vfio_close(env->dev);
		break;
	case DESTROY_TABLE:
		busy = !gone[CLOSE_DEVICE];
		rc = life_destroy(life, env->hwpt, busy);
		break;
	case DESTROY_VDEVICE:
		rc = life_destroy(life, env->dev->vdevice, false);
		break;
	case CLOSE_EVENTS:
		rc = close(life->events);
		life->events = -1;
		break;
	case DESTROY_QUEUE:
		busy = !gone[CLOSE_EVENTS];
		rc = life_destroy(life, life->queue, busy);
		break;
	case DESTROY_VIOMMU:
		/* A device that is closed takes its name along */
		busy = !gone[DESTROY_TABLE] || !gone[DESTROY_QUEUE] ||
		       (!gone[DESTROY_VDEVICE] && !gone[CLOSE_DEVICE]);
		rc = life_destroy(life, env->vm.viommu, busy);
		break;
	default:
		busy = !gone[DESTROY_VIOMMU];
		rc = life_destroy(life, env->vm.parent, busy);
		break;
	}
	life->gone[step] = !rc && !busy;
	return rc;
}

TEST_F_TIMEOUT(life, any_order, 240)
{
	unsigned int order[NR_STEPS], nth, i;
	struct life life;

	life_end(&self->life);
	self->life.events = -1;
	for (nth = 0; nth < ORDERS; nth++) {
		ASSERT_EQ(0, life_begin(&life));
		/* Of the 5040 that there are */
		nth_order(nth * 5039 / ORDERS, NR_STEPS, order);
		/* The file of the IOMMU goes in the middle, or last */
		for (i = 0; i < NR_STEPS - nth % 3; i++) {
			EXPECT_EQ(0, life_step(&life, order[i])) {
				TH_LOG("order %u, step %u is %u", nth, i,
				       order[i]);
			}
		}
		life_end(&life);
	}
	ASSERT_EQ(0, env_init(&self->life.env, false, 12));
}

/* A name that its device has left */
TEST_F(life, name_without_device)
{
	struct env *env = &self->life.env;
	int fd = env->vm.iommufd;
	__u32 old = env->dev->vdevice, num = 1;
	struct smmu_cmd cmd = cmd_make(CMD_CFGI_CD_ALL |
				(__u64)vsid_of(env->dev) << CMD0_SID_SHIFT, 0);

	vfio_close(env->dev);
	EXPECT_EQ(0, iommufd_destroy(fd, env->hwpt));
	/* The stream is nobody's */
	EXPECT_EQ(-EIO, viommu_commands(fd, env->vm.viommu, &cmd, &num));
	/* And another device may have it */
	ASSERT_EQ(0, edu_open(&env->edu, 0));
	ASSERT_EQ(0, vfio_bind(env->dev, fd));
	ASSERT_EQ(0, vdevice_alloc(fd, env->vm.viommu, env->dev->id,
				   vsid_of(env->dev), &env->dev->vdevice));
	EXPECT_NE(old, env->dev->vdevice);
	EXPECT_EQ(0, iommufd_destroy(fd, old));
	EXPECT_EQ(-ENOENT, iommufd_destroy(fd, old));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, env->vm.viommu));
	EXPECT_EQ(0, iommufd_destroy(fd, env->dev->vdevice));
	EXPECT_EQ(0, iommufd_destroy(fd, env->vm.viommu));
}

/* Who needs a name, and who does not */
TEST_F(life, attach_without_name)
{
	struct env *env = &self->life.env;
	int fd = env->vm.iommufd;
	__u32 bypass, abort, viommu;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));
	ASSERT_EQ(0, iommufd_destroy(fd, env->dev->vdevice));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	EXPECT_EQ(-ENOENT, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, env->probe.b));
	ASSERT_EQ(0, vfio_attach(env->dev, abort));
	EXPECT_EQ(-ENOENT, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, env->probe.a));

	/* One on another vIOMMU is none here */
	ASSERT_EQ(0, viommu_alloc(fd, env->dev->id, env->vm.parent, &viommu));
	ASSERT_EQ(0, vdevice_alloc(fd, viommu, env->dev->id, 5,
				   &env->dev->vdevice));
	EXPECT_EQ(-ENOENT, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, iommufd_destroy(fd, env->dev->vdevice));
	ASSERT_EQ(0, vdevice_alloc(fd, env->vm.viommu, env->dev->id, 5,
				   &env->dev->vdevice));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	/* The translation outlives the name */
	ASSERT_EQ(0, iommufd_destroy(fd, env->dev->vdevice));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* Stage 2 changes while the guest's tables are not in use */
TEST_F(life, stage2_changes_meanwhile)
{
	struct env *env = &self->life.env;
	struct probe *probe = &env->probe;
	struct vm *vm = &env->vm;
	__u32 bypass;

	ASSERT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, VM_GPA, VM_SIZE));
	ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm->mem, VM_GPA,
			      probe->a - VM_GPA));
	ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm_ptr(vm, probe->a),
			      probe->a, PLACE_SIZE));
	ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm_ptr(vm, probe->b),
			      probe->b, VM_GPA + VM_SIZE - probe->b));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));

	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, probe->a, PLACE_SIZE));
	ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm_ptr(vm, probe->b),
			      probe->a, PLACE_SIZE));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* A VMM with faults and DMA in flight is killed, or closes one of its files */
static void vmm(struct life *life, enum step way)
{
	struct env *env = &life->env;

	if (life_begin(life) ||
	    edu_write(&env->edu, GIOVA) ||		/* faults */
	    !event_pending(life->events, EVENT_LATE_MS) ||
	    edu_begin_write(&env->edu, GIOVA + 4096))
		_exit(1);
	if (way < DESTROY_VIOMMU)
		life_step(life, way);
	if (way & 1)
		_exit(0);
	kill(getpid(), SIGKILL);
}

TEST_F_TIMEOUT(life, killed, 120)
{
	unsigned int way;
	pid_t child;
	int rc;

	life_end(&self->life);
	self->life.events = -1;
	for (way = 0; way < 2 * NR_STEPS; way++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			vmm(&self->life, way % NR_STEPS);
		ASSERT_EQ(child, waitpid(child, &rc, 0));
		EXPECT_EQ(way % NR_STEPS & 1 ? 0 : SIGKILL, rc);
	}
	ASSERT_EQ(0, env_init(&self->life.env, false, 12));
	ASSERT_EQ(0, vfio_attach(self->life.env.dev, self->life.env.hwpt));
	EXPECT_EQ(AT_A, probe_dma(&self->life.env.probe, GIOVA));
}

TEST_HARNESS_MAIN
