// SPDX-License-Identifier: GPL-2.0-only
/*
 * First-stage tables of a guest on Intel VT-d, handed over one by one:
 * IOMMU_HWPT_DATA_VTD_S1 as kernels since 6.8 have it.
 *
 * Nothing newer is asked of the kernel, so that an emulated VT-d can be checked
 * against a kernel which does not know of it. Needs two of QEMU's edu, which
 * VFIO has, with or without PASIDs.
 */
#include <linux/const.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "nested_edu.h"

#include "../kselftest_harness.h"

#define FS_P		_BITULL(0)
#define FS_RW		_BITULL(1)
#define FS_US		_BITULL(2)
#define FS_A		_BITULL(5)
#define FS_D		_BITULL(6)
#define FS_PS		_BITULL(7)
#define FS_EA		_BITULL(10)
#define FS_RSVD		_BITULL(51)
#define FS_USER		(FS_P | FS_US)
#define FS_FULL		(FS_USER | FS_RW)
#define FS_ADDR		0xffffffffff000ULL

#define PAGE		4096ULL
#define GIOVA		0x5a012345000ULL
/* Pages here are mapped one by one, each to memory of its own */
#define SINGLE_GPA	(VM_GPA + (64ULL << 20))

#define EDU_PASID	0xa0
#define EDU_PASID_USE	0x80000000U

struct fs_table {
	struct vm *vm;
	unsigned int levels;
	__u64 root;
};

static unsigned int fs_index(__u64 iova, unsigned int level)
{
	return (iova >> (12 + 9 * (level - 1))) & 511;
}

/* The entry for @iova at @level; tables above it are made as needed */
static __u64 *fs_entry(struct fs_table *t, __u64 iova, unsigned int level)
{
	__u64 *table = vm_ptr(t->vm, t->root), *entry;
	unsigned int at;

	for (at = t->levels; at > level; at--) {
		entry = &table[fs_index(iova, at)];
		if (!*entry)
			*entry = vm_alloc(t->vm, PAGE) | FS_FULL;
		table = vm_ptr(t->vm, *entry & FS_ADDR);
	}
	return &table[fs_index(iova, level)];
}

static void fs_map(struct fs_table *t, __u64 iova, __u64 gpa, __u64 flags)
{
	*fs_entry(t, iova, 1) = gpa | flags;
}

static void fs_init(struct fs_table *t, struct vm *vm, unsigned int levels)
{
	t->vm = vm;
	t->levels = levels;
	t->root = vm_alloc(vm, PAGE);
}

FIXTURE(vtd_s1)
{
	struct vm vm;
	struct edu edu, other;
	struct fs_table table;
	__u32 hwpt;
	__u64 a, b, spare;	/* pages of guest memory */
};

