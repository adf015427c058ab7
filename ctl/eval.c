/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statements, pipelines and commands at work: see ctl/eval.h. */
#include "ctl/eval.h"

#include "ctl/format.h"
#include "ctl/job.h"
#include "ctl/machine.h"
#include "ctl/path.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define DEPTH_MAX 100 /* of scripts in scripts */

/* --- one cmdlet --- */

static enum error_action preferred_action(struct shell *shell)
{
	json_t *value = shell_get(shell, "ErrorActionPreference");
	enum error_action action = call_action(json_string_value(value), ACTION_CONTINUE);

	json_decref(value);
	return action;
}

/* Other hosts are managed there: this is said, not ignored. */
static int check_host(struct call *call)
{
	const json_t *names = call_value(call, "ComputerName");
	json_t *element;
	size_t i;

	json_array_foreach(names, i, element)
	{
		const char *name = json_string_value(element);

		if (!machine_is_host(name))
			return call_error(
				call, ERROR_NOT_FOUND, name,
				"The computer '%s' is not this one. Run the command there.", name);
	}
	return 0;
}

/* Arguments of one record are its own: what the pipeline bound is dropped again. */
static int run_record(struct call *call, const json_t *record, unsigned sets)
{
	json_t *base = call->args;
	int ret;

	call->args = json_copy(base);
	ret = bind_record(call, record, sets);
	if (!ret)
		ret = check_host(call);
	if (!ret)
		ret = call->cmdlet->run(call);
	json_decref(call->args);
	call->args = base;
	return ret;
}

static int run_records(struct call *call, const json_t *input, unsigned sets)
{
	json_t *record;
	size_t i;
	int ret = 0;

	if (!input || call->cmdlet->flags & CMDLET_WHOLE_INPUT)
		return run_record(call, NULL, sets);
	json_array_foreach(input, i, record)
	{
		if (run_record(call, record, sets))
			ret = -1;
		if (call->stopped || call->shell->exiting)
			break;
	}
	return ret;
}

/* -OutVariable and its kin: "+name" appends. Takes the reference of what is kept. */
static void keep(struct call *call, const char *parameter, json_t *kept)
{
	const char *name = call_string(call, parameter);
	json_t *old = NULL, *whole = json_array();

	if (name && *name == '+')
		old = shell_get(call->shell, ++name);
	if (name) {
		value_spread(whole, old);
		json_array_extend(whole, kept);
		shell_set(call->shell, name, json_incref(whole));
	}
	json_decref(whole);
	json_decref(old);
	json_decref(kept);
}

/* What this cmdlet gave and reported, into the variables that the arguments name. */
static void keep_all(struct call *call, size_t before)
{
	json_t *output = json_array();

	for (size_t i = before; i < json_array_size(call->output); i++)
		json_array_append(output, json_array_get(call->output, i));
	keep(call, "OutVariable", output);
	keep(call, "ErrorVariable", json_incref(call->errors));
	keep(call, "WarningVariable", json_incref(call->warnings));
	keep(call, "InformationVariable", json_incref(call->informations));
}

static int run_as_job(struct call *call, struct job_work *work)
{
	return run_records(call, work->input, work->sets);
}

static int run_bound(struct call *call, const json_t *input, unsigned sets)
{
	struct job_work work = { run_as_job, input, sets };

	return call_switch(call, "AsJob") && !call_switch(call, "WhatIf")
		       ? job_start(call, &work)
		       : run_records(call, input, sets);
}

/* An error in the arguments ends the statement: it can be caught. */
static int bind_all(struct call *call, const struct argument *arguments, size_t count,
		    unsigned *sets)
{
	int ret;

	call->ends_statement = true;
	ret = bind_arguments(call, arguments, count, sets);
	call->ends_statement = false;
	return ret;
}

