// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where does DMA go: through stage 2 alone, through the guest's table on top of
 * it, and on the way from one to the other.
 *
 * Needs devices that VFIO has: two of QEMU's edu and an NVMe disk, which are
 * two independent implementations of a DMA master.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

FIXTURE(nested)
{
	struct env env;
};

FIXTURE_VARIANT(nested)
{
	bool nvme;
	unsigned int granule;
};

FIXTURE_VARIANT_ADD(nested, edu_4k)
{
	.granule = 12,
};

#if S1_GRANULES & 0x4000
FIXTURE_VARIANT_ADD(nested, edu_16k)
{
	.granule = 14,
};
#endif

#if S1_GRANULES & 0x10000
FIXTURE_VARIANT_ADD(nested, edu_64k)
{
	.granule = 16,
};
#endif

FIXTURE_VARIANT_ADD(nested, nvme_4k)
{
	.nvme = true,
	.granule = 12,
};

FIXTURE_SETUP(nested)
{
	int rc = env_init(&self->env, variant->nvme, variant->granule);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(nested)
{
	env_exit(&self->env);
}

TEST_F(nested, translate)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u64 last = (1ULL << variant->granule) - NVME_LBA_SIZE;
	int log = log_open();

	ASSERT_LE(0, log);
	probe_map(probe, &env->table, GIOVA + PLACE_SIZE, AT_B);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA + PLACE_SIZE));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA + last));
	EXPECT_EQ(0, faults(env->dev, false));

	/* What stage 2 maps is out of reach unless stage 1 maps it too */
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	EXPECT_LT(0, faults(env->dev, true));
	ASSERT_EQ(0, faults_start());
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA + 2 * PLACE_SIZE));
	EXPECT_LT(0, faults(env->dev, true));
	/* The guest's doing is the guest's business, not the log's */
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

/* Everything of a guest's life with its IOMMU, and back */
TEST_F(nested, states_in_order)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u32 bypass, abort;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));

	/* The guest has not configured its IOMMU yet */
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	/* It resets it, and has it bypassed */
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	/* The same once more is fine */
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	/* Detached: stage 2 only */
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));

	EXPECT_EQ(-EBUSY, iommufd_destroy(env->vm.iommufd, env->vm.parent));
	EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, abort));
	EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, bypass));
	EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, env->hwpt));
}

/* The host's changes of stage 2 act on DMA through the guest's table at once */
TEST_F(nested, stage2_unmap)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	int fd = env->vm.iommufd;

	ASSERT_EQ(0, probe_map_apart(probe));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));

	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, probe->a, PLACE_SIZE));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));

	/* Other memory at the same GPA */
	ASSERT_EQ(0, ioas_map(fd, env->vm.ioas, vm_ptr(&env->vm, probe->b),
			      probe->a, PLACE_SIZE));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, probe->a, PLACE_SIZE));
	ASSERT_EQ(0, ioas_map(fd, env->vm.ioas, vm_ptr(&env->vm, probe->a),
			      probe->a, PLACE_SIZE));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));

	/* All of it, with the guest's own tables */
	ASSERT_EQ(0, faults_start());
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, 0, UINT64_MAX));
	if (!variant->nvme)	/* a disk without queues needs a reset */
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vm_map(&env->vm));
	if (!variant->nvme)
		EXPECT_LT(0, faults(env->dev, true));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
}

/* A block of the guest on pages of the host */
TEST_F(nested, block)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int block = 2 * variant->granule - 3;
	__u64 mask = (1ULL << block) - 1;
	__u64 giova = 0x380000000000ULL;

	s1_map_size(&env->table, giova, probe->a & ~mask, block,
		    S1_READ_WRITE);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, giova + (probe->a & mask)));
	EXPECT_EQ(AT_B, probe_dma(probe, giova + (probe->b & mask)));
	EXPECT_EQ(0, faults(env->dev, false));
}

FIXTURE(edu)
{
	struct env env;
	struct edu other;
};

FIXTURE_SETUP(edu)
{
	int rc = env_init(&self->env, false, 12);

	self->other.dev.fd = -1;
	rc = rc ?: edu_open(&self->other, 1);
	rc = rc ?: vfio_bind(&self->other.dev, self->env.vm.iommufd);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(edu)
{
	vfio_close(&self->other.dev);
	env_exit(&self->env);
}

TEST_F(edu, stage2_only)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	int events, log = log_open(), tries = 100;

	ASSERT_LE(0, log);
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	EXPECT_EQ(0, log_events(env->dev, log));

	/* No guest has a table: the host's log is told, within its limits */
	do {
		EXPECT_EQ(NOWHERE, probe_dma(probe, VM_GPA + VM_SIZE));
		events = log_events(env->dev, log);
	} while (!events && --tries && !usleep(100000));
	EXPECT_LT(0, events);
	EXPECT_EQ(0, faults(env->dev, false));
	close(log);
}

TEST_F(edu, bypass)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u32 bypass;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
}

/* The five states, beginning and ending with a device that nobody attached */
TEST_F(edu, five_states)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	/* Straight into the table, and out of it */
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
}

/* Nothing gets through, and nobody is told */
TEST_F(edu, starts_in_abort)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	int log = log_open();
	__u32 abort;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));
	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, vfio_attach(env->dev, abort));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, abort));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, abort));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

