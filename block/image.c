/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images in formats other than raw: qemu-nbd (block/server.h) reads them, libnbd speaks with it. A
 * request has a connection for itself, so what is under way at once is what there are connections.
 * It passes through a buffer, because a request of NBD is one piece of memory.
 */
#define _GNU_SOURCE
#include "block/block.h"
#include "block/libnbd.h"
#include "block/server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELLO_S         60 /* until the server has opened the image and greets */
#define END_S           10 /* for what is under way when the machine ends */
#define POLL_MS         500
#define BUFFER_BYTES    (512 * KIB)
#define RANGE_MAX_BYTES (1 * GIB) /* of a request to discard or to zero */

struct connection {
	struct nbd_handle *handle;
	int fd; /* the same socket as the handle's, to cut it from another thread */
	bool is_busy;
	uint8_t *buffer;
};

struct image {
	struct libnbd nbd;
	struct server server;
	char *path;
	pthread_mutex_t lock; /* of is_busy and is_broken */
	pthread_cond_t idle;
	bool is_broken;      /* every request fails */
	int64_t deadline_ns; /* for all that is under way. Atomic */
	struct connection connection[SERVER_CLIENTS];
};

/* --- connections --- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void set_deadline(struct image *image, int64_t from_now_s)
{
	__atomic_store_n(&image->deadline_ns, now_ns() + from_now_s * 1000000000ll,
			 __ATOMIC_RELAXED);
}

static bool is_late(const struct image *image)
{
	return now_ns() > __atomic_load_n(&image->deadline_ns, __ATOMIC_RELAXED);
}

static bool is_lost(const struct image *image, const struct connection *c)
{
	return image->nbd.aio_is_dead(c->handle) > 0 || image->nbd.aio_is_closed(c->handle) > 0;
}

/* The end, for all requests of now and later; with one message. */
static int give_up(struct image *image, const char *why)
{
	pthread_mutex_lock(&image->lock);
	if (!image->is_broken)
		fprintf(stderr, "nidus: disk '%s': %s; every access fails now\n", image->path, why);
	image->is_broken = true;
	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		shutdown(image->connection[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&image->lock);
	return -EIO;
}

/* NULL: there will be none. */
static struct connection *take(struct image *image)
{
	struct connection *c = NULL;

	pthread_mutex_lock(&image->lock);
	while (!image->is_broken && !c) {
		for (unsigned i = 0; i < SERVER_CLIENTS && !c; i++)
			c = image->connection[i].is_busy ? NULL : &image->connection[i];
		if (!c)
			pthread_cond_wait(&image->idle, &image->lock);
	}
	if (c)
		c->is_busy = true;
	pthread_mutex_unlock(&image->lock);
	return c;
}

static void put(struct image *image, struct connection *c)
{
	pthread_mutex_lock(&image->lock);
	c->is_busy = false;
	pthread_cond_broadcast(&image->idle);
	pthread_mutex_unlock(&image->lock);
}

/* --- requests --- */

/* What libnbd said last: the server's error, or the end of the connection. */
static int fail(struct image *image, const struct connection *c)
{
	int error = image->nbd.get_errno();

	if (is_lost(image, c))
		return give_up(image, "the connection to qemu-nbd broke");
	return error ? -error : -EIO;
}

/* Of the request that is now under way, or could not be sent: then the cookie is -1. */
static int finish(struct image *image, const struct connection *c, int64_t cookie)
{
	int done = -1;

	while (cookie >= 0) {
		done = image->nbd.aio_command_completed(c->handle, (uint64_t)cookie);
		if (done)
			break;
		if (is_late(image))
			return give_up(image, "qemu-nbd does not answer");
		image->nbd.poll(c->handle, POLL_MS);
	}
	return done > 0 ? 0 : fail(image, c);
}

/* Copies between a part of a vector, from byte `at` on, and a buffer. */
static void copy(const struct iovec *iov, uint64_t at, uint8_t *buffer, size_t bytes, bool is_write)
{
	for (; bytes; iov++) {
		uint8_t *base = iov->iov_base;
		size_t n = at < iov->iov_len ? MIN(iov->iov_len - at, bytes) : 0;

		if (n)
			memcpy(is_write ? buffer : base + at, is_write ? base + at : buffer, n);
		at = n ? 0 : at - iov->iov_len;
		buffer += n;
		bytes -= n;
	}
}

static int move(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
		bool is_write)
{
	struct connection *c = take(image);
	uint64_t bytes = 0, done = 0;
	int ret = c ? 0 : -EIO;

	for (unsigned i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	for (size_t n; done < bytes && !ret; done += n) {
		n = MIN(bytes - done, BUFFER_BYTES);
		if (is_write)
			copy(iov, done, c->buffer, n, true);
		ret = finish(image, c,
			     is_write ? image->nbd.aio_pwrite(c->handle, c->buffer, n,
							      offset + done, NBD_NULL_COMPLETION, 0)
				      : image->nbd.aio_pread(c->handle, c->buffer, n, offset + done,
							     NBD_NULL_COMPLETION, 0));
		if (!ret && !is_write)
			copy(iov, done, c->buffer, n, false);
	}
	if (c)
		put(image, c);
	return ret;
}

static int image_read(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return move(self, offset, iov, count, false);
}

static int image_write(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return move(self, offset, iov, count, true);
}

static int image_flush(void *self)
{
	struct image *image = self;
	struct connection *c = take(image);
	int ret;

	if (!c)
		return -EIO;
	ret = finish(image, c, image->nbd.aio_flush(c->handle, NBD_NULL_COMPLETION, 0));
	put(image, c);
	return ret;
}

static int image_discard(void *self, uint64_t offset, uint64_t bytes, bool zero)
{
	struct image *image = self;
	const struct libnbd *nbd = &image->nbd;
	struct connection *c = take(image);
	int ret = c ? 0 : -EIO;

	for (uint64_t n; bytes && !ret; offset += n, bytes -= n) {
		n = MIN(bytes, RANGE_MAX_BYTES);
		ret = finish(image, c,
			     (zero ? nbd->aio_zero : nbd->aio_trim)(c->handle, n, offset,
								    NBD_NULL_COMPLETION, 0));
	}
	if (c)
		put(image, c);
	return zero ? ret : 0; /* without `zero` it is advice */
}

/* --- its life --- */

static void image_hurry(void *self)
{
	set_deadline(self, END_S);
}

/* signal: as server_end has it. */
static int end(struct image *image, int signal, struct error *err)
{
	int ret;

	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		struct connection *c = &image->connection[i];

		if (c->handle)
			image->nbd.close(c->handle);
		if (c->fd >= 0)
			close(c->fd);
		free(c->buffer);
	}
	ret = server_end(&image->server, signal, err);
	pthread_mutex_destroy(&image->lock);
	pthread_cond_destroy(&image->idle);
	free(image->path);
	free(image);
	return ret;
}

static void image_close(void *self)
{
	end(self, ((struct image *)self)->is_broken ? SIGKILL : 0, NULL);
}

static const struct block_ops image_ops = {
	.read = image_read,
	.write = image_write,
	.flush = image_flush,
	.discard = image_discard,
	.hurry = image_hurry,
	.close = image_close,
};

/* --- opening --- */

/*
 * libnbd closes its own descriptor, when it likes. What it can do beyond simple reads - holes in
 * answers, buffers zeroed before - would only cost time.
 */
static int connect_to_server(struct image *image, struct connection *c, struct error *err)
{
	const struct libnbd *nbd = &image->nbd;
	int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);

	c->buffer = malloc(BUFFER_BYTES);
	c->handle = nbd->create();
	if (fd < 0 || !c->buffer || !c->handle)
		return error_set(err, -ENOMEM, "out of memory");
	nbd->set_pread_initialize(c->handle, false);
	nbd->set_request_structured_replies(c->handle, false);
	if (!nbd->aio_connect_socket(c->handle, fd)) {
		while (nbd->aio_is_connecting(c->handle) > 0 && !is_late(image))
			nbd->poll(c->handle, POLL_MS);
		if (nbd->aio_is_connecting(c->handle) > 0)
			return error_set(err, -ETIMEDOUT, "qemu-nbd did not answer for %d s",
					 HELLO_S);
	}
	if (nbd->aio_is_ready(c->handle) <= 0)
		return error_set(err, -EPIPE, "%s", nbd->get_error());
	return 0;
}

