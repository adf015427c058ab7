/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port of a virtual switch, on the event loop. Where no switch runs, the adapter is as if alone
 * on its network, and the port looks again and again: a switch that comes back finds it.
 *
 * Frames for the guest come on the loop's thread. The guest's leave on the thread that sends; what
 * the switch does not take at once, the loop sends when it does.
 */
#include "net/net.h"

#include "switch/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define RETRY_MS 200

/* The descriptor of a connection, which has its own life in the loop. */
struct watch {
	uv_poll_t handle;
	struct port *port; /* NULL: the connection is closed */
};

struct port {
	char *path, *id;
	uv_timer_t retry;
	uv_async_t wake; /* something waits for the switch to take it */
	unsigned open_handles;
	struct watch *watch; /* of the client; NULL without one */

	net_receive_fn *receive;
	void *receiver;
	net_room_fn *room;
	void *sender;

	pthread_mutex_t lock;         /* sending, and which client it is */
	struct switch_client *client; /* NULL: no switch runs. Receiving takes no lock */
	bool is_awaited;              /* somebody found no room */
};

/* --- the connection --- */

static void on_watch_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct watch, handle));
}

/* Who found no room is told that there is. */
static void tell_waiting(struct port *port)
{
	bool was_awaited;

	pthread_mutex_lock(&port->lock);
	was_awaited = port->is_awaited;
	port->is_awaited = false;
	pthread_mutex_unlock(&port->lock);
	if (was_awaited && port->room)
		port->room(port->sender);
}

static void on_retry(uv_timer_t *timer);

/* Looks for a switch from now on. */
static void seek(struct port *port)
{
	uv_timer_start(&port->retry, on_retry, RETRY_MS, RETRY_MS);
}

static void disconnect(struct port *port)
{
	struct switch_client *client = port->client;

	if (!client)
		return;
	port->watch->port = NULL;
	uv_close((uv_handle_t *)&port->watch->handle, on_watch_closed);
	port->watch = NULL;
	pthread_mutex_lock(&port->lock);
	port->client = NULL;
	pthread_mutex_unlock(&port->lock);
	switch_client_close(client);
	tell_waiting(port);
}

static void on_frame(void *self, const void *frame, size_t bytes)
{
	struct port *port = self;

	if (port->receive)
		port->receive(port->receiver, frame, bytes);
}

static void on_ready(uv_poll_t *handle, int status, int events);

/* Listens for frames, and for room where something waits for it. */
static void watch(struct port *port, bool waits)
{
	uv_poll_start(&port->watch->handle, UV_READABLE | (waits ? UV_WRITABLE : 0), on_ready);
}

/* False: the switch is gone. */
static bool send_waiting(struct port *port)
{
	bool lives, waits;

	pthread_mutex_lock(&port->lock);
	lives = !switch_client_flush(port->client);
	waits = switch_client_waits(port->client);
	pthread_mutex_unlock(&port->lock);
	if (lives)
		watch(port, waits);
	if (lives && !waits)
		tell_waiting(port);
	return lives;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct port *port = container_of(handle, struct watch, handle)->port;
	bool lives = !status;

	if (!port)
		return;
	if (lives && (events & UV_READABLE))
		lives = !switch_client_receive(port->client, on_frame, port, NULL);
	if (lives && (events & UV_WRITABLE))
		lives = send_waiting(port);
	if (!lives) {
		disconnect(port);
		seek(port);
	}
}

static void connect_to_switch(struct port *port)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct switch_client *client;

	if (!w || switch_client_open(&client, port->path, port->id, NULL)) {
		free(w);
		return;
	}
	if (uv_poll_init(port->retry.loop, &w->handle, switch_client_fd(client))) {
		switch_client_close(client);
		free(w);
		return;
	}
	w->port = port;
	port->watch = w;
	pthread_mutex_lock(&port->lock);
	port->client = client;
	pthread_mutex_unlock(&port->lock);
	watch(port, switch_client_waits(client));
	uv_timer_stop(&port->retry);
}

static void on_retry(uv_timer_t *timer)
{
	connect_to_switch(timer->data);
}

static void on_wake(uv_async_t *async)
{
	struct port *port = async->data;

	if (port->client && !send_waiting(port)) {
		disconnect(port);
		seek(port);
	}
}

/* --- the seam --- */

static void port_send(void *self, const void *frame, size_t bytes)
{
	struct port *port = self;

	pthread_mutex_lock(&port->lock);
	if (port->client)
		switch_client_send(port->client, frame, bytes);
	pthread_mutex_unlock(&port->lock);
}

static void port_flush(void *self)
{
	struct port *port = self;
	bool waits;

	pthread_mutex_lock(&port->lock);
	waits = port->client &&
		(switch_client_flush(port->client) || switch_client_waits(port->client));
	pthread_mutex_unlock(&port->lock);
	if (waits)
		uv_async_send(&port->wake);
}

/* No switch is room enough: frames are lost, as on any cable without an end. */
static bool port_has_room(void *self)
{
	struct port *port = self;
	bool has;

	pthread_mutex_lock(&port->lock);
	has = !port->client || !switch_client_waits(port->client);
	port->is_awaited |= !has;
	pthread_mutex_unlock(&port->lock);
	return has;
}

static void port_tell_room(void *self, net_room_fn *fn, void *sender)
{
	struct port *port = self;

	port->room = fn;
	port->sender = sender;
}

static void port_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct port *port = self;

	port->receive = fn;
	port->receiver = receiver;
}

static void free_port(struct port *port)
{
	pthread_mutex_destroy(&port->lock);
	free(port->path);
	free(port->id);
	free(port);
}

static void on_closed(uv_handle_t *handle)
{
	struct port *port = handle->data;

	if (!--port->open_handles)
		free_port(port);
}

static void port_close(void *self)
{
	struct port *port = self;

	disconnect(port);
	uv_close((uv_handle_t *)&port->retry, on_closed);
	uv_close((uv_handle_t *)&port->wake, on_closed);
}

static const struct net_ops port_ops = {
	.send = port_send,
	.flush = port_flush,
	.has_room = port_has_room,
	.tell_room = port_tell_room,
	.receive = port_receive,
	.close = port_close,
};

int net_switch_open(struct net *out, uv_loop_t *loop, const char *path, const char *id,
		    struct error *err)
{
	struct port *port = calloc(1, sizeof(*port));
	int ret = -ENOMEM;

	if (!port)
		return error_set(err, ret, "network: out of memory");
	pthread_mutex_init(&port->lock, NULL);
	port->path = strdup(path);
	port->id = strdup(id);
	if (port->path && port->id)
		ret = uv_async_init(loop, &port->wake, on_wake);
	if (ret) {
		free_port(port);
		return error_set(err, ret, "network: %s", strerror(-ret));
	}
	uv_timer_init(loop, &port->retry);
	port->wake.data = port->retry.data = port;
	port->open_handles = 2;
	seek(port);
	connect_to_switch(port);
	*out = (struct net){ .ops = &port_ops, .self = port };
	return 0;
}
