// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSIs of devices whose guest has chosen where they are written to: from the
 * gIOVA through the guest's table to its doorbell, and from there to the
 * physical one.
 */
#include "nested_msi.h"

#include "../kselftest_harness.h"

FIXTURE(msi)
{
	struct msi_env m;
	struct doorbell bell;
};

FIXTURE_VARIANT(msi)
{
	bool nvme;
	unsigned int granule;
	__u64 length;
};

FIXTURE_VARIANT_ADD(msi, edu_4k)
{
	.granule = 12,
	.length = 4096,
};

FIXTURE_VARIANT_ADD(msi, edu_16k)
{
	.granule = 14,
	.length = 0x10000,
};

FIXTURE_VARIANT_ADD(msi, edu_64k)
{
	.granule = 16,
	.length = 0x10000,
};

/* A page of the guest with more in it than the doorbell */
FIXTURE_VARIANT_ADD(msi, edu_4k_in_64k)
{
	.granule = 16,
	.length = 4096,
};

/* The physical doorbell is far from the start of the guest's */
FIXTURE_VARIANT_ADD(msi, edu_2m)
{
	.granule = 12,
	.length = 0x200000,
};

FIXTURE_VARIANT_ADD(msi, nvme_4k)
{
	.nvme = true,
	.granule = 12,
	.length = 4096,
};

FIXTURE_VARIANT_ADD(msi, nvme_64k)
{
	.nvme = true,
	.granule = 16,
	.length = 0x10000,
};

FIXTURE_SETUP(msi)
{
	int rc = msi_env_init(&self->m, variant->nvme, variant->granule);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->bell = elsewhere;
	self->bell.length = variant->length;
	ASSERT_EQ(0, vfio_attach(self->m.env.dev, self->m.env.hwpt));
}

FIXTURE_TEARDOWN(msi)
{
	msi_env_exit(&self->m);
}

TEST_F(msi, guest_maps_doorbell)
{
	struct env *env = &self->m.env;

	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &self->bell));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(env, &self->m.msi, &self->bell));

	/* Once more from the start, with another address */
	ASSERT_EQ(0, msi_off(&self->m.msi));
	ASSERT_EQ(0, bell_unbind(&env->vm, env->dev, &self->bell));
	self->bell.iova += 0x80000000;
	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &self->bell));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(env, &self->m.msi, &self->bell));
	/* The device's other DMA does not care */
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* A device with an address of 32 bits, or a guest that likes such */
TEST_F(msi, low_address)
{
	struct env *env = &self->m.env;

	self->bell.iova = 0xc0000000;
	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &self->bell));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(env, &self->m.msi, &self->bell));
}

/* The bytes from @gpa on that are not @value, and the first one of them */
static __u64 changed(const struct vm *vm, __u64 gpa, __u64 size, __u8 value,
		     __u64 *first)
{
	const __u8 *mem = vm_ptr(vm, gpa);
	__u64 i, count = 0;

	for (i = 0; i < size; i++) {
		if (mem[i] == value)
			continue;
		if (!count++)
			*first = gpa + i;
	}
	return count;
}

/*
 * A guest that lets the address lead to its own memory gets its MSIs there, and
 * nowhere else
 */
TEST_F(msi, guest_maps_memory)
{
	struct env *env = &self->m.env;
	struct vm *vm = &env->vm;
	struct doorbell memory;
	__u64 start, size, first = 0;

	ASSERT_EQ(0, bell_bind(vm, env->dev, &self->bell));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	bell_map(&env->table, &self->bell);
	EXPECT_TRUE(msi_arrives(&self->m.msi));

	memory = self->bell;
	memory.gpa = vm_alloc(vm, memory.length > PLACE_SIZE ? memory.length :
							       PLACE_SIZE);
	bell_map(&env->table, &memory);
	ASSERT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	start = memory.gpa;
	size = VM_GPA + VM_SIZE - start;
	memset(vm_ptr(vm, start), VM_UNTOUCHED, size);

	ASSERT_EQ(0, faults_start());
	EXPECT_TRUE(msi_is_lost(&self->m.msi));
	/* All vectors write 32 bits to one address; no byte is VM_UNTOUCHED */
	EXPECT_EQ(4, changed(vm, start, size, VM_UNTOUCHED, &first));
	EXPECT_EQ(0, first & 3);
	EXPECT_LE(memory.gpa, first);
	EXPECT_GT(memory.gpa + memory.length, first);
	EXPECT_EQ(0, faults(env->dev, false));

	bell_map(&env->table, &self->bell);
	ASSERT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	memset(vm_ptr(vm, start), VM_UNTOUCHED, size);
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	EXPECT_EQ(0, changed(vm, start, size, VM_UNTOUCHED, &first));
}

