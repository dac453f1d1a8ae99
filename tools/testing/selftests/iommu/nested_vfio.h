/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI device through VFIO's character device, as a VMM uses it
 */
#ifndef __NESTED_VFIO_H
#define __NESTED_VFIO_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "nested_iommufd.h"

#define PCI_NAME_LEN	16

struct vfio_dev {
	int fd;
	char name[PCI_NAME_LEN];	/* dddd:bb:dd.f */
	__u32 id;			/* in the iommufd that it is bound to */
	__u32 viommu, vdevice;		/* what a guest's IOMMU knows it by */
	__u8 *bar;
	size_t bar_size;
};

static inline unsigned int pci_id(const char *name, const char *file)
{
	unsigned int value = 0;
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", name, file);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* The number N of /dev/vfio/devices/vfioN, or -1 if VFIO does not have it */
static inline int vfio_number(const char *name)
{
	struct dirent *entry;
	char path[PATH_MAX];
	int number = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", name);
	dir = opendir(path);
	while (dir && number < 0 && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "vfio%d", &number) != 1)
			number = -1;
	if (dir)
		closedir(dir);
	return number;
}

static inline int file_write(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* To a file of the device's in sysfs */
static inline int pci_write(const char *name, const char *file,
			    const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", name, file);
	return file_write(path, text, 0);
}

/* After a device was removed: find it again and hand it to vfio-pci */
static inline int pci_give_back(const struct vfio_dev *dev)
{
	int rc = file_write("/sys/bus/pci/rescan", "1", 0);

	rc = rc ?: pci_write(dev->name, "driver_override", "vfio-pci");
	rc = rc ?: file_write("/sys/bus/pci/drivers_probe", dev->name, 0);
	return rc ?: vfio_number(dev->name) < 0 ? -ENODEV : 0;
}

/*
 * Open the device's own configuration space, past VFIO. Returns a file or -1; @offset
 * is where the extended capability @id is, or 0.
 */
static inline int pci_open_cap(const struct vfio_dev *dev, int flags, __u16 id,
			       __u32 *offset)
{
	int fd, left = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8;
	char path[PATH_MAX];
	__u32 header;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 dev->name);
	fd = open(path, flags);
	for (*offset = PCI_CFG_SPACE_SIZE; *offset;
	     *offset = PCI_EXT_CAP_NEXT(header)) {
		if (!left-- || pread(fd, &header, 4, *offset) != 4) {
			*offset = 0;
			break;
		}
		if (PCI_EXT_CAP_ID(header) == id)
			break;
	}
	return fd;
}

/* Whether the device has an extended capability, whoever uses it */
static inline bool pci_has_cap(const struct vfio_dev *dev, __u16 id)
{
	__u32 offset;
	int fd = pci_open_cap(dev, O_RDONLY, id, &offset);

	close(fd);
	return offset;
}

/* Whether ATS is on in the device, as its own registers have it */
static inline bool pci_ats_on(const struct vfio_dev *dev)
{
	__u16 value = 0;
	__u32 ats;
	int fd = pci_open_cap(dev, O_RDONLY, PCI_EXT_CAP_ID_ATS, &ats);

	if (ats && pread(fd, &value, 2, ats + PCI_ATS_CTRL) != 2)
		value = 0;
	close(fd);
	return value & PCI_ATS_CTRL_ENABLE;
}

