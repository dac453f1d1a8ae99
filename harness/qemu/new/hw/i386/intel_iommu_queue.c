/*
 * The invalidation queue of the emulated Intel IOMMU
 *
 * Real hardware takes time over invalidations, and functions that cannot answer
 * do not complete theirs. Both are modelled on request:
 *
 * - x-late-us: a descriptor takes effect this long after the one before it, or
 *   after the write of the tail register. Software that does not wait, or that
 *   queues invalidations in the wrong order, meets stale translations.
 * - x-ats-timeout-ms: an invalidation of a device TLB that the function does
 *   not answer (ATS off, in reset, in a low-power state, behind a link that is
 *   down, absent) ends by an Invalidation Time-out Error after this time. All
 *   waits that are pending then are aborted, and nothing is fetched until
 *   software has cleared the error. A function with x-ats-late=on answers as
 *   long again after that, which is an Invalidation Completion Error.
 *
 * The head register tells what has been fetched. Invalidations are executed as
 * they are fetched, in the order of the queue; waits are reported in that order,
 * and none before the device TLBs have answered. What follows a wait is executed
 * while the wait is pending, unless the wait is a fence.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/queue.h"
#include "qemu/timer.h"
#include "intel_iommu_internal.h"
#include "hw/pci/pci_bus.h"
#include "trace.h"

/* What hardware can have outstanding */
#define VTD_QUEUE_PENDING_MAX   32
/* How late the work is that a mutant does after the wait */
#define VTD_MUTANT_LATE_MS      100

/* A descriptor that was fetched and is not complete */
typedef struct VTDPending {
    VTDInvDesc desc;
    bool is_wait;
    bool is_late;               /* it answers after the time-out */
    uint16_t sid;               /* of the function that does not answer */
    int64_t deadline;
    QTAILQ_ENTRY(VTDPending) next;
} VTDPending;

struct VTDQueue {
    IntelIOMMUState *s;
    QEMUTimer *fetch_timer;
    QEMUTimer *timeout_timer;
    QTAILQ_HEAD(, VTDPending) pending;
    unsigned int nr_pending;
    bool fenced;                /* the last pending one is a fence */
    QTAILQ_HEAD(, VTDPending) unexpected;   /* answers that are still to come */
    QEMUTimer *answer_timer;
    GSList *late;               /* of a mutant, the last one first */
    QEMUTimer *late_timer;
};

static void vtd_pending_remove(struct VTDQueue *q, VTDPending *p)
{
    QTAILQ_REMOVE(&q->pending, p, next);
    q->nr_pending--;
    g_free(p);
}

static VTDPending *vtd_pending_add(struct VTDQueue *q, VTDInvDesc *desc)
{
    VTDPending *p = g_new0(VTDPending, 1);

    p->desc = *desc;
    QTAILQ_INSERT_TAIL(&q->pending, p, next);
    q->nr_pending++;
    return p;
}

/* Waits that have nothing unanswered before them are complete. */
static void vtd_complete_waits(struct VTDQueue *q)
{
    VTDPending *p;

    while ((p = QTAILQ_FIRST(&q->pending)) && p->is_wait) {
        vtd_process_inv_desc(q->s, &p->desc);
        vtd_pending_remove(q, p);
    }
    if (!p) {
        q->fenced = false;
    }
}

/* The answers that come now are not expected any more. */
static void vtd_queue_answer(void *opaque)
{
    struct VTDQueue *q = opaque;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    VTDPending *p;

    while ((p = QTAILQ_FIRST(&q->unexpected)) && p->deadline <= now) {
        vtd_process_inv_desc(q->s, &p->desc);
        vtd_handle_inv_completion_error(q->s, p->sid);
        QTAILQ_REMOVE(&q->unexpected, p, next);
        g_free(p);
    }
    if (p) {
        timer_mod(q->answer_timer, p->deadline);
    }
}

