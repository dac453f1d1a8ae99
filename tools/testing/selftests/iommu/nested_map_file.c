// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of real devices where the memory of the guest is a memfd that nobody has
 * mapped: IOMMU_IOAS_MAP_FILE below a guest's table.
 */
#include <linux/memfd.h>

#include "nested_env.h"

#include "../kselftest_harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define READ			IOMMU_IOAS_MAP_READABLE
#define WRITE			IOMMU_IOAS_MAP_WRITEABLE

FIXTURE(map_file)
{
	struct env env;
	int memfd;
};

FIXTURE_VARIANT(map_file)
{
	bool nvme;
	bool huge;
};

FIXTURE_VARIANT_ADD(map_file, edu)
{
};

FIXTURE_VARIANT_ADD(map_file, edu_huge)
{
	.huge = true,
};

FIXTURE_VARIANT_ADD(map_file, nvme)
{
	.nvme = true,
};

static int map_file(struct env *env, int memfd, __u32 flags)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | flags,
		.ioas_id = env->vm.ioas,
		.fd = memfd,
		.length = VM_SIZE,
		.iova = VM_GPA,
	};

	return call(env->vm.iommufd, IOMMU_IOAS_MAP_FILE, &cmd);
}

static int unmap(struct env *env)
{
	return ioas_unmap(env->vm.iommufd, env->vm.ioas, VM_GPA, VM_SIZE);
}

/* For the test to look; the IOAS knows nothing of it */
static int look(struct env *env, int memfd)
{
	__u8 *mem = mmap(NULL, VM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 memfd, 0);

	if (mem == MAP_FAILED)
		return -errno;
	env->vm.mem = mem;
	return 0;
}

static void look_away(struct env *env)
{
	munmap(env->vm.mem, VM_SIZE);
	env->vm.mem = NULL;
}

/* Make it huge pages, by a mapping that is aligned to their size */
static int collapse(int memfd)
{
	void *space = mmap(NULL, VM_SIZE + VM_HUGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int tries = 100, rc;
	void *mem;

	if (space == MAP_FAILED)
		return -errno;
	mem = (void *)(((uintptr_t)space + VM_HUGE - 1) & ~(VM_HUGE - 1));
	if (mmap(mem, VM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 memfd, 0) == MAP_FAILED)
		return -errno;
	/* Pages that a CPU has still at hand cannot be moved at once */
	do {
		rc = madvise(mem, VM_SIZE, MADV_COLLAPSE) ? -errno : 0;
	} while ((rc == -EAGAIN || rc == -EBUSY) && --tries &&
		 !usleep(10000));
	munmap(space, VM_SIZE + VM_HUGE);
	return rc;
}

/* A new file that holds what the memory of the VM does */
static int move_to_file(struct env *env, bool huge)
{
	int memfd = memfd_create("vm", MFD_ALLOW_SEALING);
	__u8 *mem = env->vm.mem;

	if (memfd < 0 || ftruncate(memfd, VM_SIZE) || look(env, memfd))
		return -errno;
	memcpy(env->vm.mem, mem, VM_SIZE);
	munmap(mem, VM_SIZE);
	return (huge ? collapse(memfd) : 0) ?: memfd;
}

/* The VM keeps its memory, which from now on is a file and nowhere mapped */
FIXTURE_SETUP(map_file)
{
	struct env *env = &self->env;
	int rc = env_init(env, variant->nvme, 12);

	self->memfd = -1;
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, unmap(env));
	self->memfd = move_to_file(env, variant->huge);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, map_file(env, self->memfd, READ | WRITE));
	look_away(env);
}

FIXTURE_TEARDOWN(map_file)
{
	env_exit(&self->env);
	if (self->memfd >= 0)
		close(self->memfd);
}

/* The DMA comes and goes while no process has the memory mapped */
TEST_F(map_file, unseen)
{
	struct env *env = &self->env;
	__u8 untouched[EDU_CHUNK];
	__u64 a = env->probe.a;

	/* A disk needs its driver, which is the test, to look at its queues */
	if (variant->nvme)
		return;
	memset(untouched, VM_UNTOUCHED, sizeof(untouched));
	ASSERT_EQ(EDU_CHUNK, pwrite(self->memfd, untouched, EDU_CHUNK,
				    a - VM_GPA));
	ASSERT_EQ(0, edu_write(&env->edu, a));
	ASSERT_EQ(0, look(env, self->memfd));
	EXPECT_EQ(AT_A, probe_compare(&env->probe, vm_ptr(&env->vm, a)));

	/* The same by way of the guest's table, which is in the file too */
	memset(vm_ptr(&env->vm, a), VM_UNTOUCHED, PLACE_SIZE);
	look_away(env);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, edu_write(&env->edu, GIOVA));
	ASSERT_EQ(0, look(env, self->memfd));
	EXPECT_EQ(AT_A, probe_compare(&env->probe, vm_ptr(&env->vm, a)));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* The guest changes its table in the file, and the host its stage 2 */
TEST_F(map_file, translate)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, look(env, self->memfd));
	ASSERT_EQ(AT_A, probe_dma(probe, probe->a));
	probe_map(probe, &env->table, GIOVA + PLACE_SIZE, AT_B);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA + PLACE_SIZE));
	EXPECT_EQ(0, faults(env->dev, false));

	ASSERT_EQ(0, unmap(env));
	if (!variant->nvme) {	/* a disk without queues needs a reset */
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
		EXPECT_LT(0, faults(env->dev, true));
	}
	/* No page of the file is held any more */
	look_away(env);
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
}

/* Whatever the file's descriptor and its name do */
TEST_F(map_file, closed)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, look(env, self->memfd));
	close(self->memfd);
	self->memfd = -1;
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

#ifdef S2_READ_ONLY
/* No device writes to what is sealed against writing */
TEST_F(map_file, sealed)
{
	struct env *env = &self->env;
	__u64 a = env->probe.a;
	__u8 seen[EDU_CHUNK];

	/* A disk needs its driver, which is the test, to look at its queues */
	if (variant->nvme)
		return;
	memset(seen, VM_UNTOUCHED, sizeof(seen));
	ASSERT_EQ(EDU_CHUNK, pwrite(self->memfd, seen, EDU_CHUNK, a - VM_GPA));
	ASSERT_EQ(-1, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_EQ(0, unmap(env));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(-EPERM, map_file(env, self->memfd, READ | WRITE));
	ASSERT_EQ(0, map_file(env, self->memfd, READ));
	/* The guest may have its table there, and allow writing by it */
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, edu_load(&env->edu, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	ASSERT_EQ(0, edu_write(&env->edu, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
	ASSERT_EQ(EDU_CHUNK, pread(self->memfd, seen, EDU_CHUNK, a - VM_GPA));
	EXPECT_EQ(NOWHERE, probe_compare(&env->probe, seen));
}
#endif

TEST_HARNESS_MAIN
