/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libslirp on an event loop: see lib/usernet.h.
 *
 * Each turn of the loop: `prepare` asks libslirp which sockets to watch and for how long, libuv
 * waits, and `check` tells libslirp what happened.
 */
#include "lib/usernet.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define CONFIG_VERSION 4 /* of struct SlirpConfig */
#define NS_PER_MS      1000000ll
#define NS_PER_SECOND  1000000000ll

/* A socket of libslirp's that the loop watches. Freed when libuv has closed the handle. */
struct watch {
	uv_poll_t handle;
	struct usernet *net;
	int fd;
	unsigned index; /* in net->watches */
	int wanted;     /* SLIRP_POLL_* in this turn */
	int ready;
};

/* One of libslirp's timers. Freed when libuv has closed the handle. */
struct alarm {
	uv_timer_t handle;
	struct usernet *net;
	SlirpTimerCb expired;
	void *opaque;
};

struct usernet {
	Slirp *slirp;
	uv_async_t wake;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t timer; /* libslirp's next deadline */
	unsigned open_handles;
	struct watch **watches;
	unsigned count;
	struct watch **by_fd; /* NULL: not watched */
	unsigned fds;

	usernet_output_fn *output; /* NULL: closed */
	void *receiver;
};

/* --- sockets --- */

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

static void forget(struct usernet *net)
{
	if (--net->open_handles)
		return;
	free(net->by_fd);
	free(net->watches);
	free(net);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	forget(w->net);
	free(w);
}

static struct watch *find_watch(const struct usernet *net, int fd)
{
	return (unsigned)fd < net->fds ? net->by_fd[fd] : NULL;
}

/* Room for one watch more, and for fd. */
static bool make_room(struct usernet *net, int fd)
{
	struct watch **grown = realloc(net->watches, (net->count + 1) * sizeof(struct watch *));
	unsigned fds = (unsigned)fd + 1;

	if (!grown)
		return false;
	net->watches = grown;
	if (fds <= net->fds)
		return true;
	grown = realloc(net->by_fd, fds * sizeof(struct watch *));
	if (!grown)
		return false;
	memset(grown + net->fds, 0, (fds - net->fds) * sizeof(struct watch *));
	net->by_fd = grown;
	net->fds = fds;
	return true;
}

static struct watch *add_watch(struct usernet *net, int fd)
{
	struct watch *w = fd >= 0 && make_room(net, fd) ? calloc(1, sizeof(*w)) : NULL;

	if (!w || uv_poll_init(net->prepare.loop, &w->handle, fd)) {
		free(w);
		return NULL;
	}
	w->handle.data = w;
	w->net = net;
	w->fd = fd;
	w->index = net->count;
	net->watches[net->count++] = w;
	net->by_fd[fd] = w;
	net->open_handles++;
	return w;
}

/* libslirp is about to close this socket. */
static void on_unregister(int fd, void *opaque)
{
	struct usernet *net = opaque;
	struct watch *w = find_watch(net, fd);

	if (!w)
		return;
	net->by_fd[fd] = NULL;
	net->watches[w->index] = net->watches[--net->count];
	net->watches[w->index]->index = w->index;
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
	struct watch *w = find_watch(opaque, fd);

	if (!w)
		w = add_watch(opaque, fd);
	if (w)
		w->wanted |= events;
	return fd;
}

static int on_revents(int fd, void *opaque)
{
	struct watch *w = find_watch(opaque, fd);

	return w ? w->ready : 0;
}

/* --- the loop --- */

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* it has woken the loop, which is all */
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct usernet *net = prepare->data;
	uint32_t timeout_ms = UINT32_MAX;

	for (unsigned i = 0; i < net->count; i++)
		net->watches[i]->wanted = net->watches[i]->ready = 0;
	slirp_pollfds_fill(net->slirp, &timeout_ms, on_add_poll, net);
	for (unsigned i = 0; i < net->count; i++) {
		struct watch *w = net->watches[i];

		if (uv_events(w->wanted))
			uv_poll_start(&w->handle, uv_events(w->wanted), on_socket);
		else
			uv_poll_stop(&w->handle);
	}
	if (timeout_ms == UINT32_MAX)
		uv_timer_stop(&net->timer);
	else
		uv_timer_start(&net->timer, on_timer, timeout_ms, 0);
}

static void on_check(uv_check_t *check)
{
	struct usernet *net = check->data;

	slirp_pollfds_poll(net->slirp, 0, on_revents, net);
}

/* --- what libslirp calls --- */