/* Two devices of one VM: two edu, or the disk and an edu */
FIXTURE(two)
{
	struct msi_env m;
	struct vfio_dev *first, *second;
};

FIXTURE_VARIANT(two)
{
	bool nvme;
};

FIXTURE_VARIANT_ADD(two, edu)
{
};

FIXTURE_VARIANT_ADD(two, nvme)
{
	.nvme = true,
};

FIXTURE_SETUP(two)
{
	struct msi_env *m = &self->m;
	int rc = msi_env_init(m, variant->nvme, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->first = m->env.dev;
	self->second = &m->second.dev;
	ASSERT_EQ(0, vfio_attach(self->first, m->env.hwpt));
	ASSERT_EQ(0, vfio_attach(self->second, m->env.hwpt));
}

FIXTURE_TEARDOWN(two)
{
	msi_env_exit(&self->m);
}

TEST_F(two, binding_and_window)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;
	struct doorbell window;

	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, bell_window(vm, self->second, &window));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, msi_on(&m->msi2));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi2, &window));
	EXPECT_TRUE(msi_arrives(&m->msi));
	/* One goes, the other one stays */
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, bell_unbind(vm, self->first, &elsewhere));
	EXPECT_TRUE(msi_arrives(&m->msi2));
	ASSERT_EQ(0, msi_on(&m->msi));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &window));
	EXPECT_TRUE(msi_arrives(&m->msi2));
}

/* Each device has a way of its own to the guest's doorbell */
TEST_F(two, addresses)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;
	struct doorbell other = elsewhere;

	other.iova = 0x7654320000ULL;
	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, bell_bind(vm, self->second, &other));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, msi_on(&m->msi2));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi2, &other));
	EXPECT_TRUE(msi_arrives(&m->msi));

	/* Its last binding takes the doorbell away, not the first that ends */
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, bell_unbind(vm, self->first, &elsewhere));
	EXPECT_EQ(-EINVAL, ioas_map(vm->iommufd, vm->ioas, vm->mem, other.gpa,
				    other.length));
	EXPECT_TRUE(msi_arrives(&m->msi2));
	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	EXPECT_TRUE(msi_arrives(&m->msi));
	ASSERT_EQ(0, msi_off(&m->msi2));
	ASSERT_EQ(0, bell_unbind(vm, self->second, &other));
	EXPECT_TRUE(msi_arrives(&m->msi));
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, bell_unbind(vm, self->first, &elsewhere));
	EXPECT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm->mem, other.gpa,
			      other.length));
}

TEST_F(two, one_address)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;

	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, bell_bind(vm, self->second, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, msi_on(&m->msi2));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi2, &elsewhere));
	EXPECT_TRUE(msi_arrives(&m->msi));
	/* Which of the two is meant is clear */
	ASSERT_EQ(0, msi_off(&m->msi2));
	EXPECT_EQ(-EBUSY, bell_unbind(vm, self->first, &elsewhere));
	EXPECT_EQ(0, bell_unbind(vm, self->second, &elsewhere));
	EXPECT_EQ(-ENOENT, bell_unbind(vm, self->second, &elsewhere));
	EXPECT_TRUE(msi_arrives(&m->msi));
}

/* The guest has two doorbells, the host one */
TEST_F(two, doorbells)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;
	struct doorbell other = {
		.iova = 0x7654320000ULL,
		.gpa = 0x0b004000ULL,
		.length = 0x4000,
	};

	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, bell_bind(vm, self->second, &other));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, msi_on(&m->msi2));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi2, &other));
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, bell_unbind(vm, self->first, &elsewhere));
	EXPECT_TRUE(msi_arrives(&m->msi2));
}

