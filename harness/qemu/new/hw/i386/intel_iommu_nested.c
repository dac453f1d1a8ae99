/*
 * Nested translation and PASIDs for the emulated Intel IOMMU
 *
 * With x-nested=on this replaces the scalable-mode translation of
 * intel_iommu.c. It is made to test software, so wherever the VT-d
 * specification lets hardware keep something, it is kept: a missing
 * invalidation shows as a stale translation.
 *
 * - PASID-table entries are cached, tagged with requester, PASID and domain ID.
 * - The IOTLB is tagged with domain ID, translation type and, for first-stage
 *   and nested translations, PASID. The requester is no tag: two tables behind
 *   one domain ID and PASID mix.
 * - First-stage tables are found again by paging-structure caches with the same
 *   tags, second-stage tables by others, tagged with the domain ID alone. An
 *   invalidation of leaves alone does not reach them.
 * - What is not present is not cached, unless caching-mode=on: then context
 *   entries, PASID-table entries and second-stage translations that fault stay
 *   until they are invalidated. First-stage entries that are not present are
 *   never cached.
 *
 * Not modelled: supervisor and execute requests, memory types, page requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "intel_iommu_internal.h"
#include "exec/memory.h"
#include "hw/pci/pci_bus.h"
#include "trace.h"

#define VTD_NESTED_IOTLB_SIZE   4096

/* Scalable-mode context entry */
#define VTD_SM_CE_DTE           (1ULL << 2)
#define VTD_SM_CE_PRE           (1ULL << 4)
#define VTD_SM_CE_PASIDE        (1ULL << 3)
#define VTD_SM_CE_PDTS(ce)      (((ce)->val[0] >> 9) & 7)

/* Scalable-mode PASID-table entry */
#define VTD_PE_PGTT(pe)         ((pe)->val[0] & VTD_SM_PASID_ENTRY_PGTT)
#define VTD_PE_AW(pe)           (((pe)->val[0] >> 2) & VTD_SM_PASID_ENTRY_AW)
#define VTD_PE_SSADE            (1ULL << 9)     /* val[0] */
#define VTD_PE_DID(pe)          VTD_SM_PASID_ENTRY_DID((pe)->val[1])
#define VTD_PE_FSPM(pe)         (((pe)->val[2] >> 2) & VTD_SM_PASID_ENTRY_FLPM)
#define VTD_PE_EAFE             (1ULL << 7)     /* val[2] */
/* SSEE; no execute requests */
#define VTD_PE_RSVD_VAL0        0xc20ULL
/* All but DID, PWSNP and PGSNP; no memory types */
#define VTD_PE_RSVD_VAL1        (~0x180ffffULL)
#define VTD_PE_PWSNP            (1ULL << 23)    /* val[1], needs SMPWCS */
#define VTD_PE_PGSNP            (1ULL << 24)    /* val[1], needs SC */
/* ERE, NXE, SMEP; no execute requests */
#define VTD_PE_RSVD_VAL2        0xf62ULL

#define VTD_FS_EA               (1ULL << 10)
#define VTD_SS_A                (1ULL << 8)
#define VTD_SS_D                (1ULL << 9)
#define VTD_SS_SNP              (1ULL << 11)

/* An entry changed while it was walked. Faults are negative. */
#define VTD_WALK_AGAIN          1

/* The outcome of a translation, and what the IOTLB holds. */
typedef struct VTDPage {
    int fault;      /* not 0 for what is not present and cached */
    hwaddr base;
    uint32_t level;
    bool read;
    bool write;     /* without another walk: all D bits are set */
} VTDPage;

/* The outcome of a part of a walk */
typedef struct VTDTable {
    hwaddr gpa;     /* first stage */
    hwaddr pa;
    bool write;
    uint64_t rights;    /* second stage */
} VTDTable;

typedef struct VTDTag {
    uint64_t gfn;
    uint32_t pasid;
    uint16_t did;
    uint16_t pgtt;
    uint32_t level;     /* of the page, or of the entry that has the table */
    bool table;
} VTDTag;

typedef struct VTDPASIDTag {
    uint16_t sid;
    uint32_t pasid;
} VTDPASIDTag;

/* What the PASID cache holds */
typedef struct VTDCachedPASID {
    VTDPASIDEntry pe;
    int fault;      /* not 0 for what is not present and cached */
    bool fpd;
} VTDCachedPASID;

typedef struct VTDRequest {
    IntelIOMMUState *s;
    const VTDPASIDEntry *pe;
    uint64_t addr;
    bool is_write;
    bool with_pasid;
    uint32_t pasid;
} VTDRequest;

/* What an invalidation reaches. */
typedef struct VTDScope {
    uint16_t did;
    bool all_pasids;
    uint32_t pasid;
    bool all_pages;
    bool leaves;                /* only */
    uint64_t first, last;       /* page frames */
    int mutant;
} VTDScope;

