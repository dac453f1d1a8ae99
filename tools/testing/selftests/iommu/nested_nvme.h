/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The least driver of an NVMe disk: an admin queue and some for I/O, polled.
 * Its DMA takes no time under emulation. It does not notice that its DMA
 * failed.
 *
 * References are to the NVM Express base specification 1.4.
 */
#ifndef __NESTED_NVME_H
#define __NESTED_NVME_H

#include "nested_table.h"

#define NVME_VENDOR	0x1b36
#define NVME_DEVICE	0x0010

#define NVME_CC		0x14
#define NVME_CSTS	0x1c
#define NVME_AQA	0x24
#define NVME_ASQ	0x28
#define NVME_ACQ	0x30
#define NVME_DOORBELLS	0x1000

#define NVME_CC_ENABLE	(1 | 6 << 16 | 4 << 20)	/* entries of 64 and 16 bytes */
#define NVME_CSTS_READY	0x1
#define NVME_QUEUES	3
#define NVME_ENTRIES	64
#define NVME_LBA_SIZE	512
/* Number of 4096-byte pages that one command may transfer here */
#define NVME_MAX_PAGES	32

#define NVME_ADMIN_CREATE_SQ	0x01
#define NVME_ADMIN_CREATE_CQ	0x05
#define NVME_ADMIN_GET_FEATURES	0x0a
#define NVME_FEATURE_QUEUES	0x07
#define NVME_FLUSH		0x00
#define NVME_READ		0x02

#define NVME_CONTIGUOUS	0x1
#define NVME_INTERRUPT	0x2

struct nvme_command {
	__u8 opcode;
	__u8 flags;
	__u16 id;
	__u32 nsid;
	__u64 reserved[2];
	__u64 prp[2];
	__u32 cdw[6];
};

struct nvme_completion {
	__u32 result[2];
	__u16 sq_head;
	__u16 sq_id;
	__u16 id;
	__u16 status;	/* bit 0 is the phase */
};

struct nvme_queue {
	__u64 sq, cq;	/* GPA, and gIOVA too */
	unsigned int tail, head;
	__u16 phase;
};

struct nvme {
	struct vfio_dev dev;
	struct vm *vm;
	struct nvme_queue queues[NVME_QUEUES];
	__u64 prp_list;
};

static inline int nvme_open(struct nvme *nvme)
{
	memset(nvme, 0, sizeof(*nvme));
	return vfio_open(&nvme->dev, NVME_VENDOR, NVME_DEVICE, 0);
}

static inline void nvme_doorbell(struct nvme *nvme, int queue,
				 bool completion, __u32 value)
{
	vfio_write32(&nvme->dev, NVME_DOORBELLS + (2 * queue + completion) * 4,
		     value);
}

/* Put a command into a queue; the device fetches it by DMA */
static inline void nvme_begin(struct nvme *nvme, int queue,
			      struct nvme_command *cmd)
{
	struct nvme_queue *q = &nvme->queues[queue];
	struct nvme_command *sq = vm_ptr(nvme->vm, q->sq);

	cmd->id = q->tail;
	sq[q->tail] = *cmd;
	q->tail = (q->tail + 1) % NVME_ENTRIES;
	nvme_doorbell(nvme, queue, false, q->tail);
}

/* The status of the oldest command: 0, or what the device complains about */
static inline int nvme_finish(struct nvme *nvme, int queue)
{
	struct nvme_queue *q = &nvme->queues[queue];
	struct nvme_completion *cq = vm_ptr(nvme->vm, q->cq);
	unsigned int tries = 0;
	__u16 status;

	while (((status = __atomic_load_n(&cq[q->head].status,
					  __ATOMIC_ACQUIRE)) & 1) == q->phase) {
		if (++tries > 3000)
			return -ETIMEDOUT;
		if (tries > 1000)
			usleep(1000);
	}
	q->head = (q->head + 1) % NVME_ENTRIES;
	if (!q->head)
		q->phase ^= 1;
	nvme_doorbell(nvme, queue, true, q->head);
	return status >> 1 & 0x7fff;
}

static inline int nvme_command(struct nvme *nvme, int queue,
			       struct nvme_command *cmd)
{
	nvme_begin(nvme, queue, cmd);
	return nvme_finish(nvme, queue);
}

static inline int nvme_wait_ready(struct nvme *nvme, bool ready)
{
	int tries = 5000;

	while ((vfio_read32(&nvme->dev, NVME_CSTS) & NVME_CSTS_READY) !=
	       ready) {
		if (!tries--)
			return -ETIMEDOUT;
		usleep(1000);
	}
	return 0;
}

/* Let the disk run, with its admin queue at @sq and @cq */
static inline int nvme_enable(struct nvme *nvme, __u64 sq, __u64 cq)
{
	vfio_write32(&nvme->dev, NVME_AQA,
		     (NVME_ENTRIES - 1) | (NVME_ENTRIES - 1) << 16);
	vfio_write64(&nvme->dev, NVME_ASQ, sq);
	vfio_write64(&nvme->dev, NVME_ACQ, cq);
	vfio_write32(&nvme->dev, NVME_CC, NVME_CC_ENABLE);
	return nvme_wait_ready(nvme, true);
}