static int s1_hwpt(struct vm *vm, struct edu *edu, struct fs_table *t,
		   __u64 flags, __u32 *id)
{
	struct iommu_hwpt_vtd_s1 data = {
		.flags = flags,
		.pgtbl_addr = t->root,
		.addr_width = 12 + 9 * t->levels,
	};
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = edu->dev.id,
		.pt_id = vm->parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int rc = call(vm->iommufd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

static int s1_invalidate(struct vm *vm, __u32 hwpt, __u64 addr, __u64 npages,
			 __u32 flags)
{
	struct iommu_hwpt_vtd_s1_invalidate inv = {
		.addr = addr,
		.npages = npages,
		.flags = flags,
	};
	__u32 num = 1;

	return invalidate_entries(vm->iommufd, hwpt,
				  IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, &inv,
				  sizeof(inv), &num);
}

/* Does a DMA to @iova write what is at @gpa? */
static bool lands(struct vm *vm, struct edu *edu, __u64 iova, __u64 gpa)
{
	__u8 *mem = vm_ptr(vm, gpa);

	memset(mem, VM_UNTOUCHED, EDU_CHUNK);
	return !edu_write(edu, iova) &&
	       !memcmp(mem, edu_written(edu), EDU_CHUNK);
}

/*
 * Nothing of the VM's memory changes by a DMA to @iova, but that tables may have
 * been looked at
 */
static bool blocked(struct vm *vm, struct edu *edu, __u64 iova)
{
	__u64 *before = malloc(VM_SIZE), *after = (void *)vm->mem;
	bool same;
	size_t i;

	if (!before)
		abort();
	memcpy(before, vm->mem, VM_SIZE);
	same = !edu_write(edu, iova);
	for (i = 0; i < VM_SIZE / sizeof(*after); i++)
		same = same && !((before[i] ^ after[i]) & ~FS_A);
	free(before);
	return same;
}

/*
 * Does a DMA from @iova read what is at @gpa? @way_out leads to @spare, to look
 * at what was read.
 */
static bool reads(struct vm *vm, struct edu *edu, __u64 iova, __u64 gpa,
		  __u64 way_out, __u64 spare)
{
	static __u8 secret;
	__u8 data[EDU_CHUNK];
	bool same;

	memset(data, ++secret, sizeof(data));
	memcpy(vm_ptr(vm, gpa), data, sizeof(data));
	if (edu_begin(edu, iova, EDU_BUFFER, sizeof(data), 0) ||
	    edu_begin(edu, EDU_BUFFER, way_out, sizeof(data),
		      EDU_CMD_TO_RAM) || edu_wait(edu))
		abort();
	same = !memcmp(vm_ptr(vm, spare), data, sizeof(data));
	/* what the buffer held goes back there, by the same way */
	memcpy(vm_ptr(vm, spare), edu->pattern, sizeof(data));
	if (edu_begin(edu, way_out, EDU_BUFFER, sizeof(data), 0) ||
	    edu_wait(edu))
		abort();
	return same;
}

static void set_pasid(struct edu *edu, __u32 value)
{
	if (!edu_wait(edu))
		vfio_write32(&edu->dev, EDU_PASID, value);
}

FIXTURE_SETUP(vtd_s1)
{
	struct vm *vm = &self->vm;
	int rc;

	vm->iommufd = -1;
	self->other.dev.fd = -1;
	rc = edu_open(&self->edu, 0);
	rc = rc ?: vm_init(vm, &self->edu.dev);
	if (rc == -ENODEV || rc == -ENOENT || rc == -EOPNOTSUPP)
		SKIP(return, "no device whose IOMMU nests");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(&self->edu.dev, vm->parent));
	self->a = vm_alloc(vm, PAGE);
	self->b = vm_alloc(vm, PAGE);
	self->spare = vm_alloc(vm, PAGE);
	set_pasid(&self->edu, 0);
	edu_pattern(&self->edu, vm_ptr(vm, self->spare), 0x11);
	ASSERT_EQ(0, edu_load(&self->edu, self->spare));

	fs_init(&self->table, vm, 4);
	fs_map(&self->table, GIOVA, self->a, FS_FULL);
	fs_map(&self->table, GIOVA + PAGE, self->b, FS_FULL);
	fs_map(&self->table, GIOVA + 2 * PAGE, self->spare, FS_FULL);
	rc = s1_hwpt(vm, &self->edu, &self->table, 0, &self->hwpt);
	if (rc == -EOPNOTSUPP)
		SKIP(return, "not VT-d");
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(vtd_s1)
{
	if (self->edu.dev.bar_size)
		set_pasid(&self->edu, 0);
	vfio_close(&self->other.dev);
	vfio_close(&self->edu.dev);
	vm_exit(&self->vm);
}

TEST_F(vtd_s1, translate)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;

	EXPECT_TRUE(lands(vm, edu, self->a, self->a));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->b));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE - EDU_CHUNK,
			  self->a + PAGE - EDU_CHUNK));
	EXPECT_TRUE(blocked(vm, edu, self->a));
	EXPECT_TRUE(reads(vm, edu, GIOVA, self->a, GIOVA + 2 * PAGE,
			  self->spare));
	EXPECT_FALSE(reads(vm, edu, self->a, self->a, GIOVA + 2 * PAGE,
			   self->spare));
	ASSERT_EQ(0, vfio_attach(&edu->dev, vm->parent));
	EXPECT_TRUE(lands(vm, edu, self->a, self->a));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
}

