/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix sockets by path: how processes of one user find each other. A path may be longer than a
 * socket's address has room for: it is named through its folder.
 */
#ifndef LIB_SOCKET_H
#define LIB_SOCKET_H

#include "lib/base.h"

/*
 * A listening stream socket, not blocking, under a path that appears when it can be connected to.
 * A descriptor; -EADDRINUSE where the path exists; -errno.
 */
int socket_listen(const char *path);

/*
 * A connected stream socket, blocking. A descriptor; -ENOENT, -ECONNREFUSED: nobody listens. It
 * waits only where thousands wait already for a process that does not take them.
 */
int socket_connect(const char *path);

/* Whether the same user or root is at the other end. */
bool socket_is_heard(int fd);

#endif
