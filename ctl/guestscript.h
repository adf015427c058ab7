/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Script blocks for a Linux guest. A block is the guest's own shell script; only the few Windows
 * commands that the documents type in it are given a meaning there: installing the hypervisor,
 * restarting and shutting down.
 */
#ifndef CTL_GUESTSCRIPT_H
#define CTL_GUESTSCRIPT_H

/* The script that /bin/sh in the guest runs; for free(). */
char *guestscript_translate(const char *block);

#endif
