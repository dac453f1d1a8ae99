/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events of a guest's SMMUv3, as its VMM reads them: IHI 0070, 7.3
 */
#ifndef __NESTED_EVENT_H
#define __NESTED_EVENT_H

#include <endian.h>
#include <poll.h>

#include <linux/const.h>

#include "nested_viommu.h"

#define EVT_BAD_STE		0x04
#define EVT_CD_FETCH		0x09
#define EVT_BAD_CD		0x0a
#define EVT_WALK_EABT		0x0b
#define EVT_TRANSLATION		0x10
#define EVT_ADDR_SIZE		0x11
#define EVT_ACCESS		0x12
#define EVT_PERMISSION		0x13

#define EVT1_READ		_BITULL(35)
#define EVT1_STAGE2		_BITULL(39)
#define EVT1_CLASS_SHIFT	40
#define EVT_CLASS_TTD		1
#define EVT_CLASS_IN		2

/* Long enough for the driver's thread */
#define EVENT_LATE_MS		20000

struct event {
	struct iommufd_vevent_header header;
	struct iommu_vevent_arm_smmuv3 arm;
};

static inline bool event_pending(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && poll_fd.revents == POLLIN;
}

/* Read one; false if none comes in time */
static inline bool event_next(int fd, struct event *event, int timeout_ms)
{
	return event_pending(fd, timeout_ms) &&
	       read(fd, event, sizeof(*event)) == sizeof(*event);
}

static inline __u64 event_word(const struct event *event, unsigned int nth)
{
	return le64toh(event->arm.evt[nth]);
}

static inline __u8 event_id(const struct event *event)
{
	return event_word(event, 0) & 0xff;
}

static inline __u32 event_sid(const struct event *event)
{
	return event_word(event, 0) >> 32;
}

#endif
