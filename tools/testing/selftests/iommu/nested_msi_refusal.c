// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bindings of a guest's doorbell that must not be, and what is in use and must
 * stay. Whatever is refused leaves the MSIs of the device as they were.
 */
#include "nested_msi.h"

#include "../kselftest_harness.h"

#define MAX_BINDINGS	64

/* Beside the binding that is there; neither its gIOVA nor its GPA are taken */
#define FREE_IOVA	0x6000000000ULL
#define FREE_GPA	0x0c000000ULL

/* The device is attached to the table and uses its binding */
FIXTURE(refusal)
{
	struct msi_env m;
	struct env *env;
	struct vm *vm;
	struct vfio_dev *dev;
	struct msi *msi;
};

FIXTURE_SETUP(refusal)
{
	int rc = msi_env_init(&self->m, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->env = &self->m.env;
	self->vm = &self->env->vm;
	self->dev = self->env->dev;
	self->msi = &self->m.msi;
	bell_map(&self->env->table, &elsewhere);
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, bell_bind(self->vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(self->msi));
	ASSERT_TRUE(msi_arrives(self->msi));
}

FIXTURE_TEARDOWN(refusal)
{
	msi_env_exit(&self->m);
}

static const struct {
	const char *what;
	struct doorbell bell;
	int error;
} bad_bells[] = {
	{ "the same again",
	  { 0x7000000000, 0x0a000000, 0x10000 }, -EEXIST },
	{ "the same gIOVA",
	  { 0x7000000000, FREE_GPA, 0x10000 }, -EEXIST },
	{ "inside the gIOVA range",
	  { 0x7000004000, FREE_GPA, 0x1000 }, -EEXIST },
	{ "around the gIOVA range",
	  { 0x7000000000, FREE_GPA, 0x200000 }, -EEXIST },
	{ "inside the doorbell",
	  { FREE_IOVA, 0x0a00f000, 0x1000 }, -EADDRINUSE },
	{ "around the doorbell",
	  { FREE_IOVA, 0x0a000000, 0x20000 }, -EADDRINUSE },
	{ "in guest memory",
	  { FREE_IOVA, VM_GPA, 0x1000 }, -EADDRINUSE },
	{ "the last page of guest memory",
	  { FREE_IOVA, VM_GPA + VM_SIZE - 0x1000, 0x1000 }, -EADDRINUSE },
	{ "all guest memory and more",
	  { FREE_IOVA, VM_GPA, 2 * VM_SIZE }, -EADDRINUSE },
	{ "no length",
	  { FREE_IOVA, FREE_GPA, 0 }, -EINVAL },
	{ "no power of two",
	  { FREE_IOVA, FREE_GPA, 0x3000 }, -EINVAL },
	{ "less than a page",
	  { FREE_IOVA, FREE_GPA, 0x800 }, -EINVAL },
	{ "misaligned gIOVA",
	  { FREE_IOVA + 0x800, FREE_GPA, 0x1000 }, -EINVAL },
	{ "gIOVA aligned to less than the length",
	  { FREE_IOVA + 0x8000, FREE_GPA, 0x10000 }, -EINVAL },
	{ "misaligned GPA",
	  { FREE_IOVA, FREE_GPA + 4, 0x1000 }, -EINVAL },
	{ "GPA aligned to less than the length",
	  { FREE_IOVA, FREE_GPA + 0x1000, 0x10000 }, -EINVAL },
	{ "GPA beyond stage 2",
	  { FREE_IOVA, 1ULL << 52, 0x1000 }, -EINVAL },
	{ "GPA at the end of 64 bits",
	  { FREE_IOVA, ~0xfffULL, 0x1000 }, -EINVAL },
	{ "longer than stage 2",
	  { 0, 0, 1ULL << 53 }, -EINVAL },
	{ "half of everything",
	  { 0, 1ULL << 63, 1ULL << 63 }, -EINVAL },
};

TEST_F(refusal, bad_values)
{
	const struct vfio_dev *second = &self->m.second.dev;
	struct doorbell window;
	unsigned int i;

	memset(vm_ptr(self->vm, VM_GPA + VM_SIZE - 0x1000), VM_UNTOUCHED,
	       0x1000);
	for (i = 0; i < ARRAY_SIZE(bad_bells); i++) {
		EXPECT_EQ(bad_bells[i].error,
			  bell_bind(self->vm, self->dev, &bad_bells[i].bell)) {
			TH_LOG("%s", bad_bells[i].what);
		}
		EXPECT_TRUE(msi_arrives(self->msi)) {
			TH_LOG("%s", bad_bells[i].what);
		}
	}

	/* Part of a doorbell is none for another device either */
	ASSERT_EQ(0, vfio_attach(&self->m.second.dev, self->env->hwpt));
	EXPECT_EQ(-EADDRINUSE, guest_msi_bind(self->vm->iommufd, second->id,
					      elsewhere.iova, elsewhere.gpa,
					      0x8000));
	EXPECT_EQ(-EADDRINUSE, guest_msi_bind(self->vm->iommufd, second->id,
					      FREE_IOVA, elsewhere.gpa,
					      0x20000));
	EXPECT_TRUE(msi_arrives(self->msi));

	/* Where the other device has its doorbell without a binding */
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	ASSERT_EQ(0, bell_window(self->vm, self->dev, &window));
	window.iova = FREE_IOVA;
	EXPECT_EQ(-EADDRINUSE, bell_bind(self->vm, self->dev, &window));
	EXPECT_TRUE(msi_arrives(self->msi));

	/* Nothing of it was left behind, and memory is what it was */
	EXPECT_EQ(0, guest_msi_bind(self->vm->iommufd, self->dev->id,
				    FREE_IOVA, FREE_GPA, 0x10000));
	EXPECT_EQ(AT_A, probe_dma(&self->env->probe, GIOVA));
	EXPECT_EQ(VM_UNTOUCHED,
		  *(__u8 *)vm_ptr(self->vm, VM_GPA + VM_SIZE - 0x1000 + 0x40));
	EXPECT_EQ(0, faults(self->dev, false));
}

/* Bits that mean nothing yet, and structs of other versions */
TEST_F(refusal, bad_calls)
{
	struct {
		struct iommu_guest_msi_bind cmd;
		__u64 tail;
	} bind;
	struct {
		struct iommu_guest_msi_unbind cmd;
		__u64 tail;
	} unbind;
	static const struct {
		__u32 size, flags, reserved;
		__u64 tail;
		int error;
	} cases[] = {
		{ 0, 1, 0, 0, -EOPNOTSUPP },
		{ 0, 1U << 31, 0, 0, -EOPNOTSUPP },
		{ 0, 0, 1, 0, -EOPNOTSUPP },
		{ -8, 0, 0, 0, -EINVAL },
		{ 8, 0, 0, 1, -E2BIG },
	};
	unsigned int i;
	int fd = self->vm->iommufd;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&bind, 0, sizeof(bind));
		bind.cmd.size = sizeof(bind.cmd) + cases[i].size;
		bind.cmd.flags = cases[i].flags;
		bind.cmd.__reserved = cases[i].reserved;
		bind.cmd.dev_id = self->dev->id;
		bind.cmd.iova = FREE_IOVA;
		bind.cmd.gpa = FREE_GPA;
		bind.cmd.length = 4096;
		bind.tail = cases[i].tail;
		EXPECT_EQ(cases[i].error,
			  call(fd, IOMMU_GUEST_MSI_BIND, &bind)) {
			TH_LOG("bind, case %u", i);
		}
		EXPECT_TRUE(msi_arrives(self->msi));
	}

	/* A binding that nobody uses: no error would hide behind EBUSY */
	ASSERT_EQ(0, guest_msi_bind(fd, self->dev->id, FREE_IOVA, FREE_GPA,
				    4096));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&unbind, 0, sizeof(unbind));
		unbind.cmd.size = sizeof(unbind.cmd) + cases[i].size;
		unbind.cmd.flags = cases[i].flags;
		unbind.cmd.__reserved = cases[i].reserved;
		unbind.cmd.dev_id = self->dev->id;
		unbind.cmd.iova = FREE_IOVA;
		unbind.tail = cases[i].tail;
		EXPECT_EQ(cases[i].error,
			  call(fd, IOMMU_GUEST_MSI_UNBIND, &unbind)) {
			TH_LOG("unbind, case %u", i);
		}
		EXPECT_TRUE(msi_arrives(self->msi));
	}
	EXPECT_EQ(0, guest_msi_unbind(fd, self->dev->id, FREE_IOVA));
}