static guint vtd_tag_hash(gconstpointer v)
{
    const VTDTag *tag = v;

    return tag->gfn * 31 + tag->did * 257 + tag->pasid * 8191 + tag->level +
           tag->pgtt + tag->table;
}

static gboolean vtd_tag_equal(gconstpointer v1, gconstpointer v2)
{
    const VTDTag *a = v1, *b = v2;

    return a->gfn == b->gfn && a->pasid == b->pasid && a->did == b->did &&
           a->pgtt == b->pgtt && a->level == b->level && a->table == b->table;
}

static guint vtd_pasid_tag_hash(gconstpointer v)
{
    const VTDPASIDTag *tag = v;

    return tag->pasid * 257 + tag->sid;
}

static gboolean vtd_pasid_tag_equal(gconstpointer v1, gconstpointer v2)
{
    const VTDPASIDTag *a = v1, *b = v2;

    return a->sid == b->sid && a->pasid == b->pasid;
}

void vtd_nested_init(IntelIOMMUState *s)
{
    s->nested_iotlb = g_hash_table_new_full(vtd_tag_hash, vtd_tag_equal,
                                            g_free, g_free);
    s->pasid_cache = g_hash_table_new_full(vtd_pasid_tag_hash,
                                           vtd_pasid_tag_equal,
                                           g_free, g_free);
}

static uint32_t vtd_level_shift(uint32_t level)
{
    return VTD_PAGE_SHIFT_4K + (level - 1) * VTD_LEVEL_BITS;
}

static uint64_t vtd_level_mask(uint32_t level)
{
    return ~((1ULL << vtd_level_shift(level)) - 1);
}

static hwaddr vtd_entry_addr(hwaddr table, uint64_t addr, uint32_t level)
{
    return table + ((addr >> vtd_level_shift(level)) &
                    (VTD_PT_ENTRY_NR - 1)) * sizeof(uint64_t);
}

static bool vtd_is_leaf(uint64_t entry, uint32_t level)
{
    return level == VTD_PT_LEVEL || (entry & VTD_PT_PAGE_SIZE_MASK);
}

static bool vtd_read_entry(hwaddr addr, uint64_t *entry)
{
    MemTxResult result;

    *entry = address_space_ldq_le(&address_space_memory, addr,
                                  MEMTXATTRS_UNSPECIFIED, &result);
    return result == MEMTX_OK;
}

/*
 * Set flags in an entry that was read as @entry, atomically: a CPU may write to
 * it at the same time.
 */
static int vtd_set_flags(hwaddr addr, uint64_t entry, uint64_t flags, int fault)
{
    hwaddr len = sizeof(entry);
    uint64_t *host, seen;

    if ((entry & flags) == flags) {
        return 0;
    }
    host = address_space_map(&address_space_memory, addr, &len, true,
                             MEMTXATTRS_UNSPECIFIED);
    if (!host) {
        return -fault;
    }
    if (len < sizeof(entry)) {
        address_space_unmap(&address_space_memory, host, len, true, 0);
        return -fault;
    }
    seen = qatomic_cmpxchg(host, cpu_to_le64(entry),
                           cpu_to_le64(entry | flags));
    address_space_unmap(&address_space_memory, host, len, true, len);
    return seen == cpu_to_le64(entry) ? 0 : VTD_WALK_AGAIN;
}

static bool vtd_ss_reserved(IntelIOMMUState *s, uint64_t entry, uint32_t level)
{
    uint64_t reserved = ~(VTD_HAW_MASK(s->aw_bits) | VTD_SL_IGN_COM);

    if (!(s->ecap & VTD_ECAP_SC)) {
        reserved |= VTD_SS_SNP;
    }
    if (!vtd_is_leaf(entry, level)) {
        reserved |= VTD_SS_SNP;
    } else if (level > VTD_PDP_LEVEL) {
        reserved |= VTD_PT_PAGE_SIZE_MASK;
    } else {
        reserved |= ~vtd_level_mask(level) & VTD_PAGE_MASK_4K;
    }
    return entry & reserved;
}

static VTDTag vtd_request_tag(VTDRequest *req, uint32_t level, bool table)
{
    uint32_t pgtt = VTD_PE_PGTT(req->pe);
    int mutant = req->s->mutant;

    return (VTDTag) {
        .gfn = (req->addr & vtd_level_mask(level)) >> VTD_PAGE_SHIFT_4K,
        .pasid = pgtt == VTD_SM_PASID_ENTRY_SLT ||
                 mutant == VTD_MUTANT_IGNORE_PASID ? 0 : req->pasid,
        .did = mutant == VTD_MUTANT_IGNORE_DID ? 0 : VTD_PE_DID(req->pe),
        .pgtt = pgtt,
        .level = level,
        .table = table,
    };
}