static int examine(struct image *image, struct block *out, struct error *err)
{
	struct nbd_handle *handle = image->connection[0].handle;
	int64_t size = image->nbd.get_size(handle);

	if (size <= 0)
		return error_set(err, -EINVAL, "is empty");
	if (size % BLOCK_SECTOR_BYTES)
		return error_set(err, -EINVAL, "its size, %lld bytes, is not a multiple of %u",
				 (long long)size, BLOCK_SECTOR_BYTES);
	if (!out->readonly && image->nbd.is_read_only(handle))
		return error_set(err, -EROFS, "can only be read");
	out->size_bytes = (uint64_t)size;
	return 0;
}

static int start(struct image *image, const char *path, const char *format, struct block *out,
		 struct error *err)
{
	int client[SERVER_CLIENTS];
	int ret = server_start(&image->server, path, format, out->readonly, client, err);

	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		image->connection[i].fd = client[i];
	if (!image->path)
		ret = error_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = libnbd_load(&image->nbd, err);
	set_deadline(image, HELLO_S);
	for (unsigned i = 0; i < SERVER_CLIENTS && !ret; i++)
		ret = connect_to_server(image, &image->connection[i], err);
	return ret ? ret : examine(image, out, err);
}

static int open_image(struct block *out, const char *path, const char *format, bool readonly,
		      struct error *err)
{
	struct image *image = calloc(1, sizeof(*image));
	struct block disk = { .ops = &image_ops, .self = image, .readonly = readonly };
	int ret, why;

	if (!image)
		return error_set(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&image->lock, NULL);
	pthread_cond_init(&image->idle, NULL);
	image->path = strdup(path);
	ret = start(image, path, format, &disk, err);
	if (ret) {
		why = end(image, SIGTERM, err); /* the server knows best */
		return why ? why : ret;
	}
	image->deadline_ns = INT64_MAX;
	*out = disk;
	return 0;
}

int block_image_open(struct block *out, const char *path, const char *format, bool readonly,
		     struct error *err)
{
	struct error reason = { "" };
	int ret;

	if (access(path, readonly ? R_OK : R_OK | W_OK))
		return error_set(err, -errno, "disk '%s': %s", path, strerror(errno));
	ret = open_image(out, path, format, readonly, &reason);
	return ret ? error_set(err, ret, "disk '%s': %s", path, reason.text) : 0;
}

/* --- by name --- */

static const struct {
	const char *suffix, *format;
} formats[] = {
	{ ".qcow2", "qcow2" }, { ".vhdx", "vhdx" }, { ".vhd", "vpc" },
	{ ".vmdk", "vmdk" },   { ".vdi", "vdi" },
};

int block_open(struct block *out, const char *path, bool readonly, struct error *err)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t suffix = strlen(formats[i].suffix);

		if (len > suffix && !strcasecmp(path + len - suffix, formats[i].suffix))
			return block_image_open(out, path, formats[i].format, readonly, err);
	}
	return block_raw_open(out, path, readonly, err);
}