static void vtd_expect_answer(struct VTDQueue *q, VTDPending *timed_out)
{
    VTDPending *p = g_memdup2(timed_out, sizeof(*timed_out));

    p->deadline += (int64_t)q->s->ats_timeout_ms * SCALE_MS;
    QTAILQ_INSERT_TAIL(&q->unexpected, p, next);
    timer_mod_anticipate(q->answer_timer, p->deadline);
}

static void vtd_queue_timeout(void *opaque)
{
    struct VTDQueue *q = opaque;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), next = INT64_MAX;
    VTDPending *p, *after;
    bool expired = false;

    QTAILQ_FOREACH_SAFE(p, &q->pending, next, after) {
        if (!p->is_wait && p->deadline <= now) {
            vtd_handle_inv_timeout(q->s, p->sid);
            if (p->is_late) {
                vtd_expect_answer(q, p);
            }
            vtd_pending_remove(q, p);
            expired = true;
        }
    }
    QTAILQ_FOREACH_SAFE(p, &q->pending, next, after) {
        if (!p->is_wait) {
            next = MIN(next, p->deadline);
        } else if (expired) {
            vtd_pending_remove(q, p);
        }
    }
    if (expired) {
        q->fenced = false;
    }
    if (next != INT64_MAX) {
        timer_mod(q->timeout_timer, next);
    }
    /* there is room again; if nothing expired, the queue is not stopped */
    vtd_queue_run(q->s);
}

/* Whether this invalidates the TLB of a function that will not answer in time */
static bool vtd_is_unanswered(IntelIOMMUState *s, VTDInvDesc *desc,
                              uint16_t *sid, bool *is_late)
{
    uint8_t type = VTD_INV_DESC_TYPE(desc->lo);
    bool with_pasid = type == VTD_INV_DESC_DEV_PIOTLB;
    PCIDevice *dev;

    if (!s->ats_timeout_ms || s->mutant == VTD_MUTANT_NO_TIMEOUT) {
        return false;
    }
    if (with_pasid) {
        *sid = VTD_INV_DESC_PASID_DEVICE_IOTLB_SID(desc->lo);
    } else if (type == VTD_INV_DESC_DEVICE) {
        *sid = VTD_INV_DESC_DEVICE_IOTLB_SID(desc->lo);
    } else {
        return false;
    }
    dev = pci_find_device(s->root_bus, PCI_BUS_NUM(*sid), *sid & 0xff);
    *is_late = dev && pci_device_answers_ats(dev, with_pasid);
    return !*is_late || dev->ats_answers_late;
}

/* VTD_MUTANT_EARLY_WAIT does the work when nobody waits for it any more. */
static void vtd_queue_late(void *opaque)
{
    struct VTDQueue *q = opaque;
    GSList *late = g_slist_reverse(q->late), *l;

    q->late = NULL;
    for (l = late; l; l = l->next) {
        vtd_process_inv_desc(q->s, l->data);
    }
    g_slist_free_full(late, g_free);
}

static bool vtd_queue_execute(struct VTDQueue *q, VTDInvDesc *desc)
{
    IntelIOMMUState *s = q->s;
    uint8_t type = VTD_INV_DESC_TYPE(desc->lo);

    if (vtd_mutant_drops(s, desc)) {
        return true;
    }
    if (s->mutant == VTD_MUTANT_EARLY_WAIT && type != VTD_INV_DESC_WAIT &&
        type != VTD_INV_DESC_IEC) {
        q->late = g_slist_prepend(q->late, g_memdup2(desc, sizeof(*desc)));
        if (!timer_pending(q->late_timer)) {
            timer_mod(q->late_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                      VTD_MUTANT_LATE_MS * SCALE_MS);
        }
        return true;
    }
    return vtd_process_inv_desc(s, desc);
}