TEST_F(refusal, bad_ids)
{
	const __u32 ids[] = {
		0, ~0U, self->vm->ioas, self->vm->parent, self->env->hwpt,
		self->env->hwpt + 1000,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		EXPECT_EQ(-ENOENT, guest_msi_bind(self->vm->iommufd, ids[i],
						  FREE_IOVA, FREE_GPA, 4096)) {
			TH_LOG("ID %#x", ids[i]);
		}
		EXPECT_EQ(-ENOENT, guest_msi_unbind(self->vm->iommufd, ids[i],
						    elsewhere.iova)) {
			TH_LOG("ID %#x", ids[i]);
		}
	}
	EXPECT_TRUE(msi_arrives(self->msi));
}

TEST_F(refusal, unbind)
{
	const __u64 unknown[] = {
		0, elsewhere.gpa, elsewhere.iova + 4096, elsewhere.iova - 4096,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		EXPECT_EQ(-ENOENT, guest_msi_unbind(self->vm->iommufd,
						    self->dev->id,
						    unknown[i]));
	EXPECT_EQ(-ENOENT, bell_unbind(self->vm, &self->m.second.dev,
				       &elsewhere));
	EXPECT_EQ(-EBUSY, bell_unbind(self->vm, self->dev, &elsewhere));
	EXPECT_TRUE(msi_arrives(self->msi));
	/* One that is off has its address still: not masked, but gone */
	ASSERT_EQ(0, msi_off(self->msi));
	EXPECT_EQ(0, bell_unbind(self->vm, self->dev, &elsewhere));
	EXPECT_EQ(-ENOENT, bell_unbind(self->vm, self->dev, &elsewhere));
}

/* Only below a nesting parent is there a guest */
TEST_F(refusal, not_nested)
{
	struct vfio_dev *dev = &self->m.second.dev;
	struct vm *vm = self->vm;
	__u32 plain;

	EXPECT_EQ(-EINVAL, bell_bind(vm, dev, &elsewhere));
	ASSERT_EQ(0, vfio_attach(dev, vm->ioas));
	EXPECT_EQ(-EINVAL, bell_bind(vm, dev, &elsewhere));
	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, dev->id, vm->ioas, 0, &plain));
	ASSERT_EQ(0, vfio_attach(dev, plain));
	EXPECT_EQ(-EINVAL, bell_bind(vm, dev, &elsewhere));
	ASSERT_EQ(0, vfio_detach(dev));
	EXPECT_EQ(-EINVAL, bell_bind(vm, dev, &elsewhere));
	ASSERT_EQ(0, vfio_attach(dev, vm->parent));
	EXPECT_EQ(0, bell_bind(vm, dev, &elsewhere));
	EXPECT_TRUE(msi_arrives(self->msi));
}

