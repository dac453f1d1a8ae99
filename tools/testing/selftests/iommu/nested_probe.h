/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where does a DMA go? A probe is a device that writes to memory, with two
 * places in guest memory for a gIOVA to lead to.
 */
#ifndef __NESTED_PROBE_H
#define __NESTED_PROBE_H

#include "nested_edu.h"
#include "nested_faults.h"
#include "nested_nvme.h"
#include "nested_table.h"

/* Each place is one granule of the largest kind */
#define PLACE_SIZE	65536ULL

enum place {
	NOWHERE,
	AT_A,
	AT_B,
	AT_BOTH,
	GARBLED,
};

struct probe {
	struct vm *vm;
	struct vfio_dev *dev;
	struct edu *edu;	/* one of the two */
	struct nvme *nvme;
	__u64 a, b;		/* GPA */
	__u64 spare;		/* GPA, for what the device needs itself */
};

static inline void probe_places(struct probe *p, struct vm *vm)
{
	p->vm = vm;
	p->a = vm_alloc(vm, PLACE_SIZE);
	p->b = vm_alloc(vm, PLACE_SIZE);
	p->spare = vm_alloc(vm, PLACE_SIZE);
}

/* The device must be attached to the VM's parent, or to nothing else */
static inline int probe_edu(struct probe *p, struct vm *vm, struct edu *edu)
{
	memset(p, 0, sizeof(*p));
	p->dev = &edu->dev;
	p->edu = edu;
	probe_places(p, vm);
	edu_no_pasid(edu);
	edu_pattern(edu, vm_ptr(vm, p->spare), p->spare >> 16);
	return edu_load(edu, p->spare);
}

static inline int probe_nvme(struct probe *p, struct vm *vm, struct nvme *nvme)
{
	memset(p, 0, sizeof(*p));
	p->dev = &nvme->dev;
	p->nvme = nvme;
	probe_places(p, vm);
	return nvme_start(nvme, vm);
}

/* What the device needs for itself must be in every table that it uses */
static inline void probe_prepare(struct probe *p, struct s1_table *t)
{
	if (p->nvme)
		nvme_identity_map(p->nvme, t);
}

/* Let a gIOVA lead to one of the places; what was cached stays cached */
static inline void probe_map(struct probe *p, struct s1_table *t, __u64 giova,
			     enum place place)
{
	__u64 offset = giova & (PLACE_SIZE - 1);

	if (place == NOWHERE)
		s1_unmap(t, giova);
	else
		s1_map(t, giova, (place == AT_A ? p->a : p->b) + offset);
}

/* Map one place by itself: an IOAS is unmapped as it was mapped */
static inline int probe_map_apart(struct probe *p)
{
	struct vm *vm = p->vm;
	int rc;

	rc = ioas_unmap(vm->iommufd, vm->ioas, VM_GPA, VM_SIZE);
	rc = rc ?: ioas_map(vm->iommufd, vm->ioas, vm->mem, VM_GPA,
			    p->a - VM_GPA);
	rc = rc ?: ioas_map(vm->iommufd, vm->ioas, vm_ptr(vm, p->a), p->a,
			    PLACE_SIZE);
	return rc ?: ioas_map(vm->iommufd, vm->ioas, vm_ptr(vm, p->b), p->b,
			      VM_GPA + VM_SIZE - p->b);
}

/* After probe_map_apart(): the memory stays the process', so a DMA into it is seen */
static inline int probe_unmap_a(struct probe *p)
{
	return ioas_unmap(p->vm->iommufd, p->vm->ioas, p->a, PLACE_SIZE);
}

static inline int probe_map_a(struct probe *p)
{
	return ioas_map(p->vm->iommufd, p->vm->ioas, vm_ptr(p->vm, p->a), p->a,
			PLACE_SIZE);
}

static inline enum place probe_compare(struct probe *p, const __u8 *mem)
{
	static const __u8 zeroes[EDU_CHUNK];
	const __u8 *data = p->edu ? edu_written(p->edu) : zeroes;
	__u8 untouched[EDU_CHUNK];

	memset(untouched, VM_UNTOUCHED, sizeof(untouched));
	if (!memcmp(mem, untouched, EDU_CHUNK))
		return NOWHERE;
	return memcmp(mem, data, EDU_CHUNK) ? GARBLED : AT_A;
}

/* One DMA to @iova, whose offset in its granule is also that in the place */
static inline enum place probe_dma(struct probe *p, __u64 iova)
{
	__u64 offset = iova & (PLACE_SIZE - 1);
	__u8 *a = vm_ptr(p->vm, p->a), *b = vm_ptr(p->vm, p->b);
	enum place in_a, in_b;
	int rc;

	memset(a, VM_UNTOUCHED, PLACE_SIZE);
	memset(b, VM_UNTOUCHED, PLACE_SIZE);
	rc = p->edu ? edu_write(p->edu, iova) :
		      nvme_read(p->nvme, iova, NVME_LBA_SIZE);
	in_a = probe_compare(p, a + offset);
	in_b = probe_compare(p, b + offset);

	if (in_a == GARBLED || in_b == GARBLED || rc < 0)
		return GARBLED;
	if (in_a && in_b)
		return AT_BOTH;
	return in_a ? AT_A : in_b ? AT_B : NOWHERE;
}

/* Whether DMA to @iova goes to @place, now or when the kernel has got that far */
static inline bool probe_gets_to(struct probe *p, __u64 iova, enum place place)
{
	int tries = 1000;

	while (probe_dma(p, iova) != place) {
		if (!tries--)
			return false;
		usleep(10000);
	}
	return true;
}

#endif