static enum flow run_call(struct call *call, const struct argument *arguments, size_t count,
			  const json_t *input)
{
	size_t before = json_array_size(call->output);
	enum flow flow = FLOW_NEXT;
	unsigned sets;

	if (call->cmdlet->flags & CMDLET_NOT_YET)
		call_error(call, ERROR_NOT_YET, call->name, "%s is not available yet.", call->name);
	else if (bind_all(call, arguments, count, &sets))
		flow = FLOW_FAILED;
	else if (run_bound(call, input, sets))
		call->failed = true;
	keep_all(call, before);
	call->shell->last_ok = !call->failed;
	return call->stopped || call->shell->exiting ? FLOW_STOP : flow;
}

enum flow eval_cmdlet(struct shell *shell, const struct cmdlet *cmdlet,
		      const struct argument *arguments, size_t count, const json_t *input,
		      json_t *output)
{
	json_t *empty = json_array();
	struct call call = {
		.shell = shell,
		.cmdlet = cmdlet,
		.name = cmdlet->name,
		.args = json_object(),
		.output = output,
		.errors = json_array(),
		.warnings = json_array(),
		.informations = json_array(),
		.action = preferred_action(shell),
	};
	enum flow flow;

	if (cmdlet->flags & CMDLET_WHOLE_INPUT)
		call.input = input ? (json_t *)input : empty;
	flow = run_call(&call, arguments, count, input);
	json_decref(call.args);
	json_decref(call.errors);
	json_decref(call.warnings);
	json_decref(call.informations);
	json_decref(empty);
	return flow;
}

/* --- arguments --- */

struct arguments {
	struct argument *list;
	size_t count;
};

static void add_argument(struct arguments *all, const char *name, json_t *value, const char *word)
{
	all->list = alloc_resized(all->list, (all->count + 1) * sizeof(*all->list));
	all->list[all->count++] = (struct argument){ name, value, word, name && value };
}

static void free_arguments(struct arguments *all)
{
	for (size_t i = 0; i < all->count; i++)
		json_decref(all->list[i].value);
	free(all->list);
}

/* @name: a hash table's entries by name, or an array's elements by position. */
static void add_splat(struct shell *shell, struct arguments *all, const char *variable,
		      json_t *keep)
{
	json_t *value = shell_get(shell, variable), *element;
	const char *key;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach(value, key, element)
		{
			if (*key != '@')
				add_argument(all, key, json_incref(element), NULL);
		}
	} else {
		json_array_foreach(value, i, element)
			add_argument(all, NULL, json_incref(element), NULL);
	}
	if (value)
		json_array_append_new(keep, value); /* the keys live as long as it does */
}

static bool add_node(struct shell *shell, struct arguments *all, const struct node *node,
		     json_t *keep)
{
	const struct node *value_node = node;
	json_t *value = NULL;

	if (node->kind == NODE_REDIRECT)
		return true;
	if (node->kind == NODE_SPLAT) {
		add_splat(shell, all, node->text, keep);
		return true;
	}
	if (node->kind == NODE_PARAM)
		value_node = node->count ? node->kids[0] : NULL;
	if (value_node) {
		value = eval_expression(shell, value_node);
		if (!value)
			return false;
	}
	add_argument(all, node->kind == NODE_PARAM ? node->text : NULL, value,
		     value_node && value_node->kind == NODE_LITERAL ? value_node->text : NULL);
	return true;
}

/* --- redirection --- */

static FILE *open_target(struct shell *shell, const struct node *redirect)
{
	json_t *value = eval_expression(shell, redirect->kids[0]);
	char *text, *path;
	FILE *file;

	if (!value)
		return NULL;
	text = value_text(value);
	path = json_is_null(value) ? text_copy("/dev/null") : path_home(text); /* > $null */
	file = fopen(path, !strcmp(redirect->op, ">>") ? "ae" : "we");
	if (!file)
		shell_error(shell, "FileOpenFailure", "Could not write to '%s': %s", path,
			    strerror(errno));
	free(path);
	free(text);
	json_decref(value);
	return file;
}

static const struct node *find_redirect(const struct node *command, const char *streams)
{
	for (size_t i = 1; i < command->count; i++) {
		if (command->kids[i]->kind == NODE_REDIRECT &&
		    strchr(streams, *command->kids[i]->text))
			return command->kids[i];
	}
	return NULL;
}

