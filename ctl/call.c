/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One cmdlet at work: see ctl/call.h. */
#include "ctl/call.h"

#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>

enum error_action call_action(const char *word, enum error_action otherwise)
{
	static const struct {
		const char *word;
		enum error_action action;
	} actions[] = {
		{ "SilentlyContinue", ACTION_SILENT },
		{ "Ignore", ACTION_IGNORE },
		{ "Stop", ACTION_STOP },
		{ "Inquire", ACTION_INQUIRE },
		{ "Continue", ACTION_CONTINUE },
	};

	for (size_t i = 0; word && i < ARRAY_SIZE(actions); i++) {
		if (text_same(word, actions[i].word))
			return actions[i].action;
	}
	return otherwise;
}

bool call_has(const struct call *call, const char *name)
{
	return json_object_get(call->args, name) != NULL;
}

json_t *call_value(const struct call *call, const char *name)
{
	return json_object_get(call->args, name);
}

const char *call_string(const struct call *call, const char *name)
{
	return json_string_value(json_object_get(call->args, name));
}

int64_t call_int(const struct call *call, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(call->args, name);

	return value ? json_integer_value(value) : otherwise;
}

bool call_switch(const struct call *call, const char *name)
{
	return json_is_true(json_object_get(call->args, name));
}

void call_copy(const struct call *call, json_t *object, const char *const pairs[])
{
	for (size_t i = 0; pairs[i]; i += 2) {
		json_t *value = json_object_get(call->args, pairs[i]);

		if (value)
			json_object_set(object, pairs[i + 1], value);
	}
}

void call_emit(struct call *call, json_t *value)
{
	value_spread(call->output, value);
	json_decref(value);
}

void call_inform(struct call *call, const char *text)
{
	json_array_append_new(call->informations, value_string(text));
}

void call_warn(struct call *call, const char *format, ...)
{
	enum error_action action = call_action(call_string(call, "WarningAction"), ACTION_CONTINUE);
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	json_array_append_new(call->warnings, value_string(text.s));
	if (action != ACTION_SILENT && action != ACTION_IGNORE)
		fprintf(call->shell->err, "WARNING: %s\n", text.s);
	text_free(&text);
}

void call_tell(struct call *call, const char *format, ...)
{
	va_list args;

	if (!call->verbose)
		return;
	va_start(args, format);
	fputs("VERBOSE: ", call->shell->err);
	vfprintf(call->shell->err, format, args);
	fputc('\n', call->shell->err);
	va_end(args);
}

/* --- errors --- */

static const struct {
	const char *category, *id;
} kinds[] = {
	[ERROR_INVALID_PARAMETER] = { "InvalidArgument", "InvalidParameter" },
	[ERROR_NOT_FOUND] = { "ObjectNotFound", "ObjectNotFound" },
	[ERROR_STATE] = { "InvalidOperation", "InvalidState" },
	[ERROR_FAILED] = { "NotSpecified", "OperationFailed" },
	[ERROR_DENIED] = { "PermissionDenied", "AccessDenied" },
	[ERROR_EXISTS] = { "ResourceExists", "ObjectExists" },
	[ERROR_NOT_YET] = { "NotImplemented", "NotAvailable" },
};

static int report(struct call *call, const char *category, const char *id, const char *target,
		  const char *format, va_list args)
{
	json_t *record = value_object("ErrorRecord");
	struct text text = { 0 };

	text_addv(&text, format, args);
	json_object_set_new(record, "Message", value_string(text.s ? text.s : ""));
	json_object_set_new(record, "Command", value_string(call->name));
	json_object_set_new(record, "Category", value_string(category));
	json_object_set_new(record, "Target", value_string(target ? target : ""));
	json_object_set_new(record, "FullyQualifiedErrorId", value_format("%s,%s", id, call->name));
	text_free(&text);
	call->failed = true;
	call->stopped |= call->action == ACTION_STOP;
	if (call->action != ACTION_IGNORE)
		json_array_append(call->errors, record);
	shell_report(call->shell, record,
		     call->ends_statement && call->shell->tries ? ACTION_STOP : call->action);
	json_decref(record);
	return -1;
}

int call_error(struct call *call, enum error_kind kind, const char *target, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = report(call, kinds[kind].category, kinds[kind].id, target, format, args);
	va_end(args);
	return ret;
}

int call_error_as(struct call *call, const char *category, const char *id, const char *target,
		  const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = report(call, category, id, target, format, args);
	va_end(args);
	return ret;
}

/* --- questions --- */

/* The answer's letter in upper case: one of `letters`, the first of which Enter means. */
static char ask(struct call *call, const char *question, const char *choices, const char *letters)
{
	char *prompt = text_format("%s\n%s (default is \"%c\"): ", question, choices, letters[0]);
	char answer = 0;

	while (!answer) {
		char *line = shell_read_line(call->shell, prompt);
		char first = line ? (char)(line[0] & ~0x20) : 'N';

		if (line && !line[0])
			first = letters[0];
		if (strchr(letters, first))
			answer = first;
		free(line);
	}
	free(prompt);
	return answer;
}

static bool confirm(struct call *call, const char *what)
{
	char *question;
	char answer;

	if (call->yes_to_all || call->no_to_all)
		return call->yes_to_all;
	if (!call->shell->interactive) {
		call_error_as(call, "InvalidOperation", "NonInteractive", "",
			      "This would %s It asks before it does so, and there is nobody to "
			      "answer here. Use -Force or -Confirm:$false.",
			      what);
		return false;
	}
	question = text_format("Confirm\nAre you sure you want to perform this action?\n%s will %s",
			       call->name, what);
	answer = ask(call, question, "[Y] Yes  [A] Yes to All  [N] No  [L] No to All  [S] Suspend",
		     "YANLS");
	free(question);
	call->yes_to_all = answer == 'A';
	call->no_to_all = answer == 'L' || answer == 'S';
	return answer == 'Y' || answer == 'A';
}

static bool wants_question(const struct call *call)
{
	if (call_has(call, "Confirm"))
		return call_switch(call, "Confirm");
	return call->cmdlet->flags & CMDLET_ASKS && !call_switch(call, "Force");
}

/* -WhatIf, or $WhatIfPreference for all cmdlets. */
static bool only_says(const struct call *call)
{
	json_t *preference;
	bool says;

	if (call_has(call, "WhatIf"))
		return call_switch(call, "WhatIf");
	preference = shell_get(call->shell, "WhatIfPreference");
	says = value_true(preference);
	json_decref(preference);
	return says;
}

bool call_should(struct call *call, const char *format, ...)
{
	struct text what = { 0 };
	bool yes = true;
	va_list args;

	va_start(args, format);
	text_addv(&what, format, args);
	va_end(args);
	if (only_says(call)) {
		fprintf(call->shell->out, "What if: %s will %s\n", call->name, what.s);
		yes = false;
	} else if (wants_question(call)) {
		yes = confirm(call, what.s);
	} else {
		call_tell(call, "%s will %s", call->name, what.s);
	}
	text_free(&what);
	return yes;
}
