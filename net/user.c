/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode network: libslirp on the event loop. libslirp is not thread-safe and belongs to the
 * loop's thread; frames that other threads send wait in a list until the loop takes them.
 *
 * Each turn of the loop: `prepare` asks libslirp which sockets to watch and for how long, libuv
 * waits, and `check` tells libslirp what happened.
 */
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <time.h>

#define CONFIG_VERSION    3 /* of struct SlirpConfig */
#define NS_PER_SECOND     1000000000ll
#define OUTBOX_FRAMES_MAX 1024

struct frame {
	struct frame *next;
	size_t bytes;
	uint8_t data[];
};

/* A socket of libslirp's that the loop watches. Freed when libuv has closed the handle. */
struct watch {
	uv_poll_t handle;
	struct user *user;
	int fd;
	int wanted; /* SLIRP_POLL_* in this turn */
	int ready;
};

struct user {
	Slirp *slirp;
	uv_async_t wake;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t timer; /* libslirp's next deadline */
	unsigned open_handles;
	struct watch **watches;
	unsigned count;

	net_receive_fn *receive;
	void *receiver;

	pthread_mutex_t lock; /* the outbox */
	struct frame *outbox;
	struct frame **outbox_end;
	unsigned outbox_count;
};

static struct in_addr address(unsigned a, unsigned b, unsigned c, unsigned d)
{
	return (struct in_addr){ htonl(a << 24 | b << 16 | c << 8 | d) };
}

/* Sockets */

static int uv_events(int slirp_events)
{
	int events = 0;

	if (slirp_events & SLIRP_POLL_IN)
		events |= UV_READABLE;
	if (slirp_events & SLIRP_POLL_OUT)
		events |= UV_WRITABLE;
	if (slirp_events & SLIRP_POLL_PRI)
		events |= UV_PRIORITIZED;
	return events;
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;

	if (events & UV_READABLE)
		w->ready |= SLIRP_POLL_IN;
	if (events & UV_WRITABLE)
		w->ready |= SLIRP_POLL_OUT;
	if (events & UV_PRIORITIZED)
		w->ready |= SLIRP_POLL_PRI;
	if (status < 0) /* the socket's error: libslirp finds out which */
		w->ready |= (w->wanted & (SLIRP_POLL_IN | SLIRP_POLL_OUT)) | SLIRP_POLL_ERR |
			    SLIRP_POLL_HUP;
}

static void forget(struct user *user)
{
	if (--user->open_handles)
		return;
	pthread_mutex_destroy(&user->lock);
	free(user->watches);
	free(user);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	forget(w->user);
	free(w);
}

static struct watch *find_watch(struct user *user, int fd, unsigned *index)
{
	for (*index = 0; *index < user->count; ++*index) {
		if (user->watches[*index]->fd == fd)
			return user->watches[*index];
	}
	return NULL;
}

static struct watch *add_watch(struct user *user, int fd)
{
	struct watch **grown = realloc(user->watches, (user->count + 1) * sizeof(*grown));
	struct watch *w = calloc(1, sizeof(*w));

	if (grown)
		user->watches = grown;
	if (!grown || !w || uv_poll_init(user->prepare.loop, &w->handle, fd)) {
		free(w);
		return NULL;
	}
	w->handle.data = w;
	w->user = user;
	w->fd = fd;
	user->watches[user->count++] = w;
	user->open_handles++;
	return w;
}

/* libslirp is about to close this socket. */
static void on_unregister(int fd, void *opaque)
{
	struct user *user = opaque;
	unsigned index;
	struct watch *w = find_watch(user, fd, &index);

	if (!w)
		return;
	user->watches[index] = user->watches[--user->count];
	uv_poll_stop(&w->handle);
	uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

static void on_register(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

/* Returns what on_revents will be asked with: the descriptor, whose watch may move or go away. */
static int on_add_poll(int fd, int events, void *opaque)
{
	struct user *user = opaque;
	unsigned index;
	struct watch *w = find_watch(user, fd, &index);

	if (!w)
		w = add_watch(user, fd);
	if (w)
		w->wanted |= events;
	return fd;
}

static int on_revents(int fd, void *opaque)
{
	unsigned index;
	struct watch *w = find_watch(opaque, fd, &index);

	return w ? w->ready : 0;
}

/* The loop */

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* it has woken the loop, which is all */
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct user *user = prepare->data;
	uint32_t timeout_ms = UINT32_MAX;

	for (unsigned i = 0; i < user->count; i++)
		user->watches[i]->wanted = user->watches[i]->ready = 0;
	slirp_pollfds_fill(user->slirp, &timeout_ms, on_add_poll, user);
	for (unsigned i = 0; i < user->count; i++) {
		struct watch *w = user->watches[i];

		if (uv_events(w->wanted))
			uv_poll_start(&w->handle, uv_events(w->wanted), on_socket);
		else
			uv_poll_stop(&w->handle);
	}
	if (timeout_ms == UINT32_MAX)
		uv_timer_stop(&user->timer);
	else
		uv_timer_start(&user->timer, on_timer, timeout_ms, 0);
}

static void on_check(uv_check_t *check)
{
	struct user *user = check->data;

	slirp_pollfds_poll(user->slirp, 0, on_revents, user);
}

static struct frame *take_outbox(struct user *user)
{
	struct frame *frames;

	pthread_mutex_lock(&user->lock);
	frames = user->outbox;
	user->outbox = NULL;
	user->outbox_end = &user->outbox;
	user->outbox_count = 0;
	pthread_mutex_unlock(&user->lock);
	return frames;
}

static void on_wake(uv_async_t *async)
{
	struct user *user = async->data;
	struct frame *frame = take_outbox(user);

	while (frame) {
		struct frame *next = frame->next;

		slirp_input(user->slirp, frame->data, frame->bytes);
		free(frame);
		frame = next;
	}
}

/* What libslirp calls */

static ssize_t on_packet(const void *frame, size_t bytes, void *opaque)
{
	struct user *user = opaque;

	if (user->receive)
		user->receive(user->receiver, frame, bytes);
	return bytes;
}

static void on_guest_error(const char *text, void *opaque)
{
	(void)text; /* a guest that sends nonsense gets no answer; that is all */
	(void)opaque;
}

static int64_t on_clock(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void on_notify(void *opaque)
{
	uv_async_send(&((struct user *)opaque)->wake);
}

/* Without IPv6 libslirp makes no timers. */
static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.register_poll_fd = on_register,
	.unregister_poll_fd = on_unregister,
	.notify = on_notify,
};

/* The seam */

static void user_send(void *self, const void *data, size_t bytes)
{
	struct user *user = self;
	struct frame *frame = malloc(sizeof(*frame) + bytes);

	if (!frame)
		return;
	frame->next = NULL;
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	pthread_mutex_lock(&user->lock);
	if (user->outbox_count < OUTBOX_FRAMES_MAX) {
		*user->outbox_end = frame;
		user->outbox_end = &frame->next;
		user->outbox_count++;
		frame = NULL;
	}
	pthread_mutex_unlock(&user->lock);
	free(frame);
	uv_async_send(&user->wake);
}

static void user_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct user *user = self;

	user->receive = fn;
	user->receiver = receiver;
}

