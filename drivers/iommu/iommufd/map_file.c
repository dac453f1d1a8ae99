// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings from a memfd: iopt_pages whose pages come from a file of tmpfs or
 * hugetlbfs and not from the memory of a process.
 *
 * A file gives the same pages as an mmap() of it would, each pinned once for
 * each index, so that everything that is done with pinned pages is common.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/hugetlb.h>
#include <linux/iommufd.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <uapi/linux/iommufd.h>

#include "io_pagetable.h"

/* Bounds what happens without a look at signals */
#define MAX_PAGES_AT_ONCE	8192UL

/*
 * Write access is what a shared writable mmap() is to the seals: one more user
 * that keeps F_SEAL_WRITE out. F_SEAL_FUTURE_WRITE lets those stay that are
 * there already, so that it need not be held off.
 */
static int file_get_write(struct file *file)
{
	int seals = memfd_fcntl(file, F_GET_SEALS, 0);

	/* Without memfds in the kernel there are no seals either */
	if (seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EPERM;
	return mapping_map_writable(file->f_mapping);
}

static int file_check(struct file *file, bool writable)
{
	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EOPNOTSUPP;
	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (writable &&
	    (!(file->f_mode & FMODE_WRITE) || IS_APPEND(file_inode(file))))
		return -EACCES;
	return 0;
}

/**
 * iopt_alloc_file_pages() - Make an iopt_pages of a range of a file
 * @fd: File descriptor of the caller
 * @start: First byte in the file; need not be aligned
 * @length: Number of bytes, so that @start + @length overflows neither an
 *          unsigned long nor a loff_t
 * @writable: Whether DMA is going to write
 *
 * The result holds the file, and with @writable keeps F_SEAL_WRITE from it,
 * until it is released. Nothing is pinned yet.
 *
 * Return: the pages, or an ERR_PTR:
 *
 * * -EBADF	- @fd is not open
 * * -EOPNOTSUPP	- not a file of tmpfs or hugetlbfs
 * * -EACCES	- the file is not open for that
 * * -EFAULT	- the file is too short
 * * -EPERM	- the file is sealed against writing
 * * -EINVAL	- @length is 0
 * * -EOVERFLOW	- @length overflows once it is rounded to pages
 * * -ENOMEM	- no memory
 */
static struct iopt_pages *iopt_alloc_file_pages(int fd, unsigned long start,
						unsigned long length,
						bool writable)
{
	struct iopt_pages *pages;
	struct file *file;
	int rc;

	file = fget(fd);
	if (!file)
		return ERR_PTR(-EBADF);
	rc = file_check(file, writable);
	if (rc)
		goto err_put;
	/* Indexes, offsets in a page and alignment are those of the file */
	pages = iopt_alloc_pages((void __user *)start, length, writable);
	if (IS_ERR(pages)) {
		rc = PTR_ERR(pages);
		goto err_put;
	}
	pages->file_last = (loff_t)start + length - 1;
	if (pages->file_last >= i_size_read(file_inode(file))) {
		rc = -EFAULT;
		goto err_pages;
	}
	if (writable) {
		rc = file_get_write(file);
		if (rc)
			goto err_pages;
	}
	pages->file = file;
	return pages;

err_pages:
	iopt_put_pages(pages);
err_put:
	fput(file);
	return ERR_PTR(rc);
}

/**
 * iopt_pages_put_file() - Let go of the file of an iopt_pages
 * @pages: The pages, none of them pinned. Nobody else uses them any more.
 */
void iopt_pages_put_file(struct iopt_pages *pages)
{
	if (pages->writable)
		mapping_unmap_writable(pages->file->f_mapping);
	fput(pages->file);
}

/* The first hole of [@start, @last] of a hugetlbfs file, or -1 */
static loff_t hugetlb_hole(struct file *file, loff_t start, loff_t last)
{
	unsigned long size = huge_page_size(hstate_file(file));
	struct folio *folio;
	loff_t pos;

	for (pos = round_down(start, size); pos <= last; pos += size) {
		folio = filemap_get_folio(file->f_mapping, pos >> PAGE_SHIFT);
		if (IS_ERR(folio))
			return pos;
		folio_put(folio);
	}
	return -1;
}

static int hugetlb_fill(struct file *file, loff_t start, loff_t last)
{
	unsigned long size = huge_page_size(hstate_file(file));
	loff_t hole = hugetlb_hole(file, start, last);
	int rc;

	if (hole < 0)
		return 0;
	rc = vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, hole,
			   round_down(last, size) + size - hole);
	switch (rc) {
	case 0:
	case -EINTR:
	case -ENOMEM:
		return rc;
	case -ENOSPC:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

/*
 * memfd_pin_folios() would fill a hole of hugetlbfs from what is reserved for
 * others, and count that wrong if nothing is. So fill holes before it, and hold
 * off those who punch new ones.
 */
static long hugetlb_pin(struct file *file, loff_t start, loff_t last,
			struct folio **folios, unsigned long max,
			pgoff_t *offset)
{
	struct inode *inode = file_inode(file);
	long rc;

	rc = hugetlb_fill(file, start, last);
	if (rc)
		return rc;
	inode_lock_shared(inode);
	if (hugetlb_hole(file, start, last) < 0)
		rc = memfd_pin_folios(file, start, last, folios, max, offset);
	else
		rc = -EFAULT;
	inode_unlock_shared(inode);
	return rc;
}

/*
 * fallocate() of tmpfs leaves in its pages what they held in other hands, until
 * somebody looks: let the file system clear this one.
 */
static int shmem_clear(struct file *file, struct folio *folio)
{
	struct folio *seen;

	if (folio_test_uptodate(folio))
		return 0;
	if (!shmem_file(file))
		return -EFAULT;
	seen = shmem_read_folio(file->f_mapping, folio->index);
	if (IS_ERR(seen))
		return PTR_ERR(seen);
	folio_put(seen);
	/* No, if the page has just left the file */
	return folio_test_uptodate(folio) ? 0 : -EFAULT;
}

/* Pin folios, one pin each, that hold nothing but what is in the file */
static long file_pin_folios(struct file *file, loff_t start, loff_t last,
			    struct folio **folios, unsigned long max,
			    pgoff_t *offset)
{
	long nr, i;
	int rc;

	if (is_file_hugepages(file))
		nr = hugetlb_pin(file, start, last, folios, max, offset);
	else
		nr = memfd_pin_folios(file, start, last, folios, max, offset);
	for (i = 0; i < nr; i++) {
		rc = shmem_clear(file, folios[i]);
		if (rc) {
			unpin_folios(folios, nr);
			return rc;
		}
	}
	return nr;
}

/*
 * Add pins to a folio of several pages that has one already, no more than it has
 * pages: each page is given back by itself. The like of folio_add_pin() for a
 * folio of 1 GiB, which user space can map often enough for the counts to
 * overflow; half of their range is left to those who do not check.
 */
static bool folio_try_add_pins(struct folio *folio, unsigned int pins)
{
	if ((unsigned int)folio_ref_count(folio) > INT_MAX / 2)
		return false;
	folio_ref_add(folio, pins);
	atomic_add(pins, &folio->_pincount);
	node_stat_mod_folio(folio, NR_FOLL_PIN_ACQUIRED, pins);
	return true;
}

/*
 * Whether the folios have the @npages pages of the file from @index on, one
 * behind the other. They need not, if the file changes while they are pinned: a
 * hole that was punched may be filled again by a larger folio, which begins
 * before it.
 */
static bool folios_contig(struct folio **folios, unsigned long nr, pgoff_t index,
			  unsigned long npages)
{
	pgoff_t next = index;
	unsigned long i;

	for (i = 0; i < nr; i++) {
		if (next >= index + npages || next < folios[i]->index ||
		    next >= folio_next_index(folios[i]))
			return false;
		next = folio_next_index(folios[i]);
	}
	return next >= index + npages;
}

/*
 * Replace folios by their pages. The @nr folios are the first ones of @list,
 * with one pin each; they pass folios_contig(). On success each page has a pin,
 * else nothing is pinned. In place: no page comes to lie on a folio that is still
 * to be read, since no folio has less than one of the @npages pages.
 */
static int folios_to_pages(struct page **list, unsigned long nr, pgoff_t index,
			   unsigned long npages)
{
	struct folio **folios = (struct folio **)(list + npages - nr);
	unsigned long done = 0, i, j, count, first;

	memmove(folios, list, nr * sizeof(*list));
	for (i = 0; i < nr; i++) {
		struct folio *folio = folios[i];

		first = index + done - folio->index;
		count = min(npages - done, folio_nr_pages(folio) - first);
		if (count > 1 && !folio_try_add_pins(folio, count - 1)) {
			unpin_folios(folios + i, nr - i);
			unpin_user_pages(list, done);
			return -ENOMEM;
		}
		for (j = 0; j < count; j++)
			list[done++] = folio_page(folio, first + j);
	}
	return 0;
}

/**
 * iopt_pages_pin_file() - Pin pages of a file
 * @pages: Where they belong, with pages->mutex held; it has a file
 * @start_index: First page index in @pages
 * @npages: Number of pages wanted, at least 1
 * @list: Returns the pages, each with a pin of its own for unpin_user_pages().
 *        Room for @npages.
 *
 * Context: may sleep, fills holes of the file.
 *
 * Return: the number of pages pinned, at least 1 and maybe less than @npages, or
 *
 * * -EFAULT	- the file has become too short, there is a hole that cannot be
 *		  filled, or holes were punched meanwhile
 * * -ENOMEM	- no memory or no huge page for a hole, or a page is pinned too
 *		  often
 * * -EINTR	- a signal came; nothing is pinned
 */
long iopt_pages_pin_file(struct iopt_pages *pages, unsigned long start_index,
			 unsigned long npages, struct page **list)
{
	loff_t start = pages->file_start + (loff_t)start_index * PAGE_SIZE;
	pgoff_t offset, index;
	loff_t last;
	long nr;
	int rc;

	lockdep_assert_held(&pages->mutex);

	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();

	npages = min(npages, MAX_PAGES_AT_ONCE);
	/* The file may end inside of the last page */
	last = min_t(loff_t, start + npages * PAGE_SIZE - 1, pages->file_last);
	nr = file_pin_folios(pages->file, start, last, (struct folio **)list,
			     npages, &offset);
	/* EINVAL would tell an attach to go and try another HWPT */
	if (nr == -EINVAL)
		return -EFAULT;
	if (nr < 0)
		return nr;
	index = start >> PAGE_SHIFT;
	if (!folios_contig((struct folio **)list, nr, index, npages)) {
		unpin_folios((struct folio **)list, nr);
		return -EFAULT;
	}
	rc = folios_to_pages(list, nr, index, npages);
	return rc ?: npages;
}

static int iopt_map_file(struct iommufd_ucmd *ucmd, struct io_pagetable *iopt,
			 unsigned long *iova)
{
	struct iommu_ioas_map_file *cmd = ucmd->cmd;
	int iommu_prot = iommufd_iommu_prot(cmd->flags);
	struct iopt_pages *pages;
	unsigned int flags = 0;

	pages = iopt_alloc_file_pages(cmd->fd, cmd->start, cmd->length,
				      iommu_prot & IOMMU_WRITE);
	if (IS_ERR(pages))
		return PTR_ERR(pages);
	if (!(cmd->flags & IOMMU_IOAS_MAP_FIXED_IOVA))
		flags = IOPT_ALLOC_IOVA;
	return iopt_map_new_pages(ucmd->ictx, iopt, iova, pages,
				  cmd->start % PAGE_SIZE, cmd->length,
				  iommu_prot, flags);
}

/**
 * iommufd_ioas_map_file() - ioctl(IOMMU_IOAS_MAP_FILE)
 * @ucmd: The command, of struct iommu_ioas_map_file, where the errnos are
 *
 * Return: 0 or a negative errno, with nothing mapped
 */
int iommufd_ioas_map_file(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_map_file *cmd = ucmd->cmd;
	unsigned long iova = cmd->iova;
	struct iommufd_ioas *ioas;
	u64 end;
	int rc;

	if (cmd->flags &
	    ~(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
	      IOMMU_IOAS_MAP_READABLE))
		return -EOPNOTSUPP;
	if (cmd->iova >= ULONG_MAX || cmd->length >= ULONG_MAX ||
	    check_add_overflow(cmd->start, cmd->length, &end) ||
	    end >= min_t(u64, ULONG_MAX, LLONG_MAX))
		return -EOVERFLOW;
	if (!(cmd->flags &
	      (IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)))
		return -EINVAL;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	rc = iopt_map_file(ucmd, &ioas->iopt, &iova);
	if (rc)
		goto out_put;

	cmd->iova = iova;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	/* Nobody knows where it is */
	if (rc)
		iopt_unmap_iova(&ioas->iopt, iova, cmd->length, NULL);
out_put:
	iommufd_put_object(ucmd->ictx, &ioas->obj);
	return rc;
}