static void print_to(FILE *file, const json_t *output)
{
	static const struct format_place place = { false, 0 };
	struct text text = { 0 };

	format_output(&text, output, &place);
	if (text.s)
		fputs(text.s, file);
	text_free(&text);
}

/* --- commands --- */

/* A script by its path: ours by its name, any other is run. */
static enum flow run_script_file(struct shell *shell, const char *path)
{
	char *whole = path_home(path);
	enum flow flow = shell_run_file(shell, whole);

	free(whole);
	return flow;
}

static bool is_path(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 4 && text_same(name + len - 4, ".ps1"));
}

static const struct cmdlet *find_cmdlet(const char *name)
{
	const char *slash = strrchr(name, '/'), *backslash = strrchr(name, '\\');

	if (slash)
		return is_path(slash + 1) ? table_find(slash + 1) : NULL;
	return table_find(backslash ? backslash + 1 : name); /* Module\Name */
}

static enum flow run_named(struct shell *shell, const char *name, const struct arguments *all,
			   const json_t *input, json_t *output)
{
	const struct cmdlet *cmdlet = find_cmdlet(name);

	if (cmdlet)
		return eval_cmdlet(shell, cmdlet, all->list, all->count, input, output);
	if (is_path(name))
		return run_script_file(shell, name);
	shell_error(
		shell, "CommandNotFoundException",
		"The term '%s' is not recognized as a name of a cmdlet, function, script file, or "
		"executable program. Check the spelling of the name, or if a path was included, "
		"verify that the path is correct and try again.",
		name);
	return FLOW_FAILED;
}

static enum flow run_arguments(struct shell *shell, const struct node *command, const json_t *input,
			       json_t *output)
{
	json_t *name_value = eval_expression(shell, command->kids[0]), *keep = json_array();
	struct arguments all = { 0 };
	enum flow flow = name_value ? FLOW_NEXT : FLOW_FAILED;
	char *name = name_value ? value_text(name_value) : NULL;

	for (size_t i = 1; i < command->count && flow == FLOW_NEXT; i++) {
		if (!add_node(shell, &all, command->kids[i], keep))
			flow = FLOW_FAILED;
	}
	if (flow == FLOW_NEXT && value_is(name_value, VALUE_BLOCK)) /* & { ... } */
		flow = shell_run_block(shell, name_value, NULL, output);
	else if (flow == FLOW_NEXT)
		flow = run_named(shell, name, &all, input, output);
	free(name);
	json_decref(name_value);
	free_arguments(&all);
	json_decref(keep);
	return flow;
}

static enum flow run_command(struct shell *shell, const struct node *command, const json_t *input,
			     json_t *output)
{
	const struct node *to = find_redirect(command, "1*"),
			  *errors = find_redirect(command, "2*");
	FILE *old_err = shell->err, *file = NULL, *error_file = NULL;
	json_t *own = NULL;
	enum flow flow = FLOW_FAILED;

	if (to && to->count) {
		file = open_target(shell, to);
		own = json_array();
	}
	if (errors && !errors->count)
		shell->err = file ? file : shell->out;
	else if (errors && errors != to)
		shell->err = error_file = open_target(shell, errors);
	else if (errors)
		shell->err = file;
	if (!shell->err)
		shell->err = old_err;
	else if (!own || file)
		flow = run_arguments(shell, command, input, own ? own : output);
	shell->err = old_err;
	if (file) {
		print_to(file, own);
		fclose(file);
	}
	if (error_file)
		fclose(error_file);
	json_decref(own);
	return flow;
}

/* --- pipelines and statements --- */

static enum flow run_element(struct shell *shell, const struct node *element, const json_t *input,
			     json_t *output)
{
	json_t *value;

	if (element->kind == NODE_COMMAND)
		return run_command(shell, element, input, output);
	value = eval_expression(shell, element);
	if (!value)
		return shell->exiting ? FLOW_STOP : FLOW_FAILED;
	value_spread(output, value);
	json_decref(value);
	shell->last_ok = true;
	return FLOW_NEXT;
}

