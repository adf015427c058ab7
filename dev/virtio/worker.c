/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O threads: see worker.h. A kick advances a count; a thread sleeps only after it looked for
 * work since the last kick that it saw, so no kick is lost.
 */
#define _GNU_SOURCE
#include "dev/virtio/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	worker_fn *fn;
	void *self;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* kicked, resumed or stopping */
	pthread_cond_t idle; /* nobody is inside fn */
	uint64_t kicks;
	unsigned busy;  /* threads inside fn */
	bool is_paused; /* written with the lock held, read without. Atomic */
	bool is_stopping;
	unsigned threads;
	pthread_t thread[];
};

static bool must_sleep(const struct worker *worker, uint64_t seen)
{
	return !worker->is_stopping && (worker->is_paused || worker->kicks == seen);
}

static void work(struct worker *worker)
{
	while (!__atomic_load_n(&worker->is_paused, __ATOMIC_RELAXED) && worker->fn(worker->self))
		;
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	uint64_t seen = 0;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (must_sleep(worker, seen))
			pthread_cond_wait(&worker->wake, &worker->lock);
		if (worker->is_stopping)
			break;
		seen = worker->kicks;
		worker->busy++;
		pthread_mutex_unlock(&worker->lock);
		work(worker);
		pthread_mutex_lock(&worker->lock);
		if (!--worker->busy)
			pthread_cond_broadcast(&worker->idle);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct worker *worker, const char *name)
{
	pthread_t *thread = &worker->thread[worker->threads];
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return -ret;
	pthread_setname_np(*thread, name);
	worker->threads++;
	return 0;
}

int worker_create(struct worker **out, const char *name, unsigned threads, worker_fn *fn,
		  void *self)
{
	struct worker *worker = calloc(1, sizeof(*worker) + threads * sizeof(worker->thread[0]));

	if (!worker)
		return -ENOMEM;
	worker->fn = fn;
	worker->self = self;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wake, NULL);
	pthread_cond_init(&worker->idle, NULL);
	while (worker->threads < threads) {
		int ret = start_thread(worker, name);

		if (ret) {
			worker_destroy(worker);
			return ret;
		}
	}
	*out = worker;
	return 0;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->is_stopping = true;
	__atomic_store_n(&worker->is_paused, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	for (unsigned i = 0; i < worker->threads; i++)
		pthread_join(worker->thread[i], NULL);
	pthread_cond_destroy(&worker->idle);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

void worker_kick(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->kicks++;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

void worker_pause(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	__atomic_store_n(&worker->is_paused, true, __ATOMIC_RELAXED);
	while (worker->busy)
		pthread_cond_wait(&worker->idle, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

void worker_resume(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	__atomic_store_n(&worker->is_paused, false, __ATOMIC_RELAXED);
	worker->kicks++;
	pthread_cond_broadcast(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}