TEST_F(vtd_s1, first_stage_rights)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table;
	__u64 out = GIOVA + 2 * PAGE, *upper;

	fs_map(t, GIOVA, self->a, FS_USER);
	fs_map(t, GIOVA + PAGE, self->b, FS_P | FS_RW);	/* supervisor's */
	fs_map(t, GIOVA + 3 * PAGE, self->b, FS_FULL | FS_RSVD);
	fs_map(t, GIOVA + 4 * PAGE, self->b, FS_US | FS_RW);	/* not present */
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	EXPECT_TRUE(reads(vm, edu, GIOVA, self->a, out, self->spare));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	EXPECT_TRUE(blocked(vm, edu, GIOVA + PAGE));
	EXPECT_FALSE(reads(vm, edu, GIOVA + PAGE, self->b, out, self->spare));
	EXPECT_TRUE(blocked(vm, edu, GIOVA + 3 * PAGE));
	EXPECT_TRUE(blocked(vm, edu, GIOVA + 4 * PAGE));
	EXPECT_FALSE(reads(vm, edu, GIOVA + 4 * PAGE, self->b, out,
			   self->spare));

	/* An upper level takes rights away as well */
	fs_map(t, GIOVA, self->a, FS_FULL);
	upper = fs_entry(t, GIOVA, 3);
	*upper &= ~FS_RW;
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, 0, UINT64_MAX, 0));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	*upper |= FS_RW;
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
}

static int map_read_only(struct vm *vm, __u32 ioas, __u64 from, __u64 gpa)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)vm_ptr(vm, from),
		.length = PAGE,
		.iova = gpa,
	};

	return call(vm->iommufd, IOMMU_IOAS_MAP, &cmd);
}

/*
 * There is hardware that writes to what is read-only in the second stage when it
 * nests (erratum 772415). So the kernel has such mappings only elsewhere.
 */
TEST_F(vtd_s1, second_stage_rights)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	__u32 ioas;

	EXPECT_EQ(-EINVAL, map_read_only(vm, vm->ioas, self->b, SINGLE_GPA));
	fs_map(&self->table, GIOVA, SINGLE_GPA, FS_FULL);
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));

	ASSERT_EQ(0, ioas_alloc(vm->iommufd, &ioas));
	ASSERT_EQ(0, map_read_only(vm, ioas, self->b, SINGLE_GPA));
	ASSERT_EQ(0, ioas_map(vm->iommufd, ioas, vm->mem, VM_GPA, VM_SIZE));
	ASSERT_EQ(0, vfio_attach(&edu->dev, ioas));
	EXPECT_TRUE(blocked(vm, edu, SINGLE_GPA));
	EXPECT_TRUE(reads(vm, edu, SINGLE_GPA, self->b, self->spare,
			  self->spare));
	EXPECT_TRUE(blocked(vm, edu, SINGLE_GPA));
}

TEST_F(vtd_s1, accessed_and_dirty)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table;
	__u64 out = GIOVA + 2 * PAGE;
	unsigned int level;
	__u32 hwpt;

	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(reads(vm, edu, GIOVA, self->a, out, self->spare));
	EXPECT_EQ(self->a | FS_FULL | FS_A, *fs_entry(t, GIOVA, 1));
	for (level = 2; level <= 4; level++)
		EXPECT_EQ(FS_A, *fs_entry(t, GIOVA, level) &
				(FS_A | FS_D | FS_EA));
	EXPECT_EQ(self->b | FS_FULL, *fs_entry(t, GIOVA + PAGE, 1));
	/* What a read left in the cache does not hide the first write */
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_EQ(self->a | FS_FULL | FS_A | FS_D, *fs_entry(t, GIOVA, 1));

	ASSERT_EQ(0, s1_hwpt(vm, edu, t, IOMMU_VTD_S1_EAFE, &hwpt));
	ASSERT_EQ(0, vfio_attach(&edu->dev, hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->b));
	EXPECT_EQ(self->b | FS_FULL | FS_A | FS_D | FS_EA,
		  *fs_entry(t, GIOVA + PAGE, 1));
}

/* Nothing changes before it is invalidated, and nothing else changes then */
TEST_F(vtd_s1, invalidate)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table;
	__u32 leaf = IOMMU_VTD_INV_FLAGS_LEAF;

	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->b));
	fs_map(t, GIOVA, self->b, FS_FULL);
	fs_map(t, GIOVA + PAGE, self->a, FS_FULL);
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->b));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA - PAGE, 1, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA, 1, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->b));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA + PAGE, 1, leaf));
	EXPECT_TRUE(lands(vm, edu, GIOVA + PAGE, self->a));

	/* A range that is not aligned to its size */
	fs_map(t, GIOVA, self->a, FS_FULL);
	*fs_entry(t, GIOVA + PAGE, 1) = 0;
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA, 2, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_TRUE(blocked(vm, edu, GIOVA + PAGE));

	/* All, with an address mask as wide as the address */
	fs_map(t, GIOVA, self->b, FS_FULL);
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, 0, UINT64_MAX, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	*fs_entry(t, GIOVA, 1) = 0;
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, 0, 1ULL << 36, 0));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
}