/* Of a second-stage table, whatever the translation that it was found in */
static VTDTag vtd_ss_table_tag(VTDRequest *req, uint64_t gpa, uint32_t level)
{
    return (VTDTag) {
        .gfn = (gpa & vtd_level_mask(level)) >> VTD_PAGE_SHIFT_4K,
        .did = VTD_PE_DID(req->pe),
        .pgtt = VTD_SM_PASID_ENTRY_SLT,
        .level = level,
        .table = true,
    };
}

static void vtd_cache_add(VTDRequest *req, VTDTag tag, gpointer value)
{
    if (g_hash_table_size(req->s->nested_iotlb) >= VTD_NESTED_IOTLB_SIZE) {
        trace_vtd_iotlb_reset("iotlb exceeds size limit");
        g_hash_table_remove_all(req->s->nested_iotlb);
    }
    g_hash_table_replace(req->s->nested_iotlb, g_memdup2(&tag, sizeof(tag)),
                         value);
}

/*
 * Find the lowest known second-stage table whose rights suffice. Returns its
 * level, or @top for none.
 */
static uint32_t vtd_ss_table_find(VTDRequest *req, uint64_t gpa, uint64_t need,
                                  uint32_t top, VTDTable *table)
{
    VTDTable *found;
    VTDTag tag;
    uint32_t level;

    for (level = VTD_PT_LEVEL; level < top; level++) {
        tag = vtd_ss_table_tag(req, gpa, level + 1);
        found = g_hash_table_lookup(req->s->nested_iotlb, &tag);
        if (found && !(need & ~found->rights)) {
            *table = *found;
            break;
        }
    }
    return level;
}

/*
 * Translate a guest physical address by the second stage.
 * @need: VTD_SL_R, VTD_SL_W or both
 */
static int vtd_ss_walk(VTDRequest *req, uint64_t gpa, uint64_t need,
                       VTDPage *page)
{
    const VTDPASIDEntry *pe = req->pe;
    bool dirty_tracking = pe->val[0] & VTD_PE_SSADE;
    VTDTable table = {
        .pa = pe->val[0] & VTD_SM_PASID_ENTRY_SLPTPTR,
        .rights = VTD_SL_RW_MASK,
    };
    uint32_t top = 2 + VTD_PE_AW(pe), level;
    hwaddr addr;
    uint64_t entry, flags;
    bool leaf;
    int ret;

    level = vtd_ss_table_find(req, gpa, need, top, &table);
    do {
        addr = vtd_entry_addr(table.pa, gpa, level);
        if (!vtd_read_entry(addr, &entry)) {
            return level == top ? -VTD_FR_SS_TOP_ACCESS : -VTD_FR_SS_ACCESS;
        }
        if (!(entry & VTD_SL_RW_MASK)) {
            return -VTD_FR_SS_NOT_PRESENT;
        }
        if (vtd_ss_reserved(req->s, entry, level)) {
            return -VTD_FR_SS_RSVD;
        }
        if (req->s->mutant != VTD_MUTANT_IGNORE_RIGHTS) {
            table.rights &= entry;
        }
        if (need & ~table.rights) {
            return need & ~table.rights & VTD_SL_W ? -VTD_FR_SM_WRITE :
                                                     -VTD_FR_SM_READ;
        }
        leaf = vtd_is_leaf(entry, level);
        if (dirty_tracking) {
            flags = VTD_SS_A | (leaf && (need & VTD_SL_W) ? VTD_SS_D : 0);
            ret = vtd_set_flags(addr, entry, flags, VTD_FR_SS_ACCESS);
            if (ret) {
                return ret;
            }
            entry |= flags;
        }
        table.pa = entry & VTD_PT_BASE_ADDR_MASK(req->s->aw_bits);
        if (!leaf) {
            vtd_cache_add(req, vtd_ss_table_tag(req, gpa, level),
                          g_memdup2(&table, sizeof(table)));
        }
    } while (!leaf && level--);

    *page = (VTDPage) {
        .base = table.pa & vtd_level_mask(level),
        .level = level,
        .read = table.rights & VTD_SL_R,
        .write = (table.rights & VTD_SL_W) &&
                 (!dirty_tracking || (entry & VTD_SS_D)),
    };
    return 0;
}

static bool vtd_is_nested(VTDRequest *req)
{
    return VTD_PE_PGTT(req->pe) == VTD_SM_PASID_ENTRY_NESTED &&
           req->s->mutant != VTD_MUTANT_SKIP_STAGE2;
}

static bool vtd_beyond_second_stage(VTDRequest *req, uint64_t gpa)
{
    return gpa >> MIN(30 + VTD_PE_AW(req->pe) * 9, req->s->aw_bits);
}