/* MSIs that were set up for the window stay there */
TEST_F(refusal, window_in_use)
{
	struct msi *msi = &self->m.msi2;
	struct doorbell window;

	ASSERT_EQ(0, bell_window(self->vm, msi->dev, &window));
	ASSERT_EQ(0, vfio_attach(msi->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(msi));
	EXPECT_EQ(-EBUSY, bell_bind(self->vm, msi->dev, &elsewhere));
	EXPECT_STREQ("", bell_check(self->env, msi, &window));
	ASSERT_EQ(0, msi_off(msi));
	EXPECT_EQ(0, bell_bind(self->vm, msi->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(msi));
	EXPECT_STREQ("", bell_check(self->env, msi, &elsewhere));
	EXPECT_TRUE(msi_arrives(self->msi));
}

TEST_F(refusal, too_many)
{
	struct doorbell bell = { FREE_IOVA, FREE_GPA, 4096 };
	unsigned int i;

	for (i = 1; i < MAX_BINDINGS; i++) {
		ASSERT_EQ(0, bell_bind(self->vm, self->dev, &bell));
		bell.iova += 4096;
		bell.gpa += 4096;
	}
	EXPECT_EQ(-ENOSPC, bell_bind(self->vm, self->dev, &bell));
	EXPECT_TRUE(msi_arrives(self->msi));
	/* Each device has its own limit */
	ASSERT_EQ(0, vfio_attach(&self->m.second.dev, self->env->hwpt));
	EXPECT_EQ(0, bell_bind(self->vm, &self->m.second.dev, &bell));
	EXPECT_EQ(0, guest_msi_unbind(self->vm->iommufd, self->dev->id,
				      FREE_IOVA));
	EXPECT_EQ(0, bell_bind(self->vm, self->dev, &bell));
	EXPECT_TRUE(msi_arrives(self->msi));
}

/* Memory and the doorbell keep away from each other */
TEST_F(refusal, memory_over_doorbell)
{
	struct vm *vm = self->vm;
	int fd = vm->iommufd;
	__u64 end = elsewhere.gpa + elsewhere.length;

	EXPECT_EQ(0, ioas_allows(fd, vm->ioas, elsewhere.gpa));
	EXPECT_EQ(1, ioas_allows(fd, vm->ioas, elsewhere.gpa - 1));
	EXPECT_EQ(1, ioas_allows(fd, vm->ioas, end));
	EXPECT_EQ(-EINVAL, ioas_map(fd, vm->ioas, vm->mem, elsewhere.gpa,
				    4096));
	EXPECT_EQ(-EINVAL, ioas_map(fd, vm->ioas, vm->mem,
				    elsewhere.gpa - 4096, VM_HUGE));
	EXPECT_EQ(-EINVAL, ioas_map(fd, vm->ioas, vm->mem, end - 4096, 4096));
	EXPECT_EQ(-ENOENT, ioas_unmap(fd, vm->ioas, elsewhere.gpa, 4096));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(0, ioas_map(fd, vm->ioas, vm->mem, end, 4096));

	ASSERT_EQ(0, msi_off(self->msi));
	ASSERT_EQ(0, bell_unbind(vm, self->dev, &elsewhere));
	EXPECT_EQ(1, ioas_allows(fd, vm->ioas, elsewhere.gpa));
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, self->env->probe.a),
			      elsewhere.gpa, elsewhere.length));
	/* The doorbell is gone for good: what leads there leads to memory */
	ASSERT_EQ(0, env_invalidate(self->env, inv_domain(INV_ALL)));
	EXPECT_EQ(AT_A, probe_dma(&self->env->probe, elsewhere.iova));
	EXPECT_EQ(-EADDRINUSE, bell_bind(vm, self->dev, &elsewhere));
}