/* The same for entries that lead to tables */
TEST_F(vtd_s1, invalidate_tables)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table, other;
	__u64 *entry = fs_entry(t, GIOVA, 2);
	unsigned int i;

	fs_init(&other, vm, 4);
	for (i = 0; i < 4; i++)
		fs_map(&other, GIOVA + i * PAGE, self->b, FS_FULL);
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	*entry = *fs_entry(&other, GIOVA, 2);
	/* A page that was not used yet is found in the old table, */
	EXPECT_TRUE(lands(vm, edu, GIOVA + 2 * PAGE, self->spare));
	/* also after it is invalidated alone */
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA, 1,
				   IOMMU_VTD_INV_FLAGS_LEAF));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA, 1, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	EXPECT_TRUE(lands(vm, edu, GIOVA + 3 * PAGE, self->b));
	EXPECT_TRUE(lands(vm, edu, GIOVA + 2 * PAGE, self->spare));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, 0, UINT64_MAX, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA + 2 * PAGE, self->b));
}

/* A device without a first stage, by ATS if it has a TLB of its own */
TEST_F(vtd_s1, parent_unmap)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	int fd = vm->iommufd;

	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, self->a), SINGLE_GPA,
			      PAGE));
	ASSERT_EQ(0, vfio_attach(&edu->dev, vm->parent));
	EXPECT_TRUE(lands(vm, edu, SINGLE_GPA, self->a));
	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, SINGLE_GPA, PAGE));
	EXPECT_TRUE(blocked(vm, edu, SINGLE_GPA));
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, self->b), SINGLE_GPA,
			      PAGE));
	EXPECT_TRUE(lands(vm, edu, SINGLE_GPA, self->b));
}

/* The host changes second-stage mappings of data and of the guest's tables */
TEST_F(vtd_s1, second_stage_unmap)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table, moved;
	__u64 iova = GIOVA + (1ULL << 39), gpa = SINGLE_GPA + PAGE, table;
	int fd = vm->iommufd;

	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, self->a), SINGLE_GPA,
			      PAGE));
	fs_map(t, GIOVA, SINGLE_GPA, FS_FULL);
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, SINGLE_GPA, PAGE));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, self->b), SINGLE_GPA,
			      PAGE));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));

	/* Another leaf table appears at the same GPA */
	fs_map(t, iova, self->a, FS_FULL);
	table = *fs_entry(t, iova, 2) & FS_ADDR;
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, table), gpa, PAGE));
	*fs_entry(t, iova, 2) = gpa | FS_FULL;
	EXPECT_TRUE(lands(vm, edu, iova, self->a));
	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, gpa, PAGE));
	EXPECT_TRUE(blocked(vm, edu, iova));
	fs_init(&moved, vm, 4);
	*(__u64 *)vm_ptr(vm, moved.root + 8 * fs_index(iova, 1)) =
		self->b | FS_FULL;
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, moved.root), gpa, PAGE));
	EXPECT_TRUE(lands(vm, edu, iova, self->b));
}

/* Large pages of the guest on small ones of the host: the small ones count */
TEST_F(vtd_s1, large_pages)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table;
	__u64 pages[3] = { self->b, self->spare, self->a }, base, iova;
	unsigned int level, i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas,
				      vm_ptr(vm, pages[i]),
				      SINGLE_GPA + i * PAGE, PAGE));
	for (level = 2; level <= 3; level++) {
		iova = GIOVA + ((__u64)level << 39);
		iova &= ~((PAGE << (9 * (level - 1))) - 1);
		base = SINGLE_GPA & ~((PAGE << (9 * (level - 1))) - 1);
		*fs_entry(t, iova, level) = base | FS_FULL | FS_PS;
		iova += SINGLE_GPA - base;
		ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
		for (i = 0; i < 3; i++)
			EXPECT_TRUE(lands(vm, edu, iova + i * PAGE, pages[i]));
		EXPECT_TRUE(blocked(vm, edu, iova + 3 * PAGE));
		EXPECT_EQ(base | FS_FULL | FS_PS | FS_A | FS_D,
			  *fs_entry(t, iova, level));
		*fs_entry(t, iova, level) |= PAGE << 1;	/* reserved */
		ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, iova, 1, 0));
		EXPECT_TRUE(blocked(vm, edu, iova));
		EXPECT_TRUE(lands(vm, edu, iova + PAGE, pages[1]));
		ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, iova, 512, 0));
		EXPECT_TRUE(blocked(vm, edu, iova + PAGE));
	}
}

