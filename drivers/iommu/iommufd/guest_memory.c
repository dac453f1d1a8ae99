// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest has written, as the devices below a nesting parent see it: the
 * pages that the parent maps, not what the VMM has at those addresses by now.
 */
#include <linux/highmem.h>
#include <linux/iommu-pasid-table.h>

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

/**
 * iommufd_guest_memory_read() - Read what a guest has written
 * @memory: Of the HWPT of a guest's PASID table
 * @gpa: First guest physical address
 * @buf: Returns the bytes
 * @len: Number of them
 *
 * Touches pinned pages only, so it takes no page faults. Takes iova_rwsem for
 * reading: whoever pins pages for a new domain may hold it for as long as user
 * space takes to answer theirs.
 *
 * Return: 0, -EFAULT if the IOAS maps nothing at one of the addresses, or -EINTR
 * for a fatal signal.
 */
int iommufd_guest_memory_read(struct iommu_guest_memory *memory, u64 gpa,
			      void *buf, size_t len)
{
	struct iommufd_hwpt_nested *hwpt =
		container_of(memory, struct iommufd_hwpt_nested, memory);
	struct io_pagetable *iopt = &hwpt->parent->ioas->iopt;
	struct iopt_area_contig_iter iter;
	struct iopt_area *area;
	unsigned long last;
	int rc = 0;

	if (WARN_ON_ONCE(!len))
		return -EINVAL;
	if (check_add_overflow((unsigned long)gpa, len - 1, &last))
		return -EFAULT;

	if (down_read_killable(&iopt->iova_rwsem))
		return -EINTR;
	iopt_for_each_contig_area(&iter, area, iopt, gpa, last) {
		unsigned long stop = min(last, iopt_area_last_iova(area));

		rc = guest_memory_copy(hwpt->parent->common.domain,
				       iter.cur_iova, stop, buf);
		if (rc)
			break;
		buf += stop - iter.cur_iova + 1;
	}
	if (!rc && !iopt_area_contig_done(&iter))
		rc = -EFAULT;
	up_read(&iopt->iova_rwsem);
	return rc;
}
