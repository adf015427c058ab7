/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a switch can be asked over its control socket: the list is in switch/requests.c. */
#ifndef SWITCH_REQUESTS_H
#define SWITCH_REQUESTS_H

#include "switch/server.h"

/* For control_create, with the server as self. */
const struct control_request *requests_table(void);

#endif
