/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices below ports of PCI Express, all of one VM
 *
 * In the order of their addresses the machine has a device that is alone below its
 * port, one that only watches, two functions below one port that are isolated from
 * each other, and two that are not. A reset of their bus is the only one that they
 * have.
 */
#ifndef __VTD_PORTS_H
#define __VTD_PORTS_H

#include <poll.h>

#include "nested_trace.h"
#include "vtd_env.h"

#define PASID		5
#define TRIES		3

enum which {
	ALONE,
	PEER,
	PAIR,
	PAIR_SECOND,
	GROUP,
	GROUP_SECOND,
	DEVS,
};

enum how {
	BY_VFIO,
	BY_HOT_RESET,
	BY_SYSFS,
	BY_PORT,	/* of all that is below it, by sysfs */
	BY_ERROR,	/* of all that is below a port with a fatal error */
};

struct ports {
	struct vtd v;		/* with the device that is alone */
	struct edu edu[DEVS];	/* the others */
	struct probe probe[DEVS];
};

/*
 * Have all devices sleep as for a sleep of the system, which itself stays awake, for as
 * long as the parameter suspend.pm_test_delay of the kernel says
 */
static inline int system_sleep(void)
{
	int rc = file_write("/sys/power/pm_test", "platform", 0);

	rc = rc ?: file_write("/sys/power/state", "freeze", 0);
	return rc ?: file_write("/sys/power/pm_test", "none", 0);
}

/* What the kernel's aer_inject takes */
struct aer_error {
	__u8 bus;
	__u8 dev;
	__u8 fn;
	__u32 uncor_status;
	__u32 cor_status;
	__u32 header_log[4];
	__u32 domain;
};

/* Have the root port of a device report that its link has failed */
static inline int port_fail(struct vfio_dev *dev)
{
	struct aer_error error = { .uncor_status = PCI_ERR_UNC_DLP };
	char path[PATH_MAX], real[PATH_MAX];
	unsigned int domain, bus, slot, fn;
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", dev->name);
	if (!realpath(path, real) ||
	    sscanf(real, "/sys/devices/pci%*x:%*x/%x:%x:%x.%x/", &domain, &bus,
		   &slot, &fn) != 4)
		return -ENODEV;
	error.domain = domain;
	error.bus = bus;
	error.dev = slot;
	error.fn = fn;
	fd = open("/dev/aer_inject", O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, &error, sizeof(error)) != sizeof(error))
		rc = -errno;
	close(fd);
	return rc;
}

/*
 * Behind a switch the IOMMU waits until somebody has restored that. It is done when the
 * group's mutex is free, with which the kernel reads the type of the group.
 */
static inline int await_iommu(struct vfio_dev *dev)
{
	char path[PATH_MAX], type[16];
	int fd, tries = 10000, rc = 0;

	while (!pci_ats_on(dev)) {
		if (!--tries)
			return -ETIMEDOUT;
		usleep(1000);
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type",
		 dev->name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	if (read(fd, type, sizeof(type)) <= 0)
		rc = -EIO;
	close(fd);
	return rc;
}

/*
 * An error that the kernel answers with a reset of the bus. Nobody restores the
 * configuration space of what is below: vfio-pci leaves that to user space.
 */
static inline int reset_by_error(struct vfio_dev *dev)
{
	struct pollfd log = { .fd = log_open(), .events = POLLIN };
	int count, rc;

	if (log.fd < 0)
		return log.fd;
	rc = port_fail(dev);
	while (!rc) {
		count = log_count(log.fd, "device recovery successful");
		if (count > 0)
			break;
		rc = count;
		if (!rc && poll(&log, 1, 60 * 1000) <= 0)
			rc = -ETIMEDOUT;
	}
	close(log.fd);
	return rc ?: await_iommu(dev);
}

static inline int reset(struct vfio_dev *dev, enum how how)
{
	struct vfio_pci_hot_reset hot = { .argsz = sizeof(hot) };
	int rc;

	switch (how) {
	case BY_VFIO:
		return call(dev->fd, VFIO_DEVICE_RESET, NULL);
	case BY_HOT_RESET:
		return call(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, &hot);
	case BY_SYSFS:
		rc = pci_write(dev->name, "reset_method", "bus");
		return rc ?: pci_write(dev->name, "reset", "1");
	case BY_PORT:
		return pci_write(dev->name, "../reset_subordinate", "1");
	case BY_ERROR:
		return reset_by_error(dev);
	}
	return -EINVAL;
}

/* Open a device beside the first one, and attach it to the VM's parent */
static inline int open_device(struct ports *p, enum which dev)
{
	struct vm *vm = &p->v.env.vm;
	struct edu *edu = &p->edu[dev];
	int rc = edu_open(edu, dev);

	rc = rc ?: vfio_bind(&edu->dev, vm->iommufd);
	return rc ?: vfio_attach(&edu->dev, vm->parent);
}

static inline int add_device(struct ports *p, enum which dev)
{
	struct probe *probe = &p->probe[dev];
	int rc = open_device(p, dev);

	rc = rc ?: probe_edu(probe, &p->v.env.vm, &p->edu[dev]);
	probe->a = p->probe[ALONE].a;
	probe->b = p->probe[ALONE].b;
	return rc;
}

static inline int ports_init(struct ports *p)
{
	struct env *env = &p->v.env;
	enum which dev;
	int rc;

	for (dev = 0; dev < DEVS; dev++)
		p->edu[dev].dev.fd = -1;
	rc = vtd_init(&p->v, VTD_BITS, 0);
	if (rc)
		return rc;
	if (!env->vm.ats)
		return -ENXIO;
	p->probe[ALONE] = env->probe;
	pasid_table_set_pasid(&env->pasids, PASID, &env->table);
	for (dev = PEER; !rc && dev < DEVS; dev++)
		rc = add_device(p, dev);
	for (dev = ALONE; !rc && dev < GROUP; dev++)
		rc = vfio_attach(p->probe[dev].dev, env->hwpt);
	return rc ?: probe_map_apart(&env->probe);
}

static void ports_exit(struct ports *p)
{
	enum which dev;

	for (dev = 0; dev < DEVS; dev++)
		vfio_close(&p->edu[dev].dev);
	vtd_exit(&p->v);
}

/* Whether requests with and without a PASID reach this place */
static inline bool reaches(struct ports *p, enum which dev, enum place place)
{
	return vtd_both_reach(&p->probe[dev], PASID, GIOVA, place);
}

static inline bool all_reach(struct ports *p, enum place place)
{
	enum which dev;

	for (dev = ALONE; dev < GROUP; dev++)
		if (!reaches(p, dev, place))
			return false;
	return true;
}

#endif
