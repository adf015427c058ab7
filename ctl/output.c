/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Format-Table, ConvertTo-Json, Write-Output and their kin: objects to what is seen. */
#include "ctl/format.h"
#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/select.h"
#include "ctl/shell.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define JSON_DEPTH     2
#define JSON_DEPTH_MAX 100
#define SLEEP_MAX      86400

/* Objects as the properties want them: made anew where some are calculated. */
static json_t *project(struct call *call, const json_t *properties)
{
	json_t *list, *item;
	size_t i;

	if (!select_is_calculated(properties))
		return json_incref(call->input);
	list = json_array();
	json_array_foreach(call->input, i, item)
		json_array_append_new(list, select_properties(call, item, properties));
	return list;
}

static int format_with(struct call *call, bool as_table)
{
	json_t *properties = call_value(call, "Property");
	json_t *names = properties ? select_names(properties) : NULL;
	json_t *list = project(call, properties);
	struct format_place place = shell_place(call->shell);
	struct text text = { 0 };

	if (call_switch(call, "Wrap"))
		place.width = 0;
	if (as_table)
		format_table(&text, list, names, !call_switch(call, "HideTableHeaders"), &place);
	else
		format_list(&text, list, names, &place);
	if (text.s)
		call_emit(call, value_lines(text.s));
	text_free(&text);
	json_decref(list);
	json_decref(names);
	return 0;
}

static int format_as_table(struct call *call)
{
	return format_with(call, true);
}

static int format_as_list(struct call *call)
{
	return format_with(call, false);
}

static int convert_to_json(struct call *call)
{
	json_t *value = call_switch(call, "AsArray") ? json_incref(call->input)
						     : value_collapse(call->input);
	struct text text = { 0 };

	if (call_has(call, "InputObject")) {
		json_decref(value);
		value = json_incref(call_value(call, "InputObject"));
	}
	format_json(&text, value, (unsigned)call_int(call, "Depth", JSON_DEPTH),
		    call_switch(call, "Compress"));
	if (text.len)
		text.s[text.len - 1] = 0; /* a String has no end of line */
	call_emit(call, value_string(text.s));
	text_free(&text);
	json_decref(value);
	return 0;
}

static int convert_from_json(struct call *call)
{
	struct text text = { 0 };
	json_error_t reason;
	json_t *item, *value;
	size_t i;
	int ret = 0;

	json_array_foreach(call->input, i, item)
	{
		char *part = value_text(item);

		text_addf(&text, "%s\n", part);
		free(part);
	}
	value = json_loads(text.s ? text.s : "", JSON_DECODE_ANY, &reason);
	if (value)
		call_emit(call, value);
	else
		ret = call_error(call, ERROR_INVALID_PARAMETER, "", "This is no JSON: line %d: %s",
				 reason.line, reason.text);
	text_free(&text);
	return ret;
}

static int out_null(struct call *call)
{
	(void)call;
	return 0;
}

static char *rendered(const struct call *call)
{
	static const struct format_place place = { false, 0 };
	struct text text = { 0 };

	format_output(&text, call->input, &place);
	return text_take(&text);
}

static int out_string(struct call *call)
{
	char *text = rendered(call);

	call_emit(call, value_string(text));
	free(text);
	return 0;
}

static int out_file(struct call *call)
{
	char *path = path_home(call_string(call, "FilePath")), *text = rendered(call);
	FILE *file = fopen(path, call_switch(call, "Append") ? "ae" : "we");
	int ret = 0;

	if (!file || fputs(text, file) < 0 || fflush(file))
		ret = call_error(call, ERROR_FAILED, path, "Could not write to '%s': %s", path,
				 strerror(errno));
	if (file)
		fclose(file);
	free(text);
	free(path);
	return ret;
}

static int out_host(struct call *call)
{
	shell_print(call->shell, call->input);
	return 0;
}

static int write_output(struct call *call)
{
	json_t *given = call_value(call, "InputObject");

	value_spread(call->output, given);
	json_array_extend(call->output, call->input);
	return 0;
}

static int write_host(struct call *call)
{
	json_t *given = call_value(call, "Object"), *item;
	struct text line = { 0 };
	size_t i;

	json_array_foreach(given, i, item)
	{
		char *text = value_text(item);

		text_addf(&line, "%s%s", i ? " " : "", text);
		free(text);
	}
	fprintf(call->shell->out, "%s%s", line.s ? line.s : "",
		call_switch(call, "NoNewline") ? "" : "\n");
	call_inform(call, line.s ? line.s : "");
	text_free(&line);
	return 0;
}

static int write_error(struct call *call)
{
	const char *message = call_string(call, "Message");

	return call_error_as(call, "NotSpecified",
			     "Microsoft.PowerShell.Commands.WriteErrorException", "", "%s",
			     message);
}

/* Ends the script, or the try block around it. Without a message: the error that was caught. */
static int throw_error(struct call *call)
{
	json_t *given = call_value(call, "Message");
	json_t *caught = given ? NULL : shell_get(call->shell, "_");
	char *text = value_text(given ? given : caught ? caught : json_null());

	call->name = "Exception";
	call->action = ACTION_STOP;
	call_error_as(call, "OperationStopped", "RuntimeException", text, "%s",
		      *text ? text : "ScriptHalted");
	free(text);
	json_decref(caught);
	return -1;
}

static int write_warning(struct call *call)
{
	call_warn(call, "%s", call_string(call, "Message"));
	return 0;
}