static void on_closed(uv_handle_t *handle)
{
	forget(handle->data);
}

static void user_close(void *self)
{
	struct user *user = self;
	struct frame *frame = take_outbox(user);

	while (frame) {
		struct frame *next = frame->next;

		free(frame);
		frame = next;
	}
	user->receive = NULL;
	slirp_cleanup(user->slirp);
	while (user->count)
		on_unregister(user->watches[0]->fd, user);
	uv_close((uv_handle_t *)&user->wake, on_closed);
	uv_close((uv_handle_t *)&user->prepare, on_closed);
	uv_close((uv_handle_t *)&user->check, on_closed);
	uv_close((uv_handle_t *)&user->timer, on_closed);
}

static const struct net_ops user_ops = {
	.send = user_send,
	.receive = user_receive,
	.close = user_close,
};

static int start_handles(struct user *user, uv_loop_t *loop)
{
	int ret = uv_async_init(loop, &user->wake, on_wake);

	if (ret)
		return ret;
	uv_prepare_init(loop, &user->prepare);
	uv_check_init(loop, &user->check);
	uv_timer_init(loop, &user->timer);
	user->wake.data = user->prepare.data = user->check.data = user->timer.data = user;
	user->open_handles = 4;
	uv_prepare_start(&user->prepare, on_prepare);
	uv_check_start(&user->check, on_check);
	return 0;
}

static Slirp *start_slirp(struct user *user)
{
	SlirpConfig config = {
		.version = CONFIG_VERSION,
		.in_enabled = true,
		.vnetwork = address(10, 0, 2, 0),
		.vnetmask = address(255, 255, 255, 0),
		.vhost = address(10, 0, 2, 2),
		.vdhcp_start = address(10, 0, 2, 15),
		.vnameserver = address(10, 0, 2, 3),
	};

	return slirp_new(&config, &callbacks, user);
}

static int add_forwards(struct user *user, const struct net_forward *forwards, unsigned count,
			struct error *err)
{
	for (unsigned i = 0; i < count; i++) {
		if (slirp_add_hostfwd(user->slirp, false, address(127, 0, 0, 1),
				      forwards[i].host_port, address(10, 0, 2, 15),
				      forwards[i].guest_port) < 0)
			return error_set(err, errno ? -errno : -EINVAL,
					 "network: cannot forward port %u of the host: %s",
					 forwards[i].host_port, strerror(errno));
	}
	return 0;
}

int net_user_open(struct net *out, uv_loop_t *loop, const struct net_forward *forwards,
		  unsigned count, struct error *err)
{
	struct user *user = calloc(1, sizeof(*user));
	int ret;

	if (!user)
		return error_set(err, -ENOMEM, "network: out of memory");
	signal(SIGPIPE, SIG_IGN); /* libslirp writes to sockets that may be closed */
	pthread_mutex_init(&user->lock, NULL);
	user->outbox_end = &user->outbox;
	user->slirp = start_slirp(user);
	ret = user->slirp ? start_handles(user, loop) : -ENOMEM;
	if (ret) {
		if (user->slirp)
			slirp_cleanup(user->slirp);
		pthread_mutex_destroy(&user->lock);
		free(user);
		return error_set(err, ret, "network: cannot start: %s", strerror(-ret));
	}
	ret = add_forwards(user, forwards, count, err);
	if (ret) {
		user_close(user);
		return ret;
	}
	*out = (struct net){ .ops = &user_ops, .self = user };
	return 0;
}