/* Where a first-stage entry is; in nested translation its address is a GPA. */
static int vtd_fs_entry_pa(VTDRequest *req, hwaddr addr, uint64_t need,
                           bool is_top, hwaddr *pa)
{
    VTDPage page;
    int ret;

    if (!vtd_is_nested(req)) {
        *pa = addr;
        return 0;
    }
    if (vtd_beyond_second_stage(req, addr)) {
        return -VTD_FR_NESTED_FS_ADDR;
    }
    ret = vtd_ss_walk(req, addr, need, &page);
    if (ret == -VTD_FR_SM_READ) {
        return is_top ? -VTD_FR_NESTED_FS_TOP_READ : -VTD_FR_NESTED_FS_READ;
    }
    if (ret == -VTD_FR_SM_WRITE) {
        return -VTD_FR_NESTED_FS_WRITE;
    }
    if (ret) {
        return ret;
    }
    *pa = page.base | (addr & ~vtd_level_mask(page.level));
    return 0;
}

static int vtd_fs_set_flags(VTDRequest *req, hwaddr addr, uint64_t entry,
                            uint64_t flags)
{
    hwaddr pa;
    int ret;

    if ((entry & flags) == flags) {
        return 0;
    }
    ret = vtd_fs_entry_pa(req, addr, VTD_SL_W, false, &pa);
    if (ret) {
        return ret;
    }
    return vtd_set_flags(pa, entry, flags, VTD_FR_FS_BIT_UPDATE_FAILED);
}

static bool vtd_fs_reserved(IntelIOMMUState *s, uint64_t entry, uint32_t level)
{
    uint64_t reserved = ~(VTD_HAW_MASK(s->aw_bits) | VTD_FS_UPPER_IGNORED);

    if (level > VTD_PDP_LEVEL || (level == VTD_PDP_LEVEL && !s->fs1gp)) {
        reserved |= VTD_PT_PAGE_SIZE_MASK;
    } else if (level > VTD_PT_LEVEL && vtd_is_leaf(entry, level)) {
        /* bit 12 is PAT */
        reserved |= ~vtd_level_mask(level) & ~0x1fffULL;
    }
    return entry & reserved;
}

static bool vtd_is_canonical(uint64_t addr, uint32_t levels)
{
    return sextract64(addr, 0, vtd_level_shift(levels + 1)) == (int64_t)addr;
}

/* Find the lowest known table. Returns its level, or @top for none. */
static uint32_t vtd_table_find(VTDRequest *req, uint32_t top, VTDTable *table)
{
    VTDTable *found;
    VTDTag tag;
    uint32_t level;

    for (level = VTD_PT_LEVEL; level < top; level++) {
        tag = vtd_request_tag(req, level + 1, true);
        found = g_hash_table_lookup(req->s->nested_iotlb, &tag);
        if (found && (found->write || !req->is_write)) {
            *table = *found;
            break;
        }
    }
    return level;
}

/* Translate by the first stage and, in nested translation, by both. */
static int vtd_fs_walk(VTDRequest *req, VTDPage *page)
{
    const VTDPASIDEntry *pe = req->pe;
    VTDTable table = { .gpa = pe->val[2] & VTD_SM_PASID_ENTRY_FLPTPTR };
    uint32_t top = 4 + VTD_PE_FSPM(pe), level, known;
    hwaddr addr, pa;
    uint64_t entry, out;
    uint64_t flags = VTD_FL_A | (pe->val[2] & VTD_PE_EAFE ? VTD_FS_EA : 0);
    int ret;

    if (!vtd_is_canonical(req->addr, top)) {
        return -VTD_FR_FS_NON_CANONICAL;
    }
    table.write = true;
    known = vtd_table_find(req, top, &table);
    for (level = known;; level--) {
        addr = vtd_entry_addr(table.gpa, req->addr, level);
        if (level == known && level < top) {
            pa = table.pa | (addr & ~VTD_PAGE_MASK_4K);
        } else {
            ret = vtd_fs_entry_pa(req, addr, VTD_SL_R, level == top, &pa);
            if (ret) {
                return ret;
            }
            table.pa = pa & VTD_PAGE_MASK_4K;
            if (level < top) {
                vtd_cache_add(req, vtd_request_tag(req, level + 1, true),
                              g_memdup2(&table, sizeof(table)));
            }
        }
        if (!vtd_read_entry(pa, &entry)) {
            return level == top ? -VTD_FR_PASID_ENTRY_FSPTPTR_INV :
                                  -VTD_FR_FS_PAGING_ENTRY_INV;
        }
        if (!(entry & VTD_FL_P)) {
            return -VTD_FR_FS_PAGING_ENTRY_P;
        }
        if (vtd_fs_reserved(req->s, entry, level)) {
            return -VTD_FR_FS_PAGING_ENTRY_RSVD;
        }
        if (!(entry & VTD_FL_US)) {
            return -VTD_FR_FS_PAGING_ENTRY_US;
        }
        table.write = table.write && ((entry & VTD_FL_RW) ||
                      req->s->mutant == VTD_MUTANT_IGNORE_RIGHTS);
        if (req->is_write && !table.write) {
            return -VTD_FR_SM_WRITE;
        }
        table.gpa = entry & VTD_PT_BASE_ADDR_MASK(req->s->aw_bits);
        if (vtd_is_leaf(entry, level)) {
            break;
        }
        ret = vtd_fs_set_flags(req, addr, entry, flags);
        if (ret) {
            return ret;
        }
    }

    *page = (VTDPage) {
        .base = table.gpa & vtd_level_mask(level),
        .level = level,
        .read = true,
        .write = true,
    };
    if (vtd_is_nested(req)) {
        out = page->base | (req->addr & ~vtd_level_mask(level));
        if (vtd_beyond_second_stage(req, out)) {
            return -VTD_FR_NESTED_GPA;
        }
        ret = vtd_ss_walk(req, out, req->is_write ? VTD_SL_W : VTD_SL_R, page);
        if (ret) {
            return ret;
        }
        if (level < page->level) {
            /* the first stage's page is the smaller one */
            page->base |= out & ~vtd_level_mask(page->level) &
                          vtd_level_mask(level);
            page->level = level;
        }
    }
    if (req->is_write) {
        flags |= VTD_FL_D;
    }
    ret = vtd_fs_set_flags(req, addr, entry, flags);
    if (ret) {
        return ret;
    }
    page->write = page->write && table.write && ((entry | flags) & VTD_FL_D);
    return 0;
}

