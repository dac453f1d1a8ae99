/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of PASID tables start from that only VT-d has: a VM whose device
 * carries PASIDs, a directory with room for some, and two address spaces. They
 * do not skip: a machine that lacks any of it fails.
 */
#ifndef __VTD_ENV_H
#define __VTD_ENV_H

#include <linux/const.h>

#include "nested_env.h"

#include "../kselftest.h"

/* PASIDs of several directory entries */
#define VTD_BITS	10
/* A page that only one of the two address spaces maps */
#define GIOVA_OTHER	(GIOVA + (1ULL << 30))

#define CAP_ND(cap)	(4 + 2 * ((cap) & 7))
#define CAP_5_LEVEL	_BITULL(60)
#define ECAP_SC		_BITULL(7)
#define ECAP_NEST	_BITULL(26)
#define ECAP_ERS	_BITULL(30)
#define ECAP_SRS	_BITULL(31)
#define ECAP_EAFS	_BITULL(34)
#define ECAP_PSS(ecap)	(((ecap) >> 35 & 0x1f) + 1)
#define ECAP_PASID	_BITULL(40)
#define ECAP_SMTS	_BITULL(43)
#define ECAP_SSTS	_BITULL(46)
#define ECAP_FSTS	_BITULL(47)

/* In the log where the kernel waited for a device in vain */
#define TIME_OUT	"Invalidation Time-out Error"

struct vtd {
	struct env env;		/* GIOVA leads to A in its table */
	struct s1_table other;	/* there it leads to B */
	struct iommu_hw_info_vtd info;
	__u8 max_pasid_log2;
};

static inline int vtd_info(const struct env *env,
			   struct iommu_hw_info_vtd *info, __u8 *max_pasid_log2)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = env->dev->id,
		.data_len = sizeof(*info),
		.data_uptr = (uintptr_t)info,
	};
	int rc = call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd);

	*max_pasid_log2 = cmd.out_max_pasid_log2;
	if (rc)
		return rc;
	return cmd.out_data_type == IOMMU_HW_INFO_TYPE_INTEL_VTD ? 0 : -ENXIO;
}

/*
 * Requests without a PASID go through the first address space, by the entry of
 * @rid; all other entries are empty. The parent is attached.
 */
static inline int vtd_init(struct vtd *v, unsigned int bits, __u32 rid)
{
	struct env *env = &v->env;
	int rc = env_init(env, false, 12);

	rc = rc ?: vtd_info(env, &v->info, &v->max_pasid_log2);
	if (rc)
		return rc;
	if (!v->max_pasid_log2)
		return -ENXIO;
	rc = iommufd_destroy(env->vm.iommufd, env->hwpt);
	pasid_table_init_bits(&env->pasids, &env->vm, bits);
	env->pasids.rid = rid;
	pasid_table_set(&env->pasids, &env->table);
	s1_init(&v->other, &env->vm, 12, TAG + 1);
	probe_map(&env->probe, &v->other, GIOVA, AT_B);
	probe_map(&env->probe, &v->other, GIOVA_OTHER, AT_A);
	return rc ?: env_config(env, IOMMU_PASID_TABLE_TRANSLATE, &env->hwpt);
}

static inline void vtd_exit(struct vtd *v)
{
	if (v->env.dev->bar_size)
		edu_no_pasid(&v->env.edu);
	env_exit(&v->env);
}

/* A DMA with a PASID */
static inline enum place vtd_dma(struct vtd *v, __u32 pasid, __u64 iova)
{
	enum place place;

	edu_pasid(&v->env.edu, pasid);
	place = probe_dma(&v->env.probe, iova);
	edu_no_pasid(&v->env.edu);
	return place;
}

/* Whether DMA of a device with this PASID and without one reaches this place */
static inline bool vtd_both_reach(struct probe *probe, __u32 pasid, __u64 iova,
				  enum place place)
{
	enum place without, with;

	without = probe_dma(probe, iova);
	edu_pasid(probe->edu, pasid);
	with = probe_dma(probe, iova);
	edu_no_pasid(probe->edu);
	if (without == place && with == place)
		return true;
	ksft_print_msg("%s: %u, with a PASID %u\n", probe->dev->name, without,
		       with);
	return false;
}

/* Whether a DMA with a PASID is blocked, and reported */
static inline bool vtd_blocked(struct vtd *v, __u32 pasid, __u64 iova)
{
	bool blocked;

	if (faults_start())
		return false;
	blocked = vtd_dma(v, pasid, iova) == NOWHERE &&
		  faults_at(v->env.dev, iova, iova + EDU_CHUNK - 1, true);
	return !faults_start() && blocked;
}

/*
 * Who blocks all DMA of a device that is lost is a thread of the kernel's: give it
 * time, but then nothing gets through.
 */
static inline bool vtd_gets_blocked(struct probe *probe, __u64 addr)
{
	int tries = 1000;

	while (probe_dma(probe, addr) != NOWHERE)
		if (!tries--)
			return false;
	return probe_dma(probe, addr) == NOWHERE;
}

/* Everything that is cached of a PASID */
static inline struct iommu_hwpt_pasid_table_invalidate
inv_pasid(__u32 caches, __u32 pasid)
{
	struct iommu_hwpt_pasid_table_invalidate req =
		inv_one(INV_PASID, caches);

	req.pasid = pasid;
	return req;
}

/* The guest's driver, after it changed the entry of a PASID */
static inline int vtd_changed(struct vtd *v, __u32 pasid)
{
	return env_invalidate(&v->env, inv_pasid(INV_PASID_CACHE, pasid));
}

#define TRACE_REFUSED	TRACING "events/intel_iommu/nested_entry_refused/enable"

/* Why the entry of a PASID was refused, the last time it was traced; 0 if never */
static inline int refusal(const struct vfio_dev *dev, __u32 pasid)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[256], want[64];
	int error = 0;
	char *at;

	snprintf(want, sizeof(want), "%s pasid 0x%x error ", dev->name, pasid);
	while (trace && fgets(line, sizeof(line), trace)) {
		at = strstr(line, want);
		if (at && strstr(line, "nested_entry_refused:"))
			error = atoi(at + strlen(want));
	}
	if (trace)
		fclose(trace);
	return error;
}

/*
 * The guest's driver, after it changed an entry to one that the host does not take.
 * Returns whether the host says so, and traces that it is for @error.
 */
static inline bool vtd_refused(struct vtd *v, __u32 pasid, int error)
{
	bool refused;

	if (file_write(TRACING "trace", "", O_TRUNC) ||
	    file_write(TRACE_REFUSED, "1", 0))
		return false;
	refused = vtd_changed(v, pasid) == -EREMOTEIO;
	return !file_write(TRACE_REFUSED, "0", 0) && refused &&
	       refusal(v->env.dev, pasid) == error;
}

#endif
