/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments to parameters, in PowerShell's order: named, positional, then the pipeline's object by
 * value and by property name, each first without and then with conversion. Parameter sets narrow as
 * values bind; the default set breaks ties.
 */
#ifndef CTL_BIND_H
#define CTL_BIND_H

#include "ctl/call.h"

struct argument {
	const char *name; /* of the parameter, maybe a prefix; NULL: positional */
	json_t *value;    /* NULL: the name alone */
	const char *word; /* how it was written, for bare words; NULL: it was none */
	bool attached;    /* -Name:value */
};

/*
 * Binds what the command line says into call->args; *sets gets the parameter sets still possible.
 * Common parameters take effect on the call. -1 after an error was reported, which ends the
 * statement.
 */
int bind_arguments(struct call *call, const struct argument *arguments, size_t count,
		   unsigned *sets);

/*
 * Completes call->args for one object of the pipeline (NULL: there is no pipeline), asks for what
 * is missing where it can, and chooses the set. -1 after an error.
 */
int bind_record(struct call *call, const json_t *object, unsigned sets);

/* The row of a name, alias or unique prefix; NULL after an error, which is reported. */
const struct param *bind_find(struct call *call, const char *name);

/* Whether names of the parameter include this one, exactly. */
bool bind_is_named(const struct param *param, const char *name);

#endif
