/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: cmdlets with -AsJob, which go on while the shell does other things. */
#ifndef CTL_JOB_H
#define CTL_JOB_H

#include "ctl/call.h"

/* What a job does: `run` returns as a cmdlet's does. The rest is for it. */
struct job_work {
	int (*run)(struct call *call, struct job_work *work);
	const json_t *input;
	unsigned sets;
};

/* Starts it in a process of its own and gives out the job's object. -1 after call_error. */
int job_start(struct call *call, struct job_work *work);

/* Looks which of the shell's jobs have ended. */
void job_poll(struct shell *shell);

#endif