/* Small pages of the guest on large ones of the host */
TEST_F(vtd_s1, small_pages)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	__u64 huge = vm_alloc(vm, VM_HUGE);
	unsigned int i;

	for (i = 0; i < 3; i++)
		fs_map(&self->table, GIOVA + i * PAGE, huge + (7 - i) * PAGE,
		       FS_FULL);
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(lands(vm, edu, GIOVA + i * PAGE,
				  huge + (7 - i) * PAGE));
}

/* From one table to another and back, with no invalidation of the guest's */
TEST_F(vtd_s1, replace)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table other;
	unsigned int i;
	__u32 hwpt;

	fs_init(&other, vm, 4);
	fs_map(&other, GIOVA, self->b, FS_FULL);
	ASSERT_EQ(0, s1_hwpt(vm, edu, &other, 0, &hwpt));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
		EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
		ASSERT_EQ(0, vfio_attach(&edu->dev, hwpt));
		EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
		EXPECT_TRUE(blocked(vm, edu, GIOVA + PAGE));
		ASSERT_EQ(0, vfio_attach(&edu->dev, vm->parent));
		EXPECT_TRUE(blocked(vm, edu, GIOVA));
		EXPECT_TRUE(lands(vm, edu, self->b, self->b));
	}
	ASSERT_EQ(0, vfio_detach(&edu->dev));
	EXPECT_TRUE(blocked(vm, edu, self->b));
	EXPECT_EQ(0, iommufd_destroy(vm->iommufd, hwpt));
}

TEST_F(vtd_s1, five_levels)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	__u64 iova = 0x12345678901000ULL, high = 0xff00000000000000ULL;
	struct fs_table five;
	__u32 hwpt;

	fs_init(&five, vm, 5);
	fs_map(&five, iova, self->a, FS_FULL);
	fs_map(&five, high, self->b, FS_FULL);
	ASSERT_EQ(0, s1_hwpt(vm, edu, &five, 0, &hwpt));
	ASSERT_EQ(0, vfio_attach(&edu->dev, hwpt));
	EXPECT_TRUE(lands(vm, edu, iova, self->a));
	EXPECT_TRUE(lands(vm, edu, high, self->b));
	EXPECT_TRUE(blocked(vm, edu, high & (_BITULL(57) - 1)));
	EXPECT_TRUE(blocked(vm, edu, iova + (1ULL << 48)));
}

TEST_F(vtd_s1, canonical)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	__u64 high = 0xffff900000000000ULL;

	fs_map(&self->table, high, self->b, FS_FULL);
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(blocked(vm, edu, high & (_BITULL(48) - 1)));
	EXPECT_TRUE(lands(vm, edu, high, self->b));
	EXPECT_TRUE(blocked(vm, edu, high & (_BITULL(48) - 1)));
	EXPECT_TRUE(blocked(vm, edu, high & (_BITULL(49) - 1)));
	fs_map(&self->table, high, self->a, FS_FULL);
	EXPECT_TRUE(lands(vm, edu, high, self->b));
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, high, 1, 0));
	EXPECT_TRUE(lands(vm, edu, high, self->a));
}

