/*
 * Deliberate mistakes of the emulated Intel IOMMU
 *
 * x-mutant=NAME makes one of them, so that a test suite can be asked whether it
 * would notice: what no test fails on is a gap of the tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "intel_iommu_internal.h"

static const char *const vtd_mutants[VTD_MUTANT_MAX] = {
    /* kinds of descriptors that have no effect */
    [VTD_MUTANT_DROP_CONTEXT] = "drop-context",
    [VTD_MUTANT_DROP_PASID_CACHE] = "drop-pasid-cache",
    [VTD_MUTANT_DROP_IOTLB_DOMAIN] = "drop-iotlb-domain",
    [VTD_MUTANT_DROP_IOTLB_PAGES] = "drop-iotlb-pages",
    [VTD_MUTANT_DROP_PIOTLB_PASID] = "drop-piotlb-pasid",
    [VTD_MUTANT_DROP_PIOTLB_PAGES] = "drop-piotlb-pages",
    [VTD_MUTANT_DROP_DEV_TLB] = "drop-dev-tlb",
    [VTD_MUTANT_DROP_DEV_PTLB] = "drop-dev-ptlb",
    /* an invalidation of pages reaches the first page alone */
    [VTD_MUTANT_ONE_PAGE] = "one-page",
    /* an invalidation of pages leaves tables, whatever it asks for */
    [VTD_MUTANT_LEAVES] = "leaves",
    /* tags of the IOTLB */
    [VTD_MUTANT_IGNORE_PASID] = "ignore-pasid",
    [VTD_MUTANT_IGNORE_DID] = "ignore-did",
    /* a first stage's output is taken for a host physical address */
    [VTD_MUTANT_SKIP_STAGE2] = "skip-stage2",
    /* any access is allowed where one is */
    [VTD_MUTANT_IGNORE_RIGHTS] = "ignore-rights",
    /* waits are complete long before the work is done */
    [VTD_MUTANT_EARLY_WAIT] = "early-wait",
    /* ATS requests are taken from any function */
    [VTD_MUTANT_IGNORE_DTE] = "ignore-dte",
    /* nothing tells of a fault */
    [VTD_MUTANT_NO_FAULTS] = "no-faults",
    /* a descriptor that is not answered is complete */
    [VTD_MUTANT_NO_TIMEOUT] = "no-timeout",
};

bool vtd_mutant_init(IntelIOMMUState *s, Error **errp)
{
    int i;

    s->mutant = 0;
    if (!s->mutant_name) {
        return true;
    }
    for (i = 1; i < VTD_MUTANT_MAX; i++) {
        if (!strcmp(s->mutant_name, vtd_mutants[i])) {
            s->mutant = i;
            return true;
        }
    }
    error_setg(errp, "no x-mutant '%s'", s->mutant_name);
    return false;
}

/* Whether a descriptor is of a kind that the mutant drops */
bool vtd_mutant_drops(IntelIOMMUState *s, VTDInvDesc *desc)
{
    switch (s->mutant) {
    case VTD_MUTANT_DROP_CONTEXT:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_CC;
    case VTD_MUTANT_DROP_PASID_CACHE:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_PC;
    case VTD_MUTANT_DROP_IOTLB_DOMAIN:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_IOTLB &&
               (desc->lo & VTD_INV_DESC_IOTLB_G) == VTD_INV_DESC_IOTLB_DOMAIN;
    case VTD_MUTANT_DROP_IOTLB_PAGES:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_IOTLB &&
               (desc->lo & VTD_INV_DESC_IOTLB_G) == VTD_INV_DESC_IOTLB_PAGE;
    case VTD_MUTANT_DROP_PIOTLB_PASID:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_PIOTLB &&
               (desc->lo & VTD_INV_DESC_PIOTLB_G) ==
               VTD_INV_DESC_PIOTLB_ALL_IN_PASID;
    case VTD_MUTANT_DROP_PIOTLB_PAGES:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_PIOTLB &&
               (desc->lo & VTD_INV_DESC_PIOTLB_G) ==
               VTD_INV_DESC_PIOTLB_PSI_IN_PASID;
    case VTD_MUTANT_DROP_DEV_TLB:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_DEVICE;
    case VTD_MUTANT_DROP_DEV_PTLB:
        return VTD_INV_DESC_TYPE(desc->lo) == VTD_INV_DESC_DEV_PIOTLB;
    default:
        return false;
    }
}
