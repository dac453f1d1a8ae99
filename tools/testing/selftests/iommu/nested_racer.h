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
/* How many seconds more they get for it */
#define RACER_PATIENCE	60
/* Counts above this, or above what they have to get to, are enough */
#define RACER_ENOUGH	500
#define RACER_POLL_MS	10

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

	int error = 0;

	while (!READ_SHARED(*racer->stop) && !error) {
		error = racer->round(racer->data, racer->rounds);
		WRITE_SHARED(racer->error, error);
		WRITE_SHARED(racer->rounds, racer->rounds + 1);
	}
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

/*
 * @data is for those that have none of their own. Fails only if there are no
 * threads to be had.
 */
static inline int racers_start(struct racer *racers, unsigned int nr, void *data,
			       bool *stop)
{
	unsigned int i;
	int rc;

	for (i = 0; i < nr; i++) {
		if (!racers[i].data)
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

static inline bool racers_got_somewhere(const struct racer *racers,
					unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (READ_SHARED(racers[i].rounds) < RACER_ROUNDS &&
		    !READ_SHARED(racers[i].error))
			return false;
	return true;
}

static inline bool counts_above(const unsigned int *counts, unsigned int nr,
				unsigned int least)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (READ_SHARED(counts[i]) <= least)
			return false;
	return true;
}

static inline bool racers_failed(const struct racer *racers, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (READ_SHARED(racers[i].error))
			return true;
	return false;
}

/*
 * Let them run for @seconds, or until all @counts are high enough if that is
 * sooner. On a machine with much to do they run until each got somewhere and all
 * @counts are above @least. Without @counts it is the time that matters.
 */
static inline int racers_run_for(struct racer *racers, unsigned int nr,
				 void *data, unsigned int seconds,
				 const unsigned int *counts,
				 unsigned int nr_counts, unsigned int least)
{
	unsigned int enough = least > RACER_ENOUGH ? least : RACER_ENOUGH;
	unsigned int polls = seconds * 1000 / RACER_POLL_MS;
	unsigned int more = RACER_PATIENCE * 1000 / RACER_POLL_MS;
	unsigned int i, goal;
	bool stop = false;
	int rc;

	rc = racers_start(racers, nr, data, &stop);
	if (rc)
		return rc;
	for (i = 0; i < polls + more && !racers_failed(racers, nr); i++) {
		goal = i < polls ? enough : least;
		if ((i >= polls || nr_counts) &&
		    racers_got_somewhere(racers, nr) &&
		    counts_above(counts, nr_counts, goal))
			break;
		usleep(RACER_POLL_MS * 1000);
	}
	return racers_end(racers, nr, &stop);
}

static inline int racers_run(struct racer *racers, unsigned int nr, void *data,
			     unsigned int seconds)
{
	return racers_run_for(racers, nr, data, seconds, NULL, 0, 0);
}

#endif
