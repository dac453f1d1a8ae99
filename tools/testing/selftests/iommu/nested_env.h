/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What most tests start from: a VM with one device, attached to the nesting
 * parent, and a table of the guest that is ready but not attached
 */
#ifndef __NESTED_ENV_H
#define __NESTED_ENV_H

#include "nested_probe.h"
#include "nested_req.h"

/*
 * A gIOVA that is no GPA, aligned to every granule, beyond 32 bits, but in the
 * range of stage 2: without stage 1 it faults like any other address
 */
#define GIOVA		0x5a012340000ULL

struct env {
	struct edu edu;
	struct nvme nvme;
	struct vfio_dev *dev;
	struct vm vm;
	struct probe probe;
	struct s1_table table;
	struct pasid_table pasids;
	__u32 hwpt;
};

/* Why a test cannot run here, or NULL */
static inline const char *env_reason(int rc)
{
	switch (rc) {
	case -ENODEV:
		return "VFIO has no such device";
	case -ENOENT:
		return "no /dev/iommu";
	case -EOPNOTSUPP:
		return "the device's IOMMU does not nest, or not as known here";
	default:
		return NULL;
	}
}

/* A guest's table with nothing in it but what the device itself needs */
static inline void env_table(struct env *env, struct s1_table *table,
			     struct pasid_table *pasids, unsigned int granule,
			     __u16 tag)
{
	s1_init(table, &env->vm, granule, tag);
	probe_prepare(&env->probe, table);
	pasid_table_init(pasids, &env->vm);
	pasid_table_set(pasids, table);
}

/* The same, with a HWPT for it */
static inline int env_add_table(struct env *env, struct s1_table *table,
				struct pasid_table *pasids,
				unsigned int granule, __u16 tag, __u32 *hwpt)
{
	struct iommu_hwpt_pasid_table config;

	env_table(env, table, pasids, granule, tag);
	config = pasid_table_config(pasids);
	return vm_table(&env->vm, env->dev, &config, hwpt);
}

static inline int env_init(struct env *env, bool nvme, unsigned int granule)
{
	int rc;

	memset(env, 0, sizeof(*env));
	env->vm.iommufd = -1;
	env->dev = nvme ? &env->nvme.dev : &env->edu.dev;
	env->dev->fd = -1;
	if (!S1_SUPPORTED)
		return -EOPNOTSUPP;
	rc = nvme ? nvme_open(&env->nvme) : edu_open(&env->edu, 0);
	rc = rc ?: vm_init(&env->vm, env->dev);
	rc = rc ?: vfio_attach(env->dev, env->vm.parent);
	if (rc)
		return rc;
	rc = nvme ? probe_nvme(&env->probe, &env->vm, &env->nvme) :
		    probe_edu(&env->probe, &env->vm, &env->edu);
	if (rc)
		return rc;

	rc = env_add_table(env, &env->table, &env->pasids, granule, TAG,
			   &env->hwpt);
	probe_map(&env->probe, &env->table, GIOVA, AT_A);
	return rc ?: faults_start();
}

static inline void env_exit(struct env *env)
{
	vfio_close(env->dev);
	vm_exit(&env->vm);
}

/* Make a table of the same guest memory with something changed */
static inline int env_config(struct env *env, __u32 config, __u32 *hwpt)
{
	struct iommu_hwpt_pasid_table table = pasid_table_config(&env->pasids);

	table.config = config;
	return vm_table(&env->vm, env->dev, &table, hwpt);
}

/* Invalidate for the table of env_init() */
static inline int env_invalidate(struct env *env,
				 struct iommu_hwpt_pasid_table_invalidate req)
{
	return vm_invalidate(&env->vm, env->hwpt, req);
}

#endif
