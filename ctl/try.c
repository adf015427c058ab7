/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * try, catch and finally. An error that ends a statement or the script is caught: it is kept in
 * $Error, not shown. Errors after which a cmdlet goes on are shown as everywhere.
 */
#include "ctl/eval.h"

/* $_ in a catch block: the error, with its message where PowerShell has it too. */
static json_t *caught(struct shell *shell)
{
	json_t *record = json_copy(json_array_get(shell->errors, 0)), *exception;

	if (!record)
		return json_null();
	exception = value_object("Exception");
	json_object_set(exception, "Message", json_object_get(record, "Message"));
	json_object_set_new(record, "Exception", exception);
	return record;
}

static enum flow run_catch(struct shell *shell, const struct node *script, json_t *output)
{
	json_t *outer = shell_get(shell, "_");
	enum flow flow;

	shell_set(shell, "_", caught(shell));
	flow = eval_script(shell, script, output);
	shell_set(shell, "_", outer ? outer : json_null());
	return flow;
}

enum flow eval_try(struct shell *shell, const struct node *node, json_t *output)
{
	const struct node *handler = node->kids[1], *last = node->kids[2];
	enum flow flow, end;

	shell->tries++;
	flow = eval_script(shell, node->kids[0], output);
	shell->tries--;
	if (flow != FLOW_NEXT && !shell->exiting) {
		if (handler->kind == NODE_SCRIPT)
			flow = run_catch(shell, handler, output);
		else if (!shell->tries)
			shell_show_error(shell, json_array_get(shell->errors, 0));
	}
	end = last->kind == NODE_SCRIPT ? eval_script(shell, last, output) : FLOW_NEXT;
	return end == FLOW_NEXT ? flow : end;
}