static ssize_t on_packet(const void *frame, size_t bytes, void *opaque)
{
	struct usernet *net = opaque;

	if (net->output)
		net->output(net->receiver, frame, bytes);
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

/* More can be received than libslirp knew in `prepare`: another turn. */
static void on_notify(void *opaque)
{
	uv_async_send(&((struct usernet *)opaque)->wake);
}

static void on_alarm(uv_timer_t *timer)
{
	struct alarm *alarm = timer->data;

	alarm->expired(alarm->opaque);
}

static void on_alarm_closed(uv_handle_t *handle)
{
	struct alarm *alarm = handle->data;

	forget(alarm->net);
	free(alarm);
}

static void *on_timer_new(SlirpTimerCb expired, void *timer_opaque, void *opaque)
{
	struct usernet *net = opaque;
	struct alarm *alarm = malloc(sizeof(*alarm));

	if (!alarm)
		return NULL;
	*alarm = (struct alarm){ .net = net, .expired = expired, .opaque = timer_opaque };
	uv_timer_init(net->prepare.loop, &alarm->handle);
	alarm->handle.data = alarm;
	net->open_handles++;
	return alarm;
}

static void on_timer_free(void *timer, void *opaque)
{
	struct alarm *alarm = timer;

	(void)opaque;
	if (alarm)
		uv_close((uv_handle_t *)&alarm->handle, on_alarm_closed);
}

static void on_timer_mod(void *timer, int64_t expires_ms, void *opaque)
{
	struct alarm *alarm = timer;
	int64_t left_ms = expires_ms - on_clock(opaque) / NS_PER_MS;

	if (alarm)
		uv_timer_start(&alarm->handle, on_alarm, MAX(left_ms, 0), 0);
}

static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.timer_new = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_register,
	.unregister_poll_fd = on_unregister,
	.notify = on_notify,
};

/* --- open, close --- */

static void on_wake(uv_async_t *async)
{
	(void)async;
}

static void on_closed(uv_handle_t *handle)
{
	forget(handle->data);
}

static int start_handles(struct usernet *net, uv_loop_t *loop)
{
	int ret = uv_async_init(loop, &net->wake, on_wake);

	if (ret)
		return ret;
	uv_prepare_init(loop, &net->prepare);
	uv_check_init(loop, &net->check);
	uv_timer_init(loop, &net->timer);
	net->wake.data = net->prepare.data = net->check.data = net->timer.data = net;
	net->open_handles = 4;
	return 0;
}

static void close_handles(struct usernet *net)
{
	uv_close((uv_handle_t *)&net->wake, on_closed);
	uv_close((uv_handle_t *)&net->prepare, on_closed);
	uv_close((uv_handle_t *)&net->check, on_closed);
	uv_close((uv_handle_t *)&net->timer, on_closed);
}

struct usernet *usernet_open(uv_loop_t *loop, const SlirpConfig *config, usernet_output_fn *output,
			     void *receiver, struct error *err)
{
	struct usernet *net = calloc(1, sizeof(*net));
	SlirpConfig own = *config;
	int ret = net ? start_handles(net, loop) : -ENOMEM;

	if (ret) {
		error_set(err, ret, "network: cannot start: %s", strerror(-ret));
		free(net);
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN);
	net->output = output;
	net->receiver = receiver;
	own.version = CONFIG_VERSION;
	net->slirp = slirp_new(&own, &callbacks, net);
	if (!net->slirp) {
		error_set(err, -EINVAL, "network: libslirp does not take these addresses");
		close_handles(net);
		return NULL;
	}
	uv_prepare_start(&net->prepare, on_prepare);
	uv_check_start(&net->check, on_check);
	return net;
}

void usernet_close(struct usernet *net)
{
	if (!net)
		return;
	net->output = NULL;
	slirp_cleanup(net->slirp);
	while (net->count)
		on_unregister(net->watches[0]->fd, net);
	close_handles(net);
}

/* --- the rest --- */

void usernet_input(struct usernet *net, const void *frame, size_t bytes)
{
	slirp_input(net->slirp, frame, (int)bytes);
}

unsigned usernet_sockets(const struct usernet *net)
{
	return net->count;
}

static socklen_t address_size(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

int usernet_forward(struct usernet *net, bool is_udp, const struct sockaddr *host,
		    const struct sockaddr *guest)
{
	int flags = is_udp ? SLIRP_HOSTFWD_UDP : 0;

	errno = 0;
	if (slirp_add_hostxfwd(net->slirp, host, address_size(host), guest, address_size(guest),
			       flags) >= 0)
		return 0;
	return errno ? -errno : -EINVAL;
}

void usernet_unforward(struct usernet *net, bool is_udp, const struct sockaddr *host)
{
	slirp_remove_hostxfwd(net->slirp, host, address_size(host), is_udp ? SLIRP_HOSTFWD_UDP : 0);
}
