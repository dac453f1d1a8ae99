// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest has written, as the devices below a nesting parent see it: the
 * pages that the parent maps, not what the VMM has at those addresses by now.
 */
#include <linux/highmem.h>
#include <linux/iommu-pasid-table.h>
#include <linux/sched/signal.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

/* The caller knows of an area from @gpa to @last, so that its pages are pinned */
static int guest_memory_copy(struct iommu_domain *domain, unsigned long gpa,
			     unsigned long last, void *buf)
{
	phys_addr_t phys;
	size_t len;

	for (;; gpa += len, buf += len) {
		phys = iommu_iova_to_phys(domain, gpa);
		if (!phys)
			return -EFAULT;
		len = min(PAGE_SIZE - offset_in_page(gpa), last - gpa + 1);
		memcpy_from_page(buf, pfn_to_page(PHYS_PFN(phys)),
				 offset_in_page(phys), len);
		if (len == last - gpa + 1)
			return 0;
	}
}

static struct io_pagetable *guest_memory_iopt(struct iommu_guest_memory *memory)
{
	struct iommufd_hwpt_nested *hwpt =
		container_of(memory, struct iommufd_hwpt_nested, memory);

	return &hwpt->parent->ioas->iopt;
}

static int guest_memory_lock(struct iommu_guest_memory *memory, bool wait)
{
	struct io_pagetable *iopt = guest_memory_iopt(memory);

	if (!wait)
		return down_read_trylock(&iopt->iova_rwsem) ? 0 : -EAGAIN;
	return down_read_killable(&iopt->iova_rwsem) ? -EINTR : 0;
}

static void guest_memory_unlock(struct iommu_guest_memory *memory)
{
	up_read(&guest_memory_iopt(memory)->iova_rwsem);
}

/* Touches pinned pages only, so it takes no page faults */
static int guest_memory_read(struct iommu_guest_memory *memory, u64 gpa,
			     void *buf, size_t len)
{
	struct iommufd_hwpt_nested *hwpt =
		container_of(memory, struct iommufd_hwpt_nested, memory);
	struct io_pagetable *iopt = guest_memory_iopt(memory);
	struct iopt_area_contig_iter iter;
	struct iopt_area *area;
	unsigned long last;
	int rc;

	lockdep_assert_held(&iopt->iova_rwsem);

	if (WARN_ON_ONCE(!len))
		return -EINVAL;
	if (check_add_overflow((unsigned long)gpa, len - 1, &last))
		return -EFAULT;

	iopt_for_each_contig_area(&iter, area, iopt, gpa, last) {
		unsigned long stop = min(last, iopt_area_last_iova(area));

		rc = guest_memory_copy(hwpt->parent->common.domain,
				       iter.cur_iova, stop, buf);
		if (rc)
			return rc;
		buf += stop - iter.cur_iova + 1;
	}
	return iopt_area_contig_done(&iter) ? 0 : -EFAULT;
}

/*
 * The lock is iova_rwsem. It is held over page faults of user space, by calls that
 * write to its buffers, and whoever waits to write keeps later readers out.
 */
static const struct iommu_guest_memory_ops guest_memory_ops = {
	.lock = guest_memory_lock,
	.unlock = guest_memory_unlock,
	.read = guest_memory_read,
};

/**
 * iommufd_guest_memory_init() - Let a driver read what a guest has written
 * @hwpt: HWPT of the guest's PASID table; has its parent
 */
void iommufd_guest_memory_init(struct iommufd_hwpt_nested *hwpt)
{
	hwpt->memory.ops = &guest_memory_ops;
}

/**
 * iommufd_guest_memory_wait() - Wait until an attach can read guest memory
 * @hwpt: HWPT that could not be attached
 * @error: Errno of that attempt
 *
 * An attach reads the guest's entries under locks that others need, so it does not
 * wait there but fails with -EAGAIN. The caller holds no such lock.
 *
 * Return: 0 to try again, -EINTR for a fatal signal, or @error if it has nothing
 * to do with guest memory.
 */
int iommufd_guest_memory_wait(struct iommufd_hw_pagetable *hwpt, int error)
{
	struct iommu_guest_memory *memory;
	int rc;

	if (error != -EAGAIN || hwpt->obj.type != IOMMUFD_OBJ_HWPT_NESTED ||
	    !iommu_domain_is_pasid_table(hwpt->domain))
		return error;
	memory = &container_of(hwpt, struct iommufd_hwpt_nested, common)->memory;
	rc = guest_memory_lock(memory, true);
	if (rc)
		return rc;
	guest_memory_unlock(memory);
	return fatal_signal_pending(current) ? -EINTR : 0;
}
