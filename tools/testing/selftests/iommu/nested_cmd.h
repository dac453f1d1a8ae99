/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * STEs and commands as the driver of a guest's SMMUv3 writes them: IHI 0070, 5.2
 * and section 4
 */
#ifndef __NESTED_CMD_H
#define __NESTED_CMD_H

#include <endian.h>
#include <linux/const.h>

#include "nested_req.h"
#include "nested_viommu.h"

#define STE0_VALID		1ULL
#define STE0_ABORT		(0ULL << 1)
#define STE0_BYPASS		(4ULL << 1)
#define STE0_S1_TRANS		(5ULL << 1)
#define STE0_S1FMT_SHIFT	4
#define STE0_S1CDMAX_SHIFT	59
#define STE1_WALK_WB_ISH	0xd4ULL
#define STE1_EATS_TRANS		_BITULL(28)

#define CMD_CFGI_CD		0x05
#define CMD_CFGI_CD_ALL		0x06
#define CMD_TLBI_NH_ALL		0x10
#define CMD_TLBI_NH_ASID	0x11
#define CMD_TLBI_NH_VA		0x12
#define CMD_TLBI_NH_VAA		0x13
#define CMD_TLBI_NSNH_ALL	0x30
#define CMD_ATC_INV		0x40
#define CMD_SYNC		0x46

#define CMD0_SSID_SHIFT		12
#define CMD0_NUM_SHIFT		12
#define CMD0_SCALE_SHIFT	20
#define CMD0_SID_SHIFT		32
#define CMD0_ASID_SHIFT		48
#define CMD1_LEAF		1ULL
#define CMD1_TG_SHIFT		10

/* A range takes a command per run of 5 bits of its length */
#define CMDS_PER_RANGE		12

/* As struct iommu_viommu_arm_smmuv3_invalidate has it */
struct smmu_cmd {
	__le64 cmd[2];
};

static inline struct smmu_cmd cmd_make(__u64 word0, __u64 word1)
{
	return (struct smmu_cmd){ .cmd = { htole64(word0), htole64(word1) } };
}

static inline struct iommu_hwpt_arm_smmuv3
vste_make(const struct iommu_hwpt_pasid_table *config)
{
	__u64 ste0 = STE0_VALID, ste1 = 0;

	switch (config->config) {
	case IOMMU_PASID_TABLE_TRANSLATE:
		ste0 |= STE0_S1_TRANS | config->base_addr |
			(__u64)config->smmuv3.s1fmt << STE0_S1FMT_SHIFT |
			(__u64)config->pasid_bits << STE0_S1CDMAX_SHIFT;
		ste1 |= STE1_WALK_WB_ISH | config->smmuv3.s1dss;
		break;
	case IOMMU_PASID_TABLE_BYPASS:
		ste0 |= STE0_BYPASS;
		break;
	default:
		ste0 |= STE0_ABORT;
		break;
	}
	if (config->flags & IOMMU_PASID_TABLE_ATS)
		ste1 |= STE1_EATS_TRANS;
	return (struct iommu_hwpt_arm_smmuv3){
		.ste = { htole64(ste0), htole64(ste1) },
	};
}

/* Everything of the tag, or of all */
static inline struct smmu_cmd cmd_tlbi_tag(bool by_tag, __u16 tag)
{
	if (by_tag)
		return cmd_make(CMD_TLBI_NH_ASID |
				(__u64)tag << CMD0_ASID_SHIFT, 0);
	return cmd_make(CMD_TLBI_NH_ALL, 0);
}

/* Like the Linux driver, where there are range commands */
static inline unsigned int
cmds_tlbi_range(const struct iommu_hwpt_pasid_table_invalidate *req,
		struct smmu_cmd *cmds)
{
	bool by_tag = req->flags & IOMMU_PASID_TABLE_INV_ARCHID;
	__u64 word0 = by_tag ? CMD_TLBI_NH_VA |
			       (__u64)req->archid << CMD0_ASID_SHIFT :
			       CMD_TLBI_NH_VAA;
	__u64 word1 = req->flags & IOMMU_PASID_TABLE_INV_LEAF ? CMD1_LEAF : 0;
	__u64 tg = (req->granule_log2 - 10) / 2, left = req->nb_granules, num;
	__u64 addr = req->addr;
	unsigned int n = 0, scale;

	if (left >> 36 || (left > 1 && req->granule_log2 > 16)) {
		cmds[0] = cmd_tlbi_tag(by_tag, req->archid);
		return 1;
	}
	while (left) {
		scale = __builtin_ctzll(left);
		num = (left >> scale) & 31;
		/* A range is of two pages at least */
		if (num << scale == 1)
			cmds[n++] = cmd_make(word0, word1 | addr);
		else
			cmds[n++] = cmd_make(word0 |
					     (num - 1) << CMD0_NUM_SHIFT |
					     (__u64)scale << CMD0_SCALE_SHIFT,
					     word1 | addr |
					     tg << CMD1_TG_SHIFT);
		left -= num << scale;
		addr += num << (scale + req->granule_log2);
	}
	return n;
}

/*
 * What a guest's driver sends for a request, but for device TLBs, of which it
 * sees none: @vsids are its names for the devices that use the table.
 */
static inline unsigned int
cmds_make(const struct iommu_hwpt_pasid_table_invalidate *req,
	  const __u32 *vsids, unsigned int nr_vsids, struct smmu_cmd *cmds)
{
	unsigned int i, n = 0;
	__u64 sid;

	for (i = 0; i < nr_vsids && (req->caches & INV_PASID_CACHE); i++) {
		sid = (__u64)vsids[i] << CMD0_SID_SHIFT;
		if (req->granularity == IOMMU_PASID_TABLE_INV_DOMAIN)
			cmds[n++] = cmd_make(CMD_CFGI_CD_ALL | sid, 0);
		else
			cmds[n++] = cmd_make(CMD_CFGI_CD | sid |
					     (__u64)req->pasid <<
					     CMD0_SSID_SHIFT,
					     req->flags & INV_LEAF ?
					     CMD1_LEAF : 0);
	}
	if (!(req->caches & INV_IOTLB))
		return n;
	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR)
		return n + cmds_tlbi_range(req, cmds + n);
	cmds[n++] = cmd_tlbi_tag(req->flags & INV_TAG, req->archid);
	return n;
}

#endif
