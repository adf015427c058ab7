/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console: one port without control queues. Output goes to the back end on an I/O thread,
 * which the back end may make wait; input comes on the back end's thread straight into the
 * guest's buffers, and what finds no buffer stays with the back end.
 *
 * Source: VIRTIO 1.2, "Console Device".
 */
#include "console/console.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#define CLASS_COMMUNICATION 0x078000
#define OUTPUT_BYTES_MAX    MIB /* of one chain; no driver sends as much, and a reset waits for it */

enum { QUEUE_INPUT, QUEUE_OUTPUT, QUEUES };

struct virtio_console {
	struct virtio_device virtio;
	struct console *console;
	struct worker *worker;      /* output */
	pthread_mutex_t input_lock; /* held while an input chain is in use */
	bool is_starved; /* input was refused: ask for more when there are buffers. Atomic */
};

static bool send_output(void *self)
{
	struct virtio_console *con = self;
	struct iovec iov[VIRTQ_CHAIN_MAX];
	struct virtq_chain chain;
	unsigned count;

	if (!virtio_pop(&con->virtio, QUEUE_OUTPUT, &chain))
		return false;
	count = virtq_slice_readable(&chain, 0, OUTPUT_BYTES_MAX, iov);
	for (unsigned i = 0; i < count; i++)
		console_write(con->console, iov[i].iov_base, iov[i].iov_len);
	virtio_push_one(&con->virtio, QUEUE_OUTPUT, &chain, 0);
	return true;
}

/* With input_lock held. */
static size_t take_input(struct virtio_console *con, const uint8_t *bytes, size_t len)
{
	struct virtq *q = &con->virtio.queue[QUEUE_INPUT];
	struct virtq_chain chain;
	size_t done = 0;

	while (done < len && virtio_pop(&con->virtio, QUEUE_INPUT, &chain)) {
		size_t written = virtq_write(q, &chain, 0, bytes + done, len - done);

		virtio_push_one(&con->virtio, QUEUE_INPUT, &chain, written);
		done += written;
	}
	return done;
}

static size_t input(void *front, const uint8_t *bytes, size_t len)
{
	struct virtio_console *con = front;
	size_t done;

	pthread_mutex_lock(&con->input_lock);
	/* Before the look at the ring: a buffer that comes after it then asks for more. */
	__atomic_store_n(&con->is_starved, true, __ATOMIC_SEQ_CST);
	done = take_input(con, bytes, len);
	if (done == len)
		__atomic_store_n(&con->is_starved, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&con->input_lock);
	return done;
}

static void con_notify(void *self, unsigned queue)
{
	struct virtio_console *con = self;

	if (queue == QUEUE_OUTPUT)
		worker_kick(con->worker);
	else if (__atomic_exchange_n(&con->is_starved, false, __ATOMIC_SEQ_CST))
		console_input_ready(con->console);
}

static void con_pause(void *self)
{
	struct virtio_console *con = self;

	worker_pause(con->worker);
	pthread_mutex_lock(&con->input_lock);
}

static void con_resume(void *self)
{
	struct virtio_console *con = self;

	pthread_mutex_unlock(&con->input_lock);
	worker_resume(con->worker);
}

static const struct virtio_ops con_ops = {
	.notify = con_notify,
	.pause = con_pause,
	.resume = con_resume,
};

static const struct virtio_kind con_kind = {
	.type = VIRTIO_ID_CONSOLE,
	.class_code = CLASS_COMMUNICATION,
	.ops = &con_ops,
};

int virtio_console_create(struct virtio_console **out, const struct virtio_place *place,
			  struct console *console)
{
	struct virtio_console *con = calloc(1, sizeof(*con));
	struct virtio_setup setup = { .kind = &con_kind, .self = con, .queues = QUEUES };
	int ret;

	if (!con)
		return -ENOMEM;
	con->console = console;
	pthread_mutex_init(&con->input_lock, NULL);
	ret = worker_create(&con->worker, "virtio-console", 1, send_output, con);
	if (!ret)
		ret = virtio_init(&con->virtio, place, &setup);
	if (ret) {
		worker_destroy(con->worker);
		pthread_mutex_destroy(&con->input_lock);
		free(con);
		return ret;
	}
	console_attach(console, input, con);
	*out = con;
	return 0;
}

static void con_reset(void *self)
{
	virtio_reset(&((struct virtio_console *)self)->virtio);
}

static void con_destroy(void *self)
{
	struct virtio_console *con = self;

	console_attach(con->console, NULL, NULL);
	worker_destroy(con->worker);
	virtio_finish(&con->virtio);
	pthread_mutex_destroy(&con->input_lock);
	free(con);
}

const struct dev_ops virtio_console_dev_ops = {
	.name = "virtio-console",
	.reset = con_reset,
	.destroy = con_destroy,
};
