/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process of a virtual switch: its ports by the names that management gave them, the sockets
 * that clients come in by, the control socket, and its end when nobody is plugged in any more. All
 * on the loop's thread. switch/core.h has what happens to frames, switch/requests.h what can be
 * asked.
 */
#ifndef SWITCH_SERVER_H
#define SWITCH_SERVER_H

#include "lib/control.h"
#include "net/net.h"
#include "switch/capture.h"
#include "switch/core.h"

#include <limits.h>

#define SERVER_PORT_ID_MAX 128
#define SERVER_NAME_MAX    256

struct link;

struct server_options {
	const char *name;         /* the switch's, for texts */
	const char *ports_path;   /* where clients connect: switch/wire.h */
	const char *control_path; /* lib/control.h */
	/* Ends so long after the last client left, and after nobody came. 0: never by itself. */
	unsigned linger_ms, patience_ms;
};

/* A port as management knows it. */
struct server_port {
	struct server_port *next;
	char id[SERVER_PORT_ID_MAX];
	struct server *server;
	struct switch_port *port;
	struct link *link; /* the client that is plugged in; NULL: nobody, or ... */
	struct net net;    /* ... a part of this process, where ops is not NULL */
};

struct server {
	uv_loop_t *loop;
	struct server_options options;
	char name[SERVER_NAME_MAX], ports_path[PATH_MAX];
	int listener_fd;
	unsigned open_handles;
	uv_poll_t listener;
	uv_prepare_t prepare; /* before the loop waits: what is queued goes out */
	uv_idle_t idle;       /* keeps the loop from waiting before that */
	uv_timer_t end;
	uv_timer_t deaf; /* until it listens again */
	struct control *control;
	struct switch_core *core;
	struct server_port *ports;
	struct link *links, *dirty;       /* all; those with something queued */
	unsigned connected;               /* ports with a client */
	unsigned nameless;                /* links that have not said which port they are */
	struct capture *capture;          /* NULL: none */
	struct server_port *capture_port; /* whose frames alone are captured; NULL: all */
	uint8_t whole[FRAME_BYTES_MAX];   /* a frame put together from its parts */
};

/* Listens. -errno with a text: the loop must still run until it has closed its handles. */
int server_create(struct server **out, uv_loop_t *loop, const struct server_options *options,
		  struct error *err);

/* The loop must run until it has closed its handles, which frees the server. */
void server_destroy(struct server *server);

/* NULL: there is none of that name. */
struct server_port *server_find_port(struct server *server, const char *id);

/* A new port, or a new policy for one that there is. -errno with a text. */
int server_set_port(struct server *server, const char *id, const struct switch_policy *policy,
		    struct error *err);

/* Cuts off its client. */
void server_remove_port(struct server_port *port);

/*
 * Plugs a part of this process into a port: an uplink to the host's network. Frames that it
 * receives come into the switch. The server closes it, when another takes its place, and at the
 * end; it does not count as a client that keeps the switch running. A net without ops only pulls
 * out what is in.
 */
void server_plug_net(struct server_port *port, const struct net *net);

/*
 * Frames as they come in are captured from now on, of one port or of all (NULL), until the next
 * call. Takes the capture; NULL: none.
 */
void server_set_capture(struct server *server, struct capture *capture, struct server_port *only);

/* A frame from the port's client. */
void server_take(struct server_port *port, const void *frame, size_t bytes, uint64_t now_ns);

/* For switch/link.c: something is queued, and goes out before the loop waits. */
void server_flush_soon(struct server *server);

/* For switch/link.c: a client has come to or left a port. */
void server_count_clients(struct server *server, int change);

#endif
