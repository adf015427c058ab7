/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What could stand at the end of a line: cmdlets, parameters, their values, VMs. From the table. */
#ifndef CTL_COMPLETE_H
#define CTL_COMPLETE_H

#include "ctl/store.h"

/*
 * The completions, as an array of Strings, of the word that the text ends with; *start gets where
 * that word begins.
 */
json_t *complete_text(struct store *store, const char *text, size_t *start);

#endif
