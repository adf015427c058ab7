/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch's process, from outside: `nidus switch` in RUN/ID of the switch. It is started when a VM
 * needs it, and ends when the last one has left. What its ports may do it knows from here only:
 * everything when it starts, and each change while it runs. What it can be asked:
 * switch/requests.c.
 */
#ifndef CTL_SWITCHPROCESS_H
#define CTL_SWITCHPROCESS_H

#include "ctl/store.h"

/*
 * Sees to it that the switch runs, and knows the policies of all adapters that are connected to it.
 * -errno with a text. 0 with a text: it runs, but without all that it is to have of the host, such
 * as its card or a port.
 */
int switchprocess_start(struct store *store, const json_t *definition, struct error *err);

/*
 * One request, whose arguments' reference is taken (NULL: none); *reply (may be NULL) gets what it
 * returns. -errno with a text; see switchprocess_is_gone.
 */
int switchprocess_request(struct store *store, const char *id, const char *name, json_t *arguments,
			  json_t **reply, struct error *err);

/* Whether that error of a request means that no such process runs. */
bool switchprocess_is_gone(int error);

/*
 * The switch has a new name: where it runs, its texts have it from now on, and the host's adapter
 * is made anew under it. -errno with a text; where it does not run, nothing happens.
 */
int switchprocess_rename(struct store *store, const json_t *definition, struct error *err);

/* What the switch is to know of an adapter: the arguments of set_port. */
json_t *switchprocess_policy(const json_t *adapter);

/* Ends the process where one runs, and removes what it leaves. */
void switchprocess_end(struct store *store, const char *id);

#endif
