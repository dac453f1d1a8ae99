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
};

struct ports {
	struct vtd v;		/* with the device that is alone */
	struct edu edu[DEVS];	/* the others */
	struct probe probe[DEVS];
};

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