static bool vtd_iotlb_find(VTDRequest *req, VTDPage *page)
{
    VTDPage *found;
    VTDTag tag;
    uint32_t level;

    for (level = VTD_PT_LEVEL; level <= VTD_PDP_LEVEL; level++) {
        tag = vtd_request_tag(req, level, false);
        found = g_hash_table_lookup(req->s->nested_iotlb, &tag);
        if (found) {
            *page = *found;
            return found->fault || (req->is_write ? found->write : found->read);
        }
    }
    return false;
}

/* Faults that CM=1 lets the IOTLB keep */
static bool vtd_is_cacheable_fault(IntelIOMMUState *s, int ret)
{
    return s->caching_mode &&
           (ret == -VTD_FR_SS_NOT_PRESENT || ret == -VTD_FR_SS_RSVD);
}

static bool vtd_touches_interrupts(hwaddr addr, uint32_t level)
{
    hwaddr base = addr & vtd_level_mask(level);

    return base <= VTD_INTERRUPT_ADDR_LAST &&
           base + ~vtd_level_mask(level) >= VTD_INTERRUPT_ADDR_FIRST;
}

static int vtd_pass_through(VTDRequest *req, VTDPage *page)
{
    if (vtd_beyond_second_stage(req, req->addr)) {
        return -VTD_FR_SM_ADDR_BEYOND;
    }
    *page = (VTDPage) {
        .base = req->addr & VTD_PAGE_MASK_4K,
        .level = VTD_PT_LEVEL,
        .read = true,
        .write = true,
    };
    return 0;
}

static int vtd_walk(VTDRequest *req, VTDPage *page)
{
    uint64_t offset;
    int ret;

    if (VTD_PE_PGTT(req->pe) != VTD_SM_PASID_ENTRY_SLT) {
        ret = vtd_fs_walk(req, page);
    } else if (vtd_beyond_second_stage(req, req->addr)) {
        ret = -VTD_FR_SM_ADDR_BEYOND;
    } else {
        ret = vtd_ss_walk(req, req->addr, req->is_write ? VTD_SL_W : VTD_SL_R,
                          page);
    }
    if (ret) {
        return ret;
    }
    /* Of a large page only a part may be the interrupt range. */
    while (page->level > VTD_PT_LEVEL &&
           vtd_touches_interrupts(page->base, page->level)) {
        offset = req->addr & ~vtd_level_mask(page->level);
        page->level--;
        page->base |= offset & vtd_level_mask(page->level);
    }
    return 0;
}

static int vtd_translate(VTDRequest *req, VTDPage *page)
{
    int ret;

    if (VTD_PE_PGTT(req->pe) == VTD_SM_PASID_ENTRY_PT) {
        ret = vtd_pass_through(req, page);
    } else if (vtd_iotlb_find(req, page)) {
        trace_vtd_iotlb_page_hit(req->pasid, req->addr, page->base,
                                 VTD_PE_DID(req->pe));
        ret = page->fault;
    } else {
        do {
            ret = vtd_walk(req, page);
        } while (ret == VTD_WALK_AGAIN);
        if (vtd_is_cacheable_fault(req->s, ret)) {
            *page = (VTDPage) { .fault = ret, .level = VTD_PT_LEVEL };
            vtd_cache_add(req, vtd_request_tag(req, page->level, false),
                          g_memdup2(page, sizeof(*page)));
        }
        if (!ret && !vtd_touches_interrupts(page->base, page->level)) {
            vtd_cache_add(req, vtd_request_tag(req, page->level, false),
                          g_memdup2(page, sizeof(*page)));
        }
    }
    if (!ret && vtd_touches_interrupts(page->base, page->level)) {
        ret = -VTD_FR_SM_INTERRUPT_ADDR;
    }
    return ret;
}

