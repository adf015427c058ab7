/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of `nidus run`: one table from which parsing, checks and help come.
 */
#ifndef VM_OPTIONS_H
#define VM_OPTIONS_H

#include "vm/config.h"

#include <stdio.h>

/*
 * Fills in a configuration from the arguments after "run". config_init comes first; strings are
 * borrowed. -EINVAL with a text that names the option and the reason.
 */
int options_parse(struct config *config, int argc, char *const argv[], struct error *err);

/* The value of --net, also for a network that an adapter is to be moved to. */
int options_parse_net(struct config_net *net, const char *value, struct error *err);

/* The synopsis, and a line or two for each option. */
void options_help(FILE *out);

#endif