/* Fetch and execute the descriptor at the head. */
static bool vtd_queue_step(struct VTDQueue *q)
{
    IntelIOMMUState *s = q->s;
    VTDInvDesc desc;
    VTDPending *p;
    uint16_t sid;
    bool is_late;

    trace_vtd_inv_qi_head(s->iq_head);
    if (!vtd_get_inv_desc(s, &desc)) {
        s->iq_last_desc_type = VTD_INV_DESC_NONE;
        vtd_handle_inv_queue_error(s, VTD_IQEI_FETCH);
        return false;
    }
    s->iq_last_desc_type = VTD_INV_DESC_TYPE(desc.lo);

    if (vtd_is_unanswered(s, &desc, &sid, &is_late)) {
        p = vtd_pending_add(q, &desc);
        p->sid = sid;
        p->is_late = is_late;
        p->deadline = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                      (int64_t)s->ats_timeout_ms * SCALE_MS;
        timer_mod_anticipate(q->timeout_timer, p->deadline);
    } else if (s->iq_last_desc_type == VTD_INV_DESC_WAIT && q->nr_pending) {
        vtd_pending_add(q, &desc)->is_wait = true;
        q->fenced = desc.lo & VTD_INV_DESC_WAIT_FN;
    } else if (!vtd_queue_execute(q, &desc)) {
        vtd_handle_inv_queue_error(s, s->iq_last_desc_type <=
                                   VTD_INV_DESC_DEV_PIOTLB ?
                                   VTD_IQEI_RSVD : VTD_IQEI_TYPE);
        return false;
    }
    vtd_advance_queue(s);
    return true;
}

static bool vtd_queue_can_fetch(struct VTDQueue *q)
{
    IntelIOMMUState *s = q->s;

    return s->qi_enabled && s->iq_head != s->iq_tail && !q->fenced &&
           q->nr_pending < VTD_QUEUE_PENDING_MAX && !vtd_is_queue_stopped(s);
}

static void vtd_queue_arm(struct VTDQueue *q)
{
    if (vtd_queue_can_fetch(q) && !timer_pending(q->fetch_timer)) {
        timer_mod(q->fetch_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                  (int64_t)q->s->late_us * SCALE_US);
    }
}

static void vtd_queue_fetch(void *opaque)
{
    struct VTDQueue *q = opaque;

    if (vtd_queue_can_fetch(q)) {
        vtd_queue_step(q);
        vtd_queue_arm(q);
    }
}

/* The tail has moved, or an error was cleared. */
void vtd_queue_run(IntelIOMMUState *s)
{
    struct VTDQueue *q = s->queue;

    trace_vtd_inv_qi_fetch();
    vtd_complete_waits(q);
    if (!vtd_queue_can_fetch(q)) {
        return;
    }
    if (s->iq_tail >= s->iq_size) {
        /* Detects an invalid Tail pointer */
        error_report_once("%s: detected invalid QI tail (tail=0x%x, size=0x%x)",
                          __func__, s->iq_tail, s->iq_size);
        vtd_handle_inv_queue_error(s, VTD_IQEI_TAIL);
    } else if (s->late_us) {
        vtd_queue_arm(q);
    } else {
        while (vtd_queue_can_fetch(q) && vtd_queue_step(q)) {
        }
    }
}

bool vtd_queue_is_idle(IntelIOMMUState *s)
{
    return QTAILQ_EMPTY(&s->queue->pending);
}

void vtd_queue_reset(IntelIOMMUState *s)
{
    struct VTDQueue *q = s->queue;

    timer_del(q->fetch_timer);
    timer_del(q->timeout_timer);
    timer_del(q->answer_timer);
    while (!QTAILQ_EMPTY(&q->pending)) {
        vtd_pending_remove(q, QTAILQ_FIRST(&q->pending));
    }
    q->fenced = false;
    while (!QTAILQ_EMPTY(&q->unexpected)) {
        VTDPending *p = QTAILQ_FIRST(&q->unexpected);

        QTAILQ_REMOVE(&q->unexpected, p, next);
        g_free(p);
    }
}

void vtd_queue_init(IntelIOMMUState *s)
{
    struct VTDQueue *q = g_new0(struct VTDQueue, 1);

    q->s = s;
    q->fetch_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vtd_queue_fetch, q);
    q->late_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vtd_queue_late, q);
    q->timeout_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vtd_queue_timeout, q);
    q->answer_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vtd_queue_answer, q);
    QTAILQ_INIT(&q->pending);
    QTAILQ_INIT(&q->unexpected);
    s->queue = q;
}
