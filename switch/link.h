/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the switch: first nobody's, then, by its hello, the client of a port. A client
 * that does not read loses its frames and no one else's; one that breaks the stream is cut off. Of
 * connections that do not say who they are, only so many are kept.
 */
#ifndef SWITCH_LINK_H
#define SWITCH_LINK_H

#include "switch/server.h"

/* Takes the connected socket. Where there is no room for it, it is closed. */
void link_create(struct server *server, int fd);

/* Cuts it off. Accepts NULL. */
void link_destroy(struct link *link);

/* Queues a frame. False: there is no room. */
bool link_deliver(struct link *link, const struct iovec *parts, unsigned count, size_t bytes);

/* Sends what is queued on all links of the server. */
void link_flush_all(struct server *server);

/* The port's policy has changed: it may be allowed to send more. Accepts NULL. */
void link_resume(struct link *link);

#endif