static int read_host(struct call *call)
{
	const char *prompt = call_string(call, "Prompt");
	char *question = text_format("%s%s", prompt ? prompt : "", prompt ? ": " : "");
	char *line = shell_read_line(call->shell, question);

	if (line)
		call_emit(call, value_string(line));
	free(line);
	free(question);
	return 0;
}

static int start_sleep(struct call *call)
{
	int64_t ms = call_int(call, "Seconds", 0) * 1000 + call_int(call, "Milliseconds", 0);
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
	return 0;
}

static int get_date(struct call *call)
{
	const char *format = call_string(call, "UFormat");
	char text[128] = "";
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(text, sizeof(text), format ? format : "%Y-%m-%dT%H:%M:%S%z", &local);
	call_emit(call, value_string(text));
	return 0;
}

static int exit_shell(struct call *call)
{
	call->shell->exiting = true;
	call->shell->exit_status = (int)call_int(call, "Status", call->shell->exit_status);
	return 0;
}

/* --- the table --- */

#define PARAM_PROPERTY                                                              \
	{                                                                           \
		"Property", NULL, PARAM_ANY, .position = POSITION(0), .flags = MANY \
	}

static const struct param table_params[] = {
	PARAM_PROPERTY,
	{ "AutoSize", NULL, PARAM_SWITCH },
	{ "HideTableHeaders", NULL, PARAM_SWITCH },
	{ "Wrap", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param list_params[] = { PARAM_PROPERTY, PARAM_END };

static const struct param json_params[] = {
	{ "AsArray", NULL, PARAM_SWITCH },
	{ "Compress", NULL, PARAM_SWITCH },
	{ "Depth", NULL, PARAM_INT, .min = 0, .max = JSON_DEPTH_MAX },
	{ "InputObject", NULL, PARAM_ANY, .position = POSITION(0) },
	PARAM_END,
};

static const struct param no_params[] = { PARAM_END };

static const struct param file_params[] = {
	{ "FilePath", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "Append", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param write_params[] = {
	{ "InputObject", NULL, PARAM_ANY, .flags = MANY | REST },
	PARAM_END,
};

static const struct param host_params[] = {
	{ "Object", NULL, PARAM_ANY, .flags = MANY | REST },
	{ "NoNewline", NULL, PARAM_SWITCH },
	{ "ForegroundColor", NULL, PARAM_STRING },
	{ "BackgroundColor", NULL, PARAM_STRING },
	PARAM_END,
};

static const struct param message_params[] = {
	{ "Message", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	PARAM_END,
};

static const struct param throw_params[] = {
	{ "Message", NULL, PARAM_ANY, .flags = MANY | REST },
	PARAM_END,
};

static const struct param read_params[] = {
	{ "Prompt", NULL, PARAM_STRING, .position = POSITION(0) },
	PARAM_END,
};

static const struct param sleep_params[] = {
	{ "Seconds", NULL, PARAM_INT, .min = 0, .max = SLEEP_MAX, .position = POSITION(0) },
	{ "Milliseconds", "m", PARAM_INT, .min = 0, .max = SLEEP_MAX * 1000ll },
	PARAM_END,
};

static const struct param date_params[] = { { "UFormat", NULL, PARAM_STRING }, PARAM_END };

static const struct param exit_params[] = {
	{ "Status", NULL, PARAM_INT, .min = 0, .max = 255, .position = POSITION(0) },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Format-Table", "ft", "Shows objects as a table.", table_params, NULL, CMDLET_WHOLE_INPUT,
	  format_as_table },
	{ "Format-List", "fl", "Shows objects as lists of properties.", list_params, NULL,
	  CMDLET_WHOLE_INPUT, format_as_list },
	{ "ConvertTo-Json", NULL, "Turns objects into JSON.", json_params, NULL, CMDLET_WHOLE_INPUT,
	  convert_to_json },
	{ "ConvertFrom-Json", NULL, "Turns JSON into objects.", no_params, NULL, CMDLET_WHOLE_INPUT,
	  convert_from_json },
	{ "Out-Null", NULL, "Drops its input.", no_params, NULL, CMDLET_WHOLE_INPUT, out_null },
	{ "Out-String", NULL, "Turns objects into the text that shows them.", no_params, NULL,
	  CMDLET_WHOLE_INPUT, out_string },
	{ "Out-File", NULL, "Writes the text that shows objects to a file.", file_params, NULL,
	  CMDLET_WHOLE_INPUT, out_file },
	{ "Out-Host", "oh", "Shows objects now.", no_params, NULL, CMDLET_WHOLE_INPUT, out_host },
	{ "Write-Output", "echo", "Passes objects on.", write_params, NULL, CMDLET_WHOLE_INPUT,
	  write_output },
	{ "Write-Host", NULL, "Prints text.", host_params, NULL, 0, write_host },
	{ "Write-Error", NULL, "Reports an error.", message_params, NULL, 0, write_error },
	{ "throw", NULL, "Ends the script with an error, or the try block.", throw_params, NULL,
	  CMDLET_HIDDEN, throw_error },
	{ "Write-Warning", NULL, "Prints a warning.", message_params, NULL, 0, write_warning },
	{ "Read-Host", NULL, "Reads a line from the operator.", read_params, NULL, 0, read_host },
	{ "Start-Sleep", "sleep", "Waits.", sleep_params, NULL, 0, start_sleep },
	{ "Get-Date", NULL, "Gives the time.", date_params, NULL, 0, get_date },
	{ "exit", "quit", "Ends the shell.", exit_params, NULL, CMDLET_HIDDEN, exit_shell },
	{ NULL },
};

const struct noun noun_output = { cmdlets, NULL };
