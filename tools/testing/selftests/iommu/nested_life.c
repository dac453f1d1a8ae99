// SPDX-License-Identifier: GPL-2.0-only
/*
 * How it all ends: objects destroyed and files closed in any order, with a
 * device in the middle of DMA.
 */
#include <sys/wait.h>

#include "nested_env.h"
#include "nested_order.h"

#include "../kselftest_harness.h"

/* What can be taken away, each with what stands in its way */
enum step {
	CLOSE_DEVICE,
	DESTROY_TABLE,
	DESTROY_PARENT,
	DESTROY_IOAS,
	CLOSE_IOMMUFD,
	NR_STEPS,
};

FIXTURE(life)
{
	struct env env;
};

FIXTURE_SETUP(life)
{
	int rc = env_init(&self->env, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(life)
{
	env_exit(&self->env);
}

/* A VM whose device uses its table; without the time that edu's DMA takes */
static int life_begin(struct env *env)
{
	struct iommu_hwpt_pasid_table config;
	int rc;

	memset(env, 0, sizeof(*env));
	env->dev = &env->edu.dev;
	rc = edu_open(&env->edu, 0);
	rc = rc ?: vm_init(&env->vm, env->dev);
	if (rc)
		return rc;
	s1_init(&env->table, &env->vm, 12, TAG);
	pasid_table_init(&env->pasids, &env->vm);
	pasid_table_set(&env->pasids, &env->table);
	config = pasid_table_config(&env->pasids);
	rc = vm_table(&env->vm, env->dev, &config, &env->hwpt);
	return rc ?: vfio_attach(env->dev, env->hwpt);
}

/* Returns whether it worked out as it should */
static bool life_step(struct env *env, int *gone, enum step step)
{
	int expected = 0, rc, fd = env->vm.iommufd;

	switch (step) {
	case CLOSE_DEVICE:
		vfio_close(env->dev);
		gone[step] = 1;
		return true;
	case CLOSE_IOMMUFD:
		close(fd);
		env->vm.iommufd = -1;
		gone[step] = 1;
		return true;
	case DESTROY_TABLE:
		if (!gone[CLOSE_DEVICE])
			expected = -EBUSY;
		rc = iommufd_destroy(fd, env->hwpt);
		break;
	case DESTROY_PARENT:
		if (!gone[DESTROY_TABLE])
			expected = -EBUSY;
		rc = iommufd_destroy(fd, env->vm.parent);
		break;
	default:
		if (!gone[DESTROY_PARENT])
			expected = -EBUSY;
		rc = iommufd_destroy(fd, env->vm.ioas);
		break;
	}
	if (gone[CLOSE_IOMMUFD])
		expected = -EBADF;
	if (!rc)
		gone[step] = 1;
	return rc == expected;
}

TEST_F_TIMEOUT(life, any_order, 240)
{
	unsigned int order[NR_STEPS];
	int gone[NR_STEPS];
	unsigned int nth, i;
	struct env env;

	vfio_close(self->env.dev);
	for (nth = 0; nth < 120; nth++) {
		ASSERT_EQ(0, life_begin(&env));
		nth_order(nth, NR_STEPS, order);
		memset(gone, 0, sizeof(gone));
		for (i = 0; i < NR_STEPS; i++) {
			EXPECT_TRUE(life_step(&env, gone, order[i])) {
				TH_LOG("order %u, step %u is %u", nth, i,
				       order[i]);
			}
		}
		env_exit(&env);
	}
}

TEST_F(life, busy)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config;
	int fd = env->vm.iommufd;
	__u32 other;

	config = pasid_table_config(&env->pasids);
	ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &other));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, env->hwpt));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, env->vm.parent));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, env->vm.ioas));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, env->dev->id));
	/* Replaced: the one before is free */
	ASSERT_EQ(0, vfio_attach(env->dev, other));
	EXPECT_EQ(0, iommufd_destroy(fd, env->hwpt));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, other));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	ASSERT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(0, iommufd_destroy(fd, other));
	EXPECT_EQ(0, iommufd_destroy(fd, env->vm.parent));
	EXPECT_EQ(0, iommufd_destroy(fd, env->vm.ioas));
	EXPECT_EQ(-ENOENT, vfio_attach(env->dev, other));
	EXPECT_EQ(-ENOENT, iommufd_destroy(fd, other));
}

/* How a VMM with a DMA in flight goes */
enum way {
	EXIT,
	KILLED,
	DEVICE_FIRST,
	IOMMUFD_FIRST,
	DETACHED,
	NR_WAYS,
};

