/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process of a virtual switch: see switch/server.h. */
#define _GNU_SOURCE /* accept4 */
#include "switch/server.h"

#include "lib/socket.h"
#include "switch/link.h"
#include "switch/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEAF_MS 100

/* --- ports --- */

struct server_port *server_find_port(struct server *server, const char *id)
{
	struct server_port *port = server->ports;

	while (port && strcmp(port->id, id))
		port = port->next;
	return port;
}

static struct server_port *create_port(struct server *server, const char *id,
				       const struct switch_policy *policy)
{
	struct server_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->port = switch_port_create(server->core, policy, port);
	if (!port->port) {
		free(port);
		return NULL;
	}
	snprintf(port->id, sizeof(port->id), "%s", id);
	port->server = server;
	port->next = server->ports;
	server->ports = port;
	return port;
}

/* --- the end --- */

static void on_end(uv_timer_t *timer)
{
	struct server *server = timer->data;

	uv_stop(server->loop);
}

/* Nobody is plugged in: it ends unless somebody comes. */
static void wait_for_clients(struct server *server, unsigned ms)
{
	if (ms && !server->connected)
		uv_timer_start(&server->end, on_end, ms, 0);
}

void server_count_clients(struct server *server, int change)
{
	server->connected += (unsigned)change;
	uv_timer_stop(&server->end);
	wait_for_clients(server, server->options.linger_ms);
}

/* --- ports, as management sets them --- */

int server_set_port(struct server *server, const char *id, const struct switch_policy *policy,
		    struct error *err)
{
	struct server_port *port = server_find_port(server, id);

	if (!*id || strlen(id) >= SERVER_PORT_ID_MAX)
		return error_set(err, -EINVAL, "'%s' is no name for a port", id);
	if (port) {
		switch_port_set_policy(port->port, policy);
		link_resume(port->link);
	} else {
		port = create_port(server, id, policy);
	}
	if (!port)
		return error_set(err, -ENOSPC, "switch '%s' has no room for another port",
				 server->name);
	wait_for_clients(server, server->options.patience_ms);
	return 0;
}

void server_remove_port(struct server_port *port)
{
	struct server *server = port->server;
	struct server_port **at = &server->ports;

	link_destroy(port->link);
	net_close(&port->net);
	while (*at != port)
		at = &(*at)->next;
	*at = port->next;
	if (server->capture_port == port)
		server_set_capture(server, NULL, NULL);
	switch_port_destroy(port->port);
	free(port);
}

static void on_net_frame(void *self, const void *frame, size_t bytes)
{
	server_take(self, frame, bytes, uv_hrtime());
}

void server_plug_net(struct server_port *port, const struct net *net)
{
	link_destroy(port->link);
	net_close(&port->net);
	port->net = *net;
	if (net->ops)
		net->ops->receive(net->self, on_net_frame, port);
	switch_port_connect(port->port, net->ops != NULL);
}

/* --- frames --- */

void server_set_capture(struct server *server, struct capture *capture, struct server_port *only)
{
	capture_destroy(server->capture);
	server->capture = capture;
	server->capture_port = only;
}

void server_take(struct server_port *port, const void *frame, size_t bytes, uint64_t now_ns)
{
	struct server *server = port->server;

	if (server->capture && frame && (!server->capture_port || server->capture_port == port))
		capture_add(server->capture, frame, bytes);
	switch_input(port->port, frame, bytes, now_ns);
}

static bool deliver(void *self, struct switch_port *to, const struct iovec *parts, unsigned count,
		    size_t bytes)
{
	struct server *server = self;
	struct server_port *port = to->owner;
	const void *frame = parts[0].iov_base;
	uint8_t *end = server->whole;

	if (port->link)
		return link_deliver(port->link, parts, count, bytes);
	if (!port->net.ops || bytes > sizeof(server->whole))
		return false;
	for (unsigned i = 0; count > 1 && i < count; i++) {
		memcpy(end, parts[i].iov_base, parts[i].iov_len);
		end += parts[i].iov_len;
		frame = server->whole;
	}
	port->net.ops->send(port->net.self, frame, bytes);
	return true;
}

