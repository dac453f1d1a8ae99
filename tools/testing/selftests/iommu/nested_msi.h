/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Do the MSIs of a device arrive? They take the way gIOVA -> guest's doorbell
 * (GPA) -> physical doorbell, and end in an eventfd.
 */
#ifndef __NESTED_MSI_H
#define __NESTED_MSI_H

#include <poll.h>
#include <sys/eventfd.h>

#include "nested_env.h"

#define MSI_VECTORS	NVME_QUEUES

/* How long to wait for an MSI that has to come, and for one that must not */
#define MSI_LATE_MS	5000
#define MSI_NEVER_MS	60

/* A device that raises interrupts at will: an edu, or the disk */
struct msi {
	struct vfio_dev *dev;
	struct edu *edu;	/* one of the two */
	struct nvme *nvme;
	__u32 index;
	unsigned int vectors;
	int fds[MSI_VECTORS];
};

static inline int msi_init(struct msi *msi, struct edu *edu, struct nvme *nvme)
{
	unsigned int vectors = edu ? 1 : MSI_VECTORS;

	memset(msi, 0, sizeof(*msi));
	msi->dev = edu ? &edu->dev : &nvme->dev;
	msi->edu = edu;
	msi->nvme = nvme;
	msi->index = edu ? VFIO_PCI_MSI_IRQ_INDEX : VFIO_PCI_MSIX_IRQ_INDEX;
	while (msi->vectors < vectors) {
		msi->fds[msi->vectors] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (msi->fds[msi->vectors] < 0)
			return -errno;
		msi->vectors++;
	}
	return 0;
}

static inline void msi_exit(struct msi *msi)
{
	while (msi->vectors)
		close(msi->fds[--msi->vectors]);
}

static inline int msi_raise(struct msi *msi, unsigned int vector)
{
	if (msi->nvme)
		return nvme_nop(msi->nvme, vector);
	edu_interrupt(msi->edu);
	return 0;
}

