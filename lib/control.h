/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control socket: how management (ctl/) speaks to a VM's or a switch's process. A request is a
 * line of JSON,
 * {"execute": "NAME", "arguments": {...}}; its answer is {"return": {...}} or
 * {"error": {"text": "..."}}, in the order of the requests. Any number of clients; only the same
 * user's and root's are heard. One that leaves a MiB of answers unread while it asks for more is
 * dropped, and so is one whose request is longer than 64 KiB. Everything runs on the loop's thread.
 * The process ignores SIGPIPE.
 */
#ifndef LIB_CONTROL_H
#define LIB_CONTROL_H

#include "lib/error.h"

#include <jansson.h>
#include <uv.h>

/* One kind of request. The table ends with a row without a name. */
struct control_request {
	const char *name;
	/*
	 * arguments: an object, empty where the request had none. What goes into `answer` is
	 * returned. -errno with a text becomes the error.
	 */
	int (*run)(void *self, const json_t *arguments, json_t *answer, struct error *err);
};

struct control;

/*
 * Listens at `path`, which appears when it can be connected to, and is removed by destroy. Requests
 * are answered once the loop runs. -EADDRINUSE where the path exists; a text names it.
 */
int control_create(struct control **out, uv_loop_t *loop, const char *path,
		   const struct control_request *requests, void *self, struct error *err);

/* The loop must run until its handles are closed. Accepts NULL. */
void control_destroy(struct control *control);

#endif
