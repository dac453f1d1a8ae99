/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several threads, each of which does its own thing again and again
 */
#ifndef __NESTED_RACER_H
#define __NESTED_RACER_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "../kselftest.h"

/* What each of them has to get to */
#define RACER_ROUNDS	10

#define READ_SHARED(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_SHARED(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELAXED)

struct racer {
	int (*round)(void *data, unsigned int i);
	const char *name;
	void *data;
	pthread_t thread;
	unsigned int rounds;
	int error;	/* of the round that ended it */
	bool *stop;
};

static inline void *racer_main(void *arg)
{
	struct racer *racer = arg;

	while (!READ_SHARED(*racer->stop) && !racer->error)
		racer->error = racer->round(racer->data, racer->rounds++);
	return NULL;
}

/*
 * What a round returns: 0 if it worked out, which is counted, or if it failed in
 * a way that others can cause, @errnos up to a 0
 */
static inline int racer_result(unsigned int *done, int rc, const int *errnos)
{
	if (!rc)
		__atomic_add_fetch(done, 1, __ATOMIC_RELAXED);
	while (rc && *errnos)
		if (rc == *errnos++)
			return 0;
	return rc;
}

static inline void racers_stop(struct racer *racers, unsigned int nr,
			       bool *stop)
{
	unsigned int i;

	WRITE_SHARED(*stop, true);
	for (i = 0; i < nr; i++)
		pthread_join(racers[i].thread, NULL);
}

/* Fails only if there are no threads to be had */
static inline int racers_start(struct racer *racers, unsigned int nr, void *data,
			       bool *stop)
{
	unsigned int i;
	int rc;

	for (i = 0; i < nr; i++) {
		racers[i].data = data;
		racers[i].stop = stop;
		rc = -pthread_create(&racers[i].thread, NULL, racer_main,
				     &racers[i]);
		if (rc) {
			racers_stop(racers, i, stop);
			return rc;
		}
	}
	return 0;
}

/* Says if one ended early or got nowhere: its error, or -ETIME */
static inline int racers_end(struct racer *racers, unsigned int nr, bool *stop)
{
	unsigned int i;
	int rc = 0;

	racers_stop(racers, nr, stop);
	for (i = 0; i < nr; i++) {
		if (!racers[i].error && racers[i].rounds < RACER_ROUNDS)
			racers[i].error = -ETIME;
		if (!racers[i].error)
			continue;
		ksft_print_msg("%s: error %d after %u rounds\n",
			       racers[i].name, racers[i].error,
			       racers[i].rounds);
		rc = racers[i].error;
	}
	return rc;
}

/* Let them run for some time */
static inline int racers_run(struct racer *racers, unsigned int nr, void *data,
			     unsigned int seconds)
{
	bool stop = false;
	int rc;

	rc = racers_start(racers, nr, data, &stop);
	if (rc)
		return rc;
	sleep(seconds);
	return racers_end(racers, nr, &stop);
}

#endif
