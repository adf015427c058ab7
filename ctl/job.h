/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: what cmdlets with -AsJob gave, kept for Receive-Job. */
#ifndef CTL_JOB_H
#define CTL_JOB_H

#include "ctl/call.h"

/* Takes the output from `before` on out of the call and puts a job in its place. */
void job_keep(struct call *call, size_t before);

#endif