/* Where the kernel would map memory next, but for the doorbell */
TEST_F(refusal, memory_anywhere)
{
	struct doorbell bell = { FREE_IOVA, 0, 4096 };
	struct vm *vm = self->vm;
	int fd = vm->iommufd;
	__u64 iova;

	ASSERT_EQ(0, ioas_map_any(fd, vm->ioas, vm->mem, 4096, &bell.gpa));
	EXPECT_EQ(-EADDRINUSE, bell_bind(vm, self->dev, &bell));
	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, bell.gpa, 4096));
	ASSERT_EQ(0, bell_bind(vm, self->dev, &bell));
	ASSERT_EQ(0, ioas_map_any(fd, vm->ioas, vm->mem, 4096, &iova));
	EXPECT_NE(bell.gpa, iova);
	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, iova, 4096));
	ASSERT_EQ(0, bell_unbind(vm, self->dev, &bell));
	ASSERT_EQ(0, ioas_map_any(fd, vm->ioas, vm->mem, 4096, &iova));
	EXPECT_EQ(bell.gpa, iova);
}

/* What the VMM was promised for memory is no place for a doorbell */
TEST_F(refusal, promised)
{
	struct vm *vm = self->vm;
	int fd = vm->iommufd;

	EXPECT_EQ(-EADDRINUSE, ioas_promise(fd, vm->ioas, elsewhere.gpa,
					    elsewhere.gpa + 4095));
	ASSERT_EQ(0, ioas_promise(fd, vm->ioas, FREE_GPA, FREE_GPA + VM_SIZE));
	EXPECT_EQ(-EADDRINUSE, guest_msi_bind(fd, self->dev->id, FREE_IOVA,
					      FREE_GPA + VM_HUGE, 4096));
	EXPECT_EQ(0, guest_msi_bind(fd, self->dev->id, FREE_IOVA,
				    FREE_GPA - 4096, 4096));
	EXPECT_TRUE(msi_arrives(self->msi));
}

TEST_HARNESS_MAIN
