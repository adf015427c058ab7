/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debug-exit port of test kernels: a write of V ends the VM with exit status 2V+1 (modulo 256).
 */
#ifndef DEV_DEBUG_EXIT_H
#define DEV_DEBUG_EXIT_H

#include "dev/dev.h"
#include "vm/power.h"

#define DEBUG_EXIT_PORT  0xf4
#define DEBUG_EXIT_PORTS 4

struct debug_exit;

/* power is borrowed. */
int debug_exit_create(struct debug_exit **out, const struct power *power);
extern const struct dev_ops debug_exit_ops; /* self: struct debug_exit */
dev_access_fn debug_exit_access;            /* DEBUG_EXIT_PORTS at DEBUG_EXIT_PORT */

#endif
