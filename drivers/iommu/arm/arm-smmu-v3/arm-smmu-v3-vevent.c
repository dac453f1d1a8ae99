// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of a guest's device as the guest is to see them. References are to
 * IHI 0070, section 7.3.
 *
 * The guest's SMMU has one stage. What its own tables cause is its own: it gets
 * the event that an SMMU of one stage would have given. What stage 2 does to the
 * device's own access is the host's, and no physical address is shown.
 */
#include <kunit/visibility.h>

#include "arm-smmu-v3-viommu.h"

/* Classes of an access, 7.3: by what the SMMU did it */
enum {
	ARM_SMMU_CLASS_CD,
	ARM_SMMU_CLASS_TTD,
	ARM_SMMU_CLASS_IN,
};

/* What the guest is shown of the first word, beside its own name for the stream */
#define ARM_SMMU_VEVENT_0	(EVTQ_0_ID | EVTQ_0_SSV | EVTQ_0_SSID)

/* What the access was, but not who did it: class and stage are added */
#define ARM_SMMU_VEVENT_1                                                    \
	(EVTQ_1_PnU | EVTQ_1_InD | EVTQ_1_RnW)

/* A fault of stage 2 where a guest's own table should be is an external abort */
static bool arm_smmu_vevent_stage2(const u64 *evt, u64 *event)
{
	switch (FIELD_GET(EVTQ_1_CLASS, evt[1])) {
	case ARM_SMMU_CLASS_CD:
		event[0] = FIELD_PREP(EVTQ_0_ID, EVT_ID_CD_FETCH);
		event[1] = 0;
		event[2] = 0;
		break;
	case ARM_SMMU_CLASS_TTD:
		event[0] = FIELD_PREP(EVTQ_0_ID, EVT_ID_WALK_EABT);
		event[1] |= FIELD_PREP(EVTQ_1_CLASS, ARM_SMMU_CLASS_TTD);
		break;
	default:
		return false;
	}
	event[0] |= evt[0] & (EVTQ_0_SSV | EVTQ_0_SSID);
	/* The guest's physical address is what it calls physical */
	event[3] = evt[3] & EVTQ_3_IPA;
	return true;
}

/**
 * arm_smmu_vevent_convert() - An event record as the guest is to see it
 * @evt: The record of the hardware, in the CPU's byte order
 * @vsid: What the guest calls the stream
 * @event: Returns the record, in the CPU's byte order
 *
 * Return: false if it is not the guest's business.
 */
VISIBLE_IF_KUNIT
bool arm_smmu_vevent_convert(const u64 *evt, u32 vsid, u64 *event)
{
	event[0] = evt[0] & ARM_SMMU_VEVENT_0;
	event[1] = evt[1] & ARM_SMMU_VEVENT_1;
	event[2] = evt[2];
	event[3] = 0;

	switch (FIELD_GET(EVTQ_0_ID, evt[0])) {
	case EVT_ID_BAD_STE:
	case EVT_ID_STREAM_DISABLED:
	case EVT_ID_BAD_SUBSTREAMID:
	case EVT_ID_CD_FETCH:
	case EVT_ID_BAD_CD:
		event[1] = 0;
		event[2] = 0;
		break;
	case EVT_ID_WALK_EABT:
		/* A table of the host that cannot be read is the host's trouble */
		if (evt[1] & EVTQ_1_S2)
			return false;
		event[1] |= evt[1] & EVTQ_1_CLASS;
		break;
	case EVT_ID_TRANSLATION_FAULT:
	case EVT_ID_ADDR_SIZE_FAULT:
	case EVT_ID_ACCESS_FAULT:
	case EVT_ID_PERMISSION_FAULT:
		if (evt[1] & EVTQ_1_S2) {
			if (!arm_smmu_vevent_stage2(evt, event))
				return false;
			break;
		}
		event[1] |= evt[1] & (EVTQ_1_CLASS | EVTQ_1_TT_READ);
		break;
	default:
		return false;
	}
	event[0] |= FIELD_PREP(EVTQ_0_SID, vsid);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_convert);

static bool arm_smmu_vevent_fill(const void *evt, u64 virt_id, void *to)
{
	struct iommu_vevent_arm_smmuv3 *vevent = to;
	u64 event[EVTQ_ENT_DWORDS];
	int i;

	if (!arm_smmu_vevent_convert(evt, virt_id, event))
		return false;
	for (i = 0; i < EVTQ_ENT_DWORDS; i++)
		vevent->evt[i] = cpu_to_le64(event[i]);
	return true;
}

/**
 * arm_smmu_viommu_event() - Tell a guest of an event of its device
 * @smmu: SMMU
 * @evt: The event record that nobody else handled
 *
 * Does nothing unless the device uses a guest's table and the guest knows it.
 */
void arm_smmu_viommu_event(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct arm_smmu_master *master;

	mutex_lock(&smmu->streams_mutex);
	master = arm_smmu_find_master(smmu, FIELD_GET(EVTQ_0_SID, evt[0]));
	if (master && READ_ONCE(master->dev->iommu->pasid_table))
		iommu_vdevice_report(master->dev, &arm_smmu_viommu_ops,
				     arm_smmu_vevent_fill, evt);
	mutex_unlock(&smmu->streams_mutex);
}
