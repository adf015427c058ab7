/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-nbd as a child of this process: one for each image, reached over connections that are made
 * before it runs and that nobody else can make.
 */
#ifndef BLOCK_SERVER_H
#define BLOCK_SERVER_H

#include "lib/error.h"

#include <sys/types.h>

#define SERVER_CLIENTS 4 /* connections to it */

struct server {
	pid_t pid; /* 0: none, or none any more */
	int log;   /* what it says */
};

/*
 * Starts it for the image in `format`. Its connections are the caller's, also where it fails: then
 * some may be -1, and server_end is due all the same. 0 does not yet mean that it could open the
 * image. err has a reason without the name of the disk.
 */
int server_start(struct server *server, const char *path, const char *format, bool readonly,
		 int client[SERVER_CLIENTS], struct error *err);

/*
 * Waits until it has ended, which it does when all connections are closed: it writes what it still
 * holds. `signal`, if not 0, tells it to end.
 * 0, or -errno and the reason why it could not serve the image. One that does not end is killed.
 */
int server_end(struct server *server, int signal, struct error *err);

#endif
