/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs trees of the parser. A pipeline's stage gets all of its input before the next one starts:
 * output is a list, not a stream.
 */
#ifndef CTL_EVAL_H
#define CTL_EVAL_H

#include "ctl/bind.h"
#include "ctl/parse.h"
#include "ctl/shell.h"

/*
 * Runs the statements of a script; output is appended to the array, or printed after each statement
 * where it is NULL.
 */
enum flow eval_script(struct shell *shell, const struct node *script, json_t *output);

/* One cmdlet with arguments that are at hand. input: an array, or NULL for no pipeline. */
enum flow eval_cmdlet(struct shell *shell, const struct cmdlet *cmdlet,
		      const struct argument *arguments, size_t count, const json_t *input,
		      json_t *output);

/* The value of an expression; NULL after an error (reported). */
json_t *eval_expression(struct shell *shell, const struct node *node);

/* left op right, such as "eq" and "+"; NULL after an error (reported). */
json_t *eval_operator(struct shell *shell, const char *op, const json_t *left, const json_t *right);

/* try, catch, finally: a NODE_TRY. */
enum flow eval_try(struct shell *shell, const struct node *node, json_t *output);

/* self.name(arguments): an array of them. NULL after an error (reported). */
json_t *eval_method(struct shell *shell, const json_t *self, const char *name,
		    const json_t *arguments);

#endif
