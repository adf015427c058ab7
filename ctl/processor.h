/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's processor settings, for the cmdlets that change them. */
#ifndef CTL_PROCESSOR_H
#define CTL_PROCESSOR_H

#include "ctl/machine.h"

/* The settings of a new VM: an object for its definition. */
json_t *processor_create(void);

/* The number of processors; -1 after call_error. */
int processor_set_count(struct call *call, struct machine *machine, int64_t count);

#endif
