/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does a thread wait in the kernel?
 */
#ifndef __NESTED_ASLEEP_H
#define __NESTED_ASLEEP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "nested_racer.h"

/* How long a thread may take to get there, and how long it has to stay */
#define ASLEEP_PATIENCE_MS	20000
#define ASLEEP_MS		50

/* As in /proc: 'R' if it runs, 'S' if it waits, 'D' if no signal ends that */
static inline char thread_state(pid_t tid)
{
	char path[64], line[256] = "";
	char *state;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	stat = fopen(path, "r");
	if (!stat)
		return '?';
	if (!fgets(line, sizeof(line), stat))
		line[0] = '\0';
	fclose(stat);
	state = strrchr(line, ')');
	return state && state[1] == ' ' ? state[2] : '?';
}

/*
 * Whether the thread gets to wait in this state. @tid is 0 until the thread is about
 * to make the call in which it waits. Several looks in a row: a lock that is held for
 * a moment is no matter.
 */
static inline bool falls_asleep(const pid_t *tid, char state)
{
	int ms, asleep = 0;

	for (ms = 0; ms < ASLEEP_PATIENCE_MS && asleep < ASLEEP_MS; ms++) {
		usleep(1000);
		asleep = READ_SHARED(*tid) && thread_state(*tid) == state ?
				 asleep + 1 : 0;
	}
	return asleep >= ASLEEP_MS;
}

#endif