static inline int pci_only(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/*
 * Open the @nth device of this kind that VFIO has, in the order of addresses.
 * -ENODEV if there is none: the test has nothing to run on.
 */
static inline int vfio_open(struct vfio_dev *dev, unsigned int vendor,
			    unsigned int device, unsigned int nth)
{
	struct dirent **list;
	char path[PATH_MAX];
	int i, n, number = -1;

	memset(dev, 0, sizeof(*dev));
	dev->fd = -1;
	n = scandir("/sys/bus/pci/devices", &list, pci_only, alphasort);
	for (i = 0; i < n; i++) {
		if (number < 0 && pci_id(list[i]->d_name, "vendor") == vendor &&
		    pci_id(list[i]->d_name, "device") == device) {
			number = vfio_number(list[i]->d_name);
			if (number >= 0 && nth--)
				number = -1;
			snprintf(dev->name, sizeof(dev->name), "%.15s",
				 list[i]->d_name);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	if (number < 0)
		return -ENODEV;

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d", number);
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	return dev->fd < 0 ? -errno : 0;
}

static inline int vfio_region(struct vfio_dev *dev, __u32 index,
			      struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){
		.argsz = sizeof(*info),
		.index = index,
	};
	return call(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

static inline int vfio_command(struct vfio_dev *dev, __u16 clear, __u16 set)
{
	struct vfio_region_info config;
	__u16 command;
	int rc;

	rc = vfio_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (rc)
		return rc;
	if (pread(dev->fd, &command, 2, config.offset + PCI_COMMAND) != 2)
		return -EIO;
	command &= ~clear;
	command |= set;
	if (pwrite(dev->fd, &command, 2, config.offset + PCI_COMMAND) != 2)
		return -EIO;
	return 0;
}

/* DMA and register accesses are off until this is done */
static inline int vfio_enable(struct vfio_dev *dev)
{
	return vfio_command(dev, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* Whether the device may make requests from now on */
static inline int vfio_master(struct vfio_dev *dev, bool on)
{
	return vfio_command(dev, on ? 0 : PCI_COMMAND_MASTER,
			    on ? PCI_COMMAND_MASTER : 0);
}

/* Whether the device has the extended capability @id */
static inline bool vfio_has_cap(struct vfio_dev *dev, __u16 id)
{
	__u32 header, offset = PCI_CFG_SPACE_SIZE;
	struct vfio_region_info config;

	if (vfio_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &config))
		return false;
	while (offset && offset < config.size) {
		if (pread(dev->fd, &header, 4, config.offset + offset) != 4)
			return false;
		if (PCI_EXT_CAP_ID(header) == id)
			return true;
		offset = PCI_EXT_CAP_NEXT(header);
	}
	return false;
}

/*
 * Whether the device sleeps (D3hot) from now on. Its registers are out of reach
 * then, and some of its state is gone afterwards. -ENODEV if it has no power states.
 */
static inline int vfio_sleep(struct vfio_dev *dev, bool asleep)
{
	struct vfio_region_info config;
	__u8 next = 0, header[2];
	__u16 state;
	int rc, left = 48;

	rc = vfio_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (rc)
		return rc;
	if (pread(dev->fd, &next, 1, config.offset + PCI_CAPABILITY_LIST) != 1)
		return -EIO;
	for (; next && left; next = header[1], left--) {
		if (pread(dev->fd, header, 2, config.offset + next) != 2)
			return -EIO;
		if (header[0] == PCI_CAP_ID_PM)
			break;
	}
	if (!next || !left)
		return -ENODEV;
	next += PCI_PM_CTRL;
	if (pread(dev->fd, &state, 2, config.offset + next) != 2)
		return -EIO;
	state &= ~PCI_PM_CTRL_STATE_MASK;
	state |= asleep ? 3 : 0;
	if (pwrite(dev->fd, &state, 2, config.offset + next) != 2)
		return -EIO;
	return 0;
}

static inline bool vfio_can_reset(struct vfio_dev *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return !call(dev->fd, VFIO_DEVICE_GET_INFO, &info) &&
	       info.flags & VFIO_DEVICE_FLAGS_RESET;
}

static inline int vfio_map_bar0(struct vfio_dev *dev)
{
	struct vfio_region_info info;
	int rc;

	rc = vfio_region(dev, VFIO_PCI_BAR0_REGION_INDEX, &info);
	if (rc)
		return rc;
	dev->bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			dev->fd, info.offset);
	if (dev->bar == MAP_FAILED)
		return -errno;
	dev->bar_size = info.size;
	return 0;
}

/* Give the device to an iommufd; it cannot do DMA before vfio_attach() */
static inline int vfio_bind(struct vfio_dev *dev, int iommufd)
{
	struct vfio_device_bind_iommufd cmd = {
		.argsz = sizeof(cmd),
		.iommufd = iommufd,
	};
	int rc = call(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	dev->id = cmd.out_devid;
	rc = rc ?: vfio_enable(dev);
	return rc ?: vfio_map_bar0(dev);
}

/* Attach, or replace what is attached; @pt is an IOAS or a HWPT */
static inline int vfio_attach(struct vfio_dev *dev, __u32 pt)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.pt_id = pt,
	};

	return call(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static inline int vfio_detach(struct vfio_dev *dev)
{
	struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	return call(dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

static inline int vfio_attach_pasid(struct vfio_dev *dev, __u32 pasid, __u32 pt)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DEVICE_ATTACH_PASID,
		.pt_id = pt,
		.pasid = pasid,
	};

	return call(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static inline int vfio_detach_pasid(struct vfio_dev *dev, __u32 pasid)
{
	struct vfio_device_detach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DEVICE_DETACH_PASID,
		.pasid = pasid,
	};

	return call(dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

/*
 * Have @nr vectors of an interrupt index, from @start on, signal eventfds. None
 * at all turns the index off.
 */
static inline int vfio_irqs(struct vfio_dev *dev, __u32 index, __u32 start,
			    __u32 nr, const int *fds)
{
	size_t size = nr * sizeof(*fds);
	struct vfio_irq_set *set;
	int rc;

	set = calloc(1, sizeof(*set) + size);
	if (!set)
		return -ENOMEM;
	set->argsz = sizeof(*set) + size;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = nr;
	memcpy(set->data, fds, size);
	rc = call(dev->fd, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return rc;
}

/* Registers in BAR 0; what is in memory before a write, the device sees */
static inline __u32 vfio_read32(struct vfio_dev *dev, unsigned int reg)
{
	return __atomic_load_n((__u32 *)(dev->bar + reg), __ATOMIC_SEQ_CST);
}

static inline __u64 vfio_read64(struct vfio_dev *dev, unsigned int reg)
{
	return __atomic_load_n((__u64 *)(dev->bar + reg), __ATOMIC_SEQ_CST);
}

static inline void vfio_write32(struct vfio_dev *dev, unsigned int reg,
				__u32 value)
{
	__sync_synchronize();
	__atomic_store_n((__u32 *)(dev->bar + reg), value, __ATOMIC_SEQ_CST);
}

static inline void vfio_write64(struct vfio_dev *dev, unsigned int reg,
				__u64 value)
{
	__sync_synchronize();
	__atomic_store_n((__u64 *)(dev->bar + reg), value, __ATOMIC_SEQ_CST);
}

static inline void vfio_close(struct vfio_dev *dev)
{
	if (dev->bar_size)
		munmap(dev->bar, dev->bar_size);
	if (dev->fd >= 0)
		close(dev->fd);
	dev->bar_size = 0;
	dev->fd = -1;
}

#endif
