/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's edu device: copies between memory and a buffer of its own
 */
#ifndef __NESTED_EDU_H
#define __NESTED_EDU_H

#include <time.h>

#include "nested_vm.h"

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64
#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_CMD		0x98
#define EDU_CMD_START	0x1
#define EDU_CMD_TO_RAM	0x2
/* Of an edu that was patched to carry PASIDs */
#define EDU_PASID	0xa0
#define EDU_PASID_VALID	0x80000000
#define EDU_BUFFER	0x40000

/* The buffer holds different chunks, so that old data is not taken for new */
#define EDU_CHUNK	64
#define EDU_CHUNKS	32

struct edu {
	struct vfio_dev dev;
	unsigned int chunk;
	__u8 pattern[EDU_CHUNKS][EDU_CHUNK];
};

static inline int edu_open(struct edu *edu, unsigned int nth)
{
	memset(edu, 0, sizeof(*edu));
	return vfio_open(&edu->dev, EDU_VENDOR, EDU_DEVICE, nth);
}

/* The device takes 100 ms for each DMA, or as long as its dma-ms says */
static inline int edu_wait(struct edu *edu)
{
	int tries = 5000, quick = 200;

	while (vfio_read64(&edu->dev, EDU_CMD) & EDU_CMD_START) {
		if (quick) {
			quick--;
			continue;
		}
		if (!tries--)
			return -ETIMEDOUT;
		usleep(1000);
	}
	return 0;
}

static inline int edu_begin(struct edu *edu, __u64 src, __u64 dst, __u64 len,
			    unsigned int direction)
{
	/* One may still run that a test before this one started */
	int rc = edu_wait(edu);

	if (rc)
		return rc;
	vfio_write64(&edu->dev, EDU_SRC, src);
	vfio_write64(&edu->dev, EDU_DST, dst);
	vfio_write64(&edu->dev, EDU_COUNT, len);
	vfio_write64(&edu->dev, EDU_CMD, EDU_CMD_START | direction);
	return 0;
}

/* Start a DMA of the next chunk to memory */
static inline int edu_begin_write(struct edu *edu, __u64 iova)
{
	edu->chunk = (edu->chunk + 1) % EDU_CHUNKS;
	return edu_begin(edu, EDU_BUFFER + edu->chunk * EDU_CHUNK, iova,
			 EDU_CHUNK, EDU_CMD_TO_RAM);
}

static inline int edu_write(struct edu *edu, __u64 iova)
{
	int rc = edu_begin_write(edu, iova);

	return rc ?: edu_wait(edu);
}

/* What the last DMA to memory carried */
static inline const __u8 *edu_written(const struct edu *edu)
{
	return edu->pattern[edu->chunk];
}

/* Choose what is to be in the buffer and write it to memory, for edu_load() */
static inline void edu_pattern(struct edu *edu, void *mem, unsigned int seed)
{
	unsigned int i, j;

	for (i = 0; i < EDU_CHUNKS; i++)
		for (j = 0; j < EDU_CHUNK; j++)
			edu->pattern[i][j] = seed + i * 5 + j * 3;
	memcpy(mem, edu->pattern, sizeof(edu->pattern));
}

/* The buffer is full of zeroes, and DMA is off until this is done */
static inline int edu_after_reset(struct edu *edu)
{
	memset(edu->pattern, 0, sizeof(edu->pattern));
	return vfio_enable(&edu->dev);
}

static inline int edu_reset(struct edu *edu)
{
	int rc = call(edu->dev.fd, VFIO_DEVICE_RESET, NULL);

	return rc ?: edu_after_reset(edu);
}

/* DMA from memory: fill the buffer with the pattern, found at @iova */
static inline int edu_load(struct edu *edu, __u64 iova)
{
	int rc = edu_begin(edu, iova, EDU_BUFFER, sizeof(edu->pattern), 0);

	return rc ?: edu_wait(edu);
}

/*
 * Have DMA from now on carry a PASID, or none. The device keeps that until it is
 * told otherwise, and does not listen while a DMA runs.
 */
static inline void edu_pasid(struct edu *edu, __u32 pasid)
{
	edu_wait(edu);
	vfio_write32(&edu->dev, EDU_PASID, EDU_PASID_VALID | pasid);
}

static inline void edu_no_pasid(struct edu *edu)
{
	edu_wait(edu);
	vfio_write32(&edu->dev, EDU_PASID, 0);
}

/* One MSI, if they are on */
static inline void edu_interrupt(struct edu *edu)
{
	vfio_write32(&edu->dev, EDU_IRQ_RAISE, 1);
	vfio_write32(&edu->dev, EDU_IRQ_ACK, 1);
}

#endif
