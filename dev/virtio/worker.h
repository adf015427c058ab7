/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device's I/O threads: they sleep until kicked, then work until there is nothing left to do.
 * This keeps the host's storage and network off the vCPU threads.
 */
#ifndef DEV_VIRTIO_WORKER_H
#define DEV_VIRTIO_WORKER_H

#include "lib/base.h"

struct worker;

/* Does one piece of work; false: there was none. Runs on several threads at once. */
typedef bool worker_fn(void *self);

/* Starts `threads` threads with this name. -ENOMEM, -EAGAIN. */
int worker_create(struct worker **out, const char *name, unsigned threads, worker_fn *fn,
		  void *self);
void worker_destroy(struct worker *worker); /* waits for work in progress; accepts NULL */

/* There may be work: at least one thread calls fn from now on. Any thread. */
void worker_kick(struct worker *worker);

/*
 * Waits until no thread is inside fn, and keeps them out until resume. Not from inside fn; calls
 * do not nest.
 */
void worker_pause(struct worker *worker);
void worker_resume(struct worker *worker);

#endif
