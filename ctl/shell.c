/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shell's variables, errors and output, and running text in it: see ctl/shell.h. */
#include "ctl/shell.h"

#include "ctl/eval.h"
#include "ctl/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRORS_MAX       256
#define SCRIPT_MAX_BYTES (16 * MIB)

/* --- variables --- */

static json_t *special(struct shell *shell, const char *name)
{
	const char *value;

	if (text_same(name, "true") || text_same(name, "false"))
		return json_boolean(text_same(name, "true"));
	if (text_same(name, "null"))
		return json_null();
	if (!strcmp(name, "?"))
		return json_boolean(shell->last_ok);
	if (text_same(name, "Error"))
		return json_incref(shell->errors);
	if (text_same(name, "PSItem"))
		return shell_get(shell, "_");
	if (text_same(name, "HOME") || text_same(name, "PWD")) {
		value = getenv(text_same(name, "HOME") ? "HOME" : "PWD");
		return value ? value_string(value) : NULL;
	}
	if (text_in_list("env", name, ':') && strchr(name, ':')) {
		value = getenv(strchr(name, ':') + 1);
		return value ? value_string(value) : NULL;
	}
	return NULL;
}

json_t *shell_get(struct shell *shell, const char *name)
{
	char *key = text_lower(name);
	json_t *value = json_object_get(shell->variables, key);

	free(key);
	return value ? json_incref(value) : special(shell, name);
}

void shell_set(struct shell *shell, const char *name, json_t *value)
{
	char *key = text_lower(name);

	json_object_set_new(shell->variables, key, value);
	free(key);
}

/* --- output and errors --- */

struct format_place shell_place(const struct shell *shell)
{
	struct winsize size = { 0 };
	bool is_terminal = isatty(fileno(shell->out));

	if (!is_terminal || ioctl(fileno(shell->out), TIOCGWINSZ, &size))
		size.ws_col = 0;
	return (struct format_place){ is_terminal, size.ws_col };
}

void shell_print(struct shell *shell, const json_t *output)
{
	struct format_place place = shell_place(shell);
	struct text text = { 0 };

	format_output(&text, output, &place);
	if (text.s)
		fputs(text.s, shell->out);
	fflush(shell->out);
	text_free(&text);
}

static void print_details(struct shell *shell, const json_t *record)
{
	fprintf(shell->err, "    + CategoryInfo          : %s: (%s:String) [%s]\n",
		value_text_of(record, "Category"), value_text_of(record, "Target"),
		value_text_of(record, "Command"));
	fprintf(shell->err, "    + FullyQualifiedErrorId : %s\n",
		value_text_of(record, "FullyQualifiedErrorId"));
}

static bool wants_details(struct shell *shell)
{
	json_t *view = shell_get(shell, "ErrorView");
	const char *text = json_string_value(view);
	bool wants = text && text_same(text, "NormalView");

	json_decref(view);
	return wants;
}

void shell_show_error(struct shell *shell, const json_t *record)
{
	const char *command = value_text_of(record, "Command");
	bool colored = isatty(fileno(shell->err));

	shell->had_error = true;
	fflush(shell->out);
	fprintf(shell->err, "%s%s%s%s%s\n", colored ? "\x1b[31m" : "", command,
		*command ? ": " : "", value_text_of(record, "Message"), colored ? "\x1b[0m" : "");
	if (wants_details(shell))
		print_details(shell, record);
}

void shell_report(struct shell *shell, json_t *record, enum error_action action)
{
	shell->last_ok = false;
	if (action == ACTION_IGNORE)
		return;
	json_array_insert(shell->errors, 0, record);
	if (json_array_size(shell->errors) > ERRORS_MAX)
		json_array_remove(shell->errors, ERRORS_MAX);
	if (action == ACTION_SILENT || (action == ACTION_STOP && shell->tries))
		return;
	shell_show_error(shell, record);
}

void shell_error(struct shell *shell, const char *id, const char *format, ...)
{
	json_t *record = value_object("ErrorRecord");
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	json_object_set_new(record, "Message", value_string(text.s ? text.s : ""));
	json_object_set_new(record, "Command", json_string(""));
	json_object_set_new(record, "Category", json_string("ParserError"));
	json_object_set_new(record, "Target", json_string(""));
	json_object_set_new(record, "FullyQualifiedErrorId", json_string(id));
	text_free(&text);
	shell_report(shell, record, ACTION_STOP);
	json_decref(record);
}

char *shell_read_line(struct shell *shell, const char *prompt)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	fputs(prompt, shell->out);
	fflush(shell->out);
	len = getline(&line, &room, stdin);
	if (len < 0) {
		free(line);
		fputc('\n', shell->out);
		return NULL;
	}
	while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		line[--len] = 0;
	return line;
}

/* --- running text --- */

enum flow shell_run(struct shell *shell, const char *source, const char *filename)
{
	struct error err = { "" };
	struct node *script;
	enum flow flow;

	if (parse_script(source, filename, &script, &err)) {
		shell_error(shell, "ParserError", "%s", err.text);
		return FLOW_FAILED;
	}
	flow = eval_script(shell, script, NULL);
	node_free(script);
	while (waitpid(-1, NULL, WNOHANG) > 0) /* VMs that we started and that ended */
		continue;
	return flow;
}

static char *read_all(FILE *file, struct error *err)
{
	struct text text = { 0 };
	char part[4096];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), file)) > 0) {
		text_add_n(&text, part, n);
		if (text.len > SCRIPT_MAX_BYTES) {
			error_set(err, -EFBIG, "too long for a script");
			break;
		}
	}
	if (!*err->text && ferror(file))
		error_set(err, -EIO, "%s", strerror(errno));
	if (!*err->text && text.s && memchr(text.s, 0, text.len))
		error_set(err, -EINVAL, "this is no text");
	if (!*err->text)
		return text_take(&text);
	text_free(&text);
	return NULL;
}

char *shell_read_file(const char *path, struct error *err)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *source = NULL;

	if (!file)
		error_set(err, -errno, "%s", strerror(errno));
	else
		source = read_all(file, err);
	if (file && file != stdin)
		fclose(file);
	return source;
}

enum flow shell_run_file(struct shell *shell, const char *path)
{
	struct error err = { "" };
	char *source = shell_read_file(path, &err);
	enum flow flow = FLOW_FAILED;

	if (source)
		flow = shell_run(shell, source, strcmp(path, "-") ? path : NULL);
	else
		shell_error(shell, "ScriptNotFound", "The script '%s' cannot be read: %s.", path,
			    err.text);
	free(source);
	return flow;
}

enum flow shell_run_block(struct shell *shell, const json_t *block, json_t *item, json_t *output)
{
	struct error err = { "" };
	json_t *outer = shell_get(shell, "_");
	struct node *script;
	enum flow flow = FLOW_FAILED;

	if (item)
		shell_set(shell, "_", json_incref(item));
	if (parse_script(value_text_of(block, "Text"), NULL, &script, &err)) {
		shell_error(shell, "ParserError", "%s", err.text);
	} else {
		flow = eval_script(shell, script, output);
		node_free(script);
	}
	shell_set(shell, "_", outer ? outer : json_null());
	return flow == FLOW_FAILED && shell->tries ? FLOW_STOP : flow;
}