/* Nothing but MSIs uses the doorbell: nobody can read it */
TEST_F(two, write_only)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;

	ASSERT_EQ(0, bell_bind(vm, self->first, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	bell_map(&m->env.table, &elsewhere);
	EXPECT_TRUE(msi_arrives(&m->msi));
	ASSERT_EQ(0, faults_start());
	ASSERT_EQ(0, edu_load(&m->second, elsewhere.iova));
	EXPECT_LT(0, faults_at(self->second, elsewhere.iova,
			       elsewhere.iova + elsewhere.length - 1, true));
	EXPECT_TRUE(msi_arrives(&m->msi));
}

/* Two VMs with the same addresses: neither is in the other's way */
FIXTURE(vms)
{
	struct env a, b;
	struct msi msi_a, msi_b;
};

FIXTURE_SETUP(vms)
{
	int rc = env_init(&self->a, false, 12);
	int rc_b = env_init(&self->b, true, 12);

	rc = rc ?: rc_b;
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, msi_init(&self->msi_a, &self->a.edu, NULL));
	ASSERT_EQ(0, msi_init(&self->msi_b, NULL, &self->b.nvme));
	ASSERT_EQ(0, vfio_attach(self->a.dev, self->a.hwpt));
	ASSERT_EQ(0, vfio_attach(self->b.dev, self->b.hwpt));
}

FIXTURE_TEARDOWN(vms)
{
	env_exit(&self->a);
	env_exit(&self->b);
	msi_exit(&self->msi_a);
	msi_exit(&self->msi_b);
}

TEST_F(vms, same_addresses)
{
	struct env *a = &self->a, *b = &self->b;

	ASSERT_EQ(0, bell_bind(&a->vm, a->dev, &elsewhere));
	ASSERT_EQ(0, bell_bind(&b->vm, b->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&self->msi_a));
	ASSERT_EQ(0, msi_on(&self->msi_b));
	EXPECT_STREQ("", bell_check(a, &self->msi_a, &elsewhere));
	EXPECT_STREQ("", bell_check(b, &self->msi_b, &elsewhere));
	EXPECT_TRUE(msi_arrives(&self->msi_a));
	ASSERT_EQ(0, msi_off(&self->msi_a));
	ASSERT_EQ(0, bell_unbind(&a->vm, a->dev, &elsewhere));
	EXPECT_TRUE(msi_arrives(&self->msi_b));
}

/* However long the doorbell is, it has one page of the host's in it */
TEST_F(vms, one_page)
{
	__u64 iova = elsewhere.iova, end = iova + elsewhere.length;
	struct env *env = &self->a;
	unsigned int mapped = 0;

	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&self->msi_a));
	bell_map(&env->table, &elsewhere);
	EXPECT_TRUE(msi_arrives(&self->msi_a));
	ASSERT_EQ(0, faults_start());
	/* Not where a register could be */
	for (; iova < end; iova += 4096)
		ASSERT_EQ(0, edu_write(&env->edu, iova + 0x800));
	EXPECT_LT(0, faults(env->dev, true));
	ASSERT_TRUE(faults_settle(env->dev));
	for (iova = elsewhere.iova; iova < end; iova += 4096)
		mapped += !faults_now(env->dev, iova, iova + 4095);
	EXPECT_EQ(1, mapped);
	EXPECT_TRUE(msi_arrives(&self->msi_a));
}

/* Where the host can add vectors to those in use, these have the binding too */
TEST_F(vms, more_vectors)
{
	struct vfio_irq_info info = { .argsz = sizeof(info) };
	struct msi *msi = &self->msi_b;
	struct env *env = &self->b;
	int rc;

	info.index = msi->index;
	ASSERT_EQ(0, call(env->dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	ASSERT_LE(MSI_VECTORS, info.count);
	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &elsewhere));
	ASSERT_EQ(0, vfio_irqs(env->dev, msi->index, 0, 1, msi->fds));
	rc = vfio_irqs(env->dev, msi->index, 1, MSI_VECTORS - 1, msi->fds + 1);
	if (info.flags & VFIO_IRQ_INFO_NORESIZE) {
		EXPECT_EQ(-EINVAL, rc);
		ASSERT_EQ(0, msi_off(msi));
		ASSERT_EQ(0, msi_on(msi));
	} else {
		EXPECT_EQ(0, rc);
		ASSERT_EQ(0, msi_start_queues(msi));
	}
	EXPECT_STREQ("", bell_check(env, msi, &elsewhere));
}

TEST_HARNESS_MAIN