static void go(struct env *env, enum way way)
{
	switch (way) {
	case EXIT:
		_exit(0);
	case KILLED:
		kill(getpid(), SIGKILL);
		break;
	case DEVICE_FIRST:
		vfio_close(env->dev);
		close(env->vm.iommufd);
		break;
	case IOMMUFD_FIRST:
		close(env->vm.iommufd);
		vfio_close(env->dev);
		break;
	default:
		vfio_detach(env->dev);
		break;
	}
	_exit(0);
}

/* The VMM: have a DMA in flight to @seen, and go */
static void vmm(struct env *env, __u8 *seen, enum way way)
{
	__u64 gpa = VM_GPA + VM_SIZE;

	if (env_init(env, false, 12) ||
	    ioas_map(env->vm.iommufd, env->vm.ioas, seen, gpa, PLACE_SIZE))
		_exit(1);
	s1_map(&env->table, GIOVA, gpa);
	if (vfio_attach(env->dev, env->hwpt) ||
	    edu_write(&env->edu, GIOVA) ||
	    memcmp(seen, edu_written(&env->edu), EDU_CHUNK))
		_exit(2);
	memset(seen, VM_UNTOUCHED, PLACE_SIZE);
	if (edu_begin_write(&env->edu, GIOVA))
		_exit(3);
	go(env, way);
}

/* A device whose DMA takes as long, of a VM that stays */
struct later {
	struct edu edu;
	struct vm vm;
	struct probe probe;
};

static int later_init(struct later *later)
{
	struct vfio_dev *dev = &later->edu.dev;
	int rc = edu_open(&later->edu, 1);

	rc = rc ?: vm_init(&later->vm, dev);
	rc = rc ?: vfio_attach(dev, later->vm.parent);
	/* The VMMs are not to have a part in it */
	if (!rc && madvise(later->vm.mem, VM_SIZE, MADV_DONTFORK))
		rc = -errno;
	return rc ?: probe_edu(&later->probe, &later->vm, &later->edu);
}

/*
 * The DMA in flight must not land in what was the memory of the VM. The parent
 * keeps that memory when the VMM goes, and with it the right to look. The DMA has
 * ended when one that was started after it has ended that takes as long. A VMM
 * that takes longer to end than the DMA does proves nothing: start another one.
 */
TEST_F_TIMEOUT(life, end_in_the_middle_of_dma, 120)
{
	__u8 untouched[EDU_CHUNK];
	struct later later;
	int rc, tries = 30;
	enum way way;
	pid_t child;
	bool late;
	__u8 *seen;

	memset(untouched, VM_UNTOUCHED, sizeof(untouched));
	env_exit(&self->env);
	seen = mmap(NULL, PLACE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, seen);
	ASSERT_EQ(0, later_init(&later));

	for (way = 0; way < NR_WAYS && tries; way += !late) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			vmm(&self->env, seen, way);
		ASSERT_EQ(child, waitpid(child, &rc, 0));
		EXPECT_EQ(way == KILLED ? SIGKILL : 0, rc);

		late = memcmp(seen, untouched, EDU_CHUNK);
		tries -= late;
		memset(seen, VM_UNTOUCHED, PLACE_SIZE);
		ASSERT_EQ(AT_A, probe_dma(&later.probe, later.probe.a));
		EXPECT_EQ(0, memcmp(seen, untouched, EDU_CHUNK)) {
			TH_LOG("way %u", way);
		}
	}
	EXPECT_EQ(NR_WAYS, way);

	/* And the device is as good as ever */
	ASSERT_EQ(0, env_init(&self->env, false, 12));
	ASSERT_EQ(0, vfio_attach(self->env.dev, self->env.hwpt));
	EXPECT_EQ(AT_A, probe_dma(&self->env.probe, GIOVA));
	EXPECT_EQ(0, faults(self->env.dev, false));
	munmap(seen, PLACE_SIZE);
	vfio_close(&later.edu.dev);
	vm_exit(&later.vm);
}

/* The table goes with its device still attached, and DMA comes */
TEST_F(life, detach_in_the_middle_of_dma)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	memset(vm_ptr(&env->vm, probe->a), VM_UNTOUCHED, PLACE_SIZE);
	ASSERT_EQ(0, edu_begin_write(&env->edu, GIOVA));
	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, iommufd_destroy(env->vm.iommufd, env->hwpt));
	ASSERT_EQ(0, edu_wait(&env->edu));
	EXPECT_EQ(NOWHERE, probe_compare(probe, vm_ptr(&env->vm, probe->a)));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
}

TEST_HARNESS_MAIN