static int vtd_check_pasid_entry(IntelIOMMUState *s, const VTDPASIDEntry *pe)
{
    uint64_t beyond = ~VTD_HAW_MASK(s->aw_bits);
    uint64_t snoop = (s->ecap & VTD_ECAP_SMPWCS ? 0 : VTD_PE_PWSNP) |
                     (s->ecap & VTD_ECAP_SC ? 0 : VTD_PE_PGSNP);
    uint32_t pgtt = VTD_PE_PGTT(pe);
    bool first = pgtt == VTD_SM_PASID_ENTRY_FLT, second;
    int i;

    first = first || pgtt == VTD_SM_PASID_ENTRY_NESTED;
    second = pgtt == VTD_SM_PASID_ENTRY_SLT ||
             pgtt == VTD_SM_PASID_ENTRY_NESTED;
    if ((pe->val[0] & VTD_PE_RSVD_VAL0) ||
        (pe->val[1] & (VTD_PE_RSVD_VAL1 | snoop)) ||
        (second && (pe->val[0] & beyond)) ||
        (first && (pe->val[2] & VTD_PE_RSVD_VAL2))) {
        return -VTD_FR_PASID_ENTRY_RSVD;
    }
    for (i = 3; i < ARRAY_SIZE(pe->val); i++) {
        if (pe->val[i]) {
            return -VTD_FR_PASID_ENTRY_RSVD;
        }
    }
    if (!first && !second && pgtt != VTD_SM_PASID_ENTRY_PT) {
        return -VTD_FR_PASID_TABLE_ENTRY_INV;
    }
    /* in nested translation the first stage's root is a GPA: see the walk */
    if (pgtt == VTD_SM_PASID_ENTRY_FLT && (pe->val[2] & beyond)) {
        return -VTD_FR_PASID_ENTRY_RSVD;
    }
    if (first && VTD_PE_FSPM(pe) > 1) {
        return -VTD_FR_PASID_TABLE_ENTRY_INV;
    }
    if (pgtt != VTD_SM_PASID_ENTRY_FLT &&
        !(s->cap & VTD_CAP_SAGAW_MASK &
          (1ULL << (VTD_PE_AW(pe) + VTD_CAP_SAGAW_SHIFT)))) {
        return -VTD_FR_PASID_TABLE_ENTRY_INV;
    }
    return 0;
}

static int vtd_read_pasid_entry(IntelIOMMUState *s, VTDContextEntry *ce,
                                uint32_t pasid, VTDPASIDEntry *pe, bool *fpd)
{
    uint64_t dir;
    hwaddr addr;
    int i;

    if (pasid >> (7 + VTD_SM_CE_PDTS(ce) + 6)) {
        return -VTD_FR_SM_PASID_BEYOND;
    }
    addr = (ce->val[0] & VTD_PASID_DIR_BASE_ADDR_MASK) +
           VTD_PASID_DIR_INDEX(pasid) * VTD_PASID_DIR_ENTRY_SIZE;
    if (!vtd_read_entry(addr, &dir)) {
        return -VTD_FR_PASID_DIR_ACCESS_ERR;
    }
    *fpd = *fpd || (dir & VTD_PASID_DIR_FPD);
    if (!(dir & 1)) {
        return -VTD_FR_PASID_DIR_ENTRY_P;
    }
    if (dir & (0xffcULL | ~VTD_HAW_MASK(s->aw_bits))) {
        return -VTD_FR_PASID_DIR_ENTRY_RSVD;
    }
    addr = (dir & VTD_PASID_TABLE_BASE_ADDR_MASK) +
           VTD_PASID_TABLE_INDEX(pasid) * VTD_PASID_ENTRY_SIZE;
    /* in this order: software sets the present bit last */
    for (i = 0; i < ARRAY_SIZE(pe->val); i++) {
        if (!vtd_read_entry(addr + i * sizeof(pe->val[0]), &pe->val[i])) {
            return -VTD_FR_PASID_TABLE_ACCESS_ERR;
        }
    }
    *fpd = *fpd || (pe->val[0] & VTD_PASID_ENTRY_FPD);
    if (!(pe->val[0] & VTD_PASID_ENTRY_P)) {
        return -VTD_FR_PASID_ENTRY_P;
    }
    return vtd_check_pasid_entry(s, pe);
}

