/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two devices, everything that they can be attached to, and a model that knows
 * where each DMA has to go
 *
 * Each device makes requests without a PASID and with each of some PASIDs: its
 * sources. Two address spaces of the host have slots, each with one of some pages or
 * nothing. A table of the guest's leads gIOVAs to slots of the first space, by one
 * of two stage-1 tables for each source.
 */
#ifndef __NESTED_SEQUENCE_H
#define __NESTED_SEQUENCE_H

#include "nested_edu.h"
#include "nested_table.h"

#define DEVS		2
/* The first source of a device is its requests without a PASID */
#define SOURCES		3
#define SPACES		2
#define SLOTS		4
#define PAGES		4
#define S1_TABLES	2

/* What is taken of the guest's memory: tables only */
#define TABLE_MEMORY	0x100000ULL
#define SLOT_BASE	(VM_GPA + 2 * VM_SIZE)
#define GIOVA_BASE	0x5a012340000ULL
/* A DMA goes to a slot's IOVA, or to a gIOVA */
#define ADDRS		(2 * SLOTS)

#define NOTHING		-1

/* What a source can be attached to, in this order in seq.pt */
enum target {
	PARENT,		/* these are of the host */
	PAGING,
	PAGING_OTHER,	/* of the second space */
	TABLE,		/* and these the guest's, for all sources at once */
	TABLE_NO_ATS,	/* the same memory */
	TABLE_OTHER,
	TABLE_ABORT,
	TARGETS,
	DETACHED = TARGETS,
};

#define HOST_TARGETS	TABLE
#define GUEST_TABLES	2

struct seq_dev {
	struct edu edu;
	bool asleep;
	bool uses_ats;
	enum target at[SOURCES];
};

struct seq_table {
	struct pasid_table pasids;
	int s1[SOURCES];	/* the stage-1 table of each, or NOTHING */
};

struct seq {
	struct vm vm;
	__u32 other_ioas;
	__u32 pt[TARGETS];
	unsigned int sources;
	struct seq_dev dev[DEVS];
	__u8 *page[PAGES];
	int slot[SPACES][SLOTS];	/* page, or NOTHING */
	struct s1_table s1[S1_TABLES];
	int giova[S1_TABLES][SLOTS];	/* slot, or NOTHING */
	struct seq_table table[GUEST_TABLES];
};

static inline __u32 seq_pasid(unsigned int source)
{
	return source * 4 + 1;
}

static inline __u32 seq_ioas(const struct seq *s, unsigned int space)
{
	return space ? s->other_ioas : s->vm.ioas;
}

static inline __u64 seq_addr(unsigned int addr)
{
	return addr < SLOTS ? SLOT_BASE + addr * 4096 :
			      GIOVA_BASE + (addr - SLOTS) * 4096;
}

static inline bool is_guest_table(enum target target)
{
	return target >= TABLE && target < TARGETS;
}

/* The page that a DMA has to reach, or NOTHING */
static inline int seq_expect(const struct seq *s, unsigned int dev,
			     unsigned int source, unsigned int addr)
{
	enum target at = s->dev[dev].at[0];
	const struct seq_table *table;
	int slot;

	/* A guest's table serves all sources */
	if (!is_guest_table(at))
		at = s->dev[dev].at[source];
	if (at < TABLE)
		return addr < SLOTS ? s->slot[at == PAGING_OTHER][addr] :
				      NOTHING;
	if (at >= TABLE_ABORT || addr < SLOTS)
		return NOTHING;
	table = &s->table[at == TABLE_OTHER];
	if (table->s1[source] == NOTHING)
		return NOTHING;
	slot = s->giova[table->s1[source]][addr - SLOTS];
	return slot == NOTHING ? NOTHING : s->slot[0][slot];
}

/* One DMA. Returns the page that it reached, NOTHING, or PAGES for several. */
static inline int seq_dma(struct seq *s, unsigned int dev, unsigned int source,
			  unsigned int addr)
{
	struct edu *edu = &s->dev[dev].edu;
	int page, reached = NOTHING;

	for (page = 0; page < PAGES; page++)
		memset(s->page[page], VM_UNTOUCHED, EDU_CHUNK);
	if (source)
		edu_pasid(edu, seq_pasid(source));
	else if (s->sources > 1)
		edu_no_pasid(edu);
	if (edu_write(edu, seq_addr(addr)))
		return PAGES;
	for (page = 0; page < PAGES; page++) {
		if (s->page[page][0] == VM_UNTOUCHED &&
		    !memcmp(s->page[page], s->page[page] + 1, EDU_CHUNK - 1))
			continue;
		reached = reached == NOTHING ? page : PAGES;
	}
	return reached;
}

/* The number of devices in a device's group, itself included */
static inline unsigned int seq_group_size(const struct vfio_dev *dev)
{
	unsigned int size = 0;
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/iommu_group/devices", dev->name);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		size += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return size;
}

/*
 * How many sources there have to be, by what the device is: one with PASIDs uses them
 * if it is isolated from others
 */
static inline unsigned int seq_wanted_sources(const struct seq *s)
{
	const struct vfio_dev *dev = &s->dev[0].edu.dev;

	return pci_has_cap(dev, PCI_EXT_CAP_ID_PASID) &&
	       seq_group_size(dev) == 1 ? SOURCES : 1;
}

/* PASIDs that are on; the model uses some of them */
static inline int seq_count_sources(struct seq *s)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = s->dev[0].edu.dev.id,
	};
	int rc = call(s->vm.iommufd, IOMMU_GET_HW_INFO, &cmd);

	s->sources = cmd.out_max_pasid_log2 ? SOURCES : 1;
	return rc;
}

/* Open a device and give it to the iommufd; nothing is attached then */
static inline int seq_open(struct seq *s, unsigned int dev)
{
	struct seq_dev *d = &s->dev[dev];
	unsigned int source;
	int rc = edu_open(&d->edu, dev);

	rc = rc ?: vfio_bind(&d->edu.dev, s->vm.iommufd);
	d->asleep = false;
	d->uses_ats = S1_USES_ATS && pci_has_cap(&d->edu.dev,
						 PCI_EXT_CAP_ID_ATS);
	for (source = 0; source < SOURCES; source++)
		d->at[source] = DETACHED;
	return rc;
}

#endif
