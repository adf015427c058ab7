/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a switch: what is plugged into one of its ports, as a VM's network card is. Nothing
 * here waits. The caller watches the descriptor: readable, it calls receive; while
 * switch_client_waits, writable, it calls flush.
 *
 * A switch ends and comes back; a client that receive or flush found dead is closed and opened
 * anew. One thread may receive while another sends, flushes and asks whether something waits.
 */
#ifndef SWITCH_CLIENT_H
#define SWITCH_CLIENT_H

#include "lib/error.h"

#define SWITCH_CLIENT_FRAME_MAX 65550 /* bytes of a frame without VLAN tag */

struct switch_client;

/*
 * Connects to the switch's socket and says which port this is. Frames may be sent from now on;
 * whether the switch takes the port, receive tells. -errno with a text: -ENOENT, -ECONNREFUSED: no
 * switch runs there.
 */
int switch_client_open(struct switch_client **out, const char *path, const char *port,
		       struct error *err);
void switch_client_close(struct switch_client *client); /* accepts NULL */

int switch_client_fd(const struct switch_client *client);

/* Whether the switch has taken the port: the network card's cable is in. */
bool switch_client_is_accepted(const struct switch_client *client);

/*
 * Queues a copy of one frame; flush sends all of them. False: it was dropped, because the switch
 * does not keep up, or because no frame has that length.
 */
bool switch_client_send(struct switch_client *client, const void *frame, size_t bytes);

/* Sends what can be sent now. -errno: the switch is gone. */
int switch_client_flush(struct switch_client *client);

/* Whether something queued waits for the descriptor to be writable. */
bool switch_client_waits(const struct switch_client *client);

/*
 * Reads once and hands over each frame that has come, borrowed for the call, which must not close
 * the client. 0, also when nothing came; -errno with a text: the switch is gone, or has refused the
 * port (-EACCES, the text says why).
 */
int switch_client_receive(struct switch_client *client,
			  void (*take)(void *self, const void *frame, size_t bytes), void *self,
			  struct error *err);

#endif
