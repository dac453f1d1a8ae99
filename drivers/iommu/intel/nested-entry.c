// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASID-table entries of a guest, and what the hardware gets for them. References
 * are to the VT-d specification.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "nested-table.h"

/* Scalable-mode PASID-directory entry, 9.5 */
#define GUEST_PDE_P		BIT_ULL(0)
#define GUEST_PDE_RESERVED	GENMASK_ULL(11, 2)

/* Scalable-mode PASID-table entry, 9.6, by its 64-bit words */
#define GUEST_PE0_P		BIT_ULL(0)
#define GUEST_PE0_FPD		BIT_ULL(1)
#define GUEST_PE0_PGTT		GENMASK_ULL(8, 6)
#define GUEST_PE0_RESERVED	(BIT_ULL(5) | GENMASK_ULL(11, 10))
#define GUEST_PE1_PGSNP		BIT_ULL(24)
/* CD, EMTE, EMT, PWT, PCD and PAT are reserved without memory types, as here */
#define GUEST_PE1_RESERVED	(GENMASK_ULL(22, 16) | GENMASK_ULL(63, 25))
#define GUEST_PE2_SRE		BIT_ULL(0)
#define GUEST_PE2_ERE		BIT_ULL(1)
#define GUEST_PE2_FSPM		GENMASK_ULL(3, 2)
#define GUEST_PE2_WPE		BIT_ULL(4)
#define GUEST_PE2_NXE		BIT_ULL(5)
#define GUEST_PE2_SMEP		BIT_ULL(6)
#define GUEST_PE2_EAFE		BIT_ULL(7)
#define GUEST_PE2_RESERVED	GENMASK_ULL(11, 8)
#define GUEST_PE2_FSPTPTR	GENMASK_ULL(63, 12)

#define GUEST_PE2_EXECUTE	(GUEST_PE2_ERE | GUEST_PE2_NXE | GUEST_PE2_SMEP)
/* What the hardware gets as it is */
#define GUEST_PE2_KEPT		(GUEST_PE2_SRE | GUEST_PE2_EXECUTE | \
				 GUEST_PE2_FSPM | GUEST_PE2_EAFE | \
				 GUEST_PE2_FSPTPTR)

#define FSPM_4_LEVELS		0
#define FSPM_5_LEVELS		1

static bool guest_reserved(const struct intel_guest_entry *guest)
{
	return guest->val[0] & GUEST_PE0_RESERVED ||
	       guest->val[1] & GUEST_PE1_RESERVED ||
	       guest->val[2] & GUEST_PE2_RESERVED ||
	       memchr_inv(&guest->val[3], 0, 5 * sizeof(guest->val[0]));
}

/* A first-stage entry against what the hardware has */
static int guest_check_first(const struct intel_nested_stage2 *s2,
			     const struct intel_guest_entry *guest)
{
	u64 flags = guest->val[2];

	switch (FIELD_GET(GUEST_PE2_FSPM, flags)) {
	case FSPM_4_LEVELS:
		break;
	case FSPM_5_LEVELS:
		if (!cap_fl5lp_support(s2->cap))
			return -ENXIO;
		break;
	default:
		return -EINVAL;
	}
	if (flags & GUEST_PE2_SRE && !ecap_srs(s2->ecap))
		return -ENXIO;
	if (flags & GUEST_PE2_EXECUTE && !ecap_ers(s2->ecap))
		return -ENXIO;
	if (flags & GUEST_PE2_EAFE && !ecap_eafs(s2->ecap))
		return -ENXIO;
	if (guest->val[1] & GUEST_PE1_PGSNP && !ecap_sc_support(s2->ecap))
		return -ENXIO;
	if ((flags & GUEST_PE2_FSPTPTR) > s2->gpa_last)
		return -ERANGE;
	return 0;
}

