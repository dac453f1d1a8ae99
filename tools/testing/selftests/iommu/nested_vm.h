/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual machine without a CPU: guest memory at guest physical addresses,
 * and the nesting parent (stage 2) that maps them. The test is VMM and guest in
 * one.
 */
#ifndef __NESTED_VM_H
#define __NESTED_VM_H

#include <sys/mman.h>

#include "nested_vfio.h"

/* Where guest memory starts. Beyond 32 bits, to find truncation. */
#define VM_GPA		0x100000000ULL
#define VM_SIZE		(16ULL << 20)
#define VM_HUGE		(2ULL << 20)
/* What memory holds that no DMA has reached */
#define VM_UNTOUCHED	0xa5
/* That a VM gets to know */
#define VM_MAX_DEVS	4

struct vm {
	int iommufd;
	__u32 ioas;
	__u32 parent;
	__u32 viommu;
	__u32 vsids[VM_MAX_DEVS];
	unsigned int nr_vsids;
	bool ats;		/* a device of the VM uses it */
	__u8 *mem;
	__u64 used;
};

#include "nested_front.h"

static inline void *vm_ptr(const struct vm *vm, __u64 gpa)
{
	return vm->mem + (gpa - VM_GPA);
}

/*
 * Take guest memory: a GPA aligned to @size, a power of two from 4096 on. Full
 * of zeroes, never freed. The memory is sized for the tests: to run out of it
 * is a mistake in one.
 */
static inline __u64 vm_alloc(struct vm *vm, __u64 size)
{
	__u64 offset = (vm->used + size - 1) & ~(size - 1);

	if (offset + size > VM_SIZE)
		abort();
	vm->used = offset + size;
	return VM_GPA + offset;
}

static inline int vm_map(struct vm *vm)
{
	return ioas_map(vm->iommufd, vm->ioas, vm->mem, VM_GPA, VM_SIZE);
}

/*
 * Map a page where the VM has none, and unmap it: something is invalidated for all
 * that the address space is attached to
 */
static inline int vm_map_and_unmap(const struct vm *vm)
{
	__u64 gpa = VM_GPA + 2 * VM_SIZE;
	int rc = ioas_map(vm->iommufd, vm->ioas, vm->mem, gpa, 4096);

	return rc ?: ioas_unmap(vm->iommufd, vm->ioas, gpa, 4096);
}

/* The same as a round of a racer, for a VM that is its data */
static inline int vm_round(void *vm, unsigned int i)
{
	return vm_map_and_unmap(vm);
}

/* The same memory in another address space, which ends with the VM's context */
static inline int vm_apart(const struct vm *vm, struct vm *apart)
{
	int rc;

	*apart = *vm;
	rc = ioas_alloc(apart->iommufd, &apart->ioas);
	return rc ?: vm_map(apart);
}

/*
 * In huge pages: QEMU's SMMU translates only the start of a stage-1 table by
 * stage 2, so that tables beyond 4096 bytes must be contiguous in memory.
 */
static inline int vm_memory(struct vm *vm)
{
	__u8 *mem = mmap(NULL, VM_SIZE + VM_HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return -errno;
	vm->mem = (void *)(((uintptr_t)mem + VM_HUGE - 1) & ~(VM_HUGE - 1));
	madvise(vm->mem, VM_SIZE, MADV_HUGEPAGE);
	memset(vm->mem, 0, VM_SIZE);
	/* Nothing is at offset 0, where wrong addresses could happen to work */
	vm->used = 4096;
	return 0;
}

/* Make a VM that has memory in an IOAS, and no device yet */
static inline int vm_open(struct vm *vm)
{
	int rc;

	memset(vm, 0, sizeof(*vm));
	vm->iommufd = iommufd_open();
	if (vm->iommufd < 0)
		return vm->iommufd;
	rc = vm_memory(vm);
	rc = rc ?: ioas_alloc(vm->iommufd, &vm->ioas);
	return rc ?: vm_map(vm);
}

/*
 * Make a VM and bind its first device; more follow by vfio_bind(). Returns
 * -EOPNOTSUPP where the device cannot be nested.
 */
static inline int vm_init(struct vm *vm, struct vfio_dev *dev)
{
	int rc = vm_open(vm);

	rc = rc ?: vfio_bind(dev, vm->iommufd);
	return rc ?: hwpt_alloc(vm->iommufd, dev->id, vm->ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &vm->parent);
}

static inline void vm_exit(struct vm *vm)
{
	if (vm->iommufd >= 0)
		close(vm->iommufd);
	if (vm->mem)
		munmap(vm->mem, VM_SIZE);
}

#endif
