/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng: fills buffers with the host's random bytes. That takes microseconds, so it is done
 * at once on the vCPU that notifies.
 *
 * Source: VIRTIO 1.2, "Entropy Device".
 */
#include "dev/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#define CLASS_OTHER      0x00ff00
#define FILL_BYTES_MAX   4096 /* of one buffer: a device may give less than it is asked for */
#define RANDOM_AT_A_TIME 256  /* bytes that getrandom gives whole, whatever signals come */

struct virtio_rng {
	struct virtio_device virtio;
	pthread_mutex_t lock; /* held while a chain is in use, so that reset can wait */
};

static uint64_t fill(struct virtio_rng *rng, const struct virtq_chain *chain)
{
	uint64_t wanted = MIN(chain->writable_bytes, FILL_BYTES_MAX), done = 0;
	uint8_t bytes[RANDOM_AT_A_TIME];

	while (done < wanted) {
		ssize_t got = getrandom(bytes, MIN(wanted - done, sizeof(bytes)), 0);

		if (got <= 0)
			break;
		done += virtq_write(&rng->virtio.queue[0], chain, done, bytes, got);
	}
	return done;
}

static void rng_notify(void *self, unsigned queue)
{
	struct virtio_rng *rng = self;
	struct virtq_chain chain;

	pthread_mutex_lock(&rng->lock);
	while (virtio_pop(&rng->virtio, queue, &chain))
		virtio_push_one(&rng->virtio, queue, &chain, fill(rng, &chain));
	pthread_mutex_unlock(&rng->lock);
}

static void rng_pause(void *self)
{
	pthread_mutex_lock(&((struct virtio_rng *)self)->lock);
}

static void rng_resume(void *self)
{
	pthread_mutex_unlock(&((struct virtio_rng *)self)->lock);
}

static const struct virtio_ops rng_ops = {
	.notify = rng_notify,
	.pause = rng_pause,
	.resume = rng_resume,
};

static const struct virtio_kind rng_kind = {
	.type = VIRTIO_ID_RNG,
	.class_code = CLASS_OTHER,
	.ops = &rng_ops,
};

int virtio_rng_create(struct virtio_rng **out, const struct virtio_place *place)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	struct virtio_setup setup = { .kind = &rng_kind, .self = rng, .queues = 1 };
	int ret;

	if (!rng)
		return -ENOMEM;
	ret = virtio_init(&rng->virtio, place, &setup);
	if (ret) {
		free(rng);
		return ret;
	}
	pthread_mutex_init(&rng->lock, NULL);
	*out = rng;
	return 0;
}

static void rng_reset(void *self)
{
	virtio_reset(&((struct virtio_rng *)self)->virtio);
}

static void rng_destroy(void *self)
{
	struct virtio_rng *rng = self;

	virtio_finish(&rng->virtio);
	pthread_mutex_destroy(&rng->lock);
	free(rng);
}

const struct dev_ops virtio_rng_dev_ops = {
	.name = "virtio-rng",
	.reset = rng_reset,
	.destroy = rng_destroy,
};