static int guest_check(const struct intel_nested_stage2 *s2,
		       const struct intel_guest_entry *guest)
{
	u64 type = FIELD_GET(GUEST_PE0_PGTT, guest->val[0]);

	if (guest_reserved(guest))
		return -EINVAL;
	switch (type) {
	case PASID_ENTRY_PGTT_FL_ONLY:
		return guest_check_first(s2, guest);
	case PASID_ENTRY_PGTT_PT:
		return 0;
	case PASID_ENTRY_PGTT_SL_ONLY:
	case PASID_ENTRY_PGTT_NESTED:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

/* The host's part: second stage, domain ID, page walks */
static void make_stage2(const struct intel_nested_stage2 *s2, u64 type,
			struct pasid_entry *entry)
{
	pasid_set_slptr(entry, s2->pgd);
	pasid_set_address_width(entry, s2->agaw);
	pasid_set_translation_type(entry, type);
	if (s2->track_dirty)
		pasid_set_ssade(entry);
	pasid_set_domain_id(entry, s2->did);
	pasid_set_page_snoop(entry, ecap_smpwc(s2->ecap));
	entry->val[0] |= PASID_PTE_PRESENT;
}

/**
 * intel_nested_make_bypass() - The entry of requests that skip the first stage
 * @s2: The host's part
 * @entry: Returns the entry
 */
void intel_nested_make_bypass(const struct intel_nested_stage2 *s2,
			      struct pasid_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	make_stage2(s2, PASID_ENTRY_PGTT_SL_ONLY, entry);
}

/**
 * intel_nested_make_entry() - What the hardware gets for a guest's entry
 * @s2: The host's part
 * @guest: A copy of the guest's entry; untrusted
 * @entry: Returns the entry, all 0 on error
 *
 * Of the guest comes where the first stage is and how it is walked; FPD; PGSNP,
 * which the host can force. Its domain ID, AW, SSPTPTR, SSADE and PWSNP are not
 * looked at: those of the hardware are the host's.
 *
 * Nothing is kept of an entry that is not present, so that it takes no memory. FPD
 * of such an entry does not matter to the log: faults that a guest can cause are
 * kept out of it in any case.
 *
 * Return: 0, also for an entry that is not present, which becomes all 0, or
 *
 * * -EOPNOTSUPP: type second-stage or nested, which would have to be shadowed
 * * -ENXIO: asks for 5 levels, supervisor or execute requests, extended access
 *   flags, or snooping that the hardware does not have
 * * -ERANGE: FSPTPTR is beyond what the second stage can translate
 * * -EINVAL: reserved bits or values
 */
int intel_nested_make_entry(const struct intel_nested_stage2 *s2,
			    const struct intel_guest_entry *guest,
			    struct pasid_entry *entry)
{
	int rc;

	memset(entry, 0, sizeof(*entry));
	if (!(guest->val[0] & GUEST_PE0_P))
		return 0;
	rc = guest_check(s2, guest);
	if (rc)
		return rc;

	entry->val[0] = guest->val[0] & GUEST_PE0_FPD;
	if (FIELD_GET(GUEST_PE0_PGTT, guest->val[0]) == PASID_ENTRY_PGTT_PT) {
		make_stage2(s2, PASID_ENTRY_PGTT_SL_ONLY, entry);
		return 0;
	}
	entry->val[2] = guest->val[2] & GUEST_PE2_KEPT;
	/* Says how supervisor requests write, so means nothing without them */
	if (guest->val[2] & GUEST_PE2_SRE)
		entry->val[2] |= guest->val[2] & GUEST_PE2_WPE;
	if (s2->force_snoop || guest->val[1] & GUEST_PE1_PGSNP)
		pasid_set_pgsnp(entry);
	make_stage2(s2, PASID_ENTRY_PGTT_NESTED, entry);
	return 0;
}

/**
 * intel_nested_check_pde() - Where a guest's directory entry leads
 * @s2: The host's part
 * @pde: A copy of the guest's entry; untrusted
 * @gpa: Returns the address of the guest's PASID table, if there is one
 *
 * Return: 1 if there is a table, 0 if the entry is not present, -EINVAL if
 * reserved bits are set, -ERANGE if the table is beyond what the second stage can
 * translate.
 */
int intel_nested_check_pde(const struct intel_nested_stage2 *s2, u64 pde,
			   u64 *gpa)
{
	if (!(pde & GUEST_PDE_P))
		return 0;
	if (pde & GUEST_PDE_RESERVED)
		return -EINVAL;
	*gpa = pde & VTD_PAGE_MASK;
	return *gpa > s2->gpa_last ? -ERANGE : 1;
}
