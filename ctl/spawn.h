/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other programs that do a part of the work: qemu-img, ip. */
#ifndef CTL_SPAWN_H
#define CTL_SPAWN_H

#include "ctl/text.h"
#include "lib/error.h"

/*
 * Runs a program by name with these arguments (argv[0] included, ends with NULL), without input,
 * and waits for it. Its output goes to `output` (may be NULL: dropped). 0, or -errno with a text:
 * what it said on standard error, or that it is not installed.
 */
int spawn_run(char *const argv[], struct text *output, struct error *err);

#endif
