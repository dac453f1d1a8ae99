/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of a device that uses a guest's table, as the kernel traces them
 */
#ifndef __NESTED_FAULTS_H
#define __NESTED_FAULTS_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nested_vendor.h"
#include "nested_vfio.h"

#define TRACING		"/sys/kernel/tracing/"

static inline int faults_write(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Forget what was traced, and trace from here on */
static inline int faults_start(void)
{
	int rc = faults_write(TRACING "events/iommu/io_page_fault/enable", "1",
			      0);

	return rc ?: faults_write(TRACING "trace", "", O_TRUNC);
}

static inline unsigned int faults_now(const struct vfio_dev *dev, __u64 first,
				      __u64 last)
{
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned int count = 0;
	const char *at;
	char line[256];
	__u64 iova;

	while (trace && fgets(line, sizeof(line), trace)) {
		at = strstr(line, "iova=");
		if (!at || !strstr(line, "io_page_fault:") ||
		    !strstr(line, dev->name))
			continue;
		iova = strtoull(at + strlen("iova="), NULL, 16);
		count += iova >= first && iova <= last;
	}
	if (trace)
		fclose(trace);
	return count;
}

/*
 * The number of faults of @dev since faults_start() at an address from @first
 * to @last. Events are traced by a thread some time after the DMA ended: wait
 * long when @some are expected, and long enough to trust a zero otherwise.
 */
static inline unsigned int faults_at(const struct vfio_dev *dev, __u64 first,
				     __u64 last, bool some)
{
	unsigned int count, tries = some ? 2000 : 4;

	do {
		count = faults_now(dev, first, last);
		if (!count)
			usleep(10000);
	} while (!count && --tries);
	return count;
}

static inline unsigned int faults(const struct vfio_dev *dev, bool some)
{
	return faults_at(dev, 0, UINT64_MAX, some);
}

/*
 * Faults that the driver blames on nobody's guest go to the kernel log, a few
 * in five seconds. Returns a file to give to log_count().
 */
static inline int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* The number of records since then that have this text */
static inline unsigned int log_count(int fd, const char *text)
{
	unsigned int count = 0;
	char record[8192];
	ssize_t len;

	usleep(50000);
	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;	/* records were overwritten */
		if (len <= 0)
			return count;
		record[len] = '\0';
		count += !!strstr(record, text);
	}
}

static inline unsigned int log_events(int fd)
{
	return log_count(fd, LOG_FAULT);
}

#endif
