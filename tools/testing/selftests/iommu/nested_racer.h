/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several threads, each of which does its own thing again and again
 */
#ifndef __NESTED_RACER_H
#define __NESTED_RACER_H

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

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

	while (!__atomic_load_n(racer->stop, __ATOMIC_RELAXED) && !racer->error)
		racer->error = racer->round(racer->data, racer->rounds++);
	return NULL;
}

/* Let them run for some time. Fails only if there are no threads to be had. */
static inline int racers_run(struct racer *racers, unsigned int nr, void *data,
			     unsigned int seconds)
{
	unsigned int i, started;
	bool stop = false;
	int rc = 0;

	for (started = 0; !rc && started < nr; started++) {
		racers[started].data = data;
		racers[started].stop = &stop;
		rc = -pthread_create(&racers[started].thread, NULL, racer_main,
				     &racers[started]);
	}
	if (rc)
		started--;
	else
		sleep(seconds);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < started; i++)
		pthread_join(racers[i].thread, NULL);
	return rc;
}

#endif