/* --- the loop --- */

static void on_prepare(uv_prepare_t *prepare)
{
	struct server *server = prepare->data;

	link_flush_all(server);
	uv_idle_stop(&server->idle);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* the loop does not wait while it is on, which is all */
}

void server_flush_soon(struct server *server)
{
	uv_idle_start(&server->idle, on_idle);
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_deaf_over(uv_timer_t *timer)
{
	struct server *server = timer->data;

	uv_poll_start(&server->listener, UV_READABLE, on_connection);
}

/* There is no descriptor for who knocks: not to be told of it again and again. */
static void be_deaf(struct server *server)
{
	uv_poll_stop(&server->listener);
	uv_timer_start(&server->deaf, on_deaf_over, DEAF_MS, 0);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct server *server = poll->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(server->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			be_deaf(server);
		return;
	}
	if (socket_is_heard(fd))
		link_create(server, fd);
	else
		close(fd);
}

/* --- beginning and end --- */

static void release(struct server *server)
{
	switch_destroy(server->core);
	free(server);
}

static void on_closed(uv_handle_t *handle)
{
	struct server *server = handle->data;

	if (!--server->open_handles)
		release(server);
}

static int start_handles(struct server *server)
{
	int ret = uv_poll_init(server->loop, &server->listener, server->listener_fd);

	if (ret)
		return ret;
	uv_prepare_init(server->loop, &server->prepare);
	uv_idle_init(server->loop, &server->idle);
	uv_timer_init(server->loop, &server->end);
	uv_timer_init(server->loop, &server->deaf);
	server->listener.data = server->prepare.data = server->idle.data = server;
	server->end.data = server->deaf.data = server;
	server->open_handles = 5;
	uv_prepare_start(&server->prepare, on_prepare);
	wait_for_clients(server, server->options.patience_ms);
	return uv_poll_start(&server->listener, UV_READABLE, on_connection);
}

static int start(struct server *server, struct error *err)
{
	const char *path = server->ports_path;
	int ret;

	server->core = switch_create(deliver, server);
	if (!server->core)
		return error_set(err, -ENOMEM, "switch '%s': out of memory", server->name);
	server->listener_fd = socket_listen(path);
	if (server->listener_fd < 0)
		return error_set(err, server->listener_fd, "--ports: '%s': %s", path,
				 strerror(-server->listener_fd));
	ret = start_handles(server);
	if (ret)
		return error_set(err, ret, "switch '%s': %s", server->name, uv_strerror(ret));
	return control_create(&server->control, server->loop, server->options.control_path,
			      requests_table(), server, err);
}

int server_create(struct server **out, uv_loop_t *loop, const struct server_options *options,
		  struct error *err)
{
	struct server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server)
		return error_set(err, -ENOMEM, "switch '%s': out of memory", options->name);
	server->loop = loop;
	server->options = *options;
	server->listener_fd = -1;
	snprintf(server->name, sizeof(server->name), "%s", options->name);
	snprintf(server->ports_path, sizeof(server->ports_path), "%s", options->ports_path);
	ret = start(server, err);
	if (ret)
		server_destroy(server);
	else
		*out = server;
	return ret;
}

void server_destroy(struct server *server)
{
	if (server->listener_fd >= 0)
		unlink(server->ports_path);
	control_destroy(server->control);
	while (server->links)
		link_destroy(server->links);
	while (server->ports)
		server_remove_port(server->ports);
	server_set_capture(server, NULL, NULL);
	if (server->open_handles) {
		uv_close((uv_handle_t *)&server->listener, on_closed);
		uv_close((uv_handle_t *)&server->prepare, on_closed);
		uv_close((uv_handle_t *)&server->idle, on_closed);
		uv_close((uv_handle_t *)&server->end, on_closed);
		uv_close((uv_handle_t *)&server->deaf, on_closed);
	}
	if (server->listener_fd >= 0)
		close(server->listener_fd);
	if (!server->open_handles)
		release(server);
}
