/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM can be asked over its control socket: the table for lib/control.h. */
#ifndef VM_REQUESTS_H
#define VM_REQUESTS_H

#include "lib/control.h"

/* self is the struct vm. */
extern const struct control_request requests[];

#endif