static int vtd_get_pasid_entry(VTDAddressSpace *as, VTDContextEntry *ce,
                               uint32_t pasid, VTDPASIDEntry *pe, bool *fpd)
{
    IntelIOMMUState *s = as->iommu_state;
    VTDPASIDTag tag = {
        .sid = PCI_BUILD_BDF(pci_bus_num(as->bus), as->devfn),
        .pasid = pasid,
    };
    VTDCachedPASID *found = g_hash_table_lookup(s->pasid_cache, &tag), read;

    if (!found) {
        read = (VTDCachedPASID) { };
        read.fault = vtd_read_pasid_entry(s, ce, pasid, &read.pe, &read.fpd);
        if (!read.fault || s->caching_mode) {
            g_hash_table_replace(s->pasid_cache, g_memdup2(&tag, sizeof(tag)),
                                 g_memdup2(&read, sizeof(read)));
        }
        found = &read;
    }
    *pe = found->pe;
    *fpd = *fpd || found->fpd;
    return found->fault;
}

static int vtd_get_context_entry(VTDAddressSpace *as, VTDContextEntry *ce)
{
    IntelIOMMUState *s = as->iommu_state;
    VTDContextCacheEntry *cached = &as->context_cache_entry;
    int ret;

    if (cached->context_cache_gen == s->context_cache_gen) {
        *ce = cached->context_entry;
        return cached->fault;
    }
    ret = vtd_dev_to_context_entry(s, pci_bus_num(as->bus), as->devfn, ce);
    /* reserved where device TLBs, or page requests, are not supported */
    if (!ret && (((ce->val[0] & VTD_SM_CE_DTE) && !(s->ecap & VTD_ECAP_DT)) ||
                 ((ce->val[0] & VTD_SM_CE_PRE) && !(s->ecap & VTD_ECAP_PRS)))) {
        ret = -VTD_FR_SM_CONTEXT_RSVD;
    }
    if (!ret || s->caching_mode) {
        cached->context_entry = *ce;
        cached->fault = ret;
        cached->context_cache_gen = s->context_cache_gen;
    }
    return ret;
}

/* Called with the IOMMU's lock held. */
bool vtd_nested_translate(VTDAddressSpace *as, hwaddr addr, bool is_write,
                          IOMMUTLBEntry *entry)
{
    VTDContextEntry ce = { };
    VTDPASIDEntry pe;
    VTDPage page;
    VTDRequest req = {
        .s = as->iommu_state,
        .pe = &pe,
        .addr = addr,
        .is_write = is_write,
        .with_pasid = as->pasid != PCI_NO_PASID,
    };
    bool fpd;
    int ret;

    ret = vtd_get_context_entry(as, &ce);
    fpd = ce.val[0] & VTD_CONTEXT_ENTRY_FPD;
    if (!ret && req.with_pasid && !(ce.val[0] & VTD_SM_CE_PASIDE)) {
        ret = -VTD_FR_SM_PASIDE_CLEAR;
    }
    req.pasid = req.with_pasid ? as->pasid :
                ce.val[1] & VTD_SM_CONTEXT_ENTRY_RID2PASID_MASK;
    if (!ret) {
        ret = vtd_get_pasid_entry(as, &ce, req.pasid, &pe, &fpd);
    }
    if (!ret) {
        ret = vtd_translate(&req, &page);
    }
    if (ret) {
        vtd_report_fault(req.s, -ret, fpd,
                         PCI_BUILD_BDF(pci_bus_num(as->bus), as->devfn),
                         addr, is_write, req.with_pasid,
                         req.with_pasid ? req.pasid : 0);
        entry->iova = entry->translated_addr = entry->addr_mask = 0;
        entry->perm = IOMMU_NONE;
        return false;
    }
    entry->iova = addr & vtd_level_mask(page.level);
    entry->translated_addr = page.base;
    entry->addr_mask = ~vtd_level_mask(page.level);
    entry->perm = IOMMU_ACCESS_FLAG(page.read, page.write);
    return true;
}

/*
 * A translated request is not translated again, but the context entry decides on
 * it as on a translation request. Called with the IOMMU's lock held.
 */
bool vtd_nested_take_ats_request(VTDAddressSpace *as, hwaddr addr,
                                 bool is_write)
{
    bool with_pasid = as->pasid != PCI_NO_PASID;
    VTDContextEntry ce = { };
    int ret;

    ret = vtd_get_context_entry(as, &ce);
    if (!ret && !(ce.val[0] & VTD_SM_CE_DTE) &&
        as->iommu_state->mutant != VTD_MUTANT_IGNORE_DTE) {
        ret = -VTD_FR_SM_DTE_CLEAR;
    }
    if (!ret && with_pasid && !(ce.val[0] & VTD_SM_CE_PASIDE)) {
        ret = -VTD_FR_SM_PASIDE_CLEAR;
    }
    if (ret) {
        vtd_report_fault(as->iommu_state, -ret,
                         ce.val[0] & VTD_CONTEXT_ENTRY_FPD,
                         PCI_BUILD_BDF(pci_bus_num(as->bus), as->devfn), addr,
                         is_write, with_pasid, with_pasid ? as->pasid : 0);
    }
    return !ret;
}