/*
 * Have a disk read a command from @iova, whether there is memory or not. If there is
 * none, it is of no use until it is told to start over.
 */
static inline int nvme_fetch(struct nvme *nvme, __u64 iova)
{
	int rc;

	vfio_write32(&nvme->dev, NVME_CC, 0);
	rc = nvme_wait_ready(nvme, false);
	rc = rc ?: nvme_enable(nvme, iova, iova);
	if (!rc)
		nvme_doorbell(nvme, 0, false, 1);
	return rc;
}

static inline int nvme_create(struct nvme *nvme, int queue, bool interrupts)
{
	struct nvme_command cmd = {};
	int rc;

	cmd.opcode = NVME_ADMIN_CREATE_CQ;
	cmd.prp[0] = nvme->queues[queue].cq;
	cmd.cdw[0] = queue | (NVME_ENTRIES - 1) << 16;
	cmd.cdw[1] = NVME_CONTIGUOUS;
	if (interrupts)
		cmd.cdw[1] |= NVME_INTERRUPT | queue << 16;
	rc = nvme_command(nvme, 0, &cmd);
	if (rc)
		return rc;
	cmd.opcode = NVME_ADMIN_CREATE_SQ;
	cmd.prp[0] = nvme->queues[queue].sq;
	cmd.cdw[1] = NVME_CONTIGUOUS | queue << 16;
	return nvme_command(nvme, 0, &cmd);
}

/*
 * Start over, with empty queues. With @interrupts each I/O queue raises the
 * vector of its own number, which must be set up; the admin queue always does.
 */
static inline int nvme_reset(struct nvme *nvme, bool interrupts)
{
	struct nvme_queue *q;
	int i, rc;

	vfio_write32(&nvme->dev, NVME_CC, 0);
	rc = nvme_wait_ready(nvme, false);
	if (rc)
		return rc;
	for (i = 0; i < NVME_QUEUES; i++) {
		q = &nvme->queues[i];
		q->tail = 0;
		q->head = 0;
		q->phase = 0;
		memset(vm_ptr(nvme->vm, q->cq), 0, 4096);
	}
	rc = nvme_enable(nvme, nvme->queues[0].sq, nvme->queues[0].cq);
	for (i = 1; i < NVME_QUEUES && !rc; i++)
		rc = nvme_create(nvme, i, interrupts);
	return rc;
}

/*
 * Bring the disk up. Guest memory must be reachable one to one, then and later:
 * by stage 2 alone or by nvme_identity_map().
 */
static inline int nvme_start(struct nvme *nvme, struct vm *vm)
{
	int i;

	nvme->vm = vm;
	for (i = 0; i < NVME_QUEUES; i++) {
		nvme->queues[i].sq = vm_alloc(vm, 4096);
		nvme->queues[i].cq = vm_alloc(vm, 4096);
	}
	nvme->prp_list = vm_alloc(vm, 4096);
	return nvme_reset(nvme, false);
}

/* Let the disk reach its queues through a table of the guest */
static inline void nvme_identity_map(struct nvme *nvme, struct s1_table *t)
{
	__u64 mask = (1ULL << t->granule_log2) - 1;
	int i;

	for (i = 0; i < NVME_QUEUES; i++) {
		s1_map(t, nvme->queues[i].sq & ~mask,
		       nvme->queues[i].sq & ~mask);
		s1_map(t, nvme->queues[i].cq & ~mask,
		       nvme->queues[i].cq & ~mask);
	}
	s1_map(t, nvme->prp_list & ~mask, nvme->prp_list & ~mask);
}

/* Start to read @pages pages, or less than one in @bytes, to @iova */
static inline void nvme_begin_read(struct nvme *nvme, __u64 iova, __u64 bytes)
{
	__u64 *list = vm_ptr(nvme->vm, nvme->prp_list);
	struct nvme_command cmd = {
		.opcode = NVME_READ,
		.nsid = 1,
		.prp[0] = iova,
		.cdw[2] = bytes / NVME_LBA_SIZE - 1,
	};
	__u64 i, pages = (bytes + 4095) / 4096;

	for (i = 1; i < pages; i++)
		list[i - 1] = iova + i * 4096;
	if (pages == 2)
		cmd.prp[1] = list[0];
	else if (pages > 2)
		cmd.prp[1] = nvme->prp_list;
	nvme_begin(nvme, 1, &cmd);
}

/* Read from the disk, which is full of zeroes, to @iova */
static inline int nvme_read(struct nvme *nvme, __u64 iova, __u64 bytes)
{
	nvme_begin_read(nvme, iova, bytes);
	return nvme_finish(nvme, 1);
}

/* Have a command complete in @queue that does nothing else */
static inline int nvme_nop(struct nvme *nvme, int queue)
{
	struct nvme_command cmd = {};

	if (queue) {
		cmd.opcode = NVME_FLUSH;
		cmd.nsid = 1;
	} else {
		cmd.opcode = NVME_ADMIN_GET_FEATURES;
		cmd.cdw[0] = NVME_FEATURE_QUEUES;
	}
	return nvme_command(nvme, queue, &cmd);
}

#endif