/* Pointers that lead out of the guest's memory, or too far */
TEST_F(vtd_s1, bad_pointers)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table *t = &self->table, bad = *t;
	__u64 holes[] = { VM_GPA + VM_SIZE, 0, _BITULL(47), 0xfee00000 };
	__u64 table, own = 0x552a954aa000ULL;
	unsigned int i;
	__u32 hwpt;

	table = *fs_entry(t, GIOVA, 2);
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		fs_map(t, GIOVA, holes[i], FS_FULL);
		ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
		EXPECT_TRUE(blocked(vm, edu, GIOVA));
		*fs_entry(t, GIOVA, 2) = holes[i] | FS_FULL;
		EXPECT_TRUE(blocked(vm, edu, GIOVA));
		*fs_entry(t, GIOVA, 2) = table;

		bad.root = holes[i];
		ASSERT_EQ(0, s1_hwpt(vm, edu, &bad, 0, &hwpt));
		ASSERT_EQ(0, vfio_attach(&edu->dev, hwpt));
		EXPECT_TRUE(blocked(vm, edu, GIOVA));
	}

	/* A table that is its own next level is a page of itself at last */
	*fs_entry(t, own, 4) = t->root | FS_FULL;
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, own, t->root));
}

TEST_F(vtd_s1, two_devices)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu, *other = &self->other;
	struct fs_table table;
	__u32 hwpt;

	ASSERT_EQ(0, edu_open(other, 1));
	ASSERT_EQ(0, vfio_bind(&other->dev, vm->iommufd));
	ASSERT_EQ(0, vfio_attach(&other->dev, vm->parent));
	set_pasid(other, 0);
	edu_pattern(other, vm_ptr(vm, self->spare), 0x77);
	ASSERT_EQ(0, edu_load(other, self->spare));

	/* One table for both, */
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	ASSERT_EQ(0, vfio_attach(&other->dev, self->hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	EXPECT_TRUE(lands(vm, other, GIOVA, self->a));
	fs_map(&self->table, GIOVA, self->b, FS_FULL);
	ASSERT_EQ(0, s1_invalidate(vm, self->hwpt, GIOVA, 1, 0));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	EXPECT_TRUE(lands(vm, other, GIOVA, self->b));

	/* one each, */
	fs_init(&table, vm, 4);
	fs_map(&table, GIOVA, self->a, FS_FULL);
	ASSERT_EQ(0, s1_hwpt(vm, other, &table, 0, &hwpt));
	ASSERT_EQ(0, vfio_attach(&other->dev, hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	EXPECT_TRUE(lands(vm, other, GIOVA, self->a));
	/* and what is invalidated for one stays with the other */
	fs_map(&self->table, GIOVA, self->a, FS_FULL);
	fs_map(&table, GIOVA, self->b, FS_FULL);
	ASSERT_EQ(0, s1_invalidate(vm, hwpt, 0, UINT64_MAX, 0));
	EXPECT_TRUE(lands(vm, other, GIOVA, self->b));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
}

TEST_F(vtd_s1, interrupt)
{
	struct edu *edu = &self->edu;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irqs(&edu->dev, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &fd));
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	edu_interrupt(edu);
	EXPECT_EQ(1, poll(&poll_fd, 1, 5000));
	EXPECT_TRUE(lands(&self->vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, vfio_irqs(&edu->dev, VFIO_PCI_MSI_IRQ_INDEX, 0, 0, NULL));
	close(fd);
}

/* A table is for requests without a PASID: none with a PASID passes */
TEST_F(vtd_s1, pasid)
{
	struct vm *vm = &self->vm;
	struct edu *edu = &self->edu;
	struct fs_table other;
	__u32 hwpt;

	set_pasid(edu, EDU_PASID_USE | 77);
	if (vfio_read32(&edu->dev, EDU_PASID) != (EDU_PASID_USE | 77))
		SKIP(return, "the device has no PASIDs");
	EXPECT_TRUE(blocked(vm, edu, self->a));
	ASSERT_EQ(0, vfio_attach(&edu->dev, self->hwpt));
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
	EXPECT_TRUE(blocked(vm, edu, self->a));
	set_pasid(edu, 0);
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));

	/* PASID 0 is what the kernel has for requests without one */
	fs_init(&other, vm, 4);
	fs_map(&other, GIOVA, self->b, FS_FULL);
	ASSERT_EQ(0, s1_hwpt(vm, edu, &other, 0, &hwpt));
	set_pasid(edu, EDU_PASID_USE);
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->a));
	ASSERT_EQ(0, vfio_attach(&edu->dev, hwpt));
	EXPECT_TRUE(lands(vm, edu, GIOVA, self->b));
	set_pasid(edu, EDU_PASID_USE | 1);
	EXPECT_TRUE(blocked(vm, edu, GIOVA));
}

TEST_HARNESS_MAIN
