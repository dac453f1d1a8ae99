/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bad input that is so on VT-d
 */
#ifndef __NESTED_HOSTILE_VTD_H
#define __NESTED_HOSTILE_VTD_H

static const struct bad bad_vendor_table[] = {
	{ "base of 2 KiB", TABLE64(base_addr), EINVAL, NUMBER, VM_GPA + 2048 },
	{ "rid_pasid beyond the table", TABLE32(vtd.rid_pasid), EINVAL, NUMBER,
	  1 },
	{ "rid_pasid of 21 bits", TABLE32(vtd.rid_pasid), EINVAL, NUMBER,
	  1U << 20 },
	{ "last rid_pasid", TABLE32(vtd.rid_pasid), EINVAL, NUMBER, ~0U },
	{ "reserved", TABLE32(vtd.__reserved), EOPNOTSUPP, NUMBER, 1 },
	{ "last reserved", TABLE32(vtd.__reserved), EOPNOTSUPP, NUMBER,
	  1U << 31 },
};

/* There is no tag: a request names the PASID */
static const struct bad bad_vendor_addr[] = {
	{ "a tag", REQ32(flags), EOPNOTSUPP, NUMBER, 4 },
	{ "a tag beside the PASID", REQ32(flags), EOPNOTSUPP, NUMBER, 6 },
	{ "a tag, leaf only", REQ32(flags), EOPNOTSUPP, NUMBER, 5 },
};

static const struct bad bad_vendor_one_pasid[] = {
	{ "a tag", REQ32(flags), EOPNOTSUPP, NUMBER, 4 },
	{ "a tag beside the PASID", REQ32(flags), EOPNOTSUPP, NUMBER, 6 },
};

#endif