static gboolean vtd_in_scope(gpointer key, gpointer value, gpointer opaque)
{
    const VTDTag *tag = key;
    const VTDScope *scope = opaque;
    uint64_t last = tag->gfn + (~vtd_level_mask(tag->level) >>
                                VTD_PAGE_SHIFT_4K);
    bool first_stage = tag->pgtt != VTD_SM_PASID_ENTRY_SLT;

    if (tag->did != scope->did && scope->mutant != VTD_MUTANT_IGNORE_DID) {
        return false;
    }
    if (scope->all_pasids) {
        /*
         * The pages are second-stage addresses: first stages go as a whole, and
         * so do their tables, which second-stage leaves led to.
         */
        if (first_stage) {
            return true;
        }
    } else if (!first_stage || (tag->pasid != scope->pasid &&
                                scope->mutant != VTD_MUTANT_IGNORE_PASID)) {
        return false;
    }
    if (tag->table && scope->leaves) {
        return false;
    }
    return scope->all_pages ||
           (tag->gfn <= scope->last && last >= scope->first);
}

static void vtd_set_pages(VTDScope *scope, hwaddr addr, uint8_t am)
{
    scope->last = (addr >> VTD_PAGE_SHIFT_4K) | ((1ULL << am) - 1);
    scope->first = scope->last & ~((1ULL << am) - 1);
}

static void vtd_drop(IntelIOMMUState *s, VTDScope *scope)
{
    scope->mutant = s->mutant;
    if (s->mutant == VTD_MUTANT_ONE_PAGE) {
        scope->last = scope->first;
    } else if (s->mutant == VTD_MUTANT_LEAVES && !scope->all_pages) {
        scope->leaves = true;
    }
    g_hash_table_foreach_remove(s->nested_iotlb, vtd_in_scope, scope);
}

void vtd_nested_iotlb_domain(IntelIOMMUState *s, uint16_t did)
{
    VTDScope scope = { .did = did, .all_pasids = true, .all_pages = true };

    vtd_drop(s, &scope);
}

void vtd_nested_iotlb_pages(IntelIOMMUState *s, uint16_t did, hwaddr addr,
                            uint8_t am, bool leaves)
{
    VTDScope scope = { .did = did, .all_pasids = true, .leaves = leaves };

    vtd_set_pages(&scope, addr, am);
    vtd_drop(s, &scope);
}

void vtd_nested_piotlb_pasid(IntelIOMMUState *s, uint16_t did, uint32_t pasid)
{
    VTDScope scope = { .did = did, .pasid = pasid, .all_pages = true };

    vtd_drop(s, &scope);
}

void vtd_nested_piotlb_pages(IntelIOMMUState *s, uint16_t did, uint32_t pasid,
                             hwaddr addr, uint8_t am, bool leaves)
{
    VTDScope scope = { .did = did, .pasid = pasid, .leaves = leaves };

    vtd_set_pages(&scope, addr, am);
    vtd_drop(s, &scope);
}

static gboolean vtd_pasid_in_scope(gpointer key, gpointer value,
                                   gpointer opaque)
{
    const VTDPASIDTag *tag = key;
    const VTDCachedPASID *cached = value;
    const VTDScope *scope = opaque;

    /* what is not present has no domain of its own */
    return (cached->fault || VTD_PE_DID(&cached->pe) == scope->did) &&
           (scope->all_pasids || tag->pasid == scope->pasid);
}

/* The descriptor's reserved bits are checked; returns if the rest is good. */
bool vtd_nested_pasid_cache(IntelIOMMUState *s, VTDInvDesc *desc)
{
    VTDScope scope = {
        .did = VTD_INV_DESC_PASIDC_DID(desc->val[0]),
        .pasid = VTD_INV_DESC_PASIDC_PASID(desc->val[0]),
    };

    switch (desc->val[0] & VTD_INV_DESC_PASIDC_G) {
    case VTD_INV_DESC_PASIDC_G_GLOBAL:
        g_hash_table_remove_all(s->pasid_cache);
        return true;
    case VTD_INV_DESC_PASIDC_G_DOM:
        scope.all_pasids = true;
        break;
    case VTD_INV_DESC_PASIDC_G_PASID:
        break;
    default:
        return false;
    }
    g_hash_table_foreach_remove(s->pasid_cache, vtd_pasid_in_scope, &scope);
    return true;
}
