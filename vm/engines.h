/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines there are, and which of them runs a VM: one table, the only place that knows them
 * all.
 */
#ifndef VM_ENGINES_H
#define VM_ENGINES_H

#include "vm/config.h"

#define ENGINES_MAX 8

const struct engine_ops *engines_at(unsigned i); /* NULL behind the last */

/*
 * Whether that engine can run the VM on this host, found out by trying (vm/engine.h); *vendor is
 * the processor that it would have. -errno with a text that names what is missing.
 */
int engines_probe(const struct engine_ops *ops, const struct config *config,
		  enum cpu_vendor *vendor, struct error *err);

/*
 * Settles config->engine and config->vendor. An engine that was asked for must be able to run the
 * VM; where none was, it is the first in the table's order that can. `why` then says why it is this
 * one. -errno with a text that names what is missing where nothing can run the VM.
 */
int engines_choose(struct config *config, struct error *why, struct error *err);

#endif