static enum flow run_pipeline(struct shell *shell, const struct node *pipeline, json_t *output)
{
	json_t *input = NULL;
	enum flow flow = FLOW_NEXT;

	for (size_t i = 0; i < pipeline->count && flow == FLOW_NEXT; i++) {
		bool last = i + 1 == pipeline->count;
		json_t *stage = last ? json_incref(output) : json_array();

		flow = run_element(shell, pipeline->kids[i], input, stage);
		json_decref(input);
		input = stage;
	}
	json_decref(input);
	return flow;
}

static enum flow run_statement(struct shell *shell, const struct node *node, json_t *output);

static enum flow run_assignment(struct shell *shell, const struct node *node)
{
	json_t *result = json_array(), *value, *old, *sum;
	enum flow flow = run_statement(shell, node->kids[0], result);

	if (flow == FLOW_NEXT) {
		value = value_collapse(result);
		if (!strcmp(node->op, "+=")) {
			old = shell_get(shell, node->text);
			sum = eval_operator(shell, "+", old ? old : json_null(), value);
			json_decref(old);
			json_decref(value);
			value = sum;
		}
		if (value)
			shell_set(shell, node->text, value);
	}
	json_decref(result);
	return flow;
}

/* The value of a condition or of what foreach goes through; NULL after an error. */
static json_t *script_output(struct shell *shell, const struct node *script, enum flow *flow)
{
	json_t *result = json_array();

	*flow = eval_script(shell, script, result);
	if (*flow == FLOW_NEXT)
		return result;
	json_decref(result);
	return NULL;
}

static enum flow run_if(struct shell *shell, const struct node *node, json_t *output)
{
	for (size_t i = 0; i + 1 < node->count; i += 2) {
		enum flow flow;
		json_t *result = script_output(shell, node->kids[i], &flow);
		bool holds = value_true(result);

		json_decref(result);
		if (flow != FLOW_NEXT)
			return flow;
		if (holds)
			return eval_script(shell, node->kids[i + 1], output);
	}
	if (node->count % 2)
		return eval_script(shell, node->kids[node->count - 1], output);
	return FLOW_NEXT;
}

static enum flow run_foreach(struct shell *shell, const struct node *node, json_t *output)
{
	enum flow flow;
	json_t *list = script_output(shell, node->kids[0], &flow), *element;
	size_t i;

	json_array_foreach(list, i, element)
	{
		shell_set(shell, node->text, json_incref(element));
		flow = eval_script(shell, node->kids[1], output);
		if (flow == FLOW_STOP)
			break;
	}
	json_decref(list);
	return flow;
}

static enum flow run_statement(struct shell *shell, const struct node *node, json_t *output)
{
	switch (node->kind) {
	case NODE_ASSIGN:
		return run_assignment(shell, node);
	case NODE_IF:
		return run_if(shell, node, output);
	case NODE_FOREACH:
		return run_foreach(shell, node, output);
	case NODE_TRY:
		return eval_try(shell, node, output);
	default:
		return run_pipeline(shell, node, output);
	}
}

/* A statement's own output is printed even where it failed half-way. */
static enum flow run_and_print(struct shell *shell, const struct node *node)
{
	json_t *output = json_array();
	enum flow flow = run_statement(shell, node, output);

	shell_print(shell, output);
	json_decref(output);
	return flow;
}

enum flow eval_script(struct shell *shell, const struct node *script, json_t *output)
{
	enum flow flow = FLOW_NEXT;

	if (shell->depth == DEPTH_MAX) {
		shell_error(shell, "CallDepthOverflow", "Scripts call scripts too deeply.");
		return FLOW_STOP;
	}
	shell->depth++;
	for (size_t i = 0; i < script->count && flow != FLOW_STOP; i++) {
		job_poll(shell);
		flow = output ? run_statement(shell, script->kids[i], output)
			      : run_and_print(shell, script->kids[i]);
		/* Within brackets an error ends the whole statement around them. */
		if (flow == FLOW_FAILED && output)
			break;
	}
	shell->depth--;
	return flow;
}
