/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console: one port, a console without control queues, or with them a port that has a name
 * (/dev/virtio-ports/NAME in a Linux guest) and is always open on this side. Output goes to the
 * back end on an I/O thread, which the back end may make wait; input comes on the back end's thread
 * straight into the guest's buffers, and what finds no buffer stays with the back end.
 *
 * Source: VIRTIO 1.2, "Console Device".
 */
#include "console/console.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#define CLASS_COMMUNICATION 0x078000
#define PORT_NAME_MAX       64
#define OUTPUT_BYTES_MAX    MIB /* of one chain; no driver sends as much, and a reset waits for it */

/* The last two only with control queues. */
enum { QUEUE_INPUT, QUEUE_OUTPUT, QUEUE_TO_DRIVER, QUEUE_FROM_DRIVER, QUEUES };

#define QUEUES_PLAIN QUEUE_TO_DRIVER

/* What the driver is to be told, in this order. */
enum { TELL_ADD, TELL_NAME, TELL_OPEN, TELLS };

struct virtio_console {
	struct virtio_device virtio;
	struct console *console;
	struct worker *worker;      /* output */
	pthread_mutex_t input_lock; /* held while an input chain is in use */
	bool is_starved; /* input was refused: ask for more when there are buffers. Atomic */
	/* Of a port with a name. */
	const char *name;             /* NULL: a plain console */
	pthread_mutex_t control_lock; /* held while a control chain is in use; guards `tell` */
	unsigned tell;                /* bits of what the driver is still to be told */
	bool is_used;                 /* by a program in the guest. Atomic */
	struct virtio_console_config config;
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

/* --- control messages --- */

static void take_message(struct virtio_console *con, const struct virtio_console_control *message)
{
	switch (message->event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		con->tell = message->value ? BIT(TELL_ADD) : 0;
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (message->id == 0 && message->value)
			con->tell |= BIT(TELL_NAME) | BIT(TELL_OPEN);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN: /* a program did, or closed it */
		if (message->id == 0)
			__atomic_store_n(&con->is_used, message->value != 0, __ATOMIC_RELAXED);
		break;
	default:
		break;
	}
}

/* Fills in a message, a name behind it where it has one; its size. */
static size_t make_message(const struct virtio_console *con, unsigned what, uint8_t *out,
			   size_t room)
{
	static const uint16_t events[] = { [TELL_ADD] = VIRTIO_CONSOLE_PORT_ADD,
					   [TELL_NAME] = VIRTIO_CONSOLE_PORT_NAME,
					   [TELL_OPEN] = VIRTIO_CONSOLE_PORT_OPEN };
	const struct virtio_console_control message = { .event = events[what], .value = 1 };
	size_t len = what == TELL_NAME ? MIN(strlen(con->name), room - sizeof(message)) : 0;

	memcpy(out, &message, sizeof(message));
	memcpy(out + sizeof(message), con->name, len);
	return sizeof(message) + len;
}

static void tell_driver(struct virtio_console *con)
{
	uint8_t message[sizeof(struct virtio_console_control) + PORT_NAME_MAX];
	struct virtq_chain chain;

	while (con->tell && virtio_pop(&con->virtio, QUEUE_TO_DRIVER, &chain)) {
		unsigned what = (unsigned)__builtin_ctz(con->tell);
		size_t len = make_message(con, what, message, sizeof(message));

		len = virtq_write(&con->virtio.queue[QUEUE_TO_DRIVER], &chain, 0, message, len);
		virtio_push_one(&con->virtio, QUEUE_TO_DRIVER, &chain, (uint32_t)len);
		con->tell &= con->tell - 1;
	}
}

/* A few short messages: done on the vCPU's thread. */
static void serve_control(struct virtio_console *con)
{
	struct virtio_console_control message;
	struct virtq_chain chain;

	pthread_mutex_lock(&con->control_lock);
	for (unsigned i = 0;
	     i < VIRTQ_SIZE_MAX && virtio_pop(&con->virtio, QUEUE_FROM_DRIVER, &chain); i++) {
		if (virtq_read(&chain, 0, &message, sizeof(message)) == sizeof(message))
			take_message(con, &message);
		virtio_push_one(&con->virtio, QUEUE_FROM_DRIVER, &chain, 0);
	}
	tell_driver(con);
	pthread_mutex_unlock(&con->control_lock);
}

static void con_notify(void *self, unsigned queue)
{
	struct virtio_console *con = self;

	if (queue == QUEUE_TO_DRIVER || queue == QUEUE_FROM_DRIVER)
		serve_control(con);
	else if (queue == QUEUE_OUTPUT)
		worker_kick(con->worker);
	else if (__atomic_exchange_n(&con->is_starved, false, __ATOMIC_SEQ_CST))
		console_input_ready(con->console);
}

static void con_pause(void *self)
{
	struct virtio_console *con = self;

	worker_pause(con->worker);
	pthread_mutex_lock(&con->input_lock);
	pthread_mutex_lock(&con->control_lock);
}

static void con_resume(void *self)
{
	struct virtio_console *con = self;

	if (!virtio_is_live(&con->virtio)) { /* the next driver begins anew */
		con->tell = 0;
		__atomic_store_n(&con->is_used, false, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&con->control_lock);
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
			  struct console *console, const char *name)
{
	struct virtio_console *con = calloc(1, sizeof(*con));
	struct virtio_setup setup = { .kind = &con_kind, .self = con, .queues = QUEUES_PLAIN };
	int ret;

	if (!con)
		return -ENOMEM;
	con->console = console;
	con->name = name;
	if (name) {
		con->config.max_nr_ports = 1;
		setup.config = &con->config;
		setup.config_bytes = sizeof(con->config);
		setup.features = BIT(VIRTIO_CONSOLE_F_MULTIPORT);
		setup.queues = QUEUES;
	}
	pthread_mutex_init(&con->input_lock, NULL);
	pthread_mutex_init(&con->control_lock, NULL);
	ret = worker_create(&con->worker, "virtio-console", 1, send_output, con);
	if (!ret)
		ret = virtio_init(&con->virtio, place, &setup);
	if (ret) {
		worker_destroy(con->worker);
		pthread_mutex_destroy(&con->input_lock);
		pthread_mutex_destroy(&con->control_lock);
		free(con);
		return ret;
	}
	console_attach(console, input, con);
	*out = con;
	return 0;
}

bool virtio_console_is_used(const struct virtio_console *con)
{
	return __atomic_load_n(&con->is_used, __ATOMIC_RELAXED);
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
	pthread_mutex_destroy(&con->control_lock);
	free(con);
}

const struct dev_ops virtio_console_dev_ops = {
	.name = "virtio-console",
	.reset = con_reset,
	.destroy = con_destroy,
};