/* DMA from memory; and a mapping that allows nothing else */
TEST_F(edu, reads_and_read_only)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	edu_pattern(&env->edu, vm_ptr(&env->vm, probe->a), 0x33);
	ASSERT_EQ(0, edu_load(&env->edu, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));

	s1_map_size(&env->table, GIOVA + PLACE_SIZE, probe->b, 12,
		    S1_READ_ONLY);
	edu_pattern(&env->edu, vm_ptr(&env->vm, probe->b), 0x44);
	ASSERT_EQ(0, edu_load(&env->edu, GIOVA + PLACE_SIZE));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA + PLACE_SIZE));
	EXPECT_LT(0, faults(env->dev, true));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
}

/* The guest skips stage 1: stage 2 is still the host's, at once */
TEST_F(edu, stage2_unmap_in_bypass)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	int fd = env->vm.iommufd;
	__u32 bypass;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	EXPECT_EQ(0, faults(env->dev, false));
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, VM_GPA, VM_SIZE));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	EXPECT_LT(0, faults(env->dev, true));

	/* The same GPA leads to the other place */
	ASSERT_EQ(0, ioas_map(fd, env->vm.ioas, vm_ptr(&env->vm, probe->b),
			      probe->a, PLACE_SIZE));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->a));
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, probe->a, PLACE_SIZE));
	ASSERT_EQ(0, vm_map(&env->vm));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
}

#ifndef NESTED_VIOMMU	/* a device is known to one vIOMMU, with one parent */
/*
 * From the table to what is not its parent, and back: a second stage 2 of the
 * same memory with a table of its own, and a translation of the host's choice
 */
TEST_F(edu, other_parents)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	int fd = env->vm.iommufd;
	__u32 parent, table;

	ASSERT_EQ(0, hwpt_alloc(fd, env->dev->id, env->vm.ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	if (env->vm.ats)
		config.flags = IOMMU_PASID_TABLE_ATS;
	ASSERT_EQ(0, hwpt_alloc_table(fd, env->dev->id, parent, &config,
				      &table));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, table));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_EQ(0, vfio_attach(env->dev, table));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.ioas));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	ASSERT_EQ(0, vfio_attach(env->dev, table));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));

	/* The host's changes reach the table through the second parent */
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, VM_GPA, VM_SIZE));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
	EXPECT_EQ(0, iommufd_destroy(fd, env->hwpt));
	EXPECT_EQ(0, iommufd_destroy(fd, env->vm.parent));
	EXPECT_EQ(-EBUSY, iommufd_destroy(fd, parent));
}
#endif

/* The same tag and the same gIOVA in two tables on one parent */
TEST_F(edu, two_devices_two_tables)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config;
	struct pasid_table pasids;
	struct s1_table table;
	struct probe other;
	__u32 hwpt;

	ASSERT_EQ(0, vfio_attach(&self->other.dev, env->vm.parent));
	ASSERT_EQ(0, probe_edu(&other, &env->vm, &self->other));
	env_table(env, &table, &pasids, 12, TAG);
	probe_map(&other, &table, GIOVA, AT_B);
	config = pasid_table_config(&pasids);
	ASSERT_EQ(0, vm_table_apart(&env->vm, &self->other.dev, &config,
				    &hwpt));

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, vfio_attach(&self->other.dev, hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(&other, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	/* One leaves, the other stays */
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_B, probe_dma(&other, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, faults(&self->other.dev, false));
}

TEST_F(edu, two_devices_one_table)
{
	struct env *env = &self->env;
	struct probe other;

	ASSERT_EQ(0, vfio_attach(&self->other.dev, env->vm.parent));
	ASSERT_EQ(0, probe_edu(&other, &env->vm, &self->other));
	other.a = env->probe.a;
	ASSERT_EQ(0, vm_adopt(&env->vm, &self->other.dev));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, vfio_attach(&self->other.dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&other, GIOVA));

	/* What is invalidated for the table is so for each of them */
	probe_map(&env->probe, &env->table, GIOVA, AT_B);
	other.b = env->probe.b;
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&other, GIOVA));
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(&other, GIOVA));

	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(-EBUSY, iommufd_destroy(env->vm.iommufd, env->hwpt));
	EXPECT_EQ(AT_B, probe_dma(&other, GIOVA));
	EXPECT_EQ(0, faults(&self->other.dev, false));
}

/* A second VM, whose device is the first one's neighbour */
TEST_F(edu, two_vms)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config;
	struct pasid_table pasids;
	struct s1_table table;
	struct probe other;
	struct vm vm;
	__u32 hwpt;

	vfio_close(&self->other.dev);
	ASSERT_EQ(0, edu_open(&self->other, 1));
	ASSERT_EQ(0, vm_init(&vm, &self->other.dev));
	ASSERT_EQ(0, vfio_attach(&self->other.dev, vm.parent));
	ASSERT_EQ(0, probe_edu(&other, &vm, &self->other));
	s1_init(&table, &vm, 12, TAG);
	probe_map(&other, &table, GIOVA, AT_B);
	pasid_table_init(&pasids, &vm);
	pasid_table_set(&pasids, &table);
	config = pasid_table_config(&pasids);
	ASSERT_EQ(0, vm_table(&vm, &self->other.dev, &config, &hwpt));
	ASSERT_EQ(0, vfio_attach(&self->other.dev, hwpt));

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(&other, GIOVA));

	/* What the second invalidates stays in the first one's cache */
	probe_map(&env->probe, &env->table, GIOVA, AT_B);
	probe_map(&other, &table, GIOVA, AT_A);
	EXPECT_EQ(0, vm_invalidate(&vm, hwpt, inv_domain(INV_ALL)));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&other, GIOVA));
	ASSERT_EQ(0, ioas_unmap(vm.iommufd, vm.ioas, VM_GPA, VM_SIZE));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(&other, GIOVA));
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	vfio_close(&self->other.dev);
	vm_exit(&vm);
}

TEST_HARNESS_MAIN
