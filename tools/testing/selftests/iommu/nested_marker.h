/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that marks how far the faults of an IOMMU were reported. An IOMMU has
 * one queue of them for all of its devices: when a fault of the marker is traced,
 * those of all DMA that ended before it have been traced or logged.
 *
 * The marker is a device that the test does not use, in a VM of its own. It is
 * opened where it is needed first, so that the test has what it wants before, and
 * ends with the process.
 */
#ifndef __NESTED_MARKER_H
#define __NESTED_MARKER_H

#include "nested_edu.h"
#include "nested_nvme.h"
#include "nested_req.h"
#include "nested_trace.h"

/* Nothing is mapped for the marker from here on; each DMA takes another page */
#define MARKER_IOVA	0x5a100000000ULL
/* How long to wait until another DMA is tried: the queue may have been full */
#define MARKER_MS	100
#define MARKER_TRIES	300

struct marker {
	struct edu edu;		/* one of the two */
	struct nvme nvme;
	struct vfio_dev *dev;	/* or NULL */
	struct vm vm;
	__u64 iova;
};

static struct marker marker;

/* The name of the IOMMU that a device is behind */
static inline int iommu_name(const struct vfio_dev *dev, char *name, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX] = "";
	char *last;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu",
		 dev->name);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return -errno;
	last = strrchr(target, '/');
	snprintf(name, size, "%s", last ? last + 1 : target);
	return 0;
}

static inline bool same_iommu(const struct vfio_dev *a, const struct vfio_dev *b)
{
	char name_a[64], name_b[64];

	return !iommu_name(a, name_a, sizeof(name_a)) &&
	       !iommu_name(b, name_b, sizeof(name_b)) &&
	       !strcmp(name_a, name_b);
}

static inline void marker_close(struct marker *m)
{
	vfio_close(m->dev);
	vm_exit(&m->vm);
	m->dev = NULL;
}

/* Attach it to a guest's table that maps nothing. Fails if somebody has it. */
static inline int marker_attach(struct marker *m)
{
	struct iommu_hwpt_pasid_table config;
	struct pasid_table pasids;
	struct s1_table table;
	__u32 hwpt;
	int rc;

	rc = vm_init(&m->vm, m->dev);
	if (rc)
		return rc;
	s1_init(&table, &m->vm, 12, TAG);
	pasid_table_init(&pasids, &m->vm);
	pasid_table_set(&pasids, &table);
	config = pasid_table_config(&pasids);
	if (S1_USES_ATS && vfio_has_cap(m->dev, PCI_EXT_CAP_ID_ATS))
		config.flags |= IOMMU_PASID_TABLE_ATS;
	rc = hwpt_alloc_table(m->vm.iommufd, m->dev->id, m->vm.parent, &config,
			      &hwpt);
	return rc ?: vfio_attach(m->dev, hwpt);
}

/* Take the @nth device of one kind. -ENODEV if there are not so many. */
static inline int marker_take(struct marker *m, const struct vfio_dev *dev,
			      bool nvme, unsigned int nth)
{
	int rc;

	memset(m, 0, sizeof(*m));
	m->vm.iommufd = -1;
	m->dev = nvme ? &m->nvme.dev : &m->edu.dev;
	m->iova = MARKER_IOVA;
	rc = nvme ? vfio_open(m->dev, NVME_VENDOR, NVME_DEVICE, nth) :
		    vfio_open(m->dev, EDU_VENDOR, EDU_DEVICE, nth);
	if (!rc && (!strcmp(m->dev->name, dev->name) ||
		    !same_iommu(m->dev, dev)))
		rc = -EXDEV;
	rc = rc ?: marker_attach(m);
	if (rc)
		marker_close(m);
	return rc;
}

/* Find one for the IOMMU of @dev; disks first, whose DMA takes no time */
static inline bool marker_open(struct marker *m, const struct vfio_dev *dev)
{
	unsigned int kind, nth;
	int rc;

	if (m->dev && same_iommu(m->dev, dev))
		return true;
	if (m->dev)
		marker_close(m);
	for (kind = 0; kind < 2; kind++) {
		for (nth = 0, rc = 0; rc != -ENODEV; nth++) {
			rc = marker_take(m, dev, !kind, nth);
			if (!rc)
				return true;
		}
	}
	fprintf(stderr, "# no device is left to mark the faults of %s\n",
		dev->name);
	return false;
}

static inline int marker_dma(struct marker *m)
{
	int rc;

	if (m->dev == &m->nvme.dev)
		return nvme_fetch(&m->nvme, m->iova);
	edu_no_pasid(&m->edu);
	rc = edu_begin(&m->edu, EDU_BUFFER, m->iova, EDU_CHUNK,
		       EDU_CMD_TO_RAM);
	return rc ?: edu_wait(&m->edu);
}

static inline bool marker_seen(const struct marker *m)
{
	return faults_now(m->dev, m->iova, m->iova + 4095);
}

/*
 * Wait until the faults of all DMA that has ended, of devices that share an IOMMU
 * with @dev, are where the kernel reports them. Returns whether this is so.
 */
static inline bool faults_settle(const struct vfio_dev *dev)
{
	struct marker *m = &marker;
	int tries, ms;

	if (!marker_open(m, dev))
		return false;
	m->iova += 4096;
	for (tries = 0; tries < MARKER_TRIES; tries++) {
		if (marker_dma(m))
			return false;
		for (ms = 0; ms < MARKER_MS; ms++) {
			if (marker_seen(m))
				return true;
			usleep(1000);
		}
	}
	return false;
}

#endif