/* The number of MSIs that came since the last look */
static inline __u64 msi_count(struct msi *msi, unsigned int vector,
			      int timeout_ms)
{
	struct pollfd poll_fd = { .fd = msi->fds[vector], .events = POLLIN };
	__u64 count;

	if (poll(&poll_fd, 1, timeout_ms) != 1 ||
	    read(msi->fds[vector], &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

/*
 * Wait for those that nobody waited for: they can come after they are turned
 * off, when they are turned on again. Returns how many came.
 */
static inline __u64 msi_settle(struct msi *msi)
{
	__u64 count, sum = 0;
	unsigned int i;

	for (i = 0; i < msi->vectors; i++)
		while ((count = msi_count(msi, i, MSI_NEVER_MS)))
			sum += count;
	return sum;
}

/* The disk's queues begin with the vectors that there are */
static inline int msi_start_queues(struct msi *msi)
{
	int rc = nvme_reset(msi->nvme, true);

	/* That took commands, which raised the first vector */
	msi_settle(msi);
	return rc;
}

/* Here the device gets the addresses to write to */
static inline int msi_on(struct msi *msi)
{
	int rc = vfio_irqs(msi->dev, msi->index, 0, msi->vectors, msi->fds);

	return rc || !msi->nvme ? rc : msi_start_queues(msi);
}

static inline int msi_off(struct msi *msi)
{
	return vfio_irqs(msi->dev, msi->index, 0, 0, NULL);
}

/* Whether each vector arrives when it is raised: once, and no other one */
static inline bool msi_arrives(struct msi *msi)
{
	unsigned int i;

	for (i = 0; i < msi->vectors; i++)
		if (msi_raise(msi, i) || msi_count(msi, i, MSI_LATE_MS) != 1)
			return false;
	for (i = 0; i < msi->vectors; i++)
		if (msi_count(msi, i, 0))
			return false;
	return true;
}

/* Whether no vector arrives, though each one is raised */
static inline bool msi_is_lost(struct msi *msi)
{
	unsigned int i;

	for (i = 0; i < msi->vectors; i++)
		if (msi_raise(msi, i) || msi_count(msi, i, MSI_NEVER_MS))
			return false;
	return true;
}

/* What a guest has its device write MSIs to */
struct doorbell {
	__u64 iova;
	__u64 gpa;
	__u64 length;
};

/* Beyond 32 bits, beside everything else, and where no stage 2 would map it */
static const struct doorbell elsewhere = {
	.iova = 0x7000000000ULL,
	.gpa = 0x0a000000ULL,
	.length = 0x10000,
};

static const struct doorbell one_to_one = {
	.iova = 0x0a000000ULL,
	.gpa = 0x0a000000ULL,
	.length = 0x10000,
};

/* The guest's side of it */
static inline void bell_map(struct s1_table *table, const struct doorbell *bell)
{
	s1_map_range(table, bell->iova, bell->gpa, bell->length);
}

static inline int guest_msi_bind(int fd, __u32 dev, __u64 iova, __u64 gpa,
				 __u64 length)
{
	struct iommu_guest_msi_bind cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.iova = iova,
		.gpa = gpa,
		.length = length,
	};

	return call(fd, IOMMU_GUEST_MSI_BIND, &cmd);
}

static inline int guest_msi_unbind(int fd, __u32 dev, __u64 iova)
{
	struct iommu_guest_msi_unbind cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.iova = iova,
	};

	return call(fd, IOMMU_GUEST_MSI_UNBIND, &cmd);
}

/* The VMM's side of it */
static inline int bell_bind(const struct vm *vm, const struct vfio_dev *dev,
			    const struct doorbell *bell)
{
	return guest_msi_bind(vm->iommufd, dev->id, bell->iova, bell->gpa,
			      bell->length);
}

static inline int bell_unbind(const struct vm *vm, const struct vfio_dev *dev,
			      const struct doorbell *bell)
{
	return guest_msi_unbind(vm->iommufd, dev->id, bell->iova);
}

/* Where MSIs go without a binding: a doorbell that the guest maps one to one */
static inline int bell_window(const struct vm *vm, const struct vfio_dev *dev,
			      struct doorbell *bell)
{
	int rc = option_get(vm->iommufd, IOMMU_OPTION_SW_MSI_START, dev->id,
			    &bell->iova);

	bell->gpa = bell->iova;
	return rc ?: option_get(vm->iommufd, IOMMU_OPTION_SW_MSI_SIZE, dev->id,
				&bell->length);
}

/*
 * Do MSIs go through the guest's mapping of the doorbell in the table of @env?
 * Returns what is wrong, or "". Leaves it mapped.
 */
static inline const char *bell_check(struct env *env, struct msi *msi,
				     const struct doorbell *bell)
{
	__u64 last = bell->iova + bell->length - 1;

	if (faults_start())
		return "faults are not traced";
	bell_map(&env->table, bell);
	if (!msi_arrives(msi))
		return "mapped: an MSI does not arrive";
	if (faults(msi->dev, false))
		return "mapped: a fault";

	s1_unmap_range(&env->table, bell->iova, bell->length);
	if (env_invalidate(env, inv_domain(INV_IOTLB)))
		return "not invalidated";
	if (!msi_is_lost(msi))
		return "not mapped: an MSI arrives";
	if (!faults_at(msi->dev, bell->iova, last, true))
		return "not mapped: no fault at the doorbell";
	if (faults_at(msi->dev, bell->iova, last, false) !=
	    faults(msi->dev, false))
		return "not mapped: a fault that is not at the doorbell";

	bell_map(&env->table, bell);
	return msi_arrives(msi) ? "" : "mapped again: an MSI does not arrive";
}

/*
 * A VM whose first device is attached to the nesting parent, with a table of
 * the guest, and whose second one is not attached
 */
struct msi_env {
	struct env env;
	struct edu second;
	struct msi msi, msi2;
};

static inline int msi_env_init(struct msi_env *m, bool nvme,
			       unsigned int granule)
{
	int rc;

	memset(m, 0, sizeof(*m));
	m->second.dev.fd = -1;
	rc = env_init(&m->env, nvme, granule);
	rc = rc ?: edu_open(&m->second, 1);
	rc = rc ?: vfio_bind(&m->second.dev, m->env.vm.iommufd);
	rc = rc ?: msi_init(&m->msi, nvme ? NULL : &m->env.edu,
			    nvme ? &m->env.nvme : NULL);
	return rc ?: msi_init(&m->msi2, &m->second, NULL);
}

static inline void msi_env_exit(struct msi_env *m)
{
	vfio_close(&m->second.dev);
	env_exit(&m->env);
	msi_exit(&m->msi2);
	msi_exit(&m->msi);
}

#endif
